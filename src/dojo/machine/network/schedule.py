"""Collectives by definition: which piece goes where in which round.

In: how many take part. Out: rounds of messages; what they compute; how long they take on a given network.
Idea: a collective is a list of rounds, and in a round everybody sends at once. Run on numbers, a schedule shows that
it computes what it should; run on links, it shows how long it takes when messages share a wire. The closed forms of
`collectives.py` are held against it.
Not here: closed forms for search (`collectives.py`).
Source: Thakur, Rabenseifner and Gropp 2005, "Optimization of collective communication operations in MPICH".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dojo.machine.network.link import LinkCost


@dataclass(frozen=True, slots=True)
class Message:
    """One piece from one member to another; there it is added to what lies there, or replaces it."""

    sender: int
    receiver: int
    piece: int
    adds: bool


Round = tuple[Message, ...]
Wire = tuple[int, int]
Route = Callable[[int, int], Sequence[Wire]]


def ring_reduce_scatter(members: int) -> tuple[Round, ...]:
    """n - 1 rounds after which member i holds the sum of piece i + 1."""
    return tuple(
        tuple(Message(i, (i + 1) % members, (i - turn) % members, adds=True) for i in range(members))
        for turn in range(members - 1)
    )


def ring_all_gather(members: int) -> tuple[Round, ...]:
    """n - 1 rounds after which everybody holds what member i had as piece i + 1."""
    return tuple(
        tuple(Message(i, (i + 1) % members, (i + 1 - turn) % members, adds=False) for i in range(members))
        for turn in range(members - 1)
    )


def ring_all_reduce(members: int) -> tuple[Round, ...]:
    """2 (n - 1) rounds after which everybody holds every sum."""
    return ring_reduce_scatter(members) + ring_all_gather(members)


def compute(
    rounds: Sequence[Round], pieces: Float64[np.ndarray, "members pieces"]
) -> Float64[np.ndarray, "members pieces"]:
    """What everybody holds after a schedule, from what everybody held before it."""
    held = pieces.copy()
    for messages in rounds:
        sent = [held[message.sender, message.piece] for message in messages]
        for message, value in zip(messages, sent, strict=True):
            held[message.receiver, message.piece] = value + message.adds * held[message.receiver, message.piece]
    return held


def seconds(rounds: Sequence[Round], piece_bytes: float, link: LinkCost, route: Route) -> float:
    """The time of a schedule whose rounds wait for each other, when messages on the same wire share it evenly."""
    total = 0.0
    for messages in rounds:
        routes = [route(message.sender, message.receiver) for message in messages]
        load = Counter(wire for wires in routes for wire in wires)
        total += max(link.seconds(piece_bytes * max(load[wire] for wire in wires), len(wires)) for wires in routes)
    return total


def direct(sender: int, receiver: int) -> Sequence[Wire]:
    """Through a switch that is never in the way: a wire of their own for each pair."""
    return [(sender, receiver)]


def folded_line(members: int) -> Route:
    """A ring laid into a line: out over every second place, back over the others, no hop longer than two."""
    places = [*range(0, members, 2), *reversed(range(1, members, 2))]

    def route(sender: int, receiver: int) -> Sequence[Wire]:
        start, end = places[sender], places[receiver]
        step = 1 if end > start else -1
        return [(place, place + step) for place in range(start, end, step)]

    return route
