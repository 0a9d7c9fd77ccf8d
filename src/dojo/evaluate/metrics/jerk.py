"""Jerk: how abruptly the planned motion changes its acceleration.

In: samples, plans. Out: `jerk_mps3`, the mean size of the third derivative of the planned position in the ground
plane, over about the first 5 s.
Idea: a plan can be near the driven path and yet be one that nobody would sit through. The third divided difference of
four points, times 3! = 6, is a weighted mean of the third derivative between them, exact for a cubic. Points about
0.6 s apart are used: closer ones would measure rounding. Lower is not better by itself (a straight line has none), so
the figure of the driven paths stands beside it.
Not comparable with the jerk of OP-Deepdive's table: the code behind that column is not in their repository.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.samples import Samples
from dojo.records import TRAJECTORY_TIMES_S, Plans

# Of the 33 times: 0, .63, 1.18, 1.91, 2.50, 3.16, 3.91, 4.73 s. Assumed: see the docstring.
_POINTS = np.array([0, 8, 11, 14, 16, 18, 20, 22])


def _third_derivative(path: Float64[np.ndarray, "n points 2"]) -> Float64[np.ndarray, "n windows 2"]:
    """Newton's divided differences, three times, times six."""
    times, values = TRAJECTORY_TIMES_S[_POINTS], path
    for order in (1, 2, 3):
        values = np.diff(values, axis=1) / (times[order:] - times[:-order])[None, :, None]
    return 6 * values


def _jerk(samples: Samples, plans: Plans) -> Measured:
    # Judged where the driven path is known, so that the driven path's own jerk stands on the same samples.
    judged = np.asarray(samples.valid[:, _POINTS].all(1))
    jerk = np.linalg.norm(_third_derivative(plans.best()[:, _POINTS, :2].astype(np.float64)), axis=-1).mean(1)
    return Measured(np.where(judged, jerk, 0.0), judged.astype(np.float64))


JERK = Metric("jerk_mps3", "Jerk of the plan", "m/s³", "nominal", _jerk)
