"""What every recording format must be able to do: find its recordings, read them, hand out their frames.

In: a folder. Out: `Recording`s (which files belong together), `Reading`s (drives and refusals), `Frame`s.
Idea: three methods, in the order in which ingest calls them. Finding is cheap and looks at names and hashes only,
so that files already in the dataset are never opened again; reading decides what may be used; frames are handed out
one at a time, so that an hour of video never has to fit in memory.
Not here: checks that hold for every format (`fleet/gates.py`), the loop over readers (`fleet/gateway.py`), the shared
decoding of video files (`decode.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dojo.errors import RecordingError
from dojo.records import Drive, Frame, Rejection


@dataclass(frozen=True)
class SourceFile:
    """One file of a recording, known by its bytes."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Recording:
    """Files that belong together, before anybody has looked inside.

    Args:
        reader: `Reader.name` of the format.
        label: a short name for tables and messages, for example `car-07 2026-03-01_12-00-00`.
        files: what it consists of, in the reader's own order.
        folder: where it lies; the base of relative paths in messages.
    """

    reader: str
    label: str
    files: tuple[SourceFile, ...]
    folder: Path


@dataclass(frozen=True)
class Reading:
    """What came out of one recording: drives that may be used, and what was refused with its reason."""

    drives: tuple[Drive, ...]
    rejections: tuple[Rejection, ...]


@runtime_checkable
class Reader(Protocol):
    """One recording format; stateless, so that a process pool can share it."""

    @property
    def name(self) -> str:
        """Stable name of the format, kept in every drive's provenance."""
        ...

    def find(self, root: Path, known: Collection[str]) -> Iterator[Recording]:
        """Recordings below `root`, without the files whose SHA-256 is in `known`; sorted, opens no video."""
        ...

    def read(self, recording: Recording) -> Reading:
        """Its drives, and what of it was refused.

        Raises:
            RecordingError: nothing of it can be used.
        """
        ...

    def frames(self, recording: Recording, drive: Drive, camera_name: str) -> Iterator[Frame]:
        """Exactly one frame for each valid entry of that camera's timestamps, in order.

        Raises:
            RecordingError: the drive has no such camera, or decoding breaks off.
        """
        ...


def source_file(path: Path) -> SourceFile:
    """The file with the hash of its bytes."""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return SourceFile(path, digest, path.stat().st_size)


def drive_id_of(files: Collection[SourceFile]) -> str:
    """Hash of the bytes of a drive's files: the same recording is the same drive wherever it lies."""
    digests = sorted({file.sha256 for file in files})
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def rejection_of(where: str, error: RecordingError) -> Rejection:
    """The refusal of a whole file, recording or drive, from the error that says why."""
    figures = tuple((name, float(value)) for name, value in error.figures.items())
    return Rejection(where, error.gate, error.message, figures)
