"""Which clips a person should look at: failures first, then typical ones, then the best.

In: samples and plans. Out: clips with what they are examples of.
Idea: a page that shows the best clips first advertises; one that shows the worst first informs. Clips are ranked by
their mean lateral error at 3 s; of each kind as many drives as possible are shown, so that one bad drive does not
fill the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.metrics.time_error import TIME_ERRORS
from dojo.evaluate.samples import Samples
from dojo.records import Plans

Kind = Literal["failure", "typical", "best"]
KINDS: tuple[Kind, ...] = ("failure", "typical", "best")


@dataclass(frozen=True)
class Exhibit:
    """A clip to show: `clip` is its index in `samples.clip_ids`, `score_m` its mean lateral error at 3 s."""

    clip: int
    clip_id: str
    kind: Kind
    score_m: float


def clip_scores(samples: Samples, plans: Plans) -> Float64[np.ndarray, " clips"]:
    """Mean lateral error at 3 s of each clip; NaN where no anchor of it can be judged."""
    metric = next(metric for metric in TIME_ERRORS if metric.name == "lateral_error_3s_m")
    measured = metric.measure(samples, plans)
    total = np.bincount(samples.clip, measured.total, len(samples.clip_ids))
    weight = np.bincount(samples.clip, measured.weight, len(samples.clip_ids))
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def showcase(samples: Samples, plans: Plans, of_each: int = 2) -> list[Exhibit]:
    """Up to `of_each` failures, typical clips (nearest to the median) and best clips, no clip twice."""
    scores = clip_scores(samples, plans)
    judged = np.flatnonzero(np.isfinite(scores))
    if len(judged) == 0:
        return []
    drive_of = np.zeros(len(samples.clip_ids), np.int64)
    drive_of[samples.clip] = samples.drive
    median = float(np.median(scores[judged]))
    wanted = {"failure": -scores[judged], "best": scores[judged], "typical": np.abs(scores[judged] - median)}
    taken: set[int] = set()
    chosen: dict[Kind, list[int]] = {}
    for kind in ("failure", "best", "typical"):
        ranked = [int(clip) for clip in judged[np.argsort(wanted[kind], kind="stable")] if int(clip) not in taken]
        chosen[kind] = _spread(ranked, drive_of, of_each)
        taken |= set(chosen[kind])
    return [Exhibit(clip, samples.clip_ids[clip], kind, float(scores[clip])) for kind in KINDS for clip in chosen[kind]]


def _spread(ranked: list[int], drive_of: np.ndarray, count: int) -> list[int]:
    """The first `count` of a ranking, taking each drive once before any drive twice."""
    seen: set[int] = set()
    first: list[int] = []
    again: list[int] = []
    for clip in ranked:
        (again if int(drive_of[clip]) in seen else first).append(clip)
        seen.add(int(drive_of[clip]))
    return (first + again)[:count]
