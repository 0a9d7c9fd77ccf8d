"""Checks that every drive passes before anything of it is stored, whatever format it came in.

In: a drive. Out: the same with everything untrustworthy marked invalid and a `Rejection` for each mark; or
`RecordingError` where too little is left.
Idea: refuse the smallest thing that is wrong: a span, a camera, and only then the drive. A gate compares two things
that the recording says independently (frame times with their own rhythm, poses with speed and with their neighbours),
because no single series can say that it is wrong. Pure functions: no file is opened here.
Not here: damage that shows in a file itself (`readers/decode.py`), single samples, which readers clean before they make
poses (`samples.py`), signals that contradict one another (`witnesses.py`), the numbers (`limits.py`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from dojo.errors import RecordingError
from dojo.fleet.limits import Limits
from dojo.fleet.marks import NS_PER_S, refused_span, runs, told, within
from dojo.fleet.samples import PLAUSIBLE, clean
from dojo.fleet.witnesses import gnss_speed, other_witnesses
from dojo.records import CameraStream, Drive, EgoMotion, Rejection

__all__ = ["PLAUSIBLE", "Limits", "check", "clean"]


def check(drive: Drive, limits: Limits | None = None) -> Drive:
    """The drive with every span that fails a gate marked invalid and told in `rejections`.

    Raises:
        RecordingError: gate `too_short`, `no_camera`, `no_pose`, `clock_jump`, `speed_contradicts_gnss` or
            `contradiction`, where too little is left or nobody can say which of two signals is right.
    """
    limits = limits or Limits()
    for gate in (
        _clocks,
        _frame_gaps,
        _hurried_frames,
        _without_poses,
        _tilted_poses,
        _accelerations,
        gnss_speed,
        other_witnesses,
        _pose_steps,
        _poses_aside,
    ):
        drive = gate(drive, limits)
    return _enough_left(drive, limits)


def _clocks(drive: Drive, limits: Limits) -> Drive:
    """Cameras whose clock runs beside the telemetry's."""
    kept: list[CameraStream] = []
    refused = []
    times_ns = drive.ego.timestamps_ns
    for stream in drive.cameras:
        inside = within(stream.timestamps_ns, int(times_ns[0]), int(times_ns[-1])) if len(times_ns) else np.zeros(0)
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
    return told(replace(drive, cameras=tuple(kept)), *refused)


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
            drive = told(
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
    refused = Rejection(
        stream.name,
        "clock_jump" if gap_s > limits.clock_jump_s else "dropped_frames",
        f"camera {stream.name}: expected a frame every {usual_ns / 1e6:.0f} ms, got none for {gap_s:.2f} s after "
        f"frame {gap}; the frames on both sides are not used",
        (("gap_s", gap_s), ("usual_s", usual_ns / NS_PER_S)),
        start_ns,
        end_ns,
    )
    return refused_span(drive, refused, camera=stream.name, poses=gap_s > limits.pose_gap_s)


def _hurried_frames(drive: Drive, limits: Limits) -> Drive:
    """Frames whose time is too near to the one before: one of the two times is wrong."""
    for stream in drive.cameras:
        steps = np.diff(stream.timestamps_ns)
        if len(steps) < 2:
            continue
        usual_ns = float(np.median(steps))
        for first, last in runs(steps < limits.hurry_factor * usual_ns):
            worst_s = float(steps[first : last + 1].min()) / NS_PER_S
            refused = Rejection(
                stream.name,
                "frame_rhythm",
                f"camera {stream.name}: expected a frame every {usual_ns / 1e6:.0f} ms, frame {first + 1} comes after "
                f"{worst_s * 1e3:.1f} ms; it and the one before are not used",
                (("step_s", worst_s), ("usual_s", usual_ns / NS_PER_S)),
                int(stream.timestamps_ns[first]),
                int(stream.timestamps_ns[last + 1]),
            )
            drive = refused_span(drive, refused, camera=stream.name, poses=False)
    return drive


def _without_poses(drive: Drive, limits: Limits) -> Drive:
    """Tell where the pictures show a time of which no pose is known: no clip will reach into it."""
    ego, seen_ns = drive.ego, [stream.timestamps_ns[stream.valid] for stream in drive.cameras if stream.valid.any()]
    known_ns = ego.timestamps_ns[ego.valid]
    if not seen_ns or not len(known_ns):
        return drive
    first_ns, last_ns = int(min(times[0] for times in seen_ns)), int(max(times[-1] for times in seen_ns))
    usual_ns = float(np.median(np.diff(known_ns))) if len(known_ns) > 1 else 0.0
    edges_ns = np.concatenate([[min(first_ns, known_ns[0])], known_ns, [max(last_ns, known_ns[-1])]])
    for gap in np.flatnonzero(np.diff(edges_ns) > limits.pose_gap_s * NS_PER_S + usual_ns).tolist():
        start_ns, end_ns = int(edges_ns[gap]), int(edges_ns[gap + 1])
        gap_s = (end_ns - start_ns) / NS_PER_S
        drive = told(
            drive,
            Rejection(
                "ego",
                "no_pose",
                f"expected poses wherever there are pictures, none are known for {gap_s:.1f} s; no clip is cut there",
                (("gap_s", gap_s),),
                start_ns,
                end_ns,
            ),
        )
    return drive


def _accelerations(drive: Drive, limits: Limits) -> Drive:
    """Spans over which speed changes faster than tyres allow."""
    speed = drive.telemetry.speed_mps
    times_ns, values = speed.timestamps_ns[speed.valid], speed.values[speed.valid]
    if len(times_ns) < 2:
        return drive
    # Quantised speeds at high rates change by a step from one sample to the next: at least 50 ms count.
    elapsed_s = np.maximum(np.diff(times_ns) / NS_PER_S, 0.05)
    rates = np.diff(values) / elapsed_s
    for first, last in runs(np.abs(rates) > limits.acceleration_mps2):
        worst = float(np.abs(rates[first : last + 1]).max())
        refused = Rejection(
            "speed_mps",
            "implausible_value",
            f"speed: expected changes below {limits.acceleration_mps2:g} m/s², got {worst:.1f} m/s²; the span is not "
            "used",
            (("acceleration_mps2", worst),),
            int(times_ns[first]),
            int(times_ns[last + 1]),
        )
        drive = refused_span(drive, refused)
    return drive


def _tilted_poses(drive: Drive, limits: Limits) -> Drive:
    """Poses that lean as no road does."""
    ego = drive.ego
    tilt_rad = np.arccos(np.clip(ego.rotation[:, 2, 2], -1.0, 1.0))
    for first, last in runs(ego.valid & (tilt_rad > limits.tilt_rad)):
        worst = float(tilt_rad[first : last + 1].max())
        refused = Rejection(
            "ego",
            "pose_jump",
            f"expected poses that lean by at most {limits.tilt_rad:g} rad, got {worst:.2f} rad; the span is not used",
            (("tilt_rad", worst),),
            int(ego.timestamps_ns[first]),
            int(ego.timestamps_ns[last]),
        )
        drive = refused_span(drive, refused)
    return drive


def _pose_steps(drive: Drive, limits: Limits) -> Drive:
    """Steps between poses that the vehicle's speed does not explain."""
    ego = drive.ego
    kept = np.flatnonzero(ego.valid)
    if len(kept) < 2:
        return drive
    times_ns, places_m = ego.timestamps_ns[kept], ego.translation_m[kept]
    speeds_mps = np.abs(ego.speed_mps[kept])
    expected_m = np.maximum(speeds_mps[:-1], speeds_mps[1:]) * np.diff(times_ns) / NS_PER_S
    moved_m = np.linalg.norm(np.diff(places_m, axis=0), axis=1)
    excess_m = moved_m - expected_m * (1 + limits.pose_step_share)
    for first, last in runs(excess_m > limits.pose_step_m):
        worst = float(moved_m[first : last + 1].max())
        refused = Rejection(
            "ego",
            "pose_jump",
            f"expected poses that move as fast as the vehicle, got a step of {worst:.1f} m where speed explains "
            f"{float(expected_m[first : last + 1].max()):.1f} m; the span is not used",
            (("step_m", worst),),
            int(times_ns[first]),
            int(times_ns[last + 1]),
        )
        drive = refused_span(drive, refused)
    return drive


def _poses_aside(drive: Drive, limits: Limits) -> Drive:
    """Single poses that lie or look aside of where their neighbours on both sides would put them."""
    ego = drive.ego
    kept = np.flatnonzero(ego.valid)
    if len(kept) < 3:
        return drive
    times_ns = ego.timestamps_ns[kept]
    aside_m, aside_rad = _aside(ego, kept)
    steps_ns = np.where(np.diff(kept) == 1, np.diff(times_ns), _NEIGHBOUR_NS + 1)  # none across what is refused already
    near = np.maximum(steps_ns[:-1], steps_ns[1:]) <= _NEIGHBOUR_NS
    excess = np.where(near, np.maximum(aside_m / limits.pose_aside_m, aside_rad / limits.pose_aside_rad), 0.0)
    # The neighbours of a bad pose stand out half as much: the whole stretch around it goes.
    for first, last in runs(excess > 1):
        worst_m, worst_rad = float(aside_m[first : last + 1].max()), float(aside_rad[first : last + 1].max())
        refused = Rejection(
            "ego",
            "pose_jump",
            f"expected poses in line with their neighbours, got one {worst_m:.2f} m and {worst_rad:.3f} rad aside; the "
            "span is not used",
            (("aside_m", worst_m), ("aside_rad", worst_rad)),
            int(times_ns[first]),
            int(times_ns[last + 2]),
        )
        drive = refused_span(drive, refused)
    return drive


_NEIGHBOUR_NS = NS_PER_S // 4
"""Poses further apart are not compared. Assumed: a vehicle does too much in between."""


def _aside(
    ego: EgoMotion, kept: Int64[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " inner"], Float64[np.ndarray, " inner"]]:
    """Of each pose but the first and the last: metres and radians from the line between its neighbours."""
    t = (ego.timestamps_ns[kept] - ego.timestamps_ns[kept[0]]) / NS_PER_S
    place_m, rotation = ego.translation_m[kept], ego.rotation[kept]
    share = ((t[1:-1] - t[:-2]) / (t[2:] - t[:-2]))[:, None]
    aside_m = np.linalg.norm(place_m[1:-1] - (1 - share) * place_m[:-2] - share * place_m[2:], axis=1)
    into = _turns(rotation[:-1], rotation[1:])
    aside_rad = np.linalg.norm((1 - share) * into[:-1] - share * into[1:], axis=1)
    return aside_m, aside_rad


def _turns(one: Float64[np.ndarray, "n 3 3"], other: Float64[np.ndarray, "n 3 3"]) -> Float64[np.ndarray, "n 3"]:
    """Axis times angle of the turn from one to the other, up to a right angle; for larger turns, less than it."""
    turn = np.einsum("nji,njk->nik", one, other)
    return 0.5 * np.stack(
        [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], -1
    )


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
            f"{longest_s:.2f} s ({reasons}); for so short a recording lower the limit min_duration_s",
            {"duration_s": longest_s},
        )
    return replace(drive, cameras=cameras)
