"""Fixed-point elements: whole numbers of a fixed step, in two's complement.

In: numbers. Out: codes, and back; the plain definition and its twin for NumPy.
Idea: what integers are for floating point's `scalar.py` and `array.py` they are here at once: a code is the number of
steps. The most negative code is read but never written, which the standard allows, so that the format is symmetric.
Not here: the scale that a block of them shares (`blocks.py`).
Source: OCP Microscaling Formats (MX) Specification 1.0, section 5.3.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Float64, UInt8

from dojo.errors import ConfigError
from dojo.machine.numbers.array import dithers
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic, dither_numerator


@dataclass(frozen=True, slots=True)
class FixedFormat:
    """Whole numbers of `2 ** -fraction_bits`, of at most eight bits with their sign.

    Raises:
        ConfigError: the format could not hold anything, or is wider than a code.
    """

    name: str
    bits: int
    fraction_bits: int
    source: str

    def __post_init__(self) -> None:
        if not (2 <= self.bits <= 8 and 0 <= self.fraction_bits < self.bits):
            raise ConfigError(
                f"number format {self.name}: expected 2 to 8 bits and fewer of them for the fraction, got {self.bits} "
                f"and {self.fraction_bits}"
            )

    @property
    def largest_steps(self) -> int:
        """The largest number, in steps; its negative is the smallest that is written."""
        return (1 << (self.bits - 1)) - 1

    @property
    def highest_exponent(self) -> int:
        """The exponent of the largest number."""
        return self.bits - 2 - self.fraction_bits


MX_INT8 = FixedFormat("MX_INT8", 8, 6, "OCP Microscaling Formats (MX) Specification, version 1.0")


def encode(value: float, fmt: FixedFormat, rounding: Rounding = NEAREST_EVEN, index: int = 0) -> int:
    """The code for a finite number, by definition; what is too large is clamped."""
    steps = Fraction(value) * (1 << fmt.fraction_bits)
    below = math.floor(abs(steps))
    rest = abs(steps) - below
    if isinstance(rounding, Stochastic):
        up = Fraction(dither_numerator(rounding.seed, rounding.first_index + index), 1 << 24) < rest
    else:
        up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    magnitude = min(below + up, fmt.largest_steps)
    return (-magnitude if steps < 0 else magnitude) % (1 << fmt.bits)


def decode(code: int, fmt: FixedFormat) -> float:
    """The value that a code stands for."""
    negative = code >> (fmt.bits - 1)
    return math.ldexp(code - (negative << fmt.bits), -fmt.fraction_bits)


def encode_array(
    values: Float[np.ndarray, "*shape"], fmt: FixedFormat, rounding: Rounding = NEAREST_EVEN
) -> UInt8[np.ndarray, "*shape"]:
    """The codes of an array of finite numbers."""
    steps = np.ldexp(np.abs(values.astype(np.float64)), fmt.fraction_bits)
    below = np.floor(steps)
    if isinstance(rounding, Stochastic):
        up = dithers(rounding.seed, rounding.first_index, values.size).reshape(values.shape) < steps - below
        rounded = below + up
    else:
        rounded = np.rint(steps)
    held = np.minimum(rounded, float(fmt.largest_steps)).astype(np.int64)
    return (np.where(values < 0, -held, held) & ((1 << fmt.bits) - 1)).astype(np.uint8)


def decode_array(codes: UInt8[np.ndarray, "*shape"], fmt: FixedFormat) -> Float64[np.ndarray, "*shape"]:
    """The values of an array of codes."""
    steps = codes.astype(np.int64)
    steps -= (steps >> (fmt.bits - 1)) << fmt.bits
    return np.ldexp(steps.astype(np.float64), -fmt.fraction_bits)
