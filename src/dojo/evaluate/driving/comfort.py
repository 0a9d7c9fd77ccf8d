"""Comfort: sideways acceleration and jerk.

In: a rollout. Out: `lateral_acceleration_95_mps2`, `lateral_jerk_mps3`.
Idea: the acceleration is what its 95th percentile is, averaged over cases: bends make the mean a property of the road.
Jerk is the mean size of the change of the acceleration, which a steady bend has none of.
"""

from __future__ import annotations

import numpy as np

from dojo.evaluate.driving.metric import DrivingMetric, Told, lateral_acceleration_mps2, step_s
from dojo.records import Rollout


def _acceleration(rollout: Rollout) -> Told:
    return Told(float(np.percentile(np.abs(lateral_acceleration_mps2(rollout)), 95)), 1.0)


def _jerk(rollout: Rollout) -> Told:
    changes = np.abs(np.diff(lateral_acceleration_mps2(rollout)))
    return Told(float(changes.sum()), len(changes) * step_s(rollout))


COMFORT = (
    DrivingMetric(
        "lateral_acceleration_95_mps2", "Lateral acceleration, 95th percentile", "m/s²", "lower", "mean", _acceleration
    ),
    DrivingMetric("lateral_jerk_mps3", "Lateral jerk", "m/s³", "lower", "mean", _jerk),
)
