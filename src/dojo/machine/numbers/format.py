"""The theory of small floating-point formats, as one frozen dataclass.

In: widths, bias and conventions. Out: a `FloatFormat`; every other figure of a format follows from it.
Idea: a code is sign, exponent field E and mantissa field M. Without the sign, codes count upwards in the order of the
values they stand for, and each value is a whole number of the format's smallest step. So a format is a list of
integers, and rounding is a choice between two neighbours in that list.

The subnormal trap. Tesla's paper prints the subnormals of CFloat8 as 0.001 to 0.111 times 2^-bias, although its
normals begin at 2^(1 - bias) and the same page promises gradual underflow. Taken literally, the largest subnormal is
0.875 · 2^-bias and the smallest normal 2 · 2^-bias: a hole, wider than any step around it. Decided: subnormals are
multiples of 2^(1 - bias - mantissa bits), as in IEEE 754, which is gradual underflow and what other implementations do.
`Subnormals.LITERAL` is the printed reading, for whoever finds hardware that has the hole.

Not here: the formats themselves (`formats.py`), rounding (`scalar.py`, `array.py`, `tensor.py`).
Source: IEEE 754-2019, clause 3.4; "A Guide to Tesla's Configurable Floating Point Formats & Arithmetic", pages 5 to 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from dojo.errors import ConfigError


class Specials(Enum):
    """Which codes do not stand for a finite number."""

    NONE = "none"
    """Every code is finite."""

    LAST_CODE = "last_code"
    """All ones is NaN; there is no infinity."""

    TOP_EXPONENT = "top_exponent"
    """The highest exponent field is infinity (mantissa zero) and NaN, as in IEEE 754."""


class Subnormals(Enum):
    """What an exponent field of zero means; see the module's docstring."""

    GRADUAL = "gradual"
    LITERAL = "literal"
    FLUSHED = "flushed"
    """Subnormal codes are read as zero and never written."""


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A floating-point format of at most 19 bits: what is wider is a float32, which every machine here has.

    Args:
        exponent_bits, mantissa_bits: stored bits; the leading one of a normal number is not stored.
        bias: the exponent field of a number between 1 and 2.
        saturate: whether what is too large becomes the largest number rather than infinity or NaN.
        source: who says so.

    Raises:
        ConfigError: the format could not hold or answer something.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: Specials
    saturate: bool
    source: str
    signed: bool = True
    subnormals: Subnormals = Subnormals.GRADUAL

    def __post_init__(self) -> None:
        faults = []
        if self.exponent_bits < 2 or self.mantissa_bits < 1 or self.bits > 19:
            faults.append(
                "expected 2 or more exponent bits, 1 or more mantissa bits and at most 19 in all, got "
                f"{self.exponent_bits} and {self.mantissa_bits}"
            )
        # What no float32 could stand for, no fast twin could read. Of 19 bits at most 17 are of the mantissa: with a
        # bias of 127 the smallest step is 2^-144, which float32 has.
        highest = (self.largest_code >> self.mantissa_bits) - self.bias
        if self.bias > 127 or highest > 127:
            faults.append(f"expected a bias that keeps every value within float32, got {self.bias}")
        if self.specials is Specials.NONE and not self.saturate:
            faults.append("without infinity or NaN, what is too large can only saturate: set saturate=True")
        if faults:
            raise ConfigError(f"number format {self.name}: " + "; ".join(faults))

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def sign_code(self) -> int:
        """The code of the sign alone, which is also the number of codes without sign."""
        return 1 << (self.exponent_bits + self.mantissa_bits)

    @property
    def step_exponent(self) -> int:
        """log2 of the smallest step, of which every value is a whole multiple."""
        lowest = -self.bias if self.subnormals is Subnormals.LITERAL else 1 - self.bias
        return lowest - self.mantissa_bits

    @property
    def infinity_code(self) -> int | None:
        """The code of +infinity."""
        return self.sign_code - (1 << self.mantissa_bits) if self.specials is Specials.TOP_EXPONENT else None

    @property
    def nan_code(self) -> int | None:
        """The code that is written for NaN: the quiet one where there are several."""
        if self.specials is Specials.NONE:
            return None
        if self.specials is Specials.LAST_CODE:
            return self.sign_code - 1
        return self.sign_code - (1 << self.mantissa_bits) + (1 << (self.mantissa_bits - 1))

    @property
    def beyond_code(self) -> int:
        """The code that is written for what is too large."""
        if self.saturate:
            return self.largest_code
        return self.sign_code - 1 if self.infinity_code is None else self.infinity_code

    @property
    def largest_code(self) -> int:
        """The code of the largest finite number."""
        reserved = {Specials.NONE: 0, Specials.LAST_CODE: 1, Specials.TOP_EXPONENT: 1 << self.mantissa_bits}
        return self.sign_code - 1 - reserved[self.specials]

    @property
    def smallest_normal_code(self) -> int:
        """The code of the smallest normal number; nonzero codes below it are subnormal."""
        return 1 << self.mantissa_bits

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return math.ldexp(ladder(self)[self.largest_code], self.step_exponent)

    @property
    def smallest_normal(self) -> float:
        """The smallest positive normal number."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest(self) -> float:
        """The smallest positive number."""
        return self.smallest_normal if self.subnormals is Subnormals.FLUSHED else 2.0**self.step_exponent


@lru_cache(maxsize=16)
def ladder(fmt: FloatFormat) -> tuple[int, ...]:
    """The values of all codes without sign, in smallest steps, and last the value that would follow the largest."""
    implied = 1 << fmt.mantissa_bits
    steps = list(range(implied))
    for field in range(1, (fmt.largest_code + 1) // implied + 1):
        shift = field if fmt.subnormals is Subnormals.LITERAL else field - 1
        steps += [(implied + mantissa) << shift for mantissa in range(implied)]
    return tuple(steps[: fmt.largest_code + 2])
