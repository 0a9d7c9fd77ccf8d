"""How to divide the samples of a captured step: how many at once, what is sharded, and whether it fits.

In: a captured step at any batch size, a machine, how many accelerators, a batch. Out: `Division`s.
Idea: samples are divided over accelerators, and on each of them over pieces that are computed one after the other. What
does not grow with the samples may be sharded. On a mesh a replica is a rectangle of dies, and the placement says what
fits. Recomputation is in the capture, where the model does it.
Not here: dividing the operators, too (`pipelines.py`), the choice (`divide.py`), models whose parts are known
(`search.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import Graph
from dojo.machine.compile.memory import FRAMEWORK_BYTES, capacity_bytes
from dojo.machine.compile.partition import Split
from dojo.machine.compile.place import (
    GRADIENT_BYTES,
    STATE_BYTES,
    WEIGHT_BYTES,
    activation_bytes,
    working_bytes,
)
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.pipeline import Pipeline
from dojo.machine.simulate.vision import Feed, Kernels, Library, VisionStep, in_rounds, kernels
from dojo.machine.simulate.vision_mesh import best_on_mesh

SHARDINGS = range(4)
"""Nothing, the optimiser's state, gradients too, weights too: ZeRO's stages."""


@dataclass(frozen=True)
class Division:
    """A way to divide a step, and what comes of it.

    Args:
        says: the way, in words.
        memory: bytes of each accelerator, of the fullest stage, by what they are; on a mesh, of each replica.
        limit_bytes: what there is room for.
        split: the way; None on a mesh.
        pipeline: its stages, where it has some.
    """

    says: str
    step: VisionStep
    memory: Mapping[str, float]
    limit_bytes: float
    split: Split | None = None
    pipeline: Pipeline | None = None

    @property
    def memory_bytes(self) -> float:
        """All of it."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.memory_bytes <= self.limit_bytes


@dataclass(frozen=True)
class Question:
    """A step to be divided over accelerators.

    Raises:
        ConfigError: there are none, or no samples.
    """

    step: Batches
    machine: Machine
    count: int
    batch: int
    constants: Constants
    library: Library = field(default_factory=Library)
    feed: Feed = field(default_factory=Feed)

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch < 1:
            raise ConfigError(
                f"count and batch: expected one accelerator and one sample or more, got {self.count} and {self.batch}"
            )

    def each(self) -> int:
        """Samples of an accelerator, where they are all that is divided.

        Raises:
            ConfigError: accelerators cannot share the batch.
        """
        if self.batch % self.count:
            below = self.batch // self.count * self.count
            raise ConfigError(
                f"batch: expected a multiple of {self.count} accelerators, one sample or more for each, got "
                f"{self.batch}; the nearest are {below or self.count} and {below + self.count}"
            )
        return self.batch // self.count


def is_mesh(machine: Machine) -> bool:
    """Whether its accelerators are laid out in a grid and work as one."""
    return any(level.grid is not None for level in machine.levels.values())


def by_samples(asked: Question) -> list[Division]:
    """Every way, whether it fits or not.

    Raises:
        ConfigError: accelerators cannot share the batch.
    """
    each = asked.each()
    every = []
    for samples in (one for one in range(1, each + 1) if each % one == 0):
        piece = _kernels(asked, samples)
        every += [_division(asked, piece, zero) for zero in (SHARDINGS if asked.count > 1 else (0,))]
    return every


def division(asked: Question, samples: int, zero: int) -> Division:
    """One way, whether it fits or not: so many samples at once on each accelerator, so much sharded.

    Raises:
        ConfigError: the samples do not divide an accelerator's share, or there is no such sharding.
    """
    each = asked.each()
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
    split = Split(data=asked.count, micro_batch=samples, zero=zero)
    return Division(said, timed, _memory(asked, piece.graph, zero), capacity_bytes(asked.machine), split)


def _memory(asked: Question, fused: Graph, zero: int) -> dict[str, float]:
    numbers = float(asked.step.few.parameters)
    sizes = {"weights": (WEIGHT_BYTES, 3), "gradients": (GRADIENT_BYTES, 2), "optimiser": (STATE_BYTES, 1)}
    return {
        "activations": activation_bytes(fused),
        "working": working_bytes(fused),
        **{name: size * numbers / (asked.count if zero >= stage else 1) for name, (size, stage) in sizes.items()},
        "framework": FRAMEWORK_BYTES,
    }


def on_dies(asked: Question) -> Division:
    """The fastest placement on a mesh.

    Raises:
        ConfigError: none fits, or dies cannot share the batch.
    """
    asked.each()
    placed, timed = best_on_mesh(asked.step, asked.machine, asked.batch, asked.count, asked.feed)
    said = (
        f"{placed.replicas} replica{'s' * (placed.replicas > 1)} of {placed.mesh.dies} dies, all nodes on one operator"
    )
    said += f", streamed: {', '.join(placed.streamed)}" if placed.streamed else ""
    return Division(said, timed, placed.sram, placed.mesh.sram_bytes)
