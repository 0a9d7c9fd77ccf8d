"""Progress: the distance driven over what a human would have driven in the same time.

In: a rollout. Out: `pace`.
Idea: who stands still never leaves the lane; this figure says so. Traffic may rightly hold the ego up, so 1 is not the
goal where there is any.
"""

from __future__ import annotations

from dojo.evaluate.driving.metric import DrivingMetric, Told, kilometres, step_s
from dojo.records import Rollout


def reference_m(rollout: Rollout) -> float:
    """What a human would have driven in the same time, at the speed of each place the ego was at."""
    return float(rollout.reference_mps[:-1].sum()) * step_s(rollout)


def _pace(rollout: Rollout) -> Told:
    return Told(kilometres(rollout) * 1000, reference_m(rollout))


PROGRESS = DrivingMetric("pace", "Distance over a human's", "", "higher", "mean", _pace)
