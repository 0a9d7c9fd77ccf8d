"""Nothing that a recording contains stops the rest: what goes wrong becomes a refusal with its gate."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from dojo.errors import ConfigError, RecordError, RecordingError
from dojo.fleet.gateway import find_recordings, frames, reader_of, receive
from dojo.fleet.readers import READERS
from dojo.fleet.readers.reader import Reading, Recording, drive_id_of, source_file
from dojo.records import Drive, Frame


@dataclass(frozen=True)
class Failing:
    """A reader whose one recording goes wrong in the way given."""

    error: Exception
    name: str = "failing"

    def find(self, root: Path, known: Collection[str]) -> Iterator[Recording]:
        yield Recording(self.name, "the one", (), root)

    def read(self, recording: Recording) -> Reading:
        raise self.error

    def frames(self, recording: Recording, drive: Drive, camera_name: str) -> Iterator[Frame]:
        yield from ()


@pytest.mark.parametrize(
    ("error", "gate", "reason"),
    [
        (RecordingError("no_speed", "expected speed", {"x_s": 1.0}), "no_speed", "expected speed"),
        (OSError("disk is gone"), "unreadable_file", "the system says: disk is gone"),
        (RecordError("camera names repeat"), "inconsistent_recording", "RecordError: camera names repeat"),
        (ZeroDivisionError("oops"), "reader_failed", "ZeroDivisionError: oops; please report it"),
    ],
)
def test_whatever_a_reader_raises_becomes_a_refusal(tmp_path: Path, error: Exception, gate: str, reason: str) -> None:
    readers = (Failing(error),)
    (recording,) = find_recordings(tmp_path, readers=readers)
    reading = receive(recording, readers=readers)
    assert reading.drives == ()
    (rejection,) = reading.rejections
    assert (rejection.where, rejection.gate) == ("the one", gate)
    assert reason in rejection.reason


def test_a_bad_car_does_not_stop_a_good_one(tmp_path: Path, teslacam_files: ModuleType) -> None:
    good = tmp_path / "good" / "TeslaCam" / "RecentClips"
    teslacam_files.write_clip(good / "2026-03-01_12-00-00-front.mp4", teslacam_files.straight_drive(40))
    bad = tmp_path / "bad" / "TeslaCam" / "RecentClips"
    bad.mkdir(parents=True)
    (bad / "2026-03-01_12-00-00-front.mp4").write_bytes(b"\0" * 100)
    readings = {recording.folder.name: receive(recording) for recording in find_recordings(tmp_path)}
    assert [rejection.gate for rejection in readings["bad"].rejections] == ["wrong_format"]
    (drive,) = readings["good"].drives
    (recording,) = (r for r in find_recordings(tmp_path) if r.folder.name == "good")
    assert sum(1 for _ in frames(recording, drive, "front")) == 40


def test_a_drive_that_fails_a_gate_is_a_refusal_with_what_led_to_it(tmp_path: Path, teslacam_files: ModuleType) -> None:
    folder = tmp_path / "car" / "TeslaCam" / "RecentClips"
    teslacam_files.write_clip(folder / "2026-03-01_12-00-00-front.mp4", teslacam_files.straight_drive(12))
    reading = receive(find_recordings(tmp_path)[0])
    assert reading.drives == ()
    assert [rejection.gate for rejection in reading.rejections] == ["too_short"]


def test_a_root_that_is_no_folder_and_a_format_that_nobody_reads_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a folder with recordings, got .*nowhere"):
        find_recordings(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"expected a format of .*teslacam.*, got 'vhs'"):
        reader_of(Recording("vhs", "tape", (), tmp_path))
    with pytest.raises(ConfigError, match="'vhs'"):
        receive(Recording("vhs", "tape", (), tmp_path))
    assert len({reader.name for reader in READERS}) == len(READERS)


def test_a_drive_is_known_by_its_bytes_not_by_where_they_lie(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (source_file(tmp_path / name) for name in "abc")
    assert drive_id_of([a, b]) == drive_id_of([b, c]) != drive_id_of([a])
    assert a.size_bytes == 1
