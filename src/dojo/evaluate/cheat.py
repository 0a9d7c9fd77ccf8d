"""Does the policy see the road, or the traces of the warp that displaced it?

In: features of displaced pictures whose road was blanked, and the offsets; plans made where there is no road. Out: a
`CheatReport`.
Idea: displaced pictures are made from recorded ones, and whatever the making leaves behind (edges, blur, a lean of the
trees) goes with the offset; a policy that reads it there drives well in training and nowhere else (arXiv 2504.19077).
With the road filled flat *before* the picture is displaced, only those traces are left: a linear probe that still finds
the offset in what the heads see has found a way to cheat. It reads the feature through the same noise as the policy
(its information bottleneck), and beside it whatever reaches the heads without noise; it is fitted on some drives and
judged on others. The second question is the reverse: shown nothing, the policy must go straight on.
Not here: who displaces (`load/recover.py`), who runs the policy (`recipes/cheat.py`), how it is shown
(`cheat_page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8

from dojo.errors import EvaluationError
from dojo.evaluate.bootstrap import Groups, estimates
from dojo.geometry import MODEL_VIEW
from dojo.records import TRAJECTORY_TIMES_S, Batch, Estimate, Frame

EXPLAINED_LIMIT = 0.10
"""Share of the offset's variance that a probe may explain. Assumed: no limit is published; under
cross-validation chance explains nothing, while undisguised edges explain several times as much."""

STRAIGHT_LIMIT_M = 0.5
"""How far to the side a plan may lead within `STRAIGHT_S` where there is no road. Assumed: half the room that a car has
in its lane on either side."""

STRAIGHT_S = 3.0

# Limited-range luma of asphalt and of an overcast sky, as BT.601 has them. Assumed: any flat grey serves.
_ROAD_Y, _SKY_Y, _GREY_UV = 90, 160, 128

_PENALTIES = 10.0 ** np.arange(-2, 5)
_FOLDS = 5


@runtime_checkable
class Frames(Protocol):
    """Hands out stored frames of the model's view, as `load.FrameSource` does."""

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames at these indices of the stored stream, one each, in this order."""
        ...


class WithoutRoad:
    """The same frames with everything below the horizon filled flat; for frames stored in the model's view."""

    def __init__(self, source: Frames) -> None:
        self._source = source

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames, their road blanked."""
        return [without_road(frame) for frame in self._source.frames(drive_id, camera, indices)]


def without_road(frame: Frame) -> Frame:
    """The frame with everything below the horizon of the model's view filled flat.

    Raises:
        EvaluationError: it is not of the size of the model's view.
    """
    if frame.y.shape != (MODEL_VIEW.height_px, MODEL_VIEW.width_px):
        raise EvaluationError(
            f"frame at {frame.timestamp_ns} ns: expected the model's view, {MODEL_VIEW.height_px} x "
            f"{MODEL_VIEW.width_px}, got {frame.y.shape}; ingest the drive, which resamples it"
        )
    first = int(np.ceil(MODEL_VIEW.centre_px[1]))
    y, u, v = frame.y.copy(), frame.u.copy(), frame.v.copy()
    y[first:] = _ROAD_Y
    u[first // 2 :], v[first // 2 :] = _GREY_UV, _GREY_UV
    return Frame(frame.timestamp_ns, y, u, v)


def nowhere(batch: Batch) -> Batch:
    """The batch with every picture replaced by one of a flat ground under a flat sky."""
    return replace(batch, frames=np.broadcast_to(_flat_picture(), batch.frames.shape).copy())


def _flat_picture() -> UInt8[np.ndarray, "6 rows columns"]:
    packed = np.full((6, MODEL_VIEW.height_px // 2, MODEL_VIEW.width_px // 2), _GREY_UV, np.uint8)
    packed[:4] = _SKY_Y
    packed[:4, int(np.ceil(MODEL_VIEW.centre_px[1])) // 2 :] = _ROAD_Y
    return packed


@dataclass(frozen=True)
class CheatReport:
    """What a policy gives away.

    Args:
        lateral, yaw: share of the variance of the applied offset that a linear probe explains on drives that it was not
            fitted on; at most one, about zero or below where it finds nothing.
        nowhere_m: furthest to the side that a plan leads within three seconds where there is no road.
    """

    lateral: Estimate
    yaw: Estimate
    nowhere_m: float

    @property
    def passed(self) -> bool:
        """Whether the probe finds next to nothing, and nothing leads next to nowhere."""
        return max(self.lateral.value, self.yaw.value) < EXPLAINED_LIMIT and self.nowhere_m < STRAIGHT_LIMIT_M


def cheat_report(
    feature: Float[np.ndarray, "n feature"],
    offset: Float64[np.ndarray, "n 2"],
    drive: Int64[np.ndarray, " n"],
    nowhere_position_m: Float32[np.ndarray, "plans 33 3"],
    *,
    noise_std: float,
    beside: Float[np.ndarray, "n beside"] | None = None,
    seed: int = 0,
) -> CheatReport:
    """What the policy gives away.

    Args:
        feature: of pictures whose road was blanked before they were displaced.
        beside: what else the heads see of these pictures, without noise.
        offset: to the left in metres and in radians, of each.
        drive: which drive each comes from; those of one drive are fitted on together or not at all.
        nowhere_position_m: the plans that are driven where there is no road.
        noise_std: of the white noise through which the policy itself was trained to read the feature; zero where none.

    Raises:
        EvaluationError: fewer drives than there are folds, or an offset that never changes.
    """
    noise = np.random.default_rng(seed).standard_normal(feature.shape) * noise_std
    read = feature.astype(np.float64) + noise
    if beside is not None:
        read = np.concatenate([read, beside.astype(np.float64)], 1)
    lateral, yaw = (explained_variance(read, offset[:, axis], drive, seed=seed) for axis in range(2))
    return CheatReport(lateral, yaw, furthest_aside_m(nowhere_position_m))


def furthest_aside_m(position_m: Float32[np.ndarray, "plans 33 3"]) -> float:
    """How far to the side any of the plans leads within three seconds."""
    aside = np.abs(position_m[..., 1])
    then = [np.interp(STRAIGHT_S, TRAJECTORY_TIMES_S, plan) for plan in aside]
    return float(max([*then, aside[:, TRAJECTORY_TIMES_S <= STRAIGHT_S].max(initial=0.0)]))


def explained_variance(
    feature: Float64[np.ndarray, "n feature"],
    wanted: Float64[np.ndarray, " n"],
    group: Int64[np.ndarray, " n"],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Share of the variance of `wanted` that a linear probe explains in groups that it was not fitted on.

    Ridge regression (Hoerl and Kennard 1970); its penalty is chosen within each fold, again by groups left out. The
    interval is drawn over groups.

    Raises:
        EvaluationError: fewer groups than folds, or nothing to explain.
    """
    folds = _folds(group, seed)
    if len(np.unique(group)) < _FOLDS or np.ptp(wanted) == 0:
        raise EvaluationError(
            f"probe: expected offsets that differ, from at least {_FOLDS} drives, got {len(np.unique(group))} drives "
            f"and offsets from {wanted.min(initial=0.0):.3f} to {wanted.max(initial=0.0):.3f}; take more drives, or a "
            "share of displaced clips above zero"
        )
    error, spread = np.zeros(len(wanted)), np.zeros(len(wanted))
    for fold in range(_FOLDS):
        rest, held = folds != fold, folds == fold
        penalty = _best_penalty(feature[rest], wanted[rest], _folds(group[rest], seed + 1))
        guessed = _predicted(feature[rest], wanted[rest], feature[held], _PENALTIES[penalty : penalty + 1])[:, 0]
        error[held] = (wanted[held] - guessed) ** 2
        spread[held] = (wanted[held] - wanted[rest].mean()) ** 2
    drawn = np.unique(group, return_inverse=True)[1].astype(np.int64)
    found = estimates(
        (spread - error)[:, None], spread[:, None], Groups(drawn, drawn), np.zeros(1, np.bool_), resamples, seed
    )[0]
    assert found is not None  # every sample that differs from the mean carries weight, and some do
    return found


def _folds(group: Int64[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " n"]:
    """Which fold each sample is in: groups are dealt out at random, whole."""
    names, index = np.unique(group, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(names)) % _FOLDS
    return dealt[index].astype(np.int64)


def _best_penalty(
    feature: Float64[np.ndarray, "n feature"], wanted: Float64[np.ndarray, " n"], folds: Int64[np.ndarray, " n"]
) -> int:
    """Index of the penalty with the least error on groups left out."""
    error = np.zeros(len(_PENALTIES))
    for fold in np.unique(folds):
        rest, held = folds != fold, folds == fold
        if rest.any():
            guessed = _predicted(feature[rest], wanted[rest], feature[held], _PENALTIES)
            error += ((wanted[held, None] - guessed) ** 2).sum(0)
    return int(error.argmin())


def _predicted(
    feature: Float64[np.ndarray, "n feature"],
    wanted: Float64[np.ndarray, " n"],
    asked: Float64[np.ndarray, "m feature"],
    penalties: Float64[np.ndarray, " penalties"],
) -> Float64[np.ndarray, "m penalties"]:
    """What ridge regressions of some penalties, fitted on standardised features, say of others."""
    mean, deviation = feature.mean(0), feature.std(0)
    scale = np.where(deviation > 1e-9, deviation, 1.0)
    left, strength, right = np.linalg.svd((feature - mean) / scale, full_matrices=False)
    along = left.T @ (wanted - wanted.mean())
    # Penalties count per sample, so that they mean the same for any number of them.
    weights = strength[:, None] / (strength[:, None] ** 2 + penalties * len(feature)) * along[:, None]
    return ((asked - mean) / scale) @ right.T @ weights + wanted.mean()
