"""Number formats: what a machine can write down, and what becomes of everything else.

In: real numbers. Out: codes, the values they stand for, and flags.
Idea: one dataclass says what a format is (`format.py`), formats are data (`formats.py`), one plain definition rounds
a single number with integers and fractions (`scalar.py`), and fast twins for NumPy (`array.py`) and torch
(`tensor.py`) are proved equal to it. Blocks that share a scale are in `blocks.py` and, for
torch, `block_tensor.py`.
Not here: which format a machine multiplies in (`dojo.machine.specs`).
"""
