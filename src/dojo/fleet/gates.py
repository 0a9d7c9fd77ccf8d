"""Checks that every drive passes before anything of it is stored, whatever format it came in.

In: a drive, or its telemetry before poses are made from it. Out: the same with everything untrustworthy marked invalid
and a `Rejection` for each mark; or `RecordingError` where too little is left.
Idea: refuse the smallest thing that is wrong: a sample, a span, a camera, and only then the drive. A gate compares two
things that the recording says independently (frame times with their own rhythm, speed with GNSS, poses with speed, one
sample with its neighbours), because no single series can say that it is wrong. Pure functions: no file is opened here.
Not here: damage that shows in a file itself (`readers/decode.py`), poses (`ego.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordingError
from dojo.geometry.place import ecef_from_geodetic
from dojo.records import CameraStream, Drive, Rejection, Signal, Telemetry

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """Where plausible ends. All are far from what roads and cars do, so that only faults cross them.

    Args:
        gap_factor: frames further apart than this many median intervals were dropped. Source: the value of the
            project's issue on ingest; auto exposure stretches intervals by up to 2.
        max_lost_share: a camera that misses more of the drive's time than this is refused. Assumed.
        pose_gap_s: over longer frame gaps the poses are refused too. Assumed: equal to the smoother's longest gap.
        clock_jump_s: a longer gap is a jump of the clock, not dropped frames. Assumed.
        min_duration_s: a shorter drive is refused. Assumed: four anchors at 5 Hz and the frames around them.
        min_clock_overlap: share of frames that must lie within the telemetry's time. Assumed.
        gnss_window_s: speeds are compared over this time. Assumed: fixes 3 m out change the mean over 5 s by 1 m/s.
        gnss_speed_mps, gnss_speed_share: allowed difference, the larger of the two. Assumed: see `gnss_window_s`; a
            speedometer may show 10 % too much (UN R39), wheel speed less.
        max_contradicting_share: more of the compared time contradicting refuses the drive. Assumed.
        pose_step_m, pose_step_share: how far a pose may lie from where speed would carry it. Assumed: 1 m is beyond
            what a smoothed pose moves between samples, and far below a wrong fix.
        acceleration_mps2: of speed, between neighbouring samples at least 0.05 s apart. Source: tyres give about
            10 m/s² (Gillespie, Fundamentals of Vehicle Dynamics, ch. 3); Assumed: twice that for noise.
    """

    gap_factor: float = 2.5
    max_lost_share: float = 0.3
    pose_gap_s: float = 1.0
    clock_jump_s: float = 5.0
    min_duration_s: float = 2.0
    min_clock_overlap: float = 0.5
    gnss_window_s: float = 5.0
    gnss_speed_mps: float = 3.0
    gnss_speed_share: float = 0.2
    max_contradicting_share: float = 0.5
    pose_step_m: float = 1.0
    pose_step_share: float = 0.5
    acceleration_mps2: float = 20.0


@dataclass(frozen=True)
class Plausible:
    """What one signal can say: its range, and how far one sample may stand out from both neighbours.

    Args:
        stand_out: in the signal's own unit; for a switch any sample that differs from two equal neighbours stands out.
    """

    low: float
    high: float
    stand_out: float
    angle: bool = False


# Assumed: ranges wider than any road car's. A sample that stands out returns to the neighbours' line within one step,
# at 20 Hz at 20 m/s², 7 rad/s at the wheel, 2 rad/s of turning: no car does.
PLAUSIBLE = {
    "speed_mps": Plausible(-30.0, 100.0, 1.0),
    "yaw_rate_radps": Plausible(-3.0, 3.0, 0.3),
    "steering_wheel_angle_rad": Plausible(-20.0, 20.0, 0.35),
    "acceleration_x_mps2": Plausible(-50.0, 50.0, 8.0),
    "acceleration_y_mps2": Plausible(-50.0, 50.0, 8.0),
    "acceleration_z_mps2": Plausible(-50.0, 50.0, 15.0),
    "accelerator_pedal": Plausible(0.0, 101.0, 60.0),  # some log 0 to 1, some per cent
    "brake_applied": Plausible(0.0, 1.0, math.inf),  # a tap may be as short as a frame
    "blinker_left": Plausible(0.0, 1.0, 0.5),
    "blinker_right": Plausible(0.0, 1.0, 0.5),
    "gear": Plausible(0.0, 3.0, 0.5),  # records.Telemetry.GEARS
    "assist_state": Plausible(0.0, 3.0, 0.5),  # records.Telemetry.ASSIST_STATES
    "latitude_deg": Plausible(-90.0, 90.0, 3e-4),  # 33 m
    "longitude_deg": Plausible(-180.0, 180.0, 3e-4),
    "altitude_m": Plausible(-500.0, 9000.0, 30.0),
    "heading_rad": Plausible(-math.inf, math.inf, 0.1, angle=True),
}
NEIGHBOUR_S = 0.25
"""Samples further apart are not compared. Assumed: slower signals move too much between samples."""
_MAX_SPANS = 10
"""More refused spans of one signal than this are told as one."""


def clean(telemetry: Telemetry, where: str) -> tuple[Telemetry, tuple[Rejection, ...]]:
    """Telemetry with implausible samples marked invalid, and what was marked.

    Readers call it before they make poses, so that one flipped bit does not bend a path.
    """
    rejections: list[Rejection] = []
    cleaned: dict[str, Signal] = {}
    for field in fields(telemetry):
        signal: Signal = getattr(telemetry, field.name)
        bad = _implausible(signal, PLAUSIBLE[field.name])
        cleaned[field.name] = replace(signal, valid=signal.valid & ~bad)
        rejections += _sample_rejections(where, field.name, signal, bad)
    return Telemetry(**cleaned), tuple(rejections)


def _implausible(signal: Signal, plausible: Plausible) -> Bool[np.ndarray, " n"]:
    """Valid samples out of range, or far from what both neighbours say."""
    bad = signal.valid & ((signal.values < plausible.low) | (signal.values > plausible.high))
    kept = np.flatnonzero(signal.valid & ~bad)
    if len(kept) >= 3:
        bad[kept[_standing_out(signal.timestamps_ns[kept], signal.values[kept], plausible)]] = True
    return bad


def _standing_out(
    timestamps_ns: Int64[np.ndarray, " n"], values: Float64[np.ndarray, " n"], plausible: Plausible
) -> Bool[np.ndarray, " n"]:
    """Samples further from the line through their neighbours than the signal moves there anyway."""
    t = (timestamps_ns - timestamps_ns[0]) / NS_PER_S
    v = np.unwrap(values) if plausible.angle else values
    # The ends have neighbours on one side only: the line through the next two samples, with twice the allowance.
    before = np.concatenate([[1], np.arange(len(v) - 2), [len(v) - 3]])
    after = np.concatenate([[2], np.arange(2, len(v)), [len(v) - 2]])
    allowance = np.full(len(v), plausible.stand_out)
    allowance[[0, -1]] *= 2
    slope = (v[after] - v[before]) / (t[after] - t[before])
    away = v - (v[before] + slope * (t - t[before]))
    if plausible.angle:
        away = (away + math.pi) % (2 * math.pi) - math.pi
    moved = np.abs(v[after] - v[before])
    near = np.maximum(t[after], t) - np.minimum(t[before], t) <= 2 * NEIGHBOUR_S
    found = near & (np.abs(away) > allowance + 2 * moved)
    # A good sample between a bad one and a good one stands out too, but less: keep only the local worst.
    size = np.where(found, np.abs(away), 0.0)
    return found & (size >= np.maximum(np.append(size[1:], 0.0), np.append(0.0, size[:-1])))


def _sample_rejections(where: str, name: str, signal: Signal, bad: Bool[np.ndarray, " n"]) -> Iterator[Rejection]:
    spans = list(_runs(bad))
    if len(spans) > _MAX_SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    for first, last in spans:
        inside = bad[first : last + 1]
        values = signal.values[first : last + 1][inside]
        plausible = PLAUSIBLE[name]
        yield Rejection(
            where,
            "implausible_value",
            f"{name}: expected {plausible.low:g} to {plausible.high:g} and no sample that stands out from both "
            f"neighbours by {plausible.stand_out:g}, got {values[0]:g} ({int(inside.sum())} samples); marked invalid",
            (("samples", float(inside.sum())), ("low", float(values.min())), ("high", float(values.max()))),
            int(signal.timestamps_ns[first]),
            int(signal.timestamps_ns[last]),
        )


def check(drive: Drive, limits: Limits | None = None) -> Drive:
    """The drive with every span that fails a gate marked invalid and told in `rejections`.

    Raises:
        RecordingError: gate `too_short`, `no_camera`, `no_pose`, `clock_jump` or `speed_contradicts_gnss`, where too
            little is left.
    """
    limits = limits or Limits()
    for gate in (_clocks, _frame_gaps, _accelerations, _gnss_speed, _pose_jumps):
        drive = gate(drive, limits)
    return _enough_left(drive, limits)


def _runs(marks: Bool[np.ndarray, " n"]) -> Iterator[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)


def _within(times_ns: Int64[np.ndarray, " n"], start_ns: int, end_ns: int) -> Bool[np.ndarray, " n"]:
    return (times_ns >= start_ns) & (times_ns <= end_ns)


def _without_poses(drive: Drive, start_ns: int, end_ns: int) -> Drive:
    ego = drive.ego
    return replace(drive, ego=replace(ego, valid=ego.valid & ~_within(ego.timestamps_ns, start_ns, end_ns)))


def _without_frames(drive: Drive, camera: str | None, start_ns: int, end_ns: int) -> Drive:
    """Frames of one camera, or of all, in the span marked invalid."""
    cameras = tuple(
        replace(stream, valid=stream.valid & ~_within(stream.timestamps_ns, start_ns, end_ns))
        if camera in (None, stream.name)
        else stream
        for stream in drive.cameras
    )
    return replace(drive, cameras=cameras)


def _told(drive: Drive, *rejections: Rejection) -> Drive:
    return replace(drive, rejections=(*drive.rejections, *rejections))


def _clocks(drive: Drive, limits: Limits) -> Drive:
    """Cameras whose clock runs beside the telemetry's."""
    kept: list[CameraStream] = []
    refused = []
    times_ns = drive.ego.timestamps_ns
    for stream in drive.cameras:
        inside = _within(stream.timestamps_ns, int(times_ns[0]), int(times_ns[-1])) if len(times_ns) else np.zeros(0)
        share = float(inside.mean()) if inside.size else 0.0
        if share >= limits.min_clock_overlap:
            kept.append(stream)
            continue
        refused.append(
            Rejection(
                stream.name,
                "clock_jump",
                f"camera {stream.name}: expected at least {limits.min_clock_overlap:.0%} of its frames while the "
                f"vehicle was heard, got {share:.0%}; check that camera and telemetry share a clock",
                (("share", share),),
            )
        )
    return _told(replace(drive, cameras=tuple(kept)), *refused)


def _frame_gaps(drive: Drive, limits: Limits) -> Drive:
    """Spans where frames are missing from a camera's own rhythm; a camera that misses too much is refused."""
    for stream in drive.cameras:
        if len(stream.timestamps_ns) < 3:
            continue
        steps = np.diff(stream.timestamps_ns)
        usual_ns = float(np.median(steps))
        gaps = np.flatnonzero(steps > limits.gap_factor * usual_ns)
        lost_s = float((steps[gaps] - usual_ns).sum()) / NS_PER_S
        share = lost_s / ((stream.timestamps_ns[-1] - stream.timestamps_ns[0]) / NS_PER_S)
        if share > limits.max_lost_share:
            drive = _told(
                replace(drive, cameras=tuple(c for c in drive.cameras if c.name != stream.name)),
                Rejection(
                    stream.name,
                    "dropped_frames",
                    f"camera {stream.name}: expected at most {limits.max_lost_share:.0%} of the time without frames, "
                    f"got {share:.0%} in {len(gaps)} gaps; the camera is left out",
                    (("lost_s", lost_s), ("lost_share", share), ("gaps", float(len(gaps)))),
                ),
            )
            continue
        for gap in gaps.tolist():
            drive = _refuse_gap(drive, stream, gap, usual_ns, limits)
    return drive


def _refuse_gap(drive: Drive, stream: CameraStream, gap: int, usual_ns: float, limits: Limits) -> Drive:
    start_ns, end_ns = int(stream.timestamps_ns[gap]), int(stream.timestamps_ns[gap + 1])
    gap_s = (end_ns - start_ns) / NS_PER_S
    drive = _without_frames(drive, stream.name, start_ns, end_ns)
    if gap_s > limits.pose_gap_s:
        drive = _without_poses(drive, start_ns, end_ns)
    return _told(
        drive,
        Rejection(
            stream.name,
            "clock_jump" if gap_s > limits.clock_jump_s else "dropped_frames",
            f"camera {stream.name}: expected a frame every {usual_ns / 1e6:.0f} ms, got none for {gap_s:.2f} s after "
            f"frame {gap}; the frames on both sides are not used",
            (("gap_s", gap_s), ("usual_s", usual_ns / NS_PER_S)),
            start_ns,
            end_ns,
        ),
    )


def _accelerations(drive: Drive, limits: Limits) -> Drive:
    """Spans over which speed changes faster than tyres allow."""
    speed = drive.telemetry.speed_mps
    times_ns, values = speed.timestamps_ns[speed.valid], speed.values[speed.valid]
    if len(times_ns) < 2:
        return drive
    # Quantised speeds at high rates change by a step from one sample to the next: at least 50 ms count.
    elapsed_s = np.maximum(np.diff(times_ns) / NS_PER_S, 0.05)
    rates = np.diff(values) / elapsed_s
    for first, last in _runs(np.abs(rates) > limits.acceleration_mps2):
        start_ns, end_ns = int(times_ns[first]), int(times_ns[last + 1])
        worst = float(np.abs(rates[first : last + 1]).max())
        drive = _told(
            _without_frames(_without_poses(drive, start_ns, end_ns), None, start_ns, end_ns),
            Rejection(
                "speed_mps",
                "implausible_value",
                f"speed: expected changes below {limits.acceleration_mps2:g} m/s², got {worst:.1f} m/s²; the span "
                "is not used",
                (("acceleration_mps2", worst),),
                start_ns,
                end_ns,
            ),
        )
    return drive


def _gnss_speed(drive: Drive, limits: Limits) -> Drive:
    """Spans where the fixes move at another speed than the vehicle says.

    Raises:
        RecordingError: gate `speed_contradicts_gnss`, where that is most of the time.
    """
    starts_ns, ends_ns, gnss_mps, own_mps = _speeds_beside(drive.telemetry, limits.gnss_window_s)
    if len(starts_ns) == 0:
        return drive
    difference = np.abs(gnss_mps - np.abs(own_mps))
    bad = difference > np.maximum(limits.gnss_speed_mps, limits.gnss_speed_share * np.abs(own_mps))
    share = float(bad.mean())
    if share > limits.max_contradicting_share:
        raise RecordingError(
            "speed_contradicts_gnss",
            f"drive {drive.drive_id}: expected speed and GNSS to agree within {limits.gnss_speed_mps:g} m/s, they "
            f"differ for {share:.0%} of the time, in the median by {np.median(difference):.1f} m/s; check the units",
            {"contradicting_share": share, "median_difference_mps": float(np.median(difference))},
        )
    for first, last in _runs(bad):
        start_ns, end_ns = int(starts_ns[first]), int(ends_ns[last])
        worst = float(difference[first : last + 1].max())
        drive = _told(
            _without_frames(_without_poses(drive, start_ns, end_ns), None, start_ns, end_ns),
            Rejection(
                "speed_mps",
                "speed_contradicts_gnss",
                f"expected speed and GNSS to agree within {limits.gnss_speed_mps:g} m/s, they differ by up to "
                f"{worst:.1f} m/s; the span is not used",
                (("difference_mps", worst),),
                start_ns,
                end_ns,
            ),
        )
    return drive


def _speeds_beside(
    telemetry: Telemetry, window_s: float
) -> tuple[
    Int64[np.ndarray, " windows"],
    Int64[np.ndarray, " windows"],
    Float64[np.ndarray, " windows"],
    Float64[np.ndarray, " windows"],
]:
    """Start, end, speed by GNSS and the vehicle's own mean speed of windows that lie side by side."""
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    fixed = telemetry.latitude_deg.valid
    if not fixed.any() or not telemetry.speed_mps.valid.any():
        return none
    times_ns = telemetry.latitude_deg.timestamps_ns[fixed]
    longitude_deg, known = telemetry.longitude_deg.at(times_ns)
    times_ns, latitude_deg = times_ns[known], telemetry.latitude_deg.values[fixed][known]
    if len(times_ns) < 2:
        return none
    # One fix per window, the first in it: the line between two of them is what GNSS says about the time between.
    window = (times_ns - times_ns[0]) // int(window_s * NS_PER_S)
    chosen = np.flatnonzero(np.diff(window, prepend=-1) > 0)
    places_m = ecef_from_geodetic(latitude_deg[chosen], longitude_deg[known][chosen], np.zeros(len(chosen)))
    starts_ns, ends_ns = times_ns[chosen][:-1], times_ns[chosen][1:]
    elapsed_s = (ends_ns - starts_ns) / NS_PER_S
    gnss_mps = np.linalg.norm(np.diff(places_m, axis=0), axis=1) / elapsed_s
    moments_ns = (starts_ns[:, None] + (ends_ns - starts_ns)[:, None] * np.linspace(0, 1, 21)).astype(np.int64)
    own_mps, heard = telemetry.speed_mps.at(moments_ns.ravel())
    # Turning by a right angle within a window makes the chord 10 % shorter than the way: within the allowed share.
    usable = heard.reshape(moments_ns.shape).all(1) & (elapsed_s >= window_s / 2) & (elapsed_s <= 3 * window_s)
    return starts_ns[usable], ends_ns[usable], gnss_mps[usable], own_mps.reshape(moments_ns.shape).mean(1)[usable]


def _pose_jumps(drive: Drive, limits: Limits) -> Drive:
    """Steps between poses that the vehicle's speed does not explain."""
    ego = drive.ego
    kept = np.flatnonzero(ego.valid)
    if len(kept) < 2:
        return drive
    times_ns, places_m = ego.timestamps_ns[kept], ego.translation_m[kept]
    elapsed_s = np.diff(times_ns) / NS_PER_S
    speeds_mps = np.abs(ego.speed_mps[kept])
    expected_m = np.maximum(speeds_mps[:-1], speeds_mps[1:]) * elapsed_s
    moved_m = np.linalg.norm(np.diff(places_m, axis=0), axis=1)
    excess_m = moved_m - expected_m * (1 + limits.pose_step_share)
    for first, last in _runs(excess_m > limits.pose_step_m):
        start_ns, end_ns = int(times_ns[first]), int(times_ns[last + 1])
        worst = float(moved_m[first : last + 1].max())
        drive = _told(
            _without_frames(_without_poses(drive, start_ns, end_ns), None, start_ns, end_ns),
            Rejection(
                "ego",
                "pose_jump",
                f"expected poses that move as fast as the vehicle, got a step of {worst:.1f} m where speed explains "
                f"{float(expected_m[first : last + 1].max()):.1f} m; the span is not used",
                (("step_m", worst),),
                start_ns,
                end_ns,
            ),
        )
    return drive


def _enough_left(drive: Drive, limits: Limits) -> Drive:
    """The drive with the cameras that still have frames.

    Raises:
        RecordingError: gate `no_camera`, `no_pose` or `too_short`.
    """
    reasons = "; ".join(f"{r.where}: {r.gate}" for r in drive.rejections) or "none was refused before"
    cameras = tuple(stream for stream in drive.cameras if stream.valid.any())
    if not cameras:
        raise RecordingError(
            "no_camera", f"drive {drive.drive_id}: expected a camera with usable frames, none is left ({reasons})"
        )
    if not drive.ego.valid.any():
        raise RecordingError(
            "no_pose", f"drive {drive.drive_id}: expected poses of the vehicle, none is left ({reasons})"
        )
    longest_s = max(
        float(stream.timestamps_ns[stream.valid][-1] - stream.timestamps_ns[stream.valid][0]) / NS_PER_S
        for stream in cameras
    )
    if longest_s < limits.min_duration_s:
        raise RecordingError(
            "too_short",
            f"drive {drive.drive_id}: expected at least {limits.min_duration_s:g} s of usable frames, got "
            f"{longest_s:.2f} s ({reasons})",
            {"duration_s": longest_s},
        )
    return replace(drive, cameras=cameras)
