"""A search for bytes in every file below an address: the proof that something is no longer there.

In: an address, words and byte strings. Out: where they are.
Idea: rows can be read only as the library shows them; a search through the files themselves does not depend on what
it hides. All patterns are looked for at once: their first eight bytes are compared, as one number, at every position of
a block, and only where those agree are the rest. Text of a table may be compressed in its file, which such a search
cannot see through; there, reading the rows is the proof (`erase.rows_left`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt64
from pyarrow import fs

from dojo.errors import StoreError

_BLOCK_BYTES = 8 << 20
_HEAD = 8


@dataclass(frozen=True)
class Hit:
    """A place where something was found: the file below the address, and the byte."""

    path: str
    offset: int
    pattern: bytes


@dataclass(frozen=True)
class Searched:
    """What a search went through, and what it found."""

    files: int
    size_bytes: int
    hits: tuple[Hit, ...]


def file_system(uri: str, options: Mapping[str, str] | None = None) -> tuple[Any, str]:
    """What reads the files of an address, and the path in it; `options` as Lance takes them.

    Raises:
        StoreError: nothing reads such addresses.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    try:
        if uri.startswith("s3://") and options:
            known = {key.lower().removeprefix("aws_"): value for key, value in options.items()}
            endpoint = known.get("endpoint") or known.get("endpoint_url")
            system = fs.S3FileSystem(
                access_key=known.get("access_key_id"),
                secret_key=known.get("secret_access_key"),
                region=known.get("region"),
                endpoint_override=endpoint,
                scheme="http" if (endpoint or "").startswith("http://") else "https",
            )
            return system, uri.removeprefix("s3://").rstrip("/")
        return fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise StoreError(f"{uri}: expected a folder or an address of object storage: {error}") from error


def search(uri: str, patterns: Collection[bytes], options: Mapping[str, str] | None = None) -> Searched:
    """Every place of every file below the address where one of the patterns stands."""
    system, root = file_system(uri, options)
    found: list[Hit] = []
    infos = [info for info in system.get_file_info(fs.FileSelector(root, recursive=True)) if info.is_file]
    looked_for = _Patterns(patterns)
    for info in infos if patterns else ():
        with system.open_input_stream(info.path) as file:
            name = info.path.removeprefix(root).lstrip("/")
            found += [Hit(name, offset, pattern) for offset, pattern in looked_for.places(file)]
    return Searched(len(infos), sum(info.size for info in infos), tuple(found))


class _Patterns:
    """Patterns, ready to be looked for."""

    def __init__(self, patterns: Collection[bytes]) -> None:
        long = sorted({pattern for pattern in patterns if len(pattern) >= _HEAD})
        short = sorted({pattern for pattern in patterns if 0 < len(pattern) < _HEAD})
        self._short = re.compile(b"|".join(map(re.escape, short))) if short else None
        self._by_head: dict[int, list[bytes]] = {}
        for pattern in long:
            self._by_head.setdefault(int.from_bytes(pattern[:_HEAD], "little"), []).append(pattern)
        self._heads = np.array(sorted(self._by_head), np.uint64)
        self._overlap = max(map(len, [*long, *short, b"1"])) - 1

    def places(self, file: Any) -> Iterator[tuple[int, bytes]]:
        """Offset and pattern of each place in a file; a place is told once."""
        carried, start = b"", 0
        while block := file.read(_BLOCK_BYTES):
            data = carried + block
            # What lies wholly in the part carried over was told with the block before.
            yield from ((start + at, pattern) for at, pattern in self._in(data) if at + len(pattern) > len(carried))
            keep = min(self._overlap, len(data))
            carried, start = data[len(data) - keep :], start + len(data) - keep

    def _in(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        if self._short is not None:
            yield from ((match.start(), match.group()) for match in self._short.finditer(data))
        if not len(self._heads):
            return
        octets = np.frombuffer(data, np.uint8)
        for shift in range(min(_HEAD, max(0, len(data) - _HEAD + 1))):
            for at in _matching(octets, shift, self._heads):
                for pattern in self._by_head[int.from_bytes(data[at : at + _HEAD], "little")]:
                    if data.startswith(pattern, at):
                        yield at, pattern


def _matching(octets: UInt8[np.ndarray, " n"], shift: int, heads: UInt64[np.ndarray, " heads"]) -> list[int]:
    """Offsets, `shift` and every eighth after it, at which one of the heads stands."""
    count = (len(octets) - shift) // _HEAD
    numbers = octets[shift : shift + count * _HEAD].view("<u8")
    place = np.minimum(np.searchsorted(heads, numbers), len(heads) - 1)
    return (shift + _HEAD * np.flatnonzero(heads[place] == numbers)).tolist()
