"""Segments of comma2k19: a synthetic one that is known exactly, and the real one."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.gates import check
from dojo.fleet.readers.comma2k19 import Comma2k19Reader, read_motion
from dojo.geometry.rigid import yaw_of

READER = Comma2k19Reader()


@pytest.fixture(scope="module")
def comma2k19_files() -> SimpleNamespace:
    """What `comma2k19_files.py` defines."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comma2k19_files.py"))))


@pytest.fixture(scope="module")
def segment(comma2k19_files: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return comma2k19_files.write_segment(tmp_path_factory.mktemp("comma"))


def test_a_segment_is_found_once_and_not_again_when_its_files_are_known(segment: Path) -> None:
    (found,) = READER.find(segment.parents[1], ())
    assert found.label == "b0c9d2329ad1606b_2018-08-02--08-34-47/40"
    assert not list(READER.find(segment.parents[1], {file.sha256 for file in found.files}))


def test_the_mounting_is_recovered_from_the_direction_of_travel(
    segment: Path, comma2k19_files: SimpleNamespace
) -> None:
    (found,) = READER.find(segment.parents[1], ())
    (drive,) = READER.read(found).drives
    camera = drive.cameras[0].camera
    optical_axis = camera.ego_from_camera.rotation[:, 2]
    assert np.arctan2(optical_axis[1], optical_axis[0]) == pytest.approx(comma2k19_files.YAW_RAD, abs=1e-6)
    assert -np.arcsin(optical_axis[2]) == pytest.approx(comma2k19_files.PITCH_RAD, abs=1e-6)
    assert camera.focal_px == (910.0, 910.0)
    # A point straight ahead at the camera's height appears right of and above the middle.
    (pixel,), _ = camera.project(np.array([[1000.0, 0.0, 1.22]]))
    assert pixel == pytest.approx([582 + 910 * np.tan(0.02), 437 - 910 * np.tan(0.05)], abs=1.5)


def test_the_recorded_pose_becomes_the_ego_pose_on_the_ground(segment: Path, comma2k19_files: SimpleNamespace) -> None:
    motion, refused = read_motion(segment)
    assert refused == ()
    assert motion.ego.source == "recorded"
    assert not motion.ego.covariance_valid.any()
    assert yaw_of(motion.ego.rotation) == pytest.approx(np.pi / 2)  # north
    assert motion.ego.translation_m[0] == pytest.approx([0, -1.65, -1.22], abs=1e-6)
    steps = np.diff(motion.ego.translation_m, axis=0) / 0.05
    assert steps == pytest.approx(np.tile([0, comma2k19_files.SPEED_MPS, 0], (59, 1)), abs=2e-3)
    assert motion.ego.speed_mps == pytest.approx(comma2k19_files.SPEED_MPS)
    assert motion.telemetry.steering_wheel_angle_rad.values == pytest.approx(np.radians(2.0))
    assert motion.telemetry.acceleration_z_mps2.values == pytest.approx(0.0, abs=1e-6)
    assert motion.frame_times_ns[0] == 1_533_168_000_000_000_000 - 18_000_000_000  # 2018-08-02 by GPS, in UTC


def test_every_frame_of_the_stream_without_times_gets_its_frame_time(segment: Path) -> None:
    (found,) = READER.find(segment.parents[1], ())
    (drive,) = (check(drive) for drive in READER.read(found).drives)
    frames = list(READER.frames(found, drive, "front"))
    assert [frame.timestamp_ns for frame in frames] == drive.cameras[0].timestamps_ns.tolist()
    assert [int(frame.y.mean()) for frame in frames] == pytest.approx(np.arange(40, 100), abs=2)
    assert frames[0].y.shape == (874, 1164)


def test_a_shorter_video_keeps_its_beginning_and_says_so(comma2k19_files: SimpleNamespace, tmp_path: Path) -> None:
    comma2k19_files.write_segment(tmp_path, frames=50, video_frames=45)
    (found,) = READER.find(tmp_path, ())
    (drive,) = READER.read(found).drives
    assert len(drive.cameras[0].timestamps_ns) == 45
    assert [rejection.gate for rejection in drive.rejections] == ["truncated_file"]


@pytest.mark.parametrize(
    ("spoil", "gate", "message"),
    [
        ("no video", "missing_video", r"expected video\.hevc beside processed_log and global_pose, found none"),
        ("more frames", "clock_jump", "expected 50 frames, one for each frame time, got 55"),
        ("other size", "unknown_camera", "expected 1164 x 874 pictures .* got 640 x 480"),
        ("no speed", "missing_file", r"missing: processed_log/CAN/speed/value; unreadable: none"),
        ("torn pose", "unreadable_file", r"unreadable: global_pose/frame_positions \("),
        ("backwards", "clock_backwards", "expected increasing frame times, 49 do not increase"),
        ("other count", "inconsistent_recording", r"frame_velocities is \(7, 3\), not \(50, 3\)"),
        ("standing", "uncalibrated_camera", "expected 40 frames straight ahead and faster than 5 m/s .* got 0"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(
    comma2k19_files: SimpleNamespace, tmp_path: Path, spoil: str, gate: str, message: str
) -> None:
    video_frames = {"more frames": 55, "other size": 50}.get(spoil, 0)
    size = (640, 480) if spoil == "other size" else (1164, 874)
    folder = comma2k19_files.write_segment(tmp_path, frames=50, video_frames=video_frames, size=size)
    pose = folder / "global_pose"
    if spoil == "no speed":
        (folder / "processed_log/CAN/speed/value").unlink()
    elif spoil == "torn pose":
        (pose / "frame_positions").write_bytes((pose / "frame_positions").read_bytes()[:100])
    elif spoil == "backwards":
        times = np.load(pose / "frame_times")[::-1]
        with (pose / "frame_times").open("wb") as opened:
            np.save(opened, times)
    elif spoil == "other count":
        with (pose / "frame_velocities").open("wb") as opened:
            np.save(opened, np.ones((7, 3)))
    elif spoil == "standing":
        with (pose / "frame_velocities").open("wb") as opened:
            np.save(opened, np.zeros((50, 3)))
    (found,) = READER.find(tmp_path, ())
    with pytest.raises(RecordingError, match=message) as raised:
        READER.read(found)
    assert raised.value.gate == gate


def test_a_series_whose_times_do_not_match_its_values_is_left_out(
    comma2k19_files: SimpleNamespace, tmp_path: Path
) -> None:
    folder = comma2k19_files.write_segment(tmp_path, frames=60, video_frames=0)
    path = folder / "processed_log/CAN/steering_angle/t"
    times = np.load(path)
    with path.open("wb") as opened:
        np.save(opened, times[:-5])
    motion, (told,) = read_motion(folder)
    assert (told.where, told.gate) == ("CAN/steering_angle", "inconsistent_recording")
    assert not motion.telemetry.steering_wheel_angle_rad.valid.any()
    assert motion.telemetry.speed_mps.valid.all()


def test_one_wrong_velocity_does_not_turn_the_mounting(comma2k19_files: SimpleNamespace, tmp_path: Path) -> None:
    folder = comma2k19_files.write_segment(tmp_path, frames=60, video_frames=0)
    path = folder / "global_pose/frame_velocities"
    velocities = np.load(path)
    velocities[30] = -velocities[30, ::-1]
    with path.open("wb") as opened:
        np.save(opened, velocities)
    optical_axis = read_motion(folder)[0].ego_from_device.rotation[:, 0]
    assert np.arctan2(optical_axis[1], optical_axis[0]) == pytest.approx(comma2k19_files.YAW_RAD, abs=1e-6)


def test_the_real_segment_without_video_is_refused_but_its_motion_holds(
    real_recording: Callable[[str], Path],
) -> None:
    root = real_recording("comma2k19_example")
    (found,) = READER.find(root, ())
    with pytest.raises(RecordingError, match="download the segment with its video"):
        READER.read(found)
    motion, refused = read_motion(found.folder)
    assert refused == ()
    seconds = motion.frame_times_ns / 1e9
    velocity = np.gradient(motion.ego.translation_m, seconds, axis=0)
    along = np.einsum("nji,nj->ni", motion.ego.rotation, velocity)
    # The vehicle goes where its x axis points: sideways and upward far slower than the 1.1 m/s of the tilted device.
    assert np.abs(along.mean(0)[1:]).max() < 0.02
    assert np.median(np.abs(along[:, 0] - motion.ego.speed_mps)) < 0.02
    heard, known = motion.telemetry.speed_mps.at(motion.frame_times_ns)
    assert np.abs(heard - motion.ego.speed_mps)[known].max() < 0.5
    gyro, known = motion.telemetry.yaw_rate_radps.at(motion.frame_times_ns)
    assert np.corrcoef(gyro[known], motion.ego.yaw_rate_radps[known])[0, 1] > 0.7


def test_the_real_telemetry_with_a_video_of_the_same_size_becomes_a_drive(
    real_recording: Callable[[str], Path], comma2k19_files: SimpleNamespace, tmp_path: Path
) -> None:
    source = real_recording("comma2k19_example")
    shutil.copytree(source, tmp_path / "copy")
    (folder,) = (path.parent for path in (tmp_path / "copy").rglob("global_pose"))
    comma2k19_files.write_video(folder / "video.hevc", 100, (1164, 874))
    (found,) = READER.find(tmp_path, ())
    (drive,) = (check(drive) for drive in READER.read(found).drives)
    assert drive.vehicle_id == "b0c9d2329ad1606b"
    # The last of 100 frames may be cut: the stream is raw, and shorter than the minute.
    assert sum(1 for _ in READER.frames(found, drive, "front")) == int(drive.cameras[0].valid.sum()) == 99
    assert {file.path.name for file in found.files} >= {"video.hevc", "camera_intrinsics.txt", "frame_positions"}
