"""Millions of names as rows of bytes: put in an order of their own, and hashed, without a look at one by one.

In: names. Out: the places of the names in an order that does not hang on how they were given.
Idea: to sort ten million strings takes a minute, and nobody needs them in the alphabet's order: any order will do that
follows from the names alone. So each is boiled down to a number, and numbers are sorted in a second; where two names
have the same number, as repeated names have, their bytes decide.
Not here: what is drawn in which order (`order.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64, UInt8, UInt64

Names: TypeAlias = Sequence[str] | pa.ChunkedArray
"""Names as they are at hand: a list, or a column of a table."""

_AT_ONCE = 1 << 20
"""Names looked at together: bounds the memory of what is made on the way."""


def bytes_of(names: Names) -> UInt8[np.ndarray, "names width"]:
    """UTF-8 of each name, filled up with zeros to the longest and to whole numbers of 64 bits."""
    pieces = list(_pieces(names))
    longest = max((int(pc.max(pc.binary_length(piece)).as_py()) for piece in pieces), default=0)
    rows = np.zeros((len(names), max(1, -(-longest // 8)) * 8), np.uint8)
    first = 0
    for piece in pieces:
        lengths = np.asarray(pc.binary_length(piece))
        _, ends, data = piece.buffers()
        start = int(np.frombuffer(ends, np.int64)[piece.offset])
        content = np.frombuffer(data, np.uint8)[start : start + int(lengths.sum())] if data else rows[:0, 0]
        # Row after row, the places inside of names are filled in the order in which their bytes lie in memory.
        rows[first : first + len(piece)][np.arange(rows.shape[1]) < lengths[:, None]] = content
        first += len(piece)
    return rows


def _pieces(names: Names) -> Iterator[pa.LargeStringArray]:
    column = names if isinstance(names, pa.ChunkedArray) else pa.chunked_array([pa.array(names, pa.string())])
    for chunk in column.cast(pa.large_string()).chunks:
        yield from (chunk.slice(start, _AT_ONCE) for start in range(0, len(chunk), _AT_ONCE))


def numbers_of(rows: UInt8[np.ndarray, "names width"]) -> UInt64[np.ndarray, " names"]:
    """A number for each name; the same for two different names in one case of 2^64.

    Source of the mixing: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
    """
    found = np.zeros(len(rows), np.uint64)
    for word in rows.view("<u8").T:
        found ^= word
        found += np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(30)
        found *= np.uint64(0xBF58476D1CE4E5B9)
        found ^= found >> np.uint64(27)
        found *= np.uint64(0x94D049BB133111EB)
        found ^= found >> np.uint64(31)
    return found


def places_in_order(rows: UInt8[np.ndarray, "names width"]) -> tuple[Int64[np.ndarray, " names"], int]:
    """The places of the names in an order that follows from the names alone, and how many of them are distinct."""
    numbers = numbers_of(rows)
    order = np.argsort(numbers)
    same = _same(numbers[order])
    if len(same) == 0:
        return order.astype(np.int64), len(rows)
    order = np.lexsort((*rows.view(">u8").T[::-1], numbers))
    same = _same(numbers[order])
    repeated = (rows[order[same]] == rows[order[same + 1]]).all(1).sum()
    return order.astype(np.int64), len(rows) - int(repeated)


def _same(ordered: UInt64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """Where a number is as the next."""
    return np.flatnonzero(ordered[1:] == ordered[:-1]).astype(np.int64)


def sorted_places(bits: UInt64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """What a stable sort gives; several times as quick, because random numbers hardly ever are the same."""
    order = np.argsort(bits)
    return (np.argsort(bits, kind="stable") if len(_same(bits[order])) else order).astype(np.int64)
