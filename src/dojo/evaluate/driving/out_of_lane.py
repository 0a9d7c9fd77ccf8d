"""Time out of lane: the share of time in which a part of the body is over a line of the lane.

In: a rollout. Out: `out_of_lane`.
Idea: whoever is asked to change lanes must cross a line, so those rollouts are not judged.
"""

from __future__ import annotations

from dojo.evaluate.driving.metric import DrivingMetric, Told, duration_s, step_s
from dojo.records import Rollout


def _out(rollout: Rollout) -> Told:
    if rollout.scenario.goal.lanes_left != 0:
        return Told(0.0, 0.0)
    room_m = (rollout.lane_width_m - rollout.scenario.plant.width_m) / 2
    over = (abs(rollout.offset_m) > room_m) | (rollout.lanes_left != 0)
    return Told(float(over[1:].sum()) * step_s(rollout), duration_s(rollout))


OUT_OF_LANE = DrivingMetric("out_of_lane", "Time out of lane", "", "lower", "mean", _out)
