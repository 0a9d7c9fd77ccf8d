"""Scratch folders that do not outlive the process that made them, not even one that was killed.

In: a purpose. Out: an empty folder, gone at the end of the block.
Idea: a killed process cannot tidy up. So a folder's name says whose it is, and whoever next makes one for the same
purpose on that machine removes those of processes that are no more: what lies there is video of vehicles, which must
neither fill the disks of a cluster that loses processes all day nor outlive an erasure.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch(purpose: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder of this process's own, below `parent` or the system's temporary folder; earlier owners' are removed."""
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f"dojo-{purpose}-"
    for old in parent.glob(f"{prefix}*"):
        owner = old.name.removeprefix(prefix).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
