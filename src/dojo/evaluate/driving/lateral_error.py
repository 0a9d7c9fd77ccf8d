"""Lateral error: how far the rear axle is from the centre of the lane that it is in, on average and at worst.

In: a rollout. Out: `lateral_error_m`, `lateral_error_worst_m`.
Idea: averaged over time, so that a long drive weighs more than a short one; the worst moment is averaged over cases. Of
a change of lanes only what comes after it is judged.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.driving.metric import DrivingMetric, Told, step_s
from dojo.records import Rollout


def judged_m(rollout: Rollout) -> Float64[np.ndarray, " judged"]:
    """Offsets where the ego is in the lane that it should end in."""
    return np.abs(rollout.offset_m[rollout.lanes_left == rollout.scenario.goal.lanes_left])


def _mean(rollout: Rollout) -> Told:
    offsets = judged_m(rollout)
    return Told(float(offsets.sum()) * step_s(rollout), len(offsets) * step_s(rollout))


def _worst(rollout: Rollout) -> Told:
    offsets = judged_m(rollout)
    return Told(float(offsets.max()), 1.0) if len(offsets) else Told(0.0, 0.0)


LATERAL_ERROR = (
    DrivingMetric("lateral_error_m", "Distance from the lane's centre", "m", "lower", "mean", _mean),
    DrivingMetric("lateral_error_worst_m", "Largest distance from the lane's centre", "m", "lower", "mean", _worst),
)
