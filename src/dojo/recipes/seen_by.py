"""Who has seen a vehicle: the training runs that learned from it, and the documents that name it.

In: what a dataset holds of the vehicle, folders of runs. Out: each run on that dataset with yes, no or unknown, and the
paths of documents.
Idea: a run has seen a vehicle if its clips were among those that it could draw, or if the run whose weights it began
with has, and so on back; a run that kept a ledger says itself what it drew. Asked before anything is erased, because
the versions that runs were trained on go with the vehicle; what can no longer be told is said to be unknown, not no.
Not here: erasing (`erase.py`), which clips a release stands on (`lineage.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dojo.curate.nested import Part, part_of, routes_of
from dojo.errors import CheckpointError, ConfigError, StoreError
from dojo.recipes.run import RunRecord, read_record
from dojo.recipes.train import load_policy
from dojo.records import Clip
from dojo.store.dataset import Dataset
from dojo.store.erase import Traces
from dojo.store.lock import local_folder
from dojo.train.ledger import ledger_of

_TEXTS = {".html", ".json", ".jsonl", ".csv", ".md", ".txt"}


@dataclass(frozen=True)
class Model:
    """A training run, and whether it has learned from the vehicle.

    Args:
        saw: yes, no, or unknown where the version of the dataset that it was trained on is no longer there.
        clips: how many of the vehicle's clips could be drawn, by it or by a run that it goes back to.
        drawn: how often they were, by the ledgers of these runs; None where one of them kept none.
        through: the runs whose weights it began with, nearest first.
        sha256, step: of its newest checkpoint; empty where there is none.
    """

    run: str
    saw: str
    clips: int
    drawn: int | None
    through: tuple[str, ...]
    dataset_version: str
    sha256: str
    step: int


def models_of(folders: Sequence[Path], dataset: str, traces: Traces) -> Iterator[Model]:
    """The training runs below these folders that used the dataset, themselves or through what they began with."""
    states = _States(dataset, {traces.vehicle_id, *traces.other_vehicles})
    for folder, record in _trainings(folders):
        uses = list(_uses(folder, record, dataset))
        if not any(use.version is not None for use in uses):
            continue
        counts = [states.clips(use) for use in uses if use.version is not None]
        drawn = _drawn([use.folder for use in uses], set(traces.clip_ids))
        sha256, step = _checkpoint(folder)
        yield Model(
            run=str(folder),
            saw=_saw(counts, drawn, all(use.told for use in uses)),
            clips=sum(count or 0 for count in counts),
            drawn=drawn,
            through=tuple(dict.fromkeys(str(use.folder) for use in uses if use.folder != folder)),
            dataset_version=next((use.version for use in uses if use.version is not None), ""),
            sha256=sha256,
            step=step,
        )


def documents_of(folders: Sequence[Path], traces: Traces) -> Iterator[str]:
    """Reports, tables and ledgers that name the vehicle, a drive or a clip of it: they may show its pictures."""
    names = {traces.vehicle_id, *traces.drive_ids, *traces.clip_ids}
    # What is not one word to the eye of a search for words is looked for as it stands.
    odd = [name for name in names if not re.fullmatch(r"[\w-]+", name)]
    for path in sorted({path for folder in folders for path in folder.rglob("*")}):
        if path.suffix not in _TEXTS or path.name == "certificate.json" or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        if not names.isdisjoint(re.findall(r"[\w-]+", text)) or any(name in text for name in odd):
            yield str(path)


@dataclass(frozen=True)
class _Use:
    """One dataset that a run, or one that it goes back to, learned from.

    Args:
        version: of the dataset that is asked about; None where another was used.
        part: of its clips.
        told: whether the run's record could be read.
    """

    folder: Path
    version: str | None
    part: Part | None = None
    told: bool = True


class _States:
    """How many clips of the vehicle each state of the dataset would have let a run draw."""

    def __init__(self, dataset: str, vehicles: set[str]) -> None:
        self._dataset, self._vehicles = dataset, vehicles
        self._found: dict[str, tuple[list[Clip], Mapping[str, str]] | None] = {}

    def clips(self, use: _Use) -> int | None:
        """The number; None where that state is no longer there."""
        state = self._state(use.version or "")
        if state is None:
            return None
        clips, routes = state
        mine = part_of(clips, routes, use.part) if use.part is not None else clips
        return sum(clip.vehicle_id in self._vehicles and clip.weight > 0 for clip in mine)

    def _state(self, version: str) -> tuple[list[Clip], Mapping[str, str]] | None:
        if version not in self._found:
            try:
                then = Dataset.open(self._dataset, version)
                self._found[version] = then.clips(split="train"), routes_of(then.drives())
            except StoreError:
                self._found[version] = None
        return self._found[version]


def _saw(counts: Sequence[int | None], drawn: int | None, all_told: bool) -> str:
    if drawn or (drawn is None and any(counts)):
        return "yes"
    return "unknown" if None in counts or not all_told else "no"


def _drawn(folders: Sequence[Path], clip_ids: set[str]) -> int | None:
    """How often these clips stand in the ledgers of all these runs."""
    if not all((folder / "ledger").is_dir() for folder in folders):
        return None
    ledgers = [ledger_of(folder) for folder in dict.fromkeys(folders)]
    return sum(clip_id in clip_ids for ledger in ledgers for step in ledger.values() for clip_id in step)


def _uses(folder: Path, record: RunRecord, dataset: str) -> Iterator[_Use]:
    """What a run learned from, then what the run learned from whose weights it began with, and so on."""
    passed: set[Path] = set()
    while folder not in passed:
        passed.add(folder)
        addresses = [str(record.config.get("dataset", "")), *map(str, record.config.get("rounds") or ())]
        for place, (address, version) in enumerate(zip(addresses, record.dataset_version.split("+"), strict=False)):
            part = record.config.get("part") if place == 0 else None
            same = _same_place(address, dataset)
            yield _Use(folder, version if same else None, _part(part) if same else None)
        if record.config.get("warm_start") is None:
            return
        folder = Path(str(record.config["warm_start"]))
        try:
            record = read_record(folder / "run.json")
        except ConfigError:
            yield _Use(folder, None, told=False)
            return


def _part(told: Any) -> Part | None:
    return None if told is None else TypeAdapter(Part).validate_python(told)


def _checkpoint(folder: Path) -> tuple[str, int]:
    try:
        newest = load_policy(folder)
    except (CheckpointError, ConfigError):
        return "", 0
    return newest.sha256, newest.step


def _trainings(folders: Sequence[Path]) -> Iterator[tuple[Path, RunRecord]]:
    for path in sorted({path for folder in folders for path in folder.rglob("run.json")}):
        try:
            record = read_record(path)
        except ConfigError:
            continue  # not one of ours, whatever its name
        if record.verb == "train":
            yield path.parent, record


def _same_place(one: str, other: str) -> bool:
    here, there = local_folder(one), local_folder(other)
    if here is None or there is None:
        return one.rstrip("/") == other.rstrip("/")
    return here.resolve() == there.resolve()
