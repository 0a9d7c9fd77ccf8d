"""Everything of one vehicle gone: from every table, every older version, every file.

In: a dataset and the name of a vehicle. Out: what was found of it, and a dataset that holds none of its bytes.
Idea: deleting a row only hides it; the files that hold it stay for older versions. So rows are deleted, files that held
one are written anew without it, and every older version goes, for it would need the old files. Each step may be
repeated, so an erasure that was interrupted is finished by doing it again. What was found is written down by the
caller before the first step, because afterwards it cannot be found again.
A recording goes whole, as it came: should one ever hold drives of two vehicles, both go.
Not here: the search that proves it (`search.py`), what may not come back (`tombstones.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from dojo.errors import StoreError
from dojo.store.dataset import Dataset
from dojo.store.embeddings import Embeddings
from dojo.store.rows import Row
from dojo.store.search import Hit
from dojo.store.table import Table, quoted
from dojo.store.tombstones import TABLE, Tombstones

_PROBE_BYTES = 32
"""Of each chunk's video, to search for: by chance, 32 bytes of coded video come twice in 2**256 places."""


@dataclass(frozen=True)
class Traces:
    """What a dataset holds of a vehicle.

    Args:
        files: (sha256, size in bytes) of each file that was received from it.
        chunks: (sha256, size in bytes) of each stored stretch of its video.
        probes: some bytes out of the middle of each of these, in hex.
        other_vehicles: whose drives share a recording with it, and go with it.
        versions: of the dataset that can be opened, and no longer will be.
    """

    vehicle_id: str
    recording_ids: tuple[str, ...]
    drive_ids: tuple[str, ...]
    clip_ids: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    chunks: tuple[tuple[str, int], ...]
    probes: tuple[str, ...]
    other_vehicles: tuple[str, ...]
    versions: tuple[str, ...]

    def words(self) -> set[str]:
        """The names and hashes under which the dataset knew it."""
        hashes = [sha256 for sha256, _ in (*self.files, *self.chunks)]
        return {self.vehicle_id, *self.recording_ids, *self.drive_ids, *self.clip_ids, *hashes}


def traces_of(dataset: Dataset, vehicle_id: str) -> Traces:
    """What the dataset holds of a vehicle, in its newest version or, where that has nothing, in an older one.

    Raises:
        StoreError: no version that can be opened has anything of it.
    """
    drives = _ever(dataset, "drives", ["drive_id", "recording_id", "files"], f"vehicle_id = {quoted(vehicle_id)}")
    ledger = dataset.ledger()
    named = [row for row in ledger.values() if not row["drive_ids"] and _names(row, vehicle_id)]
    recordings = {row["recording_id"] for row in (*drives, *named)}
    rows = [*drives, *(ledger[key] for key in recordings if key in ledger)]
    if not rows:
        erased = Tombstones(dataset.uri, dataset.storage_options).vehicles([vehicle_id])
        advice = "it was erased before" if erased else "`dojo find` shows the vehicle of every clip"
        raise StoreError(
            f"{dataset.uri}: expected a vehicle of this dataset, found nothing of {vehicle_id!r} in any version; "
            f"{advice}"
        )
    mine = sorted({row["drive_id"] for row in drives} | {i for row in rows for i in row.get("drive_ids", ())})
    others = _ever(dataset, "drives", ["vehicle_id"], f"drive_id IN ({_listed(mine)})") if mine else []
    chunks = list(_chunks(dataset, sorted(recordings)))
    return Traces(
        vehicle_id=vehicle_id,
        recording_ids=tuple(sorted(recordings)),
        drive_ids=tuple(mine),
        clip_ids=tuple(sorted(_clips(dataset, mine))),
        files=tuple(sorted({(file["sha256"], file["size_bytes"]) for row in rows for file in row["files"]})),
        chunks=tuple(sorted((sha256, size) for sha256, size, _ in chunks)),
        probes=tuple(sorted(probe for *_, probe in chunks)),
        other_vehicles=tuple(sorted({row["vehicle_id"] for row in others} - {vehicle_id})),
        versions=tuple(version for version, _ in dataset.history()),
    )


def joined(one: Traces, other: Traces) -> Traces:
    """What was found of a vehicle at two moments."""
    both: dict[str, Any] = {
        name: tuple(sorted({*getattr(one, name), *getattr(other, name)}))
        for name in (field.name for field in fields(Traces))
        if name not in ("vehicle_id", "versions")
    }
    return replace(one, **both, versions=tuple(dict.fromkeys((*one.versions, *other.versions))))


def erase(dataset: Dataset, traces: Traces, erasure_id: str, told: Callable[[str], None] = lambda _step: None) -> None:
    """A dataset without a byte of these traces; may be repeated after an interruption at any moment.

    Args:
        told: of each step as it begins.
    """
    told("tombstones")
    vehicles = (traces.vehicle_id, *traces.other_vehicles)
    for vehicle_id in vehicles:
        Tombstones(dataset.uri, dataset.storage_options).add(erasure_id, vehicle_id, [sha for sha, _ in traces.files])
    embeddings = Embeddings.found(dataset)
    if embeddings is not None:
        told("embeddings")
        embeddings.remove(vehicles)
    told("clips, ledger, drives and video")
    dataset.remove(traces.recording_ids)
    told("files that held them")
    dataset.compact()
    told("older versions")
    dataset.vacuum(timedelta())
    if embeddings is not None:
        embeddings.vacuum(timedelta())
    Table(dataset.uri, TABLE, dataset.storage_options).vacuum(timedelta())


def rows_left(dataset: Dataset, traces: Traces) -> int:
    """How many rows of any table still belong to the vehicle."""
    recordings, drives = _listed(traces.recording_ids), _listed(traces.drive_ids)
    wanted = {
        "intake": f"recording_id IN ({recordings})",
        "chunks": f"recording_id IN ({recordings})",
        "drives": f"recording_id IN ({recordings}) OR vehicle_id = {quoted(traces.vehicle_id)}",
        "clips": f"vehicle_id = {quoted(traces.vehicle_id)}" + (f" OR drive_id IN ({drives})" if drives else ""),
    }
    left = 0
    for name, where in wanted.items():
        column = "recording_id" if name != "clips" else "drive_id"
        left += int(Table(dataset.uri, name, dataset.storage_options).read([column], where).num_rows)
    embeddings = Embeddings.found(dataset)
    return left + (embeddings.count(traces.vehicle_id) if embeddings is not None else 0)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(quoted, names))


def _ever(dataset: Dataset, name: str, columns: list[str], where: str) -> list[Row]:
    """Rows of the newest version that has any."""
    table = Table(dataset.uri, name, dataset.storage_options)
    for number, _ in reversed(table.versions()):
        table.at(number)
        if rows := table.read(columns, where).to_pylist():
            return rows
    return []


def _clips(dataset: Dataset, drive_ids: list[str]) -> set[str]:
    """Clips of these drives in any version: each curation replaces all clips, so any version may have others."""
    table = Table(dataset.uri, "clips", dataset.storage_options)
    found: set[str] = set()
    for number, _ in table.versions() if drive_ids else ():
        table.at(number)
        found |= set(table.read(["clip_id"], f"drive_id IN ({_listed(drive_ids)})")["clip_id"].to_pylist())
    return found


def _chunks(dataset: Dataset, recording_ids: list[str]) -> Iterator[tuple[str, int, str]]:
    """Hash, size and probe of the video of these recordings."""
    table = Table(dataset.uri, "chunks", dataset.storage_options)
    where = f"recording_id IN ({_listed(recording_ids)})"
    for number, _ in reversed(table.versions()):
        table.at(number)
        found: Any = table.read(["sha256"], where, row_ids=True)
        for sha256, row_id in zip(found["sha256"].to_pylist(), found["_rowid"].to_pylist(), strict=True):
            (data,) = table.blobs([row_id])
            yield sha256, len(data), _probe(data).hex()
        if found.num_rows:
            return


def _probe(data: bytes) -> bytes:
    """The most varied of some stretches of coded video: a black picture at night is coded alike by everybody.

    Not of the first and last quarter, where encoder and container say their names.
    """
    starts = range(len(data) // 4, max(len(data) // 4 + 1, 3 * len(data) // 4 - _PROBE_BYTES), max(1, len(data) // 128))
    return max((data[start : start + _PROBE_BYTES] for start in starts), key=lambda part: len(set(part)))


def explained(dataset: Dataset, traces: Traces, hits: Sequence[Hit]) -> set[Hit]:
    """Those hits that belong to what others left: the same bytes in rows that are still there.

    Two vehicles may have recorded the same picture, or one name may be part of another. A hash or name is explained by
    a row that has it; bytes of video by being in the rows as often as they are in the files.
    """
    left = {
        name: Table(dataset.uri, name, dataset.storage_options).read(columns)
        for name, columns in (("chunks", ["sha256"]), ("drives", ["vehicle_id", "files"]), ("intake", ["files"]))
    }
    words = set(left["chunks"]["sha256"].to_pylist())
    words |= {
        file["sha256"] for name in ("drives", "intake") for row in left[name]["files"].to_pylist() for file in row
    }
    names = left["drives"]["vehicle_id"].unique().to_pylist()
    probes = {bytes.fromhex(probe) for probe in traces.probes}
    found = Counter(hit.pattern for hit in hits if hit.pattern in probes)
    there = _in_video(dataset, found.keys()) if found else Counter()

    def belongs(hit: Hit) -> bool:
        if hit.pattern in probes:
            return found[hit.pattern] <= there[hit.pattern]
        word = hit.pattern.decode()
        return word in words or (word == traces.vehicle_id and any(word in name for name in names))

    return {hit for hit in hits if belongs(hit)}


def _in_video(dataset: Dataset, probes: Collection[bytes]) -> Counter[bytes]:
    """How often these bytes stand in the video that is left; reads all of it."""
    table = Table(dataset.uri, "chunks", dataset.storage_options)
    counts: Counter[bytes] = Counter()
    for row_id in table.read(["sha256"], row_ids=True)["_rowid"].to_pylist():
        (data,) = table.blobs([row_id])
        for probe in probes:
            counts[probe] += len(re.findall(b"(?=" + re.escape(probe) + b")", data))
    return counts


def _names(row: Row, vehicle_id: str) -> bool:
    """Whether a recording that gave no drive says the vehicle's name in its paths or reasons."""
    pattern = re.compile(rf"(?<![\w-]){re.escape(vehicle_id)}(?![\w-])")
    texts = [file["path"] for file in row["files"]]
    texts += [text for item in row["rejections"] for text in (item["where"], item["reason"])]
    return any(pattern.search(text) for text in texts)
