"""What a closed-loop metric is: a name, a unit, a kind, and per rollout a total and a weight.

In: a rollout. Out: what it adds to the numerator and to the denominator.
Idea: every figure is sum(total) / sum(weight) over rollouts; the kind says which interval that deserves, and a new
metric is one small file. A rollout that the metric cannot judge weighs zero.
Not here: the sums and their intervals (`evaluate/closed_loop.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from dojo.records import Rollout

Kind = Literal["count", "rate", "mean"]
"""`count`: of so many cases, so many: Wilson. `rate`: so many events in so much exposure: exact Poisson. `mean`: all
else: bootstrap over rollouts."""

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Told:
    """What one rollout contributes."""

    total: float
    weight: float


@dataclass(frozen=True)
class DrivingMetric:
    """One figure of merit.

    Args:
        name: key in reports, ending in the unit where there is one. `title`: the same for people.
    """

    name: str
    title: str
    unit: str
    better: Better
    kind: Kind
    measure: Callable[[Rollout], Told]


def step_s(rollout: Rollout) -> float:
    """Time between two steps."""
    return float(rollout.times_s[1] - rollout.times_s[0])


def duration_s(rollout: Rollout) -> float:
    """How long it was driven."""
    return float(rollout.times_s[-1] - rollout.times_s[0])


def kilometres(rollout: Rollout) -> float:
    """How far the ego drove, along the road."""
    return max(0.0, float(rollout.progress_m[-1] - rollout.progress_m[0])) / 1000


def smoothed(values: Float64[np.ndarray, " steps"], window: int) -> Float64[np.ndarray, " kept"]:
    """Means over windows of so many steps; over all of them where there are fewer."""
    window = min(max(1, window), len(values))
    return np.convolve(values, np.full(window, 1 / window), mode="valid")


def lateral_acceleration_mps2(rollout: Rollout, over_s: float = 0.5) -> Float64[np.ndarray, " kept"]:
    """Sideways acceleration, left positive, averaged over half a second: what a passenger feels, without the grid.

    Assumed: half a second, as comfort standards average.
    """
    return smoothed(rollout.speed_mps * rollout.yaw_rate_radps, round(over_s / step_s(rollout)))
