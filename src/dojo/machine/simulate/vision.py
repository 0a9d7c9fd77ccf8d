"""How long a captured training step takes on accelerators with memory beside them.

In: a captured step, a machine, how many accelerators. Out: seconds by what they are spent on.
Idea: an operator is as long as the longer of its products and its bytes, which come from memory and go back there.
Nothing here was fitted: rates are data sheets' and measured single kernels' (`operators.py`), what software fuses and
overlaps is what its authors say.
Not here: GPTs on many GPUs (`step.py`), a mesh that works from its own SRAM (`vision_mesh.py`).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.fuse import fuse
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Operator, Phase
from dojo.machine.compile.place import is_normalised_over_samples
from dojo.machine.network.collectives import halving_all_reduce_s
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.fabric import Fabric
from dojo.machine.simulate.operators import ARITHMETIC, Efficiency, memory_bytes_per_s, operator_seconds, units


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


UNFED = Feed()
"""Nothing is known of feeding, so nothing waits for it."""


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


@dataclass(frozen=True)
class Kernels:
    """A fused graph, and the seconds of each of its operators on an accelerator."""

    graph: Graph
    seconds: tuple[float, ...]


def kernels(graph: Graph, machine: Machine, constants: Constants, fusion: Fusion) -> Kernels:
    """What runs on a GPU, one after the other.

    Raises:
        ConfigError: the accelerator has no peak or no memory.
    """
    return timed(fuse(graph), machine, constants, fusion)


def timed(fused: Graph, machine: Machine, constants: Constants, fusion: Fusion) -> Kernels:
    """The kernels of a fused graph; those that are alike are timed once."""
    known: dict[Operator, float] = {}
    seconds = []
    for one in fused.operators:
        # Whether it reads one result or several matters, not which.
        alike = replace(one, after=(0,) * len(one.after[:2]), weights=())
        if alike not in known:
            known[alike] = kernel_seconds(one, machine, constants, fusion)
        seconds.append(known[alike])
    return Kernels(fused, tuple(seconds))


def on_gpus(
    graph: Graph,
    machine: Machine,
    count: int,
    constants: Constants,
    library: Library = Library(),
    feed: Feed = UNFED,
) -> VisionStep:
    """A step whose samples are divided over accelerators; the graph is of one accelerator's share.

    Raises:
        ConfigError: the accelerator has no peak or no memory.
    """
    return in_rounds(kernels(graph, machine, constants, library.fusion), machine, count, constants, library, feed)


def in_rounds(
    piece: Kernels,
    machine: Machine,
    count: int,
    constants: Constants,
    library: Library = Library(),
    feed: Feed = UNFED,
    *,
    rounds: int = 1,
    zero: int = 0,
) -> VisionStep:
    """A step whose samples are divided over accelerators, and on each over pieces.

    Args:
        rounds: pieces that each accelerator takes one after the other.
        zero: what is sharded over accelerators, see `Split` in `machine/compile/partition.py`.
    """
    fused, times = piece.graph, piece.seconds
    seconds = {"products": 0.0, "memory": 0.0, "optimiser": 0.0}
    for operator, time in zip(fused.operators, times, strict=True):
        once = operator.phase is Phase.OPTIMISER
        seconds[_part(operator)] += time / (count if zero else 1) if once else rounds * time
    busy = sum(seconds.values())
    host = library.launch_s * sum(1 if one.phase is Phase.OPTIMISER else rounds for one in fused.operators)
    # The longer of host and accelerator hides most of the shorter.
    seconds["launching"] = (busy**constants.mixing + host**constants.mixing) ** (1 / constants.mixing) - busy
    seconds["exchange"] = _exchange_s(fused, times, machine, count, constants, library, rounds, zero)
    whole = sum(seconds.values())
    seconds["feeding"] = max(0.0, feeding_s(rounds * fused.samples, machine, feed) - whole)
    return VisionStep(rounds * fused.samples * count, count, seconds)


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
    graph: Graph,
    times: Sequence[float],
    machine: Machine,
    count: int,
    constants: Constants,
    library: Library,
    rounds: int,
    zero: int,
) -> float:
    """What a step waits for until gradients are summed and weights are where they are used, in 16 bits both.

    Gradients are summed once. Where the optimiser's state is sharded they are scattered instead, and weights gathered
    under the next forward pass; sharded gradients are scattered in each round, sharded weights gathered for each pass
    of each round. A sum is a scattering and a gathering.
    """
    if count == 1:
        return 0.0
    whole = all_reduce_on_gpus_s(machine, count, 2.0 * graph.parameters, constants)
    passes = {
        phase: sum(time for one, time in zip(graph.operators, times, strict=True) if one.phase is phase)
        for phase in (Phase.FORWARD, Phase.BACKWARD)
    }

    def waited(size: float, phase: Phase) -> float:
        return max(size / buckets(graph), size - passes[phase]) if library.overlap else size

    if zero == 0:
        return waited(whole, Phase.BACKWARD)
    scattered, gathered = waited(whole / 2, Phase.BACKWARD), waited(whole / 2, Phase.FORWARD)
    if zero < 3:
        return (rounds if zero == 2 else 1) * scattered + gathered
    # The second gathering shares the backward pass with the scattering.
    return rounds * (gathered + waited(whole, Phase.BACKWARD))


def all_reduce_on_gpus_s(machine: Machine, count: int, size_bytes: float, constants: Constants) -> float:
    """A sum over accelerators, by a ring or, where that has too many rounds, by halves."""
    fabric = Fabric.of(machine, constants.wires)
    halves = constants.start_s + halving_all_reduce_s(count, size_bytes, fabric.link(count, 1))
    return min(fabric.all_reduce_s(count, 1, size_bytes), halves)


def buckets(graph: Graph) -> int:
    """In how many pieces gradients become ready."""
    return max(1, sum(one.name.endswith(WEIGHT_GRADIENT) for one in graph.operators))


def feeding_s(samples: int, machine: Machine, feed: Feed) -> float:
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
