"""Messages on a link."""

from __future__ import annotations

import dataclasses

import pytest

from dojo.errors import ConfigError
from dojo.machine.network.link import LinkCost, link_cost
from dojo.machine.specs import load_machine


def test_a_message_costs_its_latency_and_its_bytes() -> None:
    cable = link_cost(load_machine("toy").levels["chip"].links["cable"])
    # 10 kB at 10 GB/s are a microsecond, and a microsecond is the latency.
    assert cable.seconds(10e3) == pytest.approx(2e-6)
    assert cable.seconds(10e3, hops=3) == pytest.approx(4e-6)


def test_links_of_a_group_are_used_together() -> None:
    nvlink = load_machine("a100").levels["gpu"].links["nvlink"]
    assert link_cost(nvlink, latency_s=1e-6) == LinkCost(1e-6, 300e9)


def test_a_latency_that_nobody_published_must_be_given() -> None:
    nvlink = load_machine("a100").levels["gpu"].links["nvlink"]
    with pytest.raises(ConfigError, match=r"expected a latency, which is not published; pass latency_s$"):
        link_cost(nvlink)
    assert link_cost(dataclasses.replace(nvlink, latency_s=3.0)).latency_s == 3.0


def test_a_window_holds_a_fast_wire_back() -> None:
    # Chips and Cheese, 27 August 2024, on TTPoE: 1 MB in flight at about 80 us is 97.65 Gb/s; "about" is 2.5 % here.
    ttpoe = LinkCost(1e-6, 50e9).windowed(window_bytes=1e6, round_trip_s=80e-6)
    assert ttpoe.bandwidth_bytes_per_s * 8 == pytest.approx(97.65e9, rel=0.025)
    assert LinkCost(1e-6, 1e9).windowed(1e6, 80e-6) == LinkCost(1e-6, 1e9)


@pytest.mark.parametrize(("latency", "bandwidth"), [(-1.0, 1.0), (0.0, 0.0)])
def test_a_link_that_could_not_be_is_refused(latency: float, bandwidth: float) -> None:
    with pytest.raises(ConfigError, match=r"^link: expected a latency of 0 s or more and a positive bandwidth, got"):
        LinkCost(latency, bandwidth)
