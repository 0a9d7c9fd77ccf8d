"""Training: batches in, checkpoints and curves out.

In: a policy, a source of batches that can start at any state, a configuration. Out: a run folder with checkpoints,
`curves.jsonl` and TensorBoard events.
Idea: a step is a pure function of (weights, optimiser, averages, random state, loader state), and a checkpoint holds
all of them; so a run that was interrupted, politely or by `kill -9`, ends with the same weights, bit for bit on a CPU,
as one that was not. Runs are measured in steps, never in seconds, for the same reason.
Not here: the order of samples (`load/`), the loss (`loss.py`), files (`checkpoint.py`).
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from dojo.errors import CheckpointError, ConfigError, DojoError
from dojo.records import Batch
from dojo.train import checkpoint
from dojo.train.loss import Answer, LossConfig, loss_of, targets_of
from dojo.train.optimise import OptimiseConfig, average_in, averages_of, learning_rate, optimiser_of

PlainState = Mapping[str, str | int]
"""Where the loader stands, as plain values; training keeps it without looking inside."""

Batches = Callable[[PlainState | None], Iterator[tuple[Batch, PlainState]]]
"""Batches without end from a state on, each with the state after it."""


@runtime_checkable
class Learner(Protocol):
    """A policy that can be trained: a module that answers batches."""

    def answer(self, batch: Batch) -> Answer:
        """The answer to a batch."""
        ...


@dataclass(frozen=True)
class TrainConfig:
    """How a policy is trained.

    Args:
        steps: batches in all.
        seed: of the weights and of everything random in training.
        checkpoint_every: steps between checkpoints.
        keep_checkpoints: how many of the newest to keep.
        log_every: steps between points of the curves.
        threads: of torch on a CPU; part of the configuration because sums depend on it in their last bit.
        bf16: compute in bfloat16 where it is known to pay: on a GPU that has it, on a CPU with tiles for it (AMX).
    """

    steps: int = 2000
    seed: int = 0
    checkpoint_every: int = 250
    keep_checkpoints: int = 2
    log_every: int = 10
    threads: int = 2
    bf16: bool = True
    optimise: OptimiseConfig = field(default_factory=OptimiseConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every", "keep_checkpoints", "log_every", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class TrainResult:
    """How a run ended: `checkpoint` is its last; `seconds` those of this call alone; `losses` of the last log point."""

    checkpoint: Path
    sha256: str
    steps: int
    samples: int
    seconds: float
    losses: dict[str, float]


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved its state."""


@dataclass
class _Run:
    """What changes from step to step."""

    policy: nn.Module
    optimiser: torch.optim.AdamW
    averages: dict[str, Tensor]
    loader: PlainState | None = None
    step: int = 0
    samples: int = 0

    def state(self) -> dict[str, Any]:
        return {
            "model": self.policy.state_dict(),
            "averages": self.averages,
            "optimiser": self.optimiser.state_dict(),
            "loader": dict(self.loader or {}),
            "step": self.step,
            "samples": self.samples,
            "random": _random_state(),
        }

    def restore(self, found: checkpoint.Checkpoint) -> None:
        state = found.state
        try:
            self.policy.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{found.path}: expected the weights of this policy, got those of another: {error}; train into another "
                "folder, or with the configuration in run.json"
            ) from error
        for name, value in self.averages.items():
            value.copy_(state["averages"][name])
        self.loader, self.step, self.samples = state["loader"] or None, state["step"], state["samples"]
        _set_random_state(state["random"])


def _random_state() -> dict[str, Any]:
    """All generators that a policy may draw from, as tensors and plain values."""
    name, key, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(key).tolist(), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def _repeatable(config: TrainConfig) -> Iterator[None]:
    """The same sums in the same order on every run of a machine; what was set before is put back."""
    memory: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    # Source: torch's notes on reproducibility; without it, matrix products on a GPU differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory.fill_uninitialized_memory = False  # a safety net for reading what was never written; costs a pass each time
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = before[2]


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a polite kill sets, so that a step is always finished; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _precision(config: TrainConfig, device: torch.device) -> AbstractContextManager[Any]:
    if config.bf16 and device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    if config.bf16 and device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False):
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def train(
    policy: nn.Module, batches: Batches, config: TrainConfig, folder: Path, console: Console | None = None
) -> TrainResult:
    """Train a policy to the last step of the configuration, going on from the newest whole checkpoint of the folder.

    Args:
        policy: a `Learner`; its weights are changed in place, and are those of the last step afterwards. Its averaged
            weights are in the checkpoint under `averages`.
        batches: where training data come from.
        folder: of the run; checkpoints lie in `checkpoints/` below it.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the state is saved first.
        CheckpointError: the folder holds checkpoints of another policy, or cannot be written.
        DojoError: the loss is no longer finite.
    """
    with _repeatable(config):
        _seed(config.seed)
        return _train(policy, batches, config, folder, console)


def _train(
    policy: nn.Module, batches: Batches, config: TrainConfig, folder: Path, console: Console | None
) -> TrainResult:
    started = time.monotonic()
    device = next(policy.parameters()).device
    run = _Run(policy, optimiser_of(policy, config.optimise), averages_of(policy))
    found = checkpoint.newest(folder / "checkpoints")
    if found is not None:
        run.restore(found)
        _say(console, f"going on from step {found.step} of {config.steps} ({found.path})")
        if checkpoint.steps_in(folder / "checkpoints")[-1][0] != found.step:
            _say(console, "newer checkpoints are damaged and were passed over")
    losses: dict[str, float] = {}
    policy.train()
    with _asked_to_stop() as asked, _Curves(folder, run.step) as curves, _bar(console, config, run.step) as tick:
        source = batches(run.loader)
        try:
            while run.step < config.steps:
                batch, run.loader = next(source)
                parts = _step(run, batch, config, device)
                logs = run.step % config.log_every == 0 or run.step == config.steps
                saves = run.step % config.checkpoint_every == 0 or run.step == config.steps or asked.is_set()
                if logs or saves:
                    now = _checked({name: float(value) for name, value in parts.items()}, run.step)
                if logs:
                    losses = now
                    rate = learning_rate(config.optimise, run.step - 1, config.steps)
                    curves.add(run.step, losses | {"learning_rate": rate, "samples": float(run.samples)})
                tick(run, losses)
                if saves:
                    checkpoint.save(folder / "checkpoints", run.step, run.state(), config.keep_checkpoints)
                if saves and asked.is_set() and run.step < config.steps:
                    raise Interrupted(
                        f"saved at step {run.step} of {config.steps}; the same command goes on from there"
                    )
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
    last = checkpoint.newest(folder / "checkpoints")
    if last is None or last.step != run.step:
        raise CheckpointError(
            f"{folder}: expected a whole checkpoint of step {run.step}; the disk lost what was written"
        )
    return TrainResult(last.path, last.sha256, run.step, run.samples, time.monotonic() - started, losses)


def _step(run: _Run, batch: Batch, config: TrainConfig, device: torch.device) -> dict[str, Tensor]:
    """One step of the optimiser; the parts of the loss before it."""
    rate = learning_rate(config.optimise, run.step, config.steps)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    with _precision(config, device):
        answer: Answer = run.policy.answer(batch)  # type: ignore[operator]  # a Learner, see `train`
    parts = loss_of(answer, targets_of(batch, device), config.loss, run.step / config.steps)
    run.optimiser.zero_grad(set_to_none=True)
    parts["total"].backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(run.policy.parameters(), config.optimise.clip_norm)
    run.optimiser.step()
    average_in(run.averages, run.policy.named_parameters(), config.optimise, run.step)
    run.step += 1
    run.samples += batch.valid.shape[0] * batch.valid.shape[1]
    return {name: value.detach() for name, value in parts.items()} | {"gradient_norm": norm}


def _say(console: Console | None, text: str) -> None:
    if console is not None:
        console.print(text)


def _checked(losses: dict[str, float], step: int) -> dict[str, float]:
    """The same, or a refusal: weights that are no numbers are never saved."""
    wrong = [name for name, value in losses.items() if not abs(value) < float("inf")]
    if wrong:
        raise DojoError(
            f"training: expected finite losses, got NaN or infinity in {', '.join(wrong)} at step {step}; the last "
            "checkpoint is whole: go on from it with a lower train.optimise.learning_rate"
        )
    return losses


class _Curves:
    """`curves.jsonl` and TensorBoard events; points after the step that a run resumes from are dropped first."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "curves.jsonl"
        kept = [line for line in self._lines() if json.loads(line)["step"] <= step]
        self._path.write_text("".join(f"{line}\n" for line in kept))
        self._file = self._path.open("a")
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        text = self._path.read_text()
        return text[: text.rfind("\n") + 1].splitlines()  # a kill may have left half a line at the end

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def __enter__(self) -> _Curves:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._writer.close()


@contextmanager
def _bar(
    console: Console | None, config: TrainConfig, start: int
) -> Iterator[Callable[[_Run, Mapping[str, float]], None]]:
    """A progress bar with samples per second and the time left; nothing without a console."""
    if console is None:
        yield lambda run, losses: None
        return
    columns = (
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} samples/s, loss {task.fields[loss]:.3f}, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("train", total=config.steps, completed=start, rate=0.0, loss=float("nan"))
        began, first = time.monotonic(), -1

        def tick(run: _Run, losses: Mapping[str, float]) -> None:
            nonlocal first
            first = run.samples if first < 0 else first
            rate = (run.samples - first) / max(time.monotonic() - began, 1e-9)
            progress.update(task, completed=run.step, rate=rate, loss=losses.get("total", float("nan")))

        yield tick
