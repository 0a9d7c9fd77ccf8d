"""Samples: every anchor of the clips under evaluation, side by side, with what was really driven.

In: clips. Out: flat arrays over all anchors, in the order of the clips and of the anchors within each.
Idea: metrics need no clips, only anchors; but intervals need to know which anchors hang together, so each keeps
its drive. The order is that of `Plans` made clip by clip, so that plan i answers sample i.
Not here: predictions (`records.Plans`, or `baselines.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64

from dojo.errors import EvaluationError
from dojo.records import TRAJECTORY_TIMES_S, Clip

# Assumed: anchors further apart than this do not belong to one stretch of driving; anchors come at 5 Hz.
_STRETCH_GAP_S = 1.0


@dataclass(frozen=True)
class Samples:
    """Anchors with their driven future.

    Args:
        position_m, yaw_rad, speed_mps, valid: of the driven path at `TRAJECTORY_TIMES_S`, ego frame at the anchor.
        speed_now_mps, yaw_rate_now_radps: at the anchor; meaningless where `valid[:, 0]` is False.
        curvature_per_m, acceleration_mps2, action_valid: the action that was due.
        timestamp_ns: of the anchor, on the clock of its drive.
        drive, vehicle, clip: index into `drive_ids`, `vehicle_ids`, `clip_ids`.
        tagged: which of `tags` each anchor carries.
    """

    position_m: Float32[np.ndarray, "n 33 3"]
    yaw_rad: Float32[np.ndarray, "n 33"]
    speed_mps: Float32[np.ndarray, "n 33"]
    valid: Bool[np.ndarray, "n 33"]
    speed_now_mps: Float32[np.ndarray, " n"]
    yaw_rate_now_radps: Float32[np.ndarray, " n"]
    curvature_per_m: Float32[np.ndarray, " n"]
    acceleration_mps2: Float32[np.ndarray, " n"]
    action_valid: Bool[np.ndarray, " n"]
    timestamp_ns: Int64[np.ndarray, " n"]
    drive: Int64[np.ndarray, " n"]
    vehicle: Int64[np.ndarray, " n"]
    clip: Int64[np.ndarray, " n"]
    drive_ids: tuple[str, ...]
    vehicle_ids: tuple[str, ...]
    clip_ids: tuple[str, ...]
    tags: tuple[str, ...]
    tagged: Bool[np.ndarray, "n tags"]

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def only(self, rows: Bool[np.ndarray, " n"]) -> Samples:
        """The samples of some rows; indices keep their meaning."""
        per_sample = {
            f.name: getattr(self, f.name)[rows] for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, **per_sample)

    def extent(self) -> Extent:
        """How much driving the samples stand for; moments that several clips share count once."""
        hours = kilometres = 0.0
        for drive in np.unique(self.drive):
            times, first = np.unique(self.timestamp_ns[self.drive == drive], return_index=True)
            speeds = np.where(self.valid[:, 0], self.speed_now_mps, 0.0)[self.drive == drive][first]
            steps_s = np.diff(times) / 1e9
            joined = steps_s <= _STRETCH_GAP_S
            hours += float(steps_s[joined].sum()) / 3600
            kilometres += float((steps_s * (speeds[:-1] + speeds[1:]) / 2)[joined].sum()) / 1000
        return Extent(
            anchors=len(self),
            clips=len(np.unique(self.clip)),
            drives=len(np.unique(self.drive)),
            vehicles=len(np.unique(self.vehicle)),
            hours=hours,
            kilometres=kilometres,
        )


@dataclass(frozen=True)
class Extent:
    """How much driving something rests on."""

    anchors: int
    clips: int
    drives: int
    vehicles: int
    hours: float
    kilometres: float


def _indexed(names: Sequence[str], counts: Sequence[int]) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """For each anchor the index of its clip's name among the distinct names, and those names, sorted."""
    distinct = tuple(sorted(set(names)))
    place = {name: index for index, name in enumerate(distinct)}
    return np.repeat(np.array([place[name] for name in names], np.int64), counts), distinct


def samples_of(clips: Sequence[Clip]) -> Samples:
    """All anchors of the clips, in their order.

    Raises:
        EvaluationError: there are no clips.
    """
    if not clips:
        raise EvaluationError(
            "samples: expected at least one clip to evaluate, got none; the split is empty: ingest more drives, or "
            "evaluate another split"
        )
    counts = [len(clip.anchor_timestamps_ns) for clip in clips]
    drive, drive_ids = _indexed([clip.drive_id for clip in clips], counts)
    vehicle, vehicle_ids = _indexed([clip.vehicle_id for clip in clips], counts)
    tags = tuple(sorted({tag for clip in clips for tag in clip.tags}))
    tagged = np.array([[tag in clip.tags for tag in tags] for clip in clips], np.bool_).reshape(len(clips), len(tags))
    rates = np.concatenate([clip.ego_rates for clip in clips])
    valid = np.concatenate([clip.valid for clip in clips])
    # What is not valid may hold anything; zero there keeps arithmetic finite, and every metric weighs it with zero.
    position_m = np.where(valid[..., None], np.concatenate([clip.position_m for clip in clips]), np.float32(0))
    return Samples(
        position_m=position_m,
        yaw_rad=np.where(valid, np.concatenate([clip.yaw_rad for clip in clips]), np.float32(0)),
        speed_mps=np.where(valid, np.concatenate([clip.speed_mps for clip in clips]), np.float32(0)),
        valid=valid,
        speed_now_mps=np.nan_to_num(rates[:, 0]),
        yaw_rate_now_radps=np.nan_to_num(rates[:, 5]),
        curvature_per_m=np.concatenate([clip.curvature_per_m for clip in clips]),
        acceleration_mps2=np.concatenate([clip.acceleration_mps2 for clip in clips]),
        action_valid=np.concatenate([clip.action_valid for clip in clips]),
        timestamp_ns=np.concatenate([clip.anchor_timestamps_ns for clip in clips]),
        drive=drive,
        vehicle=vehicle,
        clip=np.repeat(np.arange(len(clips), dtype=np.int64), counts),
        drive_ids=drive_ids,
        vehicle_ids=vehicle_ids,
        clip_ids=tuple(clip.clip_id for clip in clips),
        tags=tags,
        tagged=np.repeat(tagged, counts, axis=0),
    )


def shared_with_training(evaluated: Sequence[Clip], trained: Sequence[Clip]) -> tuple[str, ...]:
    """One warning for each kind of thing that evaluated clips share with training clips: drive, vehicle, place."""
    kinds = (
        ("drive", {c.drive_id for c in evaluated}, {c.drive_id for c in trained}),
        ("vehicle", {c.vehicle_id for c in evaluated}, {c.vehicle_id for c in trained}),
        ("road tile", {t for c in evaluated for t in c.tiles}, {t for c in trained for t in c.tiles}),
    )
    return tuple(
        f"{len(here & there)} of {len(here)} {kind}s under evaluation also occur in training: the figures flatter the "
        f"model. Evaluate clips that share no {kind} with training."
        for kind, here, there in kinds
        if here & there
    )


HORIZON_S = float(TRAJECTORY_TIMES_S[-1])
"""How far ahead of its anchor a sample looks."""
