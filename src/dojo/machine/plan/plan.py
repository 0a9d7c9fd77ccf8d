"""The plan: what a target takes on a machine, by a date and for a budget.

In: a `Question`. Out: a `Plan`.
Idea: one function turns draws of every assumption into draws of every answer. Called with many draws it gives spreads,
called with one assumption at a time at its bounds it gives what the answers hang on. All money is linear in the number
of accelerators but for research, so what a budget buys is a division.
Not here: the figures (`assumptions.py`), how parts arrive (`build_up.py`), what failures leave (`failures.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.plan.assumptions import Assumptions
from dojo.machine.plan.build_up import BuildUp, month_number, month_of
from dojo.machine.plan.failures import best_progress_share, daly_interval_s
from dojo.machine.plan.ranges import Draws, Spread, drawn, one_at_a_time, ranges_of
from dojo.machine.plan.ranking import Standing, standings
from dojo.machine.plan.silicon import good_dies_per_wafer
from dojo.machine.plan.target import Target

DRAWS = 2000
HOURS_PER_MONTH = 8766.0 / 12
PROGRESS_WANTED = 0.9

Table = Float64[np.ndarray, "months draws"]


@dataclass(frozen=True)
class Budget:
    """What may be spent, and when: from the first day of a month to that of another."""

    usd: float
    start: date
    until: date

    def __post_init__(self) -> None:
        if not self.usd > 0 or month_number(self.until) <= month_number(self.start):
            raise ConfigError(
                f"budget: expected dollars and at least a month, got {self.usd} from {self.start} to {self.until}"
            )


@dataclass(frozen=True)
class Question:
    """What a plan answers."""

    machine: Machine
    target: Target
    build_up: BuildUp
    budget: Budget
    assumptions: Assumptions
    seed: int = 0


@dataclass(frozen=True)
class LevelCount:
    """How many of one level there are, and how many accelerators one of them holds."""

    name: str
    accelerators_each: int
    count: Spread


@dataclass(frozen=True)
class Month:
    """One month of the plan; money is what is spent in it, everything else what is there at its end."""

    month: date
    accelerators: Spread
    flop_per_s: Spread
    grid_power_w: Spread
    capital_usd: Spread
    research_usd: Spread
    energy_usd: Spread
    spent_so_far_usd: Spread


@dataclass(frozen=True)
class Year:
    """One year of the plan; the first holds what was spent before it."""

    year: int
    capital_usd: Spread
    research_usd: Spread
    energy_usd: Spread


@dataclass(frozen=True)
class JobSize:
    """What failures leave of a job on so many accelerators."""

    accelerators: int
    mtbf_s: Spread
    checkpoint_every_s: Spread
    progress_share: Spread


@dataclass(frozen=True)
class Wafers:
    """The silicon behind it, if every accelerator is one piece of it."""

    good_dies_each: Spread
    count: Spread
    usd_per_good_die: Spread


@dataclass(frozen=True)
class Driver:
    """What one assumption does to an answer, all others being likely."""

    name: str
    at_low: float
    at_high: float


@dataclass(frozen=True)
class Plan:
    """What a target takes.

    Args:
        flop_per_s: dense BF16 peak.
        job_limit: how many accelerators one job may have to get on for `PROGRESS_WANTED` of the time.
        spent_usd: until the budget ends.
        affordable_flop_per_s: peak that the budget pays for, research first.
        affordable_without_research_flop_per_s: as if all of it were capital.
        cost_drivers: of capital, of the whole plan.
    """

    question: Question
    flop_per_s: Spread
    video_hours: Spread | None
    levels: tuple[LevelCount, ...]
    it_power_w: Spread
    grid_power_w: Spread
    sram_bytes: Spread | None
    memory_bytes: Spread | None
    wafers: Wafers | None
    hardware_usd: Spread
    building_usd: Spread
    months: tuple[Month, ...]
    years: tuple[Year, ...]
    jobs: tuple[JobSize, ...]
    job_limit: Spread
    spent_usd: Spread
    affordable_flop_per_s: Spread
    affordable_without_research_flop_per_s: Spread
    likely_capital_usd: float
    cost_drivers: tuple[Driver, ...]
    standings: tuple[Standing, ...]


def make_plan(question: Question) -> Plan:
    """The plan that answers a question.

    Raises:
        ConfigError: the machine lacks a figure that a plan needs, or failures leave nothing of a run of this size.
    """
    machine, assumed = question.machine, question.assumptions
    ranges = ranges_of(assumed) | question.target.ranges
    draws = drawn(ranges, DRAWS, question.seed)
    needed = _accelerators(question, draws)
    if not np.isfinite(np.median(needed)):
        raise ConfigError(
            f"plan: expected a run that failures leave time for, got one that no number of {machine.accelerator}s of "
            f"{machine.title} finishes in {question.target.days:g} days; give target.days more, or ask for less"
        )
    each_w = _watts_each(machine)
    money = _Money(question, draws, needed, each_w)
    one_by_one = one_at_a_time(ranges)
    capital = _capital_usd(one_by_one, _accelerators(question, one_by_one), each_w).sum(0)
    return Plan(
        question=question,
        flop_per_s=Spread.of(needed * _peak_each(machine)),
        video_hours=_video_hours(question.target, draws),
        levels=_levels(machine, needed),
        it_power_w=Spread.of(needed * each_w),
        grid_power_w=Spread.of(needed * each_w * draws["power_usage"]),
        sram_bytes=_stored(machine, needed, "sram"),
        memory_bytes=_stored(machine, needed, "memory"),
        wafers=_wafers(machine, draws, needed),
        hardware_usd=Spread.of(money.capital[0]),
        building_usd=Spread.of(money.capital[1]),
        months=money.months(),
        years=money.years(),
        jobs=_jobs(draws, float(np.median(needed))),
        job_limit=Spread.of(_job_limit(draws)),
        spent_usd=Spread.of(money.within_budget()),
        affordable_flop_per_s=Spread.of(_affordable(question, draws, each_w, research=True)),
        affordable_without_research_flop_per_s=Spread.of(_affordable(question, draws, each_w, research=False)),
        likely_capital_usd=float(capital[0]),
        cost_drivers=_drivers(tuple(ranges), capital),
        standings=standings(machine, float(np.median(needed)), assumed.hpl_share.likely, question.build_up.by),
    )


def _peak_each(machine: Machine) -> float:
    peak = machine.levels[machine.accelerator].peak
    if peak is None or peak.bf16_flop_per_s is None:
        raise ConfigError(
            f"plan: expected a dense BF16 peak of machine {machine.name}'s {machine.accelerator}, got none"
        )
    return peak.bf16_flop_per_s


def _watts_each(machine: Machine) -> float:
    """IT power of one accelerator with its share of the largest level whose power is known."""
    found = [
        level.power.power_w / machine.count(machine.accelerator, name)
        for name, level in machine.levels.items()
        if level.power is not None and machine.count(machine.accelerator, name)
    ]
    if not found:
        raise ConfigError(f"plan: expected the power of some level of machine {machine.name}, got none")
    return found[-1]


def _accelerators(question: Question, draws: dict[str, Draws]) -> Draws:
    """How many accelerators the target takes; infinite where failures leave a run of that size no time."""
    peak_each, target = _peak_each(question.machine), question.target
    wanted = target.peak_flop_per_s
    if wanted is not None:
        return np.full(len(draws["utilisation"]), math.ceil(wanted / peak_each), float)
    undisturbed = target.work_flop(draws.get("law_exponent")) / (target.days * 86400 * peak_each * draws["utilisation"])
    needed = undisturbed.copy()
    with np.errstate(divide="ignore"):
        for _ in range(200):  # more accelerators fail more often; settles, or grows without end
            needed = undisturbed / _progress(needed, draws)
    return np.where(needed < 1e12, np.ceil(needed), np.inf)


def _progress(accelerators: Draws, draws: dict[str, Draws]) -> Draws:
    with np.errstate(invalid="ignore"):
        share = best_progress_share(
            np.maximum(accelerators, 1.0), draws["mtbf_each_h"] * 3600, draws["checkpoint_s"], draws["restart_s"]
        )
    return np.nan_to_num(share)


def _video_hours(target: Target, draws: dict[str, Draws]) -> Spread | None:
    hours = target.video_hours(draws.get("law_exponent"))
    return None if hours is None else Spread.of(np.broadcast_to(hours, (DRAWS,)))


def _levels(machine: Machine, needed: Draws) -> tuple[LevelCount, ...]:
    """The accelerator and everything it is part of, smallest first."""
    held = {name: machine.count(machine.accelerator, name) for name in machine.levels}
    return tuple(LevelCount(name, count, Spread.of(np.ceil(needed / count))) for name, count in held.items() if count)


def _stored(machine: Machine, needed: Draws, kind: str) -> Spread | None:
    """All of one kind of memory, from the smallest level at or above the accelerator that has it."""
    for name, level in machine.levels.items():
        held, memory = machine.count(machine.accelerator, name), getattr(level, kind)
        if held and memory is not None:
            return Spread.of(needed / held * memory.capacity_bytes)
    return None


def _wafers(machine: Machine, draws: dict[str, Draws], needed: Draws) -> Wafers | None:
    silicon = machine.levels[machine.accelerator].silicon
    if silicon is None:
        return None
    good = np.vectorize(good_dies_per_wafer, otypes=[float])(silicon.area_mm2, draws["defects_per_cm2"])
    return Wafers(Spread.of(good), Spread.of(np.ceil(needed / good)), Spread.of(draws["wafer_usd"] / good))


def _capital_usd(draws: dict[str, Draws], needed: Draws, each_w: float) -> Float64[np.ndarray, "2 draws"]:
    """Hardware, and the building around it."""
    return np.stack([needed * draws["price_usd"], needed * each_w * draws["building_usd_per_w"]])


def _affordable(question: Question, draws: dict[str, Draws], each_w: float, *, research: bool) -> Draws:
    """Peak that the budget pays for."""
    budget = question.budget
    months = month_number(budget.until) - month_number(budget.start)
    left = budget.usd - (draws["research_usd_per_month"] * months if research else 0.0)
    each = draws["price_usd"] + each_w * draws["building_usd_per_w"]
    return np.maximum(left, 0.0) / each * _peak_each(question.machine)


def _jobs(draws: dict[str, Draws], whole: float) -> tuple[JobSize, ...]:
    """From a handful of accelerators to all of them, by factors of about three."""
    steps = max(2, round(math.log(max(whole, 2.0) / 30, 3)) + 1) if whole > 90 else 2
    sizes = sorted({max(1, round(size)) for size in np.geomspace(min(30.0, whole), whole, steps)})
    return tuple(_job(draws, size) for size in sizes)


def _job(draws: dict[str, Draws], size: int) -> JobSize:
    mtbf_s = draws["mtbf_each_h"] * 3600 / size
    every_s = daly_interval_s(draws["checkpoint_s"], mtbf_s)
    share = _progress(np.full(DRAWS, float(size)), draws)
    return JobSize(size, Spread.of(mtbf_s), Spread.of(every_s), Spread.of(share))


def _job_limit(draws: dict[str, Draws]) -> Draws:
    """The largest job that gets on for `PROGRESS_WANTED` of the time, by halving the interval of its logarithm."""
    low, high = np.zeros(DRAWS), np.full(DRAWS, 20.0)
    for _ in range(40):
        middle = (low + high) / 2
        enough = _progress(np.exp(middle), draws) >= PROGRESS_WANTED
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return np.floor(np.exp(low))


def _drivers(names: tuple[str, ...], answers: Draws) -> tuple[Driver, ...]:
    """What each assumption does to an answer, the strongest first; those that do nothing are left out."""
    pairs = zip(names, answers[1::2], answers[2::2], strict=True)
    found = [Driver(name, float(low), float(high)) for name, low, high in pairs if low != high]
    return tuple(sorted(found, key=lambda driver: -abs(driver.at_high - driver.at_low)))


class _Money:
    """What is spent in each month, in every draw."""

    def __init__(self, question: Question, draws: dict[str, Draws], needed: Draws, each_w: float) -> None:
        build_up, budget = question.build_up, question.budget
        self.question, self.needed = question, needed
        earliest = month_number(build_up.start) - build_up.building_lead_months - build_up.hardware_lead_months
        self.first = min(earliest, month_number(budget.start))
        self.count = 12 * (build_up.start.year + 3) - self.first
        self.capital = _capital_usd(draws, needed, each_w)
        arriving = build_up.shares(self.first, self.count)
        self.present = np.cumsum(arriving)[:, None] * needed
        self.power_w = self.present * each_w * draws["power_usage"]
        early = build_up.hardware_lead_months
        self.capital_by_month = (
            _paid(arriving, early) * self.capital[0] + _paid(arriving, build_up.building_lead_months) * self.capital[1]
        )
        self.research = np.broadcast_to(draws["research_usd_per_month"], self.present.shape)
        used_kwh = self.power_w * draws["load_share"] * HOURS_PER_MONTH / 1000
        self.energy = used_kwh * draws["electricity_usd_per_kwh"]

    def months(self) -> tuple[Month, ...]:
        peak = _peak_each(self.question.machine)
        so_far = np.cumsum(self.capital_by_month + self.research + self.energy, axis=0)
        return tuple(
            Month(
                month=month_of(self.first + place),
                accelerators=Spread.of(self.present[place]),
                flop_per_s=Spread.of(self.present[place] * peak),
                grid_power_w=Spread.of(self.power_w[place]),
                capital_usd=Spread.of(self.capital_by_month[place]),
                research_usd=Spread.of(self.research[place]),
                energy_usd=Spread.of(self.energy[place]),
                spent_so_far_usd=Spread.of(so_far[place]),
            )
            for place in range(self.count)
        )

    def years(self) -> tuple[Year, ...]:
        start = self.question.build_up.start.year
        return tuple(
            Year(year, *(Spread.of(self._in_year(table, year, first=year == start)) for table in self._tables()))
            for year in range(start, start + 3)
        )

    def within_budget(self) -> Draws:
        """All that is spent before the budget ends."""
        end = month_number(self.question.budget.until) - self.first
        return sum((table[:end].sum(0) for table in self._tables()), np.zeros(DRAWS))

    def _tables(self) -> tuple[Table, Table, Table]:
        return self.capital_by_month, self.research, self.energy

    def _in_year(self, table: Table, year: int, *, first: bool) -> Draws:
        start = 0 if first else 12 * year - self.first
        return table[start : 12 * (year + 1) - self.first].sum(0)


def _paid(arriving: Float64[np.ndarray, " months"], lead_months: int) -> Float64[np.ndarray, "months 1"]:
    """Shares by the month in which they are paid."""
    paid = np.zeros_like(arriving)
    for month, share in enumerate(arriving):
        paid[max(0, month - lead_months)] += share
    return paid[:, None]
