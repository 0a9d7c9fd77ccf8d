"""What Dojo should do by its published figures, beside what was said that it does.

In: D1, ResNet-50 and a driving policy as captured steps. Out: predictions with what limits them, and claims with
grades.
Idea: no constant was fitted on anything of Dojo's, because nothing measured was published. So a prediction is what the
published rates allow: software that reaches less is slower, none is faster.
Not here: what was said of its size and price (`machine/plan/said_of_dojo.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade, Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.place import Placement
from dojo.machine.network.mesh import mesh_levels, mesh_of
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.vision import Feed, VisionStep, all_reduce_on_gpus_s
from dojo.machine.simulate.vision_mesh import best_on_mesh, largest_that_fits

NORM_CHANNELS = 2048
"""Of ResNet-50's widest batch normalisation; a mean and a variance of each, in 32 bits, are agreed on."""
_GPUS = 24
MEASURED_A100 = 3399.0
"""Pictures a second of ResNet-50 on an A100: NVIDIA's entry to MLPerf Training 2.1, eight GPUs."""
_RECALLED = "Tesla at AI Day 2022, from recollection; no transcript with the figure was found"
_TOLD = "Tesla at AI Day 2022, as told at teslamotorsclub.com, thread 150696, page 3"


@dataclass(frozen=True)
class Told:
    """Something that was said.

    Args:
        value: in the prediction's unit, where it can be put so.
    """

    text: str
    source: str
    grade: Grade
    value: float | None = None


_INGEST = Told(
    "video training was limited by what its hosts could bring in, even when they only copied",
    "Tesla at Hot Chips 2024, as told at chipsandcheese.com, 27 August 2024",
    Grade.SECONDARY,
)


@dataclass(frozen=True)
class Prediction:
    """One figure, what limits it, and what was said of it."""

    what: str
    where: str
    value: float
    unit: str
    limiter: str
    says: str
    told: Told | None = None


def predictions(
    machine: Machine,
    resnet: Batches,
    policy: Batches,
    feeds: Mapping[str, Feed],
    gpu: Machine,
    constants: Constants,
) -> tuple[Prediction, ...]:
    """A small all-reduce over a tile, and over GPUs; ResNet-50 and a policy on a tile, a tray and an ExaPOD.

    Args:
        feeds: by name of the captured model, what a sample brings over the hosts' PCIe.
        gpu, constants: what the small all-reduce was compared with.

    Raises:
        ConfigError: the machine is not D1, of which the claims are, or a model does not fit.
    """
    if machine.name != "d1":
        raise ConfigError(f"predictions: expected machine d1, got {machine.name}")
    found = [_small_all_reduce(machine), _gpu_all_reduce(gpu, constants)]
    for step in (resnet, policy):
        feed = feeds.get(step.few.model, Feed())
        each = largest_that_fits(step, machine, machine.count(machine.accelerator, "tile"))
        for where in ("tile", "tray", "exapod"):
            tiles = machine.count("tile", where)
            dies = machine.count(machine.accelerator, where)
            placed, timed = best_on_mesh(step, machine, each * tiles, dies, feed)
            found.append(_throughput(where, placed, timed, is_resnet=step is resnet))
    return tuple(found)


def _small_all_reduce(machine: Machine) -> Prediction:
    tile = mesh_levels(machine)[2].name
    mesh = mesh_of(machine, machine.count(machine.accelerator, tile))
    size = 8.0 * NORM_CHANNELS
    seconds, way = mesh.small_all_reduce_s(size), 2 * mesh.reach_s
    return Prediction(
        what="all-reduce of a batch normalisation's statistics, 16 KB",
        where=tile,
        value=seconds,
        unit="s",
        limiter="latency of the way" if way > seconds / 2 else "bytes at each node",
        says=f"{way * 1e6:.2f} us of it are hops and crossings of dies, there and back",
        told=Told("5 us on 25 dies", _RECALLED, Grade.ASSUMPTION, 5e-6),
    )


def _gpu_all_reduce(gpu: Machine, constants: Constants) -> Prediction:
    return Prediction(
        what="the same",
        where=f"{_GPUS} {gpu.name}",
        value=all_reduce_on_gpus_s(gpu, _GPUS, 8.0 * NORM_CHANNELS, constants),
        unit="s",
        limiter="latency of the way",
        says="the only figure here with constants that were fitted, on A100s' all-reduces, or assumed, of switches",
        told=Told("150 us on 24 GPUs", _RECALLED, Grade.ASSUMPTION, 150e-6),
    )


def _throughput(where: str, placed: Placement, timed: VisionStep, *, is_resnet: bool) -> Prediction:
    shares = sorted(timed.seconds.items(), key=lambda part: -part[1])
    parts = ", ".join(f"{name} {time / timed.total_s:.0%}" for name, time in shares if time > 0.005 * timed.total_s)
    rate = timed.samples_per_s
    each = rate / timed.accelerators
    says = (
        f"{placed.samples} samples a step of {timed.total_s * 1e6:.0f} us, {placed.replicas} replica(s) of "
        f"{placed.mesh.dies} dies, SRAM {sum(placed.sram.values()) / placed.mesh.sram_bytes:.0%} full; {parts}"
    )
    if not is_resnet:
        return Prediction(placed.graph.model, where, rate, "samples/s", timed.limiter, says, _INGEST)
    says += f"; {each:,.0f} a die, {each / MEASURED_A100:.1f} times an A100 as measured in MLPerf"
    told = Told(
        "3.2 to 4 times an A100, die for GPU, on auto-labelling and occupancy networks with Tesla's compiler",
        _TOLD,
        Grade.SECONDARY,
        3.2 * MEASURED_A100 * timed.accelerators,
    )
    return Prediction(placed.graph.model, where, rate, "samples/s", timed.limiter, says, told)
