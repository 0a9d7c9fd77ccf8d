"""What a dataset holds at one moment: drives, clips and frames by query; nothing of it can be changed here.

In: an address, and a version where an earlier moment is meant. Out: drives, clips, rejections, frames by number.
Idea: the ledger alone says what exists; rows of other tables that it does not name are not seen, whatever lies about
of a write that is under way or was cut off. So a reader needs no lock: it sees the moment at which it opened.
What a dataset holds is named by a hash of contents, equal for equal contents whatever the order and interruptions of
ingest.
Not here: writing (`dataset.py`), Lance itself (`table.py`), where frames lie (`footage.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from dojo.errors import StoreError
from dojo.records import Clip, Drive, Frame, Rejection
from dojo.store.fingerprint import fingerprint
from dojo.store.footage import Footage, StoredStream
from dojo.store.rows import Row, clip_from, drive_from, rejection_from, rows_of, stream_from
from dojo.store.schema import TABLES
from dojo.store.summary import CLIP_COLUMNS, DRIVE_COLUMNS, Summary, summarise
from dojo.store.table import Table, quoted


class Snapshot:
    """Everything at one address, as of the moment it was opened.

    Args:
        storage_options: as Lance takes them (endpoint, region, ...); credentials come from the environment.
        version: of ledger and clips, where an earlier moment is meant.
    """

    def __init__(
        self, uri: str, storage_options: Mapping[str, str] | None = None, version: tuple[int, int] | None = None
    ) -> None:
        self.uri = uri
        self.storage_options = storage_options
        # The ledger first: whatever it names is in any later version of the other tables.
        self._intake = Table(uri, "intake", storage_options)
        self._drives = Table(uri, "drives", storage_options)
        self._chunks = Table(uri, "chunks", storage_options)
        self._clips = Table(uri, "clips", storage_options)
        self._is_past = version is not None
        if version is not None:
            self._intake.at(version[0])
            self._clips.at(version[1])
        self._ledger = self._read_ledger()
        self._footage = Footage(self._chunks)

    def content_hash(self) -> str:
        """Hash of all drives, video, rejections and clips; equal contents give equal hashes."""
        received = sorted((key, row["content_hash"]) for key, row in self._ledger.items())
        return fingerprint((received, self._clips.metadata.get("clips.hash", "")))

    @property
    def version(self) -> str:
        """The name of this state, which `open` takes: contents, then version of ledger and of clips."""
        return f"{self.content_hash()[:12]}@{self._intake.version}.{self._clips.version}"

    @property
    def clips_version(self) -> int:
        """Version of the table of clips that this state shows."""
        return self._clips.version

    def history(self) -> list[tuple[str, str]]:
        """Every state that can still be opened, oldest first: its name without the hash, and when it came about."""
        events = [(when, "intake", number) for number, when in self._intake.versions()]
        events += [(when, "clips", number) for number, when in self._clips.versions()]
        current = {"intake": 0, "clips": 0}
        states = []
        for when, table, number in sorted(events):
            current[table] = number
            if all(current.values()):
                states.append((f"{current['intake']}.{current['clips']}", when.isoformat(timespec="seconds")))
        return states

    def known_files(self) -> set[str]:
        """SHA-256 of every file that was received, accepted or refused."""
        return {entry["sha256"] for row in self._ledger.values() for entry in row["files"]}

    def ledger(self) -> dict[str, Row]:
        """What was received, by recording: its files, its drives, why parts of it were refused."""
        return dict(self._ledger)

    def drive_ids(self) -> list[str]:
        """Ids of all drives, sorted."""
        return sorted(drive_id for row in self._ledger.values() for drive_id in row["drive_ids"])

    def drives(self) -> list[Drive]:
        """All drives, sorted by id."""
        return [drive_from(row) for row in self._visible_drives(TABLES["drives"].names)]

    def drive(self, drive_id: str) -> Drive:
        """One drive.

        Raises:
            StoreError: there is none of this id.
        """
        return drive_from(self._drive_columns(drive_id, TABLES["drives"].names))

    def rejections(self) -> list[Rejection]:
        """Why files and spans were refused: first whole files, then spans of stored drives."""
        found = [item for _, row in sorted(self._ledger.items()) for item in row["rejections"]]
        for row in self._visible_drives(["drive_id", "recording_id", "rejections"]):
            found += row["rejections"].as_py()
        return list(dict.fromkeys(rejection_from(item) for item in found))

    def clips(self, split: str | None = None, tag: str | None = None) -> list[Clip]:
        """Clips of the latest cut, in the order in which they were put; of one split or tag where asked."""
        wanted = [f"split = {quoted(split)}"] if split is not None else []
        wanted += [f"array_has(tags, {quoted(tag)})"] if tag is not None else []
        return [
            clip_from(row) for row in rows_of(self._clips.read(TABLES["clips"].names, " AND ".join(wanted) or None))
        ]

    def clip_settings(self) -> dict[str, Any] | None:
        """The settings that cut the clips; None before the first cut."""
        text = self._clips.metadata.get("clips.settings")
        return None if text is None else json.loads(text)

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> list[Frame]:
        """Frames of a stored stream by number, in the order asked.

        Reads each chunk that is touched once, and decodes it from the key frame before the first wanted frame.

        Raises:
            StoreError: no such drive, camera or frame, or the stored video is damaged.
        """
        return self._footage.frames(self._stream_with(drive_id, camera, indices), indices)

    def each_frame(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Iterator[Frame]:
        """Frames of a stored stream by rising number, one by one; each is good only until the next is asked for.

        Raises:
            StoreError: no such drive, camera or frame, or the stored video is damaged.
        """
        return self._footage.each_frame(self._stream_with(drive_id, camera, indices), indices)

    def summary(self) -> Summary:
        """Figures of what is there; reads no series and no video."""
        drives = [{name: value.as_py() for name, value in row.items()} for row in self._visible_drives(DRIVE_COLUMNS)]
        clips = self._clips.read(CLIP_COLUMNS).to_pylist()
        versions = len(self.history())
        return summarise(self.uri, self.version, versions, list(self._ledger.values()), drives, clips)

    def verify(self) -> list[str]:
        """Everything that is damaged or missing, one line each; reads all video. Empty means whole."""
        streams: list[tuple[str, str, str, int]] = []
        stored = set()
        for batch in self._drives.batches(["drive_id", "recording_id", "cameras"]):
            for row in rows_of(batch):
                recording_id, drive_id = row["recording_id"].as_py(), row["drive_id"].as_py()
                if recording_id in self._ledger:
                    stored.add(drive_id)
                    cameras = map(stream_from, row["cameras"].values)
                    streams += [(recording_id, drive_id, one.name, len(one.timestamps_ns)) for one in cameras]
        missing = [drive_id for drive_id in self.drive_ids() if drive_id not in stored]
        found = [f"drive {drive_id}: its row is missing" for drive_id in missing]
        return found + self._footage.damages(sorted(streams, key=lambda stream: stream[1:]))

    # -- inside --------------------------------------------------------------------------------------------------

    def _read_ledger(self) -> dict[str, Row]:
        rows = self._intake.read(TABLES["intake"].names).to_pylist()
        return {row["recording_id"]: row for row in rows}

    def _visible_drives(self, columns: Sequence[str]) -> list[Mapping[str, Any]]:
        rows = [row for row in rows_of(self._drives.read(columns)) if row["recording_id"].as_py() in self._ledger]
        if len(rows) != len(self.drive_ids()):
            raise StoreError(
                f"{self.uri}: expected {len(self.drive_ids())} drives, found {len(rows)}; the dataset is damaged, "
                "restore it or ingest again into a new one"
            )
        return sorted(rows, key=lambda row: row["drive_id"].as_py())

    def _drive_columns(self, drive_id: str, columns: Sequence[str]) -> Mapping[str, Any]:
        rows = rows_of(self._drives.read(columns, f"drive_id = {quoted(drive_id)}"))
        for row in rows:
            if row["recording_id"].as_py() in self._ledger:
                return row
        raise StoreError(
            f"{self.uri}: has no drive {drive_id!r} at version {self.version}; `dojo ls` shows what there is"
        )

    def _stream_with(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> StoredStream:
        """The stream, if it has all these frames."""
        stream = self._stream(drive_id, camera)
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(stream.timestamps_ns)):
            raise StoreError(
                f"drive {drive_id}: camera {camera!r} has frames 0 to {len(stream.timestamps_ns) - 1}, asked for "
                f"{int(indices.min())} to {int(indices.max())}; cut the clips again"
            )
        return stream

    def _stream(self, drive_id: str, camera: str) -> StoredStream:
        if (known := self._footage.known(drive_id, camera)) is not None:
            return known
        row = self._drive_columns(drive_id, ["drive_id", "recording_id", "cameras"])
        streams = {stream.name: stream for stream in map(stream_from, row["cameras"].values)}
        if camera not in streams:
            raise StoreError(f"drive {drive_id}: has cameras {sorted(streams)}, asked for {camera!r}")
        return self._footage.locate(row["recording_id"].as_py(), drive_id, streams[camera])
