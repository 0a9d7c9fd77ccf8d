"""What was said of Dojo between 2021 and 2024, beside what a plan makes of it.

In: a plan of the seed case, 100 exaflops of D1 by October 2024. Out: each claim, what is found, and whether they agree.
Idea: a claim is held against the plan's whole spread: consistent where it lies inside or is kept with ease, not where
even the most favourable tenth of the draws misses it. Where the unit or a figure is missing, nothing can be told, and
that is said. No claim is held against another claim of ours: the figures are published ones and stated assumptions.
Not here: the plan itself (`plan.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade
from dojo.machine.plan.build_up import month_number
from dojo.machine.plan.plan import Plan
from dojo.machine.plan.ranges import Spread
from dojo.machine.plan.ranking import fifth_place_flop_per_s

_A100_FLOP_PER_S = 312e12
_H100_FLOP_PER_S = 989.4e12
_GPU_BOX_USD = 199_000
_ROADMAP = "roadmap of @Tesla_AI, 21 June 2023 (casinoview.org, teslarati.com)"
_MUSK = "E. Musk, January 2024 (ca.news.yahoo.com/tesla-spend-500m, driveteslacanada.ca)"

CONSISTENT, INCONSISTENT, OPEN = "consistent", "not consistent", "cannot be told"


@dataclass(frozen=True)
class Finding:
    """A claim, what is found of it, and whether the two agree."""

    claim: str
    source: str
    grade: Grade
    found: str
    verdict: str


def findings_of(plan: Plan) -> tuple[Finding, ...]:
    """All claims beside a plan.

    Raises:
        ConfigError: the plan is not of D1, of which the claims are.
    """
    if plan.question.machine.name != "d1":
        raise ConfigError(f"findings: expected a plan of machine d1, got one of {plan.question.machine.name}")
    return (
        _unit(plan),
        _room(plan),
        _money(plan),
        _building(plan),
        _tile(plan),
        _equivalence(plan),
        _rank(plan),
        _pace(plan),
        _silicon(plan),
        _outcome(plan),
    )


def _between(spread: Spread, factor: float, digits: int = 1) -> str:
    return f"{spread.low * factor:,.{digits}f} to {spread.high * factor:,.{digits}f}"


def _level(plan: Plan, name: str) -> float:
    return next(level.count.likely for level in plan.levels if level.name == name)


def _unit(plan: Plan) -> Finding:
    a100 = 300_000 * _A100_FLOP_PER_S / 1e18
    return Finding(
        "The axis of the roadmap: 100 exaflops are 300,000 A100",
        f"{_ROADMAP}; the number of A100 from recollection of the graphic",
        Grade.ASSUMPTION,
        f"300,000 A100 are {a100:.1f} exaflops of dense BF16; so the unit is dense BF16 or FP16 peak, not sparse, "
        "not FP8, "
        f"not FP64. In it, 100 exaflops are {plan.levels[0].count.likely:,.0f} D1.",
        CONSISTENT if abs(a100 / (plan.flop_per_s.likely / 1e18) - 1) < 0.1 else INCONSISTENT,
    )


def _room(plan: Plan) -> Finding:
    pods = _level(plan, "exapod")
    return Finding(
        "Seven ExaPODs are planned in Palo Alto: is that the room for it?",
        "Tesla at AI Day 2022 (techstory.in, globalbusinessleadersmag.com)",
        Grade.SECONDARY,
        f"100 exaflops are {pods:,.0f} ExaPODs, {plan.grid_power_w.likely / 1e6:,.0f} MW from the grid "
        f"({_between(plan.grid_power_w, 1e-6, 0)}). Seven are 7.6 exaflops. When one was tested with more than 2 "
        "MW, the "
        "city's substation tripped.",
        INCONSISTENT if pods > 7 else CONSISTENT,
    )


def _money(plan: Plan) -> Finding:
    budget = plan.question.budget.usd
    verdict = CONSISTENT if plan.spent_usd.low <= budget else INCONSISTENT
    return Finding(
        "Well over a billion dollars until the end of 2024, research and capital together",
        "E. Musk and Z. Kirkhorn, 19 July 2023 (livemint.com 11689821160576, techstory.in)",
        Grade.SECONDARY,
        f"The whole plan takes {_between(plan.spent_usd, 1e-9)} billion dollars until the budget ends. A billion buys "
        f"{_between(plan.affordable_flop_per_s, 1e-18, 0)} exaflops after research, "
        f"{_between(plan.affordable_without_research_flop_per_s, 1e-18, 0)} if nothing is spent on research.",
        verdict,
    )


def _building(plan: Plan) -> Finding:
    budget, building = plan.question.budget.usd, plan.building_usd
    return Finding(
        "The same billion, against the building alone",
        "Cushman & Wakefield, Data Center Development Cost Guide 2025, page 8",
        Grade.SECONDARY,
        f"{plan.it_power_w.likely / 1e6:,.0f} MW of trays take a building of {_between(building, 1e-9)} billion "
        "dollars "
        "before a single die is paid for.",
        CONSISTENT if building.low <= budget else INCONSISTENT,
    )


def _tile(plan: Plan) -> Finding:
    tiles = _level(plan, "tile")
    usd, boxes = tiles * _GPU_BOX_USD, 6 * 8 * _A100_FLOP_PER_S
    return Finding(
        "A tile replaces six GPU boxes and costs less than one",
        "Tesla at AI Day 2022 (techstory.in); a DGX A100 was listed at 199,000 dollars (gadgetmix.com)",
        Grade.SECONDARY,
        f"Six boxes of eight A100 have {boxes / 1e15:.1f} petaflops, a tile 9.05: a tile would have to be used "
        f"{boxes / 9.05e15:.2f} times as well. At the price of a box, {tiles:,.0f} tiles are {usd / 1e9:.1f} "
        "billion dollars; "
        "to leave room for the building and the research within the budget, a tile may cost "
        f"{_tile_usd_within_budget(plan)}.",
        OPEN,
    )


def _tile_usd_within_budget(plan: Plan) -> str:
    """What the budget leaves for a tile when research and building are likely."""
    budget = plan.question.budget
    months = month_number(budget.until) - month_number(budget.start)
    research = plan.question.assumptions.research_usd_per_month.likely * months
    left = budget.usd - research - plan.building_usd.likely
    return "nothing at all" if left <= 0 else f"{left / _level(plan, 'tile'):,.0f} dollars"


def _equivalence(plan: Plan) -> Finding:
    h100 = plan.flop_per_s.likely / _H100_FLOP_PER_S
    usd, budget = h100 * 50_000, plan.question.budget.usd
    return Finding(
        "500 million dollars of Dojo are a 10,000 H100 system",
        _MUSK,
        Grade.SECONDARY,
        f"On that footing 100 exaflops are {h100:,.0f} H100 and {usd / 1e9:.1f} billion dollars, "
        f"{usd / budget:.0f} times "
        "the budget named half a year before. It is where this plan's upper price comes from.",
        CONSISTENT if usd <= budget else INCONSISTENT,
    )


def _rank(plan: Plan) -> Finding:
    day = date(2024, 1, 1)
    bf16 = fifth_place_flop_per_s(day)
    there = next((m.flop_per_s for m in plan.months if m.month == date(2023, 12, 1)), None)
    had = f" This plan would have {there.likely / 1e18:.0f} by then." if there else ""
    return Finding(
        "Among the five largest computers in early 2024",
        _ROADMAP,
        Grade.SECONDARY,
        "The list of the five largest counts FP64 LINPACK, and D1 has no FP64: it has no place there. In dense "
        "BF16 peak the "
        f"fifth of the systems listed here had {bf16 / 1e18:.1f} exaflops in January 2024, {bf16 / 1.086e18:.1f} "
        "ExaPODs."
        f"{had}",
        OPEN,
    )


def _pace(plan: Plan) -> Finding:
    months = plan.question.build_up.arriving_months
    tiles = _level(plan, "tile")
    busiest = float(max(plan.question.build_up.shares(month_number(plan.question.build_up.start), months)) * tiles)
    return Finding(
        "From the first production in July 2023 to 100 exaflops in October 2024",
        _ROADMAP,
        Grade.SECONDARY,
        f"{tiles:,.0f} tiles in {months} months: {tiles / months:,.0f} a month on average, {busiest:,.0f} once "
        "the ramp is "
        "over. By September 2022 Tesla had shown one cabinet of twelve, and no rate of production was ever published.",
        OPEN,
    )


def _silicon(plan: Plan) -> Finding:
    assert plan.wafers is not None, "D1 has an area"
    return Finding(
        "(Nobody's claim, a check of ours: is there enough silicon?)",
        "TSMC at the VLSI Symposium 2019; DigiTimes on wafer prices",
        Grade.SECONDARY,
        f"{_between(plan.wafers.count, 1.0, 0)} wafers at {_between(plan.wafers.good_dies_each, 1.0, 0)} good dies "
        "each: a few "
        f"hundred a month, and {_between(plan.wafers.usd_per_good_die, 1.0, 0)} dollars a die. Neither wafers nor "
        "their price "
        "is what stands in the way; packaging, power and buildings are.",
        CONSISTENT,
    )


def _outcome(plan: Plan) -> Finding:
    h100 = 85_000 * _H100_FLOP_PER_S / 1e18
    return Finding(
        "What came instead: a target of 85,000 H100 equivalents for the end of 2024",
        "Tesla, first quarter of 2024 (moomoo.com post 37077544, igamesnews)",
        Grade.SECONDARY,
        f"That is {h100:.0f} exaflops in the same unit, {h100 / (plan.flop_per_s.likely / 1e18):.0%} of the "
        "roadmap's, with bought chips: nearly the same amount was planned after all, on another chip and at its price.",
        OPEN,
    )
