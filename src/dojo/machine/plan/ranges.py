"""Figures that are known within bounds, and answers that say so.

In: low, likely and high values with their source. Out: draws from them, and the spread of whatever is computed from
the draws.
Idea: a triangle is the least that three numbers say, and a plan made of sums and products of them has no closed form;
so everything is computed for many draws at once, as arrays, and answers are quantiles. The draws are the same every
time.
Not here: what the figures are (`assumptions.py`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade

Draws = Float64[np.ndarray, " draws"]


@dataclass(frozen=True)
class Range:
    """A figure known within bounds; its grade is that of the likely value, the bounds are judgement unless cited.

    Raises:
        ConfigError: the three are not in order, or not numbers.
    """

    low: float
    likely: float
    high: float
    source: str
    grade: Grade

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.likely <= self.high):
            raise ConfigError(
                f"range: expected low <= likely <= high, all finite, got {self.low}, {self.likely}, {self.high}"
            )

    def draw(self, count: int, random: np.random.Generator) -> Draws:
        """Draws from the triangle over the three."""
        if self.low == self.high:
            return np.full(count, self.likely)
        return random.triangular(self.low, self.likely, self.high, count)


@dataclass(frozen=True)
class Spread:
    """An answer: the median of the draws, and what one in ten lies below and above."""

    low: float
    likely: float
    high: float

    @staticmethod
    def of(draws: Float64[np.ndarray, " draws"]) -> Spread:
        """The spread of some draws."""
        low, likely, high = np.quantile(draws, (0.1, 0.5, 0.9))
        return Spread(float(low), float(likely), float(high))

    def scaled(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.low * factor, self.likely * factor, self.high * factor)


def ranges_of(holder: object) -> dict[str, Range]:
    """The ranges among the fields of a dataclass, by name."""
    found = {field.name: getattr(holder, field.name) for field in dataclasses.fields(holder)}  # type: ignore[arg-type]
    return {name: value for name, value in found.items() if isinstance(value, Range)}


def drawn(ranges: Mapping[str, Range], count: int, seed: int) -> dict[str, Draws]:
    """Draws of every range, each from a stream of its own, so that a range more does not change the others."""
    streams = {name: np.random.default_rng([seed, *name.encode()]) for name in ranges}
    return {name: ranges[name].draw(count, streams[name]) for name in ranges}


def one_at_a_time(ranges: Mapping[str, Range]) -> dict[str, Draws]:
    """Everything likely; then, for each range in turn, that one low and that one high: `1 + 2 x ranges` draws."""
    columns = {name: np.full(1 + 2 * len(ranges), bounds.likely) for name, bounds in ranges.items()}
    for place, (name, bounds) in enumerate(ranges.items()):
        columns[name][1 + 2 * place : 3 + 2 * place] = bounds.low, bounds.high
    return columns
