"""A machine's networks as a step uses them: what a group of accelerators waits for when it exchanges something.

In: a machine, calibrated constants. Out: seconds of collectives and of sends, for groups given by size and stride.
Idea: networks are nested: a link reaches everything inside one level, and what lies farther goes over the next. A ring
is as fast as the slowest link it crosses; rings of different groups share the links that leave a domain, so a group
with several members inside gets as many shares. Members of a group are `stride` accelerators apart: tensor groups 1,
data groups as many as the tensor group has.
Not here: rings themselves (`dojo.machine.network.collectives`).
"""

from __future__ import annotations

from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Link, Machine
from dojo.machine.network.collectives import ring_all_reduce_s, ring_reduce_scatter_s
from dojo.machine.network.link import LinkCost


@dataclass(frozen=True)
class Reach:
    """What one network reaches.

    Args:
        accelerators: how many lie inside; 0 for as many as there are.
        bandwidth_bytes_per_s: of one accelerator's share of the links, in one direction.
        ring_bytes_per_s: of one ring at most: on a mesh, a single edge.
        latency_s: of one hop, where it is published.
    """

    name: str
    accelerators: int
    bandwidth_bytes_per_s: float
    ring_bytes_per_s: float
    latency_s: float | None


def reaches(machine: Machine) -> list[Reach]:
    """A machine's networks from the nearest to the farthest.

    Raises:
        ConfigError: nothing joins its accelerators.
    """
    names = list(machine.levels)
    found = []
    for name in names[names.index(machine.accelerator) :]:
        held = machine.count(machine.accelerator, name)
        for key, link in machine.levels[name].links.items():
            if held:
                found.append(_reach(machine, f"{name}.{key}", link, held))
    if not found:
        raise ConfigError(f"machine {machine.name}: expected links between its {machine.accelerator}s, found none")
    finite = sorted((reach for reach in found if reach.accelerators), key=lambda reach: reach.accelerators)
    return finite + [reach for reach in found if not reach.accelerators][:1]


def _reach(machine: Machine, name: str, link: Link, held: int) -> Reach:
    share = link.bandwidth_bytes_per_s * link.count / held
    mesh = bool(link.within) and machine.levels[link.within].grid is not None
    return Reach(
        name=name,
        accelerators=machine.count(machine.accelerator, link.within) if link.within else 0,
        bandwidth_bytes_per_s=share,
        ring_bytes_per_s=link.bandwidth_bytes_per_s if mesh else link.bandwidth_bytes_per_s * link.count,
        latency_s=link.latency_s,
    )


@dataclass(frozen=True)
class Wires:
    """What of a link's data sheet is seen in practice; fitted, see `constants.toml`.

    Args:
        near_share, far_share: of the bandwidth, inside the nearest network and beyond it.
        start_s: before a collective moves anything.
        near_hop_s, far_hop_s: of a hop, where the machine's file does not say.
    """

    near_share: float
    far_share: float
    start_s: float
    near_hop_s: float
    far_hop_s: float


@dataclass(frozen=True)
class Fabric:
    """The networks of a machine, as they are seen in practice."""

    networks: tuple[Reach, ...]
    wires: Wires

    @classmethod
    def of(cls, machine: Machine, wires: Wires) -> Fabric:
        """The networks of a machine."""
        return cls(tuple(reaches(machine)), wires)

    @property
    def nearest(self) -> int:
        """How many accelerators the fastest network joins."""
        return self.networks[0].accelerators or 1 << 30

    def link(self, members: int, stride: int) -> LinkCost:
        """What a ring over such a group sees of the links it crosses.

        Raises:
            ConfigError: the group is larger than what the machine's networks reach.
        """
        bandwidth, hop_s, inside = float("inf"), 0.0, 1
        for place, network in enumerate(self.networks):
            near = place == 0
            share = self.wires.near_share if near else self.wires.far_share
            ring = min(network.ring_bytes_per_s, network.bandwidth_bytes_per_s * inside)
            if near or inside < members:
                bandwidth = min(bandwidth, ring * share)
                fallback = self.wires.near_hop_s if near else self.wires.far_hop_s
                hop_s = fallback if network.latency_s is None else network.latency_s
            if not network.accelerators:
                return LinkCost(hop_s, bandwidth)
            inside = max(1, min(members, network.accelerators // stride))
            if members * stride <= network.accelerators:
                return LinkCost(hop_s, bandwidth)
        raise ConfigError(
            f"group of {members}, {stride} apart: expected at most {self.networks[-1].accelerators} accelerators, "
            f"which is what {self.networks[-1].name} reaches"
        )

    def all_reduce_s(self, members: int, stride: int, size_bytes: float) -> float:
        """A sum of `size_bytes` over a group."""
        if members == 1:
            return 0.0
        return self.wires.start_s + ring_all_reduce_s(members, size_bytes, self.link(members, stride))

    def half_s(self, members: int, stride: int, size_bytes: float) -> float:
        """A reduce-scatter or an all-gather of `size_bytes` in all: the half of an all-reduce."""
        if members == 1:
            return 0.0
        return self.wires.start_s + ring_reduce_scatter_s(members, size_bytes, self.link(members, stride))

    def exchange_s(self, members: int, stride: int, size_bytes: float) -> float:
        """Everybody's piece to everybody: each sends all of its `size_bytes` but its own share."""
        return self.half_s(members, stride, size_bytes)

    def send_s(self, distance: int, size_bytes: float) -> float:
        """One message to an accelerator so far away, while all others send theirs."""
        link = self.link(2, distance)
        return link.seconds(size_bytes)
