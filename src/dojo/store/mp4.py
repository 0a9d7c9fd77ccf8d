"""Where the packets of a small MP4 lie: no more of the format than one video track without fragments needs.

In: the bytes of a stored chunk. Out: each packet's place in the bytes and in the order of showing.
Idea: opening a container with FFmpeg decodes its first pictures to find out what is in it, which takes a quarter of
the time in which all pictures of a chunk that are wanted are decoded; our own chunks hold nothing to find out.
Source of the layout: ISO/IEC 14496-12 (boxes), 14496-15 (`avcC`).
Not here: recordings of vehicles, which may hold anything (`fleet/readers/`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from dojo.errors import StoreError

_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_BEFORE_AVCC = 8 + 78  # of a full box and its count, then the fields of a visual sample entry, 14496-12, 12.1.3
_MAX_PACKETS = 1 << 16


@dataclass(frozen=True)
class Packets:
    """The packets of a chunk in the order of decoding.

    Args:
        head: what a decoder must know first (`avcC`).
        starts, sizes: where each lies in the bytes.
        places: which picture it is, in the order of showing, from 0.
        keys: whether decoding can begin there.
    """

    head: bytes
    starts: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " n"]
    places: Int64[np.ndarray, " n"]
    keys: Bool[np.ndarray, " n"]


def packets(data: bytes) -> Packets:
    """Where the packets of a chunk lie.

    Raises:
        StoreError: the bytes are no MP4 as the store writes it.
    """
    try:
        return _packets(data)
    except (KeyError, IndexError, ValueError, struct.error) as error:
        raise StoreError(
            f"video chunk of {len(data)} bytes does not decode: expected an MP4 as the store writes it, reading its "
            f"tables failed at {error}; ingest its drive again"
        ) from error


def _packets(data: bytes) -> Packets:
    table = memoryview(data)
    for name in _PATH:
        table = _boxes(table)[name]
    boxes = _boxes(table)
    sizes = _sizes(boxes[b"stsz"])
    keys = np.full(len(sizes), b"stss" not in boxes)  # without the table, decoding can begin at every packet
    if b"stss" in boxes:
        keys[_numbers(boxes[b"stss"], 1)[:, 0] - 1] = True
    waits = np.zeros(len(sizes), np.int64)
    if b"ctts" in boxes:
        waits = _repeated(boxes[b"ctts"], len(sizes))
    steps = _repeated(boxes[b"stts"], len(sizes))
    shown = np.cumsum(steps) - steps + waits
    starts = _starts(boxes, sizes)
    if len(starts) and int((starts + sizes).max()) > len(data):
        raise ValueError("a packet beyond the end")
    entry = bytes(boxes[b"stsd"][8:])
    head = bytes(_boxes(memoryview(entry)[_BEFORE_AVCC:])[b"avcC"])
    return Packets(head, starts, sizes, np.argsort(np.argsort(shown, kind="stable")), keys)


def _boxes(data: memoryview) -> dict[bytes, memoryview]:
    """What lies in each box, without its header; the first of each name."""
    return dict(reversed(list(_each_box(data))))


def _each_box(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    place = 0
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        if size < 8 or place + size > len(data):
            raise ValueError(f"a box of {size} bytes at {place} of {len(data)}")
        yield name, data[place + 8 : place + size]
        place += size


def _numbers(box: memoryview, columns: int) -> Int64[np.ndarray, "rows _"]:
    """The table of 32-bit numbers in a full box."""
    (count,) = struct.unpack_from(">I", box, 4)
    return np.frombuffer(box, ">u4", count * columns, 8).astype(np.int64).reshape(count, columns)


def _sizes(box: memoryview) -> Int64[np.ndarray, " n"]:
    same, count = struct.unpack_from(">II", box, 4)
    if count > _MAX_PACKETS:
        raise ValueError(f"{count} packets")
    return np.full(count, same, np.int64) if same else np.frombuffer(box, ">u4", count, 12).astype(np.int64)


def _repeated(box: memoryview, count: int) -> Int64[np.ndarray, " n"]:
    """The values of a table of runs: how often each, and which."""
    runs = _numbers(box, 2)
    return np.repeat(runs[:, 1], _adding_up(runs[:, 0], count))


def _adding_up(lengths: Int64[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " n"]:
    """The same; looked at before so many numbers are made of damaged ones."""
    if (lengths < 0).any() or int(lengths.sum()) != count:
        raise ValueError(f"runs of {int(lengths.sum())} where {count} are expected")
    return lengths


def _starts(boxes: dict[bytes, memoryview], sizes: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Where each packet begins: they lie one behind the other in each of a few stretches of the file."""
    runs, stretches = _numbers(boxes[b"stsc"], 3), _numbers(boxes[b"stco"], 1)[:, 0]
    last = np.append(runs[1:, 0], len(stretches) + 1)
    per_stretch = np.repeat(runs[:, 1], _adding_up(last - runs[:, 0], len(stretches)))
    stretch_of = np.repeat(np.arange(len(stretches)), _adding_up(per_stretch, len(sizes)))
    before = np.cumsum(sizes) - sizes
    first = np.cumsum(per_stretch) - per_stretch
    return stretches[stretch_of] + before - before[first][stretch_of] if len(sizes) else before
