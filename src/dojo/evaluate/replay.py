"""A stored drive as a place to drive in: its frames, warped to where the ego is.

In: a drive with its frames, and where the ego is. Out: what its camera would see there, and how far off the line it is.
Idea: the recorded frame nearest to the ego *along the line* is the one to warp, so that a slower or faster ego still
sees the road where it is; where the recording stood still, many frames are equally near, and the one that time has
come to is taken, so that the others go on moving. Everything that moved in the recording is replayed as it was. What a
warp of one camera can bear ends four metres from the line: beyond, a human would have had to take over.
Source: the reprojective simulator of arXiv 2504.19077, with the road plane in place of its depth maps.
Not here: the warp (`geometry/reproject.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import EvaluationError
from dojo.geometry import MODEL_VIEW, Camera, Resampler
from dojo.geometry.reproject import MAX_OFFSET_M, Reprojector, displaced, never_seen, on_both_sides, unseen
from dojo.geometry.rigid import yaw_of
from dojo.records import Drive, EgoMotion, Frame

MAX_YAW_RAD = 0.35
"""Assumed: 20 degrees; a third of the picture is then out of the recorded view, and no car in its lane stands so."""

_SAME_PLACE_M = 0.05  # Assumed: frames this near along the line show the same view
_SEARCH_S = 5.0  # Assumed: an ego that drives on is never further than this from where it was a step ago
_MAX_POSE_GAP_S = 0.5  # Assumed: half a second of a turn at speed is a metre off a straight line


@runtime_checkable
class Frames(Protocol):
    """Hands out stored frames, as `load.FrameSource` does."""

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames at these indices of the stored stream, one each, in this order."""
        ...


@dataclass(frozen=True)
class Pose:
    """Where a vehicle stands in the drive's world, seen from above: metres east and north, radians left of east."""

    east_m: float
    north_m: float
    yaw_rad: float

    def seen_from(self, other: Pose) -> tuple[float, float, float]:
        """Metres ahead and to the left of another vehicle, and radians to the left of its heading, in (-pi, pi]."""
        east, north = self.east_m - other.east_m, self.north_m - other.north_m
        cosine, sine = math.cos(other.yaw_rad), math.sin(other.yaw_rad)
        turned = self.yaw_rad - other.yaw_rad
        return (
            cosine * east + sine * north,
            cosine * north - sine * east,
            math.atan2(math.sin(turned), math.cos(turned)),
        )

    def ahead(self, forward_m: float, left_m: float, yaw_rad: float) -> Pose:
        """The pose this far ahead, to the left, and turned to the left."""
        cosine, sine = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return Pose(
            self.east_m + cosine * forward_m - sine * left_m,
            self.north_m + sine * forward_m + cosine * left_m,
            self.yaw_rad + yaw_rad,
        )


@dataclass(frozen=True)
class Place:
    """Where an ego is relative to a recording.

    Args:
        frame: index of the frame that shows the road there.
        forward_m, lateral_m, yaw_rad: the ego relative to the recorded vehicle at that frame.
    """

    frame: int
    forward_m: float
    lateral_m: float
    yaw_rad: float

    @property
    def within(self) -> bool:
        """Whether the recording can still be warped to there."""
        near = max(abs(self.lateral_m), abs(self.forward_m)) <= MAX_OFFSET_M
        return near and abs(self.yaw_rad) <= MAX_YAW_RAD


class RecordedLine:
    """The poses of a drive at its frames.

    Args:
        drive: its ego motion and camera streams.
        camera: the stream to look through.

    Raises:
        EvaluationError: no such stream, or fewer than two frames whose pose is known.
    """

    def __init__(self, drive: Drive, camera: str) -> None:
        stream = next((stream for stream in drive.cameras if stream.name == camera), None)
        if stream is None:
            raise EvaluationError(
                f"drive {drive.drive_id}: expected a camera {camera!r}, got {[s.name for s in drive.cameras]}; name "
                "one of these"
            )
        known = stream.valid & _known(drive.ego, stream.timestamps_ns)
        if known.sum() < 2:
            raise EvaluationError(
                f"drive {drive.drive_id}: expected frames with poses to replay, got {int(known.sum())}; take a drive "
                "whose camera and ego motion overlap"
            )
        self.drive_id, self.camera = drive.drive_id, camera
        self.view: Camera = stream.camera.level_view(MODEL_VIEW)
        self.stored: Camera = stream.camera
        self.recorded: Camera = stream.recorded_camera or stream.camera
        self.frames: Int64[np.ndarray, " n"] = np.flatnonzero(known)
        """Indices of the stored frames whose pose is known; everything below is in their order."""
        self.timestamps_ns: Int64[np.ndarray, " n"] = stream.timestamps_ns[known]
        self._poses = _poses_at(drive.ego, self.timestamps_ns)
        steps_m = np.hypot(*np.diff(self._poses[:, :2], axis=0).T)
        self._along_m = np.concatenate([[0.0], np.cumsum(steps_m)])
        self._speeds_mps = np.interp(
            self.timestamps_ns, drive.ego.timestamps_ns[drive.ego.valid], drive.ego.speed_mps[drive.ego.valid]
        )

    def __len__(self) -> int:
        return len(self.frames)

    def pose(self, number: int) -> Pose:
        """Where the recorded vehicle was at a frame."""
        east, north, yaw = self._poses[number]
        return Pose(float(east), float(north), float(yaw))

    def speed_mps(self, number: int) -> float:
        """How fast the recorded vehicle was at a frame."""
        return float(self._speeds_mps[number])

    def place(self, ego: Pose, timestamp_ns: int) -> Place:
        """The frame that shows the road where the ego is, and the ego relative to it.

        Args:
            timestamp_ns: when, on the drive's clock: the frame shown last, plus what has passed since. It picks between
                frames at the same place, and keeps a road that crosses itself from being mistaken for its other branch.
        """
        soon = np.abs(self.timestamps_ns - timestamp_ns) <= _SEARCH_S * 1e9
        soon[np.abs(self.timestamps_ns - timestamp_ns).argmin()] = True
        candidates = np.flatnonzero(soon)
        east, north, _ = self._poses[candidates].T
        nearest = candidates[np.hypot(ego.east_m - east, ego.north_m - north).argmin()]
        alike = candidates[np.abs(self._along_m[candidates] - self._along_m[nearest]) <= _SAME_PLACE_M]
        number = int(alike[np.abs(self.timestamps_ns[alike] - timestamp_ns).argmin()])
        return Place(number, *ego.seen_from(self.pose(number)))


def _known(ego: EgoMotion, times_ns: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which times lie between two valid poses that are near enough to each other."""
    valid_ns = ego.timestamps_ns[ego.valid]
    if len(valid_ns) < 2:
        return np.zeros(len(times_ns), np.bool_)
    right = np.clip(np.searchsorted(valid_ns, times_ns, side="left"), 1, len(valid_ns) - 1)
    inside = (times_ns >= valid_ns[0]) & (times_ns <= valid_ns[-1])
    return inside & (valid_ns[right] - valid_ns[right - 1] <= _MAX_POSE_GAP_S * 1e9)


def _poses_at(ego: EgoMotion, times_ns: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3"]:
    """East, north and yaw at these times, linear between valid poses; yaw without jumps."""
    valid_ns = ego.timestamps_ns[ego.valid]
    rows = (*ego.translation_m[ego.valid, :2].T, np.unwrap(yaw_of(ego.rotation[ego.valid])))
    return np.stack([np.interp(times_ns, valid_ns, row) for row in rows], -1)


class ReplayCamera:
    """What the camera of an ego beside a recorded line sees.

    Args:
        line: the recording.
        source: where its frames come from.
    """

    def __init__(self, line: RecordedLine, source: Frames) -> None:
        self._line = line
        self._source = source
        self._blank = never_seen(line.recorded, line.view)
        self._unseen_at_rest = unseen(line.view, line.view, self._blank)
        self._resampler = None if _same_view(line.stored, line.view) else Resampler(line.stored, line.view)

    def recorded(self, number: int) -> Frame:
        """The recorded frame in the model's view."""
        line = self._line
        (frame,) = self._source.frames(line.drive_id, line.camera, line.frames[number : number + 1])
        return frame if self._resampler is None else _through(self._resampler, frame)

    def picture(self, place: Place) -> Frame:
        """The model's view from a place; what was not recorded is hidden on both sides, as training hides it.

        Raises:
            ConfigError: the place is further to the side than a picture can be carried.
        """
        other = displaced(self._line.view, place.lateral_m, place.yaw_rad, place.forward_m)
        lost = unseen(self._line.view, other, self._blank) & ~self._unseen_at_rest
        return _through(Reprojector(self._line.view, other, on_both_sides(lost)), self.recorded(place.frame))


def _same_view(stored: Camera, view: Camera) -> bool:
    """Whether pictures of the one are pictures of the other."""
    sizes = (stored.width_px, stored.height_px) == (view.width_px, view.height_px)
    rays = np.allclose([*stored.focal_px, *stored.centre_px], [*view.focal_px, *view.centre_px])
    turned = np.allclose(stored.ego_from_camera.rotation, view.ego_from_camera.rotation)
    return bool(sizes and rays and turned and not any(stored.distortion))


def _through(warp: Resampler | Reprojector, frame: Frame) -> Frame:
    return Frame(frame.timestamp_ns, *warp.apply(frame.y, frame.u, frame.v))
