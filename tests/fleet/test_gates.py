"""Every gate refuses what it should, says so with figures, and lets an ordinary drive through untouched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.gates import Limits, check
from dojo.geometry import Camera, Rigid
from dojo.records import CameraStream, Drive, EgoMotion, Provenance, Signal, Telemetry

NS = 1_000_000_000
SPEED_MPS = 15.0
METRES_PER_DEGREE = 111_195.0  # of latitude near 48 degrees north, to a few parts in ten thousand


def drive_of(seconds: float = 30.0, fps: float = 20.0, speed_mps: float = SPEED_MPS) -> Drive:
    """A car that drives north at a steady speed."""
    times_ns = (np.arange(0.0, seconds, 1 / fps) * NS).astype(np.int64)
    t = times_ns / NS
    count = len(times_ns)
    ego = EgoMotion(
        times_ns,
        np.tile(np.eye(3), (count, 1, 1)),
        np.stack([speed_mps * t, np.zeros(count), np.zeros(count)], -1),
        np.full(count, speed_mps),
        np.zeros(count),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    telemetry = Telemetry(
        speed_mps=Signal.measured(times_ns, np.full(count, speed_mps)),
        latitude_deg=Signal.measured(times_ns, 48.0 + speed_mps * t / METRES_PER_DEGREE),
        longitude_deg=Signal.measured(times_ns, np.full(count, 11.0)),
    )
    stream = CameraStream("front", Camera.mounted(64, 48, 50.0), times_ns, np.ones(count, np.bool_))
    return Drive("d", "v", "r", (stream,), telemetry, ego, Provenance("test", ()))


def with_speed(drive: Drive, change: Callable[[np.ndarray], np.ndarray]) -> Drive:
    speed = drive.telemetry.speed_mps
    changed = Signal(speed.timestamps_ns, change(speed.values.copy()), speed.valid)
    return replace(drive, telemetry=replace(drive.telemetry, speed_mps=changed))


def without_frames(drive: Drive, first: int, last: int) -> Drive:
    stream = drive.cameras[0]
    kept = np.r_[0:first, last : len(stream.valid)]
    cut = replace(stream, timestamps_ns=stream.timestamps_ns[kept], valid=stream.valid[kept])
    return replace(drive, cameras=(cut,))


def test_an_ordinary_drive_passes_untouched() -> None:
    drive = drive_of()
    assert check(drive) == drive


def test_dropped_frames_refuse_the_span_around_them() -> None:
    checked = check(without_frames(drive_of(), 100, 110))
    (rejection,) = checked.rejections
    assert (rejection.where, rejection.gate) == ("front", "dropped_frames")
    assert dict(rejection.figures)["gap_s"] == pytest.approx(0.55)
    assert (rejection.start_ns, rejection.end_ns) == (int(4.95 * NS), int(5.5 * NS))
    np.testing.assert_array_equal(np.flatnonzero(~checked.cameras[0].valid), [99, 100])
    assert checked.ego.valid.all()


def test_a_long_gap_is_a_jump_of_the_clock_and_refuses_the_poses_too() -> None:
    checked = check(without_frames(drive_of(60.0), 100, 230))
    assert checked.rejections[0].gate == "clock_jump"
    assert not checked.ego.valid[99:231].any()


def test_a_camera_that_misses_too_much_is_left_out() -> None:
    drive = without_frames(drive_of(), 100, 400)
    with pytest.raises(RecordingError, match=r"expected a camera .*front: dropped_frames") as caught:
        check(drive)
    assert caught.value.gate == "no_camera"
    whole = replace(drive_of().cameras[0], name="back")
    checked = check(replace(drive, cameras=(*drive.cameras, whole)))
    assert [stream.name for stream in checked.cameras] == ["back"]
    assert dict(checked.rejections[0].figures)["lost_share"] == pytest.approx(0.5, abs=0.01)


def test_unequal_frame_intervals_are_not_dropped_frames() -> None:
    drive = drive_of()
    stream = drive.cameras[0]
    jitter = np.where(np.arange(len(stream.valid)) % 3 == 0, 30_000_000, 0)
    assert (
        check(replace(drive, cameras=(replace(stream, timestamps_ns=stream.timestamps_ns + jitter),))).rejections == ()
    )


def test_a_camera_on_another_clock_is_refused() -> None:
    drive = drive_of()
    late = replace(drive.cameras[0], timestamps_ns=drive.cameras[0].timestamps_ns + 3600 * NS)
    with pytest.raises(RecordingError, match="front: clock_jump"):
        check(replace(drive, cameras=(late,)))


def test_a_speed_that_contradicts_gnss_throughout_refuses_the_drive() -> None:
    with pytest.raises(RecordingError, match=r"in the median by 39.0 m/s; check the units") as caught:
        check(with_speed(drive_of(), lambda v: v * 3.6))
    assert caught.value.gate == "speed_contradicts_gnss"
    assert caught.value.figures["contradicting_share"] == 1.0


def test_a_speed_that_contradicts_gnss_for_a_while_refuses_that_span() -> None:
    def slower(values: np.ndarray) -> np.ndarray:
        values[200:300] = np.linspace(15, 5, 100)
        values[300:400] = np.linspace(5, 15, 100)
        return values

    checked = check(with_speed(drive_of(), slower))
    (rejection,) = checked.rejections
    assert rejection.gate == "speed_contradicts_gnss"
    assert not checked.ego.valid[220:380].any()
    assert checked.ego.valid[:190].all()
    assert checked.ego.valid[420:].all()


def test_a_drive_without_gnss_cannot_contradict_it() -> None:
    drive, slower = drive_of(speed_mps=30.0), drive_of().telemetry
    fixes = replace(drive.telemetry, latitude_deg=slower.latitude_deg, longitude_deg=slower.longitude_deg)
    with pytest.raises(RecordingError, match="expected speed and GNSS to agree"):
        check(replace(drive, telemetry=fixes))
    silent = replace(drive.telemetry, latitude_deg=Signal(), longitude_deg=Signal())
    assert check(replace(drive, telemetry=silent)).rejections == ()


def test_reversing_does_not_contradict_gnss() -> None:
    assert check(with_speed(drive_of(), lambda v: -v)).rejections == ()


def test_a_jump_of_the_pose_refuses_the_step() -> None:
    drive = drive_of()
    moved = drive.ego.translation_m.copy()
    moved[300:] += [0.0, 8.0, 0.0]
    checked = check(replace(drive, ego=replace(drive.ego, translation_m=moved)))
    (rejection,) = checked.rejections
    assert rejection.gate == "pose_jump"
    assert dict(rejection.figures)["step_m"] == pytest.approx(8.04, abs=0.01)
    np.testing.assert_array_equal(np.flatnonzero(~checked.ego.valid), [299, 300])


def test_a_speed_that_changes_faster_than_tyres_allow_refuses_the_step() -> None:
    checked = check(with_speed(drive_of(), lambda v: np.where(np.arange(len(v)) < 300, v, v + 2.5)))
    assert [rejection.gate for rejection in checked.rejections] == ["implausible_value"]
    assert dict(checked.rejections[0].figures)["acceleration_mps2"] == pytest.approx(50.0)


def test_what_is_too_short_or_has_nothing_left_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"expected at least 2 s of usable frames, got 0\.95 s") as caught:
        check(drive_of(1.0))
    assert caught.value.gate == "too_short"
    drive = drive_of()
    nowhere = replace(drive.ego, valid=np.zeros_like(drive.ego.valid))
    with pytest.raises(RecordingError, match="expected poses of the vehicle, none is left"):
        check(replace(drive, ego=nowhere))
    assert check(drive_of(1.0), Limits(min_duration_s=0.5)).rejections == ()


def test_a_frame_that_comes_too_soon_is_refused_with_the_one_before() -> None:
    drive = drive_of()
    times = drive.cameras[0].timestamps_ns.copy()
    times[100] = times[101] - 5_000_000
    checked = check(replace(drive, cameras=(replace(drive.cameras[0], timestamps_ns=times),)))
    (rejection,) = checked.rejections
    assert rejection.gate == "frame_rhythm"
    assert "frame 101 comes after 5.0 ms" in rejection.reason
    np.testing.assert_array_equal(np.flatnonzero(~checked.cameras[0].valid), [100, 101])
    assert checked.ego.valid.all()


def test_pictures_of_a_time_without_poses_are_told() -> None:
    drive = drive_of()
    known = np.ones(len(drive.ego.valid), np.bool_)
    known[:60] = known[300:350] = False
    checked = check(replace(drive, ego=replace(drive.ego, valid=known)))
    assert [rejection.gate for rejection in checked.rejections] == ["no_pose", "no_pose"]
    assert [dict(rejection.figures)["gap_s"] for rejection in checked.rejections] == pytest.approx([3.0, 2.55])
    assert checked.cameras[0].valid.all()


def test_a_single_pose_that_looks_or_lies_aside_is_refused_with_its_neighbours() -> None:
    drive = drive_of()
    turned, moved = drive.ego.rotation.copy(), drive.ego.translation_m.copy()
    turned[200] = Rigid.from_euler(0.0, 0.0, 0.2).rotation
    moved[400, 1] += 0.9
    for ego, index in (
        (replace(drive.ego, rotation=turned), 200),
        (replace(drive.ego, translation_m=moved), 400),
    ):
        checked = check(replace(drive, ego=ego))
        assert {rejection.gate for rejection in checked.rejections} == {"pose_jump"}
        assert not checked.ego.valid[index]
        assert (~checked.ego.valid).sum() <= 5


def test_poses_that_lean_as_no_road_does_are_refused() -> None:
    drive = drive_of()
    leaning = drive.ego.rotation.copy()
    leaning[300:] = Rigid.from_euler(0.9, 0.0, 0.0).rotation
    checked = check(replace(drive, ego=replace(drive.ego, rotation=leaning)))
    assert checked.rejections[0].reason.startswith("expected poses that lean by at most 0.5 rad, got 0.90 rad")
    assert not checked.ego.valid[300:].any()
    assert checked.ego.valid[:298].all()
