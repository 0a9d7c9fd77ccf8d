"""Drives in, clips out: cut, split, balanced, and a word on how well each could be done.

In: `Drive`s. Out: a `Curation`: clips ready to be stored, notes for a person, and the effective sample size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dojo.curate.balance import balance, effective_sample_size
from dojo.curate.config import CurateConfig
from dojo.curate.cut import cut
from dojo.curate.split import assign_splits
from dojo.records import Clip, Drive


@dataclass(frozen=True)
class Curation:
    """The clips of many drives, sorted by drive and time.

    Args:
        clips: with split, tags and weight.
        notes: what a reader of the figures must know: drives without clips, how the split was possible.
        effective_samples: how many equally weighted training clips would be worth as much.
    """

    clips: tuple[Clip, ...]
    notes: tuple[str, ...]
    effective_samples: float


def curate(drives: Iterable[Drive], config: CurateConfig) -> Curation:
    """Cut, split and balance; the same clips whatever the order of the drives."""
    clips: list[Clip] = []
    notes: list[str] = []
    for drive in sorted(drives, key=lambda drive: drive.drive_id):
        found = cut(drive, config)
        clips += found
        if not found:
            notes.append(_without_clips(drive, config))
    split = assign_splits(clips, config)
    weighted = tuple(balance(split.clips, config))
    return Curation(weighted, (*notes, *split.notes), effective_sample_size(weighted))


def _without_clips(drive: Drive, config: CurateConfig) -> str:
    names = [stream.name for stream in drive.cameras]
    if config.camera not in names:
        return f"drive {drive.drive_id}: no clips, it has no camera {config.camera!r}, only {names}"
    needed_s = config.anchors_per_clip * config.anchor_interval_s
    return (
        f"drive {drive.drive_id}: no clips, nowhere are {needed_s:.1f} s of frames, poses and "
        f"{config.min_future_s:.1f} s of known future together; a short recording needs fewer anchors_per_clip or a "
        "shorter min_future_s"
    )
