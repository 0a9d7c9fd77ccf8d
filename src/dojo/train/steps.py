"""What checkpoints of both kinds share: names that carry a step, the newest whole one, bytes that survive a power cut.

In: a folder, and how a checkpoint of one kind is named and read. Out: the newest that is whole.
Not here: one file (`checkpoint.py`), pieces of many ranks (`pieces.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dojo.errors import CheckpointError

Whole = TypeVar("Whole")


def named(folder: Path, name: re.Pattern[str]) -> list[tuple[int, Path]]:
    """What is named so by step, oldest first, whole or not."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := name.fullmatch(path.name))]
    return sorted(found)


def newest_whole(folder: Path, name: re.Pattern[str], read: Callable[[Path], Whole]) -> Whole | None:
    """The newest whole checkpoint, passing over damaged ones; None where none was ever written.

    Args:
        read: reads one, or raises CheckpointError where it is damaged.

    Raises:
        CheckpointError: there are checkpoints, but none of them is whole.
    """
    damaged: list[str] = []
    for _, path in reversed(named(folder, name)):
        try:
            return read(path)
        except CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise CheckpointError(
            f"{folder}: expected a whole checkpoint among {len(damaged)}, got none: {'; '.join(damaged)}; remove them "
            "all to begin again"
        )
    return None


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
