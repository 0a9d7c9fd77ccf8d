"""Chips and what is built from them: the figures of a machine, each with its source.

In: figures. Out: a `Machine`. Not here: the machines themselves (`dojo.machine.specs`).
"""
