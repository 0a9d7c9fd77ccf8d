"""What may not come back: files and vehicles that were erased, known by salted hashes alone.

In: hashes of files and names of vehicles. Out: whether they were erased here.
Idea: to refuse what was erased, something must be remembered; to have erased it, nothing may be. A salted hash says
neither which vehicle it was nor what was recorded, yet answers "was it this one?". A name has little to guess, so its
hash is made slow to try out; a file's own hash has enough.
Not here: erasing (`erase.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from dojo.errors import StoreError
from dojo.store.schema import ERASED
from dojo.store.table import Table

TABLE = "erased"

_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}
"""About 50 ms and 16 MB for each guess. Source of the costs: RFC 7914, section 2, parameters for interactive use."""


class Tombstones:
    """The tombstones of a dataset as of now; a dataset from which nothing was erased has no table of them."""

    def __init__(self, uri: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._uri, self._options = uri, storage_options
        self._rows: list[dict[str, Any]] = []
        if Table.exists(uri, TABLE, storage_options):
            self._rows = Table(uri, TABLE, storage_options).read(ERASED.names).to_pylist()

    def __len__(self) -> int:
        """How many there are, of files and vehicles together."""
        return len(self._rows)

    def files(self, sha256s: Iterable[str]) -> set[str]:
        """Those of these files that were erased."""
        graves = {(row["salt"], row["digest"]) for row in self._rows if row["kind"] == "file"}
        salts = {salt for salt, _ in graves}
        return {sha for sha in sha256s if any((salt, _of_file(salt, sha)) in graves for salt in salts)}

    def vehicles(self, names: Iterable[str]) -> set[str]:
        """Those of these vehicles that were erased."""
        graves = [(row["salt"], row["digest"]) for row in self._rows if row["kind"] == "vehicle"]
        return {name for name in names if any(_of_vehicle(salt, name) == digest for salt, digest in graves)}

    def require_none(self, sha256s: Sequence[str], vehicles: Sequence[str]) -> None:
        """Nothing, if none of them was erased.

        Raises:
            StoreError: some were.
        """
        if not self._rows:
            return
        if self.files(sha256s) or self.vehicles(set(vehicles)):
            raise StoreError(
                f"{self._uri}: expected a recording that may be stored, got one that was erased from this dataset, or "
                "one of a vehicle that was; leave it out, or ask for it with --even-erased"
            )

    def add(self, erasure_id: str, vehicle_id: str, sha256s: Iterable[str]) -> None:
        """Remember a vehicle and its files; what is remembered already stays as it is."""
        known = self.files(wanted := set(sha256s))
        salt = os.urandom(16).hex()
        rows = [("file", _of_file(salt, sha)) for sha in sorted(wanted - known)]
        if not self.vehicles([vehicle_id]):
            rows.append(("vehicle", _of_vehicle(salt, vehicle_id)))
        if not rows:
            return
        Table.create_missing(self._uri, TABLE, self._options, ERASED)
        made = [{"erasure_id": erasure_id, "kind": kind, "salt": salt, "digest": digest} for kind, digest in rows]
        Table(self._uri, TABLE, self._options).append([made], ERASED)
        self._rows += made


def _of_file(salt: str, sha256: str) -> str:
    return hashlib.sha256(f"{salt}{sha256}".encode()).hexdigest()


@lru_cache(maxsize=4096)
def _of_vehicle(salt: str, name: str) -> str:
    return hashlib.scrypt(name.encode(), salt=bytes.fromhex(salt), **_SCRYPT).hex()
