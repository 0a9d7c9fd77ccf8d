"""Laws of scaling: how an error falls with the amount of data, and what more data would bring.

In: hours of data and the errors measured there, several per size. Out: `a D^-c` and `e + a D^-c` with intervals, what
they predict elsewhere, and how many hours a target error would take.
Idea: given c, both laws are linear in what is left, so for a grid of c the best a and e follow in one step, for all
resamples at once. Errors are relative (an error of a tenth counts the same at 2 m and at 0.2 m). Intervals come from
resampling how the runs of one size scatter about their mean, the only scatter that says nothing of the law; few runs
scatter too little, which both the residuals and the tails are widened for.
What they cannot cover: all runs are judged on the same clips, and a law that fits may still end beyond the last size.
Source: both laws and their fits as in Naumann et al. 2025, arXiv 2504.04338; the widened tails as in Hesterberg, What
Teachers Should Know About the Bootstrap, The American Statistician 69 (2015).
Not here: the runs (`recipes/scale.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats

from dojo.errors import EvaluationError
from dojo.records import Estimate

LEVEL = 0.95
_EXPONENTS = np.concatenate(
    [np.linspace(-1.0, 0.0, 41)[:-1], np.linspace(0.0, 1.0, 81)[:-1], np.linspace(1.0, 3.0, 41)]
)
"""Assumed: laws of driving were published with c from 0.13 to 0.42; a negative c says that more data made it worse."""
_FINER = np.linspace(-0.05, 0.05, 81)
_FLOOR_EXPONENT = 0.02
"""Assumed: below it, floor and slope cannot be told apart at any size."""


@dataclass(frozen=True)
class Law:
    """`floor + scale * hours ** -exponent`, one for each resample; the floor is zero for the plain law."""

    scale: Float64[np.ndarray, " draws"]
    exponent: Float64[np.ndarray, " draws"]
    floor: Float64[np.ndarray, " draws"]

    def at(self, hours: float) -> Float64[np.ndarray, " draws"]:
        """The error at an amount of data."""
        result: Float64[np.ndarray, " draws"] = self.floor + self.scale * hours**-self.exponent
        return result

    def hours_for(self, error: float) -> Float64[np.ndarray, " draws"]:
        """How much data an error takes; infinite where no amount would do."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            hours = ((error - self.floor) / self.scale) ** (-1 / self.exponent)
        return np.where((error > self.floor) & (self.exponent > 0) & (self.scale > 0), hours, np.inf)


@dataclass(frozen=True)
class Needed:
    """How many hours a target takes: `value` and the ends of its interval, infinite where no amount would do.

    Args:
        unreachable: share of the resamples in which no amount of data reaches the target.
    """

    target: float
    value: float
    low: float
    high: float
    unreachable: float


@dataclass(frozen=True)
class Fit:
    """A law fitted to measured errors.

    Args:
        best: the law of the measurements themselves.
        draws: those of the resamples.
        scatter: pooled relative deviations of runs from the mean of their size, widened; what one more run would show.
        freedom: how many of them are free.
    """

    best: Law
    draws: Law
    scatter: Float64[np.ndarray, " runs"]
    freedom: int
    runs: int
    sizes: int

    def estimate(self, name: str) -> Estimate:
        """`exponent`, `scale` or `floor` with its interval."""
        return self._interval(float(getattr(self.best, name)[0]), getattr(self.draws, name))

    def predicted(self, hours: float, runs: int, seed: int = 0) -> Estimate:
        """The mean error of so many new runs at a size, as the fit expects it, with the interval of such a mean."""
        rng = np.random.default_rng((seed, 1))
        noise = rng.choice(self.scatter, (len(self.draws.scale), runs)).mean(1)
        return self._interval(float(self.best.at(hours)[0]), self.draws.at(hours) * np.exp(noise))

    def needed(self, target: float) -> Needed:
        """How many hours of data bring the error down to a target."""
        draws = self.draws.hours_for(target)
        low, high = self._ends(draws)
        value = float(self.best.hours_for(target)[0])
        return Needed(target, value, min(low, value), max(high, value), float(np.isinf(draws).mean()))

    def _interval(self, value: float, draws: Float64[np.ndarray, " draws"]) -> Estimate:
        low, high = self._ends(draws)
        return Estimate(value, min(low, value), max(high, value), self.runs, self.sizes)

    def _ends(self, draws: Float64[np.ndarray, " draws"]) -> tuple[float, float]:
        tail = float(stats.norm.cdf(stats.t.ppf((1 - LEVEL) / 2, self.freedom)))
        # Of a share of infinite draws no interpolation can be made: take the draws themselves.
        low, high = np.quantile(draws, [tail, 1 - tail], method="inverted_cdf")
        return float(low), float(high)


def fit(
    hours: Float64[np.ndarray, " runs"],
    errors: Float64[np.ndarray, " runs"],
    *,
    floor: bool,
    resamples: int = 1000,
    seed: int = 0,
) -> Fit:
    """The law that fits best, and those of the resamples.

    Args:
        hours: of data of each run; runs of one size have exactly equal hours.
        errors: of each run, positive.
        floor: whether the error may stop falling.

    Raises:
        EvaluationError: too few sizes for as many unknowns, a size with a single run, or errors that are not positive.
    """
    size, counts = np.unique(hours, return_inverse=True, return_counts=True)[1:]
    unknowns = 3 if floor else 2
    if len(counts) <= unknowns or (errors <= 0).any() or (hours <= 0).any() or counts.max(initial=0) < 2:
        raise EvaluationError(
            f"scaling: expected more than {unknowns} sizes, positive hours and errors, and a size with two runs or "
            f"more, got {len(counts)} sizes and {len(hours)} runs; train at more sizes or with more seeds"
        )
    log = np.log(errors)
    means = np.bincount(size, log) / counts
    scatter, freedom = _scatter(log - means[size], counts[size])
    rng = np.random.default_rng((seed, 0))
    drawn = np.exp(means[size] + rng.choice(scatter, (resamples, len(errors))))
    # Hours are counted in their geometric mean while fitting, which keeps scale and exponent from moving together.
    unit = float(np.exp(np.log(hours).mean()))
    best = _in_hours(_fitted(hours / unit, errors[None], size, floor), unit)
    return Fit(
        best, _in_hours(_fitted(hours / unit, drawn, size, floor), unit), scatter, freedom, len(hours), len(counts)
    )


def _scatter(
    deviation: Float64[np.ndarray, " runs"], runs_of_size: Int64[np.ndarray, " runs"]
) -> tuple[Float64[np.ndarray, " some"], int]:
    """Deviations of runs that have others beside them, as wide as if the mean of their size were known."""
    some = runs_of_size > 1
    widened = deviation[some] * np.sqrt(runs_of_size[some] / (runs_of_size[some] - 1))
    return widened, max(1, round(float((1 - 1 / runs_of_size[some]).sum())))


def _in_hours(law: Law, unit: float) -> Law:
    return Law(law.scale * unit**law.exponent, law.exponent, law.floor)


def _fitted(
    hours: Float64[np.ndarray, " runs"],
    errors: Float64[np.ndarray, "draws runs"],
    size: Int64[np.ndarray, " runs"],
    floor: bool,
) -> Law:
    """The best law of each row: over a coarse grid of exponents, then a finer one about the best of them."""
    member = np.eye(int(size.max()) + 1)[size]
    mean = np.exp((np.log(errors) @ member) / member.sum(0))[:, size]
    weight = mean**-2.0
    grid = _EXPONENTS[_EXPONENTS >= _FLOOR_EXPONENT] if floor else _EXPONENTS
    rows = np.arange(len(errors))
    loss, *_ = _solved(hours, errors, weight, np.broadcast_to(grid, (len(errors), len(grid))), floor)
    near = grid[loss.argmin(1)][:, None] + _FINER
    if floor:
        near = np.maximum(near, _FLOOR_EXPONENT)
    loss, scale, bottom = _solved(hours, errors, weight, near, floor)
    best = loss.argmin(1)
    return Law(scale[rows, best], near[rows, best], bottom[rows, best])


def _solved(
    hours: Float64[np.ndarray, " runs"],
    errors: Float64[np.ndarray, "draws runs"],
    weight: Float64[np.ndarray, "draws runs"],
    exponent: Float64[np.ndarray, "draws grid"],
    floor: bool,
) -> tuple[Float64[np.ndarray, "draws grid"], Float64[np.ndarray, "draws grid"], Float64[np.ndarray, "draws grid"]]:
    """Weighted least squares for each exponent: the loss, the scale and the floor, neither of them negative."""
    falls = np.exp(-exponent[:, :, None] * np.log(hours))
    one = weight.sum(1)[:, None]
    y, yy = (weight * errors).sum(1)[:, None], (weight * errors**2).sum(1)[:, None]
    x, xx, xy = (
        np.einsum("dgr,dr->dg", falls, weight),
        np.einsum("dgr,dr->dg", falls**2, weight),
        np.einsum("dgr,dr->dg", falls, weight * errors),
    )
    scale, bottom = xy / xx, np.zeros_like(xy)
    if floor:
        determinant = np.maximum(one * xx - x * x, 1e-300)
        free = (xx * y - x * xy) / determinant
        slope = (one * xy - x * y) / determinant
        inside = (free > 0) & (slope > 0)
        scale, bottom = np.where(inside, slope, scale), np.where(inside, free, 0.0)
    loss = yy - 2 * (scale * xy + bottom * y) + scale**2 * xx + 2 * scale * bottom * x + bottom**2 * one
    return loss, scale, bottom
