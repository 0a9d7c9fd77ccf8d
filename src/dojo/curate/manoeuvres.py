"""What the vehicle was doing: manoeuvre tags of a stretch, and what its driver asked for with the blinker.

In: a drive and its motion. Out: tags for any stretch of time; the uses of the blinkers with their meaning.
Idea: the drive is laid on an even 0.1 s grid once, and every tag is a reduction over a window of it. A window reaches
`LOOK_AHEAD_S` past the last anchor, because a tag says what the road asks of the policy next. Whether a blinker meant
a turn or a lane change is read from what followed: a turn leaves the heading changed, a lane change leaves it as it
was but the path shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.lib.stride_tricks import sliding_window_view

from dojo.curate.motion import Motion
from dojo.geometry.rigid import yaw_of
from dojo.records import DESIRES, Drive, Signal, Telemetry

GRID_S = 0.1
LOOK_AHEAD_S = 3.0
"""Assumed: what a driver prepares for; long enough to hold the start of every manoeuvre, short against 10 s."""

STANDING_MPS = 0.3
"""Assumed: wheel speed sensors read nothing below about 0.3 m/s, so slower counts as standing."""
MOVING_MPS = 1.0
HARD_BRAKE_MPS2 = 3.0
"""Source: the first braking threshold of openpilot's `meta` output (driving.md 1.1)."""
CURVE_PER_M, CURVE_TURN_RAD = 1 / 500, np.radians(3.0)
"""Assumed: a mean radius under 500 m and at least 3 degrees, so that wandering in the lane is not a curve."""

LANE_SHIFT_M = (2.0, 6.0)
"""Assumed: lanes are 2.5 to 3.75 m wide; drivers start and end off-centre, and may cross a wide marking."""
LANE_HEADING_RAD = np.radians(20.0)
TURN_HEADING_RAD = np.radians(40.0)
"""Assumed: the road itself may bend by 20 degrees during a lane change; a turn at a crossing is twice that at least."""
UNSIGNALLED_WINDOW_S = 6.0
UNSIGNALLED_MIN_MPS, UNSIGNALLED_SWING_RAD, UNSIGNALLED_RETURN = 5.0, np.radians(1.0), 0.2
"""Assumed: without a blinker only a clear S-shape of a lane's width counts, whose heading swings by a degree or more
and comes back to within a fifth of the swing."""

BLINKER_DARK_S = 1.0
"""Assumed: some vehicles report the lamp, dark for up to half a second in each blink; a longer pause is a new use."""
AFTER_BLINKER_S, MAX_MANOEUVRE_S = 4.0, 15.0
"""Assumed: a lane change ends within 4 s of the blinker; who waits longer than 15 s waits for something else."""

REVERSE = float(Telemetry.GEARS.index("reverse"))


@dataclass(frozen=True)
class Track:
    """A drive on an even grid; `run` numbers the unbroken stretches and is -1 where the motion is unknown."""

    times_ns: Int64[np.ndarray, " n"]
    run: Int64[np.ndarray, " n"]
    speed_mps: Float64[np.ndarray, " n"]
    acceleration_mps2: Float64[np.ndarray, " n"]
    yaw_rad: Float64[np.ndarray, " n"]
    distance_m: Float64[np.ndarray, " n"]
    lane_change: Bool[np.ndarray, " n"]
    takeover: Bool[np.ndarray, " n"]
    reverse: Bool[np.ndarray, " n"]

    def window(self, start_ns: int, end_ns: int) -> slice:
        """The grid points from `start_ns` to `end_ns` that belong to the unbroken stretch at the start."""
        first = int(np.searchsorted(self.times_ns, start_ns))
        last = int(np.searchsorted(self.times_ns, end_ns, side="right"))
        if first >= last or self.run[first] < 0:
            return slice(first, first)
        same = self.run[first:last] == self.run[first]
        return slice(first, first + (len(same) if same.all() else int(np.argmin(same))))


@dataclass(frozen=True)
class Request:
    """A use of the blinker: when it came on and went off, what it meant (index into `DESIRES`), when all was over."""

    start_ns: int
    off_ns: int
    desire: int
    end_ns: int


def track(drive: Drive, motion: Motion) -> tuple[Track, tuple[Request, ...]]:
    """The drive on an even grid with its lane changes marked, and every use of the blinkers."""
    first, last = int(motion.timestamps_ns[0]), int(motion.timestamps_ns[-1])
    times = np.arange(first, last + 1, round(GRID_S * 1e9), dtype=np.int64)
    known = motion.known(times, times)
    joined = np.concatenate([[False], motion.known(times[:-1], times[1:])])
    run = np.where(known, np.cumsum(~joined), -1).astype(np.int64)
    position = motion.position_m(times)
    steps = np.linalg.norm(np.diff(position[:, :2], axis=0, prepend=position[:1, :2]), axis=1)
    speed = motion.speed_mps(times)
    bare = Track(
        times,
        run,
        speed,
        _acceleration(speed, run),
        np.unwrap(yaw_of(motion.rotation_at(times))),
        np.cumsum(np.where(joined, steps, 0.0)),
        np.zeros(len(times), np.bool_),
        _disengaged(drive.telemetry.assist_state, times),
        _in_reverse(drive.telemetry.gear, times) | (speed < -STANDING_MPS),
    )
    requests = _requests(drive.telemetry, bare)
    lane_change = _unsignalled_lane_changes(bare)
    for request in requests:
        if DESIRES[request.desire].startswith("lane_change"):
            lane_change[bare.window(request.start_ns, request.end_ns)] = True
    return Track(**{**vars(bare), "lane_change": lane_change}), requests


def tags(track: Track, start_ns: int, last_anchor_ns: int) -> tuple[str, ...]:
    """Tags of the stretch from `start_ns` until `LOOK_AHEAD_S` after its last anchor, sorted."""
    window = track.window(start_ns, last_anchor_ns + round(LOOK_AHEAD_S * 1e9))
    speed = track.speed_mps[window]
    if len(speed) == 0:
        return ()
    standing, moving = speed < STANDING_MPS, speed >= MOVING_MPS
    turned = abs(track.yaw_rad[window][-1] - track.yaw_rad[window][0])
    distance = track.distance_m[window][-1] - track.distance_m[window][0]
    curve = bool(turned >= CURVE_TURN_RAD and turned >= CURVE_PER_M * distance and moving.any())
    lane_change = bool(track.lane_change[window].any())
    found = {
        "standstill": bool(standing.all()),
        "stop": _follows(moving, standing),
        "start": _follows(standing, moving),
        "hard_brake": bool((track.acceleration_mps2[window] <= -HARD_BRAKE_MPS2).any()),
        "curve": curve,
        "lane_change": lane_change,
        "straight": bool(moving.any()) and not curve and not lane_change,
        "takeover": bool(track.takeover[window].any()),
        "reverse": bool(track.reverse[window].any()),
    }
    return tuple(sorted(name for name, holds in found.items() if holds))


def desires(requests: tuple[Request, ...], anchors_ns: Int64[np.ndarray, " anchors"]) -> Int64[np.ndarray, " anchors"]:
    """At each anchor the desire whose blinker is on, else none."""
    result = np.zeros(len(anchors_ns), np.int64)
    for request in requests:
        result[(anchors_ns >= request.start_ns) & (anchors_ns <= request.off_ns)] = request.desire
    return result


def lateral_shift_m(yaw_rad: Float64[np.ndarray, "*m n"], distance_m: Float64[np.ndarray, "*m n"]) -> np.ndarray:
    """How far a path ends to the left of the arc that has the same length and the same change of heading.

    The heading's deviation from that of the arc, integrated over distance: zero on a straight road and on a circle, the
    lane offset after a lane change on either.
    """
    length = np.maximum(distance_m[..., -1:] - distance_m[..., :1], 1e-6)
    along = (distance_m - distance_m[..., :1]) / length
    deviation = yaw_rad - yaw_rad[..., :1] - along * (yaw_rad[..., -1:] - yaw_rad[..., :1])
    return np.asarray(np.trapezoid(np.sin(deviation), distance_m, axis=-1))


def _follows(earlier: Bool[np.ndarray, " n"], later: Bool[np.ndarray, " n"]) -> bool:
    return bool(earlier.any() and later[int(np.argmax(earlier)) :].any())


def _acceleration(speed_mps: Float64[np.ndarray, " n"], run: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Change of speed over 0.4 s, zero where a break lies within."""
    result = np.zeros(len(speed_mps))
    reach = 2
    if len(speed_mps) > 2 * reach:
        whole = (run[2 * reach :] == run[: -2 * reach]) & (run[reach:-reach] >= 0)
        rise = (speed_mps[2 * reach :] - speed_mps[: -2 * reach]) / (2 * reach * GRID_S)
        result[reach:-reach] = np.where(whole, rise, 0.0)
    return result


def _disengaged(assist_state: Signal, times_ns: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Grid points at which driver assistance had just been switched off or overridden."""
    state, known = assist_state.at(times_ns, held=True)
    before_state, before_known = np.roll(state, 1), np.roll(known, 1)
    fell = (before_state > 0) & (state == 0) & known & before_known
    fell[:1] = False
    return fell


def _in_reverse(gear: Signal, times_ns: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    state, known = gear.at(times_ns, held=True)
    return known & (state == REVERSE)


def _uses(blinker: Signal) -> list[tuple[int, int]]:
    """(on, off) times of each use of a blinker whose coming on was seen."""
    times, lit = blinker.timestamps_ns[blinker.valid], blinker.values[blinker.valid] > 0.5
    if len(times) == 0:
        return []
    change = np.diff(lit.astype(np.int8))
    on = times[1:][change == 1]
    off = times[1:][change == -1]
    if lit[0]:
        on = np.concatenate([times[:1], on])
    if lit[-1]:
        off = np.concatenate([off, times[-1:]])
    merged: list[tuple[int, int]] = []
    for start, end in zip(on.tolist(), off.tolist(), strict=True):
        if merged and start - merged[-1][1] <= BLINKER_DARK_S * 1e9:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return [use for use in merged if use[0] != times[0]]


def _requests(telemetry: Telemetry, track: Track) -> tuple[Request, ...]:
    """Every use of one blinker; both at once are hazard lights and ask for nothing."""
    left, right = _uses(telemetry.blinker_left), _uses(telemetry.blinker_right)
    found = []
    for side, uses, others in ((1, left, right), (-1, right, left)):
        for start, end in uses:
            if not any(start < other_end and other_start < end for other_start, other_end in others):
                found.append(_request(track, side, start, end))
    return tuple(sorted(found, key=lambda request: request.start_ns))


def _request(track: Track, side: int, start_ns: int, off_ns: int) -> Request:
    """What one use of the blinker meant; side is 1 for left, -1 for right."""
    end_ns = min(off_ns + round(AFTER_BLINKER_S * 1e9), start_ns + round(MAX_MANOEUVRE_S * 1e9))
    window = track.window(start_ns, end_ns)
    yaw, distance = track.yaw_rad[window], track.distance_m[window]
    name, hand = "blinker", "left" if side > 0 else "right"
    if len(yaw) >= 2:
        turned = side * (yaw - yaw[0])
        shift = side * float(lateral_shift_m(yaw, distance))
        if turned.max() >= TURN_HEADING_RAD:
            name = f"turn_{hand}"
        elif abs(turned[-1]) <= LANE_HEADING_RAD and LANE_SHIFT_M[0] <= shift <= LANE_SHIFT_M[1]:
            name = f"lane_change_{hand}"
    return Request(start_ns, off_ns, DESIRES.index(name), end_ns)


def _unsignalled_lane_changes(track: Track) -> Bool[np.ndarray, " n"]:
    """Grid points within a clear S-shaped shift by a lane's width, blinker or not."""
    length = round(UNSIGNALLED_WINDOW_S / GRID_S) + 1
    marked = np.zeros(len(track.times_ns), np.bool_)
    if len(marked) < length:
        return marked
    yaw, distance = sliding_window_view(track.yaw_rad, length), sliding_window_view(track.distance_m, length)
    whole = (track.run[: len(yaw)] == track.run[length - 1 :]) & (track.run[: len(yaw)] >= 0)
    travelled = distance[:, -1] - distance[:, 0]
    shift = np.abs(lateral_shift_m(yaw, distance))
    swing = np.abs(yaw - yaw[:, :1]).max(1)
    hits = (
        whole
        & (travelled >= UNSIGNALLED_MIN_MPS * UNSIGNALLED_WINDOW_S)
        & (np.abs(yaw[:, -1] - yaw[:, 0]) <= UNSIGNALLED_RETURN * swing)
        & (swing >= UNSIGNALLED_SWING_RAD)
        & (shift >= LANE_SHIFT_M[0] + 0.5)
        & (shift <= LANE_SHIFT_M[1])
    )
    for start in np.flatnonzero(hits):
        # The window reaches beyond the manoeuvre: only where the heading is away from the road's is it under way.
        marked[start : start + length] |= np.abs(yaw[start] - yaw[start, 0]) >= UNSIGNALLED_RETURN * swing[start]
    return marked
