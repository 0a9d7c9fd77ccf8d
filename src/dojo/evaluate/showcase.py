"""Which clips a person should look at: failures first, then typical ones, then the best.

In: samples and plans. Out: clips with what they are examples of.
Idea: a page that shows the best clips first advertises; one that shows the worst first informs. Clips are ranked by
their mean lateral error at 3 s, or, of recordings too short for that, at the last time that is known; of each kind as
many drives as possible are shown, so that one bad drive does not fill the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from dojo.evaluate.metrics.time_error import lateral_error
from dojo.evaluate.samples import Samples
from dojo.records import TRAJECTORY_TIMES_S, Plans

Kind = Literal["failure", "typical", "best"]
KINDS: tuple[Kind, ...] = ("failure", "typical", "best")


@dataclass(frozen=True)
class Exhibit:
    """A clip to show: `clip` is its index in `samples.clip_ids`, `score_m` its mean lateral error at `time_s`."""

    clip: int
    clip_id: str
    kind: Kind
    score_m: float
    time_s: float


RANKED_AT_S = 3.0


def ranking_time_s(samples: Samples) -> float:
    """3 s, or the last time before that which is known of any anchor; 0 where none is."""
    known = TRAJECTORY_TIMES_S[samples.valid.any(0)]
    return min(RANKED_AT_S, float(known.max(initial=0.0)))


def clip_scores(samples: Samples, plans: Plans, time_s: float = RANKED_AT_S) -> Float64[np.ndarray, " clips"]:
    """Mean lateral error at a time of each clip; NaN where no anchor of it can be judged."""
    measured = lateral_error(samples, plans, time_s)
    total = np.bincount(samples.clip, measured.total, len(samples.clip_ids))
    weight = np.bincount(samples.clip, measured.weight, len(samples.clip_ids))
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def showcase(samples: Samples, plans: Plans, of_each: int = 2) -> list[Exhibit]:
    """Up to `of_each` failures, typical clips (nearest to the median) and best clips, no clip twice."""
    time_s = ranking_time_s(samples)
    scores = clip_scores(samples, plans, time_s)
    judged = np.flatnonzero(np.isfinite(scores))
    if len(judged) == 0 or time_s == 0.0:
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
    return [
        Exhibit(clip, samples.clip_ids[clip], kind, float(scores[clip]), time_s)
        for kind in KINDS
        for clip in chosen[kind]
    ]


def _spread(ranked: list[int], drive_of: np.ndarray, count: int) -> list[int]:
    """The first `count` of a ranking, taking each drive once before any drive twice."""
    seen: set[int] = set()
    first: list[int] = []
    again: list[int] = []
    for clip in ranked:
        (again if int(drive_of[clip]) in seen else first).append(clip)
        seen.add(int(drive_of[clip]))
    return (first + again)[:count]
