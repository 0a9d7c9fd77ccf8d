"""Writers of one dataset on one machine take turns.

Idea: `flock` on a file in the dataset's folder; the system lets go of it when a process dies, however it dies, so
there is no stale lock to break. Object stores have no such thing: there, start one writer only.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dojo.errors import StoreError


def local_folder(uri: str) -> Path | None:
    """The folder of a local dataset; None for an object store."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Waits until no other writer of this machine is at work, and keeps others waiting meanwhile."""
    folder = local_folder(uri)
    if folder is None:
        yield
        return
    try:
        file = (folder / ".writer.lock").open("a")
    except OSError as error:
        raise StoreError(f"{uri}: cannot be written: {error}; check that the place can be written") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
