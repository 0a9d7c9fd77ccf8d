"""Plots of a plan: growth, money, what the cost hangs on, what a budget buys, what failures leave, who is larger.
larger.

In: a plan. Out: `Plot`s for the page.
Idea: bands are one in ten below and above, lines the median; the budget and the target stand in the drawing, so that
no reader has to carry a figure from one place to another.
Not here: the page (`plan_page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from dojo.evaluate.plots import DASHES, SERIES, STYLE, Plot, svg_of
from dojo.machine.plan.plan import PROGRESS_WANTED, Plan
from dojo.machine.plan.ranges import Spread
from dojo.machine.plan.ranking import in_force


def plots_of(plan: Plan) -> tuple[Plot, ...]:
    """All plots of a plan, in the order of the page."""
    return (growth(plan), spending(plan), drivers(plan), budgets(plan), failures(plan), published(plan))


_WORDS = {
    "price_usd": "price of one accelerator with its share of the system, dollars",
    "research_usd_per_month": "research, dollars a month",
    "building_usd_per_w": "building, dollars per W of IT load",
    "power_usage": "power from the grid per IT power",
    "load_share": "mean power by largest",
    "electricity_usd_per_kwh": "electricity, dollars per kWh",
    "utilisation": "utilisation",
    "mtbf_each_h": "time between failures of one accelerator, hours",
    "checkpoint_s": "time to write a checkpoint, s",
    "restart_s": "time to restart, s",
    "hpl_share": "LINPACK by FP64 peak",
    "wafer_usd": "wafer, dollars",
    "defects_per_cm2": "defects per cm²",
    "law_exponent": "exponent of the data law",
}


def several(name: str) -> str:
    """The name of a level for more than one of it."""
    return name + ("es" if name.endswith(("x", "s", "ch")) else "s")


def words(name: str) -> str:
    """The name of an assumption, in words."""
    return _WORDS[name]


def _band(
    axes: Axes, places: Sequence[float], spreads: Sequence[Spread], factor: float, index: int, label: str
) -> None:
    colour = SERIES[index]
    scaled = [spread.scaled(factor) for spread in spreads]
    axes.fill_between(places, [s.low for s in scaled], [s.high for s in scaled], color=colour, alpha=0.18, linewidth=0)
    axes.plot(places, [s.likely for s in scaled], color=colour, linestyle=DASHES[index % 5], label=label)


def _by_month(axes: Axes, plan: Plan) -> list[float]:
    """Places of the months, as years with fractions, and the dates that matter."""
    build_up = plan.question.build_up
    axes.axvline(_year(build_up.by), color=SERIES[4], linewidth=1, linestyle=DASHES[1])
    axes.set_xlim(_year(plan.months[0].month), _year(plan.months[-1].month))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}" if value == int(value) else ""))
    axes.set_xticks(range(plan.months[0].month.year, plan.months[-1].month.year + 2))
    axes.set_xlabel("beginning of year")
    # A month's figures are those of its end.
    return [_year(month.month) + 1 / 12 for month in plan.months]


def _year(day: object) -> float:
    return day.year + (day.month - 1) / 12  # type: ignore[attr-defined]


def growth(plan: Plan) -> Plot:
    """Peak and power from the grid, month by month."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.set_title("Dense BF16 peak, exaflops")
        right.set_title("Power from the grid, MW")
        _band(left, _by_month(left, plan), [m.flop_per_s for m in plan.months], 1e-18, 0, "peak")
        _band(right, _by_month(right, plan), [m.grid_power_w for m in plan.months], 1e-6, 1, "power")
        for axes in (left, right):
            axes.set_ylim(bottom=0)
        power = plan.grid_power_w.scaled(1e-6)
        alt = (
            f"Growth to {plan.flop_per_s.likely / 1e18:.3g} exaflops by {plan.question.build_up.by}, drawing "
            f"{power.likely:.3g} MW ({power.low:.3g} to {power.high:.3g})."
        )
        svg = svg_of(figure, "growth", alt)
    build_up = plan.question.build_up
    caption = (
        f"Production rises evenly for {build_up.ramp_months} months and then holds. Upright: the date, {build_up.by}. "
        "Band: one draw in ten lies below it, one above."
    )
    return Plot("Month by month", svg, alt, caption)


def spending(plan: Plan) -> Plot:
    """What is spent in each month, and so far, against the budget."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.set_title("Spent in the month, million dollars")
        right.set_title("Spent so far, billion dollars")
        for index, (name, kind) in enumerate(
            (("capital", "capital_usd"), ("research", "research_usd"), ("energy", "energy_usd"))
        ):
            _band(left, _by_month(left, plan), [getattr(m, kind) for m in plan.months], 1e-6, index, name)
        left.legend(loc="upper right")
        _band(right, _by_month(right, plan), [m.spent_so_far_usd for m in plan.months], 1e-9, 0, "all of it")
        budget = plan.question.budget
        right.plot(
            [_year(budget.start), _year(budget.until)],
            [budget.usd / 1e9] * 2,
            color=SERIES[5],
            linewidth=2.5,
            label="budget",
        )
        right.legend(loc="upper left")
        for axes in (left, right):
            axes.set_ylim(bottom=0)
        spent = plan.spent_usd.scaled(1e-9)
        alt = (
            f"Spending reaches {spent.likely:.2f} billion dollars ({spent.low:.2f} to {spent.high:.2f}) by "
            f"{budget.until}; "
            f"the budget is {budget.usd / 1e9:.2f}."
        )
        svg = svg_of(figure, "spending", alt)
    caption = (
        f"Hardware is paid {plan.question.build_up.hardware_lead_months} months before it arrives, the building "
        f"{plan.question.build_up.building_lead_months}. Left and right rest on the same draws."
    )
    return Plot("Money by month", svg, alt, caption)


def drivers(plan: Plan) -> Plot:
    """What each assumption does to the capital, others being likely."""
    found = plan.cost_drivers[:8][::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 0.9 + 0.42 * max(len(found), 1)), layout="constrained")
        axes = figure.subplots()
        for place, driver in enumerate(found):
            for end, colour in ((driver.at_low, SERIES[1]), (driver.at_high, SERIES[0])):
                axes.barh(
                    place,
                    (end - plan.likely_capital_usd) / 1e9,
                    left=plan.likely_capital_usd / 1e9,
                    color=colour,
                    height=0.6,
                )
        axes.set_yticks(range(len(found)), [words(driver.name) for driver in found])
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("capital, billion dollars")
        alt = "Capital by assumption. " + "; ".join(
            f"{words(d.name)}: {d.at_low / 1e9:.3g} to {d.at_high / 1e9:.3g} billion dollars" for d in found[::-1]
        )
        svg = svg_of(figure, "drivers", alt)
    caption = (
        "Each bar: one assumption at its low (blue) and high (orange) bound, all others likely; the strongest on top."
    )
    return Plot("What the capital hangs on", svg, alt, caption)


def budgets(plan: Plan) -> Plot:
    """The peak that a budget buys, by budget."""
    usd = plan.question.budget.usd
    each = [plan.affordable_without_research_flop_per_s.scaled(1e-18), plan.affordable_flop_per_s.scaled(1e-18)]
    research = usd * (1 - each[1].likely / max(each[0].likely, 1e-30))
    places = [usd * step / 20 for step in range(1, 161)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.1), layout="constrained")
        axes = figure.subplots()
        for index, (fixed, spread, label) in enumerate(
            ((research, each[0], "after likely research"), (0.0, each[0], "all of it capital"))
        ):
            bought = [spread.scaled(max(0.0, place - fixed) / usd) for place in places]
            _band(axes, [place / 1e9 for place in places], bought, 1.0, index, label)
        axes.axhline(plan.flop_per_s.likely / 1e18, color=SERIES[4], linewidth=1, linestyle=DASHES[1])
        axes.axvline(usd / 1e9, color=SERIES[5], linewidth=1.4)
        axes.set(xlabel="budget, billion dollars", ylabel="exaflops, dense BF16")
        axes.set_ylim(0, 1.6 * plan.flop_per_s.likely / 1e18)
        axes.set_xlim(0, places[-1] / 1e9)
        axes.legend(loc="lower right")
        alt = (
            f"{usd / 1e9:.2f} billion dollars buy {each[1].likely:.3g} exaflops after research ({each[1].low:.3g} to "
            f"{each[1].high:.3g}), {each[0].likely:.3g} without it ({each[0].low:.3g} to {each[0].high:.3g})."
        )
        svg = svg_of(figure, "budgets", alt)
    return Plot(
        "What a budget buys", svg, alt, "Upright: the budget. Across: the target. Bands: price and building together."
    )


def failures(plan: Plan) -> Plot:
    """What failures leave of a job, by its size."""
    sizes = [float(job.accelerators) for job in plan.jobs]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.set_title("Share of time in which the job gets on")
        right.set_title("Minutes")
        _band(left, sizes, [job.progress_share for job in plan.jobs], 1.0, 0, "progress")
        left.axhline(PROGRESS_WANTED, color=SERIES[4], linewidth=1, linestyle=DASHES[1])
        left.set_ylim(0, 1.02)
        _band(right, sizes, [job.mtbf_s for job in plan.jobs], 1 / 60, 1, "between failures")
        _band(right, sizes, [job.checkpoint_every_s for job in plan.jobs], 1 / 60, 2, "between checkpoints")
        right.set_yscale("log")
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        right.legend(loc="upper right")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(f"{several(plan.question.machine.accelerator)} in one job")
        limit = plan.job_limit
        alt = f"A job gets on 90 % of the time up to {limit.likely:,.0f} ({limit.low:,.0f} to {limit.high:,.0f})."
        svg = svg_of(figure, "failures", alt)
    caption = (
        "One synchronous job that stops with each failure, checkpoints as often as is best (Daly 2006). Logarithmic."
    )
    return Plot("What failures leave", svg, alt, caption)


def published(plan: Plan) -> Plot:
    """Published systems in force on the date, in dense BF16, and this one among them."""
    day = plan.question.build_up.by
    figures = {
        s.name + ("" if s.grade.is_fact else " *"): s.bf16_flop_per_s / 1e18
        for s in in_force(day)
        if s.bf16_flop_per_s is not None
    }
    mine = f"this plan, {plan.question.machine.title}"
    figures[mine] = plan.flop_per_s.likely / 1e18
    names = sorted(figures, key=lambda name: figures[name])[-12:]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 0.8 + 0.3 * len(names)), layout="constrained")
        axes = figure.subplots()
        colours = [SERIES[0] if name == mine else SERIES[4] for name in names]
        axes.barh(names, [figures[name] for name in names], color=colours, height=0.62)
        for place, name in enumerate(names):
            axes.text(figures[name], place, f" {figures[name]:.3g}", va="center")
        axes.grid(visible=False)
        axes.set_xlabel(f"exaflops of dense BF16 peak, {day}")
        alt = f"Dense BF16 peak on {day}: " + "; ".join(f"{name} {figures[name]:.3g}" for name in reversed(names))
        svg = svg_of(figure, "published", alt)
    caption = (
        "Accelerators times data sheet, for systems whose number of accelerators is published; sources in "
        "`ranking.py`. "
        "There may be others, so a place here is the best that can be. *: a figure of it is from recollection."
    )
    return Plot("Among published systems, in one unit", svg, alt, caption)
