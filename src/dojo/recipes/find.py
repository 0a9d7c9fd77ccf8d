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
        count: how many to show at most, of those alike or balanced how many to choose.
        balanced: choose that many with the rare kinds as well represented as the common, a kind being a set of tags;
            without it, the first in stored order.
        seed: of the balanced choice.
        out: file for the ids of all that were found, also of those not shown, or of those chosen; one a line.
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


@dataclass(frozen=True)
class _Answer:
    """What was found.

    Args:
        rows: to be shown.
        ids: of all that a file should list.
        total: how many meet the wish.
        note: for a person, where nothing does.
    """

    rows: list[dict[str, Any]]
    ids: Sequence[str]
    total: int
    note: str = ""


def run(config: FindRun, console: Console) -> Outcome:
    """Answer the wish; nothing of the dataset is changed."""
    started = time.monotonic()
    dataset = Dataset.open(config.dataset)
    answer = _queried(config, dataset) if config.sql is not None else _found(config, dataset)
    facts = {"found": answer.total, "seconds": round(time.monotonic() - started, 2), "rows": answer.rows}
    title = f"{answer.total:,} found, {len(answer.rows):,} shown"
    if config.out is not None:
        write_whole(config.out, "".join(f"{clip_id}\n" for clip_id in answer.ids))
        facts |= {"out": str(config.out), "ids": len(answer.ids)}
        title += f", {len(answer.ids):,} ids in {config.out}"
    return Outcome(facts | ({"note": answer.note} if answer.note else {}), _table(answer, title))


def _queried(config: FindRun, dataset: Dataset) -> _Answer:
    table = sql(dataset, config.sql or "")
    if config.out is not None and "clip_id" not in table.column_names:
        raise ConfigError(
            f"find: expected a query with the column clip_id, whose values go to {config.out}, got "
            f"{', '.join(table.column_names)}; select it too, or leave --out away"
        )
    ids = table["clip_id"].to_pylist() if config.out is not None else []
    return _Answer(table.slice(0, config.count).to_pylist(), ids, table.num_rows)


def _found(config: FindRun, dataset: Dataset) -> _Answer:
    tile = tile_of(*config.near) if config.near is not None else config.tile
    wanted = condition(split=config.split, tags=config.tags, tile=tile, where=config.where)
    table = light_clips(dataset, wanted)
    total = table.num_rows
    note = "" if total else _why_nothing(config, dataset, tile)
    if config.like is not None:
        rows = _alike(dataset, config.like, {row["clip_id"]: row for row in table.to_pylist()}, config.count)
        return _Answer(rows, [row["clip_id"] for row in rows], total, note)
    if config.balanced:
        kinds = np.array(["+".join(sorted(tags)) for tags in table["tags"].to_pylist()])
        number = np.unique(kinds, return_inverse=True)[1].astype(np.int64)
        table = table.take(balanced(number, min(config.count, total), seed=config.seed))
    return _Answer(table.slice(0, config.count).to_pylist(), table["clip_id"].to_pylist(), total, note)


def _why_nothing(config: FindRun, dataset: Dataset, tile: str | None) -> str:
    """Which part of the wish no clip meets, as far as that can be told."""
    clips = light_clips(dataset, None, ("tags", "tiles"))
    if not clips.num_rows:
        return "the dataset has no clips yet: run dojo curate"
    known = {tag for tags in clips["tags"].to_pylist() for tag in tags}
    if strange := [tag for tag in config.tags if tag not in known]:
        noted = sorted({f"{tag.partition(':')[0]}:..." for tag in known if ":" in tag})
        there = [*sorted(tag for tag in known if ":" not in tag), *noted]
        return f"no clip has the tag {', '.join(strange)}; there are {', '.join(there)}"
    tiles = {name for names in clips["tiles"].to_pylist() for name in names}
    if tile is not None and not any(name.startswith(tile) for name in tiles):
        return f"no clip is in the tile {tile}; the clips are in {len(tiles)}, such as {', '.join(sorted(tiles)[:5])}"
    return "no clip meets all of these together"


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


def _table(answer: _Answer, title: str) -> Table:
    names = list(answer.rows[0]) if answer.rows else list(LIGHT)
    table = Table(title=title, title_justify="left", caption=answer.note or None, caption_justify="left")
    for name in names:
        table.add_column(name, overflow="fold")  # an id that is cut short cannot be copied
    for row in answer.rows:
        table.add_row(*(_said(value) for value in row.values()))
    return table


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
