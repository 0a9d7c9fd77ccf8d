"""What every recording format must do, checked on a whole recording of each."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.gates import Limits, check
from dojo.fleet.gateway import find_recordings, receive
from dojo.fleet.readers import READERS
from dojo.fleet.readers.reader import Reader, Recording

NAMES = [reader.name for reader in READERS]
LIMITS = Limits(min_duration_s=0.5)  # KITTI's ten frames are one second


def helpers(name: str) -> SimpleNamespace:
    """What a file beside this one defines."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name(name))))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, teslacam_files: ModuleType) -> Path:
    """One recording of each format that can be written here, each in a folder named like its reader."""
    root = tmp_path_factory.mktemp("fleet")
    clip = root / "teslacam" / "car-01" / "TeslaCam" / "RecentClips" / "2026-03-01_12-00-00-front.mp4"
    teslacam_files.write_clip(clip, teslacam_files.straight_drive(60))
    helpers("comma2k19_files.py").write_segment(root / "comma2k19")
    table = helpers("test_video_table.py")
    folder = root / "video_table"
    folder.mkdir()
    table.write_video(folder / "drive.mp4")
    table.write_csv(folder / "log.csv", table.columns())
    (folder / "monday.dojo.toml").write_text(table.DESCRIPTION)
    return root


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest, fleet: Path, real_recording: Callable[[str], Path]) -> tuple[Reader, Path]:
    """A reader and a folder with a recording of its format."""
    reader = READERS[NAMES.index(request.param)]
    if reader.name == "kitti_raw":
        return reader, real_recording("kitti_raw_drive_0002")
    assert (fleet / reader.name).is_dir(), f"add a recording of {reader.name} to this file"
    return reader, fleet / reader.name


@pytest.fixture
def broken(case: tuple[Reader, Path], tmp_path: Path) -> tuple[Reader, Path]:
    """A copy of the recording that may be damaged."""
    reader, folder = case
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    return reader, tmp_path / "copy"


def only_recording(reader: Reader, folder: Path) -> Recording:
    (recording,) = reader.find(folder, ())
    return recording


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_a_recording_is_found_by_its_own_reader_and_no_other(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    assert [recording.reader for recording in find_recordings(folder)] == [reader.name]


def test_finding_is_repeatable_and_stops_at_known_files(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    first, second = only_recording(reader, folder), only_recording(reader, folder)
    assert first == second
    assert first.files
    assert all(file.size_bytes == file.path.stat().st_size for file in first.files)
    assert not list(reader.find(folder, {file.sha256 for file in first.files}))


def test_reading_gives_drives_whose_parts_agree(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    recording = only_recording(reader, folder)
    reading = reader.read(recording)
    assert reading.drives
    for drive in reading.drives:
        assert drive.provenance.reader == reader.name
        assert {sha for _, sha, _ in drive.provenance.files} <= {file.sha256 for file in recording.files}
        assert "front" in [stream.name for stream in drive.cameras]
        assert drive.ego.valid.any()
        assert drive.telemetry.speed_mps.valid.any()
        for stream in drive.cameras:
            # Cameras and poses share a clock: the pictures lie within what the vehicle said, or next to it.
            apart_ns = abs(int(stream.timestamps_ns[0]) - int(drive.ego.timestamps_ns[0]))
            assert apart_ns < 3_000_000_000
            assert 0.5 < stream.camera.ego_from_camera.translation_m[2] < 3.0
            assert stream.camera.ego_from_camera.rotation[0, 2] > 0.9 or stream.name != "front"


def test_poses_move_as_fast_as_the_speed_says(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    for drive in reader.read(only_recording(reader, folder)).drives:
        ego = drive.ego
        moved = np.linalg.norm(np.diff(ego.translation_m, axis=0), axis=1) / np.diff(ego.timestamps_ns / 1e9)
        both = ego.valid[1:] & ego.valid[:-1]
        assert np.median(np.abs(moved - np.abs(ego.speed_mps[1:]))[both]) < 0.3
        heard, known = drive.telemetry.speed_mps.at(ego.timestamps_ns)
        assert np.median(np.abs(heard - ego.speed_mps)[known & ego.valid]) < 0.3


def test_there_is_one_frame_for_each_valid_time_in_order(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    recording = only_recording(reader, folder)
    for drive in (check(drive, LIMITS) for drive in reader.read(recording).drives):
        for stream in drive.cameras:
            times = []
            for frame in reader.frames(recording, drive, stream.name):
                times.append(frame.timestamp_ns)
                assert frame.y.shape == (stream.camera.height_px, stream.camera.width_px)
                assert frame.u.shape == frame.v.shape == (stream.camera.height_px // 2, stream.camera.width_px // 2)
            assert times == stream.timestamps_ns[stream.valid].tolist()


def test_reading_twice_gives_the_same_drive(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    recording = only_recording(reader, folder)
    one, other = reader.read(recording).drives[0], reader.read(recording).drives[0]
    assert one.drive_id == other.drive_id
    assert (one.ego.translation_m == other.ego.translation_m).all()
    assert [stream.name for stream in one.cameras] == [stream.name for stream in other.cameras]


def test_the_same_bytes_elsewhere_are_the_same_drive(case: tuple[Reader, Path], broken: tuple[Reader, Path]) -> None:
    reader, folder = case
    _, copy = broken
    ids = [reader.read(only_recording(reader, place)).drives[0].drive_id for place in (folder, copy)]
    assert ids[0] == ids[1]


def test_an_unknown_camera_is_refused(case: tuple[Reader, Path]) -> None:
    reader, folder = case
    recording = only_recording(reader, folder)
    drive = reader.read(recording).drives[0]
    with pytest.raises(RecordingError) as raised:
        list(reader.frames(recording, drive, "underfloor"))
    assert raised.value.gate == "unknown_camera"


@pytest.mark.parametrize("seed", range(4))
def test_damage_to_any_file_is_refused_or_told_and_never_crashes(broken: tuple[Reader, Path], seed: int) -> None:
    _, folder = broken
    rng = np.random.default_rng(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.md")
    victim = files[int(rng.integers(len(files)))]
    content = bytearray(victim.read_bytes())
    if seed % 2:
        del content[int(rng.integers(len(content))) :]
    else:
        for place in rng.integers(0, len(content), 20):
            content[place] = int(rng.integers(256))
    victim.write_bytes(bytes(content))
    for recording in find_recordings(folder):
        reading = receive(recording, LIMITS)
        assert reading.drives or reading.rejections
        for refused in (*reading.rejections, *(r for drive in reading.drives for r in drive.rejections)):
            assert refused.gate not in ("reader_failed", ""), refused.reason
            assert refused.reason


@pytest.mark.parametrize("kind", ["empty", "text"])
def test_files_that_hold_something_else_are_refused_with_a_reason(broken: tuple[Reader, Path], kind: str) -> None:
    reader, folder = broken
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".mp4", ".hevc", ".png"):
            path.write_bytes(b"" if kind == "empty" else b"this is a shopping list\n" * 50)
    (recording,) = (found for found in find_recordings(folder) if found.reader == reader.name)
    reading = receive(recording, LIMITS)
    assert not reading.drives
    assert reading.rejections
    assert all(refused.gate != "reader_failed" and refused.reason for refused in reading.rejections)
