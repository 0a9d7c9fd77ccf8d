"""Error by time, split into beside and along: |Δy| and |Δx| in the ego frame of the anchor.

In: samples, plans. Out: `lateral_error_{1,2,3,5}s_m`, `longitudinal_error_{1,2,3,5}s_m`.
Idea: steering and speed are different failures. A metre beside the path after 3 s is another lane; a metre along it
is nothing. In a tight bend the two mix, because the axes are those of the anchor: that keeps the figure simple, and
the same for every predictor.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dojo.evaluate.metrics.displacement import UP_TO_S
from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.metrics.times import at_times, valid_at
from dojo.evaluate.samples import Samples
from dojo.records import Plans

_AXES = {"lateral": 1, "longitudinal": 0}


def _error(samples: Samples, plans: Plans, *, time_s: float, axis: int) -> Measured:
    when = np.array([time_s])
    off = at_times(plans.best()[..., axis : axis + 1] - samples.position_m[..., axis : axis + 1], when)[:, 0, 0]
    judged = valid_at(samples.valid, when)[:, 0]
    return Measured(np.where(judged, np.abs(off), 0.0), judged.astype(np.float64))


def lateral_error(samples: Samples, plans: Plans, time_s: float) -> Measured:
    """|Δy| of each sample at any time, metres."""
    return _error(samples, plans, time_s=time_s, axis=_AXES["lateral"])


TIME_ERRORS = tuple(
    Metric(
        f"{kind}_error_{s}s_m",
        f"{kind.capitalize()} error at {s} s",
        "m",
        "lower",
        partial(_error, time_s=float(s), axis=axis),
    )
    for kind, axis in _AXES.items()
    for s in UP_TO_S
)
