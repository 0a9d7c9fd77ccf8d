"""A bundle as one file: a plain tar whose bytes depend on nothing but names and contents.

In: names and bytes. Out: the tar, and names and bytes back from it.
Idea: no times, no owners, no modes, names in order: whoever packs the same files gets the same hash, so the hash can be
signed. What comes back in is not trusted even so: only plain files with plain relative names are taken.
Not here: what is in it (`bundle.py`).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from dojo.errors import ReleaseError


def pack(files: Mapping[str, bytes]) -> bytes:
    """The tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(_plain(name))
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 0
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a tar that `pack` made.

    Raises:
        ReleaseError: `bundle_unreadable`: not a tar, or it holds anything but plain files with plain names.
    """
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is None or entry.name in files:
                    raise ReleaseError(
                        "bundle_unreadable", f"expected plain files, each once, got {entry.name!r}; pack it again"
                    )
                files[_plain(entry.name)] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ReleaseError("bundle_unreadable", f"expected a whole tar, got {len(data)} bytes: {error}") from error
    return files


def _plain(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != name or "\\" in name or name == ".":
        raise ReleaseError("bundle_unreadable", f"expected plain relative names, got {name!r}")
    return name
