"""Networks as groups of accelerators see them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dojo.errors import ConfigError
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.fabric import Fabric, Wires, reaches
from dojo.machine.specs import load_machine

PERFECT = Wires(near_share=1.0, far_share=1.0, start_s=0.0, near_hop_s=0.0, far_hop_s=0.0)


def test_networks_are_listed_from_near_to_far() -> None:
    assert [(one.name, one.accelerators) for one in reaches(load_machine("a100"))] == [
        ("gpu.nvlink", 8),
        ("server.network", 0),
    ]
    sizes = [one.accelerators for one in reaches(load_machine("d1"))]
    assert sizes[0] == 25
    assert sizes == sorted(sizes, key=lambda size: size or 1 << 40)


def test_a_group_inside_a_server_sees_all_of_its_accelerators_links() -> None:
    fabric = Fabric.of(load_machine("a100"), PERFECT)
    assert fabric.link(8, 1).bandwidth_bytes_per_s == 300e9
    assert fabric.all_reduce_s(8, 1, 1e9) == pytest.approx(2 * 7 / 8 * 1e9 / 300e9)


@pytest.mark.parametrize(("stride", "share_bytes_per_s"), [(8, 25e9), (4, 50e9), (2, 100e9), (1, 200e9)])
def test_a_ring_that_leaves_servers_gets_the_share_of_as_many_adapters_as_members_inside(
    stride: int, share_bytes_per_s: float
) -> None:
    fabric = Fabric.of(load_machine("a100"), PERFECT)
    assert fabric.link(64, stride).bandwidth_bytes_per_s == share_bytes_per_s


def test_on_a_mesh_a_ring_has_one_edge() -> None:
    fabric = Fabric.of(load_machine("d1"), PERFECT)
    assert fabric.link(25, 1).bandwidth_bytes_per_s == 2e12


def test_the_measured_all_reduces_of_8_a100s_are_met_within_a_tenth() -> None:
    # VIA-Research/vTrain, trace/a100/AR_GPU8: 8.193 ms for 1 GiB, 0.58 ms for 64 MiB, 92.8 us for 1 MiB.
    fabric = Fabric.of(load_machine("a100"), load_constants().wires)
    for size, measured_s in ((2**30, 8.193e-3), (2**26, 0.5799e-3), (2**20, 92.8e-6)):
        assert fabric.all_reduce_s(8, 1, float(size)) == pytest.approx(measured_s, rel=0.1)


def test_a_group_of_one_exchanges_nothing() -> None:
    fabric = Fabric.of(load_machine("a100"), load_constants().wires)
    assert fabric.all_reduce_s(1, 8, 1e9) == fabric.half_s(1, 8, 1e9) == 0.0


def test_what_no_network_reaches_is_refused() -> None:
    toy = load_machine("toy")
    fabric = Fabric.of(toy, PERFECT)
    with pytest.raises(ConfigError, match=re.escape("expected at most 100 accelerators")):
        fabric.link(200, 1)
    alone = replace(toy, levels={name: replace(level, links={}) for name, level in toy.levels.items()})
    with pytest.raises(ConfigError, match="expected links between its chips"):
        reaches(alone)
