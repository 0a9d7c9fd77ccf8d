"""Links, and the collectives that run on them.

In: links and sizes. Out: seconds. Not here: which collective a training step needs (`dojo.machine.compile`), what else
is on the links meanwhile (`dojo.machine.simulate`).
"""
