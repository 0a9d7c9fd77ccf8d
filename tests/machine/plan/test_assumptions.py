"""What a plan assumes."""

from __future__ import annotations

import dataclasses

import pytest

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade
from dojo.machine.plan.assumptions import BOUGHT_CHIPS, OWN_CHIP, PRICES_USD, WAFERS_5_NM, WAFERS_7_NM, assumptions_for
from dojo.machine.plan.ranges import ranges_of
from dojo.machine.specs import load_machine


def test_the_prices_of_dojo_are_the_two_that_were_named() -> None:
    # A tile of 25 for less than a box of 199,000 dollars; 50,000 dollars all in for what does the work of an H100.
    price = PRICES_USD["d1"]
    assert 25 * price.likely == 199_000
    building = 200_000 / 300 * 11.7  # a cabinet of 300 dies draws 200 kW
    assert price.high == pytest.approx(50_000 * 362 / 989.4 - building, rel=0.01)
    assert PRICES_USD["h100"].likely == pytest.approx(50_000 - 10_200 / 8 * 11.7, rel=0.01)


def test_who_designs_a_chip_pays_for_that() -> None:
    assert assumptions_for(load_machine("d1")).research_usd_per_month is OWN_CHIP
    assert assumptions_for(load_machine("h100")).research_usd_per_month is BOUGHT_CHIPS
    assert assumptions_for(load_machine("d1")).wafer_usd is WAFERS_7_NM
    assert assumptions_for(load_machine("h100")).wafer_usd is WAFERS_5_NM


def test_a_price_in_the_machines_file_is_taken_with_bounds() -> None:
    price = assumptions_for(load_machine("toy")).price_usd
    assert (price.low, price.likely, price.high) == (700.0, 1000.0, 1300.0)


def test_a_price_of_ones_own_goes_before_all_and_is_called_an_assumption() -> None:
    found = assumptions_for(load_machine("d1"), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert (found.price_usd.likely, found.research_usd_per_month.likely) == (2.0, 5.0)
    assert found.price_usd.grade is found.research_usd_per_month.grade is Grade.ASSUMPTION


def test_without_any_price_there_is_no_plan() -> None:
    toy = load_machine("toy")
    levels = {name: dataclasses.replace(level, price=None) for name, level in toy.levels.items()}
    with pytest.raises(ConfigError, match=r"^plan: expected a price of machine toy, found none in its file; give"):
        assumptions_for(dataclasses.replace(toy, levels=levels))


def test_everything_assumed_says_where_it_comes_from() -> None:
    for name in ("d1", "h100", "a100", "h200", "toy"):
        ranges = ranges_of(assumptions_for(load_machine(name)))
        assert len(ranges) == 13
        assert all(bounds.source for bounds in ranges.values())
