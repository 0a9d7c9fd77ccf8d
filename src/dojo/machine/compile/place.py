"""Placing a training step on a mesh of nodes: who computes what, what lies where, and whether it fits.

In: a step at any batch size, a machine that is a mesh, how many dies. Out: `Placement`, or the reason why there is none
and the nearest that there is.
Idea: space is data, time is operators. All nodes of a replica work on one operator at a time; each has some of the
samples or of the places in their pictures, and keeps what it computes in its own SRAM until the backward pass wants it.
Then activations need not move, and weights come to everybody as they are used. SRAM is the only memory: activations
have to fit.
Weights, gradients and the optimiser's state lie beside them where there is room, and stream from the memory of the
interface processors where there is not.
Not here: how one operator is divided (`cuts.py`), seconds (`simulate/vision.py`).
Source: Tesla at Hot Chips 34, 2022 (transfers run on their own thread, SRAM is the main memory); Tesla at AI Day 2022,
as told at share.snipd.com: a slice of the mesh is made large enough to fit a batch-norm surface and is one accelerator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.cuts import Cut, cut
from dojo.machine.compile.fuse import fuse
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Kind, Operator, Phase
from dojo.machine.network.mesh import Mesh, mesh_levels, mesh_of

WEIGHT_BYTES, GRADIENT_BYTES, STATE_BYTES = 2, 4, 12
"""Of each parameter. Source: Rajbhandari et al. 2020, "ZeRO", section 3.1; gradients are summed in 32 bits."""
NORM_SAMPLES = 32
"""How many samples batch normalisation has to see. Source: Wu and He 2018, "Group Normalization", figure 1."""


@dataclass(frozen=True)
class Site:
    """A node's place: the die in the replica, the node on the die."""

    die_row: int
    die_column: int
    row: int
    column: int


@dataclass(frozen=True)
class Placement:
    """A step on a mesh.

    Args:
        graph: of one replica's samples, fused.
        mesh: of one replica.
        replicas: that learn together.
        cuts: of each operator.
        sram: bytes of each category in a replica's SRAM; `streamed`: bytes that lie in the interface processors.
        streamed_limit_bytes: what those of a replica hold; `streamed_bytes_per_s`: what they send.
    """

    graph: Graph
    mesh: Mesh
    replicas: int
    cuts: tuple[Cut, ...]
    sram: Mapping[str, float]
    streamed: Mapping[str, float]
    streamed_limit_bytes: float
    streamed_bytes_per_s: float

    @property
    def samples(self) -> int:
        """Of the whole step."""
        return self.graph.samples * self.replicas

    def site(self, machine: Machine, piece: int) -> Site:
        """Where a piece of a cut lies: along the rows of a die, die after die.

        Assumed: the empty sites are the last of a die; which they are is not published.
        """
        die, node, _ = mesh_levels(machine)
        assert die.grid is not None, "mesh_levels asks for it"
        on_die = machine.count(node.name, machine.accelerator)
        which, place = divmod(piece, on_die)
        if not 0 <= which < self.mesh.dies:
            raise ConfigError(f"piece: expected one of {self.mesh.nodes}, got {piece}")
        return Site(*divmod(which, self.mesh.die_columns), *divmod(place, die.grid.columns))


def place(step: Batches, machine: Machine, samples: int, *, dies: int, replicas: int = 1) -> Placement:
    """A step of so many samples on so many dies, divided over replicas.

    Raises:
        ConfigError: replicas do not divide dies and samples, a replica sees too few samples for its batch
            normalisation, or activations do not fit; with the nearest that does.
    """
    if dies % replicas or samples % replicas:
        raise ConfigError(f"replicas: expected a divisor of {dies} dies and {samples} samples, got {replicas}")
    mesh = mesh_of(machine, dies // replicas)
    each = samples // replicas
    graph = fused_at(step, each)
    if any("batch_norm" in operator.name for operator in graph.operators) and each < min(samples, NORM_SAMPLES):
        raise ConfigError(
            f"place {graph.model}: expected {NORM_SAMPLES} samples or more where batch normalisation is computed, got "
            f"{each} in each of {replicas} replicas; use fewer, larger replicas or a larger batch"
        )
    sram, streamed = _stored(step, machine, graph, mesh, replicas)
    limit, rate = _interfaces(machine, mesh.dies)
    beside = sum(streamed.values())
    if beside > limit:
        raise ConfigError(
            f"place {graph.model}: expected at most {limit / 1e9:.1f} GB of weights, gradients and optimiser state in "
            f"the interface processors of {mesh.dies} dies, got {beside / 1e9:.1f} GB; use more dies a replica"
        )
    cuts = _all_cuts(graph, machine, mesh)
    return Placement(graph, mesh, replicas, cuts, sram, streamed, limit, rate)


@lru_cache(maxsize=64)
def fused_at(step: Batches, samples: int) -> Graph:
    """The fused step of one replica; a search asks for the same ones again and again."""
    return fuse(step.at(samples))


def _all_cuts(graph: Graph, machine: Machine, mesh: Mesh) -> tuple[Cut, ...]:
    """The cut of each operator, found once for those that are alike."""
    known: dict[tuple[object, ...], Cut] = {}
    cuts = []
    for one in graph.operators:
        sums = one.name.endswith(WEIGHT_GRADIENT)
        alike = (one.matrix, one.dtype, sums, one.flops) if one.matrix else (one.read_bytes, one.written_bytes)
        if alike not in known:
            known[alike] = cut(one, machine, mesh)
        cuts.append(known[alike])
    return tuple(cuts)


def activation_bytes(graph: Graph) -> float:
    """What the forward pass leaves for the backward pass, weights in another format not counted."""
    kept = {at for one in graph.operators if one.phase is Phase.BACKWARD for at in one.after}
    forward = (graph.operators[at] for at in kept if graph.operators[at].phase is Phase.FORWARD)
    kept_bytes = (one.written_bytes for one in forward if one.weight_bytes < one.read_bytes or not one.read_bytes)
    return sum(kept_bytes, 0.0)


def working_bytes(graph: Graph) -> float:
    """The largest operands and results that are at hand beside what is kept: those of one backward operator."""
    backward = (one for one in graph.operators if one.phase is Phase.BACKWARD and not one.weight_bytes)
    return max((2 * one.written_bytes for one in backward), default=0.0)


def _stored(
    step: Batches, machine: Machine, graph: Graph, mesh: Mesh, replicas: int
) -> tuple[dict[str, float], dict[str, float]]:
    """What lies in SRAM and what beside it: activations first, then whatever else there is room for."""
    sram = {"activations": activation_bytes(graph), "working": working_bytes(graph)}
    free = mesh.sram_bytes - sum(sram.values())
    if free < 0:
        raise ConfigError(_too_large(step, machine, graph, mesh, replicas, sum(sram.values())))
    streamed: dict[str, float] = {}
    numbers = float(graph.parameters)
    for name, size in (("weights", WEIGHT_BYTES), ("gradients", GRADIENT_BYTES), ("optimiser", STATE_BYTES)):
        target = sram if size * numbers <= free else streamed
        target[name] = size * numbers
        free -= size * numbers if target is sram else 0.0
    return sram, streamed


def _too_large(step: Batches, machine: Machine, graph: Graph, mesh: Mesh, replicas: int, wanted: float) -> str:
    """The reason, and what would fit: fewer samples here, or more dies for as many."""
    most = graph.samples
    while most and _wanted(step, most) > mesh.sram_bytes:
        most = min(most - 1, math.floor(most * mesh.sram_bytes / _wanted(step, most)))
    tile = machine.count(machine.accelerator, mesh_levels(machine)[2].name)
    tiles = math.ceil(wanted / mesh_of(machine, tile).sram_bytes)
    fewer = f"{most * replicas} samples fit here" if most else "not even one sample a replica fits here"
    return (
        f"place {graph.model}: expected at most {mesh.sram_bytes / 1e9:.2f} GB of SRAM on {mesh.dies} dies for a "
        f"replica's activations, got {wanted / 1e9:.2f} GB for {graph.samples} samples; {fewer}, and "
        f"{graph.samples} samples a replica need {tiles} tile{'s' * (tiles > 1)}"
    )


def fits(step: Batches, machine: Machine, samples: int, dies: int) -> bool:
    """Whether the activations of one replica's samples fit into the SRAM of so many dies."""
    return _wanted(step, samples) <= mesh_of(machine, dies).sram_bytes


def _wanted(step: Batches, samples: int) -> float:
    graph = fused_at(step, samples)
    return activation_bytes(graph) + working_bytes(graph)


def _interfaces(machine: Machine, dies: int) -> tuple[float, float]:
    """Memory of the interface processors that so many dies have a share of, and how fast it streams in."""
    for name, level in machine.levels.items():
        whole = machine.count(machine.accelerator, name)
        for part in level.parts:
            beside = machine.levels[part]
            if whole and beside.memory is not None and beside.memory.bandwidth_bytes_per_s is not None:
                links = sum(link.bandwidth_bytes_per_s * link.count for link in beside.links.values() if link.within)
                rate = min(beside.memory.bandwidth_bytes_per_s, links)
                share = level.parts[part].count * dies / whole
                return share * beside.memory.capacity_bytes, share * rate
    return 0.0, 0.0


def is_normalised_over_samples(operator: Operator) -> bool:
    """Whether all nodes have to agree on it: batch normalisation."""
    return operator.kind is Kind.NORMALISATION and "batch_norm" in operator.name
