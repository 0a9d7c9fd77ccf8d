"""How long a captured training step takes on a mesh of nodes, such as Dojo's.

In: a captured step, a machine that is a mesh, how many dies. Out: a placement, and seconds by what they are spent on.
Idea: data lies in SRAM already, so what limits is the mesh that brings weights to everybody, or the time until all have
agreed. Nothing is fitted: rates are published and hops are counted.
Not here: who computes what (`machine/compile/place.py`), accelerators with memory beside them (`vision.py`).
"""

from __future__ import annotations

import math

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.cuts import Cut
from dojo.machine.compile.graph import Operator, Phase
from dojo.machine.compile.place import GRADIENT_BYTES, Placement, fits, is_normalised_over_samples, place
from dojo.machine.network.collectives import halving_all_reduce_s, mesh_all_reduce_s, ring_all_reduce_s
from dojo.machine.network.link import LinkCost
from dojo.machine.network.mesh import Mesh, mesh_levels, mesh_of
from dojo.machine.simulate.vision import UNFED, Feed, VisionStep, buckets

TTP_LATENCY_S = 2e-6
"""Of a message between interface processors. Assumed: "microseconds" (chipsandcheese.com, 27 August 2024)."""
_TTP_WINDOW_BYTES = 1e6
"""What a sender keeps until it is acknowledged. Source: Tesla at Hot Chips 2024, as told there."""


def on_mesh(placement: Placement, machine: Machine, feed: Feed = UNFED) -> VisionStep:
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
    seconds["exchange"] = max(whole / buckets(placement.graph), whole - backward)
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
    feed: Feed = UNFED,
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
