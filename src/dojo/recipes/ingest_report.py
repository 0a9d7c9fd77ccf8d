"""What one run of ingest did, for a person and for machines.

In: figures and rejections. Out: a table of what came in, what was refused and why; the same as JSON values.
Not here: the run (`ingest.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dojo.records import Rejection

_SHOWN_PER_GATE = 3


@dataclass(frozen=True)
class IngestReport:
    """What one run of ingest did.

    Args:
        found: recordings with files that the dataset did not know.
        stored: recordings of which at least one drive was stored; `duplicate` ones gave nothing new.
        drives, hours, distance_km, vehicles, video_bytes: what was stored by this run.
        source_bytes: size of the files that were read.
        refused: reasons for recordings, or parts of them, that gave no drive.
        spans: reasons for spans of stored drives that are marked invalid.
        erased: recordings left out because they, or their vehicle, were erased from the dataset once.
        interrupted: whether the run was stopped before its end; the same command goes on.
        dataset_version, dataset_hash, dataset_drives: the dataset afterwards.
    """

    source: str
    dataset: str
    found: int = 0
    stored: int = 0
    duplicate: int = 0
    drives: int = 0
    hours: float = 0.0
    distance_km: float = 0.0
    vehicles: int = 0
    frames: int = 0
    source_bytes: int = 0
    video_bytes: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    erased: int = 0
    refused: tuple[Rejection, ...] = ()
    spans: tuple[Rejection, ...] = ()
    dataset_version: str = ""
    dataset_hash: str = ""
    dataset_drives: int = 0


def as_json(report: IngestReport) -> dict[str, Any]:
    """The report for machines: figures, number of refusals in all and by gate, and each with its reason."""
    plain = asdict(report)
    refused, spans = plain.pop("refused"), plain.pop("spans")
    return plain | {
        "refused": len(refused),
        "spans": len(spans),
        "gates": dict(Counter(item["gate"] for item in (*refused, *spans))),
        "rejections": [*refused, *spans],
    }


def render(report: IngestReport) -> Group:
    """What came in; below it, what was refused and why."""
    came_in = Table("came in", "", title=f"{report.source} into {report.dataset}", title_justify="left")
    speed = report.hours * 3600 / report.seconds if report.seconds else 0.0
    for what, how_much in (
        ("recordings", f"{report.found} new: {report.stored} stored, {report.duplicate} there already"),
        ("drives, vehicles", f"{report.drives} drives, {report.vehicles} vehicles"),
        ("time, distance", f"{_duration(report.hours)}, {_distance(report.distance_km)}"),
        (
            "video",
            f"{report.frames:,} frames, {_megabytes(report.source_bytes)} became {_megabytes(report.video_bytes)}",
        ),
        ("took", f"{report.seconds:.1f} s, {speed:.0f} times as fast as driven"),
        ("dataset now", f"{report.dataset_drives} drives, version {report.dataset_version}"),
    ):
        came_in.add_row(what, how_much)
    if report.erased:
        came_in.add_row("left out", f"{report.erased} recordings that were erased once; --even-erased takes them in")
    if report.interrupted:
        came_in.add_row("interrupted", "the rest is still to come: run the same command again")
    parts: list[Table | Text] = [came_in]
    if report.refused:
        parts.append(_reasons("refused", report.refused))
        parts.append(Text("What was refused is not tried again, unless you add --retry-refused."))
    if report.spans:
        parts.append(_reasons("spans left out of stored drives", report.spans))
    return Group(*parts)


def by_place(rejection: Rejection) -> tuple[str, int, str]:
    """What rejections are sorted by."""
    return rejection.where, rejection.start_ns or 0, rejection.gate


def _reasons(title: str, rejections: Sequence[Rejection]) -> Table:
    """By gate: how many, and the first few of them whole, so that ten thousand files still fit a screen."""
    table = Table("gate", "how many", title=title, title_justify="left")
    for name in ("where", "why"):
        table.add_column(name, overflow="fold")  # a file that cannot be read in full cannot be found
    for gate, count in Counter(item.gate for item in rejections).most_common():
        same = [item for item in rejections if item.gate == gate]
        for place, item in enumerate(same[:_SHOWN_PER_GATE]):
            table.add_row("" if place else gate, "" if place else str(count), item.where, item.reason)
        if count > _SHOWN_PER_GATE:
            table.add_row("", "", "...", f"{count - _SHOWN_PER_GATE} more; --json lists them all")
    return table


def _duration(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 0.1 else f"{hours * 3600:.1f} s"


def _distance(distance_km: float) -> str:
    return f"{distance_km:.1f} km" if distance_km >= 1 else f"{distance_km * 1000:.0f} m"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
