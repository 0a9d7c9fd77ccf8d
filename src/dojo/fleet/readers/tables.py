"""Columns of CSV, NPZ and Parquet files, as numbers.

In: a file and the name of a column, `name` or `name[2]` for the third component of a two-dimensional one. Out: floats
for values, integer nanoseconds for times.
Idea: every kind of file is one mapping from names to arrays, so that whoever declares a column need not know which kind
it lies in. Text, dates and switches become numbers here, and only here.
Not here: what a column means (`video_table_file.py`).
"""

from __future__ import annotations

import re
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Float64, Int64

from dojo.errors import RecordingError

SUFFIXES = (".csv", ".npz", ".parquet")
TIME_UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
NOT_AN_ARRAY = (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, MemoryError)
"""What `numpy.load` raises for a damaged file: its header is Python text, and may claim any size."""
_COMPONENT = re.compile(r"(.+)\[(\d+)\]")
_NAMES_SHOWN = 40

Table = Mapping[str, np.ndarray]


def load_table(path: Path) -> Table:
    """All columns by name.

    Raises:
        RecordingError: gate `missing_file` or `unreadable_file`.
    """
    if not path.is_file():
        raise RecordingError("missing_file", f"{path}: expected a table, found no file; correct the path")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        read = pyarrow.csv.read_csv if path.suffix == ".csv" else pyarrow.parquet.read_table
        table = read(path)
        return {name: _array(table.column(name)) for name in table.column_names}
    except (*NOT_AN_ARRAY, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, pa.ArrowException) as error:
        raise RecordingError(
            "unreadable_file", f"{path}: expected a {path.suffix[1:]} table, {error}; copy it again"
        ) from error


def column(table: Table, name: str) -> np.ndarray:
    """One column, one number or text per row.

    Raises:
        KeyError: with a message that names what there is.
    """
    match = _COMPONENT.fullmatch(name)
    key, part = (match[1], int(match[2])) if match and name not in table else (name, None)
    if key not in table:
        names = sorted(table)
        shown = ", ".join(names[:_NAMES_SHOWN]) + (" ..." if len(names) > _NAMES_SHOWN else "")
        raise KeyError(f"no column {key!r}; there are {shown}")
    values = table[key]
    if part is not None:
        if values.ndim != 2 or part >= values.shape[1]:
            raise KeyError(f"column {key!r} has shape {values.shape}, no component {part}")
        return np.asarray(values[:, part])
    if values.ndim == 2 and values.shape[1] == 1:
        return np.asarray(values[:, 0])
    if values.ndim != 1:
        raise KeyError(f"column {key!r} has shape {values.shape}; pick a component, for example {key}[0]")
    return values


def as_numbers(values: np.ndarray) -> Float64[np.ndarray, " n"]:
    """Floats, NaN where nothing was measured.

    Raises:
        ValueError: the column holds text or dates.
    """
    if values.dtype.kind not in "fiub":
        raise ValueError(
            f"expected numbers, got {values.dtype}, for example {values[0] if len(values) else 'nothing'!r}"
        )
    return values.astype(np.float64)


def as_times_ns(values: np.ndarray, unit: str) -> Int64[np.ndarray, " n"]:
    """Integer nanoseconds; integers and dates are converted without passing through floats.

    Args:
        unit: one of `TIME_UNITS_NS`, or `iso8601` for text and dates, which count as UTC where no zone is given.

    Raises:
        ValueError: the column does not hold such times.
    """
    if unit == "iso8601":
        if values.dtype.kind not in "MUSO":
            raise ValueError(f"expected dates, got {values.dtype}")
        if values.dtype.kind != "M":
            texts = [text.decode() if isinstance(text, bytes) else str(text) for text in values]
            values = np.array([text.strip().removesuffix("Z").replace(" ", "T") for text in texts], "datetime64[ns]")
        return values.astype("datetime64[ns]").astype(np.int64)
    if values.dtype.kind in "iu":
        return values.astype(np.int64) * TIME_UNITS_NS[unit]
    numbers = as_numbers(values)
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"expected a time in every row, {int((~np.isfinite(numbers)).sum())} of {len(numbers)} have none"
        )
    if len(numbers) and np.abs(numbers).max() * TIME_UNITS_NS[unit] > 2.0**62:
        raise ValueError(
            f"expected times in {unit}, got {np.abs(numbers).max():g}, which is beyond the year 2100; check the unit"
        )
    return np.round(numbers * TIME_UNITS_NS[unit]).astype(np.int64)


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """NumPy values, NaN where an entry is missing; lists of equal length become a second dimension."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return np.asarray(column.cast(pa.timestamp("ns", tz=kind.tz)).to_numpy(), "datetime64[ns]")
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return np.array(column.to_pylist(), np.float64)
    if pa.types.is_integer(kind) and column.null_count == 0:
        return np.asarray(column.to_numpy())
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.array([np.nan if item is None else item for item in column.to_pylist()], np.float64)
    if pa.types.is_decimal(kind):
        return np.array([np.nan if item is None else float(item) for item in column.to_pylist()], np.float64)
    return np.array(["" if item is None else str(item) for item in column.to_pylist()])
