"""`dojo plan exapod-100 | h100-100 | hours | error`: what a target takes on a machine, by a date and for a budget.

In: a target, a machine, two dates, a budget, and whatever the caller knows better than the assumptions. Out: a table, a
page, `plan.json`.
Idea: the seed case is a recipe like any other, so its every figure can be changed from the command line:
`dojo plan exapod-100 --machine h100`.
Not here: the arithmetic (`machine/plan/`), the page (`plan_page.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dojo.machine.chip.spec import Machine
from dojo.machine.plan.assumptions import assumptions_for
from dojo.machine.plan.build_up import BuildUp
from dojo.machine.plan.plan import Budget, Plan, Question, make_plan
from dojo.machine.plan.ranges import Spread, ranges_of
from dojo.machine.plan.said_of_dojo import Finding, findings_of
from dojo.machine.plan.target import DataLaw, Target
from dojo.machine.specs import load_machine
from dojo.recipes.plan_page import page_of
from dojo.recipes.plan_plots import several
from dojo.recipes.run import Outcome, record, write_record, write_whole


@dataclass(frozen=True)
class PlanRun:
    """Plan a machine.

    Args:
        machine: a name, or the path of a machine's file.
        target: what is wanted.
        build_up: when the parts arrive.
        budget: what may be spent, and when.
        price_usd: of one accelerator with its share of server, network and racks, without the building: low, likely and
            high. None takes what is known of the machine.
        research_usd_per_month: low, likely and high. None takes what is assumed of whoever designs, or buys, the chip.
        findings: whether to hold what was said of Dojo against the plan.
        out: folder for the page and `plan.json`.
        seed: of the draws.
    """

    machine: str = "d1"
    target: Target = field(default_factory=lambda: Target(exaflops=100.0))
    build_up: BuildUp = field(default_factory=lambda: BuildUp(date(2023, 7, 1), date(2024, 10, 1)))
    budget: Budget = field(default_factory=lambda: Budget(1e9, date(2023, 7, 1), date(2025, 1, 1)))
    price_usd: tuple[float, float, float] | None = None
    research_usd_per_month: tuple[float, float, float] | None = None
    findings: bool = False
    out: Path = Path("runs/plan")
    seed: int = 0


def exapod_100() -> PlanRun:
    """100 exaflops of Dojo by October 2024 for a billion dollars until the end of that year, as announced in 2023."""
    return PlanRun(findings=True)


def h100_100() -> PlanRun:
    """The same with bought H100."""
    return PlanRun(machine="h100")


def hours() -> PlanRun:
    """A million hours of video in a month of training, on bought H100, half a year from the first parts.

    An hour of video costs 2e16 flop: five frames a second of eight cameras, 140 Gflop forward and back for each.
    """
    return PlanRun(
        machine="h100",
        target=Target(hours=1e6, flop_per_hour=2e16),
        build_up=BuildUp(date(2027, 1, 1), date(2027, 7, 1), ramp_months=3),
        budget=Budget(50e6, date(2027, 1, 1), date(2029, 1, 1)),
    )


def error() -> PlanRun:
    """Half the error of a law fitted on a hundred hours, on bought H100.

    The law is an example: take the parameters that `dojo scale` reports.
    """
    law = DataLaw(scale=0.4, exponent=0.2, pivot_hours=100.0, exponent_low=0.15, exponent_high=0.25)
    return PlanRun(
        machine="h100",
        target=Target(error=0.2, law=law, flop_per_hour=2e16),
        build_up=BuildUp(date(2027, 1, 1), date(2027, 7, 1), ramp_months=3),
        budget=Budget(50e6, date(2027, 1, 1), date(2029, 1, 1)),
    )


CONFIG = PlanRun
CONFIGS = {"exapod-100": exapod_100, "h100-100": h100_100, "hours": hours, "error": error}


def run(config: PlanRun, console: Console) -> Outcome:
    """The plan, its page and its figures as JSON."""
    machine = load_machine(config.machine)
    assumed = assumptions_for(machine, config.price_usd, config.research_usd_per_month)
    plan = make_plan(Question(machine, config.target, config.build_up, config.budget, assumed, config.seed))
    found = findings_of(plan) if config.findings else ()
    run_record = record("plan", config, seed=config.seed)
    facts = facts_of(plan, found)
    write_record(config.out, run_record)
    write_whole(config.out / "plan.json", json.dumps(facts, indent=2) + "\n")
    page = config.out / "plan.html"
    write_whole(page, page_of(plan, found, asdict(run_record)))
    return Outcome(facts | {"page": str(page)}, _table(plan, found, page))


def facts_of(plan: Plan, found: tuple[Finding, ...]) -> dict[str, Any]:
    """Everything that the plan says, as JSON values; spreads as low, likely and high."""
    question = plan.question
    return {
        "machine": question.machine.name,
        "target": asdict(question.target),
        "by": str(question.build_up.by),
        "levels": {level.name: asdict(level.count) for level in plan.levels},
        **{name: _spread(getattr(plan, name)) for name in _SPREADS},
        "wafers": None if plan.wafers is None else asdict(plan.wafers),
        "months": [asdict(month) | {"month": str(month.month)} for month in plan.months],
        "years": [asdict(year) for year in plan.years],
        "jobs": [asdict(job) for job in plan.jobs],
        "budget_usd": question.budget.usd,
        "cost_drivers": [asdict(driver) for driver in plan.cost_drivers],
        "likely_capital_usd": plan.likely_capital_usd,
        "standings": [asdict(standing) for standing in plan.standings],
        "findings": [asdict(one) | {"grade": one.grade.value} for one in found],
        "assumptions": {
            name: asdict(bounds) | {"grade": bounds.grade.value}
            for name, bounds in (ranges_of(question.assumptions) | question.target.ranges).items()
        },
        "machine_assumptions": assumed_of(question.machine),
    }


_SPREADS = (
    "flop_per_s",
    "video_hours",
    "it_power_w",
    "grid_power_w",
    "sram_bytes",
    "memory_bytes",
    "hardware_usd",
    "building_usd",
    "spent_usd",
    "affordable_flop_per_s",
    "affordable_without_research_flop_per_s",
    "job_limit",
)


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)


def assumed_of(machine: Machine) -> list[str]:
    """The groups of figures in the machine's file that nobody published, which a reader has to be told of."""
    found = []
    for name, level in machine.levels.items():
        groups = {**level.parts, **level.links} | {key: value for key, value in vars(level).items() if key != "name"}
        found += [
            f"{name}.{key}"
            for key, group in groups.items()
            if getattr(group, "grade", None) is not None and not group.grade.is_fact
        ]
    return found


def _table(plan: Plan, found: tuple[Finding, ...], page: Path) -> Table:
    title = (
        f"{plan.flop_per_s.likely / 1e18:,.3g} exaflops of {plan.question.machine.title} by {plan.question.build_up.by}"
    )
    table = Table("what", "low", "likely", "high", title=title, title_justify="left")
    for level in plan.levels:
        _row(table, several(level.name), level.count)
    for name, spread, factor in (
        ("power from the grid, MW", plan.grid_power_w, 1e-6),
        ("hardware, million $", plan.hardware_usd, 1e-6),
        ("building, million $", plan.building_usd, 1e-6),
        (f"all that is spent until {plan.question.budget.until}, million $", plan.spent_usd, 1e-6),
        (f"exaflops for {plan.question.budget.usd / 1e6:,.0f} million $", plan.affordable_flop_per_s, 1e-18),
        ("largest job that gets on 90 % of the time", plan.job_limit, 1.0),
    ):
        _row(table, name, spread.scaled(factor))
    for standing in plan.standings:
        said = standing.why_not or f"place {standing.place} of {standing.among + 1}"
        table.add_row(standing.unit, "", said, "")
    for one in found:
        table.add_row(one.claim, "", one.verdict, "")
    table.caption = str(page)
    return table


def _row(table: Table, name: str, spread: Spread) -> None:
    digits = 0 if spread.high >= 100 else 1 if spread.high >= 1 else 3
    table.add_row(name, *(f"{value:,.{digits}f}" for value in (spread.low, spread.likely, spread.high)))
