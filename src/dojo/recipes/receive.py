"""One recording on its way into the dataset: read, checked, resampled into the model view, encoded.

In: a recording as it was found. Out: its drives with video spooled to files, and what of it was refused and why.
Idea: everything that depends on one recording alone, so that it can run in any process. Whatever goes wrong inside
becomes a rejection with a reason; only a full disk, which is nobody's recording's fault, is raised.
Not here: finding recordings and judging them (`fleet/`), storing what comes out (`ingest.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from dojo.errors import ConfigError, RecordingError, StoreError
from dojo.fleet import gateway
from dojo.fleet.limits import Limits
from dojo.fleet.readers.reader import Reading, Recording
from dojo.geometry import MODEL_VIEW, Resampler
from dojo.recipes.scratch import scratch
from dojo.records import CameraStream, Drive, Frame, Rejection, VideoChunk
from dojo.store import encode_chunks


@dataclass(frozen=True)
class Gateway:
    """How recordings are found and read; three functions that another process can import by name.

    Args:
        find: recordings below a folder, without the files whose SHA-256 is known.
        receive: what came out of one, after all checks.
        frames: one frame for each valid entry of a camera's times.
    """

    find: Callable[[Path, Collection[str]], Iterable[Recording]]
    receive: Callable[[Recording], Reading]
    frames: Callable[[Recording, Drive, str], Iterator[Frame]]


def fleet(limits: Limits) -> Gateway:
    """All formats and all checks of `dojo.fleet`, with these limits."""
    return Gateway(gateway.find_recordings, partial(gateway.receive, limits=limits), gateway.frames)


@dataclass(frozen=True)
class Spooled:
    """Encoded video of one camera in a file: chunks one after the other, with (first frame, frames, bytes) of each."""

    path: Path
    entries: tuple[tuple[int, int, int], ...]

    def chunks(self) -> Iterator[VideoChunk]:
        """The chunks, in order."""
        with self.path.open("rb") as file:
            for first_frame, frame_count, size in self.entries:
                yield VideoChunk(first_frame, frame_count, file.read(size))

    @property
    def size_bytes(self) -> int:
        """Of all chunks."""
        return sum(size for *_, size in self.entries)

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Carried:
    """Encoded video of one camera in memory, on its way from another machine."""

    held: tuple[VideoChunk, ...]

    def chunks(self) -> Iterator[VideoChunk]:
        """The chunks, in order."""
        return iter(self.held)

    @property
    def size_bytes(self) -> int:
        """Of all chunks."""
        return sum(len(chunk.data) for chunk in self.held)

    def discard(self) -> None:
        """Nothing: memory is let go with the last who holds it."""


@dataclass(frozen=True)
class Received:
    """What came of one recording; `erased` where it is of a vehicle that was erased, and left out."""

    drives: tuple[Drive, ...] = ()
    video: dict[tuple[str, str], Spooled | Carried] = field(default_factory=dict)
    rejections: tuple[Rejection, ...] = ()
    erased: bool = False

    def size_bytes(self) -> int:
        """Of its video, encoded."""
        return sum(video.size_bytes for video in self.video.values())

    def discard(self) -> None:
        """Remove the spooled files."""
        for video in self.video.values():
            video.discard()


@dataclass(frozen=True)
class Receiver:
    """Receives one recording; a function that carries its settings into another process.

    Args:
        cameras: names of the cameras to keep.
        max_fps: frames that follow one another faster are thinned.
        spool: existing folder for encoded video on its way.
    """

    gateway: Gateway
    cameras: tuple[str, ...]
    max_fps: float
    spool: Path

    def __call__(self, recording: Recording) -> Received:
        """Everything that came of the recording.

        Raises:
            StoreError: the spool folder cannot be written.
        """
        try:
            reading = self.gateway.receive(recording)
        except Exception as error:
            return Received(rejections=(rejection_for(error, recording.label),))
        drives: list[Drive] = []
        video: dict[tuple[str, str], Spooled | Carried] = {}
        refused = list(reading.rejections)
        for drive in reading.drives:
            kept, spooled, reasons = self._cameras(recording, drive)
            if kept:
                drives.append(replace(drive, cameras=kept, rejections=(*drive.rejections, *reasons)))
                video |= {(drive.drive_id, name): item for name, item in spooled.items()}
            else:
                refused += [*drive.rejections, *(reasons or [self._no_camera(recording, drive)])]
        return Received(tuple(drives), video, tuple(refused))

    def _cameras(
        self, recording: Recording, drive: Drive
    ) -> tuple[tuple[CameraStream, ...], dict[str, Spooled], list[Rejection]]:
        """Streams as stored, their video, and why others are missing."""
        kept: list[CameraStream] = []
        spooled: dict[str, Spooled] = {}
        reasons: list[Rejection] = []
        for stream in drive.cameras:
            if stream.name not in self.cameras:
                continue
            try:
                stored, spooled[stream.name] = self._camera(recording, drive, stream)
                kept.append(stored)
            except StoreError:
                raise
            except Exception as error:
                reasons.append(rejection_for(error, f"{recording.label} {stream.name}"))
        return tuple(kept), spooled, reasons

    def _camera(self, recording: Recording, drive: Drive, stream: CameraStream) -> tuple[CameraStream, Spooled]:
        """One stream in the model view, thinned, encoded, spooled."""
        keep = thinned(stream, self.max_fps)
        if not keep.any():
            raise RecordingError("no_frames", f"camera {stream.name}: expected frames, none of {len(keep)} is valid")
        times = stream.timestamps_ns[keep]
        level = stream.camera.level_view(MODEL_VIEW)
        frames = _resampled(
            self.gateway.frames(recording, drive, stream.name), stream, keep, Resampler(stream.camera, level)
        )
        spooled = _spool(
            encode_chunks(frames, level.width_px, level.height_px, _rate_hz(stream, keep)),
            self.spool / f"{drive.drive_id}-{stream.name}.h264",
        )
        stored = CameraStream(stream.name, level, times, np.ones(len(times), np.bool_), stream.camera)
        return stored, spooled

    def _no_camera(self, recording: Recording, drive: Drive) -> Rejection:
        names = ", ".join(stream.name for stream in drive.cameras) or "none"
        return Rejection(
            recording.label,
            "no_camera",
            f"expected camera {' or '.join(self.cameras)}, the recording has {names}; name one of those with --cameras",
            (("cameras", float(len(drive.cameras))),),
        )


@dataclass(frozen=True)
class Carrier:
    """Receives on another machine, whose disk nobody else can read: the video comes back in memory.

    Args:
        receive: one of `sources.py`, with a `receiver` whose spool this replaces by a folder of its own.
    """

    receive: Any

    def __call__(self, found: object) -> Received:
        """What came of the recording, with all of its video at hand."""
        with scratch("spool") as folder:
            here = replace(self.receive, receiver=replace(self.receive.receiver, spool=folder))
            received: Received = here(found)
            return replace(
                received, video={key: Carried(tuple(video.chunks())) for key, video in received.video.items()}
            )


def rejection_for(error: Exception, where: str) -> Rejection:
    """The refusal that an error amounts to."""
    if isinstance(error, RecordingError):
        return Rejection(where, error.gate, error.message, tuple(sorted(error.figures.items())))
    if isinstance(error, ConfigError):
        return Rejection(where, "wrong_settings", f"{error}; then ingest again with --retry-refused")
    return Rejection(
        where,
        "reader_failed",
        f"expected a recording that can be read, reading it failed unforeseen: {type(error).__name__}: {error}; "
        "the file is left out, please report it",
    )


def thinned(stream: CameraStream, max_fps: float) -> Bool[np.ndarray, " n"]:
    """Which frames to keep: every n-th of the stream, n such that the usual rate is at most `max_fps`, if valid.

    Counted over all frames, valid or not, so that cameras that run in step stay in step.
    """
    steps = np.diff(stream.timestamps_ns)
    usual_s = float(np.median(steps)) / 1e9 if len(steps) else math.inf
    # A camera of nominally `max_fps` jitters about it: a few per cent above must not halve its rate.
    every = max(1, math.ceil(1 / (usual_s * max_fps) - 0.05))
    return stream.valid & (np.arange(len(stream.valid)) % every == 0)


def _rate_hz(stream: CameraStream, keep: Bool[np.ndarray, " n"]) -> float:
    """Usual rate of the kept frames, for the length of chunks: 1 for a single frame."""
    steps = np.diff(stream.timestamps_ns[keep])
    return round(1e9 / float(np.median(steps)), 2) if len(steps) else 1.0


def _resampled(
    frames: Iterator[Frame], stream: CameraStream, keep: Bool[np.ndarray, " n"], resampler: Resampler
) -> Iterator[Frame]:
    """The kept frames as the model's camera would show them."""
    expected = (stream.camera.height_px, stream.camera.width_px)
    places = np.flatnonzero(stream.valid)
    came = 0
    for came, frame in enumerate(frames, 1):
        if frame.y.shape != expected:
            raise RecordingError(
                "picture_size",
                f"camera {stream.name}: expected pictures of {expected[1]} x {expected[0]} px, frame {came - 1} has "
                f"{frame.y.shape[1]} x {frame.y.shape[0]}; correct the camera's intrinsics",
            )
        if came > len(places):
            break
        place = places[came - 1]
        if keep[place]:
            yield Frame(int(stream.timestamps_ns[place]), *resampler.apply(frame.y, frame.u, frame.v))
    if came != len(places):
        raise RecordingError(
            "frame_count",
            f"camera {stream.name}: expected {len(places)} frames, {'more' if came > len(places) else came} came; the "
            "file and its frame times do not belong together",
            {"expected_frames": float(len(places)), "decoded_frames": float(came)},
        )


def _spool(chunks: Iterator[VideoChunk], path: Path) -> Spooled:
    entries: list[tuple[int, int, int]] = []
    try:
        with path.open("wb", 0) as file:
            for chunk in chunks:
                _write(file, chunk.data)
                entries.append((chunk.first_frame, chunk.frame_count, len(chunk.data)))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Spooled(path, tuple(entries))


def _write(file: FileIO, data: bytes) -> None:
    """Write at once: an error here is the spool's, whereas one while the next chunk is made is the recording's."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise StoreError(
            f"{file.name}: encoded video cannot be put by: {error}; free some space there, or name another folder with "
            "--spool, and run the same command again: what was stored before is whole"
        ) from error
