"""Error by range: how far off the plan is at points 0-10, 10-20, 20-30, 30-50 and 50+ m ahead.

In: samples, plans. Out: mean Euclidean, longitudinal (x) and lateral (y) error of the points in each range.
Idea: the companions of the hit rates, over the same points, without a threshold that hides by how much.
Source: OpenDriveLab/Openpilot-Deepdive `utils.py` (`eucliden`, `eucliden_x`, `eucliden_y`); same and different as in
`hit_rate.py`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dojo.evaluate.metrics.hit_rate import RANGES_M, in_range, range_name, range_title
from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.samples import Samples
from dojo.records import Plans

_AXES = {"euclidean": (0, 1, 2), "longitudinal": (0,), "lateral": (1,)}


def _error(samples: Samples, plans: Plans, *, low_m: float, high_m: float, axes: tuple[int, ...]) -> Measured:
    asked = in_range(samples, low_m, high_m)
    off = plans.best().astype(np.float64) - samples.position_m
    distance = np.linalg.norm(off[..., list(axes)], axis=-1)
    return Measured(np.where(asked, distance, 0.0).sum(1), asked.sum(1).astype(np.float64))


RANGE_ERRORS = tuple(
    Metric(
        f"{kind}_error_{range_name(low, high)}_m",
        f"{kind.capitalize()} error, {range_title(low, high)}",
        "m",
        "lower",
        partial(_error, low_m=float(low), high_m=float(high), axes=axes),
    )
    for kind, axes in _AXES.items()
    for low, high in RANGES_M
)
