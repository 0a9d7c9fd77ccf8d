"""Intervals of a mean by resampling drives.

In: for each sample and metric a total and a weight; which drive each sample belongs to. Out: estimates.
Idea: anchors of one drive are as good as copies of each other, so an interval drawn over anchors would be absurdly
narrow. Whole drives are drawn with replacement instead (cluster bootstrap). Every metric is a ratio of sums,
sum(total) / sum(weight), so a resample needs only the sums of each drive and a matrix of how often each was drawn:
all metrics and all predictors share that matrix, which is also what makes their differences paired.
Percentiles of few drives are too narrow; they are widened to what Student's t asks for.
Source: T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015),
"expanded percentile interval".
With one drive only, blocks of time within it are drawn: that interval speaks of this drive and of no other, which
`Estimate.groups == 1` says.
Not here: the metrics (`metrics/`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import stats

from dojo.evaluate.samples import HORIZON_S
from dojo.records import Estimate

LEVEL = 0.95
# Assumed: futures of two anchors overlap for `HORIZON_S`; blocks of twice that are nearly independent.
_BLOCK_S = 2 * HORIZON_S
# Assumed: below this many blocks an interval could not be drawn at all, so shorter blocks are taken instead.
_BLOCKS_AT_LEAST = 6


@dataclass(frozen=True)
class Groups:
    """Which anchors are drawn together: `index` into drives, and into blocks of time within drives."""

    drive: Int64[np.ndarray, " n"]
    block: Int64[np.ndarray, " n"]


def groups_of(drive: Int64[np.ndarray, " n"], timestamp_ns: Int64[np.ndarray, " n"]) -> Groups:
    """Drives, and blocks of 20 s of each (shorter where a drive has too few of them)."""
    block = np.zeros(len(drive), np.int64)
    offset = 0
    drive_numbers = np.unique(drive, return_inverse=True)[1].astype(np.int64)
    for number in range(int(drive_numbers.max(initial=-1)) + 1):
        mine = drive_numbers == number
        since_s = (timestamp_ns[mine] - timestamp_ns[mine].min()) / 1e9
        length_s = min(_BLOCK_S, max(float(since_s.max()), 1e-3) / _BLOCKS_AT_LEAST)
        within = np.unique((since_s / length_s).astype(np.int64), return_inverse=True)[1]
        block[mine] = offset + within
        offset += int(within.max()) + 1
    return Groups(drive_numbers, block)


@dataclass(frozen=True)
class _Drawn:
    """Per metric: its value, its value in each resample (NaN where nothing of weight was drawn), how many groups it
    was drawn over, and how many drives those come from.
    """

    value: Float64[np.ndarray, " metrics"]
    resampled: Float64[np.ndarray, "resamples metrics"]
    groups: Int64[np.ndarray, " metrics"]
    drives: Int64[np.ndarray, " metrics"]


def _summed(
    values: Float64[np.ndarray, "n metrics"], group: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, "g metrics"]:
    sums = np.zeros((int(group.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, group, values)
    return sums


def _ratio(
    total: Float64[np.ndarray, "rows metrics"], weight: Float64[np.ndarray, "rows metrics"]
) -> Float64[np.ndarray, "rows metrics"]:
    return np.divide(total, weight, out=np.full_like(weight, np.nan), where=weight > 0)


def _draw(
    total: Float64[np.ndarray, "n metrics"],
    weight: Float64[np.ndarray, "n metrics"],
    groups: Groups,
    resamples: int,
    seed: int,
) -> _Drawn:
    """Every metric in every resample: of drives, or of blocks for a metric that only one drive has samples of."""
    drives = (_summed(weight, groups.drive) > 0).sum(0)
    resampled = np.full((resamples, total.shape[1]), np.nan)
    counted = drives.copy()
    for group, columns in ((groups.drive, drives >= 2), (groups.block, drives == 1)):
        if columns.any():
            totals, weights = _summed(total[:, columns], group), _summed(weight[:, columns], group)
            # The draws depend on the seed and the number of groups alone: the same for every predictor.
            chance = np.full(len(totals), 1 / len(totals))
            draws = np.random.default_rng(seed).multinomial(len(totals), chance, resamples).astype(np.float64)
            resampled[:, columns] = _ratio(draws @ totals, draws @ weights)
            counted[columns] = (weights > 0).sum(0)
    return _Drawn(_ratio(total.sum(0)[None], weight.sum(0)[None])[0], resampled, counted, drives)


def _interval(resampled: Float64[np.ndarray, " resamples"], value: float, groups: int) -> tuple[float, float]:
    """Percentiles of the resamples, widened for few groups; the value itself where there is but one group."""
    finite = resampled[np.isfinite(resampled)]
    if groups < 2 or len(finite) == 0:
        return value, value
    widened = np.sqrt(groups / (groups - 1)) * stats.t.ppf((1 - LEVEL) / 2, groups - 1)
    tail = float(stats.norm.cdf(widened))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return min(float(low), value), max(float(high), value)


def _unseen(value: float, low: float, high: float, groups: int) -> tuple[float, float]:
    """The interval of a share that was 0 or 1 in every group, where resampling can see no spread at all.

    If the other outcome had probability p in a group, no group would show it with probability (1 - p)^groups; the
    p at which that falls to 2.5 % is the end of the exact binomial interval (Clopper and Pearson 1934).
    """
    reach = 1 - ((1 - LEVEL) / 2) ** (1 / groups)
    if value <= 0:
        return low, max(high, reach)
    if value >= 1:
        return min(low, 1 - reach), high
    return low, high


def estimates(
    total: Float64[np.ndarray, "n metrics"],
    weight: Float64[np.ndarray, "n metrics"],
    groups: Groups,
    share: Bool[np.ndarray, " metrics"],
    resamples: int,
    seed: int,
) -> list[Estimate | None]:
    """One estimate per metric of sum(total) / sum(weight); None where no sample carries weight.

    Args:
        share: which metrics are proportions between 0 and 1.
    """
    drawn = _draw(total, weight, groups, resamples, seed)
    samples = (weight > 0).sum(0)
    result: list[Estimate | None] = []
    for metric in range(total.shape[1]):
        if samples[metric] == 0:
            result.append(None)
            continue
        value, count = float(drawn.value[metric]), int(drawn.groups[metric])
        low, high = _interval(drawn.resampled[:, metric], value, count)
        if share[metric]:
            low, high = _unseen(value, low, high, count)
        result.append(Estimate(value, low, high, int(samples[metric]), int(drawn.drives[metric])))
    return result


def differences(
    total: Float64[np.ndarray, "n metrics"],
    weight: Float64[np.ndarray, "n metrics"],
    other_total: Float64[np.ndarray, "n metrics"],
    other_weight: Float64[np.ndarray, "n metrics"],
    groups: Groups,
    resamples: int,
    seed: int,
) -> list[Estimate | None]:
    """Estimates of (metric of the one) - (metric of the other), both taken from the same resamples of drives.

    Only samples that carry weight for both count, so that both are judged on the same ground.
    """
    both = (weight > 0) & (other_weight > 0)
    one = _draw(np.where(both, total, 0.0), np.where(both, weight, 0.0), groups, resamples, seed)
    other = _draw(np.where(both, other_total, 0.0), np.where(both, other_weight, 0.0), groups, resamples, seed)
    samples = both.sum(0)
    result: list[Estimate | None] = []
    for metric in range(total.shape[1]):
        if samples[metric] == 0:
            result.append(None)
            continue
        value = float(one.value[metric] - other.value[metric])
        drawn = one.resampled[:, metric] - other.resampled[:, metric]
        low, high = _interval(drawn, value, int(one.groups[metric]))
        result.append(Estimate(value, low, high, int(samples[metric]), int(one.drives[metric])))
    return result
