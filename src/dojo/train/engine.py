"""What a step of training needs to know of the ranks beside it; and the engine of a run that has none.

In: a policy, losses, a state. Out: the same, as all ranks together have them.
Idea: the loop of training is written once (`train.py`). Whatever differs between one process and a thousand is a method
here, so that a run on one device is the plain case and not a special one.
Not here: the engine over torch.distributed (`distributed.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from dojo.errors import CheckpointError
from dojo.records import Batch
from dojo.train import checkpoint
from dojo.train.loss import mean_of_valid


@dataclass(frozen=True)
class Saved:
    """A checkpoint that lies in a folder: its step, and the hash of its content."""

    path: Path
    step: int
    sha256: str


@runtime_checkable
class Engine(Protocol):
    """One rank among others; all of them call the same methods in the same order."""

    rank: int
    ranks: int

    def prepare(self, policy: nn.Module) -> Callable[[Batch], Any]:
        """Make the policy one of all ranks, in place; what answers batches from now on."""

    def begin(self, seed: int, step: int) -> None:
        """Called before each step: sets what is random in it, where the engine does not keep that."""

    def mean(self, values: Tensor, mask: Tensor) -> Tensor:
        """The mean of the valid values, such that its mean over ranks is that of all values of all ranks."""

    def piece(self, last: bool) -> AbstractContextManager[Any]:
        """Around one piece of a step: gradients are exchanged after its last."""

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        """Clip the gradient; its norm before."""

    def agree(self, asked: bool, samples: int) -> tuple[bool, int]:
        """Whether any rank was asked to stop, and the samples of all ranks."""

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """What each rank has, by rank."""

    def newest(self, folder: Path) -> tuple[Saved, bool] | None:
        """The newest whole checkpoint, and whether newer ones are damaged; None where none was written."""

    def restore(self, found: Saved, run: Any) -> None:
        """Set a run to the state of a checkpoint."""

    def save(self, folder: Path, run: Any, keep: int) -> None:
        """Write the state of a run, then remove all but the newest `keep`; may still be writing when it returns."""

    def settle(self) -> None:
        """Wait until everything that was saved is written."""

    def finish(self, folder: Path, run: Any) -> Saved:
        """The checkpoint of the last step as one file."""


class Alone:
    """The engine of a run on one device."""

    rank, ranks = 0, 1

    def __init__(self) -> None:
        self._found: checkpoint.Checkpoint | None = None

    def prepare(self, policy: nn.Module) -> Callable[[Batch], Any]:
        """The policy's own answer."""
        answer: Callable[[Batch], Any] = policy.answer  # type: ignore[assignment]  # a Learner, see `train.py`
        return answer

    def begin(self, seed: int, step: int) -> None:
        """Nothing: the state of the generators is part of every checkpoint."""

    def mean(self, values: Tensor, mask: Tensor) -> Tensor:
        """The plain mean."""
        return mean_of_valid(values, mask)

    def piece(self, last: bool) -> AbstractContextManager[Any]:
        """Nothing to exchange."""
        return nullcontext()

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> Tensor:
        """Clip the gradient; its norm before."""
        return nn.utils.clip_grad_norm_(parameters, norm)

    def agree(self, asked: bool, samples: int) -> tuple[bool, int]:
        """The same."""
        return asked, samples

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Those of the only rank."""
        return [list(values)]

    def newest(self, folder: Path) -> tuple[Saved, bool] | None:
        """The newest whole file, and whether newer ones are damaged."""
        self._found = found = checkpoint.newest(folder)
        if found is None:
            return None
        return Saved(found.path, found.step, found.sha256), checkpoint.steps_in(folder)[-1][0] != found.step

    def restore(self, found: Saved, run: Any) -> None:
        """Set the run to what the file holds."""
        assert self._found is not None
        assert self._found.path == found.path
        run.restore(self._found)
        self._found = None

    def save(self, folder: Path, run: Any, keep: int) -> None:
        """Write one file."""
        checkpoint.save(folder, run.step, run.state(), keep)

    def settle(self) -> None:
        """Nothing: it is."""

    def finish(self, folder: Path, run: Any) -> Saved:
        """The file of the last step, read back."""
        last = checkpoint.newest(folder)
        if last is None or last.step != run.step:
            raise CheckpointError(
                f"{folder}: expected a whole checkpoint of step {run.step}; the disk lost what was written"
            )
        return Saved(last.path, last.step, last.sha256)
