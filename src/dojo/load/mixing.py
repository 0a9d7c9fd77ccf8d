"""How well an order of samples is mixed: how near in their recording clips lie that meet in training.

In: an order of clips. Out: shares and distances, beside those of a random order.
Idea: what a batch gains from one more clip is less, the nearer that clip lies to another one of the batch. So we count
clips whose batch holds another from within some seconds of the same recording; and the same over several batches in a
row, because the optimiser remembers them. Decoding each frame once pays for its speed with these, and here is how much.
Not here: the orders (`order.py`, `stretches.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from dojo.records import Clip


@dataclass(frozen=True)
class Mixing:
    """How clips of one recording meet.

    Args:
        batches: looked at together.
        near_share: of the draws, those that meet another one from less than `near_s` away.
        mates: mean number of other draws from the same recording that a draw meets.
        distance_s: median distance in time to the nearest of them, over draws that meet one; infinity where none does.
    """

    batches: int
    near_s: float
    near_share: float
    mates: float
    distance_s: float


def mixing(
    clips: Sequence[Clip], drawn: Int64[np.ndarray, " draws"], batch_size: int, batches: int = 1, near_s: float = 10.0
) -> Mixing:
    """How the clips of an order meet within so many batches in a row.

    Args:
        drawn: indices into the clips, in the order of training; a rest that fills no group of batches is left out.
    """
    size = batch_size * batches
    groups = len(drawn) // size
    numbers = {place: number for number, place in enumerate(sorted({(c.drive_id, c.camera) for c in clips}))}
    recording = np.array([numbers[clip.drive_id, clip.camera] for clip in clips])[drawn[: groups * size]]
    times_s = np.array([clip.anchor_timestamps_ns[0] for clip in clips])[drawn[: groups * size]] / 1e9
    group = np.arange(groups * size) // size
    nearest = _nearest_s(group, recording, times_s)
    met = np.isfinite(nearest)
    together = np.unique(np.stack([group, recording]), axis=1, return_inverse=True, return_counts=True)
    mates = together[2][together[1]] - 1
    return Mixing(
        batches,
        near_s,
        float((nearest < near_s).mean()) if groups else 0.0,
        float(mates.mean()) if groups else 0.0,
        float(np.median(nearest[met])) if met.any() else float("inf"),
    )


def _nearest_s(
    group: Int64[np.ndarray, " n"], recording: Int64[np.ndarray, " n"], times_s: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Distance to the nearest other draw of the same recording in the same group, infinity where there is none."""
    order = np.lexsort((times_s, recording, group))
    same = (np.diff(group[order]) == 0) & (np.diff(recording[order]) == 0)
    gaps = np.where(same, np.diff(times_s[order]), np.inf)
    nearest = np.empty(len(group))
    nearest[order] = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))
    return nearest
