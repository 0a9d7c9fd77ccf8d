"""The definition of every conversion, one number at a time, with integers and fractions.

In: a float or a code, a format. Out: a code or a float, and flags. Nothing here is rounded by accident.
Idea: a positive number lies between two neighbouring codes, because codes without sign are in the order of their
values. Find them, and choose. Overflow is rounding to the code after the largest.
Not here: speed (`array.py` and `tensor.py`, which the tests hold against this).
Source: IEEE 754-2019, clauses 4.3 (rounding) and 7 (exceptions); OFP8 revision 1.0 (both kinds of conversion).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from typing import NamedTuple

from dojo.errors import ConfigError
from dojo.machine.numbers.format import FloatFormat, Subnormals, ladder
from dojo.machine.numbers.rounding import NEAREST_EVEN, Flag, Rounding, Stochastic, dither_numerator


class Encoded(NamedTuple):
    """A code, and what was lost on the way to it."""

    code: int
    flags: Flag


def decode(code: int, fmt: FloatFormat) -> float:
    """The value that a code stands for.

    Raises:
        ConfigError: the format has no such code.
    """
    if not 0 <= code < 1 << fmt.bits:
        raise ConfigError(f"{fmt.name}: expected a code of 0 to {(1 << fmt.bits) - 1}, got {code}")
    sign = -1.0 if code & ~(fmt.sign_code - 1) else 1.0
    magnitude = code & (fmt.sign_code - 1)
    if magnitude > fmt.largest_code:
        return sign * (math.inf if magnitude == fmt.infinity_code else math.nan)
    if fmt.subnormals is Subnormals.FLUSHED and magnitude < fmt.smallest_normal_code:
        return sign * 0.0
    return sign * math.ldexp(ladder(fmt)[magnitude], fmt.step_exponent)


def read_flags(code: int, fmt: FloatFormat) -> Flag:
    """What reading a code tells: that it is subnormal, also where such are read as zero."""
    return Flag.DENORMAL if 0 < code & (fmt.sign_code - 1) < fmt.smallest_normal_code else Flag(0)


def encode(value: float, fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN, index: int = 0) -> Encoded:
    """The code for a number, and flags; `index` is the number's place in its tensor, for stochastic rounding."""
    negative = math.copysign(1.0, value) < 0
    if negative and not fmt.signed and not math.isnan(value):
        # Below everything an unsigned format has; zero is nearest, and only -0 is zero exactly.
        return Encoded(0, Flag.OVERFLOW | Flag.INEXACT if value else Flag(0))
    magnitude, flags = _encode_magnitude(abs(value), fmt, rounding, index)
    return Encoded(magnitude | (fmt.sign_code if negative and fmt.signed else 0), flags)


def quantise(value: float, fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN, index: int = 0) -> float:
    """The number that is left of a number after it has been stored."""
    return decode(encode(value, fmt, rounding, index).code, fmt)


def _encode_magnitude(value: float, fmt: FloatFormat, rounding: Rounding, index: int) -> Encoded:
    if math.isnan(value):
        return Encoded(fmt.largest_code, Flag.INVALID) if fmt.nan_code is None else Encoded(fmt.nan_code, Flag(0))
    if math.isinf(value):
        kept = fmt.infinity_code is not None and not fmt.saturate
        return Encoded(fmt.beyond_code, Flag(0) if kept else Flag.OVERFLOW | Flag.INEXACT)
    steps = Fraction(value) / Fraction(2) ** fmt.step_exponent
    rungs = ladder(fmt)
    code = min(bisect_right(rungs, steps) - 1, fmt.largest_code)
    below, above = rungs[code], rungs[code + 1]
    if _goes_up((steps - below) / (above - below), code, rounding, index):
        code += 1
    if fmt.subnormals is Subnormals.FLUSHED and code < fmt.smallest_normal_code:
        code = 0
    if code > fmt.largest_code:
        return Encoded(fmt.beyond_code, Flag.OVERFLOW | Flag.INEXACT)
    if rungs[code] == steps:
        return Encoded(code, Flag(0))
    return Encoded(code, Flag.INEXACT | (Flag.UNDERFLOW if value < fmt.smallest_normal else Flag(0)))


def _goes_up(remainder: Fraction, code: int, rounding: Rounding, index: int) -> bool:
    """Whether a number at this share of the way to the next code takes it; 1 and more when it lies beyond."""
    if remainder >= 1:
        return True
    if isinstance(rounding, Stochastic):
        dither = dither_numerator(rounding.seed, rounding.first_index + index)
        return Fraction(dither, 1 << 24) < remainder
    half = Fraction(1, 2)
    return remainder > half or (remainder == half and code % 2 == 1)
