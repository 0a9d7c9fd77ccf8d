"""A figure with its interval and sample size: the only way in which Dojo states how good a model is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dojo.errors import RecordError


@dataclass(frozen=True)
class Estimate:
    """A measured figure.

    Args:
        value: the figure itself, unit in the name under which it is filed.
        low, high: ends of its 95 % confidence interval.
        samples: how many samples (anchors, cases, kilometres) it comes from.
        groups: how many independent groups (drives) the interval was drawn over.
    """

    value: float
    low: float
    high: float
    samples: int
    groups: int

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, self.low, self.high))):
            raise RecordError(f"estimate: expected finite figures, got {self.value} [{self.low}, {self.high}]")
        if not self.low <= self.value <= self.high:
            raise RecordError(f"estimate: {self.value} lies outside its own interval [{self.low}, {self.high}]")
