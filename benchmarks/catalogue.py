"""How long do the questions that training asks of a catalogue take when it holds ten million clips?

In: a number of clips. Out: a table, and JSON: seconds and memory of each question, each in a process of its own.
Idea: a synthetic catalogue in the store's own tables, with everything but video: rows with tags, tiles, weights and
target paths of one anchor, and an embedding for each. Its proportions are those of a fleet: drives of ten minutes, a
clip each second, tags as rare as they are on roads, places visited as unevenly.
Not measured here: decoding (`loader.py`).

    python benchmarks/catalogue.py --clips 1000000 --folder /somewhere --out benchmarks/results/catalogue_1m.json
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tyro

CLIPS_PER_DRIVE = 600
VECTOR = 128
_BATCH = 50_000
_TAGS = (
    ("straight", 0.9),
    ("curve", 0.1),
    ("stop", 0.05),
    ("start", 0.05),
    ("lane_change", 0.02),
    ("hard_brake", 0.002),
)
_GEOHASH = np.array(list("0123456789bcdefghjkmnpqrstuvwxyz"))


@dataclass(frozen=True)
class Config:
    """How large, and where.

    Args:
        clips: how many; about 0.9 GB of disk for each million.
        folder: for the catalogue; a temporary one that is removed afterwards if not given.
        draw: samples of the balanced draw.
        out: file for the JSON; printed alone if not given.
    """

    clips: int = 10_000_000
    folder: Path | None = None
    draw: int = 100_000
    out: Path | None = None


def main(config: Config) -> dict[str, Any]:
    """Build the catalogue unless it is there, ask every question, tell."""
    folder = config.folder or Path(tempfile.mkdtemp(prefix="dojo-catalogue-"))
    try:
        uri = str(folder / f"catalogue-{config.clips}")
        result: dict[str, Any] = {"clips": config.clips, "machine": _machine(), "questions": {}}
        if not (folder / f"catalogue-{config.clips}" / "built").exists():
            result["build_s"] = round(_apart(build, uri, config.clips)["seconds"], 1)
        result["disk_gb"] = round(sum(p.stat().st_size for p in Path(uri).rglob("*") if p.is_file()) / 1e9, 2)
        for name, (question, more) in questions(config).items():
            result["questions"][name] = found = _apart(question, uri, *more)
            print(f"{name:<52} {found['seconds']:8.2f} s {found['peak_gb']:6.2f} GB  {found['answer']}", flush=True)
    finally:
        if config.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if config.out is not None:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        config.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: round(found["seconds"], 2) for name, found in result["questions"].items()}))
    return result


def questions(config: Config) -> dict[str, tuple[Callable[..., str], tuple[Any, ...]]]:
    """Every question by name, with what it is told besides the address."""
    return {
        "open": (open_dataset, ()),
        "clips with a tag": (by_tag, ()),
        "clips with a tag at a place": (by_tag_and_place, ()),
        "SQL: clips and weight by vehicle": (by_sql, ()),
        f"balanced draw of {config.draw:,}": (draw, (config.draw,)),
        "plan of an epoch, 1 rank": (plan, (1,)),
        "plan of an epoch, 1,024 ranks": (plan, (1024,)),
        "ten nearest neighbours": (neighbours, ()),
        "from starting Python to the clips of a first batch": (start, ()),
    }


# -- the questions -------------------------------------------------------------------------------------------------


def open_dataset(uri: str) -> str:
    """What every command does first."""
    from dojo.store import Dataset

    dataset = Dataset.open(uri)
    return f"{len(dataset.drive_ids()):,} drives"


def by_tag(uri: str) -> str:
    """How many clips carry a rare tag, with what they are."""
    from dojo.store import Dataset
    from dojo.store.query import condition, light_clips

    return f"{light_clips(Dataset.open(uri), condition(tags=['hard_brake'])).num_rows:,} clips"


def by_tag_and_place(uri: str) -> str:
    """The same in one road tile."""
    from dojo.store import Dataset
    from dojo.store.query import condition, light_clips

    found = light_clips(Dataset.open(uri), condition(tags=["curve"], split="train", tile=tile_names(1)[0]))
    return f"{found.num_rows:,} clips"


def by_sql(uri: str) -> str:
    """Groups, which a condition cannot make."""
    from dojo.store import Dataset
    from dojo.store.query import sql

    table = sql(Dataset.open(uri), "SELECT vehicle_id, count(*), sum(weight) FROM clips GROUP BY 1 ORDER BY 2 DESC")
    return f"{table.num_rows:,} vehicles"


def draw(uri: str, count: int) -> str:
    """A selection in which rare sets of tags are as well represented as common ones."""
    from dojo.curate.select import balanced
    from dojo.store import Dataset
    from dojo.store.query import light_clips

    tags = light_clips(Dataset.open(uri), None, ("tags",))["tags"]
    kinds = pa.chunked_array([pc.binary_join(part, "+") for part in tags.chunks]).combine_chunks().dictionary_encode()
    chosen = balanced(np.asarray(kinds.indices, np.int64), min(count, len(kinds)))
    return f"{len(chosen):,} of {len(kinds.dictionary)} kinds"


def plan(uri: str, ranks: int) -> str:
    """The clips that the first of so many ranks will draw in the first epoch."""
    from dojo.load.order import Order
    from dojo.store import Dataset
    from dojo.store.catalogue import Catalogue

    dataset = Dataset.open(uri)
    clips = Catalogue(dataset, "train")
    order = Order(clips.names(), clips.weights, 0, dataset.content_hash())
    return f"{len(order.epoch(0)[::ranks]):,} draws"


def neighbours(uri: str) -> str:
    """The clips most like one, over all of them, exactly."""
    from dojo.store import Dataset
    from dojo.store.embeddings import Embeddings

    embeddings = Embeddings.found(Dataset.open(uri))
    assert embeddings is not None
    query = np.random.default_rng(5).normal(size=VECTOR).astype(np.float32)
    return f"similarity {embeddings.like(query, 10)[0][1]:.3f}"


def start(uri: str) -> str:
    """What stands between the command and its first batch, but for decoding: plan, the list of clips that goes into the
    folder of the run, and the records of sixteen clips."""
    from dojo.load.order import Order
    from dojo.recipes.train import name_clips  # with the libraries that training loads
    from dojo.store import Dataset
    from dojo.store.catalogue import Catalogue

    dataset = Dataset.open(uri)
    clips = Catalogue(dataset, "train")
    with tempfile.TemporaryDirectory(dir=uri) as run:
        name_clips(Path(run), clips)
    order = Order(clips.names(), clips.weights, 0, dataset.content_hash())
    batch = clips.take(order.epoch(0)[:16])
    return f"{len(batch)} clips of {len(clips):,}"


# -- the catalogue -------------------------------------------------------------------------------------------------


def build(uri: str, clips: int) -> str:
    """Write the tables."""
    from dojo.store import Dataset
    from dojo.store.embeddings import Embeddings
    from dojo.store.schema import TABLES
    from dojo.store.table import Table

    shutil.rmtree(uri, ignore_errors=True)
    dataset = Dataset.create(uri)
    drives = -(-clips // CLIPS_PER_DRIVE)
    for name, batches in (("drives", _drives(drives)), ("intake", _intake(drives)), ("clips", _clips(clips))):
        metadata = {"clips.settings": "{}", "clips.hash": "synthetic"} if name == "clips" else {}
        Table(uri, name).replace_all(TABLES[name], batches, metadata)
    Embeddings.put(dataset, _vectors(clips), VECTOR, "synthetic")
    (Path(uri) / "built").touch()
    return uri


def tile_names(count: int) -> list[str]:
    """Places, the most visited first."""
    letters = np.random.default_rng(7).integers(0, 32, (count, 5))
    return ["u" + "".join(_GEOHASH[row]) for row in letters]


def _spans(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, _BATCH):
        yield first, min(_BATCH, count - first)


def _lists(values: np.ndarray, each: int) -> pa.Array:
    """A list of equally many values for each row."""
    offsets = np.arange(0, len(values) + 1, each, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _ids(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix}{number:020x}" for number in numbers.tolist()])


def _clips(count: int) -> Iterator[pa.RecordBatch]:
    from dojo.store.schema import TABLES

    rng = np.random.default_rng(1)
    names = np.array(tile_names(20_000))
    paths = rng.normal(size=(1024, 99)).astype(np.float32)
    for first, size in _spans(count):
        number = np.arange(first, first + size)
        tagged = rng.random((size, len(_TAGS))) < np.array([share for _, share in _TAGS])
        tags = pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(tagged.sum(1))]).astype(np.int32)),
            pa.array(np.array([name for name, _ in _TAGS])[np.nonzero(tagged)[1]]),
        )
        # Zipf: the second most visited place half as often as the first.
        place = (len(names) ** rng.random(size)).astype(np.int64) - 1
        drive = number // CLIPS_PER_DRIVE
        columns = {
            "clip_id": _ids("", number),
            "drive_id": _ids("d", drive),
            "vehicle_id": _ids("v", drive // 20),
            "camera": pa.array(np.full(size, "front")),
            "split": pa.array(np.where(drive % 10 == 0, "validation", "train")),
            "tags": tags,
            "tiles": _lists(names[place], 1),
            "weight": pa.array(rng.uniform(0.2, 3.0, size)),
            "frame_indices": _lists(np.repeat(number % CLIPS_PER_DRIVE, 2) * 5 + np.tile([0, 1], size), 2),
            "anchor_timestamps_ns": _lists(number * 1_000_000_000, 1),
            "position_m": _lists(paths[rng.integers(0, len(paths), size)].ravel(), 99),
            "yaw_rad": _lists(np.zeros(33 * size, np.float32), 33),
            "speed_mps": _lists(np.zeros(33 * size, np.float32), 33),
            "valid": _lists(np.ones(33 * size, np.bool_), 33),
            "curvature_per_m": _lists(np.zeros(size, np.float32), 1),
            "acceleration_mps2": _lists(np.zeros(size, np.float32), 1),
            "action_valid": _lists(np.ones(size, np.bool_), 1),
            "ego_rates": _lists(np.zeros(6 * size, np.float32), 6),
            "desire": _lists(np.zeros(size, np.int64), 1),
        }
        schema = TABLES["clips"]
        yield pa.RecordBatch.from_arrays(
            [columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema
        )


def _drives(count: int) -> Iterator[pa.RecordBatch]:
    """Drives with everything but series: what a catalogue is asked of them is in their light columns."""
    from dojo.store.schema import TABLES

    for first, size in _spans(count):
        number = np.arange(first, first + size)
        columns = {
            "drive_id": _ids("d", number),
            "recording_id": _ids("r", number),
            "vehicle_id": _ids("v", number // 20),
            "duration_s": pa.array(np.full(size, float(CLIPS_PER_DRIVE))),
        }
        schema = TABLES["drives"]
        rest = {field.name: pa.nulls(size, field.type) for field in schema if field.name not in columns}
        yield pa.RecordBatch.from_arrays([(columns | rest)[name] for name in schema.names], schema=schema)


def _intake(count: int) -> Iterator[pa.RecordBatch]:
    from dojo.store.schema import TABLES

    for first, size in _spans(count):
        rows = [
            {
                "recording_id": f"r{number:020x}",
                "content_hash": f"{number:064x}",
                "files": [{"path": f"/stick/{number}.mp4", "sha256": f"{number:064x}", "size_bytes": 1}],
                "drive_ids": [f"d{number:020x}"],
                "chunk_count": 0,
                "rejections": [],
            }
            for number in range(first, first + size)
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=TABLES["intake"])


def _vectors(count: int) -> Iterator[tuple[list[str], list[str], np.ndarray]]:
    rng = np.random.default_rng(3)
    for first, size in _spans(count):
        number = np.arange(first, first + size)
        vectors = rng.standard_normal((size, VECTOR), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vehicle = number // CLIPS_PER_DRIVE // 20
        yield _ids("", number).to_pylist(), _ids("v", vehicle).to_pylist(), vectors


# -- measuring -----------------------------------------------------------------------------------------------------


def _apart(question: Callable[..., str], *told: Any) -> dict[str, Any]:
    """Seconds, peak memory and answer of a question asked in a process that has done nothing before; imports count."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_asked, args=(question, told, there))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    except EOFError:
        found = {"seconds": float("nan"), "peak_gb": float("nan"), "answer": "the process ended"}
    process.join()
    return found


def _asked(question: Callable[..., str], told: tuple[Any, ...], pipe: Any) -> None:
    started = time.monotonic()
    answer = question(*told)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    pipe.send({"seconds": time.monotonic() - started, "peak_gb": peak, "answer": answer})


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()}, {cores} cores, {memory:.0f} GB, Python {platform.python_version()}"


if __name__ == "__main__":
    main(tyro.cli(Config))
