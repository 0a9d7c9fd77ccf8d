"""The way in: find recordings of every format, read them, and let only what passes the gates through.

In: a folder. Out: `Recording`s, then for each a `Reading` that holds verified drives and every refusal.
Idea: one bad file never stops the rest, so nothing that a recording contains can raise here: whatever goes wrong
becomes a `Rejection` with its gate, and the table at the end of ingest counts it.
Not here: what a format looks like (`readers/`), what is refused (`gates.py`), the process pool (`dojo.recipes`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from dojo.errors import ConfigError, RecordError, RecordingError
from dojo.fleet.gates import Limits, check
from dojo.fleet.readers import READERS
from dojo.fleet.readers.reader import Reader, Reading, Recording, rejection_of
from dojo.records import Drive, Frame, Rejection


def find_recordings(
    root: Path, known: Collection[str] = frozenset(), readers: Sequence[Reader] = READERS
) -> list[Recording]:
    """Recordings of any format below `root`, without files whose SHA-256 is in `known`.

    Raises:
        ConfigError: `root` is not a folder.
    """
    if not root.is_dir():
        raise ConfigError(f"expected a folder with recordings, got {root}; give the folder that holds `TeslaCam`, say")
    return [recording for reader in readers for recording in reader.find(root, known)]


def receive(recording: Recording, limits: Limits | None = None, readers: Sequence[Reader] = READERS) -> Reading:
    """The drives of a recording that pass every gate, and what was refused; raises for nothing in the recording."""
    try:
        reading = reader_of(recording, readers).read(recording)
    except Exception as error:
        return Reading((), (_rejection(recording.label, error),))
    drives, rejections = [], list(reading.rejections)
    for drive in reading.drives:
        try:
            drives.append(check(drive, limits))
        except Exception as error:
            rejections += [*drive.rejections, _rejection(drive.route or recording.label, error)]
    return Reading(tuple(drives), tuple(rejections))


def frames(
    recording: Recording, drive: Drive, camera_name: str, readers: Sequence[Reader] = READERS
) -> Iterator[Frame]:
    """One frame for each valid time of the camera.

    Raises:
        RecordingError: the files are no longer what they were when the drive was made.
    """
    return reader_of(recording, readers).frames(recording, drive, camera_name)


def reader_of(recording: Recording, readers: Sequence[Reader] = READERS) -> Reader:
    """The reader that found the recording.

    Raises:
        ConfigError: no reader has that name.
    """
    for reader in readers:
        if reader.name == recording.reader:
            return reader
    names = ", ".join(reader.name for reader in readers)
    raise ConfigError(f"{recording.label}: expected a format of {names}, got {recording.reader!r}")


def _rejection(where: str, error: Exception) -> Rejection:
    if isinstance(error, ConfigError):
        raise error
    if isinstance(error, RecordingError):
        return rejection_of(where, error)
    if isinstance(error, OSError):
        reason = f"{where}: expected readable files, the system says: {error}; check the disk and copy them again"
        return Rejection(where, "unreadable_file", reason)
    gate = "inconsistent_recording" if isinstance(error, RecordError) else "reader_failed"
    return Rejection(where, gate, f"{where}: the reader gave up: {type(error).__name__}: {error}; please report it")
