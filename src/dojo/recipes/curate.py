"""`dojo curate`: cut the drives of a dataset into clips with target paths, tags, splits and weights.

In: a dataset with drives. Out: the same dataset with clips; earlier clips are replaced.
Not here: how (`curate/`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import tyro
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from dojo.curate import CurateConfig, Curation, curate
from dojo.recipes.run import Outcome
from dojo.records import SPLITS, Clip
from dojo.store.dataset import Dataset


@dataclass(frozen=True)
class CurateRun:
    """Cut the drives of a dataset into clips.

    Args:
        dataset: folder or object-store URI of the dataset.
        curate: how.
    """

    dataset: tyro.conf.Positional[str]
    curate: CurateConfig = field(default_factory=CurateConfig)


CONFIG = CurateRun
CONFIGS = {"curate": CurateRun}


def run(config: CurateRun, console: Console) -> Outcome:
    """Cut, split, balance and store; the clips replace those of an earlier curation in one step."""
    started = time.monotonic()
    dataset = Dataset.open(config.dataset)
    drives = dataset.drives()
    with console.status(f"curating {len(drives)} drives"):
        made = curate(drives, config.curate)
        dataset.put_clips(made.clips, asdict(config.curate))
    facts = {
        "dataset_version": dataset.version,
        "drives": len(drives),
        "clips": len(made.clips),
        "splits": {split: len(_of(made.clips, split)) for split in SPLITS},
        "tags": dict(sorted(Counter(tag for clip in made.clips for tag in clip.tags).items())),
        "effective_train_clips": round(made.effective_samples, 1),
        "notes": list(made.notes),
        "seconds": round(time.monotonic() - started, 1),
    }
    return Outcome(facts, Group(_table(made, config.curate), *(Text(f"note: {note}") for note in made.notes)))


def _of(clips: Sequence[Clip], split: str) -> list[Clip]:
    return [clip for clip in clips if clip.split == split]


def _table(made: Curation, config: CurateConfig) -> Table:
    """What each split holds, and how often each kind of clip is drawn in training."""
    table = Table("", *SPLITS, "share of training draws", title="clips", title_justify="left")
    sides = [_of(made.clips, split) for split in SPLITS]
    minutes = [len(side) * config.anchors_per_clip * config.anchor_interval_s / 60 for side in sides]
    for name, values in (
        ("clips", [len(side) for side in sides]),
        ("minutes", [f"{value:.1f}" for value in minutes]),
        ("vehicles", [len({clip.vehicle_id for clip in side}) for side in sides]),
        ("drives", [len({clip.drive_id for clip in side}) for side in sides]),
        ("road tiles", [len({tile for clip in side for tile in clip.tiles}) for side in sides]),
    ):
        table.add_row(name, *map(str, values), "")
    mass = sum(clip.weight for clip in sides[0])
    for tag in sorted({tag for clip in made.clips for tag in clip.tags}):
        drawn = sum(clip.weight for clip in sides[0] if tag in clip.tags)
        counts = [str(sum(tag in clip.tags for clip in side)) for side in sides]
        table.add_row(f"  {tag}", *counts, f"{drawn / mass:.1%}" if mass else "")
    table.add_row("effective sample size", f"{made.effective_samples:.0f}", "", "", "")
    return table
