"""Which clips a training run learned from, and whether they may still be used.

In: the folder of a training run. Out: its clips with their hashes.
Idea: the dataset of today is asked as of the day of training, because it may have grown or been cut anew since; a clip
whose drive is gone from today's was erased, and what has learned from it may not be handed on.
Not here: erasing (`store/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from dojo.errors import ReleaseError, StoreError
from dojo.recipes.run import RunRecord, read_record
from dojo.recipes.train import TrainRun
from dojo.records import Clip, Drive
from dojo.store.dataset import Dataset
from dojo.store.fingerprint import fingerprint
from dojo.store.tombstones import Tombstones


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
        ReleaseError: `clip_erased`, or `clips_unknown`: the dataset as of training can no longer be read.
    """
    clips: dict[str, Clip] = {}
    drives: dict[str, Drive] = {}
    for record in _records(run):
        config = TypeAdapter(TrainRun).validate_python(record.config)
        uris = (config.dataset, *config.rounds)
        for uri, version in zip(uris, record.dataset_version.split("+"), strict=True):
            now = Dataset.open(uri)
            then = _as_of(uri, now, version)
            found = then.clips(split="train")
            present = {drive.drive_id: drive for drive in now.drives()}
            erased = sorted({clip.clip_id for clip in found if clip.drive_id not in present})
            if erased:
                raise ReleaseError(
                    "clip_erased",
                    f"{run}: expected all {len(found)} clips that it learned from in {uri}, {len(erased)} were erased, "
                    f"the first is {erased[0]}; train again without them",
                )
            clips |= {clip.clip_id: clip for clip in found}
            drives |= {clip.drive_id: present[clip.drive_id] for clip in found}
    if not clips:
        raise ReleaseError("clips_unknown", f"{run}: expected the clips that it learned from, found none")
    return Lineage(tuple(clips.values()), tuple(drives.values()))


def _records(run: Path) -> Iterator[RunRecord]:
    """The record of a run, then of the run whose weights it began with, and so on."""
    folder: Path | None = run
    while folder is not None:
        record = read_record(folder / "run.json")
        yield record
        folder = TypeAdapter(TrainRun).validate_python(record.config).warm_start


def _as_of(uri: str, now: Dataset, version: str) -> Dataset:
    """The dataset as it was; that of now where nothing has changed."""
    if now.content_hash()[:12] == version.partition("@")[0]:
        return now
    try:
        return Dataset.open(uri, version)
    except StoreError as error:
        rule = "clip_erased" if len(Tombstones(uri)) else "clips_unknown"
        raise ReleaseError(
            rule,
            f"{uri}: expected the state {version} that was trained on, it is gone: {error}; after an erasure nothing "
            "tells whether it was learned from: train again on what is there",
        ) from error
