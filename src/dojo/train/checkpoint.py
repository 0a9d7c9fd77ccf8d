"""Checkpoints: all that is needed to go on as if nothing had happened.

In: the state of a run. Out: `checkpoints/step-00000500.pt`, whole or not there, and the newest whole one back.
Idea: bytes first to a temporary file, flushed to the disk, then renamed: a reader sees the old files or the new one.
The file begins with the SHA-256 of what follows, so a torn or flipped file is noticed and the one before it used.
Not here: what goes into the state (`train.py`).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dojo.errors import CheckpointError
from dojo.train.steps import flush, named, newest_whole

_MAGIC = b"dojo-checkpoint-1\n"
_NAME = re.compile(r"step-(\d{8,})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint: where it lies, its step, the hash of its content, and the state."""

    path: Path
    step: int
    sha256: str
    state: dict[str, Any]


def save(folder: Path, step: int, state: Mapping[str, Any], keep: int = 2) -> Path:
    """Write the state of a step, then remove all but the newest `keep`.

    Raises:
        CheckpointError: the disk is full or not writable; earlier checkpoints are untouched.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    body = buffer.getvalue()
    path = folder / f"step-{step:08d}.pt"
    temporary = folder / f".{path.name}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n")
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: expected to write {len(body) / 1e6:.0f} MB, got: {error}; earlier checkpoints are whole: free "
            "some space and run the same command again"
        ) from error
    for _, old in steps_in(folder)[:-keep]:
        old.unlink(missing_ok=True)
    for left_by_a_kill in folder.glob(".step-*.partial"):
        left_by_a_kill.unlink(missing_ok=True)
    return path


def steps_in(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints by step, oldest first, whole or not."""
    return named(folder, _NAME)


def load(path: Path) -> Checkpoint:
    """One checkpoint.

    Raises:
        CheckpointError: it is torn, altered, or no checkpoint.
    """
    name = _NAME.fullmatch(path.name)
    data = path.read_bytes()
    head = len(_MAGIC) + 65
    if name is None or not data.startswith(_MAGIC) or len(data) <= head:
        raise CheckpointError(f"{path}: expected a Dojo checkpoint, got {len(data)} other bytes; name another file")
    stated, body = data[len(_MAGIC) : head - 1].decode("ascii", "replace"), data[head:]
    actual = hashlib.sha256(body).hexdigest()
    if stated != actual:
        raise CheckpointError(
            f"{path}: expected content with SHA-256 {stated[:12]}, got {actual[:12]}: the file is torn or altered; "
            "remove it, the one before it will be used"
        )
    # Tensors and plain values only: a checkpoint from elsewhere must not be able to run code.
    state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    return Checkpoint(path, int(name[1]), actual, state)


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, passing over damaged ones; None where none was ever written.

    Raises:
        CheckpointError: there are checkpoints, but none of them is whole.
    """
    return newest_whole(folder, _NAME, load)
