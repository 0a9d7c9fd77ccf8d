"""ADE and FDE: how far the plan is from where the vehicle was, on average up to a time, and at that time.

In: samples, plans. Out: `ade_{1,2,3,5}s_m`, `fde_{1,2,3,5}s_m`.
Idea: distances in the ground plane (x, y) at the same moment, as motion forecasting has it. The average runs over
even steps of 0.1 s, not over the 33 quadratic times, of which half lie in the first 2.5 s. A sample counts only where
its driven path is valid all the way.
Source: Argoverse motion forecasting (Chang et al., CVPR 2019), section 5: ADE, FDE; 10 Hz.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.metrics.times import at_times, valid_at
from dojo.evaluate.samples import Samples
from dojo.records import Plans

UP_TO_S = (1, 2, 3, 5)
_STEPS_PER_S = 10


def _displacement(samples: Samples, plans: Plans, *, times_s: Float64[np.ndarray, " times"]) -> Measured:
    off = at_times(plans.best()[..., :2] - samples.position_m[..., :2], times_s)
    judged = np.asarray(valid_at(samples.valid, times_s).all(1))
    distance = np.linalg.norm(off, axis=-1).mean(1)
    return Measured(np.where(judged, distance, 0.0), judged.astype(np.float64))


def _times_up_to(second: int) -> Float64[np.ndarray, " times"]:
    return np.arange(1, second * _STEPS_PER_S + 1) / _STEPS_PER_S


AVERAGE_DISPLACEMENT = tuple(
    Metric(f"ade_{s}s_m", f"ADE up to {s} s", "m", "lower", partial(_displacement, times_s=_times_up_to(s)))
    for s in UP_TO_S
)
FINAL_DISPLACEMENT = tuple(
    Metric(f"fde_{s}s_m", f"FDE at {s} s", "m", "lower", partial(_displacement, times_s=np.array([float(s)])))
    for s in UP_TO_S
)
