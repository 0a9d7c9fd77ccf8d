"""A stored drive as a place to drive in: its frames, warped to where the ego is.

In: drives with their frames; scenarios that name a drive and a moment. Out: a simulator: what the ego's camera sees,
and how far off the recorded line it is.
Idea: the recorded frame nearest to the ego *along the line* is the one to warp, so that a slower or faster ego still
sees the road where it is; where the recording or the ego stands still, many frames are equally near, and the one that
time has come to is taken, so that the others go on moving. The recording's clock never goes back. Everything that moved
in the recording is replayed as it was. What a warp of one camera can bear ends four metres from the line: beyond, a
human would have had to take over.
Source: the reprojective simulator of arXiv 2504.19077, with the road plane in place of its depth maps.
Not here: the warp (`geometry/reproject.py`), the interface (`simulator.py`), the worlds made up (`world/`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import ConfigError, EvaluationError
from dojo.geometry import MODEL_VIEW, Camera, Resampler
from dojo.geometry.reproject import MAX_OFFSET_M, Reprojector, displaced, never_seen, on_both_sides, unseen
from dojo.geometry.rigid import yaw_of
from dojo.records import (
    CENTRE_AHEAD_M,
    Drive,
    EgoMotion,
    EgoState,
    Frame,
    Observation,
    Scenario,
    Start,
    Truth,
)

MAX_YAW_RAD = 0.35
"""Assumed: 20 degrees; a third of the picture is then out of the recorded view, and no car in its lane stands so."""

_SAME_PLACE_M = 0.05  # Assumed: frames this near along the line show the same view
_WAITING_MPS, _WAITING_M = 0.3, 3.0
"""An ego that stands may wait this far from where the recording waited, and sees what happened there meanwhile.
Assumed: two drivers stop at the same line within half a car."""
_SEARCH_S = 5.0  # Assumed: an ego that drives on is never further than this from where it was a step ago
_MAX_GAP_S = 0.5  # Assumed: half a second of a turn at speed is a metre off a straight line
_BEND_REACH_M = 5.0  # Assumed: shorter than this, the noise of poses is not a bend
_LANE_WIDTH_M = 3.6
"""Of a drive whose lanes nobody measured. Assumed: 12 feet, the usual lane of United States highways (AASHTO Green
Book); the scenario may say otherwise."""


@runtime_checkable
class Frames(Protocol):
    """Hands out stored frames, as `load.FrameSource` does."""

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames at these indices of the stored stream, one each, in this order."""
        ...


@dataclass(frozen=True)
class Place:
    """Where an ego is relative to a recording.

    Args:
        number: of the frame that shows the road there, in its line.
        time_ns: on the drive's clock.
        along_m: along the line since its start.
        forward_m, lateral_m, yaw_rad: the ego relative to the recorded vehicle at that frame.
    """

    number: int
    time_ns: int
    along_m: float
    forward_m: float
    lateral_m: float
    yaw_rad: float

    @property
    def within(self) -> bool:
        """Whether the recording can still be warped to there."""
        near = max(abs(self.lateral_m), abs(self.forward_m)) <= MAX_OFFSET_M
        return near and abs(self.yaw_rad) <= MAX_YAW_RAD


class RecordedLine:
    """The poses of a drive at its frames, from a moment on until frames or poses are missing.

    Args:
        drive: its ego motion and camera streams.
        camera: the stream to look through.
        start_s: after the first stored frame; the line begins at the first frame after it whose pose is known.

    Raises:
        EvaluationError: no such stream, or not two frames in a row whose poses are known.
    """

    def __init__(self, drive: Drive, camera: str = "front", start_s: float = 0.0) -> None:
        stream = next((stream for stream in drive.cameras if stream.name == camera), None)
        if stream is None:
            raise EvaluationError(
                f"drive {drive.drive_id}: expected a camera {camera!r}, got {[s.name for s in drive.cameras]}; name "
                "one of these"
            )
        frames = _first_stretch(drive.ego, stream.timestamps_ns, stream.valid, start_s)
        if len(frames) < 2:
            raise EvaluationError(
                f"drive {drive.drive_id}: expected frames with poses from {start_s:.1f} s on, got {len(frames)} in a "
                "row; take a drive, or a moment of it, where camera and ego motion overlap"
            )
        self.drive_id, self.camera = drive.drive_id, camera
        self.view: Camera = stream.camera.level_view(MODEL_VIEW)
        self.stored: Camera = stream.camera
        self.recorded: Camera = stream.recorded_camera or stream.camera
        self.frames: Int64[np.ndarray, " n"] = frames
        """Indices of the stored frames; everything else is in their order."""
        self.timestamps_ns: Int64[np.ndarray, " n"] = stream.timestamps_ns[frames]
        self.poses: Float64[np.ndarray, "n 3"] = _poses_at(drive.ego, self.timestamps_ns)
        """East and north in metres, yaw in radians without jumps."""
        self.motion: Float64[np.ndarray, "n 4"] = _motion_at(drive.ego, self.timestamps_ns)
        """Speed (m/s), yaw rate (rad/s), height (m) and slope (metres up per metre ahead)."""
        steps_m = np.hypot(*np.diff(self.poses[:, :2], axis=0).T)
        self.along_m: Float64[np.ndarray, " n"] = np.concatenate([[0.0], np.cumsum(steps_m)])

    def __len__(self) -> int:
        return len(self.frames)

    def place(self, ego: EgoState, since_ns: int, due_ns: int) -> Place:
        """The frame that shows the road where the ego is, and the ego relative to it.

        Args:
            since_ns: on the drive's clock: no earlier frame is shown, and none much later, so that a road that crosses
                itself is not mistaken for its other branch.
            due_ns: which of the frames at the same place is shown, if any is.
        """
        first = min(int(np.searchsorted(self.timestamps_ns, since_ns)), len(self) - 1)
        until = int(np.searchsorted(self.timestamps_ns, since_ns + _SEARCH_S * 1e9, side="right"))
        candidates = np.arange(first, max(until, first + 1))
        east, north, _ = self.poses[candidates].T
        nearest = candidates[np.hypot(ego.x_m - east, ego.y_m - north).argmin()]
        reach_m = _WAITING_M if ego.speed_mps < _WAITING_MPS else _SAME_PLACE_M
        away_m = np.abs(self.along_m[candidates] - self.along_m[nearest] - _relative(ego, self.poses[nearest])[0])
        alike = candidates[away_m <= max(reach_m, float(away_m.min()) + _SAME_PLACE_M)]
        times = self.timestamps_ns[alike]
        number = int(alike[np.abs(times - due_ns).argmin()])
        forward, lateral, yaw = _relative(ego, self.poses[number])
        return Place(
            number=number,
            time_ns=int(np.clip(due_ns, times.min(), times.max())),
            along_m=float(self.along_m[number]) + forward,
            forward_m=forward,
            lateral_m=lateral,
            yaw_rad=yaw,
        )

    def at(self, along_m: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "m 4"]:
        """East, north, yaw and height of the line at distances along it; beyond its ends, those of its ends."""
        moving = np.concatenate([[True], np.diff(self.along_m) > 0])
        rows = (*self.poses.T, self.motion[:, 2])
        return np.stack([np.interp(along_m, self.along_m[moving], row[moving]) for row in rows], -1)

    def curvature_per_m(self, along_m: float) -> float:
        """Turn per metre of the line, over five metres either side; zero where it has no length."""
        ends = np.clip([along_m - _BEND_REACH_M, along_m + _BEND_REACH_M], 0.0, self.along_m[-1])
        length_m = float(ends[1] - ends[0])
        turned = self.at(ends)[:, 2]
        return float(turned[1] - turned[0]) / length_m if length_m > _BEND_REACH_M / 2 else 0.0


def _first_stretch(
    ego: EgoMotion, times_ns: Int64[np.ndarray, " frames"], valid: Bool[np.ndarray, " frames"], start_s: float
) -> Int64[np.ndarray, " n"]:
    """The first frames in a row, from a moment on, that are valid and lie between poses near to each other."""
    posed_ns = ego.timestamps_ns[ego.valid]
    if len(posed_ns) < 2:
        return np.zeros(0, np.int64)
    right = np.clip(np.searchsorted(posed_ns, times_ns, side="left"), 1, len(posed_ns) - 1)
    known = valid & (times_ns >= posed_ns[0]) & (times_ns <= posed_ns[-1])
    known &= posed_ns[right] - posed_ns[right - 1] <= _MAX_GAP_S * 1e9
    found = np.flatnonzero(known & (times_ns >= times_ns[0] + start_s * 1e9))
    breaks = np.flatnonzero(np.diff(times_ns[found]) > _MAX_GAP_S * 1e9)
    return found[: breaks[0] + 1] if len(breaks) else found


def _poses_at(ego: EgoMotion, times_ns: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3"]:
    """East, north and yaw at these times, linear between valid poses."""
    rows = (*ego.translation_m[ego.valid, :2].T, np.unwrap(yaw_of(ego.rotation[ego.valid])))
    return np.stack([np.interp(times_ns, ego.timestamps_ns[ego.valid], row) for row in rows], -1)


def _motion_at(ego: EgoMotion, times_ns: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 4"]:
    """Speed, yaw rate, height and slope at these times, linear between valid poses."""
    ahead = ego.rotation[ego.valid][:, :, 0]
    slope = ahead[:, 2] / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-6)
    rows = (ego.speed_mps[ego.valid], ego.yaw_rate_radps[ego.valid], ego.translation_m[ego.valid, 2], slope)
    return np.stack([np.interp(times_ns, ego.timestamps_ns[ego.valid], row) for row in rows], -1)


def _relative(ego: EgoState, pose: Float64[np.ndarray, "3"]) -> tuple[float, float, float]:
    """Metres ahead and to the left of a pose, and radians to the left of its heading, in (-pi, pi]."""
    east, north, turned = ego.x_m - pose[0], ego.y_m - pose[1], ego.yaw_rad - pose[2]
    cosine, sine = math.cos(pose[2]), math.sin(pose[2])
    return (
        float(cosine * east + sine * north),
        float(cosine * north - sine * east),
        math.atan2(math.sin(turned), math.cos(turned)),
    )


class ReplayCamera:
    """What the camera of an ego beside a recorded line sees.

    Args:
        line: the recording.
        source: where its frames come from.
        yaw_rad: the camera looks this much further left than its calibration says.
    """

    def __init__(self, line: RecordedLine, source: Frames, yaw_rad: float = 0.0) -> None:
        self._line = line
        self._source = source
        self._yaw_rad = yaw_rad
        self._blank = never_seen(line.recorded, line.view)
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
        hidden = self.hidden(place)
        return _through(Reprojector(self._line.view, self._at(place), hidden), self.recorded(place.number))

    def hidden(self, place: Place) -> Bool[np.ndarray, "half_rows half_columns"]:
        """Chroma pixels that are hidden in the picture from a place, because nobody recorded them or their mirror."""
        return on_both_sides(unseen(self._line.view, self._at(place), self._blank))

    def _at(self, place: Place) -> Camera:
        return displaced(self._line.view, place.lateral_m, place.yaw_rad, place.forward_m, camera_yaw_rad=self._yaw_rad)


def _same_view(stored: Camera, view: Camera) -> bool:
    """Whether pictures of the one are pictures of the other."""
    sizes = (stored.width_px, stored.height_px) == (view.width_px, view.height_px)
    rays = np.allclose([*stored.focal_px, *stored.centre_px], [*view.focal_px, *view.centre_px])
    turned = np.allclose(stored.ego_from_camera.rotation, view.ego_from_camera.rotation)
    return bool(sizes and rays and turned and not any(stored.distortion))


def _through(warp: Resampler | Reprojector, frame: Frame) -> Frame:
    return Frame(frame.timestamp_ns, *warp.apply(frame.y, frame.u, frame.v))


@dataclass(frozen=True)
class ReplayState:
    """A recording at a moment of its clock."""

    line: RecordedLine
    camera: ReplayCamera
    lane_width_m: float
    time_ns: int


class Replay:
    """A `Simulator` over stored drives.

    The places of its scenarios have `drive` (its id), and may have `camera` ("front"), `start_s` (seconds after the
    first stored frame, 0) and `lane_width_m` (3.6). Nothing is drawn, so the seed changes nothing.

    Args:
        drives: those that scenarios may name.
        source: where their frames come from.
    """

    def __init__(self, drives: Iterable[Drive], source: Frames) -> None:
        self._drives = {drive.drive_id: drive for drive in drives}
        self._source = source

    def begin(self, scenario: Scenario) -> tuple[ReplayState, Start]:
        """The recording at the scenario's moment, and the ego beside its line.

        Raises:
            ConfigError: a parameter of the place that is missing or not known, or weather that was not recorded.
            EvaluationError: the drive has no frames with poses there.
        """
        place = dict(scenario.place)
        drive = self._drives.get(str(place.pop("drive", "")))
        camera, start_s = str(place.pop("camera", "front")), float(place.pop("start_s", 0.0))
        width_m = float(place.pop("lane_width_m", _LANE_WIDTH_M))
        if drive is None or place or scenario.disturbance.weather:
            raise ConfigError(
                f"scenario {scenario.scenario_id}: expected a place with drive (one of {len(self._drives)} known), and "
                f"if need be camera, start_s and lane_width_m, and the recorded weather, got {dict(scenario.place)} "
                f"and weather {scenario.disturbance.weather!r}; correct the suite, or take another simulator"
            )
        line = RecordedLine(drive, camera, start_s)
        state = ReplayState(
            line,
            ReplayCamera(line, self._source, scenario.disturbance.camera_yaw_rad),
            width_m,
            int(line.timestamps_ns[0]),
        )
        east, north, yaw = (float(part) for part in line.poses[0])
        speed, rate = (float(part) for part in line.motion[0, :2])
        ego = EgoState(
            time_s=0.0,
            x_m=east - math.sin(yaw) * scenario.start_offset_m,
            y_m=north + math.cos(yaw) * scenario.start_offset_m,
            yaw_rad=yaw + scenario.start_yaw_rad,
            speed_mps=speed if scenario.start_speed_mps is None else scenario.start_speed_mps,
            yaw_rate_radps=rate,
        )
        return state, Start(ego, line.view, "traffic_left" not in drive.tags, line.recorded)

    def observe(self, state: ReplayState, ego: EgoState) -> Observation:
        """The picture from where the ego is, and the recorded line ahead of it."""
        line, place = state.line, state.line.place(ego, state.time_ns, state.time_ns)
        picture = state.camera.picture(place)
        ahead = place.along_m + CENTRE_AHEAD_M
        east, north, _, height = line.at(ahead).T
        cosine, sine = math.cos(ego.yaw_rad), math.sin(ego.yaw_rad)
        forward = cosine * (east - ego.x_m) + sine * (north - ego.y_m)
        left = cosine * (north - ego.y_m) - sine * (east - ego.x_m)
        here, slope = line.motion[place.number, 2:]
        up = height - here - slope * (CENTRE_AHEAD_M + place.forward_m)
        return Observation(
            frame=Frame(round(ego.time_s * 1e9), picture.y, picture.u, picture.v),
            centre_m=np.stack([forward, left, up], -1).astype(np.float32),
            centre_valid=(ahead >= 0) & (ahead <= line.along_m[-1]),
            others_m=np.zeros((0, 5), np.float32),
        )

    def truth(self, state: ReplayState, ego: EgoState) -> Truth:
        """How far off the recorded line the ego is; other road users are in the picture, but nobody measured them."""
        line, place = state.line, state.line.place(ego, state.time_ns, state.time_ns)
        bend = line.curvature_per_m(place.along_m)
        last = place.number == len(line) - 1 and place.along_m >= line.along_m[-1] - _SAME_PLACE_M
        return Truth(
            # From the frame to beside the ego, the line turns and moves aside a little.
            offset_m=place.lateral_m - bend * place.forward_m**2 / 2,
            heading_error_rad=place.yaw_rad - bend * place.forward_m,
            lanes_left=0,
            lane_width_m=state.lane_width_m,
            progress_m=place.along_m,
            curvature_per_m=bend,
            reference_mps=float(line.motion[place.number, 0]),
            shown=place.within,
            road_over=bool(last),
        )

    def step(self, state: ReplayState, ego: EgoState, dt_s: float) -> ReplayState:
        """The recording at the moment that it was where the ego is now; where it stood, `dt_s` later."""
        place = state.line.place(ego, state.time_ns, state.time_ns + round(dt_s * 1e9))
        return replace(state, time_ns=place.time_ns)

    def end(self, state: ReplayState) -> None:
        """Nothing is held."""
