"""A hash of what a record says, independent of where it was written and by which version of a library.

In: a record. Out: 64 hex digits.
Idea: two ingests of the same recordings must be provably equal, whatever their order, interruptions or folders. So
the hash walks the record itself, not its stored bytes; paths and the wording of reasons, which may name a folder,
stay out of it, and floats go in bit by bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from dojo.records import Provenance, Rejection


def fingerprint(value: object) -> str:
    """SHA-256 of the value's content, in hex.

    Raises:
        TypeError: a value of a kind that records do not hold.
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    match value:
        case None:
            digest.update(b"none;")
        case bool() | np.bool_():
            digest.update(b"true;" if value else b"false;")
        case int() | np.integer():
            digest.update(f"int {int(value)};".encode())
        case float() | np.floating():
            digest.update(b"float" + struct.pack("<d", float(value)))
        case str():
            encoded = value.encode()
            digest.update(f"text {len(encoded)}:".encode() + encoded)
        case np.ndarray():
            digest.update(f"array {value.dtype.str} {value.shape}:".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        case list() | tuple():
            digest.update(f"list {len(value)}:".encode())
            for item in value:
                _feed(digest, item)
        case Mapping():
            _feed(digest, sorted(value.items()))
        case Rejection():
            _feed(digest, ("rejection", value.gate, value.figures, value.start_ns, value.end_ns))
        case Provenance():
            _feed(digest, ("provenance", value.reader, [entry[1:] for entry in value.files], value.licence))
        case _ if dataclasses.is_dataclass(value):
            digest.update(f"record {type(value).__name__}:".encode())
            for field in dataclasses.fields(value):
                _feed(digest, field.name)
                _feed(digest, getattr(value, field.name))
        case _:
            raise TypeError(f"fingerprint: expected a record or what records hold, got {type(value).__name__}")
