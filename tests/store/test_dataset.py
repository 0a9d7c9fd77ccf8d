"""The dataset gives back what was put in, whole or not at all, once, and at any earlier version."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lance
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from dojo.errors import StoreError
from dojo.records import Rejection, VideoChunk
from dojo.store import Dataset, DriveWithVideo, describe, facts
from dojo.store.dataset import Arrival
from dojo.store.fingerprint import fingerprint
from dojo.store.schema import TABLES
from dojo.store.table import Table

REFUSED = Rejection("/stick/bad.mp4", "truncated", "expected a whole file, it ends early", (("size_bytes", 7.0),))


def filled(root: Path, small: SimpleNamespace, names: str = "ab") -> Dataset:
    dataset = Dataset.create(str(root))
    for name in names:
        drive = small.drive(name)
        dataset.add(drive, small.chunks(drive))
    return dataset


# -- examples ----------------------------------------------------------------------------------------------------


def test_a_drive_comes_back_as_it_went_in(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path / "d", small)
    again = Dataset.open(str(tmp_path / "d"))
    for name in "ab":
        sent, got = small.drive(name), again.drive(small.drive(name).drive_id)
        assert fingerprint(got) == fingerprint(sent)
        assert got.provenance == sent.provenance
        assert got.rejections == sent.rejections
        assert got.cameras[0].recorded_camera is not None
        assert got.telemetry.speed_mps.values.dtype == np.float64
        assert got.telemetry.present() == ("speed_mps", "gear")
    assert [drive.drive_id for drive in again.drives()] == again.drive_ids() == dataset.drive_ids()


def test_a_drive_without_poses_cameras_or_signals_comes_back_too(tmp_path: Path, small: SimpleNamespace) -> None:
    drive = small.drive("empty", frames=0)
    drive = dataclasses.replace(drive, cameras=(), rejections=(), tags=())
    dataset = Dataset.create(str(tmp_path))
    assert dataset.add(drive, {})
    assert fingerprint(Dataset.open(str(tmp_path)).drives()[0]) == fingerprint(drive)


def test_frames_come_back_by_number_in_the_order_asked_with_their_times(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    drive = small.drive("a")
    wanted = np.array([129, 3, 3, 60, 59, 0, 61])
    frames = dataset.frames(drive.drive_id, "front", wanted)
    assert [small.number_of(frame) for frame in frames] == wanted.tolist()
    assert [frame.timestamp_ns for frame in frames] == drive.cameras[0].timestamps_ns[wanted].tolist()
    assert dataset.frames(drive.drive_id, "front", np.zeros(0, np.int64)) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 129), max_size=12))
def test_any_frames_of_any_camera_are_the_right_ones(
    tmp_path_factory: pytest.TempPathFactory, small: SimpleNamespace, wanted: list[int]
) -> None:
    root = tmp_path_factory.getbasetemp() / "two-cameras"
    drive = small.drive("t", cameras=("front", "back"))
    dataset = Dataset.create(str(root))
    dataset.add(drive, {"front": small.chunks(drive)["front"], "back": small.chunks(drive, 100)["back"]})
    for camera, first in (("front", 0), ("back", 100)):
        frames = dataset.frames(drive.drive_id, camera, np.array(wanted, np.int64))
        assert [small.number_of(frame) for frame in frames] == [(number + first) % 256 for number in wanted]


def test_clips_come_back_as_they_went_in_and_by_split_and_tag(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    drive = small.drive("a")
    clips = [
        small.clip(drive, "z", "train", ("curve", "it's wet")),
        small.clip(drive, "y", "validation", ("curve",)),
        small.clip(drive, "x", "train", ()),
    ]
    dataset.put_clips(clips, {"anchors": 5, "rate_hz": 5.0})
    again = Dataset.open(str(tmp_path))
    assert [fingerprint(clip) for clip in again.clips()] == [fingerprint(clip) for clip in clips]
    assert [clip.clip_id for clip in again.clips("train")] == ["clip-z", "clip-x"]
    assert [clip.clip_id for clip in again.clips(tag="it's wet")] == ["clip-z"]
    assert [clip.clip_id for clip in again.clips("validation", "curve")] == ["clip-y"]
    assert again.clips("excluded") == []
    assert again.clip_settings() == {"anchors": 5, "rate_hz": 5.0}


def test_new_clips_replace_the_old_ones_and_the_same_clips_change_nothing(
    tmp_path: Path, small: SimpleNamespace
) -> None:
    dataset = filled(tmp_path, small, "a")
    drive = small.drive("a")
    assert dataset.clip_settings() is None
    dataset.put_clips([small.clip(drive, "x")], {"a": 1})
    first = dataset.version
    dataset.put_clips([small.clip(drive, "x")], {"a": 1})
    assert dataset.version == first
    dataset.put_clips([small.clip(drive, "y")], {"a": 1})
    assert [clip.clip_id for clip in dataset.clips()] == ["clip-y"]
    assert dataset.version != first
    dataset.put_clips([], {"a": 2})
    assert dataset.clips() == []


def test_the_summary_counts_what_is_there(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small)
    dataset.add_rejections((("/stick/bad.mp4", small.sha("bad"), 7),), [REFUSED])
    dataset.put_clips([small.clip(small.drive("a"), "x"), small.clip(small.drive("a"), "y", "validation")], {})
    found = dataset.summary()
    assert (found.recordings, found.drives, found.vehicles, found.frames) == (3, 2, 2, 260)
    assert found.distance_km == pytest.approx(2 * 129 * 0.75 / 1000)
    spans = [drive.cameras[0].timestamps_ns for drive in dataset.drives()]
    assert found.hours == pytest.approx(sum((s[-1] - s[0]) / 3.6e12 for s in spans))
    assert found.tags == {"day": 2, "tag-a": 1, "tag-b": 1}
    assert (found.clips, found.splits, found.clip_tags) == (2, {"train": 1, "validation": 1}, {"straight": 2})
    assert found.refused == {"dropped_frames": 2, "truncated": 1}
    assert found.video_bytes == sum(len(c.data) for name in "ab" for c in small.chunks(small.drive(name))["front"])
    assert found.readers == ("fake",)


def test_what_is_there_can_be_shown_to_a_person_and_to_a_machine(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small)
    console = Console(width=160)
    with console.capture() as text:
        console.print(describe(dataset))
    for shown in ("2 from 2 recordings (fake)", "day 2, tag-a 1, tag-b 1", "dropped_frames 2", dataset.version):
        assert shown in text.get()
    assert json.loads(json.dumps(facts(dataset)))["content_hash"] == dataset.content_hash()


def test_many_values_of_one_name_are_counted_and_not_listed(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    cities = [small.clip(small.drive("a"), str(n), tags=(f"city:{n}", f"reason:{n % 2}")) for n in range(5)]
    dataset.put_clips(cities, {})
    console = Console(width=160)
    with console.capture() as text:
        console.print(describe(dataset))
    assert "city (5 values) 5, reason:0 3, reason:1 2" in text.get()
    assert facts(dataset)["clip_tags"]["city:3"] == 1


def test_an_empty_dataset_says_that_it_is_empty(tmp_path: Path) -> None:
    dataset = Dataset.create(str(tmp_path / "new" / "place"))
    assert (dataset.drives(), dataset.clips(), dataset.rejections(), dataset.known_files()) == ([], [], [], set())
    assert dataset.summary().drives == 0
    assert dataset.verify() == []


# -- once --------------------------------------------------------------------------------------------------------


def test_the_same_recording_twice_is_once(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    version = dataset.version
    drive = small.drive("a")
    assert not dataset.add(drive, small.chunks(drive))
    assert dataset.version == version
    moved = dataclasses.replace(drive.provenance, files=(("/other/place.mp4", small.sha("a"), 1000),))
    assert not Dataset.open(str(tmp_path)).add(dataclasses.replace(drive, provenance=moved), small.chunks(drive))
    assert len(Dataset.open(str(tmp_path)).drives()) == 1


def test_a_drive_that_came_with_another_recording_is_not_stored_again(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    a, b = small.drive("a"), small.drive("b")
    files = (*a.provenance.files, *b.provenance.files)
    added = dataset.add_recording(files, [small.with_video(a), small.with_video(b)])
    assert added == (b.drive_id,)
    assert len(dataset.drives()) == 2
    assert dataset.verify() == []


def test_refused_files_are_known_and_their_reasons_kept_once(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    for _ in range(2):
        dataset.add_rejections((("/stick/bad.mp4", small.sha("bad"), 7),), [REFUSED])
    again = Dataset.open(str(tmp_path))
    assert again.known_files() == {small.sha("a"), small.sha("bad")}
    assert again.rejections() == [REFUSED, *small.drive("a").rejections]


def test_refused_files_can_be_tried_anew_and_accepted_ones_stay(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    dataset.add_rejections(small.drive("b").provenance.files, [REFUSED])
    assert dataset.forget_refused() == 1
    assert dataset.known_files() == {small.sha("a")}
    assert dataset.add(small.drive("b"), small.chunks(small.drive("b")))
    assert dataset.forget_refused() == 0
    assert dataset.content_hash() == filled(tmp_path / "other", small).content_hash()


def test_a_recording_of_no_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected at least one file to know it by, got none"):
        Dataset.create(str(tmp_path)).add_rejections((), [REFUSED])


# -- whole or not at all -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.parametrize("table", ["chunks", "drives", "intake"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_write_that_ends_at_any_step_is_invisible_or_complete(
    tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, table: str, moment: str
) -> None:
    dataset = filled(tmp_path / "cut", small, "a")
    append = Table.append

    def dying(self: Table, rows: Any) -> None:
        if self.name == table and moment == "before":
            raise Killed
        append(self, rows)
        if self.name == table:
            raise Killed

    b, c = small.drive("b"), small.drive("c")
    both = (*b.provenance.files, *c.provenance.files)
    monkeypatch.setattr(Table, "append", dying)
    with pytest.raises(Killed):
        dataset.add_recording(both, [small.with_video(b), small.with_video(c)], [REFUSED])
    monkeypatch.undo()
    seen = Dataset.open(str(tmp_path / "cut"))
    complete = (table, moment) == ("intake", "after")
    assert len(seen.drives()) == (3 if complete else 1)
    assert (REFUSED in seen.rejections()) == complete
    assert seen.verify() == []

    seen.add_recording(both, [small.with_video(b), small.with_video(c)], [REFUSED])
    whole = filled(tmp_path / "whole", small, "a")
    whole.add_recording(both, [small.with_video(b), small.with_video(c)], [REFUSED])
    assert seen.content_hash() == whole.content_hash()
    assert lance.dataset(str(tmp_path / "cut" / "chunks.lance")).count_rows() == 9
    assert seen.verify() == []


def test_recordings_stored_in_one_act_are_as_those_stored_one_by_one(tmp_path: Path, small: SimpleNamespace) -> None:
    drives = {name: small.drive(name) for name in "abc"}
    arrivals = [Arrival(drive.provenance.files, [small.with_video(drive)]) for drive in drives.values()]
    refused = Arrival((("/stick/bad.mp4", small.sha("bad"), 5),), rejections=[REFUSED])
    copied = Arrival((("/stick/copy.mp4", small.sha("copy"), 5),), [small.with_video(drives["a"])])
    together, each = Dataset.create(str(tmp_path / "1")), Dataset.create(str(tmp_path / "2"))
    new = together.add_recordings([*arrivals, refused, copied, arrivals[0]])
    assert new == [*((drive.drive_id,) for drive in drives.values()), (), (), ()]
    for arrival in (*arrivals, refused, copied):
        each.add_recording(arrival.files, arrival.drives, arrival.rejections)
    assert together.content_hash() == each.content_hash()
    assert Dataset.open(together.uri).verify() == []
    assert together.add_recordings([]) == []
    counts = [lance.dataset(f"{together.uri}/{name}.lance").count_rows() for name in ("intake", "drives", "chunks")]
    assert counts == [5, 3, 9]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("table", ["chunks", "drives", "intake"])
def test_an_act_that_ends_at_any_step_stores_all_of_its_recordings_or_none(
    tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, table: str, moment: str
) -> None:
    dataset = filled(tmp_path, small, "a")
    arrivals = [Arrival(drive.provenance.files, [small.with_video(drive)]) for drive in map(small.drive, "bc")]
    append = Table.append

    def dying(self: Table, rows: Any) -> None:
        if moment == "after" or self.name != table:
            append(self, rows)
        if self.name == table:
            raise Killed

    monkeypatch.setattr(Table, "append", dying)
    with pytest.raises(Killed):
        dataset.add_recordings(arrivals)
    monkeypatch.undo()
    seen = Dataset.open(str(tmp_path))
    assert len(seen.drives()) == (3 if (table, moment) == ("intake", "after") else 1)
    seen.add_recordings(arrivals)
    assert (len(seen.drives()), seen.verify()) == (3, [])
    assert lance.dataset(str(tmp_path / "chunks.lance")).count_rows() == 9


def test_what_an_interrupted_write_left_can_be_removed_at_once(
    tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = filled(tmp_path, small, "a")
    b = small.with_video(small.drive("b"))
    monkeypatch.setattr("dojo.store.dataset.drive_row", _killed)
    with pytest.raises(Killed):
        dataset.add(b.drive, b.chunks)
    monkeypatch.undo()
    assert lance.dataset(str(tmp_path / "chunks.lance")).count_rows() == 6
    assert Dataset.open(str(tmp_path)).recover() == 1
    assert lance.dataset(str(tmp_path / "chunks.lance")).count_rows() == 3
    assert Dataset.open(str(tmp_path)).recover() == 0


def _killed(*_: object) -> dict[str, Any]:
    raise Killed


def test_a_full_disk_is_named_and_harms_nothing(
    tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = filled(tmp_path, small, "a")
    before = dataset.content_hash()
    write = lance.write_dataset

    def full(data: Any, uri: Any, **options: Any) -> Any:
        if "drives" in str(getattr(uri, "uri", uri)):
            raise OSError("LanceError(IO): Generic LocalFileSystem error: No space left on device (os error 28)")
        return write(data, uri, **options)

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(
        StoreError, match=r"drives\.lance: cannot be written.*the disk is full; free some space and run"
    ):
        dataset.add(small.drive("b"), small.chunks(small.drive("b")))
    monkeypatch.undo()
    assert Dataset.open(str(tmp_path)).content_hash() == before
    assert dataset.add(small.drive("b"), small.chunks(small.drive("b")))
    assert dataset.content_hash() == filled(tmp_path / "other", small).content_hash()


def test_video_that_does_not_hold_every_frame_is_refused_and_leaves_nothing(
    tmp_path: Path, small: SimpleNamespace
) -> None:
    dataset = Dataset.create(str(tmp_path))
    drive = small.drive("a")
    first, second, third = small.chunks(drive)["front"]
    for wrong in ([first, second], [first, third], [second, first, third], [first, first, second, third], []):
        with pytest.raises(StoreError, match=r"camera 'front' has 130 frame times, but its video is whole only up to"):
            dataset.add(drive, {"front": wrong})
    with pytest.raises(StoreError, match=r"has video of cameras \['back'\] but no such streams"):
        dataset.add(drive, {"front": [first, second, third], "back": [first]})
    assert dataset.drives() == []
    assert dataset.add(drive, small.chunks(drive))
    assert lance.dataset(str(tmp_path / "chunks.lance")).count_rows() == 3


def test_chunks_may_come_one_by_one(tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dojo.store.footage._BATCH_BYTES", 1)
    drive = small.drive("a")

    def one_by_one() -> Iterator[VideoChunk]:
        yield from small.chunks(drive)["front"]

    dataset = Dataset.create(str(tmp_path / "one"))
    dataset.add_recording(drive.provenance.files, [DriveWithVideo(drive, {"front": one_by_one()})])
    assert dataset.content_hash() == filled(tmp_path / "other", small, "a").content_hash()


def test_writers_take_turns(tmp_path: Path, small: SimpleNamespace) -> None:
    Dataset.create(str(tmp_path / "d"))
    prepared = [(small.drive(str(i)), small.chunks(small.drive(str(i)))) for i in range(8)]

    def write(mine: list[Any]) -> None:
        dataset = Dataset.open(str(tmp_path / "d"))
        for drive, video in mine:
            dataset.add(drive, video)

    threads = [threading.Thread(target=write, args=(part,)) for part in (prepared[:5], prepared[3:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dataset = Dataset.open(str(tmp_path / "d"))
    assert len(dataset.drives()) == 8
    assert dataset.verify() == []
    assert dataset.content_hash() == filled(tmp_path / "other", small, "01234567").content_hash()


# -- versions ----------------------------------------------------------------------------------------------------


def test_contents_are_the_same_whatever_the_order_of_ingest(tmp_path: Path, small: SimpleNamespace) -> None:
    forth, back = filled(tmp_path / "1", small, "abc"), filled(tmp_path / "2", small, "cba")
    assert forth.content_hash() == back.content_hash()
    clips = [small.clip(small.drive("a"), name) for name in "xyz"]
    forth.put_clips(clips, {})
    back.put_clips([], {"other": 1})
    assert forth.content_hash() != back.content_hash()
    back.put_clips(clips[::-1], {})
    assert forth.content_hash() == back.content_hash()


def test_every_content_counts(tmp_path: Path, small: SimpleNamespace) -> None:
    drive = small.drive("a")
    hashes = {filled(tmp_path / "same", small, "a").content_hash()}
    for place, (changed, video) in enumerate(
        [
            (dataclasses.replace(drive, tags=()), small.chunks(drive)),
            (drive, small.chunks(drive, 1)),
        ]
    ):
        dataset = Dataset.create(str(tmp_path / str(place)))
        dataset.add(changed, video)
        hashes.add(dataset.content_hash())
    dataset.add_rejections((("bad", small.sha("bad"), 1),), [REFUSED])
    hashes.add(dataset.content_hash())
    assert len(hashes) == 4


def test_an_earlier_version_can_be_opened_and_not_changed(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    dataset.put_clips([small.clip(small.drive("a"))], {})
    early = dataset.version
    dataset.add(small.drive("b"), small.chunks(small.drive("b")))
    dataset.put_clips([], {"none": True})
    past = Dataset.open(str(tmp_path), early)
    assert (len(past.drives()), len(past.clips()), past.version) == (1, 1, early)
    assert small.number_of(past.frames(past.drive_ids()[0], "front", np.array([77]))[0]) == 77
    with pytest.raises(StoreError, match="opened at an earlier version, which cannot be changed"):
        past.add(small.drive("c"), {})
    assert len(Dataset.open(str(tmp_path)).drives()) == 2


def test_the_history_names_every_state(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small)
    dataset.put_clips([], {})
    states = [Dataset.open(str(tmp_path), version) for version, _ in dataset.history()]
    assert [(len(state.drives()), state.clip_settings()) for state in states] == [
        (0, None),
        (1, None),
        (2, None),
        (2, {}),
    ]
    assert dataset.version.endswith(dataset.history()[-1][0])


def test_a_version_that_is_not_there_is_named(tmp_path: Path, small: SimpleNamespace) -> None:
    filled(tmp_path, small, "a")
    with pytest.raises(StoreError, match=r"expected a version such as 0123456789ab@12\.3, got 'newest'"):
        Dataset.open(str(tmp_path), "newest")
    with pytest.raises(StoreError, match=r"has no version 99, the newest is 2; name one of those"):
        Dataset.open(str(tmp_path), "99.1")
    with pytest.raises(StoreError, match=r"now holds [0-9a-f]{12}; the dataset at this address was replaced"):
        Dataset.open(str(tmp_path), "000000000000@2.1")


def test_another_process_gets_the_same_state(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    packed = pickle.dumps(dataset)
    dataset.add(small.drive("b"), small.chunks(small.drive("b")))
    assert len(pickle.loads(packed).drives()) == 1
    (tmp_path / "packed").write_bytes(packed)
    code = f"import pickle; print(len(pickle.loads(open({str(tmp_path / 'packed')!r}, 'rb').read()).drives()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_compaction_changes_no_content_and_no_frame(
    tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dojo.store.dataset._PIECES_BEFORE_COMPACTION", 3)
    dataset = filled(tmp_path / "1", small, "abcdef")
    assert len(lance.dataset(str(tmp_path / "1" / "intake.lance")).get_fragments()) <= 3
    early = Dataset.open(str(tmp_path / "1"))
    frames = early.frames(early.drive_ids()[0], "front", np.arange(100, 110))
    dataset.compact()
    assert dataset.content_hash() == filled(tmp_path / "2", small, "abcdef").content_hash()
    for state in (dataset, early):
        again = state.frames(state.drive_ids()[0], "front", np.arange(100, 110))
        assert all((one.y == other.y).all() for one, other in zip(again, frames, strict=True))
    assert dataset.verify() == []


# -- errors ------------------------------------------------------------------------------------------------------


def test_a_missing_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/intake\.lance: expected a dataset, found none; check the address"):
        Dataset.open(str(tmp_path / "nowhere"))


def test_a_dataset_of_a_newer_dojo_is_refused(
    tmp_path: Path, small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dojo.store.table.SCHEMA_VERSION", 2)
    filled(tmp_path, small, "a")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="written with schema 2 by a newer Dojo, this one reads up to 1; install"):
        Dataset.open(str(tmp_path))


def test_a_table_of_another_program_is_refused(tmp_path: Path) -> None:
    for name, schema in TABLES.items():
        lance.write_dataset(schema.remove_metadata().empty_table(), str(tmp_path / f"{name}.lance"))
    with pytest.raises(StoreError, match="expected a table written by Dojo, found another"):
        Dataset.open(str(tmp_path))


def test_what_is_not_there_is_named(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(tmp_path, small, "a")
    drive_id = dataset.drive_ids()[0]
    with pytest.raises(StoreError, match="has no drive 'nobody' at version"):
        dataset.drive("nobody")
    with pytest.raises(StoreError, match=r"has cameras \['front'\], asked for 'back'"):
        dataset.frames(drive_id, "back", np.array([0]))
    for wrong in (-1, 130):
        with pytest.raises(StoreError, match=rf"has frames 0 to 129, asked for {wrong} to {wrong}"):
            dataset.frames(drive_id, "front", np.array([wrong]))
    with pytest.raises(StoreError, match=r"clips of drives that are not here: \['.*'\]; ingest them first"):
        dataset.put_clips([small.clip(small.drive("z"))], {})
    with pytest.raises(StoreError, match=r"clips \['clip-c'\] come more than once"):
        dataset.put_clips([small.clip(small.drive("a"))] * 2, {})


def test_damaged_video_is_named_and_never_shown(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = Dataset.create(str(tmp_path))
    drive = small.drive("a")
    video = small.chunks(drive)["front"]
    dataset.add(drive, {"front": video})
    middle = video[1].data[len(video[1].data) // 2 :][:64]
    damaged = 0
    for file in tmp_path.rglob("*"):
        if file.is_file() and middle in (content := file.read_bytes()):
            file.write_bytes(content.replace(middle, bytes(64)))
            damaged += 1
    assert damaged == 1
    again = Dataset.open(str(tmp_path))
    assert len(again.frames(drive.drive_id, "front", np.arange(60))) == 60
    with pytest.raises(StoreError, match="the video from frame 60 is damaged: its bytes do not match their hash"):
        again.frames(drive.drive_id, "front", np.array([75]))
    (named,) = again.verify()
    assert "the video from frame 60 of camera 'front'" in named


def test_damage_that_comes_after_the_first_reading_is_found_by_verify(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = Dataset.create(str(tmp_path))
    drive = small.drive("a")
    video = small.chunks(drive)["front"]
    dataset.add(drive, {"front": video})
    assert len(dataset.frames(drive.drive_id, "front", np.arange(130))) == 130
    assert dataset.verify() == []
    middle = video[1].data[len(video[1].data) // 2 :][:64]
    for file in tmp_path.rglob("*"):
        if file.is_file() and middle in (content := file.read_bytes()):
            file.write_bytes(content.replace(middle, bytes(64)))
    assert len(dataset.verify()) == 1


def test_an_address_may_be_a_file_url(tmp_path: Path, small: SimpleNamespace) -> None:
    dataset = filled(Path(f"{tmp_path}/d"), small, "a")
    assert Dataset.open(f"file://{tmp_path}/d").content_hash() == dataset.content_hash()
    other = Dataset.create(f"file://{tmp_path}/e/")
    other.add(small.drive("a"), small.chunks(small.drive("a")))
    assert Dataset.open(str(tmp_path / "e")).content_hash() == dataset.content_hash()
