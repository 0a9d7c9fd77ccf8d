"""What a training run takes elsewhere, on a laptop, a GPU, a Dojo tile, an ExaPOD; and here, beside what it took.

In: the run's step as it was captured, how many steps, how long one took here. Out: a row for each machine.
Idea: a run is its steps, one after the other, so a machine helps as far as it makes one step shorter: a batch of
sixteen clips does not fill a pod, and the row says so. How far a processor is from its roofline is known from the one
that the run was measured on, and a laptop is taken to be as far from its own.
Not here: longer or larger training for a larger machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import Graph
from dojo.machine.compile.place import Placement
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.here import Processor
from dojo.machine.simulate.vision import Feed, Fusion, Library, VisionStep, on_gpus, roofline
from dojo.machine.simulate.vision_mesh import best_on_mesh

HOST_S = 10e-6
"""Of a host for one kernel that is launched from Python. Assumed: PyTorch without recorded graphs, a fast core."""


@dataclass(frozen=True)
class OwnStep:
    """A run's step: in 32 bits as a processor computes it, in 16 as the others do; and what feeds it."""

    wide: Graph
    narrow: Batches
    feed: Feed = field(default_factory=Feed)

    @property
    def samples(self) -> int:
        """Of one step."""
        return self.wide.samples


@dataclass(frozen=True)
class Elsewhere:
    """One machine's row.

    Args:
        step_s, training_s: predicted.
        measured_s: of one step, where it was measured.
    """

    where: str
    step_s: float
    training_s: float
    limiter: str
    says: str
    measured_s: float | None = None


def training_on(
    step: OwnStep,
    steps: int,
    *,
    here: Processor,
    measured_s: float,
    laptop: Processor,
    gpu: Machine,
    dojo: Machine,
    constants: Constants,
) -> list[Elsewhere]:
    """A run of so many steps: here predicted beside measured, and on a laptop, a GPU, a tile and an ExaPOD.

    Args:
        measured_s: of one step of the run, waiting for data left out.

    Raises:
        ConfigError: there is no step, or the step does not fit on Dojo.
    """
    if steps < 1 or measured_s <= 0:
        raise ConfigError(f"training_on: expected steps and a time measured, got {steps} steps of {measured_s} s")
    own = roofline(step.wide, here.machine, here.operator_s)
    slower = measured_s / own.total_s
    rows = [
        _row("here", steps, own, f"one step measured {measured_s:.3g} s, {slower:.2f} times as long", 1.0, measured_s)
    ]
    sheet = roofline(step.wide, laptop.machine, laptop.operator_s)
    rows.append(_row("laptop", steps, sheet, f"{laptop.machine.title}, as far from its roofline as here", slower))
    eager = Library(Fusion.PLAIN, overlap=True, launch_s=HOST_S)
    single = on_gpus(step.narrow.at(step.samples), gpu, 1, constants, eager, step.feed)
    rows.append(_row(gpu.name, steps, single, "one of them, products in bfloat16, launched from Python"))
    for where in ("tile", "exapod"):
        rows.append(_on_dojo(step, steps, dojo, where))
    return rows


def _row(
    where: str, steps: int, one: VisionStep, says: str, factor: float = 1.0, measured_s: float | None = None
) -> Elsewhere:
    seconds = one.total_s * factor
    return Elsewhere(where, seconds, seconds * steps, one.limiter, says, measured_s)


def _on_dojo(step: OwnStep, steps: int, dojo: Machine, where: str) -> Elsewhere:
    """On as many of its dies as make the step shortest; the others stand by."""
    whole = dojo.count(dojo.accelerator, where)
    fastest: tuple[Placement, VisionStep] | None = None
    refused: ConfigError | None = None
    for dies in _sizes(dojo, whole):
        try:
            found = best_on_mesh(step.narrow, dojo, step.samples, dies, step.feed)
        except ConfigError as error:
            refused = refused or error
            continue
        if fastest is None or found[1].total_s < fastest[1].total_s:
            fastest = found
    if fastest is None:
        raise refused or ConfigError(f"training_on: expected dies in a {where}, found none")
    placed, timed = fastest
    used = placed.mesh.dies * placed.replicas
    return _row(
        where, steps, timed, f"{used} of {whole:,} dies: with more, this batch takes no less" if used < whole else ""
    )


def _sizes(dojo: Machine, whole: int) -> Sequence[int]:
    """Parts of a row, rows, tiles, then twice as many each time."""
    sizes = [1, 2, 5, 10, 25, 50, 75, 150]
    while sizes[-1] * 2 <= whole:
        sizes.append(sizes[-1] * 2)
    return [size for size in sizes if size <= whole]
