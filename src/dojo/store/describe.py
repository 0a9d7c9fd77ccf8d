"""What a dataset holds, as tables for a person and as facts for a machine.

In: a dataset. Out: what `dojo ls` prints.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from dojo.store.dataset import Dataset
from dojo.store.summary import Summary

_VERSIONS_SHOWN = 5
_VALUES_SHOWN = 3


def describe(dataset: Dataset) -> Table:
    """One line for each thing that there is."""
    found = dataset.summary()
    table = Table("what", "how much", title=found.uri, title_justify="left")
    for what, how_much in _lines(found, dataset.history()):
        table.add_row(what, how_much)
    return table


def facts(dataset: Dataset) -> dict[str, Any]:
    """The same for machines, JSON-able."""
    found = dataset.summary()
    return dataclasses.asdict(found) | {
        "content_hash": dataset.content_hash(),
        "clip_settings": dataset.clip_settings(),
        "history": [{"version": version, "when": when} for version, when in dataset.history()],
    }


def _lines(found: Summary, history: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        ("drives", f"{found.drives} from {found.recordings} recordings ({', '.join(found.readers) or 'no reader'})"),
        ("vehicles", str(found.vehicles)),
        ("hours", f"{found.hours:.2f}"),
        ("kilometres", f"{found.distance_km:.1f}"),
        ("frames", f"{found.frames:,}"),
        ("video", f"{found.video_bytes / 1e6:,.1f} MB" + _per_hour(found)),
        ("drive tags", _counts(found.tags)),
        ("clips", f"{found.clips:,}"),
        ("splits", _counts(found.splits)),
        ("clip tags", _counts(found.clip_tags)),
        ("refused, by gate", _counts(found.refused)),
        ("version", found.version),
        ("versions", _latest(history)),
    ]


def _latest(history: list[tuple[str, str]]) -> str:
    """The newest versions, as `Dataset.open` takes them, with their times."""
    lines = [f"{version} of {when}" for version, when in history[: -_VERSIONS_SHOWN - 1 : -1]]
    return "\n".join([f"{len(history)}, the newest:", *lines])


def _per_hour(found: Summary) -> str:
    return f" ({found.video_bytes / 1e6 / found.hours:,.0f} MB per hour)" if found.hours else ""


def _counts(counts: Mapping[str, int]) -> str:
    """Each name with its count; of `name:value` with many values, how many values."""
    values = Counter(name.partition(":")[0] for name in counts)
    said: Counter[str] = Counter()
    for name, count in counts.items():
        kind = name.partition(":")[0]
        said[f"{kind} ({values[kind]} values)" if values[kind] > _VALUES_SHOWN else name] += count
    return ", ".join(f"{name} {count:,}" for name, count in said.items()) or "none"
