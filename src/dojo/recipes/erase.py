"""`dojo erase --vehicle ID`: every byte of one vehicle out of a dataset, with a certificate that says so.

In: a dataset and the name of a vehicle; training runs. Out: `certificate.json`.
Idea: three questions are answered before anything is removed, because they cannot be afterwards: what there is of the
vehicle, which training runs had it among their clips, which reports name it. They are written down first; an erasure
that was interrupted goes on from there when the same command is given again. Then all is removed, and the proof is
looked for: no row, no byte in any file, no clip in the plan of an epoch.
Not here: the removal (`store/erase.py`), the search (`store/search.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console

from dojo.errors import CheckpointError, ConfigError, StoreError
from dojo.load.order import Order
from dojo.recipes.run import Outcome, RunRecord, read_record, write_whole
from dojo.recipes.train import load_policy
from dojo.store.dataset import Dataset
from dojo.store.erase import Traces, erase, explained, rows_left, traces_of
from dojo.store.lock import local_folder
from dojo.store.query import LIGHT, condition, count_clips, light_clips
from dojo.store.search import Searched, search
from dojo.store.table import quoted

_SHORTEST_NAME = 4
"""Assumed: a name of fewer letters stands in any file by chance, so that finding it says nothing."""


@dataclass(frozen=True)
class EraseRun:
    """Every byte of one vehicle out of a dataset.

    Args:
        dataset: folder or object-store URI of the dataset.
        vehicle: its id, as `dojo find` shows it.
        out: folder for the certificate; one of its own below `runs/erased` if not given.
        runs: folders below which training runs and reports are looked for.
    """

    dataset: str
    vehicle: str
    out: Path | None = None
    runs: tuple[Path, ...] = (Path("runs"),)

    def __post_init__(self) -> None:
        if not self.vehicle:
            raise ConfigError("erase: expected the id of a vehicle, got an empty one; `dojo find` shows them")


CONFIG = EraseRun
CONFIGS = {"erase": EraseRun}


@dataclass(frozen=True)
class Model:
    """A training run on the dataset, and whether the vehicle was among its clips.

    Args:
        saw: yes, no, or unknown where the version of the dataset that it was trained on is no longer there.
        clips: how many of the vehicle's clips could be drawn.
        sha256, step: of its newest checkpoint; empty where there is none.
    """

    run: str
    saw: str
    clips: int
    dataset_version: str
    sha256: str
    step: int


@dataclass(frozen=True)
class Pending:
    """What is known before the first byte goes."""

    erasure_id: str
    began: str
    traces: Traces
    models: tuple[Model, ...]
    documents: tuple[str, ...]


def run(config: EraseRun, console: Console) -> Outcome:
    """Erase, prove it, certify it; the same command goes on with an erasure that was interrupted."""
    started = time.monotonic()
    dataset = Dataset.open(config.dataset)
    folder = config.out or Path("runs/erased") / _folder_name(config)
    pending = _pending(config, dataset, folder / "pending.json")
    with console.status("erasing") as status:
        erase(dataset, pending.traces, pending.erasure_id, lambda step: status.update(f"erasing: {step}"))
        status.update("searching every file for what is left")
        found = search(dataset.uri, _patterns(pending.traces), dataset.storage_options)
    dataset = Dataset.open(config.dataset)
    certificate = _certificate(pending, dataset, found)
    wrong = _wrong(certificate["verified"])
    if wrong:
        raise StoreError(
            f"{config.dataset}: expected nothing left of {config.vehicle!r}, found {wrong}; close what else uses the "
            "dataset and run the same command again"
        )
    write_whole(folder / "certificate.json", json.dumps(certificate, indent=1) + "\n")
    (folder / "pending.json").unlink()
    saw = [model.run for model in pending.models if model.saw != "no"]
    facts = {
        "certificate": str(folder / "certificate.json"),
        "removed": {name: len(certificate["removed"][name]) for name in ("recordings", "drives", "clips", "chunks")},
        "megabytes_removed": sum(size for _, size in pending.traces.chunks) / 1e6,
        "searched": f"{found.files} files, {found.size_bytes / 1e6:.1f} MB, {len(_patterns(pending.traces))} patterns",
        "models_that_saw_it": len(saw),
        "seconds": round(time.monotonic() - started, 1),
    }
    return Outcome.listing(f"erased {config.vehicle}", facts | {"models": saw})


def _pending(config: EraseRun, dataset: Dataset, path: Path) -> Pending:
    """What was written down before, or is now."""
    if path.exists():
        return TypeAdapter(Pending).validate_json(path.read_text(encoding="utf-8"))
    traces = traces_of(dataset, config.vehicle)
    erasure_id = hashlib.sha256(f"{config.dataset}\0{time.time_ns()}".encode()).hexdigest()[:16]
    models = tuple(_models(config, traces))
    pending = Pending(erasure_id, _now(), traces, models, tuple(_documents(config, traces)))
    write_whole(path, TypeAdapter(Pending).dump_json(pending).decode())
    return pending


def _folder_name(config: EraseRun) -> str:
    """A name that is the same for the same command, and does not tell whose it is."""
    return hashlib.sha256(f"{config.dataset}\0{config.vehicle}".encode()).hexdigest()[:16]


def _models(config: EraseRun, traces: Traces) -> Iterator[Model]:
    """The training runs that used this dataset."""
    for path, earlier in _records(config.runs):
        addresses = [str(earlier.config.get("dataset", "")), *map(str, earlier.config.get("rounds") or ())]
        versions = earlier.dataset_version.split("+")
        for address, version in zip(addresses, versions, strict=False):
            if earlier.verb == "train" and _same_place(address, config.dataset):
                yield _model(path.parent, config.dataset, version, traces)


def _model(folder: Path, dataset: str, version: str, traces: Traces) -> Model:
    try:
        newest = load_policy(folder)
        sha256, step = newest.sha256, newest.step
    except (CheckpointError, ConfigError):
        sha256, step = "", 0
    mine = " OR ".join(f"vehicle_id = {quoted(name)}" for name in (traces.vehicle_id, *traces.other_vehicles))
    try:
        clips = count_clips(Dataset.open(dataset, version), condition(split="train", where=f"({mine}) AND weight > 0"))
    except StoreError:
        return Model(str(folder), "unknown", 0, version, sha256, step)
    return Model(str(folder), "yes" if clips else "no", clips, version, sha256, step)


def _records(folders: Sequence[Path]) -> Iterator[tuple[Path, RunRecord]]:
    for folder in folders:
        for path in sorted(folder.rglob("run.json")):
            try:
                yield path, read_record(path)
            except ConfigError:
                continue  # not one of ours, whatever its name


def _same_place(one: str, other: str) -> bool:
    here, there = local_folder(one), local_folder(other)
    if here is None or there is None:
        return one.rstrip("/") == other.rstrip("/")
    return here.resolve() == there.resolve()


def _documents(config: EraseRun, traces: Traces) -> Iterator[str]:
    """Reports and tables that name the vehicle or one of its drives: they may show its pictures."""
    names = sorted({traces.vehicle_id, *traces.drive_ids}, key=len)
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])")
    for path in sorted(path for folder in config.runs for path in folder.rglob("*")):
        if path.suffix not in {".html", ".json"} or path.name == "certificate.json" or not path.is_file():
            continue
        if pattern.search(path.read_text(encoding="utf-8", errors="ignore")):
            yield str(path)


def _patterns(traces: Traces) -> set[bytes]:
    words = {word.encode() for word in traces.words() if len(word) >= _SHORTEST_NAME}
    return words | {bytes.fromhex(probe) for probe in traces.probes}


def _certificate(pending: Pending, dataset: Dataset, found: Searched) -> dict[str, Any]:
    traces = pending.traces
    left = light_clips(dataset, condition(split="train"), LIGHT)
    gone = set(traces.clip_ids)
    drawn = 0
    if left.num_rows:
        ids = left["clip_id"].to_pylist()
        plan = Order(ids, left["weight"].to_pylist(), 0, dataset.content_hash()).epoch(0)
        drawn = sum(ids[index] in gone for index in plan)
    belongs = explained(dataset, traces, found.hits)
    strange = [hit for hit in found.hits if hit not in belongs]
    return {
        "erasure_id": pending.erasure_id,
        "vehicle_id": traces.vehicle_id,
        "other_vehicles_in_the_same_recordings": list(traces.other_vehicles),
        "dataset": dataset.uri,
        "began": pending.began,
        "ended": _now(),
        "removed": {
            "recordings": list(traces.recording_ids),
            "drives": list(traces.drive_ids),
            "clips": list(traces.clip_ids),
            "files_sha256_and_bytes": [list(file) for file in traces.files],
            "chunks": [list(chunk) for chunk in traces.chunks],
            "dataset_versions": list(traces.versions),
        },
        "dataset_version_after": dataset.version,
        "verified": {
            "rows_left": rows_left(dataset, traces),
            "files_searched": found.files,
            "bytes_searched": found.size_bytes,
            "patterns": len(_patterns(traces)),
            "places_found": [asdict(hit) | {"pattern": hit.pattern.hex()} for hit in strange],
            "places_that_belong_to_others": len(belongs),
            "clips_in_the_plan_of_an_epoch": left.num_rows,
            "of_them_of_the_vehicle": drawn,
        },
        "models": [asdict(model) for model in pending.models],
        "documents_that_name_it": list(pending.documents),
        "not_covered": [
            "the files that were ingested; copies and backups of the dataset; what a disk keeps of files that were "
            "removed, and an object store of versions of objects",
            "what the models above have learned: train them anew without it",
            "the documents above: remove them, or make them anew",
        ],
    }


def _wrong(verified: dict[str, Any]) -> str:
    """What is left, in words; empty where nothing is."""
    said = []
    if verified["rows_left"]:
        said.append(f"{verified['rows_left']} rows")
    if places := verified["places_found"]:
        said.append(f"{len(places)} places in files, the first in {places[0]['path']}")
    if verified["of_them_of_the_vehicle"]:
        said.append(f"{verified['of_them_of_the_vehicle']} samples in the plan of an epoch")
    return ", ".join(said)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
