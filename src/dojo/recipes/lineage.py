"""Which clips a training run learned from, what a report rests on, and whether they may still be used.

In: the folder of a training run; a report. Out: its clips with their hashes; a refusal where one of them was erased.
Idea: the dataset of today is asked as of the day of training, because it may have grown or been cut anew since; a clip
whose drive is gone from today's was erased, and what has learned from it may not be handed on. An erasure takes every
older state with it, so a run has written down the clips it could draw, or in a ledger those it drew, and a report the
drives that it rests on: who never saw what was erased is released as before.
Not here: erasing (`store/`), which runs have seen a vehicle that is about to be erased (`seen_by.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dojo.errors import ReleaseError, StoreError
from dojo.recipes.run import RunRecord, read_record
from dojo.recipes.train import CLIPS, TrainRun
from dojo.records import Clip, Drive
from dojo.store.dataset import Dataset
from dojo.store.fingerprint import fingerprint
from dojo.store.tombstones import Tombstones
from dojo.train.ledger import ledger_of


@dataclass(frozen=True)
class Lineage:
    """What trained a run: clips in the order in which the datasets have them, and the drives that they come from."""

    clips: tuple[Clip, ...]
    drives: tuple[Drive, ...]

    def listed(self) -> list[dict[str, str]]:
        """Id and hash of each clip, sorted; no name of a vehicle or a place."""
        rows = [{"clip_id": clip.clip_id, "sha256": fingerprint(clip)} for clip in self.clips]
        return sorted(rows, key=lambda row: row["clip_id"])


def lineage_of(run: Path) -> Lineage:
    """The clips that a run, and the runs that it went on from, learned from.

    Raises:
        ReleaseError: `clip_erased`, or `clips_unknown`: nothing tells any more which clips they were.
    """
    clips: dict[str, Clip] = {}
    drives: dict[str, Drive] = {}
    for folder, record in _records(run):
        config, named = TypeAdapter(TrainRun).validate_python(record.config), named_by(folder)
        left, gone = set(named or ()), ""
        for uri, version in zip((config.dataset, *config.rounds), record.dataset_version.split("+"), strict=True):
            now = Dataset.open(uri)
            then = _as_of(uri, now, version, told=named is not None)
            found = now.clips() if then is None else then.clips(split="train")
            mine = [clip for clip in found if named is None or clip.clip_id in named]
            present = {drive.drive_id: drive for drive in now.drives()}
            _require_none(folder, uri, sorted({clip.clip_id for clip in mine if clip.drive_id not in present}))
            left -= {clip.clip_id for clip in mine}
            gone = uri if then is None and len(Tombstones(uri)) else gone
            clips |= {clip.clip_id: clip for clip in mine}
            drives |= {clip.drive_id: present[clip.drive_id] for clip in mine}
        if left and not gone:
            raise ReleaseError(
                "clips_unknown",
                f"{folder}: expected the {len(named or ())} clips that it learned from, {len(left)} were cut anew "
                "since, and the state that it was trained on is gone; train again on what is there",
            )
        _require_none(folder, gone, sorted(left))
    if not clips:
        raise ReleaseError("clips_unknown", f"{run}: expected the clips that it learned from, found none")
    return Lineage(tuple(clips.values()), tuple(drives.values()))


def named_by(folder: Path) -> set[str] | None:
    """The clips that a run drew, or could draw where it kept no ledger; None where it wrote neither down."""
    if (folder / "ledger").is_dir():
        return {clip_id for clips in ledger_of(folder).values() for clip_id in clips}
    return set((folder / CLIPS).read_text("utf-8").split()) if (folder / CLIPS).is_file() else None


def require_drives(path: Path, report: Mapping[str, Any]) -> None:
    """Nothing, if no drive was erased that a report of `dojo evaluate` rests on.

    Raises:
        ReleaseError: `clip_erased`.
    """
    origin = report["provenance"]
    uri = str(origin["evaluation"]["dataset"] or origin["training"]["config"]["dataset"])
    if "drives" in origin:
        gone = sorted(set(origin["drives"]) - set(Dataset.open(uri).drive_ids()))
        of = len(origin["drives"])
        told = f"{len(gone)} of the {of} drives that it rests on, the first is {gone[0]}" if gone else ""
    else:
        told = "something, and the report does not say which drives it rests on" if len(Tombstones(uri)) else ""
    if told:
        raise ReleaseError(
            "clip_erased",
            f"{path}: expected a report on drives that are in {uri}, from which was erased {told}; make it again with "
            "dojo evaluate",
        )


def _require_none(folder: Path, uri: str, erased: list[str]) -> None:
    if erased:
        raise ReleaseError(
            "clip_erased",
            f"{folder}: expected all clips that it learned from in {uri}, {len(erased)} were erased, the first is "
            f"{erased[0]}; train again without them",
        )


def _records(run: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Folder and record of a run, then of the run whose weights it began with, and so on."""
    folder: Path | None = run
    while folder is not None:
        record = read_record(folder / "run.json")
        yield folder, record
        folder = TypeAdapter(TrainRun).validate_python(record.config).warm_start


def _as_of(uri: str, now: Dataset, version: str, told: bool) -> Dataset | None:
    """The dataset as it was, that of now where nothing changed; None where it is gone and the run told its clips."""
    if now.content_hash()[:12] == version.partition("@")[0]:
        return now
    try:
        return Dataset.open(uri, version)
    except StoreError as error:
        if told:
            return None
        rule = "clip_erased" if len(Tombstones(uri)) else "clips_unknown"
        raise ReleaseError(
            rule,
            f"{uri}: expected the state {version} that was trained on, it is gone: {error}; after an erasure nothing "
            "tells whether it was learned from: train again on what is there",
        ) from error
