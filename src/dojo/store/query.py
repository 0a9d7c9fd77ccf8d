"""Questions to the catalogue of clips: by tag and place, in Lance's own language or in SQL.

In: conditions. Out: the light columns of the clips that meet them, as an Arrow table.
Idea: what a clip is (tags, tiles, vehicle, split, weight) is a thousandth of what it holds (paths, targets), and is
read without it. A condition goes to Lance, which reads only the columns it needs; for what a condition cannot say
(counts, groups, joins), DuckDB runs SQL over the same columns, without a server.
Not here: clips as records (`dataset.py`, `catalogue.py`), which of them to choose (`curate/`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from dojo.errors import ConfigError, StoreError
from dojo.store.dataset import Dataset
from dojo.store.table import Table, quoted

LIGHT = ("clip_id", "drive_id", "vehicle_id", "camera", "split", "tags", "tiles", "weight")
_DRIVES = ("drive_id", "vehicle_id", "route", "tags", "duration_s", "distance_m", "video_bytes", "reader", "licence")


def condition(
    *, split: str | None = None, tags: Sequence[str] = (), tile: str | None = None, where: str | None = None
) -> str | None:
    """A condition on clips as Lance takes it: of this split, with all of these tags, in this tile, and `where`.

    Args:
        tile: a geohash; a shorter one than the clips' means all tiles within.
        where: a condition of one's own, for example `weight > 2 AND vehicle_id = 'car-003'`.

    Raises:
        ConfigError: the tile is no geohash.
    """
    parts = [f"split = {quoted(split)}"] if split is not None else []
    parts += [f"array_has(tags, {quoted(tag)})" for tag in tags]
    if tile is not None:
        if not re.fullmatch("[0-9b-hjkmnp-z]{1,12}", tile):
            raise ConfigError(f"find: expected a geohash such as u0qj12 as the tile, got {tile!r}")
        parts.append(f"concat(' ', array_to_string(tiles, ' ')) LIKE '% {tile}%'")
    parts += [f"({where})"] if where else []
    return " AND ".join(parts) or None


def light_clips(dataset: Dataset, where: str | None = None, columns: Sequence[str] = LIGHT) -> pa.Table:
    """The light columns of the clips that meet a condition, in stored order.

    Raises:
        ConfigError: the condition is not one.
    """
    try:
        return _clips(dataset).read(columns, where)
    except StoreError as error:
        # Lance names no kind of error for a condition that it cannot understand; without one the table is sound.
        if where is None or isinstance(error.__cause__, OSError):
            raise
        raise ConfigError(
            f"find: expected a condition on {', '.join(LIGHT)}, for example weight > 1 AND vehicle_id = 'car-003', got "
            f"{where!r}: {_first_line(error.__cause__)}"
        ) from error


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


def sql(dataset: Dataset, text: str) -> pa.Table:
    """What a query over the tables `clips` and `drives` answers; only their light columns are there.

    Raises:
        StoreError: the query cannot be run, or DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise StoreError(
            "find: expected DuckDB for SQL, it is not installed; pip install 'dojo-driving[query]'"
        ) from error
    drives = Table(dataset.uri, "drives", dataset.storage_options)
    connection: Any = duckdb.connect()
    try:
        # A query reads what is handed to it and no file of the machine.
        connection.register("clips", light_clips(dataset))
        connection.register("drives", drives.read(_DRIVES))
        connection.execute("SET enable_external_access = false")
        answer = connection.sql(text)
        if answer is None:
            raise StoreError(f"find: expected a query, which answers with rows, got {text!r}; begin it with SELECT")
        return answer.to_arrow_table()
    except duckdb.Error as error:
        raise StoreError(
            f"find: expected SQL over clips ({', '.join(LIGHT)}) and drives ({', '.join(_DRIVES)}), got: {error}"
        ) from error
    finally:
        connection.close()


def _clips(dataset: Dataset) -> Table:
    table = Table(dataset.uri, "clips", dataset.storage_options)
    table.at(dataset.clips_version)
    return table
