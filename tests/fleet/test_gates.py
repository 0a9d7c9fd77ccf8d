"""Every gate refuses what it should, says so with figures, and lets an ordinary drive through untouched."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import RecordingError
from dojo.fleet.gates import PLAUSIBLE, Limits, check, clean
from dojo.geometry import Camera
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
    drive = with_speed(drive_of(), lambda v: v * 2)
    telemetry = replace(drive.telemetry, latitude_deg=Signal(), longitude_deg=Signal())
    assert check(replace(drive, telemetry=telemetry)).rejections == ()


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed_mps", 120.0),
        ("speed_mps", 25.0),
        ("steering_wheel_angle_rad", 2.0),
        ("heading_rad", 1.5),
        ("gear", 3.0),
        ("blinker_left", 1.0),
        ("latitude_deg", 48.01),
        ("accelerator_pedal", 140.0),
    ],
)
@pytest.mark.parametrize("index", [0, 7, 49])
def test_a_sample_that_stands_out_from_both_neighbours_is_marked(name: str, value: float, index: int) -> None:
    times_ns = np.arange(50, dtype=np.int64) * NS // 20
    usual = {"speed_mps": 15.0, "gear": 1.0, "latitude_deg": 48.0}.get(name, 0.0)
    values = np.full(50, usual)
    values[index] = value
    cleaned, rejections = clean(Telemetry(**{name: Signal.measured(times_ns, values)}), "clip.mp4")
    if index in (0, 49) and PLAUSIBLE[name].stand_out * 2 >= abs(value - usual):
        return  # the ends have one neighbour only, and twice the allowance
    np.testing.assert_array_equal(np.flatnonzero(~getattr(cleaned, name).valid), [index])
    (rejection,) = rejections
    assert (rejection.where, rejection.gate) == ("clip.mp4", "implausible_value")
    assert rejection.reason.startswith(f"{name}: expected")
    assert rejection.start_ns == rejection.end_ns == times_ns[index]


@given(
    start=st.floats(0, 30),
    acceleration=st.floats(-8, 6),
    turn=st.floats(-0.8, 0.8),
    noise=st.floats(0, 0.1),
    fps=st.sampled_from([10.0, 20.0, 36.0, 100.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_sample_of_a_car_that_really_drives_stands_out(
    start: float, acceleration: float, turn: float, noise: float, fps: float
) -> None:
    t = np.arange(0, 4, 1 / fps)
    times_ns = (t * NS).astype(np.int64)
    wobble = noise * np.random.default_rng(1).standard_normal(len(t))
    heading = math.pi - 0.1 + turn * t
    telemetry = Telemetry(
        speed_mps=Signal.measured(times_ns, np.maximum(0, start + acceleration * t) + wobble),
        heading_rad=Signal.measured(times_ns, (heading + math.pi) % (2 * math.pi) - math.pi),
        steering_wheel_angle_rad=Signal.measured(times_ns, 5 * np.sin(t) + wobble),
        gear=Signal.measured(times_ns, np.where(t < 2, 0.0, 1.0)),
        blinker_right=Signal.measured(times_ns, np.floor(t / 0.4) % 2),
        latitude_deg=Signal.measured(times_ns, 48 + np.floor(t) * 40 / METRES_PER_DEGREE),
    )
    cleaned, rejections = clean(telemetry, "clip")
    assert rejections == ()
    assert cleaned.present() == telemetry.present()
