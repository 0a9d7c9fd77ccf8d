"""Closed forms are the schedules, and the tile does what was claimed for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.network import collectives, schedule
from dojo.machine.network.link import LinkCost, link_cost
from dojo.machine.specs import load_machine

LINKS = st.builds(LinkCost, st.floats(0, 1e-3), st.floats(1e6, 1e13))


@given(members=st.integers(1, 12), size=st.floats(0, 1e9), link=LINKS)
@settings(max_examples=60, deadline=None)
def test_rings_take_the_time_of_their_schedules(members: int, size: float, link: LinkCost) -> None:
    piece = size / members
    for rounds, closed in (
        (schedule.ring_reduce_scatter(members), collectives.ring_reduce_scatter_s),
        (schedule.ring_all_gather(members), collectives.ring_all_gather_s),
        (schedule.ring_all_reduce(members), collectives.ring_all_reduce_s),
    ):
        expected = schedule.seconds(rounds, piece, link, schedule.direct)
        assert closed(members, size, link) == pytest.approx(expected, rel=1e-9, abs=1e-30)


@given(members=st.integers(2, 20), size=st.floats(0, 1e9), link=LINKS)
@settings(max_examples=40, deadline=None)
def test_a_ring_in_a_line_takes_the_time_of_its_schedule(members: int, size: float, link: LinkCost) -> None:
    rounds = schedule.ring_all_reduce(members)
    expected = schedule.seconds(rounds, size / members, link, schedule.folded_line(members))
    hops = 2 if members > 2 else 1
    assert collectives.ring_all_reduce_s(members, size, link, hops) == pytest.approx(expected, rel=1e-9, abs=1e-30)


def test_collectives_of_the_toy_are_worked_out_in_the_head() -> None:
    cable = link_cost(load_machine("toy").levels["chip"].links["cable"])
    # 100 MB over ten chips: 18 rounds of 10 MB, each a millisecond and a microsecond.
    assert collectives.ring_all_reduce_s(10, 100e6, cable) == pytest.approx(18 * 1.001e-3)
    # Eight chips: six rounds of latency, and 7/8 of 100 MB twice at 10 GB/s.
    assert collectives.halving_all_reduce_s(8, 100e6, cable) == pytest.approx(6e-6 + 17.5e-3)
    # Ten chips: two hand their vector over and back, 10 ms and a microsecond each way.
    assert collectives.halving_all_reduce_s(10, 100e6, cable) == pytest.approx(6e-6 + 17.5e-3 + 20.002e-3)
    # A mesh of 2 x 5: the row of five with two hops, then two chips with a fifth.
    rings = 8 * (2e-6 + 2e-3) + 2 * (1e-6 + 1e-3)
    assert collectives.mesh_all_reduce_s(2, 5, 100e6, cable) == pytest.approx(rings)
    # One number: three hops to the middle and three back.
    assert collectives.mesh_all_reduce_s(2, 5, 0.0, cable) == pytest.approx(6e-6)


@pytest.mark.parametrize("time", [collectives.ring_all_reduce_s, collectives.halving_all_reduce_s])
def test_one_member_has_nothing_to_wait_for_and_none_is_refused(time: type) -> None:
    link = LinkCost(1.0, 1.0)
    assert time(1, 100.0, link) == 0.0
    with pytest.raises(ConfigError, match=r"^collective: expected one member or more, got 0$"):
        time(0, 100.0, link)


def test_a_mesh_of_one_row_is_a_line_and_of_one_place_is_nothing() -> None:
    link = LinkCost(1.0, 1.0)
    assert collectives.mesh_all_reduce_s(1, 1, 100.0, link) == 0.0
    # Whichever is better: four rounds of two hops and a third of the bytes, or one hop each way with all of them.
    assert collectives.mesh_all_reduce_s(1, 3, 9.0, link) == min(4 * (2 + 3), 2 * (1 + 9))
    with pytest.raises(ConfigError, match="expected one member or more, got 0"):
        collectives.mesh_all_reduce_s(0, 3, 9.0, link)


def test_a_small_all_reduce_over_a_tile_takes_a_few_microseconds_with_nothing_fitted() -> None:
    d1 = load_machine("d1")
    grid, edge = d1.levels["tile"].grid, d1.levels["die"].links["edge"]
    assert grid is not None
    # One edge in each direction; a batch norm's sums are some kilobytes.
    one_edge = LinkCost(link_cost(edge).latency_s, edge.bandwidth_bytes_per_s)
    time = collectives.mesh_all_reduce_s(grid.rows, grid.columns, 8e3, one_edge)
    # Two crossings along each axis to the middle, and back: 0.8 us, and 8 kB four times at 2 TB/s are 0.016 us. AI Day
    # 2022 is said to have claimed 5 us including what the nodes do; no transcript was found.
    assert time == pytest.approx(0.8e-6 + 0.016e-6)
    # A ring through all 25 dies, instead of the mesh, would wait for 48 crossings.
    assert collectives.ring_all_reduce_s(25, 8e3, one_edge) > 4.8e-6 > time
