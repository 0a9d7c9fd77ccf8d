"""How often each training clip is drawn.

In: clips with their split. Out: the same clips with weights of mean one over the training clips.
Idea: nine tenths of driving is straight and steady, and a model fed by the clock learns to go straight. Curvature and
speed are laid on a coarse grid and each cell is drawn as 1 / frequency ** tempering of its natural share (driving.md
2.6: 1 / sqrt), rare manoeuvres count more, standing still is capped. A limit on the ratio of weights keeps single
odd clips from being drawn over and over; the effective sample size says what the balance costs.
Validation clips keep weight one, so that figures mean the natural mix; excluded clips have zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.curate.config import CurateConfig
from dojo.records import Clip

CURVATURE_EDGES_PER_M = np.array([1 / 2000, 1 / 500, 1 / 150, 1 / 50])
"""Assumed: straight, motorway bend, country road, bend to slow down for, turn at a crossing; left and right apart."""
SPEED_EDGES_MPS = np.array([2.0, 8.0, 14.0, 22.0, 30.0])
"""Assumed: crawling, 30, 50, 80, 110 km/h roads and faster."""
BOOSTED = frozenset({"lane_change", "hard_brake", "takeover"})


def balance(clips: Sequence[Clip], config: CurateConfig) -> list[Clip]:
    """The clips with their weights, in the order given."""
    weight = np.array([0.0 if clip.split == "excluded" else 1.0 for clip in clips])
    training = [index for index, clip in enumerate(clips) if clip.split == "train"]
    if training:
        weight[training] = _training_weights([clips[index] for index in training], config)
    return [replace(clip, weight=float(value)) for clip, value in zip(clips, weight, strict=True)]


def effective_sample_size(clips: Sequence[Clip]) -> float:
    """Kish's effective number of training clips, `sum(w)**2 / sum(w**2)`; all of them where the weights are equal."""
    weight = np.array([clip.weight for clip in clips if clip.split == "train"])
    return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0


def _training_weights(clips: Sequence[Clip], config: CurateConfig) -> Float64[np.ndarray, " n"]:
    cells = _cells(clips)
    _, cell_of, counts = np.unique(cells, return_inverse=True, return_counts=True)
    weight = (counts[cell_of] / len(clips)) ** -config.tempering
    boosted = np.array([bool(BOOSTED & set(clip.tags)) for clip in clips])
    weight = np.where(boosted, config.manoeuvre_boost, 1.0) * weight
    weight = np.minimum(weight, config.max_weight_ratio * np.median(weight))
    standing = np.array(["standstill" in clip.tags for clip in clips])
    weight = _capped(weight, standing, config.standstill_share)
    return weight / weight.mean() if weight.any() else np.ones(len(clips))


def _capped(
    weight: Float64[np.ndarray, " n"], standing: Bool[np.ndarray, " n"], share: float
) -> Float64[np.ndarray, " n"]:
    """Weights of which standing clips make up at most `share`; unchanged where nothing else is there to draw."""
    mass, rest = weight[standing].sum(), weight[~standing].sum()
    if rest == 0 or mass <= share * (mass + rest):
        return weight
    return np.where(standing, weight * (share / (1 - share) * rest / mass), weight)


def _cells(clips: Sequence[Clip]) -> Int64[np.ndarray, " n"]:
    """The cell of each clip on the grid of signed curvature and speed, from the driven path itself.

    Curvature is the mean over the known path of the middle anchor: heading change per metre. Standing still has a
    cell of its own.
    """
    result = np.zeros(len(clips), np.int64)
    for index, clip in enumerate(clips):
        middle = len(clip.anchor_timestamps_ns) // 2
        path, known = clip.position_m[middle], clip.valid[middle]
        length = float(np.linalg.norm(np.diff(path[known], axis=0), axis=1).sum())
        if length < 1.0:
            continue
        curvature = float(clip.yaw_rad[middle][known][-1]) / length
        bend = int(np.searchsorted(CURVATURE_EDGES_PER_M, abs(curvature)))
        speed = int(np.searchsorted(SPEED_EDGES_MPS, float(clip.speed_mps[middle][known].mean())))
        side = 0 if bend == 0 else int(np.sign(curvature))
        result[index] = 1 + speed + (len(SPEED_EDGES_MPS) + 1) * (bend + (len(CURVATURE_EDGES_PER_M) + 1) * (side + 1))
    return result
