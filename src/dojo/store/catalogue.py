"""The clips of a split as a sequence that holds in memory only what choosing among them needs.

In: a dataset. Out: ids and weights as arrays; clips when asked for.
Idea: ten million clips are 35 GB as records, and half a gigabyte as ids and weights. To draw one only these are
needed; the record of a clip that was drawn is read by its place in the table, together with those drawn beside it.
Not here: the order in which they are drawn (`load/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from dojo.records import Clip
from dojo.store.dataset import Dataset
from dojo.store.rows import clip_from, rows_of
from dojo.store.schema import TABLES
from dojo.store.table import Table


class Catalogue:
    """The clips of a split, in stored order.

    Args:
        dataset: whose clips, at the version at which it is open.
        split: which; None for all.
    """

    def __init__(self, dataset: Dataset, split: str | None = None) -> None:
        self._dataset, self._split = dataset, split
        self._table = Table(dataset.uri, "clips", dataset.storage_options)
        self._table.at(dataset.clips_version)
        ids, weights, places, first = [], [], [], 0
        for batch in self._table.batches(["clip_id", "weight", "split"]):
            chosen = np.ones(batch.num_rows, np.bool_)
            if split is not None:
                chosen = np.asarray(pc.equal(batch["split"], split))
            ids.append(batch["clip_id"].filter(pa.array(chosen)))
            weights.append(np.asarray(batch["weight"])[chosen])
            places.append(first + np.flatnonzero(chosen))
            first += batch.num_rows
        self.clip_ids = pa.chunked_array(ids, pa.string())
        """Names, in stored order."""
        self.weights: Float64[np.ndarray, " clips"] = np.concatenate([np.zeros(0), *weights])
        self._places: Int64[np.ndarray, " clips"] = np.concatenate([np.zeros(0, np.int64), *places])

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads it for itself."""
        return type(self), (self._dataset, self._split)

    def names(self) -> pa.ChunkedArray:
        """The id of each clip, as a column: ten million strings one by one would take seconds."""
        return self.clip_ids

    def places(
        self,
    ) -> tuple[
        list[tuple[str, str]],
        Int64[np.ndarray, " clips"],
        Int64[np.ndarray, " clips"],
        Int64[np.ndarray, " clips"],
    ]:
        """Streams, and of each clip its stream as an index, the time of its first anchor in ns, and its first frame."""
        numbers: dict[tuple[str, str], int] = {}
        found: list[list[np.ndarray]] = [[], [], []]
        for batch in self._table.batches(["drive_id", "camera", "split", "anchor_timestamps_ns", "frame_indices"]):
            if self._split is not None:
                batch = batch.filter(pc.equal(batch["split"], self._split))
            drives, cameras = batch["drive_id"].dictionary_encode(), batch["camera"].dictionary_encode()
            pairs = np.asarray(drives.indices, np.int64) * (len(cameras.dictionary) or 1) + np.asarray(cameras.indices)
            unique, where = np.unique(pairs, return_inverse=True)
            names = [
                (
                    drives.dictionary[pair // len(cameras.dictionary)].as_py(),
                    cameras.dictionary[pair % len(cameras.dictionary)].as_py(),
                )
                for pair in unique.tolist()
            ]
            found[0].append(np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)[where])
            found[1].append(np.asarray(pc.list_element(batch["anchor_timestamps_ns"], 0), np.int64))
            found[2].append(np.asarray(pc.list_element(batch["frame_indices"], 0), np.int64))
        joined = [np.concatenate([np.zeros(0, np.int64), *parts]) for parts in found]
        return list(numbers), joined[0], joined[1], joined[2]

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._places)

    def take(self, indices: Sequence[int] | Int64[np.ndarray, " n"]) -> list[Clip]:
        """The clips at these indices, in this order; one read for all of them."""
        places = self._places[np.asarray(indices, np.int64)]
        # Lance reads fastest in stored order, each place once.
        unique, where = np.unique(places, return_inverse=True)
        rows = rows_of(self._table.rows(unique.tolist(), TABLES["clips"].names))
        return [clip_from(rows[place]) for place in where]
