"""After an erasure nothing of a vehicle is left in any file, and everything else is as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dojo.errors import StoreError
from dojo.records import Rejection
from dojo.store import Dataset
from dojo.store.embeddings import Embeddings
from dojo.store.erase import Traces, erase, explained, rows_left, traces_of
from dojo.store.search import Hit, search
from dojo.store.table import Table


@pytest.fixture
def full(tmp_path: Path, small: SimpleNamespace) -> Dataset:
    """Two vehicles, clips of both in three versions, embeddings, and a refused recording that names one of them."""
    dataset = Dataset.create(str(tmp_path / "data"))
    drives = {name: small.drive(name) for name in "abc"}
    for name, drive in drives.items():
        dataset.add(drive, small.chunks(drive, first_number=ord(name)))
    for cut in range(3):
        dataset.put_clips([small.clip(drive, f"{name}{cut}") for name, drive in drives.items()], {"cut": cut})
    clips = dataset.clips()
    vectors = np.random.default_rng(0).normal(size=(len(clips), 16)).astype(np.float32)
    parts = [([clip.clip_id for clip in clips], [clip.vehicle_id for clip in clips], vectors)]
    Embeddings.put(dataset, parts, 16, "model")
    victim = drives["a"].vehicle_id
    where = f"/stick/{victim}/bad.mp4"
    dataset.add_rejections(((where, small.sha("bad"), 5),), [Rejection(where, "truncated", "expected more")])
    return dataset


def patterns(traces: Traces) -> set[bytes]:
    return {word.encode() for word in traces.words()} | {bytes.fromhex(probe) for probe in traces.probes}


def test_the_search_finds_the_vehicle_before_and_nothing_after(full: Dataset, small: SimpleNamespace) -> None:
    victim = small.drive("a").vehicle_id
    traces = traces_of(full, victim)
    before = {hit.pattern for hit in search(full.uri, patterns(traces)).hits}
    assert victim.encode() in before
    assert {bytes.fromhex(probe) for probe in traces.probes} <= before
    assert {clip_id.encode() for clip_id in traces.clip_ids} <= before, "of older versions too"
    assert rows_left(full, traces) > 0
    erase(full, traces, "e1")
    assert search(full.uri, patterns(traces)).hits == ()
    assert rows_left(full, traces) == 0


def test_everything_else_is_as_it_was(full: Dataset, small: SimpleNamespace) -> None:
    victim = small.drive("a").vehicle_id
    others = [drive for drive in full.drives() if drive.vehicle_id != victim]
    kept = [clip.clip_id for clip in full.clips() if clip.vehicle_id != victim]
    settings = full.clip_settings()
    erase(full, traces_of(full, victim), "e1")
    again = Dataset.open(full.uri)
    assert again.verify() == []
    assert again.drive_ids() == sorted(drive.drive_id for drive in others)
    assert [clip.clip_id for clip in again.clips()] == kept
    assert again.clip_settings() == settings
    assert len(again.history()) == 1
    embeddings = Embeddings.found(again)
    assert embeddings is not None
    assert sorted(embeddings.all()[0]) == sorted(kept)
    frames = again.frames(others[0].drive_id, "front", np.array([3]))
    assert [small.number_of(frame) for frame in frames] == [
        (3 + ord(next(n for n in "abc" if small.drive(n).drive_id == others[0].drive_id))) % 256
    ]


@pytest.mark.parametrize("dies_before", ["clips, ledger, drives and video", "files that held them", "older versions"])
def test_an_erasure_that_was_interrupted_is_finished_by_repeating_it(
    full: Dataset, small: SimpleNamespace, dies_before: str
) -> None:
    traces = traces_of(full, small.drive("a").vehicle_id)

    def die(step: str) -> None:
        if step == dies_before:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase(full, traces, "e1", die)
    again = Dataset.open(full.uri)
    assert again.verify() == []
    erase(again, traces, "e1")
    assert search(full.uri, patterns(traces)).hits == ()
    assert rows_left(again, traces) == 0


def test_what_only_an_older_version_holds_is_found_and_erased(full: Dataset, small: SimpleNamespace) -> None:
    victim = small.drive("a").vehicle_id
    traces = traces_of(full, victim)
    full.remove(traces.recording_ids)
    assert victim not in {drive.vehicle_id for drive in full.drives()}
    later = traces_of(full, victim)
    assert (later.drive_ids, later.chunks, later.clip_ids) == (traces.drive_ids, traces.chunks, traces.clip_ids)
    erase(full, later, "e1")
    assert search(full.uri, patterns(traces)).hits == ()


def test_what_was_erased_may_not_come_back_unless_asked(full: Dataset, small: SimpleNamespace) -> None:
    drive = small.drive("a")
    erase(full, traces_of(full, drive.vehicle_id), "e1")
    with pytest.raises(StoreError, match="one that was erased from this dataset"):
        full.add(drive, small.chunks(drive))
    assert drive.drive_id not in full.drive_ids()
    full.add_recording(drive.provenance.files, [small.with_video(drive)], even_erased=True)
    assert drive.drive_id in full.drive_ids()


def test_a_vehicle_that_never_was_here_is_named(full: Dataset) -> None:
    with pytest.raises(StoreError, match="found nothing of 'car-99' in any version; `dojo find` shows"):
        traces_of(full, "car-99")


def test_a_vacuum_leaves_no_record_of_what_was_deleted(full: Dataset, small: SimpleNamespace) -> None:
    """A table whose last change is a deletion would otherwise keep the condition of the deletion."""
    table = Table(full.uri, "drives")
    table.delete("vehicle_id", ["somebody's car"])
    table.vacuum(timedelta())
    assert search(full.uri, [b"somebody"]).hits == ()


def test_bytes_that_others_recorded_too_are_theirs_and_copies_elsewhere_are_not(
    full: Dataset, small: SimpleNamespace
) -> None:
    victim = small.drive("a")
    same = small.chunks(victim, first_number=ord("a"))
    twin = replace(victim, drive_id="twin", vehicle_id=f"{victim.vehicle_id}-b", provenance=small.drive("d").provenance)
    full.add(twin, same)
    traces = traces_of(full, victim.vehicle_id)
    erase(full, traces, "e1")
    hits = search(full.uri, patterns(traces)).hits
    assert {bytes.fromhex(probe) for probe in traces.probes} <= {hit.pattern for hit in hits}
    assert explained(full, traces, hits) == set(hits)
    probe = bytes.fromhex(traces.probes[0])
    (Path(full.uri) / "stray").write_bytes(b"a copy: " + probe)
    more = search(full.uri, patterns(traces)).hits
    assert Hit("stray", 8, probe) not in explained(full, traces, more)
