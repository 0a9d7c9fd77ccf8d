"""Which bias a class of tensors is stored with: the one that loses least.

In: how many numbers of a class have each binary exponent. Out: a bias of 0 to 63.
Idea: a bias slides the window of numbers that a format holds. Above the window numbers are clamped, below it they lose
places and then vanish; what is lost is an expected square, known for every exponent and every bias beforehand, so the
choice is a product of a table with the counts and the smallest of 64 sums. Squares are what sums of products add up.
The paper says only that biases are kept by tensor class and can be learnt during training; the rule is ours.
Not here: counting, and storing (`storage.py`).
Source: "A Guide to Tesla's Configurable Floating Point Formats & Arithmetic", on the choice of the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from dojo.machine.numbers.format import FloatFormat

BIASES = 64
EXPONENT_FIELDS = 256
"""Of float32; field 0 is zero and what is smaller than any format here holds."""

Make = Callable[[int], FloatFormat]


def best_bias(counts: Int64[np.ndarray, "256"], make: Make) -> int | None:
    """The bias that loses least over numbers with these exponent fields of float32; None where all are zero."""
    seen = counts.astype(np.float64)
    seen[0] = 0.0
    if not seen.any():
        return None
    return int(np.argmin(_loss(make) @ seen))


@lru_cache(maxsize=8)
def _loss(make: Make) -> Float64[np.ndarray, "64 256"]:
    """The expected square of what is lost, by bias and exponent field, mantissas spread evenly."""
    return np.stack([expected_loss(make(bias)) for bias in range(BIASES)])


def expected_loss(fmt: FloatFormat) -> Float64[np.ndarray, "256"]:
    """The expected square of what a number loses, by its exponent field of float32, mantissas spread evenly."""
    exponent = np.arange(EXPONENT_FIELDS) - 127
    low, high = np.ldexp(1.0, exponent), np.ldexp(1.0, exponent + 1)
    step = np.ldexp(1.0, np.maximum(exponent, 1 - fmt.bias) - fmt.mantissa_bits)
    # The mean of x^2 over [1, 2) is 7/3, of x 3/2; the error of rounding is uniform over a step.
    square, rounded = 7 / 3 * low**2, step**2 / 12
    lost = np.where(high <= step / 2, square, rounded)
    # Of the highest binade, what lies more than half a step above the largest number is clamped, too.
    beyond = high - fmt.largest
    highest = ((low - beyond + step / 2) * rounded + (beyond**3 - step**3 / 8) / 3) / low
    lost = np.where((low <= fmt.largest) & (fmt.largest < high), highest, lost)
    return np.where(low > fmt.largest, square - 3 * low * fmt.largest + fmt.largest**2, lost)
