"""One Lance table: the only file of the store that knows the library.

In: rows. Out: rows, at a version that stays fixed until told otherwise.
Idea: a Lance table is a folder of immutable files and numbered manifests; an append writes files first and then one
manifest, which alone makes them count. A process killed in between leaves files that nothing names. The same holds
on object stores, so no path is ever built or listed here: URIs go to Lance as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from dojo.errors import StoreError
from dojo.store.schema import SCHEMA_KEY, SCHEMA_VERSION, TABLES

BLOB = "data"


class Table:
    """A table of a dataset, pinned to one version; `refresh` moves it to the newest."""

    def __init__(self, root: str, name: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.uri = f"{root.rstrip('/')}/{name}.lance"
        self._options = dict(storage_options) if storage_options else None
        self._lance = self._open()
        self._check_schema(root)

    @staticmethod
    def exists(root: str, name: str, storage_options: Mapping[str, str] | None = None) -> bool:
        """Whether there is such a table."""
        uri = f"{root.rstrip('/')}/{name}.lance"
        try:
            lance.dataset(uri, storage_options=dict(storage_options) if storage_options else None)
        except (ValueError, OSError) as error:
            if not _not_found(error):
                raise StoreError(
                    f"{uri}: does not open: {error}; check the address and the right to read it"
                ) from error
            return False
        return True

    @staticmethod
    def create_missing(
        root: str, name: str, storage_options: Mapping[str, str] | None = None, schema: pa.Schema | None = None
    ) -> None:
        """Make the table, empty, unless it is there; of the columns in `TABLES` unless others are given."""
        if Table.exists(root, name, storage_options):
            return
        uri = f"{root.rstrip('/')}/{name}.lance"
        columns = _described(TABLES[name] if schema is None else schema, {})
        with _writing(uri):
            lance.write_dataset(
                columns.empty_table(),
                uri,
                schema=columns,
                mode="create",
                storage_options=dict(storage_options) if storage_options else None,
            )

    def _open(self) -> Any:
        try:
            return lance.dataset(self.uri, storage_options=self._options)
        except (ValueError, OSError) as error:
            if _not_found(error):
                raise StoreError(
                    f"{self.uri}: expected a dataset, found none; check the address, or make one with `dojo ingest`"
                ) from error
            raise StoreError(
                f"{self.uri}: does not open: {error}; check the address and the right to read it"
            ) from error

    def _check_schema(self, root: str) -> None:
        written = (self._lance.schema.metadata or {}).get(SCHEMA_KEY)
        if written is None:
            raise StoreError(f"{self.uri}: expected a table written by Dojo, found another; check the address")
        if int(written) > SCHEMA_VERSION:
            raise StoreError(
                f"{root}: written with schema {int(written)} by a newer Dojo, this one reads up to {SCHEMA_VERSION}; "
                "install the newer Dojo"
            )

    @property
    def version(self) -> int:
        """The pinned version."""
        return int(self._lance.version)

    @property
    def metadata(self) -> dict[str, str]:
        """What was written beside the columns, without the schema number."""
        stored: Mapping[bytes, bytes] = self._lance.schema.metadata or {}
        return {key.decode(): value.decode() for key, value in stored.items() if key != SCHEMA_KEY}

    def at(self, version: int) -> None:
        """Pin an older version.

        Raises:
            StoreError: there is none of that number.
        """
        try:
            self._lance = self._lance.checkout_version(version)
        except (ValueError, OSError) as error:
            raise StoreError(
                f"{self.uri}: has no version {version}, the newest is {self._open().version}; name one of those"
            ) from error

    def refresh(self) -> None:
        """Pin the newest version."""
        self._lance.checkout_latest()

    def versions(self) -> list[tuple[int, datetime]]:
        """Number and time (UTC) of each version that still exists, oldest first."""
        return [(int(entry["version"]), entry["timestamp"].astimezone(UTC)) for entry in self._lance.versions()]

    def count(self) -> int:
        """Number of rows."""
        return int(self._lance.count_rows())

    def read(self, columns: Sequence[str], where: str | None = None, *, row_ids: bool = False) -> pa.Table:
        """Rows in stored order; with the column `_rowid` where asked."""
        with _reading(self.uri):
            return self._lance.to_table(columns=list(columns), filter=where, with_row_id=row_ids)

    def batches(self, columns: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """The same rows a batch at a time."""
        with _reading(self.uri):
            yield from self._lance.to_batches(columns=list(columns), filter=where)

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Rows by place in stored order, in the order asked."""
        with _reading(self.uri):
            return self._lance.take(list(places), columns=list(columns))

    def nearest(
        self, column: str, query: Float32[np.ndarray, " size"], count: int, columns: Sequence[str], where: str | None
    ) -> pa.Table:
        """The rows whose vectors point most nearly the same way, nearest first, with `_distance`, 1 - cosine."""
        wanted = {"column": column, "q": query, "k": count, "metric": "cosine", "use_index": False}
        with _reading(self.uri):
            return self._lance.to_table(
                columns=[*columns, "_distance"], filter=where, nearest=wanted, prefilter=where is not None
            )

    def blobs(self, row_ids: Sequence[int]) -> list[bytes]:
        """The blob of each row, in the order asked."""
        if not row_ids:
            return []
        with _reading(self.uri):
            return [data for _, data in self._lance.read_blobs(BLOB, ids=list(row_ids), preserve_order=True)]

    def append(self, rows: Iterable[list[dict[str, Any]]], columns: pa.Schema | None = None) -> None:
        """Add rows, a list at a time, all of them or none; of the columns in `TABLES` unless others are given."""
        schema = self._lance.schema
        plain = pa.schema(TABLES[self.name] if columns is None else columns, metadata=schema.metadata)
        batches = (pa.RecordBatch.from_pylist(part, schema=plain) for part in rows)
        with _writing(self.uri):
            self._lance = lance.write_dataset(
                pa.RecordBatchReader.from_batches(plain, batches), self._lance, mode="append"
            )

    def replace(self, rows: list[dict[str, Any]], metadata: Mapping[str, str]) -> None:
        """These rows instead of all earlier ones, as a new version."""
        schema = _described(TABLES[self.name], metadata)
        self.replace_all(schema, [pa.RecordBatch.from_pylist(rows, schema=schema)], metadata)

    def replace_all(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, str] | None = None
    ) -> None:
        """These rows, in these columns, instead of all earlier ones, as a new version; never all in memory at once."""
        described = _described(schema, metadata or {})
        with _writing(self.uri):
            self._lance = lance.write_dataset(
                pa.RecordBatchReader.from_batches(described, (batch.cast(described) for batch in batches)),
                self._lance,
                schema=described,
                mode="overwrite",
            )

    def delete(self, column: str, values: Iterable[str]) -> None:
        """Remove the rows whose column holds one of the values."""
        with _writing(self.uri):
            self._lance.delete(f"{column} IN ({', '.join(map(quoted, values))})")

    def compact(self) -> None:
        """Join small files, and write anew every file that holds a deleted row; contents and order stay."""
        with _writing(self.uri):
            self._lance.optimize.compact_files(materialize_deletions_threshold=0.0)

    def vacuum(self, older_than: timedelta) -> int:
        """Remove older versions and whatever only they need; how many bytes that were.

        Args:
            older_than: younger versions stay, and with them their files; zero leaves the newest version alone. Readers
                that are pinned to a version that goes cannot go on.
        """
        with _writing(self.uri):
            # The last change stays on record beside the newest version, for a deletion its condition, which names what
            # is gone. So a change that says nothing comes last.
            self._lance.update_config({"dojo.vacuumed": datetime.now(UTC).isoformat()})
            done = self._lance.cleanup_old_versions(older_than=older_than, delete_unverified=older_than == timedelta())
        return int(done.bytes_removed)

    def pieces(self) -> int:
        """Number of fragments: how many appends have not been compacted yet."""
        return len(self._lance.get_fragments())


def quoted(text: str) -> str:
    """A text as it stands in a filter."""
    return "'" + text.replace("'", "''") + "'"


def _described(schema: pa.Schema, metadata: Mapping[str, str]) -> pa.Schema:
    return schema.with_metadata({SCHEMA_KEY.decode(): str(SCHEMA_VERSION), **metadata})


def _not_found(error: Exception) -> bool:
    return "was not found" in str(error)


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreError(f"{uri}: cannot be read: {error}; the table is damaged or out of reach") from error


@contextmanager
def _writing(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        full = "No space left on device" in str(error)
        advice = "the disk is full; free some space" if full else "check that the place can be written"
        raise StoreError(
            f"{uri}: cannot be written: {error}; {advice} and run the same command again: "
            "what was stored before is whole"
        ) from error
