"""Checkpoints of many ranks: each writes its piece while training goes on, and the whole appears at once.

In: the state of a run, spread over ranks. Out: `checkpoints/step-00000500/`, whole or not there; the newest whole one.
Idea: pieces are written by PyTorch's distributed checkpoint from a copy of the state, into a folder with another name.
Once all ranks are done, the first one writes down the SHA-256 of every file and gives the folder its name, in one
act. A reader that finds a file torn or flipped takes the folder before it. Any number of ranks can read what any other
number wrote.
Not here: what is in the state (`distributed.py`). The pieces name Python classes: read none from people you do not
trust; the last step is also written as one file that holds tensors alone (`checkpoint.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from dojo.errors import CheckpointError
from dojo.train.steps import flush, named, newest_whole

_NAME = re.compile(r"step-(\d{8,})")
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Pieces:
    """A whole checkpoint: where it lies, the hash of its manifest, and the plain values that were saved with it."""

    path: Path
    step: int
    sha256: str
    plain: dict[str, Any]


class Writer:
    """Writes checkpoints of all ranks, one at a time, while training goes on."""

    def __init__(self) -> None:
        # Ranks agree on who writes what while training exchanges gradients: each needs a line of its own.
        self._group = dist.new_group(backend="gloo")
        self._writing: Future[Any] | None = None
        self._naming: threading.Thread | None = None
        self._failed: list[str] = []

    def save(self, folder: Path, step: int, state: Mapping[str, Any], plain: Mapping[str, Any], keep: int) -> None:
        """Begin to write; returns once the state is copied.

        Args:
            state: tensors, by nested names, the same names on every rank.
            plain: JSON-able values, the same on every rank.

        Raises:
            CheckpointError: the one before could not be written.
        """
        self.wait()
        partial = folder / f".step-{step:08d}.partial"
        if dist.get_rank() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
        dist.barrier()
        # A copy, because the next step changes the weights while these are written.
        writing: Any = async_save(_copied(state), checkpoint_id=partial, process_group=self._group)
        self._writing = writing
        if dist.get_rank() == 0:
            self._naming = threading.Thread(target=self._name, args=(writing, partial, step, dict(plain), keep))
            self._naming.start()

    def wait(self) -> None:
        """Return once everything is written and has its name, on this rank.

        Raises:
            CheckpointError: it could not be written; earlier checkpoints are whole.
        """
        if self._naming is not None:
            self._naming.join()
        elif self._writing is not None:
            try:
                self._writing.result()
            except (Exception, CheckpointException) as error:
                self._failed.append(str(error))
        self._writing = self._naming = None
        if self._failed:
            raise CheckpointError(
                f"checkpoint: expected every rank to write its piece, got: {self._failed.pop()}; earlier checkpoints "
                "are whole: free some space and run the same command again"
            )

    def _name(self, writing: Future[Any], partial: Path, step: int, plain: Mapping[str, Any], keep: int) -> None:
        """Once all ranks are done: write down every hash, give the folder its name, remove old ones."""
        try:
            writing.result()
            files = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
            manifest = partial / _MANIFEST
            manifest.write_text(json.dumps({"plain": plain, "files": files}))
            for path in partial.iterdir():
                flush(path)
            flush(partial)
            target = partial.parent / f"step-{step:08d}"
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            flush(partial.parent)
            for _, old in steps_in(partial.parent)[:-keep]:
                shutil.rmtree(old, ignore_errors=True)
        except (Exception, CheckpointException) as error:
            self._failed.append(str(error))


def steps_in(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints in pieces by step, oldest first, whole or not."""
    return named(folder, _NAME)


def check(path: Path) -> Pieces:
    """A checkpoint whose every file has the hash that was written down.

    Raises:
        CheckpointError: it has not.
    """
    name = _NAME.fullmatch(path.name)
    try:
        text = (path / _MANIFEST).read_text()
        manifest = json.loads(text)
        found = {file.name: _sha256(file) for file in path.iterdir() if file.name != _MANIFEST}
        plain, files = manifest["plain"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint in pieces, got: {error!r}; name another folder"
        ) from error
    if name is None or found != files:
        wrong = sorted(file for file in files.keys() | found.keys() if files.get(file) != found.get(file))
        raise CheckpointError(
            f"{path}: expected the files that its manifest names, {', '.join(wrong)} are missing, torn or altered; "
            "remove the folder, the one before it will be used"
        )
    return Pieces(path, int(name[1]), hashlib.sha256(text.encode()).hexdigest(), plain)


def newest(folder: Path) -> Pieces | None:
    """The newest whole checkpoint, passing over damaged ones; None where none was ever written.

    Raises:
        CheckpointError: there are checkpoints, but none of them is whole.
    """
    return newest_whole(folder, _NAME, check)


def remove_partial(folder: Path) -> None:
    """Remove what a kill left half written."""
    for path in folder.glob(".step-*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def _copied(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, Mapping):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_copied(value) for value in state)
    return state


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_into(state: dict[str, Any], found: Pieces) -> None:
    """Fill the tensors of a state from a checkpoint, whatever the number of ranks that wrote it.

    Raises:
        CheckpointError: it holds another state.
    """
    try:
        with torch.no_grad():
            load(state, checkpoint_id=found.path)
    except (RuntimeError, ValueError, KeyError, CheckpointException) as error:
        raise CheckpointError(
            f"{found.path}: expected the weights of this policy, got those of another: {error}; train into another "
            "folder, or with the configuration in run.json"
        ) from error
