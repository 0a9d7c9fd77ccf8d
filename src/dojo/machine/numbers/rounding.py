"""How a number between two neighbours is decided, and what is told about it.

In: a seed, an index. Out: the dither that stochastic rounding compares with, and the names of the flags.
Idea: randomness is a pure function of seed and index (the index-th output of SplitMix64), so it needs no state, is the
same on every device, however a tensor is cut into blocks, and can be computed for any element alone. The dither has
23 bits and sits in the middle of its interval, (2k + 1) / 2^24: it is exact in float32, it makes the chance of rounding
up exact for every float32 that becomes a normal number, and elsewhere it is off by at most 2^-24 of a step.
Not here: the rounding itself (`scalar.py`, `array.py`, `tensor.py`).
Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from dojo.errors import ConfigError

DITHER_BITS = 23
GAMMA = 0x9E3779B97F4A7C15
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST_SHIFT = 31
_MASK = (1 << 64) - 1


class Flag(IntFlag):
    """What a conversion lost; a bit each, so that flags combine."""

    INEXACT = 1
    """The value written is not the value given."""
    UNDERFLOW = 2
    """Inexact, and smaller than the smallest normal number before rounding."""
    OVERFLOW = 4
    """Beyond the format's range: clamped, or made infinite or NaN."""
    INVALID = 8
    """NaN, into a format that has none."""
    DENORMAL = 16
    """A subnormal code was read: what Tesla's paper lists as an exception of its own (page 9)."""


@dataclass(frozen=True, slots=True)
class NearestEven:
    """To the nearest neighbour; from the middle, to the even code."""


@dataclass(frozen=True, slots=True)
class Stochastic:
    """Up with the probability that makes the mean right, by seed and index.

    Args:
        seed: 0 to 2^64 - 1.
        first_index: the index of the first element, for whoever converts a tensor in pieces.

    Raises:
        ConfigError: the seed or the index is out of range.
    """

    seed: int
    first_index: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.seed <= _MASK and 0 <= self.first_index < 1 << 62):
            raise ConfigError(
                "stochastic rounding: expected a seed of 0 to 2^64 - 1 and an index of 0 to 2^62, "
                f"got {self.seed} and {self.first_index}"
            )


Rounding = NearestEven | Stochastic

NEAREST_EVEN = NearestEven()


def random_word(seed: int, index: int) -> int:
    """The index-th output of SplitMix64 started at `seed`: 64 bits."""
    word = (seed + (index + 1) * GAMMA) & _MASK
    for shift, factor in MIX:
        word = ((word ^ (word >> shift)) * factor) & _MASK
    return word ^ (word >> LAST_SHIFT)


def dither_numerator(seed: int, index: int) -> int:
    """The dither of one element, in units of 2^-24: odd, 1 to 2^24 - 1."""
    return 2 * (random_word(seed, index) >> (64 - DITHER_BITS)) + 1
