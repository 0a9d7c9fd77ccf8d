"""The plan, on a machine whose numbers can be done in the head, and on Dojo."""

from __future__ import annotations

import dataclasses
import time
from datetime import date

import pytest

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade
from dojo.machine.plan.assumptions import Assumptions, assumptions_for
from dojo.machine.plan.build_up import BuildUp
from dojo.machine.plan.plan import Budget, Plan, Question, make_plan
from dojo.machine.plan.ranges import Range, ranges_of
from dojo.machine.plan.target import DataLaw, Target
from dojo.machine.specs import load_machine

TOY = load_machine("toy")
BUILD_UP = BuildUp(date(2030, 1, 1), date(2030, 5, 1), ramp_months=1, hardware_lead_months=1, building_lead_months=2)
BUDGET = Budget(1e6, date(2030, 1, 1), date(2031, 1, 1))


def certain(assumed: Assumptions, **values: float) -> Assumptions:
    """The same without doubt, some figures set."""
    likely = {name: values.get(name, bounds.likely) for name, bounds in ranges_of(assumed).items()}
    exact = {name: Range(value, value, value, "made up", Grade.ASSUMPTION) for name, value in likely.items()}
    return dataclasses.replace(assumed, **exact)


ROUND = certain(
    assumptions_for(TOY),
    **{"price_usd": 1000.0, "building_usd_per_w": 5.0, "research_usd_per_month": 2000.0, "power_usage": 1.5},
    **{"load_share": 0.5, "electricity_usd_per_kwh": 0.1, "utilisation": 0.5, "mtbf_each_h": 1e12},
)


def toy_plan(target: Target | None = None, assumed: Assumptions = ROUND, budget: Budget = BUDGET) -> Plan:
    return make_plan(Question(TOY, target or Target(exaflops=0.004), BUILD_UP, budget, assumed))


def test_a_plan_worked_by_hand() -> None:
    # 4 Pflop/s of chips of 10 Tflop/s: 400 chips, 40 boxes of 1 kW, 4 rooms.
    plan = toy_plan()
    assert {level.name: level.count.likely for level in plan.levels} == {"chip": 400, "box": 40, "room": 4}
    assert plan.it_power_w.likely == 40e3
    assert plan.grid_power_w.likely == 60e3
    assert plan.hardware_usd.likely == 400e3
    assert plan.building_usd.likely == 200e3
    assert plan.memory_bytes is not None
    assert plan.memory_bytes.likely == 400 * 10e9
    assert plan.sram_bytes is None, "the core's memory is below the chip"
    # A hundred chips a month from January on, paid a month ahead, their building two.
    by_month = {month.month: month for month in plan.months}
    there = [by_month[date(2030, month, 1)].accelerators.likely for month in range(1, 7)]
    assert there == [100, 200, 300, 400, 400, 400]
    assert by_month[date(2029, 11, 1)].capital_usd.likely == pytest.approx(50e3)
    assert by_month[date(2029, 12, 1)].capital_usd.likely == pytest.approx(150e3)
    assert by_month[date(2030, 3, 1)].capital_usd.likely == pytest.approx(100e3)
    assert by_month[date(2030, 4, 1)].capital_usd.likely == 0
    # 60 kW at half load for 730.5 hours at 0.1 dollars.
    assert by_month[date(2030, 6, 1)].energy_usd.likely == pytest.approx(60 * 0.5 * 730.5 * 0.1)


def test_years_and_budget_are_sums_of_months() -> None:
    plan = toy_plan()
    first, second, third = plan.years
    assert (first.year, third.year) == (2030, 2032)
    assert first.capital_usd.likely == pytest.approx(600e3)
    assert second.capital_usd.likely == 0
    assert first.research_usd.likely == pytest.approx(2000 * (12 + 3))
    until_2031 = sum(
        month.capital_usd.likely + month.research_usd.likely + month.energy_usd.likely
        for month in plan.months
        if month.month < date(2031, 1, 1)
    )
    assert plan.spent_usd.likely == pytest.approx(until_2031)


def test_what_a_budget_buys_is_a_division() -> None:
    # A chip with its hundred watts of building: 1,500 dollars. A million less 12 x 2,000: 650.67 chips of 10 Tflop/s.
    plan = toy_plan()
    assert plan.affordable_flop_per_s.likely == pytest.approx(976e3 / 1500 * 10e12)
    assert plan.affordable_without_research_flop_per_s.likely == pytest.approx(1e6 / 1500 * 10e12)
    poor = toy_plan(budget=Budget(10e3, date(2030, 1, 1), date(2031, 1, 1)))
    assert poor.affordable_flop_per_s.likely == 0


def test_work_by_a_date_is_a_number_of_chips() -> None:
    # 10 Tflop/s at half of peak for a day are 4.32e17 flop; a hundred such days' worth in ten days: ten chips.
    plan = toy_plan(Target(flop=4.32e19, days=10.0), ROUND)
    assert plan.levels[0].count.likely == pytest.approx(10, abs=1)


def test_failures_ask_for_more_chips_and_at_last_refuse() -> None:
    easy = toy_plan(Target(flop=4.32e22, days=10.0))
    hard = toy_plan(Target(flop=4.32e22, days=10.0), certain(ROUND, mtbf_each_h=20_000.0))
    assert hard.levels[0].count.likely > 1.05 * easy.levels[0].count.likely
    with pytest.raises(ConfigError, match=r"^plan: expected a run that failures leave time for, got one that"):
        toy_plan(Target(flop=4.32e22, days=10.0), certain(ROUND, mtbf_each_h=300.0))


def test_the_doubt_of_a_law_is_in_the_answer() -> None:
    law = DataLaw(1.0, 0.3, pivot_hours=100.0, exponent_low=0.2, exponent_high=0.4)
    plan = toy_plan(Target(error=0.4, law=law, flop_per_hour=1e16, days=10.0))
    assert plan.video_hours is not None
    assert plan.video_hours.low < law.hours_for(0.4) < plan.video_hours.high
    assert plan.levels[0].count.high > 1.5 * plan.levels[0].count.low
    assert plan.cost_drivers[0].name == "law_exponent"


def test_the_same_question_has_the_same_answer_and_another_seed_nearly() -> None:
    question = Question(TOY, Target(exaflops=0.004), BUILD_UP, BUDGET, assumptions_for(TOY))
    one, two = make_plan(question), make_plan(question)
    assert one == two
    other = make_plan(dataclasses.replace(question, seed=1))
    assert other.spent_usd != one.spent_usd
    # Quantiles of 2,000 draws scatter by some percent of their width.
    assert other.spent_usd.likely == pytest.approx(one.spent_usd.likely, rel=0.03)


def test_drivers_are_the_ends_of_each_range() -> None:
    assumed = dataclasses.replace(ROUND, price_usd=Range(500.0, 1000.0, 3000.0, "made up", Grade.ASSUMPTION))
    (driver,) = toy_plan(assumed=assumed).cost_drivers
    assert (driver.name, driver.at_low, driver.at_high) == ("price_usd", 400e3, 1400e3)


def test_a_hundred_exaflops_of_dojo_are_the_sums_of_its_data_sheet() -> None:
    d1 = load_machine("d1")
    started = time.perf_counter()
    plan = make_plan(
        Question(
            d1,
            Target(exaflops=100.0),
            BuildUp(date(2023, 7, 1), date(2024, 10, 1)),
            Budget(1e9, date(2023, 7, 1), date(2025, 1, 1)),
            assumptions_for(d1),
        )
    )
    assert time.perf_counter() - started < 5.0, "seconds on two cores"
    counts = {level.name: level.count.likely for level in plan.levels}
    assert counts == {"die": 276_244, "tile": 11_050, "tray": 1842, "cabinet": 921, "exapod": 93}
    assert plan.it_power_w.likely == pytest.approx(184e6, rel=0.002)
    assert plan.sram_bytes is not None
    assert plan.sram_bytes.likely == pytest.approx(122e12, rel=0.01)
    assert plan.memory_bytes is not None
    assert plan.memory_bytes.likely == pytest.approx(1179e12, rel=0.001)
    assert plan.spent_usd.low > 1e9
    # On Musk's own equivalence a hundred exaflops are 5.05 billion dollars: the upper end of ours.
    assert plan.hardware_usd.high + plan.building_usd.likely == pytest.approx(5.05e9, rel=0.15)


def test_a_machine_without_power_or_peak_is_refused() -> None:
    levels = {name: dataclasses.replace(level, power=None) for name, level in TOY.levels.items()}
    machine = dataclasses.replace(TOY, levels=levels)
    with pytest.raises(ConfigError, match=r"^plan: expected the power of some level of machine toy, got none$"):
        make_plan(Question(machine, Target(exaflops=1.0), BUILD_UP, BUDGET, ROUND))
    levels = {name: dataclasses.replace(level, peak=None) for name, level in TOY.levels.items()}
    with pytest.raises(ConfigError, match=r"^plan: expected a dense BF16 peak of machine toy's chip, got none$"):
        make_plan(Question(dataclasses.replace(TOY, levels=levels), Target(exaflops=1.0), BUILD_UP, BUDGET, ROUND))


def test_a_budget_without_time_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^budget: expected dollars and at least a month"):
        Budget(1e9, date(2024, 1, 1), date(2024, 1, 15))
