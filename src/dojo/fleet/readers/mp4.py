"""Is this MP4 file whole? Boxes, sample table and durations checked against each other and against the file.

In: a file. Out: what its video track declares, or the reason why the file contradicts itself.
Idea: a container says the same thing several times over: boxes nest exactly, samples lie inside the media data, frame
durations add up to the track's and the movie's. A demuxer built for players forgives when they disagree; a dataset
must not, because a flipped byte in a table moves every later frame without one decoding error.
Not here: decoding (`decode.py`), what is inside a sample (`h264.py`).
Source: ISO/IEC 14496-12, clauses 4.2 (boxes), 8.2.2 (mvhd), 8.4.2 (mdhd), 8.6.1 (stts, ctts), 8.7 (stsz, stsc, stco).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from dojo.errors import RecordingError

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"}
MAX_BOX_DEPTH = 5


@dataclass(frozen=True)
class Mp4Video:
    """What the one video track of a file declares about itself.

    Args:
        width_px, height_px: of the sample entry.
        frame_count: number of samples.
        duration_s: sum of the samples' durations.
        decoder_configuration: body of the `avcC` box, empty for other codecs.
    """

    width_px: int
    height_px: int
    frame_count: int
    duration_s: float
    decoder_configuration: bytes


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    end: int  # of the body


class _DamageError(Exception):
    """Internal: the file contradicts itself; gate, reason, figures."""

    def __init__(self, gate: str, reason: str, **figures: float | int) -> None:
        super().__init__(reason)
        self.gate, self.reason = gate, reason
        self.figures = {name: float(value) for name, value in figures.items()}


def check_mp4(path: Path) -> Mp4Video | None:
    """The video track's declarations, or None for a fragmented file, which has no sample table to check.

    Raises:
        RecordingError: gate `empty_file`, `wrong_format`, `truncated_file` or `inconsistent_container`.
    """
    size = path.stat().st_size
    if size == 0:
        raise RecordingError(
            "empty_file", f"{path.name}: expected an MP4 file, got 0 bytes; copy it again", {"size_bytes": 0.0}
        )
    try:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _check(data, size)
    except _DamageError as damage:
        message = f"{path.name}: {damage.reason}; copy the file again from the vehicle, or leave it out"
        raise RecordingError(damage.gate, message, {"size_bytes": float(size), **damage.figures}) from None


def _check(data: mmap.mmap, size: int) -> Mp4Video | None:
    if data[4:8] not in _FIRST_BOXES:
        raise _DamageError("wrong_format", f"expected an MP4 file, got bytes that start with {data[:8].hex()}")
    top = list(_boxes(data, 0, size))
    movies = [box for box in top if box.kind == b"moov"]
    if not movies:
        raise _DamageError("truncated_file", "expected a table of contents (`moov`), found none")
    if len(movies) > 1:
        raise _DamageError("inconsistent_container", f"expected one table of contents, found {len(movies)}")
    movie = _tree(data, movies[0])
    if b"mvex" in movie:
        return None
    videos = [track for track in _tracks(data, movies[0]) if b"vmhd" in track]
    if len(videos) != 1:
        raise _DamageError("no_video", f"expected one video track, found {len(videos)}", video_tracks=len(videos))
    media = [(box.start, box.end) for box in top if box.kind == b"mdat"]
    return _check_track(data, videos[0], movie.get(b"mvhd"), media)


def _boxes(data: mmap.mmap, start: int, end: int) -> Iterator[_Box]:
    """The boxes that fill [start, end) exactly."""
    while start < end:
        if end - start < 8:
            raise _DamageError(
                "truncated_file", f"expected a box of at least 8 bytes at byte {start}, got {end - start}"
            )
        size, kind, header = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8]), 8
        if size == 1:
            size, header = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            raise _DamageError(
                "truncated_file",
                f"expected box {kind!r} at byte {start} to end within {end}, got a size of {size} bytes",
                box_bytes=size,
                available_bytes=end - start,
            )
        yield _Box(kind, start + header, start + size)
        start += size


def _tree(data: mmap.mmap, parent: _Box, depth: int = 0) -> dict[bytes, _Box]:
    """First box of each kind below `parent`."""
    found: dict[bytes, _Box] = {}
    for box in _boxes(data, parent.start, parent.end):
        found.setdefault(box.kind, box)
        if box.kind in _CONTAINERS and depth < MAX_BOX_DEPTH:
            for kind, below in _tree(data, box, depth + 1).items():
                found.setdefault(kind, below)
    return found


def _tracks(data: mmap.mmap, movie: _Box) -> list[dict[bytes, _Box]]:
    return [_tree(data, box) for box in _boxes(data, movie.start, movie.end) if box.kind == b"trak"]


def _numbers(data: mmap.mmap, box: _Box, skip: int, count: int, width: int = 4) -> Int64[np.ndarray, " n"]:
    """`count` big-endian unsigned integers of a full box, after its version, flags and `skip` bytes."""
    start = box.start + 4 + skip
    if count < 0 or start + width * count > box.end:
        raise _DamageError(
            "inconsistent_container",
            f"expected {count} entries in box {box.kind!r}, which has room for {max(0, box.end - start) // width}",
            entries=count,
        )
    return np.frombuffer(data[start : start + width * count], f">u{width}").astype(np.int64)


def _require(track: dict[bytes, _Box], kind: bytes) -> _Box:
    if kind not in track:
        raise _DamageError("inconsistent_container", f"expected a box {kind!r} in the video track, found none")
    return track[kind]


def _clock(data: mmap.mmap, box: _Box) -> tuple[int, int]:
    """Time scale (ticks per second) and duration (ticks) of an `mdhd` or `mvhd` box."""
    wide = data[box.start] == 1
    scale, *_ = _numbers(data, box, 16 if wide else 8, 1)
    duration, *_ = _numbers(data, box, 20 if wide else 12, 1, 8 if wide else 4)
    if scale == 0:
        raise _DamageError("inconsistent_container", f"expected a time scale above zero in box {box.kind!r}")
    return int(scale), int(duration)


def _check_track(
    data: mmap.mmap, track: dict[bytes, _Box], movie_header: _Box | None, media: list[tuple[int, int]]
) -> Mp4Video:
    scale, declared = _clock(data, _require(track, b"mdhd"))
    sizes = _sample_sizes(data, _require(track, b"stsz"))
    if len(sizes) == 0:
        raise _DamageError("truncated_file", "expected at least one frame, the sample table is empty")
    _check_extents(_sample_offsets(data, track, sizes), sizes, media)
    duration_s = _check_durations(data, track, len(sizes), scale)
    # Both are rounded to their own clocks, and writers differ by one frame in where the last one ends.
    tolerance_s = 1.5 * duration_s / len(sizes)
    _check_same_duration("the track", declared / scale, duration_s, tolerance_s)
    if movie_header is not None:
        movie_scale, movie_duration = _clock(data, movie_header)
        _check_same_duration("the movie", movie_duration / movie_scale, duration_s, tolerance_s + 1 / movie_scale)
    width, height, configuration = _sample_entry(data, _require(track, b"stsd"))
    return Mp4Video(width, height, len(sizes), duration_s, configuration)


def _check_same_duration(whose: str, declared_s: float, duration_s: float, tolerance_s: float) -> None:
    # A duration of zero means that the writer did not know it.
    if declared_s > 0 and abs(declared_s - duration_s) > tolerance_s:
        raise _DamageError(
            "inconsistent_container",
            f"expected frame durations that add up to those of {whose}, {declared_s:.3f} s, got {duration_s:.3f} s",
            declared_s=declared_s,
            frames_s=duration_s,
        )


def _check_durations(data: mmap.mmap, track: dict[bytes, _Box], frames: int, scale: int) -> float:
    """Sum of the frame durations in seconds."""
    box = _require(track, b"stts")
    entries = int(_numbers(data, box, 0, 1)[0])
    counts, deltas = _numbers(data, box, 4, 2 * entries).reshape(-1, 2).T
    if counts.sum() != frames:
        raise _DamageError(
            "inconsistent_container",
            f"expected a duration for each of {frames} frames, got {counts.sum()}",
            frames=frames,
            durations=float(counts.sum()),
        )
    # Durations are unsigned, but writers that run backwards leave two's complements behind, and players accept them.
    backwards = deltas >= 2**31
    if backwards.any() or (deltas[:-1] == 0).any():
        raise _DamageError(
            "clock_backwards",
            "expected every frame to last longer than zero, got frame times that stand still or run backwards",
            frames=float(counts[backwards | (deltas == 0)].sum()),
        )
    return float((counts * deltas).sum()) / scale


def _sample_sizes(data: mmap.mmap, box: _Box) -> Int64[np.ndarray, " n"]:
    uniform, count = (int(number) for number in _numbers(data, box, 0, 2))
    if uniform:
        # Without one entry per frame the count is bounded by nothing else: a damaged one must not ask for gigabytes.
        if count * uniform > len(data):
            raise _DamageError(
                "inconsistent_container", f"expected frames within the file, got {count} of {uniform} bytes"
            )
        return np.full(count, uniform, np.int64)
    return _numbers(data, box, 8, count)


def _sample_offsets(
    data: mmap.mmap, track: dict[bytes, _Box], sizes: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Where each sample starts in the file, from chunk offsets and samples per chunk."""
    wide = b"co64" in track
    chunk_box, run_box = _require(track, b"co64" if wide else b"stco"), _require(track, b"stsc")
    chunks = _numbers(data, chunk_box, 4, int(_numbers(data, chunk_box, 0, 1)[0]), 8 if wide else 4)
    runs = _numbers(data, run_box, 4, 3 * int(_numbers(data, run_box, 0, 1)[0])).reshape(-1, 3)
    first = runs[:, 0] - 1
    if len(first) == 0 or first[0] != 0 or (np.diff(first) <= 0).any() or first[-1] >= len(chunks):
        raise _DamageError("inconsistent_container", f"expected runs that cover {len(chunks)} chunks in order")
    per_chunk = np.repeat(runs[:, 1], np.diff(np.append(first, len(chunks))))
    if per_chunk.sum() != len(sizes):
        raise _DamageError(
            "inconsistent_container",
            f"expected {len(sizes)} frames in {len(chunks)} chunks, got {per_chunk.sum()}",
            frames=len(sizes),
        )
    chunk_of_sample = np.repeat(np.arange(len(chunks)), per_chunk)
    before = np.cumsum(sizes) - sizes
    first_sample = np.cumsum(per_chunk) - per_chunk
    return chunks[chunk_of_sample] + before - before[np.minimum(first_sample, len(sizes) - 1)][chunk_of_sample]


def _check_extents(
    offsets: Int64[np.ndarray, " n"], sizes: Int64[np.ndarray, " n"], media: list[tuple[int, int]]
) -> None:
    inside = np.zeros(len(offsets), np.bool_)
    for start, end in media:
        inside |= (offsets >= start) & (offsets + sizes <= end)
    if not inside.all():
        raise _DamageError(
            "truncated_file",
            f"expected all {len(offsets)} frames inside the media data, {int((~inside).sum())} lie outside",
            frames_outside=float((~inside).sum()),
        )
    order = np.argsort(offsets, kind="stable")
    overlaps = (offsets[order][1:] < (offsets + sizes)[order][:-1]).sum()
    if overlaps:
        raise _DamageError("inconsistent_container", f"expected frames side by side, {overlaps} overlap the one before")


def _sample_entry(data: mmap.mmap, box: _Box) -> tuple[int, int, bytes]:
    """Width, height and `avcC` body of the first sample entry; clause 12.1.3 for the layout."""
    entries = list(_boxes(data, box.start + 8, box.end))
    if len(entries) != 1 or entries[0].end - entries[0].start < 78:
        raise _DamageError("inconsistent_container", f"expected one description of the video, found {len(entries)}")
    entry = entries[0]
    width = int.from_bytes(data[entry.start + 24 : entry.start + 26], "big")
    height = int.from_bytes(data[entry.start + 26 : entry.start + 28], "big")
    inner = {below.kind: below for below in _boxes(data, entry.start + 78, entry.end)}
    configuration = bytes(data[inner[b"avcC"].start : inner[b"avcC"].end]) if b"avcC" in inner else b""
    return width, height, configuration
