"""The dataset: every drive, its video and the clips cut from it, at one address, versioned.

In: received recordings (drives, encoded video, rejections) and clips. Out: the same by query; frames by number.
Idea: a recording becomes visible by one atomic act. Its video is appended first, then its drives, and last one row of
the ledger (`intake`), which alone makes all of it exist. Killed before that row, nothing exists, and what lies about
is removed before the next write; after it, everything does. The ledger knows a recording by the hashes of its
files, so receiving it again does nothing. An act costs the same for one recording as for a hundred, on an object store
a second, so those that are at hand together are stored together.
One writer at a time: on a local disk a file lock makes writers take turns, one recording each; on an object store,
which has no locks, start only one.
Not here: reading (`snapshot.py`), Lance itself (`table.py`), encoding and decoding (`video.py`), deciding what is good
enough (`fleet/`).
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dojo.errors import StoreError
from dojo.records import Clip, Drive, Rejection, VideoChunk
from dojo.store.fingerprint import fingerprint
from dojo.store.footage import DriveWithVideo, chunk_batches, require_whole
from dojo.store.lock import alone, local_folder
from dojo.store.rows import Row, clip_row, drive_row, file_rows, rejection_row
from dojo.store.schema import TABLES
from dojo.store.snapshot import Snapshot
from dojo.store.table import Table
from dojo.store.tombstones import Tombstones

Files = tuple[tuple[str, str, int], ...]
"""(path as given, sha256, size in bytes) of each file of a recording."""


@dataclass(frozen=True)
class Arrival:
    """What came of one recording.

    Args:
        files: all of them, also those that gave no drive.
    """

    files: Files
    drives: Sequence[DriveWithVideo] = ()
    rejections: Sequence[Rejection] = ()

    def __post_init__(self) -> None:
        if not self.files:
            raise StoreError("recording: expected at least one file to know it by, got none")

    @property
    def recording_id(self) -> str:
        """Follows from the bytes of its files."""
        return fingerprint(sorted({sha256 for _, sha256, _ in self.files}))[:32]


_PIECES_BEFORE_COMPACTION = 256
"""Assumed: below this, opening a table that was appended to so often still takes milliseconds."""


class Dataset(Snapshot):
    """Everything at one address, as of the moment it was opened; writing moves it to the newest state.

    Use `open` or `create`.
    """

    # -- opening -------------------------------------------------------------------------------------------------

    @staticmethod
    def create(uri: str, storage_options: Mapping[str, str] | None = None) -> Dataset:
        """The dataset at this address, made empty first if there is none.

        Args:
            uri: a folder, or an address that Lance knows, such as `s3://bucket/path`.
            storage_options: as Lance takes them (endpoint, region, ...); credentials come from the environment.
        """
        if (folder := local_folder(uri)) is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with alone(uri):
            for name in TABLES:
                Table.create_missing(uri, name, storage_options)
        return Dataset(uri, storage_options)

    @staticmethod
    def open(uri: str, version: str | None = None, storage_options: Mapping[str, str] | None = None) -> Dataset:
        """The dataset at this address, now or as of an earlier `version`.

        Raises:
            StoreError: there is none, it was written by a newer Dojo, or the version does not exist.
        """
        if version is None:
            return Dataset(uri, storage_options)
        parts = re.fullmatch(r"(?:([0-9a-f]{12})@)?(\d+)\.(\d+)", version)
        if parts is None:
            raise StoreError(
                f"{uri}: expected a version such as 0123456789ab@12.3, got {version!r}; `dojo ls` prints them"
            )
        dataset = Dataset(uri, storage_options, (int(parts[2]), int(parts[3])))
        if parts[1] is not None and parts[1] != dataset.content_hash()[:12]:
            raise StoreError(
                f"{uri}: version {version!r} now holds {dataset.content_hash()[:12]}; the dataset at this address was "
                "replaced by another, restore the old one"
            )
        return dataset

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the same state for itself."""
        return Dataset.open, (self.uri, self.version, self.storage_options)

    # -- writing -------------------------------------------------------------------------------------------------

    def add(
        self, drive: Drive, chunks: Mapping[str, Iterable[VideoChunk]], rejections: Sequence[Rejection] = ()
    ) -> bool:
        """Store a recording that is one drive; False where it is there already."""
        return bool(self.add_recording(drive.provenance.files, [DriveWithVideo(drive, chunks)], rejections))

    def add_rejections(self, files: Files, rejections: Sequence[Rejection]) -> None:
        """Record that these files were refused, and why; does nothing where they are known."""
        self.add_recording(files, [], rejections)

    def add_recording(
        self,
        files: Files,
        drives: Sequence[DriveWithVideo],
        rejections: Sequence[Rejection] = (),
        *,
        even_erased: bool = False,
    ) -> tuple[str, ...]:
        """Store one recording as `add_recordings` does; the ids of the drives that are new."""
        return self.add_recordings([Arrival(files, drives, rejections)], even_erased=even_erased)[0]

    def add_recordings(self, arrivals: Sequence[Arrival], *, even_erased: bool = False) -> list[tuple[str, ...]]:
        """Store all that came of some recordings, whole or not at all; of each the ids of the drives that are new.

        Does nothing with a recording of files that were received before; leaves out drives whose id is there.

        Args:
            even_erased: also what was erased from this dataset once, see `erase.py`.

        Raises:
            StoreError: chunks do not hold exactly the frames of their stream, the place cannot be written, or a
                recording was erased.
        """
        with self._alone_and_clean():
            if not even_erased:
                files = [sha256 for arrival in arrivals for _, sha256, _ in arrival.files]
                vehicles = [item.drive.vehicle_id for arrival in arrivals for item in arrival.drives]
                Tombstones(self.uri, self.storage_options).require_none(files, vehicles)
            new = self._new(arrivals)
            if new:
                entries = self._append(new)
                self._intake.append([entries])
                self._ledger |= {entry["recording_id"]: entry for entry in entries}
            if self._intake.pieces() > _PIECES_BEFORE_COMPACTION:
                self._join_pieces()
        stored = {arrival.recording_id: sorted(item.drive.drive_id for item in drives) for arrival, drives in new}
        # A recording that comes twice is new the first time.
        return [tuple(stored.pop(arrival.recording_id, ())) for arrival in arrivals]

    def forget_refused(self) -> int:
        """Make the files of recordings that gave no drive unknown again, so that they may be tried anew; how many."""
        with self._alone_and_clean():
            refused = [key for key, row in self._ledger.items() if not row["drive_ids"]]
            if refused:
                self._intake.delete("recording_id", refused)
                self._ledger = self._read_ledger()
        return len(refused)

    def remove(self, recording_ids: Collection[str]) -> None:
        """Recordings gone from the newest version, with their drives, video and clips; older versions keep them.

        Clips first, so that none is ever left without its drive; then the ledger, which makes the rest unseen.
        """
        with self._alone_and_clean():
            named = [self._ledger[key] for key in recording_ids if key in self._ledger]
            drives = {drive_id for row in named for drive_id in row["drive_ids"]}
            clips = self.clips()
            if len(kept := [clip for clip in clips if clip.drive_id not in drives]) < len(clips):
                self._replace_clips(kept, self._clips.metadata["clips.settings"])
            if named:
                self._intake.delete("recording_id", [row["recording_id"] for row in named])
                self._ledger = self._read_ledger()
            self._remove_unnamed()

    def put_clips(self, clips: Sequence[Clip], settings: Mapping[str, object]) -> None:
        """These clips instead of all earlier ones; does nothing where they are the same.

        Args:
            settings: what cut them, JSON-able; kept beside them.

        Raises:
            StoreError: clips of drives that are not here, or two clips of one id.
        """
        counts = Counter(clip.clip_id for clip in clips)
        if repeated := sorted(clip_id for clip_id, count in counts.items() if count > 1):
            raise StoreError(f"{self.uri}: clips {repeated[:5]} come more than once; every clip needs its own id")
        with self._alone_and_clean():
            if strangers := sorted({clip.drive_id for clip in clips}.difference(self.drive_ids())):
                raise StoreError(f"{self.uri}: clips of drives that are not here: {strangers[:5]}; ingest them first")
            self._replace_clips(clips, json.dumps(settings, sort_keys=True))

    def recover(self) -> int:
        """Remove what an interrupted write left behind, which nobody could see; how many recordings that were.

        Every write does this first; calling it is never needed, only thorough.
        """
        with alone(self.uri):
            self._refresh()
            return self._remove_unnamed()

    def compact(self) -> None:
        """Join the small files of many appends; contents and version hash stay. Done now and then by writes."""
        with self._alone_and_clean():
            self._join_pieces()

    def vacuum(self, older_than: timedelta) -> int:
        """Remove versions older than this, and what only they need; how many bytes that were.

        Processes that opened an earlier version can then read no more from it.
        """
        with self._alone_and_clean():
            freed = sum(table.vacuum(older_than) for table in self._tables())
            self._footage.forget()
        return freed

    # -- inside --------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone_and_clean(self) -> Iterator[None]:
        """Writing, at the newest state, with nothing half-written about."""
        if self._is_past:
            raise StoreError(f"{self.uri}: opened at an earlier version, which cannot be changed; open it without one")
        with alone(self.uri):
            self._refresh()
            self._remove_unnamed()
            yield

    def _tables(self) -> tuple[Table, ...]:
        return self._intake, self._drives, self._chunks, self._clips

    def _refresh(self) -> None:
        before = self._intake.version, self._chunks.version
        for table in self._tables():
            table.refresh()
        if self._intake.version != before[0]:
            self._ledger = self._read_ledger()
        if self._chunks.version != before[1]:
            self._footage.forget()

    def _remove_unnamed(self) -> int:
        """Remove rows of recordings that the ledger does not name; the counts tell at no cost whether there are any."""
        named = {
            "chunks": sum(row["chunk_count"] for row in self._ledger.values()),
            "drives": sum(len(row["drive_ids"]) for row in self._ledger.values()),
        }
        unnamed: set[str] = set()
        for table in (self._drives, self._chunks):
            if table.count() != named[table.name]:
                lost = set(table.read(["recording_id"]).column(0).unique().to_pylist()) - self._ledger.keys()
                if lost:
                    table.delete("recording_id", sorted(lost))
                unnamed |= lost
        if unnamed:
            self._footage.forget()
        return len(unnamed)

    def _replace_clips(self, clips: Sequence[Clip], settings: str) -> None:
        content = fingerprint((settings, sorted((clip.clip_id, fingerprint(clip)) for clip in clips)))
        if self._clips.metadata.get("clips.hash") != content:
            self._clips.replace([clip_row(clip) for clip in clips], {"clips.settings": settings, "clips.hash": content})

    def _new(self, arrivals: Sequence[Arrival]) -> list[tuple[Arrival, list[DriveWithVideo]]]:
        """Those that are not there, each with its drives that are not."""
        recordings, present = set(self._ledger), set(self.drive_ids())
        new = []
        for arrival in arrivals:
            if arrival.recording_id not in recordings:
                recordings.add(arrival.recording_id)
                drives = {item.drive.drive_id: item for item in arrival.drives if item.drive.drive_id not in present}
                present |= drives.keys()
                new.append((arrival, list(drives.values())))
        return new

    def _append(self, new: Sequence[tuple[Arrival, Sequence[DriveWithVideo]]]) -> list[Row]:
        """Append all video, then all drives; the rows that the ledger must have for them to exist."""
        written: list[Row] = []
        if any(drives for _, drives in new):
            self._chunks.append(
                batch
                for arrival, drives in new
                if drives
                for batch in chunk_batches(arrival.recording_id, drives, written)
            )
        video: defaultdict[str, list[Row]] = defaultdict(list)
        for row in written:
            video[row["drive_id"]].append(row)
        rows = [
            [_drive_row(arrival.recording_id, item.drive, video[item.drive.drive_id]) for item in drives]
            for arrival, drives in new
        ]
        if any(rows):
            self._drives.append([row] for some in rows for row in some)
        counts = [sum(len(video[item.drive.drive_id]) for item in drives) for _, drives in new]
        return [_entry(arrival, some, count) for (arrival, _), some, count in zip(new, rows, counts, strict=True)]

    def _join_pieces(self) -> None:
        for table in self._tables():
            table.compact()
        self._footage.forget()


def _drive_row(recording_id: str, drive: Drive, video: Sequence[Row]) -> Row:
    """All columns of a drive whose video was written.

    Raises:
        StoreError: the video does not hold exactly the frames of the drive's streams.
    """
    require_whole(drive, video)
    known_by = [(row["camera"], row["first_frame"], row["frame_count"], row["sha256"]) for row in video]
    return drive_row(drive) | {
        "recording_id": recording_id,
        "content_hash": fingerprint((drive, sorted(known_by))),
        "video_bytes": sum(row["size_bytes"] for row in video),
    }


def _entry(arrival: Arrival, drives: Sequence[Row], chunk_count: int) -> Row:
    """The row of the ledger for a recording of which these drives were written."""
    hashes = sorted({sha256 for _, sha256, _ in arrival.files})
    contents = (hashes, sorted(row["content_hash"] for row in drives), list(arrival.rejections))
    return {
        "recording_id": arrival.recording_id,
        "content_hash": fingerprint(contents),
        "files": file_rows(arrival.files),
        "drive_ids": sorted(row["drive_id"] for row in drives),
        "chunk_count": chunk_count,
        "rejections": [rejection_row(rejection) for rejection in arrival.rejections],
    }
