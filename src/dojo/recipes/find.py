"""`dojo find`: clips by tag, place, likeness or SQL.

In: a dataset and a wish. Out: the clips that meet it, and their ids in a file where asked.
Not here: questions (`store/query.py`), embeddings (`recipes/embed.py`), the selection (`curate/select.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from dojo.curate.select import balanced
from dojo.errors import ConfigError
from dojo.geometry.place import tile as tile_of
from dojo.recipes.run import Outcome, write_whole
from dojo.store.dataset import Dataset
from dojo.store.embeddings import Embeddings
from dojo.store.query import LIGHT, condition, light_clips, sql


@dataclass(frozen=True)
class FindRun:
    """Find clips.

    Args:
        dataset: folder or object-store URI of the dataset.
        like: id of a clip; the most similar come first. Needs `dojo embed`.
        tags: all of which a clip must have.
        split: in which it must be.
        tile: geohash of the place; a shorter one is a larger place.
        near: latitude and longitude of the place instead.
        where: a condition on the columns of clips, for example `vehicle_id = 'car-003' AND weight > 1`.
        sql: a query over the tables `clips` and `drives` instead of all of the above.
        count: how many to show at most.
        balanced: choose that many with the rare kinds as well represented as the common, a kind being a set of tags;
            without it, the first in stored order.
        seed: of the balanced choice.
        out: file for the ids of those found, one a line.
    """

    dataset: tyro.conf.Positional[str]
    like: str | None = None
    tags: tuple[str, ...] = ()
    split: Literal["train", "validation", "excluded"] | None = None
    tile: str | None = None
    near: tuple[float, float] | None = None
    where: str | None = None
    sql: str | None = None
    count: int = 20
    balanced: bool = False
    seed: int = 0
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"find: expected a count of at least 1, got {self.count}")
        other = (self.like, self.tags, self.split, self.tile, self.near, self.where)
        if self.sql is not None and (any(other) or self.balanced):
            raise ConfigError("find: expected sql alone, got other wishes beside it; put them into the query")
        if self.tile is not None and self.near is not None:
            raise ConfigError("find: expected a tile or a point that it is near, got both; leave one out")
        if self.like is not None and self.balanced:
            raise ConfigError("find: expected like or balanced, got both: one orders by likeness, the other chooses")


CONFIG = FindRun
CONFIGS = {"find": FindRun}


def run(config: FindRun, console: Console) -> Outcome:
    """Answer the wish; nothing of the dataset is changed."""
    started = time.monotonic()
    dataset = Dataset.open(config.dataset)
    if config.sql is not None:
        answer = sql(dataset, config.sql)
        rows, total = answer.slice(0, config.count).to_pylist(), answer.num_rows
        ids = answer["clip_id"].to_pylist() if "clip_id" in answer.column_names else []
    else:
        rows, total = _found(config, dataset)
        ids = [row["clip_id"] for row in rows]
    if config.out is not None:
        write_whole(config.out, "".join(f"{clip_id}\n" for clip_id in ids))
    facts = {"found": total, "seconds": round(time.monotonic() - started, 2), "rows": rows}
    return Outcome(facts, _table(rows, f"{total:,} found, {len(rows):,} shown"))


def _found(config: FindRun, dataset: Dataset) -> tuple[list[dict[str, Any]], int]:
    """The rows to show, and how many there are in all."""
    tile = tile_of(*config.near) if config.near is not None else config.tile
    wanted = condition(split=config.split, tags=config.tags, tile=tile, where=config.where)
    table = light_clips(dataset, wanted)
    if config.like is not None:
        by_id = {row["clip_id"]: row for row in table.to_pylist()}
        return _alike(dataset, config.like, by_id, config.count), len(by_id)
    count = min(config.count, table.num_rows)
    chosen = np.arange(count)
    if config.balanced:
        kinds = np.array(["+".join(sorted(tags)) for tags in table["tags"].to_pylist()])
        chosen = balanced(np.unique(kinds, return_inverse=True)[1].astype(np.int64), count, seed=config.seed)
    return table.take(chosen).to_pylist(), table.num_rows


def _alike(dataset: Dataset, clip_id: str, among: Mapping[str, dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Rows of the clips most like one, itself left out, with their similarity; looks further until there are enough."""
    embeddings = Embeddings.found(dataset)
    if embeddings is None:
        raise ConfigError(f"{dataset.uri}: expected embeddings, there are none; run dojo embed first")
    query, total = embeddings.of(clip_id), embeddings.count()
    looked_at = min(total, 4 * count + 1)
    while True:
        ranked = embeddings.like(query, looked_at)
        rows = [{"similarity": alike, **among[name]} for name, alike in ranked if name != clip_id and name in among]
        if len(rows) >= count or looked_at == total:
            return rows[:count]
        looked_at = min(total, 8 * looked_at)


def _table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    names = list(rows[0]) if rows else list(LIGHT)
    table = Table(*names, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_said(value) for value in row.values()))
    return table


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
