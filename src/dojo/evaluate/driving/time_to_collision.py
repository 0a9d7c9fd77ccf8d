"""Time to collision: how close it comes with whoever is ahead.

In: a rollout. Out: `time_to_collision_s`, `critical_time`.
Idea: gap over closing speed, while closing; the shortest of each case, averaged, and the share of time below 1.5 s.
Source of the limit: van der Horst, Hogema, Time-to-collision and collision avoidance systems, ICTCT 1993.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.driving.metric import DrivingMetric, Told, duration_s, step_s
from dojo.records import Rollout

CRITICAL_S = 1.5
LONGEST_S = 10.0
"""Longer times are all alike: nobody is near."""


def times_to_collision_s(rollout: Rollout) -> Float64[np.ndarray, " steps"]:
    """At each step, at most `LONGEST_S`."""
    closing = np.maximum(rollout.closing_mps, 1e-6)
    gap = np.where(np.isfinite(rollout.gap_m), np.maximum(rollout.gap_m, 0.0), LONGEST_S * closing)
    return np.minimum(gap / closing, LONGEST_S)


def _shortest(rollout: Rollout) -> Told:
    if not np.isfinite(rollout.gap_m).any():
        return Told(0.0, 0.0)
    return Told(float(times_to_collision_s(rollout).min()), 1.0)


def _critical(rollout: Rollout) -> Told:
    critical = times_to_collision_s(rollout)[1:] < CRITICAL_S
    return Told(float(critical.sum()) * step_s(rollout), duration_s(rollout))


TIME_TO_COLLISION = (
    DrivingMetric("time_to_collision_s", "Shortest time to collision", "s", "higher", "mean", _shortest),
    DrivingMetric("critical_time", "Time with a collision less than 1.5 s away", "", "lower", "mean", _critical),
)
