"""TeslaCam folders become drives: minutes joined, cameras laid over each other, telemetry in SI units."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.readers.reader import Reading, Recording
from dojo.fleet.readers.teslacam import TeslaCamReader
from dojo.geometry.rigid import yaw_of
from dojo.records import Drive

READER = TeslaCamReader()
FRAMES = 30
NS = 1_000_000_000


@pytest.fixture(scope="module")
def minutes(teslacam_files: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three consecutive "minutes" of three seconds of two cameras, and one without telemetry."""
    folder = tmp_path_factory.mktemp("minutes")
    made = {}
    for m in range(3):
        messages = teslacam_files.straight_drive(FRAMES, first_seq=1000 + FRAMES * m, start_s=3.0 * m)
        for offset, camera in enumerate(("front", "back")):
            path = folder / f"{m}-{camera}.mp4"
            made[f"{m}-{camera}"] = teslacam_files.write_clip(path, messages, picture_offset=FRAMES * m + 500 * offset)
    made["silent"] = teslacam_files.write_clip(folder / "silent.mp4", [None] * FRAMES)
    return made


@pytest.fixture
def tree(tmp_path: Path, minutes: dict[str, Path]) -> Path:
    """car-7/TeslaCam/RecentClips with the three minutes; returns the folder of the clips."""
    clips = tmp_path / "car-7" / "TeslaCam" / "RecentClips"
    clips.mkdir(parents=True)
    for m in range(3):
        for camera in ("front", "back"):
            shutil.copy(minutes[f"{m}-{camera}"], clips / f"2026-03-01_12-00-0{3 * m}-{camera}.mp4")
    return clips


def only(root: Path) -> Recording:
    (recording,) = READER.find(root, frozenset())
    return recording


def only_drive(reading: Reading) -> Drive:
    (drive,) = reading.drives
    return drive


def write(teslacam_files: ModuleType, root: Path, messages: list[dict[str, float] | None], **options: object) -> Drive:
    path = root / "car" / "TeslaCam" / "RecentClips" / "2026-03-01_12-00-00-front.mp4"
    teslacam_files.write_clip(path, messages, **options)
    return only_drive(READER.read(only(root)))


def test_consecutive_minutes_join_into_one_drive_without_a_seam(tree: Path) -> None:
    reading = READER.read(only(tree.parents[2]))
    drive = only_drive(reading)
    assert reading.rejections == drive.rejections == ()
    assert [(stream.name, len(stream.valid)) for stream in drive.cameras] == [("front", 90), ("back", 90)]
    for stream in drive.cameras:
        assert set(np.diff(stream.timestamps_ns).tolist()) == {NS // 10}
    assert drive.vehicle_id == "car-7"
    assert len(drive.provenance.files) == 6


def test_the_vehicle_is_named_by_the_folder_that_holds_the_tree_wherever_the_search_starts(tree: Path) -> None:
    expected = READER.read(only(tree.parents[2])).drives[0].drive_id
    for root in (tree.parents[1], tree.parent, tree):
        drive = only_drive(READER.read(only(root)))
        assert (drive.vehicle_id, drive.drive_id) == ("car-7", expected)


def test_a_file_that_is_known_is_not_found_again(tree: Path) -> None:
    known = {file.sha256 for file in only(tree).files}
    assert list(READER.find(tree, known)) == []
    assert len(next(READER.find(tree, sorted(known)[1:])).files) == 1


def test_a_saved_copy_of_a_recent_minute_is_the_same_minute(tree: Path, teslacam_files: ModuleType) -> None:
    event = tree.parent / "SavedClips" / "2026-03-01_12-00-05"
    teslacam_files.write_event(event, reason="user_honk", city="Bern", est_lat="46.9", est_lon="7.4")
    before = READER.read(only(tree.parents[2])).drives[0]
    shutil.copy(tree / "2026-03-01_12-00-00-front.mp4", event)
    reading = READER.read(only(tree.parents[2]))
    assert reading.rejections == ()
    after = only_drive(reading)
    assert after.drive_id == before.drive_id
    assert {"event_reason:user_honk", "event_city:Bern"} <= set(after.tags)
    assert not any(tag.startswith("event") for tag in before.tags)


def test_two_different_recordings_of_one_minute_are_told_and_the_fuller_one_is_used(
    tree: Path, teslacam_files: ModuleType
) -> None:
    event = tree.parent / "SavedClips" / "2026-03-01_12-00-05"
    short = teslacam_files.straight_drive(FRAMES - 10, first_seq=1000)
    teslacam_files.write_clip(event / "2026-03-01_12-00-00-front.mp4", short)
    reading = READER.read(only(tree.parents[2]))
    (rejection,) = reading.rejections
    assert rejection.gate == "conflicting_minute"
    assert "SavedClips" in rejection.where
    assert len(only_drive(reading).cameras[0].valid) == 90


def test_a_missing_minute_splits_the_drive(tree: Path) -> None:
    for path in tree.glob("*12-00-03*"):
        path.unlink()
    reading = READER.read(only(tree.parents[2]))
    assert [len(drive.cameras[0].valid) for drive in reading.drives] == [30, 30]


def test_a_refused_minute_splits_the_drive_and_the_rest_is_kept(tree: Path) -> None:
    (tree / "2026-03-01_12-00-03-back.mp4").unlink()
    (tree / "2026-03-01_12-00-03-front.mp4").write_bytes(b"")
    reading = READER.read(only(tree.parents[2]))
    assert [rejection.gate for rejection in reading.rejections] == ["empty_file"]
    assert len(reading.drives) == 2


def test_frames_that_the_car_counted_between_two_files_shift_the_second(
    tmp_path: Path, teslacam_files: ModuleType
) -> None:
    folder = tmp_path / "car" / "TeslaCam" / "RecentClips"
    teslacam_files.write_clip(
        folder / "2026-03-01_12-00-00-front.mp4", teslacam_files.straight_drive(FRAMES, first_seq=1)
    )
    later = teslacam_files.straight_drive(FRAMES, first_seq=1 + FRAMES + 4, start_s=3.4)
    teslacam_files.write_clip(folder / "2026-03-01_12-00-03-front.mp4", later, picture_offset=99)
    times_ns = only_drive(READER.read(only(tmp_path))).cameras[0].timestamps_ns
    assert times_ns[FRAMES] - times_ns[FRAMES - 1] == 5 * NS // 10


def test_files_whose_frame_numbers_run_backwards_are_not_joined(tmp_path: Path, teslacam_files: ModuleType) -> None:
    folder = tmp_path / "car" / "TeslaCam" / "RecentClips"
    for name, first in (("00", 900), ("03", 500)):
        messages = teslacam_files.straight_drive(FRAMES, first_seq=first)
        teslacam_files.write_clip(folder / f"2026-03-01_12-00-{name}-front.mp4", messages, picture_offset=first)
    assert len(READER.read(only(tmp_path)).drives) == 2


def test_cameras_are_laid_over_each_other_by_frame_number(tmp_path: Path, teslacam_files: ModuleType) -> None:
    folder = tmp_path / "car" / "TeslaCam" / "RecentClips"
    messages = teslacam_files.straight_drive(FRAMES + 3)
    teslacam_files.write_clip(folder / "2026-03-01_12-00-00-front.mp4", messages[:-3])
    teslacam_files.write_clip(folder / "2026-03-01_12-00-00-left_pillar.mp4", messages[3:], picture_offset=9)
    front, pillar = only_drive(READER.read(only(tmp_path))).cameras
    np.testing.assert_array_equal(pillar.timestamps_ns[:-3], front.timestamps_ns[3:])


def test_unequal_frame_times_come_from_the_container(tmp_path: Path, teslacam_files: ModuleType) -> None:
    durations = [0.1 if i % 3 else 0.125 for i in range(FRAMES)]
    drive = write(teslacam_files, tmp_path, teslacam_files.straight_drive(FRAMES), durations_s=durations)
    np.testing.assert_allclose(np.diff(drive.cameras[0].timestamps_ns) / NS, durations[:-1], atol=1e-4)
    np.testing.assert_array_equal(drive.telemetry.speed_mps.timestamps_ns, drive.cameras[0].timestamps_ns)


def test_telemetry_is_read_in_si_units_with_left_and_east_positive(tmp_path: Path, teslacam_files: ModuleType) -> None:
    messages = teslacam_files.straight_drive(FRAMES)
    telemetry = write(teslacam_files, tmp_path, messages).telemetry
    np.testing.assert_allclose(
        telemetry.speed_mps.values, [np.float32(message["vehicle_speed_mps"]) for message in messages]
    )
    # The manufacturer's viewer turns the wheel clockwise by the angle.
    np.testing.assert_allclose(
        telemetry.steering_wheel_angle_rad.values,
        [-math.radians(message["steering_wheel_angle"]) for message in messages],
        atol=1e-6,
    )
    np.testing.assert_allclose(telemetry.heading_rad.values, math.radians(45.0))
    np.testing.assert_array_equal(telemetry.blinker_left.values, [m["blinker_on_left"] for m in messages])
    np.testing.assert_array_equal(telemetry.blinker_right.values, 0.0)
    assert telemetry.brake_applied.valid.all()
    np.testing.assert_array_equal(telemetry.latitude_deg.values, [m["latitude_deg"] for m in messages])
    np.testing.assert_array_equal(
        telemetry.acceleration_x_mps2.values, [m["linear_acceleration_mps2_x"] for m in messages]
    )


def test_the_smoothed_path_follows_the_heading(tmp_path: Path, teslacam_files: ModuleType) -> None:
    ego = write(teslacam_files, tmp_path, teslacam_files.straight_drive(60)).ego
    np.testing.assert_allclose(yaw_of(ego.rotation[ego.valid]), math.radians(45.0), atol=0.05)


def test_a_right_hand_bend_shows_the_sense_of_a_left_positive_wheel(tmp_path: Path, teslacam_files: ModuleType) -> None:
    messages = teslacam_files.straight_drive(150)
    for i, message in enumerate(messages):
        message |= {"steering_wheel_angle": -40.0, "heading_deg": (45.0 + 0.6 * i) % 360}
    drive = write(teslacam_files, tmp_path, messages)
    assert "steering_by_heading" in drive.tags
    assert (drive.telemetry.steering_wheel_angle_rad.values < 0).all()


def test_a_position_of_zero_zero_is_no_fix_and_a_repeated_one_no_new_fix(
    tmp_path: Path, teslacam_files: ModuleType
) -> None:
    messages = teslacam_files.straight_drive(FRAMES)
    for i, message in enumerate(messages):
        source = messages[i - i % 5]
        message |= {"latitude_deg": source["latitude_deg"], "longitude_deg": source["longitude_deg"]}
    for message in messages[:5]:
        message |= {"latitude_deg": 0.0, "longitude_deg": 0.0}
    telemetry = write(teslacam_files, tmp_path, messages).telemetry
    np.testing.assert_array_equal(np.flatnonzero(telemetry.latitude_deg.valid), range(5, FRAMES, 5))


def test_a_frame_without_a_message_is_missing_not_zero(tmp_path: Path, teslacam_files: ModuleType) -> None:
    messages: list[dict[str, float] | None] = teslacam_files.straight_drive(FRAMES)
    messages[12] = None
    drive = write(teslacam_files, tmp_path, messages)
    assert len(drive.telemetry.speed_mps.values) == FRAMES - 1
    assert drive.cameras[0].valid.all()
    assert drive.rejections == ()


def test_clips_without_telemetry_are_refused_not_guessed_at(tree: Path, minutes: dict[str, Path]) -> None:
    for path in tree.glob("*.mp4"):
        path.unlink()
    shutil.copy(minutes["silent"], tree / "2026-03-01_12-00-00-front.mp4")
    with pytest.raises(RecordingError, match=r"front.mp4: expected telemetry .* found none in 30 frames") as caught:
        READER.read(only(tree))
    assert caught.value.gate == "no_telemetry"


def test_one_camera_with_telemetry_speaks_for_the_vehicle(tree: Path, minutes: dict[str, Path]) -> None:
    for path in tree.glob("*.mp4"):
        path.unlink()
    shutil.copy(minutes["silent"], tree / "2026-03-01_12-00-00-back.mp4")
    shutil.copy(minutes["0-front"], tree / "2026-03-01_12-00-00-front.mp4")
    drive = only_drive(READER.read(only(tree)))
    assert [stream.name for stream in drive.cameras] == ["front", "back"]


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("2026-03-01_12-00-00-nose.mp4", "unknown_camera"),
        ("2026-03-01_12-00-00-front.avi", "wrong_format"),
        ("2026-02-30_12-00-00-front.mp4", "wrong_name"),
        ("holiday.mp4", "wrong_name"),
    ],
)
def test_a_file_that_does_not_belong_is_a_recording_of_its_own_and_refused(
    tree: Path, minutes: dict[str, Path], name: str, gate: str
) -> None:
    shutil.copy(minutes["silent"], tree / name)
    strays = [recording for recording in READER.find(tree, frozenset()) if recording.files[0].path.name == name]
    with pytest.raises(RecordingError) as caught:
        READER.read(strays[0])
    assert caught.value.gate == gate


def test_frames_come_one_for_each_valid_time_across_files(tree: Path) -> None:
    recording = only(tree)
    drive = only_drive(READER.read(recording))
    for stream in drive.cameras:
        shown = [frame.timestamp_ns for frame in READER.frames(recording, drive, stream.name)]
        assert shown == stream.timestamps_ns[stream.valid].tolist()
    with pytest.raises(RecordingError, match="no camera 'left_pillar', it has front, back"):
        next(READER.frames(recording, drive, "left_pillar"))


def test_names_are_local_time_and_the_vehicle_file_says_where(tree: Path) -> None:
    local = only_drive(READER.read(only(tree)))
    assert "local_time" in local.tags
    (tree.parents[1] / "dojo-vehicle.toml").write_text("utc_offset_h = -7.0\n")
    utc = only_drive(READER.read(only(tree)))
    assert "local_time" not in utc.tags
    assert utc.cameras[0].timestamps_ns[0] - local.cameras[0].timestamps_ns[0] == 7 * 3600 * NS


def test_a_vehicle_file_that_cannot_be_understood_refuses_the_recording(tree: Path) -> None:
    (tree.parents[1] / "dojo-vehicle.toml").write_text("wheelbase_m = -1\n")
    with pytest.raises(RecordingError, match="wheelbase_m must be positive"):
        READER.read(only(tree))
