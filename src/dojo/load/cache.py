"""Frames that were decoded once, kept for the next epoch in a scratch file.

In: a source of frames. Out: a source of the same frames.
Idea: decoding costs as much as a step of a small policy, and a small dataset is seen many times. So it is decoded once,
in the order of recording, which takes a third of the time of jumping from clip to clip. Decoded planes go to a nameless
file on local disk, which the operating system keeps in memory as far as there is room; the process itself grows by
nothing, and the processes of a loader read the same file. Once the file is full, what is not in it is decoded each
time, as without it: throwing old frames out would, in random order, throw out what comes next.
Not here: what is worth keeping (`store/`), datasets too large for it (a loader that cuts all samples of a chunk).
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from dojo.errors import ConfigError, RecordError
from dojo.load.source import FrameSource
from dojo.records import Clip, Frame

_BLOCK_FRAMES = 128
"""Decoded at once: 25 MB of the model view in memory for each thread."""

_FILL_THREADS = 2


@dataclass(frozen=True)
class _Slot:
    """Where in the file a frame is."""

    offset: int
    timestamp_ns: int
    rows: int
    columns: int

    @property
    def size_bytes(self) -> int:
        return self.rows * self.columns * 3 // 2


class FrameCache:
    """A `FrameSource` that asks another one for each frame only once, as long as there is room.

    Args:
        source: where frames come from.
        limit_bytes: largest size of the scratch file; 196,608 bytes per frame of the model view.
        folder: where the file lies; it has no name there and is gone with the process.
    """

    def __init__(self, source: FrameSource, limit_bytes: int, folder: Path) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # lives as long as the cache
        self._slots: dict[tuple[str, str, int], _Slot] = {}
        self._used_bytes = 0
        self._full = False
        self._lock = threading.Lock()

    def fill(self, clips: Iterable[Clip], progress: Callable[[int, int], None] = lambda _done, _all: None) -> None:
        """Decode what these clips show, until there is no room; `progress` is told frames done and in all.

        Raises:
            ConfigError: the disk has less room than they need, or than the limit where that is less.
        """
        wanted: dict[tuple[str, str], set[int]] = defaultdict(set)
        for clip in clips:
            wanted[clip.drive_id, clip.camera].update(clip.frame_indices.tolist())
        blocks = [
            (drive_id, camera, np.array(block, np.int64))
            for (drive_id, camera), indices in wanted.items()
            for block in _batched(sorted(indices))
        ]
        total, done = sum(len(indices) for *_, indices in blocks), 0
        if blocks:
            drive_id, camera, indices = blocks[0]
            first = self.frames(drive_id, camera, indices[:1])[0]
            self._require_room(total * first.y.size * 3 // 2)
        with ThreadPoolExecutor(_FILL_THREADS, thread_name_prefix="dojo-cache") as pool:
            try:
                for (*_, indices), _kept in zip(blocks, pool.map(self._fill, blocks), strict=True):
                    done += len(indices)
                    progress(done, total)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _require_room(self, wanted_bytes: int) -> None:
        """Refuse a disk that would fill up, before hours of decoding go by."""
        system = os.statvfs(self._folder)
        free_bytes, needed_bytes = system.f_bavail * system.f_frsize, min(wanted_bytes, self._limit_bytes)
        if free_bytes < needed_bytes:
            raise ConfigError(
                f"{self._folder}: expected {needed_bytes / 1e9:.1f} GB of room for decoded frames, got "
                f"{free_bytes / 1e9:.1f} GB; lower cache_gb, 0 decodes each time"
            )

    def _fill(self, block: tuple[str, str, Int64[np.ndarray, " n"]]) -> None:
        with self._lock:
            if self._full:
                return
        self.frames(*block)

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames at these indices, from the file or else from the source.

        Raises:
            RecordError: the source has not all of them.
        """
        keys = [(drive_id, camera, int(index)) for index in indices]
        with self._lock:
            slots = [self._slots.get(key) for key in keys]
        missing = np.array([key[2] for key, slot in zip(keys, slots, strict=True) if slot is None], np.int64)
        found = self._source.frames(drive_id, camera, missing) if len(missing) else ()
        if len(found) != len(missing):
            raise RecordError(
                f"frames of camera {camera!r} of drive {drive_id}: expected {len(missing)} at {missing.tolist()}, the "
                f"source gave {len(found)}; curate the dataset again"
            )
        decoded = iter(found)
        frames: list[Frame] = []
        for key, slot in zip(keys, slots, strict=True):
            if slot is None:
                frames.append(next(decoded))
                self._keep(key, frames[-1])
            else:
                frames.append(self._read(slot))
        return frames

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process that is being started: it reads the same file, and decodes each time what is not in it now."""
        with self._lock:
            return _reading, (self._source, self._folder, DupFd(self._file.fileno()), dict(self._slots))

    def _keep(self, key: tuple[str, str, int], frame: Frame) -> None:
        rows, columns = frame.y.shape
        with self._lock:
            slot = _Slot(self._used_bytes, frame.timestamp_ns, rows, columns)
            self._full = self._used_bytes + slot.size_bytes > self._limit_bytes
            if key in self._slots or self._full:
                return
            self._used_bytes += slot.size_bytes
        planes = np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])
        try:
            written = os.pwrite(self._file.fileno(), planes.data, slot.offset)
        except OSError:  # the disk filled up meanwhile: what is kept stays, the rest is decoded each time
            written = 0
        with self._lock:
            if written == slot.size_bytes:
                self._slots[key] = slot  # known to others only once it is written
            else:
                self._limit_bytes, self._full = self._used_bytes, True

    def _read(self, slot: _Slot) -> Frame:
        planes = np.frombuffer(os.pread(self._file.fileno(), slot.size_bytes, slot.offset), np.uint8)
        half = (slot.rows // 2, slot.columns // 2)
        luma = slot.rows * slot.columns
        y, u, v = np.split(planes, [luma, luma + luma // 4])
        return Frame(slot.timestamp_ns, y.reshape(slot.rows, slot.columns), u.reshape(half), v.reshape(half))


def _reading(source: FrameSource, folder: Path, file: Any, slots: dict[tuple[str, str, int], _Slot]) -> FrameCache:
    """A cache with the file of another process, to which it adds nothing."""
    cache = FrameCache(source, 0, folder)
    handle = file.detach()
    os.dup2(handle, cache._file.fileno())
    os.close(handle)
    cache._slots = slots
    return cache


def _batched(indices: Sequence[int]) -> Iterator[list[int]]:
    remaining = iter(indices)
    while block := list(islice(remaining, _BLOCK_FRAMES)):
        yield block
