"""Schedules compute what they should, and wires are shared."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.machine.network import schedule
from dojo.machine.network.link import LinkCost


@pytest.mark.parametrize("members", [1, 2, 3, 5, 8])
def test_a_ring_adds_everything_up_for_everybody(members: int) -> None:
    pieces = np.random.default_rng(members).integers(0, 100, (members, members)).astype(np.float64)
    held = schedule.compute(schedule.ring_all_reduce(members), pieces)
    np.testing.assert_array_equal(held, np.tile(pieces.sum(0), (members, 1)))


@pytest.mark.parametrize("members", [2, 3, 5, 8])
def test_half_way_each_member_holds_one_sum(members: int) -> None:
    pieces = np.random.default_rng(members).integers(0, 100, (members, members)).astype(np.float64)
    held = schedule.compute(schedule.ring_reduce_scatter(members), pieces)
    owned = [held[i, (i + 1) % members] for i in range(members)]
    np.testing.assert_array_equal(owned, np.roll(pieces.sum(0), -1))


def test_messages_on_one_wire_share_it() -> None:
    both = ((schedule.Message(0, 1, 0, adds=True), schedule.Message(0, 1, 1, adds=True)),)
    assert schedule.seconds(both, 10.0, LinkCost(1.0, 10.0), schedule.direct) == 1.0 + 2.0
    apart = ((schedule.Message(0, 1, 0, adds=True), schedule.Message(1, 0, 1, adds=True)),)
    assert schedule.seconds(apart, 10.0, LinkCost(1.0, 10.0), schedule.direct) == 1.0 + 1.0


@pytest.mark.parametrize("members", [2, 3, 4, 5, 9, 20])
def test_a_folded_ring_passes_one_place_at_most_and_no_wire_twice(members: int) -> None:
    route = schedule.folded_line(members)
    wires = [route(i, (i + 1) % members) for i in range(members)]
    assert max(len(path) for path in wires) == (2 if members > 2 else 1)
    flat = [wire for path in wires for wire in path]
    assert len(flat) == len(set(flat))
    assert all(abs(a - b) == 1 and min(a, b) >= 0 and max(a, b) < members for a, b in flat)
