"""Operators that run as one kernel: what lies between them is never written.

In: a graph as it was captured, maybe divided. Out: a graph of fewer operators that move fewer bytes.
Idea: an operator on single numbers is done where its operand was just made, or where its result is read next. Products
stay by themselves: a library computes them. What a group's members hand to each other is not read again, and not
written either where nobody else wants it. A group runs where its last member stood; one is not made where somebody in
between waits for it.
Not here: fusion into products, which is the library's (`simulate/vision.py` has what MLPerf's does).
Source: what `torch.compile` and fusing libraries do alike; Ansel et al. 2024, "PyTorch 2", section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dojo.machine.compile.graph import Graph, Kind, Operator

_SINGLE = (Kind.ELEMENTWISE, Kind.COPY)
"""On single numbers."""
_JOINS = (*_SINGLE, Kind.NORMALISATION, Kind.REDUCTION)
"""Kernels that single numbers can be part of."""


def fuse(graph: Graph) -> Graph:
    """The graph after fusion."""
    return merged(graph, groups(graph, [0] * len(graph.operators)))


def groups(graph: Graph, where: Sequence[int]) -> list[list[int]]:
    """Which operators become one kernel each, in the order in which those run.

    Args:
        where: each operator is computed; none joins another elsewhere.
    """
    readers = _readers(graph)
    group_of = list(range(len(graph.operators)))
    members = {place: [place] for place in group_of}
    for place, operator in enumerate(graph.operators):
        host = _host(graph, group_of, readers, members, place, operator)
        if host is not None and where[host] == where[place]:
            members[host].append(place)
            del members[place]
            group_of[place] = host
    return sorted(members.values(), key=lambda group: group[-1])


def _readers(graph: Graph) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in graph.operators]
    for place, operator in enumerate(graph.operators):
        for before in operator.after:
            found[before].append(place)
    return found


def _host(
    graph: Graph,
    group_of: Sequence[int],
    readers: Sequence[Sequence[int]],
    members: dict[int, list[int]],
    place: int,
    operator: Operator,
) -> int | None:
    """The group that an operator joins: that of the last one that it waits for."""
    if not operator.after or operator.kind not in _JOINS:
        return None
    last = operator.after[-1]
    before = graph.operators[last]
    if before.kind not in _JOINS or before.phase is not operator.phase:
        return None
    if operator.kind not in _SINGLE and not all(graph.operators[at].kind in _SINGLE for at in members[group_of[last]]):
        return None  # Of normalisations and reductions a kernel has one.
    host = group_of[last]
    outside = [at for member in members[host] for at in readers[member] if group_of[at] != host and at != place]
    return host if all(at > place for at in outside) else None


def merged(graph: Graph, ordered: Sequence[Sequence[int]]) -> Graph:
    """The graph with one operator for each of its groups."""
    readers = _readers(graph)
    new_place = {member: place for place, group in enumerate(ordered) for member in group}
    kernels = []
    for place, group in enumerate(ordered):
        operators = [graph.operators[member] for member in group]
        inside = set(group)
        handed = sum(graph.operators[at].written_bytes for one in operators for at in one.after if at in inside)
        hidden = sum(
            graph.operators[member].written_bytes
            for member in group
            if readers[member] and inside.issuperset(readers[member])
        )
        read = sum(one.read_bytes for one in operators) - handed
        kernels.append(
            replace(
                _leader(operators),
                flops=sum(one.flops for one in operators),
                read_bytes=max(read, 0.0),
                written_bytes=sum(one.written_bytes for one in operators) - hidden,
                weight_bytes=sum(one.weight_bytes for one in operators),
                after=tuple(sorted({new_place[at] for one in operators for at in one.after} - {place})),
                weights=tuple(sorted({at for one in operators for at in one.weights})),
                belongs_to=None,  # Several members may belong to several kernels.
            )
        )
    return replace(graph, operators=tuple(kernels))


def _leader(operators: Sequence[Operator]) -> Operator:
    """The one that a group is called after: its normalisation or reduction, else its first."""
    return next((one for one in operators if one.kind not in _SINGLE), operators[0])
