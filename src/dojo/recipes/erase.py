"""`dojo erase --vehicle ID`: every byte of one vehicle out of a dataset, with a certificate that says so.

In: a dataset and the name of a vehicle; training runs. Out: `certificate.json`.
Idea: three questions are answered before anything is removed, because they cannot be afterwards: what there is of the
vehicle, which training runs had it among their clips, which reports name it. They are written down first; an erasure
that was interrupted goes on from there when the same command is given again. Then all is removed, and the proof is
looked for: no row, no byte in any file, no clip in the plan of an epoch.
Not here: who has seen it (`seen_by.py`), the removal (`store/erase.py`), the search (`store/search.py`).
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console

from dojo.errors import ConfigError, StoreError
from dojo.load.order import Order
from dojo.recipes.run import Outcome, write_whole
from dojo.recipes.seen_by import Model, documents_of, models_of
from dojo.store.dataset import Dataset
from dojo.store.erase import Traces, erase, explained, joined, rows_left, traces_of
from dojo.store.query import LIGHT, condition, light_clips
from dojo.store.search import Searched, search

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
    facts = _facts(folder / "certificate.json", pending, certificate)
    return Outcome.listing(f"erased {config.vehicle}", facts | {"seconds": round(time.monotonic() - started, 1)})


def _facts(path: Path, pending: Pending, certificate: dict[str, Any]) -> dict[str, Any]:
    """What to tell at once; the rest is in the certificate."""
    verified = certificate["verified"]
    return {
        "certificate": str(path),
        "removed": {name: len(certificate["removed"][name]) for name in ("recordings", "drives", "clips", "chunks")},
        "megabytes_removed": sum(size for _, size in pending.traces.chunks) / 1e6,
        "searched": f"{verified['files_searched']} files, {verified['bytes_searched'] / 1e6:.1f} MB, "
        f"{verified['patterns']} patterns, nothing found",
        "models_that_saw_it": [model.run for model in pending.models if model.saw == "yes"],
        "models_that_may_have": [model.run for model in pending.models if model.saw == "unknown"],
        "documents_that_name_it": len(pending.documents),
    }


def _pending(config: EraseRun, dataset: Dataset, path: Path) -> Pending:
    """What was written down before, or is now."""
    if path.exists():
        earlier = TypeAdapter(Pending).validate_json(path.read_text(encoding="utf-8"))
        return replace(earlier, traces=_with_what_came_since(dataset, earlier.traces))
    traces = traces_of(dataset, config.vehicle)
    erasure_id = hashlib.sha256(f"{config.dataset}\0{time.time_ns()}".encode()).hexdigest()[:16]
    models = tuple(models_of(config.runs, config.dataset, traces))
    pending = Pending(erasure_id, _now(), traces, models, tuple(documents_of(config.runs, traces)))
    write_whole(path, TypeAdapter(Pending).dump_json(pending).decode())
    return pending


def _with_what_came_since(dataset: Dataset, traces: Traces) -> Traces:
    """An interrupted erasure may not have got as far as keeping new recordings of the vehicle out."""
    try:
        return joined(traces, traces_of(dataset, traces.vehicle_id))
    except StoreError:
        return traces


def _folder_name(config: EraseRun) -> str:
    """A name that is the same for the same command, and does not tell whose it is."""
    return hashlib.sha256(f"{config.dataset}\0{config.vehicle}".encode()).hexdigest()[:16]


def _patterns(traces: Traces) -> set[bytes]:
    words = {word.encode() for word in traces.words() if len(word) >= _SHORTEST_NAME}
    return words | {bytes.fromhex(probe) for probe in traces.probes}


def _certificate(pending: Pending, dataset: Dataset, found: Searched) -> dict[str, Any]:
    traces = pending.traces
    left = light_clips(dataset, condition(split="train"), LIGHT)
    gone = set(traces.clip_ids)
    drawn = 0
    weights = left["weight"].to_pylist()
    if sum(weights) > 0:
        ids = left["clip_id"].to_pylist()
        plan = Order(ids, weights, 0, dataset.content_hash()).epoch(0)
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
            "removed, and an object store of versions of objects; scratch folders of processes that were killed on "
            "other machines, until the next ingest there",
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
