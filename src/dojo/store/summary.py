"""What a dataset holds, in figures: read from light columns alone, no series and no video.

In: rows of drives, of the ledger and of clips. Out: a `Summary`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dojo.records import SPLITS
from dojo.store.rows import Row

DRIVE_COLUMNS = (
    "drive_id",
    "recording_id",
    "vehicle_id",
    "tags",
    "duration_s",
    "distance_m",
    "frame_count",
    "video_bytes",
    "reader",
    "rejections",
)
CLIP_COLUMNS = ("split", "tags")


@dataclass(frozen=True)
class Summary:
    """What a dataset holds, in figures.

    Args:
        version: name of the state; `versions` earlier and later ones can be opened.
        hours, distance_km: of the camera that saw most of each drive, and between poses that are valid.
        tags, clip_tags: number of drives, of clips, by tag.
        splits: number of clips by split.
        refused: number of rejections by gate, of whole files and of spans.
    """

    uri: str
    version: str
    versions: int
    recordings: int
    drives: int
    vehicles: int
    hours: float
    distance_km: float
    frames: int
    video_bytes: int
    readers: tuple[str, ...]
    tags: Mapping[str, int]
    clips: int
    splits: Mapping[str, int]
    clip_tags: Mapping[str, int]
    refused: Mapping[str, int]


def summarise(
    uri: str, version: str, versions: int, ledger: Sequence[Row], drives: Sequence[Row], clips: Sequence[Row]
) -> Summary:
    """The summary of these rows; `drives` with `DRIVE_COLUMNS`, `clips` with `CLIP_COLUMNS`."""
    splits = Counter(clip["split"] for clip in clips)
    return Summary(
        uri=uri,
        version=version,
        versions=versions,
        recordings=len(ledger),
        drives=len(drives),
        vehicles=len({row["vehicle_id"] for row in drives}),
        hours=sum(row["duration_s"] for row in drives) / 3600,
        distance_km=sum(row["distance_m"] for row in drives) / 1000,
        frames=sum(row["frame_count"] for row in drives),
        video_bytes=sum(row["video_bytes"] for row in drives),
        readers=tuple(sorted({row["reader"] for row in drives})),
        tags=_counts(tag for row in drives for tag in row["tags"]),
        clips=len(clips),
        splits={name: splits[name] for name in SPLITS if splits[name]},
        clip_tags=_counts(tag for clip in clips for tag in clip["tags"]),
        refused=_counts(item["gate"] for row in [*ledger, *drives] for item in row["rejections"]),
    )


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
