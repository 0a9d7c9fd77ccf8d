"""Calibration: does the spread that the model states match the errors that it makes?

In: samples, plans with a scale. Out: for x and y, the share of driven points inside the central 50, 80 and 95 %
intervals of the predicted Laplace distribution; and how the points spread over its ten tenths.
Idea: a Laplace variable with scale b lies within q of its centre with probability 1 - exp(-q / b), so the central
interval of probability p reaches to -b ln(1 - p). Shares below nominal mean that the model is surer than it may be.
The tenths (a histogram of the probability integral transform) show how it is wrong: a heap in the outer tenths is
overconfidence, a heap in the middle is timidity, a slope is a bias.
The point at t = 0 is left out: it is always right. The scale judged is that of the most probable hypothesis.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.samples import Samples
from dojo.records import Plans

LEVELS = (0.5, 0.8, 0.95)
TENTHS = 10
_AXES = {"longitudinal": 0, "lateral": 1}


def _scaled_error(samples: Samples, plans: Plans, axis: int) -> Float64[np.ndarray, "n 32"]:
    """(driven - planned) / b, of all points but the one at t = 0."""
    off = samples.position_m[:, 1:, axis].astype(np.float64) - plans.best()[:, 1:, axis]
    return off / plans.best_scale()[:, 1:, axis]


def _covered(samples: Samples, plans: Plans, *, axis: int, level: float) -> Measured:
    asked = samples.valid[:, 1:]
    inside = asked & (np.abs(_scaled_error(samples, plans, axis)) <= -np.log(1 - level))
    return Measured(inside.sum(1).astype(np.float64), asked.sum(1).astype(np.float64))


def _in_tenth(samples: Samples, plans: Plans, *, axis: int, tenth: int) -> Measured:
    asked = samples.valid[:, 1:]
    scaled = _scaled_error(samples, plans, axis)
    # Distribution function of the Laplace distribution.
    quantile = np.where(scaled < 0, np.exp(-np.abs(scaled)) / 2, 1 - np.exp(-np.abs(scaled)) / 2)
    inside = asked & (np.minimum((quantile * TENTHS).astype(np.int64), TENTHS - 1) == tenth)
    return Measured(inside.sum(1).astype(np.float64), asked.sum(1).astype(np.float64))


COVERAGE = tuple(
    Metric(
        f"coverage_{kind}_{100 * level:.0f}",
        f"Inside the central {100 * level:.0f} %, {kind}",
        "",
        "nominal",
        partial(_covered, axis=axis, level=level),
        share=True,
        needs_scale=True,
        nominal=level,
    )
    for kind, axis in _AXES.items()
    for level in LEVELS
)
TENTH_SHARES = tuple(
    Metric(
        f"tenth_{kind}_{tenth + 1}",
        f"In tenth {tenth + 1} of the predicted distribution, {kind}",
        "",
        "nominal",
        partial(_in_tenth, axis=axis, tenth=tenth),
        share=True,
        needs_scale=True,
        nominal=1 / TENTHS,
    )
    for kind, axis in _AXES.items()
    for tenth in range(TENTHS)
)
