"""How long collectives take: closed forms, for search.

In: how many take part, bytes, a link. Out: seconds. Sizes are of the whole vector that each member holds or ends with.
Idea: a ring moves the least bytes and pays for every member in latency; a tree pays for the logarithm. On a mesh
without wrap-around a ring is folded into a line, so that a hop passes one neighbour, and an all-reduce goes along the
rows, then along the columns with what is left, and back. What is small goes to the middle and back instead.
Not here: proof (`schedule.py`, against which the tests hold these).
Source: Thakur, Rabenseifner and Gropp 2005, "Optimization of collective communication operations in MPICH"; Patarasuk
and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations".
"""

from __future__ import annotations

import math

from dojo.errors import ConfigError
from dojo.machine.network.link import LinkCost


def ring_reduce_scatter_s(members: int, size_bytes: float, link: LinkCost, hops: int = 1) -> float:
    """(n - 1) (alpha hops + size / n beta)."""
    _check(members)
    return (members - 1) * link.seconds(size_bytes / members, hops)


def ring_all_gather_s(members: int, size_bytes: float, link: LinkCost, hops: int = 1) -> float:
    """The same rounds the other way about."""
    return ring_reduce_scatter_s(members, size_bytes, link, hops)


def ring_all_reduce_s(members: int, size_bytes: float, link: LinkCost, hops: int = 1) -> float:
    """A reduce-scatter and an all-gather."""
    return 2 * ring_reduce_scatter_s(members, size_bytes, link, hops)


def halving_all_reduce_s(members: int, size_bytes: float, link: LinkCost) -> float:
    """Through a switch, by recursive halving and doubling: 2 alpha log2 n, and the bytes of a ring.

    Where the members are no power of two, those beyond it first give their vector to a partner and get it back.
    """
    _check(members)
    power = 1 << (members.bit_length() - 1)
    inside = 2 * (int(math.log2(power)) * link.latency_s + (1 - 1 / power) * size_bytes / link.bandwidth_bytes_per_s)
    return inside if power == members else inside + 2 * link.seconds(size_bytes)


def mesh_all_reduce_s(rows: int, columns: int, size_bytes: float, link: LinkCost) -> float:
    """On a mesh without wrap-around: the better of rings along both axes and the way to the middle and back."""
    _check(rows * columns)
    rings = ring_all_reduce_s(columns, size_bytes, link, hops=_dilation(columns))
    rings += ring_all_reduce_s(rows, size_bytes / columns, link, hops=_dilation(rows))
    hops = rows // 2 + columns // 2
    # To the middle and back; along each axis the bytes follow each other, adding as they pass.
    middle = 2 * (hops * link.latency_s + ((rows > 1) + (columns > 1)) * size_bytes / link.bandwidth_bytes_per_s)
    return min(rings, middle)


def _dilation(members: int) -> int:
    """The longest hop of a ring folded into a line."""
    return 2 if members > 2 else 1


def _check(members: int) -> None:
    if members < 1:
        raise ConfigError(f"collective: expected one member or more, got {members}")
