"""A mesh of nodes, dies and tiles."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.network.mesh import mesh_of
from dojo.machine.specs import load_machine

D1 = load_machine("d1")


def test_a_die_is_a_mesh_by_hand() -> None:
    die = mesh_of(D1, 1)
    assert (die.rows, die.columns, die.nodes, die.dies) == (20, 18, 354, 1)
    # Ten hops and nine hops of half a nanosecond to the middle; 64 bytes a cycle into each node.
    assert die.reach_s == pytest.approx(19 * 0.5e-9)
    assert die.node_bytes_per_s == 128e9
    assert die.sram_bytes == 354 * 1.25e6


def test_a_tile_is_crossed_over_the_edges_of_its_dies() -> None:
    tile = mesh_of(D1, 25)
    assert (tile.rows, tile.columns, tile.nodes) == (100, 90, 8850)
    # Two dies down and two across to the middle one: four crossings of 100 ns, and 95 hops.
    assert tile.reach_s == pytest.approx(4 * 100e-9 + 95 * 0.5e-9)
    # 2 TB/s an edge for 20 rows of nodes.
    assert tile.node_bytes_per_s == pytest.approx(100e9)
    # 36 TB/s of four edges are 90 GB/s for each of 100 rows.
    assert mesh_of(D1, 50).node_bytes_per_s == pytest.approx(90e9)


def test_a_small_sum_goes_to_the_middle_and_back() -> None:
    tile = mesh_of(D1, 25)
    assert tile.small_all_reduce_s(0.0) == pytest.approx(2 * tile.reach_s)
    # 16 KB once along each axis, there and back, at 100 GB/s.
    assert tile.small_all_reduce_s(16384.0) == pytest.approx(2 * tile.reach_s + 4 * 16384 / 100e9)


def test_dies_that_make_no_rectangle_are_refused() -> None:
    for dies in (0, 7, 30, 175, 3000):
        with pytest.raises(ConfigError, match=f"whole rows of 5 or one to 6 whole tiles of 25, got {dies}"):
            mesh_of(D1, dies)


def test_gpus_are_no_mesh() -> None:
    with pytest.raises(
        ConfigError, match=r"machine a100: expected gpus that are meshes .* timed by its roofline instead"
    ):
        mesh_of(load_machine("a100"), 1)
