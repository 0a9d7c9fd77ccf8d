"""How to divide a captured step: how many samples at once, what is sharded, and whether it fits.

In: a captured step at any batch size, a machine, how many accelerators, a batch. Out: `Division`s from the fastest on,
or the reason why none fits and what would.
Idea: of a step that was captured nobody knows which layers are alike, so it is divided by its samples: over
accelerators, and on each of them over pieces that are computed one after the other. What does not grow with the samples
may be sharded. On a mesh a replica is a rectangle of dies, and the placement says what fits. Recomputation is in the
capture, where the model does it.
Not here: tensor groups and pipelines, which need a model that says what its parts are (`search.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import Graph
from dojo.machine.compile.memory import FRAMEWORK_BYTES, capacity_bytes
from dojo.machine.compile.place import (
    GRADIENT_BYTES,
    STATE_BYTES,
    WEIGHT_BYTES,
    activation_bytes,
    working_bytes,
)
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.vision import Feed, Kernels, Library, VisionStep, in_rounds, kernels
from dojo.machine.simulate.vision_mesh import best_on_mesh

SHARDINGS = range(4)
"""Nothing, the optimiser's state, gradients too, weights too: ZeRO's stages."""


@dataclass(frozen=True)
class Division:
    """A way to divide a step, and what comes of it.

    Args:
        says: the way, in words.
        memory: bytes of each accelerator, by what they are; on a mesh, of each replica.
        limit_bytes: what there is room for.
    """

    says: str
    step: VisionStep
    memory: Mapping[str, float]
    limit_bytes: float

    @property
    def memory_bytes(self) -> float:
        """All of it."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Question:
    """A step to be divided over accelerators.

    Raises:
        ConfigError: there are no accelerators, or they cannot share the batch.
    """

    step: Batches
    machine: Machine
    count: int
    batch: int
    constants: Constants
    library: Library = field(default_factory=Library)
    feed: Feed = field(default_factory=Feed)

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch < 1 or self.batch % self.count:
            below = self.batch // max(self.count, 1) * max(self.count, 1)
            raise ConfigError(
                f"batch: expected a multiple of {self.count} accelerators, one sample or more for each, got "
                f"{self.batch}; the nearest are {below or self.count} and {below + self.count}"
            )


def is_mesh(machine: Machine) -> bool:
    """Whether its accelerators are laid out in a grid and work as one."""
    return any(level.grid is not None for level in machine.levels.values())


def divisions(asked: Question) -> list[Division]:
    """All that fit, the fastest first.

    Raises:
        ConfigError: none fits; with the smallest, and what to change.
    """
    if is_mesh(asked.machine):
        return [_on_mesh(asked)]
    each = asked.batch // asked.count
    every = []
    for samples in (one for one in range(1, each + 1) if each % one == 0):
        piece = _kernels(asked, samples)
        every += [_division(asked, piece, zero) for zero in (SHARDINGS if asked.count > 1 else (0,))]
    fitting = [one for one in every if one.memory_bytes <= one.limit_bytes]
    if not fitting:
        least = min(every, key=lambda one: one.memory_bytes)
        raise _too_large(asked, least)
    return sorted(fitting, key=lambda one: one.step.total_s)


def division(asked: Question, samples: int, zero: int) -> Division:
    """One way, whether it fits or not: so many samples at once on each accelerator, so much sharded.

    Raises:
        ConfigError: the samples do not divide an accelerator's share, or there is no such sharding.
    """
    each = asked.batch // asked.count
    if samples < 1 or each % samples or zero not in SHARDINGS or (zero and asked.count == 1):
        raise ConfigError(
            f"split: expected a micro-batch that divides {each} samples and zero 0 to 3, 0 on one accelerator; got "
            f"micro-batch {samples} and zero {zero} on {asked.count}"
        )
    return _division(asked, _kernels(asked, samples), zero)


def _kernels(asked: Question, samples: int) -> Kernels:
    return kernels(asked.step.at(samples), asked.machine, asked.constants, asked.library.fusion)


def _division(asked: Question, piece: Kernels, zero: int) -> Division:
    samples = piece.graph.samples
    rounds = asked.batch // asked.count // samples
    given = (asked.machine, asked.count, asked.constants, asked.library, asked.feed)
    said = f"data {asked.count}, micro-batch {samples}"
    said += f" x {rounds}" if rounds > 1 else ""
    said += f", ZeRO-{zero}" if zero else ""
    timed = in_rounds(piece, *given, rounds=rounds, zero=zero)
    return Division(said, timed, _memory(asked, piece.graph, zero), capacity_bytes(asked.machine))


def checked(asked: Question, samples: int, zero: int) -> Division:
    """One way that was asked for.

    Raises:
        ConfigError: it does not fit; with the nearest that does.
    """
    one = division(asked, samples, zero)
    if one.memory_bytes <= one.limit_bytes:
        return one
    raise _too_large(asked, one, f"; the fastest that fits: {divisions(asked)[0].says}")


def _memory(asked: Question, fused: Graph, zero: int) -> dict[str, float]:
    numbers = float(asked.step.few.parameters)
    sizes = {"weights": (WEIGHT_BYTES, 3), "gradients": (GRADIENT_BYTES, 2), "optimiser": (STATE_BYTES, 1)}
    return {
        "activations": activation_bytes(fused),
        "working": working_bytes(fused),
        **{name: size * numbers / (asked.count if zero >= stage else 1) for name, (size, stage) in sizes.items()},
        "framework": FRAMEWORK_BYTES,
    }


def _too_large(asked: Question, one: Division, hint: str = "") -> ConfigError:
    largest = max(one.memory, key=lambda name: one.memory[name])
    advice = "have the model recompute" if largest in ("activations", "working") else "take more accelerators"
    return ConfigError(
        f"{asked.step.few.model}, {one.says}: expected at most {one.limit_bytes / 1e9:.1f} GB on each "
        f"{asked.machine.accelerator}, got {one.memory_bytes / 1e9:.1f} GB, of which {largest} "
        f"{one.memory[largest] / 1e9:.1f} GB{hint or f'; {advice}'}"
    )


def _on_mesh(asked: Question) -> Division:
    placed, timed = best_on_mesh(asked.step, asked.machine, asked.batch, asked.count, asked.feed)
    said = (
        f"{placed.replicas} replica{'s' * (placed.replicas > 1)} of {placed.mesh.dies} dies, all nodes on one operator"
    )
    said += f", streamed: {', '.join(placed.streamed)}" if placed.streamed else ""
    return Division(said, timed, placed.sram, placed.mesh.sram_bytes)
