"""The best way to divide a step, among all legal ones; and the nearest that fits where one does not.

In: a model, its software, a machine, how many accelerators, a batch. Out: choices from the fastest on, and what was
refused.
Idea: every legal split is timed, in one pass over arrays, so nothing is pruned by a rule of thumb. What does not fit
into memory is refused with the category that is too large, and with what comes nearest: the fitting split that differs
in the fewest choices, the fastest of those.
Not here: which splits are legal (`machine/compile/partition.py`), their time (`machine/simulate/step.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from dojo.errors import ConfigError
from dojo.machine.compile.memory import Memory, capacity_bytes, memory
from dojo.machine.compile.partition import Split, columns, faults, legal_splits
from dojo.machine.simulate.step import Simulator, Step


@dataclass(frozen=True)
class Choice:
    """A split with its step and its memory."""

    split: Split
    seconds: float
    parts: dict[str, float]
    memory_bytes: float
    memory_parts: dict[str, float]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        best: the fastest splits that fit, fastest first.
        legal, fitting: how many there are.
        slowest_s: of those that fit: what there was to lose.
    """

    best: tuple[Choice, ...]
    legal: int
    fitting: int
    slowest_s: float


def time_splits(simulator: Simulator, splits: Sequence[Split], batch: int) -> tuple[Step, Memory]:
    """Step and memory of every split."""
    table = columns(splits, batch)
    return simulator.step(table), memory(simulator.model, simulator.software, table)


def search(simulator: Simulator, accelerators: int, batch: int, *, keep: int = 10) -> Found:
    """The fastest splits of a step over so many accelerators.

    Raises:
        ConfigError: no split is legal, or none fits; says what the smallest of them would need.
    """
    splits = legal_splits(
        simulator.model, batch, accelerators, widest_tensor=min(simulator.fabric.nearest, accelerators)
    )
    if not splits:
        raise ConfigError(
            f"{simulator.model.name}, batch {batch}: expected a legal split over {accelerators} accelerators, found "
            "none; the batch must be a multiple of the replicas, and layers of the stages"
        )
    step, needed = time_splits(simulator, splits, batch)
    capacity = capacity_bytes(simulator.machine)
    total, fits = step.total, needed.total <= capacity
    if not fits.any():
        least = int(np.argmin(needed.total))
        raise ConfigError(
            f"{simulator.model.name} over {accelerators} {simulator.machine.accelerator}s: expected at most "
            f"{capacity / 1e9:.1f} GB each, got {needed.total[least] / 1e9:.1f} GB with the smallest split "
            f"({splits[least]}); take more accelerators"
        )
    order = np.argsort(np.where(fits, total, np.inf))[: min(keep, int(fits.sum()))]
    return Found(
        best=tuple(_choice(splits[place], step, needed, int(place)) for place in order),
        legal=len(splits),
        fitting=int(fits.sum()),
        slowest_s=float(total[fits].max()),
    )


def _choice(split: Split, step: Step, needed: Memory, place: int) -> Choice:
    return Choice(
        split=split,
        seconds=float(step.total[place]),
        parts=step.at(place),
        memory_bytes=float(needed.total[place]),
        memory_parts=needed.at(place),
    )


def one_split(simulator: Simulator, split: Split, batch: int) -> Choice:
    """The step of one split.

    Raises:
        ConfigError: it is not legal, or does not fit; then with its largest category and the nearest that fits.
    """
    wrong = faults(simulator.model, split, batch)
    if wrong:
        listed = "".join(f"\n  - {fault}" for fault in wrong)
        raise ConfigError(f"{split}: expected a legal split of a batch of {batch}, got {len(wrong)} fault(s):{listed}")
    step, needed = time_splits(simulator, [split], batch)
    choice = _choice(split, step, needed, 0)
    capacity = capacity_bytes(simulator.machine)
    if choice.memory_bytes <= capacity:
        return choice
    largest, size = next(iter(choice.memory_parts.items()))
    near = nearest_that_fits(simulator, split, batch)
    hint = f"the nearest that fits: {near.split}" if near else "no split over as many fits; take more accelerators"
    raise ConfigError(
        f"{split}: expected at most {capacity / 1e9:.1f} GB on each {simulator.machine.accelerator}, got "
        f"{choice.memory_bytes / 1e9:.1f} GB, of which {largest} {size / 1e9:.1f} GB; {hint}"
    )


def nearest_that_fits(simulator: Simulator, split: Split, batch: int) -> Choice | None:
    """The fitting split over as many accelerators that differs in the fewest choices; the fastest of those."""
    splits = legal_splits(
        simulator.model, batch, split.accelerators, widest_tensor=max(split.tensor, simulator.fabric.nearest)
    )
    if not splits:
        return None
    step, needed = time_splits(simulator, splits, batch)
    fitting = np.flatnonzero(needed.total <= capacity_bytes(simulator.machine))
    if not len(fitting):
        return None
    place = min(fitting, key=lambda at: (differences(splits[at], split), step.total[at]))
    return _choice(splits[place], step, needed, int(place))


def differences(one: Split, other: Split) -> int:
    """In how many choices they differ."""
    return sum(getattr(one, field.name) != getattr(other, field.name) for field in fields(Split))
