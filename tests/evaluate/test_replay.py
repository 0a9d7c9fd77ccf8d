"""A stored drive can be driven beside: the right frame, seen from where the ego is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import EvaluationError
from dojo.evaluate.replay import Place, Pose, RecordedLine, ReplayCamera
from dojo.geometry import MODEL_VIEW
from dojo.geometry.reproject import Reprojector, displaced
from dojo.geometry.rigid import Rigid
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Telemetry

HALF_S = 500_000_000


def rotations(yaws: np.ndarray) -> np.ndarray:
    return np.stack([Rigid.from_euler(0.0, 0.0, float(yaw)).rotation for yaw in yaws])


def drive_along(times_s: np.ndarray, along_m: np.ndarray, curvature_per_m: float = 0.0, origin_s: float = 7.0) -> Drive:
    """A drive on a circle, poses at the times given, a frame at every second one and between."""
    yaw = curvature_per_m * along_m
    chord = along_m * np.sinc(yaw / (2 * np.pi))
    positions = np.stack([100 + chord * np.cos(yaw / 2), 50 + chord * np.sin(yaw / 2), np.zeros_like(yaw)], -1)
    times_ns = np.round((times_s + origin_s) * 1e9).astype(np.int64)
    count = len(times_ns)
    ego = EgoMotion(
        times_ns,
        rotations(yaw),
        positions,
        np.gradient(along_m, times_s),
        np.gradient(yaw, times_s),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    frames_ns = times_ns[:-1:2] + 10_000_000
    stream = CameraStream("front", MODEL_VIEW, frames_ns, np.ones(len(frames_ns), np.bool_))
    return Drive("d", "v", "r", (stream,), Telemetry(), ego, Provenance("test", ()))


def steady(speed_mps: float = 10.0, curvature_per_m: float = 0.0) -> Drive:
    times_s = np.arange(0, 12, 0.025)
    return drive_along(times_s, speed_mps * times_s, curvature_per_m)


class Textures:
    """Smooth frames, each its own."""

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        columns, rows = np.meshgrid(np.arange(512), np.arange(256))
        made = []
        for index in indices:
            y = (120 + 60 * np.sin(columns / 17 + index) * np.cos(rows / 23)).astype(np.uint8)
            made.append(Frame(int(index), y, y[::2, ::2].copy(), y[1::2, 1::2].copy()))
        return made


@settings(max_examples=20, deadline=None)
@given(
    number=st.integers(20, 200),
    lateral=st.floats(-3.5, 3.5),
    yaw=st.floats(-0.3, 0.3),
    curvature=st.floats(-0.02, 0.02),
)
def test_beside_a_frame_the_place_is_that_frame_and_the_offset(number, lateral, yaw, curvature) -> None:
    line = RecordedLine(steady(curvature_per_m=curvature), "front")
    ego = line.pose(number).ahead(0.0, lateral, yaw)
    place = line.place(ego, int(line.timestamps_ns[number]) + HALF_S)
    assert place.frame == number
    assert (place.lateral_m, place.yaw_rad) == (pytest.approx(lateral, abs=1e-9), pytest.approx(yaw, abs=1e-9))
    assert abs(place.forward_m) < 1e-9
    assert place.within


@settings(max_examples=20, deadline=None)
@given(ahead=st.floats(-0.24, 0.24), speed=st.floats(5.0, 30.0))
def test_between_frames_the_nearest_is_taken_and_the_rest_is_driven_by_the_warp(ahead, speed) -> None:
    line = RecordedLine(steady(speed), "front")
    place = line.place(line.pose(100).ahead(ahead * speed * 0.1, 0.5, 0.0), int(line.timestamps_ns[100]))
    assert place.frame == 100
    assert place.forward_m == pytest.approx(ahead * speed * 0.1, abs=1e-6)


def test_a_slower_ego_sees_the_road_where_it_is_not_where_the_recording_was_by_then() -> None:
    line = RecordedLine(steady(), "front")
    place = line.place(line.pose(80), int(line.timestamps_ns[100]))
    assert place.frame == 80


def test_where_the_recording_stood_still_time_goes_on() -> None:
    times_s = np.arange(0, 12, 0.025)
    along = np.where(times_s < 4, 10 * times_s, np.where(times_s < 8, 40.0, 40 + 10 * (times_s - 8)))
    line = RecordedLine(drive_along(times_s, along), "front")
    standing = line.pose(100)
    shown = [line.place(standing, int(line.timestamps_ns[number])).frame for number in range(90, 150)]
    assert shown == list(range(90, 150))


def test_a_road_that_comes_back_to_the_same_place_is_not_mistaken_for_its_other_branch() -> None:
    times_s = np.arange(0, 70, 0.05)
    line = RecordedLine(drive_along(times_s, 10 * times_s, curvature_per_m=2 * math.pi / 300), "front")
    early, late = 100, 100 + 300
    assert math.hypot(line.pose(early).east_m - line.pose(late).east_m, 0) < 1.0, "one lap later"
    for number in (early, late):
        assert line.place(line.pose(number), int(line.timestamps_ns[number]) - HALF_S).frame == number


def test_the_recording_bears_four_metres_and_no_more() -> None:
    assert Place(0, 0.0, 4.0, 0.0).within
    assert not Place(0, 0.0, -4.01, 0.0).within
    assert not Place(0, 5.0, 0.0, 0.0).within
    assert not Place(0, 0.0, 0.0, 0.4).within


def test_on_the_line_the_camera_shows_the_recorded_frame() -> None:
    line = RecordedLine(steady(curvature_per_m=0.01), "front")
    camera = ReplayCamera(line, Textures())
    place = line.place(line.pose(60), int(line.timestamps_ns[60]))
    shown, recorded = camera.picture(place), camera.recorded(60)
    assert shown.timestamp_ns == recorded.timestamp_ns == 60
    # The pose comes back to within rounding, so the map does: 1/32 px of it changes a smooth picture by at most one.
    for one, other in ((shown.y, recorded.y), (shown.u, recorded.u), (shown.v, recorded.v)):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_beside_the_line_it_shows_the_warped_frame() -> None:
    line = RecordedLine(steady(), "front")
    camera = ReplayCamera(line, Textures())
    shown = camera.picture(Place(60, 0.2, 1.0, 0.02))
    frame = camera.recorded(60)
    expected = Reprojector(MODEL_VIEW, displaced(MODEL_VIEW, 1.0, 0.02, 0.2)).apply(frame.y, frame.u, frame.v)
    np.testing.assert_array_equal(shown.y[8:248, 220:290], expected[0][8:248, 220:290])
    assert not np.array_equal(shown.y, frame.y)
    np.testing.assert_array_equal(shown.y == 16, (shown.y == 16)[:, ::-1], "edges do not tell the side")
    assert (expected[0] == 16).sum() < (shown.y == 16).sum()


def test_poses_add_up_and_come_apart_again() -> None:
    pose = Pose(3.0, -2.0, 2.0)
    assert pose.ahead(1.5, -0.7, 0.4).seen_from(pose) == pytest.approx((1.5, -0.7, 0.4))
    assert pose.ahead(0.0, 0.0, 2 * math.pi + 0.1).seen_from(pose)[2] == pytest.approx(0.1)


def test_frames_without_a_pose_are_not_replayed() -> None:
    drive = steady()
    valid = drive.ego.valid.copy()
    valid[200:260] = False
    late = replace(drive, ego=replace(drive.ego, valid=valid))
    line = RecordedLine(late, "front")
    assert len(line) == len(drive.cameras[0].timestamps_ns) - 30
    assert set(range(100, 130)).isdisjoint(line.frames.tolist())


def test_a_drive_without_the_camera_or_without_poses_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"drive d: expected a camera 'rear', got \['front'\]"):
        RecordedLine(steady(), "rear")
    drive = steady()
    blind = replace(drive, ego=replace(drive.ego, valid=np.zeros_like(drive.ego.valid)))
    with pytest.raises(EvaluationError, match=r"drive d: expected frames with poses to replay, got 0; take a drive"):
        RecordedLine(blind, "front")


class Decoded:
    """The first frames of a recording, decoded in order."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        return [self._frames[int(index)] for index in indices]


def test_a_real_drive_replays_beside_its_own_line(real_recording: Callable[[str], Path], tmp_path: Path) -> None:
    from dojo.fleet.gates import check
    from dojo.fleet.readers.video_table import VideoTableReader

    (telemetry,) = real_recording("openpilot_demo_route").rglob("telemetry.npz")
    text = (Path(__file__).parents[1] / "fleet" / "openpilot_demo_route.toml").read_text()
    (tmp_path / "route.dojo.toml").write_text(text.replace('folder = "."', f'folder = "{telemetry.parent}"'))
    reader = VideoTableReader()
    (found,) = reader.find(tmp_path, ())
    drive = check(reader.read(found).drives[0])
    line = RecordedLine(drive, "front")
    source = Decoded(list(itertools.islice(reader.frames(found, drive, "front"), 120)))
    camera = ReplayCamera(line, source)
    number = 60
    now = int(line.timestamps_ns[number])
    plain = camera.recorded(number)
    on_line = camera.picture(line.place(line.pose(number), now))
    # The pose returns to within rounding: a 32nd of a pixel, at a hard edge a few of 255 steps.
    assert np.abs(on_line.y.astype(int) - plain.y).max() <= 8
    for lateral in (0.5, -0.5, 1.0, -1.0):
        place = line.place(line.pose(number).ahead(0.0, lateral, 0.0), now)
        shown = camera.picture(place)
        assert place.within
        assert place.lateral_m == pytest.approx(lateral, abs=0.02)
        # The sky stays, the road moves.
        assert np.abs(shown.y[20:80, 130:400].astype(int) - plain.y[20:80, 130:400]).mean() < 3
        assert np.abs(shown.y[130:200, 200:380].astype(int) - plain.y[130:200, 200:380]).mean() > 4
