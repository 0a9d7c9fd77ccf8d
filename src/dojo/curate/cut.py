"""Drives into clips: where the anchors lie, and everything a policy should know about each.

In: a `Drive` as the store has it. Out: `Clip`s without a split or a weight yet.
Idea: anchors are the frames nearest to an even 0.2 s grid, each kept with its own true time, so that a camera at 10,
24 or 36.6 Hz, or one that drops frames, gives the same kind of clip. A grid time without a frame near it breaks the
row, and clips are rows without a break.
Not here: splits (`split.py`), weights (`balance.py`).
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.curate.config import CurateConfig
from dojo.curate.manoeuvres import Request, Track, desires, tags, track
from dojo.curate.motion import Motion
from dojo.curate.targets import Targets, targets
from dojo.geometry.place import geodetic_from_ecef, tile, world_from_ecef
from dojo.records import TRAJECTORY_TIMES_S, CameraStream, Clip, Drive

TILE_STEP_M = 5.0
"""Assumed: a path that touches a tile for less than 5 m does not show its road."""

FRAME_TOLERANCE = 0.6
"""Assumed: half a frame interval, and a tenth more for jitter in the times themselves..."""
STEP_TOLERANCE = (0.1, 0.3)
"""...but never under 10 % of the step between anchors, which no policy can tell, nor over 30 %, which it could."""

UNPLACED = "drive:"
"""Begins the one tile of a drive that never had a GNSS fix."""


def cut(drive: Drive, config: CurateConfig) -> list[Clip]:
    """The clips of a drive, in order of time; none where camera, poses and future do not coincide for long enough."""
    stream = next((stream for stream in drive.cameras if stream.name == config.camera), None)
    motion = Motion.of(drive.ego, config.max_pose_gap_s)
    if stream is None or motion is None:
        return []
    frames, later = _grid_frames(stream, config.anchor_interval_s)
    frame_times = stream.timestamps_ns[np.maximum(frames, 0)]
    found = targets(motion, frame_times, config)
    seen = (frames >= 0) & motion.known(frame_times, frame_times)
    near = config.min_future_s + 1e-9 >= TRAJECTORY_TIMES_S
    usable = seen & found.valid[:, near].all(1)
    shown, requests = track(drive, motion)
    clips = []
    places = _Places(drive, motion, config.tile_precision)
    for start in _rows(seen, usable, later, config):
        slots = np.arange(start, start + config.anchors_per_clip + 1)
        clip = _clip(drive, frames[slots], frame_times[slots], _take(found, slots[1:]), shown, requests, places, config)
        if clip is not None:
            clips.append(clip)
    return clips


def _grid_frames(
    stream: CameraStream, interval_s: float
) -> tuple[Int64[np.ndarray, " slots"], Bool[np.ndarray, " slots"]]:
    """For each time of an even grid the index of the nearest valid frame, -1 where none is near; and which follow on.

    The second array marks slots whose frame is later than the slot before.
    """
    valid = np.flatnonzero(stream.valid)
    if len(valid) < 2:
        return np.full(0, -1, np.int64), np.zeros(0, np.bool_)
    times = stream.timestamps_ns[valid]
    period_ns = float(np.median(np.diff(times)))
    low, high = (share * interval_s * 1e9 for share in STEP_TOLERANCE)
    tolerance_ns = min(max(FRAME_TOLERANCE * period_ns, low), high)
    grid = times[0] + np.round(np.arange(0, (times[-1] - times[0]) / 1e9 + interval_s, interval_s) * 1e9)
    grid = grid.astype(np.int64)
    right = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    nearest = np.where(grid - times[right - 1] <= times[right] - grid, right - 1, right)
    near = np.abs(times[nearest] - grid) <= tolerance_ns
    frames = np.where(near, valid[nearest], -1).astype(np.int64)
    return frames, np.concatenate([[True], np.diff(frames) > 0]).astype(np.bool_)


def _rows(
    seen: Bool[np.ndarray, " slots"],
    usable: Bool[np.ndarray, " slots"],
    later: Bool[np.ndarray, " slots"],
    config: CurateConfig,
) -> list[int]:
    """First slots (the frame before the first anchor) of all clips, `stride` apart in an unbroken row."""
    stride = config.stride_anchors or config.anchors_per_clip
    anchors = config.anchors_per_clip
    good = usable & later
    starts, slot = [], 0
    while slot + anchors < len(seen):
        broken = np.flatnonzero(~good[slot + 1 : slot + 1 + anchors])
        if not seen[slot]:
            slot += 1
        elif len(broken):
            # A slot that cannot be an anchor may still be the frame before one.
            slot += int(broken[-1]) + 1
        else:
            starts.append(slot)
            slot += stride
    return starts


def _take(found: Targets, slots: Int64[np.ndarray, " anchors"]) -> Targets:
    return Targets(**{name: values[slots] for name, values in vars(found).items()})


def _clip(
    drive: Drive,
    frames: Int64[np.ndarray, " frames"],
    times_ns: Int64[np.ndarray, " frames"],
    found: Targets,
    shown: Track,
    requests: tuple[Request, ...],
    places: _Places,
    config: CurateConfig,
) -> Clip | None:
    """One clip, or None where the vehicle backs up: the camera does not see where it goes."""
    names = set(tags(shown, int(times_ns[0]), int(times_ns[-1])))
    if "reverse" in names:
        return None
    left = "traffic_left" in drive.tags or not (config.traffic_right or "traffic_right" in drive.tags)
    names = {*names, *drive.tags} - {"traffic_left", "traffic_right"} | ({"traffic_left"} if left else set())
    reach_s = float((TRAJECTORY_TIMES_S * found.valid[-1]).max())
    return Clip(
        clip_id=_clip_id(drive, times_ns, config),
        drive_id=drive.drive_id,
        vehicle_id=drive.vehicle_id,
        camera=config.camera,
        split="train",
        tags=tuple(sorted(names)),
        tiles=places.tiles(int(times_ns[0]), int(times_ns[-1]) + round(reach_s * 1e9)),
        weight=1.0,
        frame_indices=frames,
        anchor_timestamps_ns=times_ns[1:],
        position_m=found.position_m,
        yaw_rad=found.yaw_rad,
        speed_mps=found.speed_mps,
        valid=found.valid,
        curvature_per_m=found.curvature_per_m,
        acceleration_mps2=found.acceleration_mps2,
        action_valid=found.action_valid,
        ego_rates=found.ego_rates,
        desire=desires(requests, times_ns[1:]),
    )


def _clip_id(drive: Drive, times_ns: Int64[np.ndarray, " frames"], config: CurateConfig) -> str:
    """Hash of drive, camera, times and of the settings that shape the targets; not of splits and weights."""
    shaping = ("camera", "anchor_interval_s", "future_s", "max_pose_gap_s", "actuator_delay_s", "tile_precision")
    settings = {name: getattr(config, name) for name in shaping}
    key = json.dumps([drive.drive_id, times_ns.tolist(), settings], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:20]


class _Places:
    """The road tiles of a drive, looked up once per few metres."""

    def __init__(self, drive: Drive, motion: Motion, precision: int) -> None:
        self._times_ns = np.zeros(0, np.int64)
        self._tiles: list[str] = []
        self._unplaced = UNPLACED + drive.drive_id
        if drive.ego.origin_deg_m is None:
            return
        steps = np.linalg.norm(np.diff(motion.translation_m, axis=0, prepend=motion.translation_m[:1]), axis=1)
        metre = np.floor(np.cumsum(steps) / TILE_STEP_M)
        kept = motion.valid & np.concatenate([[True], np.diff(metre) > 0])
        self._times_ns = motion.timestamps_ns[kept]
        self._tiles = _tiles_of(motion.translation_m[kept], drive.ego.origin_deg_m, precision)

    def tiles(self, start_ns: int, end_ns: int) -> tuple[str, ...]:
        """Tiles touched between two times, sorted; the drive's own pseudo-tile where it has no GNSS."""
        if not self._tiles:
            return (self._unplaced,)
        first = max(int(np.searchsorted(self._times_ns, start_ns, side="right")) - 1, 0)
        last = int(np.searchsorted(self._times_ns, end_ns, side="right")) + 1
        return tuple(sorted(set(self._tiles[first:last])))


def _tiles_of(
    positions_m: Float64[np.ndarray, "n 3"], origin_deg_m: tuple[float, float, float], precision: int
) -> list[str]:
    places = geodetic_from_ecef(world_from_ecef(*origin_deg_m).inverse().apply(positions_m))
    return [tile(float(latitude), float(longitude), precision) for latitude, longitude, _ in places]
