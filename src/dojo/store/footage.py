"""Video in the table of chunks: rows of what comes in, frames of what is asked for.

In: encoded chunks; later, numbers of frames. Out: rows for the table; decoded frames.
Idea: where the chunks of a stream lie is looked up once and kept; then a request costs one read of the chunks that
it touches and the decoding of no more than it needs. Every chunk's bytes are checked against their hash when a process
first reads them, so damage is named rather than shown; not each time, since a hash costs a tenth of the decoding.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from dojo.errors import StoreError
from dojo.records import CameraStream, Drive, Frame, VideoChunk
from dojo.store.rows import Row
from dojo.store.table import Table, quoted
from dojo.store.video import decode_chunk, decode_each

_CHUNKS_AT_HAND = 32
"""Encoded chunks kept in memory for the next call, about 5 MB. Assumed: neighbouring clips share one or two."""

_CHUNKS_AT_ONCE = 20
"""Chunks read together when a stream is read through, about 4 MB: asking the table costs as much as decoding a few."""

_BATCH_BYTES = 16 << 20
"""Video written to the table at a time; bounds the memory that an hour of six cameras takes."""


@dataclass(frozen=True)
class DriveWithVideo:
    """A drive, and the video of each of its cameras: chunks that hold every frame of the stream, in order."""

    drive: Drive
    chunks: Mapping[str, Iterable[VideoChunk]]


@dataclass(frozen=True)
class StoredStream:
    """Where the frames of one camera of one drive lie."""

    timestamps_ns: Int64[np.ndarray, " frames"]
    first_frames: Int64[np.ndarray, " chunks"]
    row_ids: tuple[int, ...]
    hashes: tuple[str, ...]


class Footage:
    """Frames out of a table of chunks; safe to share between threads."""

    def __init__(self, chunks: Table) -> None:
        self._chunks = chunks
        self._streams: dict[tuple[str, str], StoredStream] = {}
        self._at_hand: OrderedDict[int, bytes] = OrderedDict()
        self._checked: set[int] = set()
        self._guard = threading.Lock()

    def forget(self) -> None:
        """Look everything up again: rows move when the table is compacted."""
        with self._guard:
            self._streams.clear()
            self._at_hand.clear()
            self._checked.clear()

    def known(self, drive_id: str, camera: str) -> StoredStream | None:
        """The stream where it was looked up before."""
        with self._guard:
            return self._streams.get((drive_id, camera))

    def locate(self, recording_id: str, drive_id: str, stream: CameraStream) -> StoredStream:
        """Look a stream up.

        Raises:
            StoreError: its chunks do not hold all its frames.
        """
        where = {"recording_id": recording_id, "drive_id": drive_id, "camera": stream.name}
        table = self._chunks.read(
            ["first_frame", "frame_count", "sha256"],
            " AND ".join(f"{column} = {quoted(value)}" for column, value in where.items()),
            row_ids=True,
        ).sort_by("first_frame")
        _require_contiguous(drive_id, stream.name, table.to_pylist(), len(stream.timestamps_ns))
        stored = StoredStream(
            stream.timestamps_ns,
            np.array(table["first_frame"], np.int64),
            tuple(table["_rowid"].to_pylist()),
            tuple(table["sha256"].to_pylist()),
        )
        with self._guard:
            self._streams[drive_id, stream.name] = stored
        return stored

    def frames(self, stream: StoredStream, indices: Int64[np.ndarray, " n"]) -> list[Frame]:
        """These frames, in the order asked; every index must be in range."""
        chunk_of = np.searchsorted(stream.first_frames, indices, side="right") - 1
        touched = np.unique(chunk_of)
        frames: dict[int, Frame] = {}
        for chunk, data in zip(touched, self.encoded(stream, touched.tolist()), strict=True):
            places = np.flatnonzero(chunk_of == chunk)
            wanted = indices[places]
            decoded = decode_chunk(data, wanted - stream.first_frames[chunk], stream.timestamps_ns[wanted])
            frames |= dict(zip(places.tolist(), decoded, strict=True))
        return [frames[place] for place in range(len(indices))]

    def each_frame(self, stream: StoredStream, indices: Int64[np.ndarray, " n"]) -> Iterator[Frame]:
        """These frames one by one, as the decoder holds them: each is good only until the next is asked for.

        Reads some chunks at a time, and keeps none.

        Args:
            indices: rising, every one in range.
        """
        chunk_of = np.searchsorted(stream.first_frames, indices, side="right") - 1
        touched = np.unique(chunk_of).tolist()
        for start in range(0, len(touched), _CHUNKS_AT_ONCE):
            some = touched[start : start + _CHUNKS_AT_ONCE]
            for chunk, data in zip(some, self._read(stream, some), strict=True):
                wanted = indices[chunk_of == chunk]
                times = zip((wanted - stream.first_frames[chunk]).tolist(), stream.timestamps_ns[wanted], strict=True)
                yield from (frame for _, frame in decode_each(data, {place: int(time) for place, time in times}))

    def encoded(self, stream: StoredStream, chunks: Sequence[int]) -> list[bytes]:
        """Bytes of these chunks of a stream.

        Raises:
            StoreError: bytes that do not match their hash.
        """
        rows = [stream.row_ids[number] for number in chunks]
        with self._guard:
            found = {row: self._at_hand[row] for row in rows if row in self._at_hand}
        missing = [number for number in chunks if stream.row_ids[number] not in found]
        found |= dict(zip((stream.row_ids[number] for number in missing), self._read(stream, missing), strict=True))
        with self._guard:
            self._at_hand.update(found)
            for row in rows:
                self._at_hand.move_to_end(row)
            while len(self._at_hand) > _CHUNKS_AT_HAND:
                self._at_hand.popitem(last=False)
        return [found[row] for row in rows]

    def _read(self, stream: StoredStream, chunks: Sequence[int]) -> list[bytes]:
        """Bytes of these chunks as the table has them, each checked against its hash the first time."""
        rows = [stream.row_ids[number] for number in chunks]
        found = self._chunks.blobs(rows)
        for row, number, data in zip(rows, chunks, found, strict=True):
            if row not in self._checked and hashlib.sha256(data).hexdigest() != stream.hashes[number]:
                raise StoreError(
                    f"{self._chunks.uri}: the video from frame {int(stream.first_frames[number])} is damaged: its "
                    "bytes do not match their hash; restore the dataset or ingest again into a new one"
                )
        with self._guard:
            self._checked.update(rows)
        return found

    def damages(self, streams: Iterable[tuple[str, str, str, int]]) -> list[str]:
        """What is wrong with the video of these streams, a line each; reads the table once, and every byte of video.

        Args:
            streams: recording, drive, camera, and how many frames there are.
        """
        found, wanted = [], []
        rows = self._rows_by_stream()
        for recording_id, drive_id, camera, frames in streams:
            chunks = rows.get((recording_id, drive_id, camera), [])
            try:
                _require_contiguous(drive_id, camera, chunks, frames)
            except StoreError as error:
                found.append(str(error))
            wanted += chunks
        for start in range(0, len(wanted), _CHUNKS_AT_ONCE):
            some = wanted[start : start + _CHUNKS_AT_ONCE]
            try:
                video = self._chunks.blobs([row["_rowid"] for row in some])
            except StoreError as error:
                found.append(str(error))
                continue
            found += [self._damaged(row) for row, data in zip(some, video, strict=True) if not _whole(row, data)]
        return found

    def _rows_by_stream(self) -> dict[tuple[str, str, str], list[Row]]:
        """Every chunk of every stream in order, without its bytes."""
        columns = ["recording_id", "drive_id", "camera", "first_frame", "frame_count", "sha256"]
        found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in self._chunks.read(columns, row_ids=True).sort_by("first_frame").to_pylist():
            found[row["recording_id"], row["drive_id"], row["camera"]].append(row)
        return found

    def _damaged(self, row: Row) -> str:
        return (
            f"{self._chunks.uri}: the video from frame {row['first_frame']} of camera {row['camera']!r} of drive "
            f"{row['drive_id']} is damaged: its bytes do not match their hash; restore the dataset or ingest again "
            "into a new one"
        )


def chunk_batches(recording_id: str, drives: Sequence[DriveWithVideo], written: list[Row]) -> Iterator[list[Row]]:
    """Rows of all chunks, some megabytes at a time; notes in `written` what went by, without the bytes."""
    batch: list[Row] = []
    size = 0
    for item in drives:
        for camera, chunks in sorted(item.chunks.items()):
            for chunk in chunks:
                row: Row = {
                    "recording_id": recording_id,
                    "drive_id": item.drive.drive_id,
                    "camera": camera,
                    "first_frame": chunk.first_frame,
                    "frame_count": chunk.frame_count,
                    "sha256": hashlib.sha256(chunk.data).hexdigest(),
                }
                written.append(row | {"size_bytes": len(chunk.data)})
                batch.append(row | {"data": chunk.data})
                size += len(chunk.data)
                if size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
    yield batch


def _whole(row: Row, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == row["sha256"]


def require_whole(drive: Drive, chunks: Sequence[Row]) -> None:
    """Every stream has all its frames in its chunks, and there is no chunk of another camera.

    Raises:
        StoreError: otherwise.
    """
    streams = {stream.name: len(stream.timestamps_ns) for stream in drive.cameras}
    if strangers := {row["camera"] for row in chunks} - streams.keys():
        raise StoreError(f"drive {drive.drive_id}: has video of cameras {sorted(strangers)} but no such streams")
    for camera, frames in streams.items():
        _require_contiguous(drive.drive_id, camera, [row for row in chunks if row["camera"] == camera], frames)


def _require_contiguous(drive_id: str, camera: str, chunks: Sequence[Row], frames: int) -> None:
    reached = 0
    for row in chunks:
        if row["first_frame"] != reached:
            break
        reached += row["frame_count"]
    if reached != frames or sum(row["frame_count"] for row in chunks) != frames:
        raise StoreError(
            f"drive {drive_id}: camera {camera!r} has {frames} frame times, but its video is whole only up to frame "
            f"{reached}; ingest the drive again"
        )
