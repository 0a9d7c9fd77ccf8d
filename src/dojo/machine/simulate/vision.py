"""How long a captured training step takes: on accelerators with memory beside them, and on a mesh of nodes.

In: a captured step, a machine, how many accelerators. Out: seconds by what they are spent on.
Idea: an operator is as long as the longest of its parts: products, bytes of memory, bytes of the mesh. On a GPU it
comes from memory and goes back there; on D1 it lies in SRAM already, and what limits is the mesh that brings weights to
everybody, or the time until all have agreed. Nothing here was fitted: rates are data sheets' and measured single
kernels' (`operators.py`), what software fuses and overlaps is what its authors say.
Not here: GPTs on many GPUs (`step.py`), who computes what (`machine/compile/place.py`).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.cuts import Cut
from dojo.machine.compile.fuse import fuse
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Operator, Phase
from dojo.machine.compile.place import GRADIENT_BYTES, Placement, fits, is_normalised_over_samples, place
from dojo.machine.network.collectives import halving_all_reduce_s, mesh_all_reduce_s, ring_all_reduce_s
from dojo.machine.network.link import LinkCost
from dojo.machine.network.mesh import Mesh, mesh_levels, mesh_of
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.fabric import Fabric
from dojo.machine.simulate.operators import ARITHMETIC, Efficiency, memory_bytes_per_s, operator_seconds, units

TTP_LATENCY_S = 2e-6
"""Of a message between interface processors. Assumed: "microseconds" (chipsandcheese.com, 27 August 2024)."""
_TTP_WINDOW_BYTES = 1e6
"""What a sender keeps until it is acknowledged. Source: Tesla at Hot Chips 2024, as told there."""


class Fusion(enum.StrEnum):
    """What a library does in one kernel beside what `compile/fuse.py` does.

    Source: NVIDIA's entries to MLPerf Training, `NETWORK` in their configurations (mlcommons/training_results_v2.1,
    NVIDIA/benchmarks/resnet): `resnet-v1b-fl`, `-stats-fl`, `-mainloop-fl`.
    """

    PLAIN = "plain"
    """Batch normalisation reads what it normalises twice: for its statistics, and to normalise."""
    STATISTICS = "statistics"
    """The convolution before it computes the statistics."""
    MAINLOOP = "mainloop"
    """And the convolution after it normalises as it reads."""


@dataclass(frozen=True)
class Library:
    """How the software runs a step on a GPU.

    Args:
        fusion: see `Fusion`.
        overlap: gradients are exchanged during the backward pass.
        launch_s: of the host for one kernel; 0 where a recorded graph is launched at once.
    """

    fusion: Fusion = Fusion.PLAIN
    overlap: bool = True
    launch_s: float = 0.0


@dataclass(frozen=True)
class Feed:
    """What a step has to be fed.

    Args:
        sample_bytes: of one sample as it goes to an accelerator.
        decoded_per_s: samples that a host decodes for one accelerator; None where that is not known to matter.
    """

    sample_bytes: float = 0.0
    decoded_per_s: float | None = None


@dataclass(frozen=True)
class VisionStep:
    """Seconds of a step by what limits it, and how many samples it takes."""

    samples: int
    accelerators: int
    seconds: dict[str, float]

    @property
    def total_s(self) -> float:
        """The step."""
        return sum(self.seconds.values())

    @property
    def samples_per_s(self) -> float:
        """Of all accelerators."""
        return self.samples / self.total_s

    @property
    def limiter(self) -> str:
        """What most of it is spent on."""
        return max(self.seconds, key=lambda name: self.seconds[name])


def on_gpus(
    graph: Graph,
    machine: Machine,
    count: int,
    constants: Constants,
    library: Library = Library(),
    feed: Feed = Feed(),
) -> VisionStep:
    """A step whose samples are divided over accelerators; the graph is of one accelerator's share.

    Raises:
        ConfigError: the accelerator has no peak or no memory.
    """
    fused = fuse(graph)
    times = [kernel_seconds(one, machine, constants, library.fusion) for one in fused.operators]
    seconds = {"products": 0.0, "memory": 0.0, "optimiser": 0.0}
    for operator, time in zip(fused.operators, times, strict=True):
        seconds[_part(operator)] += time
    busy = sum(times)
    host = library.launch_s * len(fused.operators)
    # The longer of host and accelerator hides most of the shorter.
    seconds["launching"] = (busy**constants.mixing + host**constants.mixing) ** (1 / constants.mixing) - busy
    seconds["exchange"] = _exchange_s(fused, times, machine, count, constants, library)
    whole = sum(seconds.values())
    seconds["feeding"] = max(0.0, _feeding_s(graph.samples, machine, feed) - whole)
    return VisionStep(graph.samples * count, count, seconds)


def _part(operator: Operator) -> str:
    if operator.phase is Phase.OPTIMISER:
        return "optimiser"
    return "products" if operator.kind in ARITHMETIC else "memory"


def kernel_seconds(operator: Operator, machine: Machine, constants: Constants, fusion: Fusion) -> float:
    """One kernel on a GPU: as `operators.py` has it, sums over many samples divided, batch normalisation in passes.

    A product with a small result and a long sum, as gradients of filters are, is computed by all units at once, each a
    part of the sum; their parts are added at the end.
    """
    efficiency, sustained = Efficiency(), constants.sustained_share(machine)
    if not operator.matrix:
        return operator_seconds(_passes(operator, fusion), machine, efficiency, sustained)
    batch, m, n, k = operator.matrix
    best = math.inf
    for parts in (1 << power for power in range(max(1, min(units(machine), k // 64)).bit_length())):
        sums = 8.0 * (parts - 1) * batch * m * n  # Written and read in 32 bits.
        divided = replace(
            operator,
            matrix=(batch * parts, m, n, max(1, k // parts)),
            written_bytes=operator.written_bytes + sums,
        )
        best = min(best, operator_seconds(divided, machine, efficiency, sustained))
    return best


def _passes(operator: Operator, fusion: Fusion) -> Operator:
    """A kernel with the bytes of a second pass where it has one."""
    if not is_normalised_over_samples(operator):
        return operator
    if operator.phase is Phase.BACKWARD or fusion is Fusion.PLAIN:
        return replace(operator, read_bytes=2 * operator.read_bytes)
    if fusion is Fusion.MAINLOOP and len(operator.after) == 1:  # Not where a block's results are added up.
        return replace(operator, read_bytes=0.0, written_bytes=0.0)
    return operator


def _exchange_s(
    graph: Graph, times: Sequence[float], machine: Machine, count: int, constants: Constants, library: Library
) -> float:
    """What a step waits for until gradients are summed, in 16 bits as they were computed."""
    if count == 1:
        return 0.0
    whole = all_reduce_on_gpus_s(machine, count, 2.0 * graph.parameters, constants)
    if not library.overlap:
        return whole
    backward = sum(time for one, time in zip(graph.operators, times, strict=True) if one.phase is Phase.BACKWARD)
    return max(whole / _buckets(graph), whole - backward)


def all_reduce_on_gpus_s(machine: Machine, count: int, size_bytes: float, constants: Constants) -> float:
    """A sum over accelerators, by a ring or, where that has too many rounds, by halves."""
    fabric = Fabric.of(machine, constants.wires)
    halves = constants.start_s + halving_all_reduce_s(count, size_bytes, fabric.link(count, 1))
    return min(fabric.all_reduce_s(count, 1, size_bytes), halves)


def _buckets(graph: Graph) -> int:
    """In how many pieces gradients become ready."""
    return max(1, sum(one.name.endswith(WEIGHT_GRADIENT) for one in graph.operators))


def _feeding_s(samples: int, machine: Machine, feed: Feed) -> float:
    """Until an accelerator's next samples are there: decoded and sent, the longer of the two."""
    host = machine.levels[machine.accelerator].host
    sending = 0.0
    if host is not None and host.pcie_bytes_per_s is not None:
        sending = samples * feed.sample_bytes / host.pcie_bytes_per_s
    return max(sending, samples / feed.decoded_per_s if feed.decoded_per_s else 0.0)


def roofline(graph: Graph, machine: Machine, kernel_s: float = 0.0) -> VisionStep:
    """A step on one processor of which only the rates of a large product and of a large copy are known.

    Nothing is fused, as on a CPU that runs operator by operator.
    """
    peak = machine.levels[machine.accelerator].peak
    if peak is None or peak.fp32_flop_per_s is None:
        raise ConfigError(f"machine {machine.name}: expected the rate of products in 32 bits, found none")
    bandwidth = memory_bytes_per_s(machine)
    seconds = {"products": 0.0, "memory": 0.0, "optimiser": 0.0}
    for operator in graph.operators:
        computing = operator.flops / peak.fp32_flop_per_s if operator.matrix else 0.0
        moving = _passes(operator, Fusion.PLAIN)
        moved = (moving.read_bytes + moving.written_bytes) / bandwidth
        seconds[_part(operator)] += max(computing, moved) + kernel_s
    return VisionStep(graph.samples, 1, seconds)


def on_mesh(placement: Placement, machine: Machine, feed: Feed = Feed()) -> VisionStep:
    """A placed step, with no fitted constant: published rates, counted hops."""
    seconds = dict.fromkeys(("products", "sram", "mesh", "agreement", "streaming", "optimiser"), 0.0)
    backward = 0.0
    for operator, one in zip(placement.graph.operators, placement.cuts, strict=True):
        parts = _mesh_parts(operator, one, placement, machine)
        for name, time in parts.items():
            seconds["optimiser" if operator.phase is Phase.OPTIMISER else name] += time
        backward += sum(parts.values()) if operator.phase is Phase.BACKWARD else 0.0
    seconds["streaming"] = max(0.0, _streaming_s(placement) - sum(seconds.values()))
    whole = _replicas_all_reduce_s(placement, machine)
    seconds["exchange"] = max(whole / _buckets(placement.graph), whole - backward)
    seconds["feeding"] = max(0.0, _mesh_feeding_s(placement, machine, feed) - sum(seconds.values()))
    return VisionStep(placement.samples, placement.mesh.dies * placement.replicas, seconds)


def _mesh_parts(operator: Operator, one: Cut, placement: Placement, machine: Machine) -> dict[str, float]:
    """The longest of what an operator does, and what its nodes wait for each other."""
    _, node, _ = mesh_levels(machine)
    assert node.clock is not None, "a node has a clock"
    mesh = placement.mesh
    computing, arriving = one.cycles / node.clock.clock_hz, one.inbound_bytes / mesh.node_bytes_per_s
    limit = "mesh" if arriving > computing else "products" if operator.matrix else "sram"
    waiting = mesh.reach_s if one.moves_activations else 0.0
    if is_normalised_over_samples(operator):
        waiting = mesh.small_all_reduce_s(2 * max(operator.weight_bytes, 4.0))
    return {limit: max(computing, arriving), "agreement": waiting}


def _streaming_s(placement: Placement) -> float:
    """What comes from the interface processors: weights for both passes, state there and back once."""
    times = {"weights": 2.0, "gradients": 2.0, "optimiser": 2.0}
    size = sum(times[name] * size for name, size in placement.streamed.items())
    return size / placement.streamed_bytes_per_s if size else 0.0


def _replicas_all_reduce_s(placement: Placement, machine: Machine) -> float:
    """Gradients over all replicas: over the mesh in a tray, over Ethernet between trays."""
    if placement.replicas == 1:
        return 0.0
    _, _, tile = mesh_levels(machine)
    tray = next(name for name, level in machine.levels.items() if tile.name in level.parts)
    in_tile, in_tray = (machine.count(machine.accelerator, name) for name in (tile.name, tray))
    size = float(GRADIENT_BYTES * placement.graph.parameters)
    dies = placement.mesh.dies * placement.replicas
    near = min(placement.replicas, max(1, in_tray // placement.mesh.dies))
    inside = _near_all_reduce_s(placement.mesh, near, in_tile, size, machine)
    if dies <= in_tray:
        return inside
    trays = math.ceil(dies / in_tray)
    ethernet = next(link for name, link in machine.levels[tray].links.items() if not link.within)
    wire = LinkCost(TTP_LATENCY_S, ethernet.count * ethernet.bandwidth_bytes_per_s)
    # Each of a tray's interface processors keeps a window of its own.
    senders = max(part.count for name, part in machine.levels[tray].parts.items() if machine.levels[name].memory)
    wire = wire.windowed(senders * _TTP_WINDOW_BYTES, 2 * TTP_LATENCY_S)
    return inside + min(ring_all_reduce_s(trays, size, wire), halving_all_reduce_s(trays, size, wire))


def _near_all_reduce_s(mesh: Mesh, replicas: int, in_tile: int, size: float, machine: Machine) -> float:
    """Over replicas of one tray: along the dies of each tile, and along the row of tiles.

    Assumed: a message between tiles takes as long as one between dies, which is all that is published.
    """
    die, _, tile = mesh_levels(machine)
    edge, far = next(iter(die.links.values())), next(iter(tile.links.values()))
    within = max(1, min(replicas, in_tile // mesh.dies))
    tiles = max(1, math.ceil(replicas / within))
    seconds = 0.0
    if within > 1:
        rows = math.isqrt(within)
        link = LinkCost(mesh.crossing_s, edge.bandwidth_bytes_per_s)
        seconds += mesh_all_reduce_s(rows, math.ceil(within / rows), size, link)
    if tiles > 1:
        seconds += mesh_all_reduce_s(1, tiles, size, LinkCost(mesh.crossing_s, far.bandwidth_bytes_per_s))
    return seconds


def _mesh_feeding_s(placement: Placement, machine: Machine, feed: Feed) -> float:
    """Until the next samples have come over the hosts' PCIe, which a tray's dies share."""
    for name, level in machine.levels.items():
        dies = machine.count(machine.accelerator, name)
        if dies and level.host is not None and level.host.pcie_bytes_per_s is not None:
            share = level.host.pcie_bytes_per_s * placement.mesh.dies * placement.replicas / dies
            return placement.samples * feed.sample_bytes / share
    return 0.0


def best_on_mesh(
    step: Batches,
    machine: Machine,
    samples: int,
    dies: int,
    feed: Feed = Feed(),
) -> tuple[Placement, VisionStep]:
    """The fastest way to take so many samples on so many dies: one replica, or several.

    Raises:
        ConfigError: none fits; with the reason of the largest replicas that make a rectangle.
    """
    found: list[tuple[Placement, VisionStep]] = []
    reasons: list[ConfigError] = []
    for replicas in _divisors(math.gcd(dies, samples)):
        if not _is_rectangle(machine, dies // replicas):
            continue
        try:
            placed = place(step, machine, samples, dies=dies, replicas=replicas)
        except ConfigError as error:
            reasons.append(error)
            continue
        found.append((placed, on_mesh(placed, machine, feed)))
    if not found:
        raise (
            reasons[0]
            if reasons
            else ConfigError(
                f"place {step.few.model}: expected samples that replicas of one tray or less can share, got "
                f"{samples} on {dies} dies; use a multiple of the number of tiles"
            )
        )
    return min(found, key=lambda one: one[1].total_s)


def _is_rectangle(machine: Machine, dies: int) -> bool:
    try:
        mesh_of(machine, dies)
    except ConfigError:
        return False
    return True


def _divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]


def largest_that_fits(step: Batches, machine: Machine, dies: int) -> int:
    """How many samples one replica of so many dies can take: a power of two.

    Raises:
        ConfigError: not even one.
    """
    if not fits(step, machine, 1, dies):
        place(step, machine, 1, dies=dies)
    samples = 1
    while fits(step, machine, 2 * samples, dies):
        samples *= 2
    return samples
