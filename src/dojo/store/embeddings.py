"""One vector for each clip: what the trunk of a policy saw in it.

In: clip ids with vectors, a dataset. Out: the clips that look most like one, or the vectors of some.
Idea: vectors are derived from clips and a model, so they stand in a table of their own, replaced whole when either
changes; the table says which model made them. Search is exact, over all of them: half-precision vectors of a million
clips are read in less than a second, and an approximate index would first take minutes to train.
Not here: making the vectors (`recipes/embed.py`), what to do with neighbours (`curate/similar.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from dojo.errors import StoreError
from dojo.store.dataset import Dataset
from dojo.store.lock import alone
from dojo.store.schema import vector_schema
from dojo.store.table import Table, quoted

TABLE = "embeddings"

Vectors = tuple[Sequence[str], Sequence[str], Float32[np.ndarray, "_ _"]]
"""Clip ids, the vehicle of each, and their vectors."""


class Embeddings:
    """The embeddings of a dataset; use `found` or `put`."""

    def __init__(self, dataset: Dataset) -> None:
        self._uri = dataset.uri
        self._table = Table(dataset.uri, TABLE, dataset.storage_options)

    @staticmethod
    def found(dataset: Dataset) -> Embeddings | None:
        """Those that are there; None before the first were put."""
        return Embeddings(dataset) if Table.exists(dataset.uri, TABLE, dataset.storage_options) else None

    @staticmethod
    def put(dataset: Dataset, parts: Iterable[Vectors], size: int, model: str) -> Embeddings:
        """These instead of all earlier ones, a part at a time.

        Args:
            size: length of a vector.
            model: hash of what made them.

        Raises:
            StoreError: a vector that is not finite.
        """
        schema = vector_schema(size)
        with alone(dataset.uri):
            Table.create_missing(dataset.uri, TABLE, dataset.storage_options, schema)
            embeddings = Embeddings(dataset)
            batches = (_batch(schema, *part) for part in parts)
            embeddings._table.replace_all(schema, batches, {"embeddings.model": model})
        return embeddings

    @property
    def model(self) -> str:
        """Hash of the model that made them."""
        return self._table.metadata.get("embeddings.model", "")

    def count(self, vehicle_id: str | None = None) -> int:
        """How many there are, of one vehicle where asked."""
        if vehicle_id is None:
            return self._table.count()
        return int(self._table.read(["clip_id"], f"vehicle_id = {quoted(vehicle_id)}").num_rows)

    def all(self) -> tuple[list[str], Float32[np.ndarray, "n size"]]:
        """Clip ids and vectors, in stored order."""
        table = self._table.read(["clip_id", "vector"])
        return table["clip_id"].to_pylist(), _vectors(table)

    def of(self, clip_id: str) -> Float32[np.ndarray, " size"]:
        """The vector of a clip.

        Raises:
            StoreError: the clip has none.
        """
        table = self._table.read(["clip_id", "vector"], f"clip_id = {quoted(clip_id)}")
        if table.num_rows == 0:
            raise StoreError(
                f"{self._uri}: expected a clip with an embedding, {clip_id!r} has none; run dojo embed, or choose one "
                "that dojo find lists"
            )
        return _vectors(table)[0]

    def like(self, query: Float32[np.ndarray, " size"], count: int) -> list[tuple[str, float]]:
        """Clip ids and cosine similarities of the clips most like a vector, the most similar first."""
        found = self._table.nearest("vector", query, count, ["clip_id"], None)
        return list(zip(found["clip_id"].to_pylist(), (1 - np.array(found["_distance"])).tolist(), strict=True))

    def remove(self, vehicle_ids: Iterable[str]) -> None:
        """Those of these vehicles gone from the newest version."""
        with alone(self._uri):
            self._table.refresh()
            self._table.delete("vehicle_id", vehicle_ids)
            self._table.compact()

    def vacuum(self, older_than: timedelta) -> int:
        """As `Dataset.vacuum`."""
        with alone(self._uri):
            self._table.refresh()
            self._table.compact()
            return self._table.vacuum(older_than)


def _batch(
    schema: pa.Schema, clip_ids: Sequence[str], vehicle_ids: Sequence[str], vectors: Float32[np.ndarray, "n size"]
) -> pa.RecordBatch:
    if not np.isfinite(vectors).all():
        raise StoreError("embeddings: expected finite numbers; the model that made them is damaged")
    half = pa.array(vectors.astype(np.float16).ravel())
    columns = [pa.array(clip_ids, pa.string()), pa.array(vehicle_ids, pa.string())]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.FixedSizeListArray.from_arrays(half, vectors.shape[1])], schema=schema
    )


def _vectors(table: pa.Table) -> Float32[np.ndarray, "n size"]:
    size = table.schema.field("vector").type.list_size
    flat = table["vector"].combine_chunks().flatten() if table.num_rows else pa.array([], pa.float16())
    return np.asarray(flat).astype(np.float32).reshape(-1, size)
