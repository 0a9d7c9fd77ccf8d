"""Completion: the share of cases that end where they should, without anybody taking over and without contact.

In: a rollout. Out: `completed`.
Idea: what completes a case is its `Goal`, so that this one metric serves every suite.
"""

from __future__ import annotations

import math

import numpy as np

from dojo.evaluate.driving.metric import DrivingMetric, Told, duration_s, lateral_acceleration_mps2, step_s
from dojo.evaluate.driving.progress import reference_m
from dojo.records import Rollout

STANDING_MPS, DRIVING_MPS = 0.3, 1.0
"""Assumed: slower than the one is standing, faster than the other is being on the way again."""


def completed(rollout: Rollout) -> bool:
    """Whether the rollout did what its scenario asks."""
    return not missed(rollout)


def missed(rollout: Rollout) -> tuple[str, ...]:
    """What keeps a rollout from being completed, in words; empty where nothing does."""
    if rollout.ended not in ("time_over", "road_over"):
        return (rollout.ended.replace("_", " "),)
    goal = rollout.scenario.goal
    last = max(1, round(min(goal.settle_s, duration_s(rollout)) / step_s(rollout)))
    off_m = float(np.abs(rollout.across_m - goal.lanes_left * rollout.lane_width_m)[-last:].mean())
    found = []
    if math.isfinite(goal.within_m) and off_m > goal.within_m:
        found.append(f"{off_m:.2f} m from the lane's centre")
    if rollout.lanes_left[-1] != goal.lanes_left:
        found.append("in another lane")
    if goal.stands and not _stood_and_went_on(rollout):
        found.append("did not stop and drive on")
    felt_mps2 = float(np.abs(lateral_acceleration_mps2(rollout)).max())
    if felt_mps2 > goal.max_lateral_mps2:
        found.append(f"{felt_mps2:.1f} m/s2 sideways")
    wanted_m = goal.min_pace * reference_m(rollout)
    if rollout.progress_m[-1] - rollout.progress_m[0] < wanted_m:
        found.append("too slow")
    return tuple(found)


def _stood_and_went_on(rollout: Rollout) -> bool:
    standing = rollout.speed_mps < STANDING_MPS
    return bool(standing.any() and (rollout.speed_mps[int(np.argmax(standing)) :] > DRIVING_MPS).any())


COMPLETION = DrivingMetric(
    "completed", "Cases completed", "", "higher", "count", lambda rollout: Told(float(completed(rollout)), 1.0)
)
