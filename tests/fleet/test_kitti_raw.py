"""KITTI raw: ten real frames, and copies of them that are broken on purpose."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.gates import Limits, check
from dojo.fleet.readers.kitti_raw import KittiRawReader
from dojo.geometry.rigid import yaw_of

READER = KittiRawReader()
TEN_FRAMES = Limits(min_duration_s=0.5)  # ten frames are one second


@pytest.fixture
def copy(real_recording: Callable[[str], Path], tmp_path: Path) -> Path:
    """The drive, to be broken."""
    shutil.copytree(real_recording("kitti_raw_drive_0002"), tmp_path / "kitti", copy_function=shutil.copyfile)
    return tmp_path / "kitti"


def test_the_drive_has_a_front_camera_at_the_height_that_its_authors_state(
    real_recording: Callable[[str], Path],
) -> None:
    (found,) = READER.find(real_recording("kitti_raw_drive_0002"), ())
    (drive,) = (check(drive, TEN_FRAMES) for drive in READER.read(found).drives)
    front, right = drive.cameras
    assert (front.name, right.name) == ("front", "image_03")
    x, _, z = front.camera.ego_from_camera.translation_m
    assert z == pytest.approx(1.65, abs=0.02)  # Geiger et al. 2013, figure 3, by another way around the chain
    assert x == pytest.approx(1.08, abs=0.05)
    baseline = front.camera.ego_from_camera.translation_m - right.camera.ego_from_camera.translation_m
    assert baseline == pytest.approx([0, 0.533, 0], abs=0.02)  # the stereo pair
    assert front.camera.focal_px == pytest.approx((721.54, 721.54), abs=0.01)
    assert front.camera.ego_from_camera.rotation[:, 2] == pytest.approx([1, 0, 0], abs=0.02)  # looks ahead


def test_only_the_frames_that_exist_get_times_although_the_list_has_more(
    real_recording: Callable[[str], Path],
) -> None:
    (found,) = READER.find(real_recording("kitti_raw_drive_0002"), ())
    (drive,) = READER.read(found).drives
    times = drive.cameras[0].timestamps_ns
    assert len(times) == 10
    assert (times[-1] - times[0]) / 1e9 == pytest.approx(0.93, abs=0.02)
    assert 0.004 < (drive.ego.timestamps_ns[0] - times[0]) / 1e9 < 0.0125  # the unit's stamp comes a little later
    frames = list(READER.frames(found, drive, "front"))
    assert [frame.timestamp_ns for frame in frames] == times.tolist()
    assert (frames[0].y.shape, frames[0].u.shape) == ((374, 1242), (187, 621))
    assert 16 <= frames[0].y.min() < frames[0].y.max() <= 235


def test_poses_move_as_the_unit_says_it_moves(real_recording: Callable[[str], Path]) -> None:
    (found,) = READER.find(real_recording("kitti_raw_drive_0002"), ())
    ego = READER.read(found).drives[0].ego
    seconds = ego.timestamps_ns / 1e9
    velocity = np.einsum("nji,nj->ni", ego.rotation, np.gradient(ego.translation_m, seconds, axis=0))
    assert velocity[:, 0] == pytest.approx(ego.speed_mps, abs=0.15)
    assert np.abs(velocity[:, 1:]).max() < 0.2
    turned = np.diff(yaw_of(ego.rotation)) / np.diff(seconds)
    assert turned == pytest.approx(0.5 * (ego.yaw_rate_radps[1:] + ego.yaw_rate_radps[:-1]), abs=0.02)
    assert ego.translation_m[0, 2] == pytest.approx(-0.93, abs=0.02)  # the ground, below the unit at the origin


def test_a_drive_is_known_by_its_pictures_not_by_the_calibration_of_the_day(copy: Path) -> None:
    (found,) = READER.find(copy, ())
    assert not list(READER.find(copy, {file.sha256 for file in found.files}))
    calibration = next(copy.rglob("calib_imu_to_velo.txt"))
    calibration.write_text(calibration.read_text() + "\n")
    (changed,) = READER.find(copy, ())
    assert READER.read(changed).drives[0].drive_id == READER.read(found).drives[0].drive_id


def test_a_damaged_picture_costs_one_frame(copy: Path) -> None:
    picture = sorted(copy.rglob("image_02/data/*.png"))[4]
    damaged = bytearray(picture.read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    picture.write_bytes(bytes(damaged))
    (found,) = READER.find(copy, ())
    (drive,) = READER.read(found).drives
    assert drive.cameras[0].valid.tolist() == [True] * 4 + [False] + [True] * 5
    (rejection,) = drive.rejections
    assert rejection.gate == "corrupt_frames"
    assert picture.name in rejection.reason
    assert sum(1 for _ in READER.frames(found, drive, "front")) == 9


@pytest.mark.parametrize(
    ("file", "content", "gate", "message"),
    [
        ("calib_imu_to_velo.txt", None, "missing_file", "expected the calibration of the day"),
        ("calib_velo_to_cam.txt", "R: 1 2 3\n", "unreadable_file", "expected R and T of a transform"),
        ("calib_cam_to_cam.txt", "S_00: 1 2\n", "unreadable_file", "expected R_rect_00"),
        ("calib_velo_to_cam.txt", "R: 1 0 0 0 1 0 0 0 2\nT: 0 0 0\n", "unreadable_file", "its matrix is no rotation"),
        ("calib_velo_to_cam.txt", "R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n", "inconsistent_recording", "put camera 0 near"),
        ("image_02/timestamps.txt", "9999-09-26 13:02:44.5\n" * 10, "unreadable_file", "line 1: expected"),
        ("0000000003.txt", "1 2 three\n", "unreadable_file", "expected 30 numbers, got 3 words"),
        ("image_02/timestamps.txt", "yesterday\n", "unreadable_file", "line 1: expected `YYYY-MM-DD"),
        ("image_02/timestamps.txt", None, "missing_file", "expected the times of the frames"),
        (
            "oxts/timestamps.txt",
            "".join(f"2011-09-26 13:02:{50 - n}.5\n" for n in range(10)),
            "clock_backwards",
            "9 do not increase",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(
    copy: Path, file: str, content: str | None, gate: str, message: str
) -> None:
    (path,) = (path for path in copy.rglob(Path(file).name) if str(path).endswith(file))
    path.unlink() if content is None else path.write_text(content)
    (found,) = READER.find(copy, ())
    with pytest.raises(RecordingError, match=message) as raised:
        READER.read(found)
    assert raised.value.gate == gate


@pytest.mark.parametrize(
    ("line", "written", "message"),
    [
        ("P_rect_02: 7.215377e+02", "P_rect_02: 7.615377e+02", "P_rect_00 and P_rect_02 hold different cameras"),
        ("P_rect_02: 7.215377e+02", "P_rect_02: 7.615377e+02", "P_rect_02 has focal lengths 761.538 and 721.538"),
        ("S_rect_02: 1.242000e+03", "S_rect_02: 1.392000e+03", "S_rect_02 says 1392 x 375, pictures have 1242 x 374"),
        ("4.485728e+01", "4.485728e+03", "P_rect_02 puts the camera more than 0.7 m from camera 0"),
    ],
)
def test_a_camera_that_its_calibration_contradicts_is_refused(
    copy: Path, line: str, written: str, message: str
) -> None:
    path = next(copy.rglob("calib_cam_to_cam.txt"))
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, written))
    (found,) = READER.find(copy, ())
    with pytest.raises(RecordingError, match=message) as raised:
        READER.read(found)
    assert raised.value.gate == "inconsistent_recording"


def test_a_missing_picture_or_packet_is_told(copy: Path) -> None:
    next(copy.rglob("image_03/data/0000000004.png")).unlink()
    next(copy.rglob("oxts/data/0000000009.txt")).unlink()
    (found,) = READER.find(copy, ())
    (drive,) = READER.read(found).drives
    assert [(told.where, told.gate) for told in drive.rejections] == [
        ("oxts", "missing_frame"),
        ("image_03", "missing_frame"),
    ]
    assert "1 are missing: 9" in drive.rejections[0].reason
