"""Training: batches in, checkpoints and curves out.

In: a policy, a source of batches that can start at any state, a configuration. Out: a run folder with checkpoints,
`curves.jsonl` and TensorBoard events.
Idea: a step is a pure function of (weights, optimiser, averages, random state, loader state), and a checkpoint holds
all of them; so a run that was interrupted, politely or by `kill -9`, ends with the same weights, bit for bit on a CPU,
as one that was not. Runs are measured in steps, never in seconds, for the same reason.
Not here: the order of samples (`load/`), the loss (`loss.py`), files (`checkpoint.py`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from dojo.errors import CheckpointError, ConfigError, DojoError
from dojo.records import Batch
from dojo.train import checkpoint
from dojo.train.cores import own_core
from dojo.train.curves import Curves
from dojo.train.engine import Alone, Engine
from dojo.train.ledger import Ledger
from dojo.train.loss import Answer, LossConfig, loss_of, targets_of
from dojo.train.meter import Meter
from dojo.train.numerics import Numerics
from dojo.train.optimise import OptimiseConfig, average_in, averages_of, learning_rate, optimiser_of
from dojo.train.recompute import recompute
from dojo.train.repeat import random_state, repeatable, seed_all, set_random_state

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
        own_core: with one thread, keep it on a core of its own, and those that load on the others.
        numerics: what is computed in and stored in. `auto` computes in bfloat16 where that is known to pay: on a GPU
            that has it, on a CPU with tiles for it (AMX). `fp32` and `bf16` compute in those. `cfloat8` computes in
            float32 and stores weights, activations and gradients as CFloat8, with a bias that each of the three learns.
        cfloat8_bias: instead, one bias for all classes, throughout.
        accumulate: pieces of a batch that are computed one after the other, to save memory. Each is normalised and
            averaged over its own rows.
        compile: have torch.compile fuse the policy; pays on a GPU after some minutes.
        recompute: forget what blocks of the policy computed and compute it again for the gradient, to save memory.
        ledger: write down which clips each step learned from.
        measure: add to the curves how the machine is used: samples per second, waiting, utilisation, cost.
        price_per_device_hour: of a GPU, or of a CPU where there is none, for the cost of an hour of video; 0 for none.
    """

    steps: int = 2000
    seed: int = 0
    checkpoint_every: int = 250
    keep_checkpoints: int = 2
    log_every: int = 10
    threads: int = 2
    own_core: bool = False
    numerics: Literal["auto", "fp32", "bf16", "cfloat8"] = "auto"
    cfloat8_bias: int | None = None
    accumulate: int = 1
    compile: bool = False
    recompute: bool = False
    ledger: bool = False
    measure: bool = False
    price_per_device_hour: float = 0.0
    optimise: OptimiseConfig = field(default_factory=OptimiseConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every", "keep_checkpoints", "log_every", "threads", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}: expected at least 1, got {getattr(self, name)}")
        if self.cfloat8_bias is not None and (self.numerics != "cfloat8" or not 0 <= self.cfloat8_bias < 64):
            raise ConfigError(
                "train.cfloat8_bias: expected a bias of 0 to 63 with train.numerics cfloat8, got "
                f"{self.cfloat8_bias} with {self.numerics}"
            )


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
    numerics: Numerics | None = None

    def state(self) -> dict[str, Any]:
        return {
            "model": self.policy.state_dict(),
            "averages": self.averages,
            "optimiser": self.optimiser.state_dict(),
            **self.plain(),
            "random": random_state(),
        }

    def plain(self) -> dict[str, Any]:
        """The part of the state that is the same on every rank, as plain values."""
        narrow = {} if self.numerics is None else {"numerics": self.numerics.state()}
        return {"loader": dict(self.loader or {}), "step": self.step, "samples": self.samples, **narrow}

    def set_plain(self, state: Mapping[str, Any]) -> None:
        """Take what `plain` gave."""
        self.loader, self.step, self.samples = state["loader"] or None, state["step"], state["samples"]
        if self.numerics is not None:
            self.numerics.restore(state["numerics"])

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
        self.set_plain(state)
        set_random_state(state["random"])


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
    """What the steps compute in."""
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported()
    on_tiles = device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False)
    if config.numerics == "bf16" or (config.numerics == "auto" and (on_gpu or on_tiles)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def train(
    policy: nn.Module,
    batches: Batches,
    config: TrainConfig,
    folder: Path,
    console: Console | None = None,
    engine: Engine | None = None,
    numerics: Numerics | None = None,
) -> TrainResult:
    """Train a policy to the last step of the configuration, going on from the newest whole checkpoint of the folder.

    Args:
        policy: a `Learner`; its weights are changed in place, and are those of the last step afterwards. Its averaged
            weights are in the checkpoint under `averages`.
        batches: where training data come from; with several ranks, this one's part of them.
        folder: of the run; checkpoints lie in `checkpoints/` below it.
        engine: of several ranks; one device alone without it.
        numerics: a memory narrower than the arithmetic, which `cfloat8` asks for.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the state is saved first.
        CheckpointError: the folder holds checkpoints of another policy, or cannot be written.
        DojoError: the loss is no longer finite.
        ConfigError: `cfloat8` without a memory, or with several ranks.
    """
    engine = engine or Alone()
    if (config.numerics == "cfloat8") != (numerics is not None) or (numerics is not None and engine.ranks > 1):
        raise ConfigError(
            "train.numerics: expected a narrow memory with cfloat8, on one rank, and none otherwise; got "
            f"{config.numerics}, {engine.ranks} rank(s) and {'one' if numerics is not None else 'none'}; "
            "`dojo train` hands the memory in"
        )
    with repeatable(config.threads):
        seed_all(config.seed)
        return _train(policy, batches, config, folder, console, engine, numerics)


def _train(
    policy: nn.Module,
    batches: Batches,
    config: TrainConfig,
    folder: Path,
    console: Console | None,
    engine: Engine,
    numerics: Numerics | None,
) -> TrainResult:
    started = time.monotonic()
    device = next(policy.parameters()).device
    if config.recompute:
        recompute(policy)
    if numerics is not None:
        numerics.attach(policy)
    answer = engine.prepare(policy)
    if config.compile:
        policy.compile()
    run = _Run(policy, optimiser_of(policy.parameters(), config.optimise), averages_of(policy), numerics=numerics)
    _go_on(run, config, folder, console, engine)
    ledger = Ledger(folder, engine.rank, run.step) if config.ledger else None
    meter = Meter(device, partial(_precision, config, device), config.price_per_device_hour) if config.measure else None
    engine.agree(False, 0)  # no rank writes before all are here
    losses: dict[str, float] = {}
    policy.train()
    logging = Curves(folder, run.step) if engine.rank == 0 else nullcontext()
    with _asked_to_stop() as asked, logging as curves, _bar(console, config, run.step) as tick, ExitStack() as placed:
        source = batches(run.loader)
        logged, placing = run.samples, config.own_core and config.threads == 1 and engine.ranks == 1
        try:
            while run.step < config.steps:
                began = time.perf_counter()
                batch, run.loader = next(source)
                if placing:  # now that the threads are there that load
                    placed.enter_context(own_core())
                    placing = False
                if meter is not None:
                    meter.waited(time.perf_counter() - began)
                    if not meter.counted:
                        policy.eval()  # so that no norm learns from it and nothing is drawn
                        meter.count(answer, batch)
                        policy.train()
                parts = _step(run, answer, batch, config, device, engine)
                if ledger is not None:
                    ledger.add(run.step, batch.clip_ids)
                stop, samples = engine.agree(asked.is_set(), batch.valid.shape[0] * batch.valid.shape[1])
                run.samples += samples
                logs = run.step % config.log_every == 0 or run.step == config.steps
                saves = run.step % config.checkpoint_every == 0 or run.step == config.steps or stop
                if logs or saves:
                    now = _checked(_of_all(parts, engine), run.step)
                if logs:
                    losses = now
                    rate = learning_rate(config.optimise, run.step - 1, config.steps)
                    figures = meter.figures(run.samples - logged, engine.gather) if meter is not None else {}
                    logged = run.samples
                    point = losses | {"learning_rate": rate, "samples": float(run.samples)} | figures
                    if numerics is not None:
                        point |= numerics.figures()
                    if curves is not None:
                        curves.add(run.step, point)
                    if figures.get("slow_rank", -1.0) >= 0:
                        _say(console, f"step {run.step}: rank {figures['slow_rank']:.0f} holds up the others")
                tick(run, losses)
                if saves:
                    engine.save(folder / "checkpoints", run, config.keep_checkpoints)
                if stop and run.step < config.steps:
                    raise Interrupted(
                        f"saved at step {run.step} of {config.steps}; the same command goes on from there"
                    )
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
            engine.settle()
    last = engine.finish(folder / "checkpoints", run)
    return TrainResult(last.path, last.sha256, run.step, run.samples, time.monotonic() - started, losses)


def _go_on(run: _Run, config: TrainConfig, folder: Path, console: Console | None, engine: Engine) -> None:
    """Set the run to the newest whole checkpoint, if there is one."""
    found = engine.newest(folder / "checkpoints")
    if found is None:
        return
    saved, newer_damaged = found
    engine.restore(saved, run)
    _say(console, f"going on from step {saved.step} of {config.steps} ({saved.path})")
    if newer_damaged:
        _say(console, "newer checkpoints are damaged and were passed over")


def _of_all(parts: Mapping[str, Tensor], engine: Engine) -> dict[str, float]:
    """The parts of the loss over all ranks."""
    own = [float(value) for value in parts.values()]
    ranks = engine.gather(own)
    return dict(zip(parts, (sum(values) / len(ranks) for values in zip(*ranks, strict=True)), strict=True))


def _step(
    run: _Run,
    answer: Callable[[Batch], Answer],
    batch: Batch,
    config: TrainConfig,
    device: torch.device,
    engine: Engine,
) -> dict[str, Tensor]:
    """One step of the optimiser; the parts of the loss before it."""
    rate = learning_rate(config.optimise, run.step, config.steps)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    engine.begin(config.seed, run.step)
    run.optimiser.zero_grad(set_to_none=True)
    pieces = _pieces(batch, config.accumulate)
    found: list[dict[str, Tensor]] = []
    with run.numerics.stored() if run.numerics is not None else nullcontext():
        for number, piece in enumerate(pieces, 1):
            with engine.piece(last=number == len(pieces)):
                with _precision(config, device):
                    answered = answer(piece)
                parts = loss_of(answered, targets_of(piece, device), config.loss, run.step / config.steps, engine.mean)
                (parts["total"] / len(pieces)).backward()  # type: ignore[no-untyped-call]
            found.append({name: value.detach() for name, value in parts.items()})
    norm = engine.clip(run.policy.parameters(), config.optimise.clip_norm)
    run.optimiser.step()
    average_in(run.averages, run.policy.named_parameters(), config.optimise, run.step)
    run.step += 1
    means = {name: torch.stack([parts[name] for parts in found]).mean() for name in found[0]}
    return means | {"gradient_norm": norm.detach()}


def _pieces(batch: Batch, count: int) -> list[Batch]:
    """The batch in so many pieces of nearly equal size, or fewer where it has fewer rows."""
    rows = np.array_split(np.arange(len(batch.clip_ids)), min(count, len(batch.clip_ids)))
    if len(rows) == 1:
        return [batch]
    arrays = {name: value for name, value in vars(batch).items() if name != "clip_ids"}
    cuts = [slice(int(piece[0]), int(piece[-1]) + 1) for piece in rows]
    return [Batch(**{name: value[cut] for name, value in arrays.items()}, clip_ids=batch.clip_ids[cut]) for cut in cuts]


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
