"""What a metric is: a name, a unit, which way is better, and per sample a total and a weight.

In: samples and plans for them. Out: for each sample, what it adds to the numerator and to the denominator.
Idea: every metric is sum(total) / sum(weight) over samples; then one piece of code draws intervals, splits by tag
and compares predictors, and a new metric is one small file that ends in a tuple of `Metric`s. A sample that the
metric cannot judge weighs zero: missing is neither a miss nor a hit.
Not here: intervals (`evaluate/bootstrap.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.samples import Samples
from dojo.records import Plans

Better = Literal["lower", "higher", "nominal"]
"""`nominal`: good when near a stated value (calibration), or saying nothing about quality by itself (jerk)."""


@dataclass(frozen=True)
class Measured:
    """What each sample contributes; both finite, and zero where the metric cannot judge the sample."""

    total: Float64[np.ndarray, " n"]
    weight: Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class Metric:
    """One figure of merit.

    Args:
        name: key in `report.json`, ending in the unit where there is one, for example `lateral_error_3s_m`.
        title: the same for people, without the unit.
        unit: `m`, `m/s³`; empty for shares.
        measure: the metric itself.
        share: a proportion between 0 and 1.
        needs_scale: judges the predicted spread, so only predictors that state one are judged.
        nominal: the value that a calibrated model has, where there is one.
    """

    name: str
    title: str
    unit: str
    better: Better
    measure: Callable[[Samples, Plans], Measured]
    share: bool = False
    needs_scale: bool = False
    nominal: float | None = None
