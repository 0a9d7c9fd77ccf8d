"""The page of a plan: one HTML file.

In: a plan, what was said of Dojo if that was asked for, where it comes from. Out: HTML.
Idea: the answer first, as a sentence; then how it grows, what it costs, what the answer hangs on; claims beside
figures; and at the end every assumption with its source, the unsourced ones marked, because a plan is worth what they
are.
Not here: the drawings (`plan_plots.py`), the arithmetic (`machine/plan/`), the pieces of any page
(`evaluate/markup.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dojo.evaluate.markup import document, drawing, facts, provenance_table, table
from dojo.machine.plan.plan import Plan
from dojo.machine.plan.ranges import Range, Spread, ranges_of
from dojo.machine.plan.said_of_dojo import CONSISTENT, INCONSISTENT, Finding
from dojo.recipes.plan_plots import plots_of, several, words

_VERDICT_CLASS = {CONSISTENT: "better", INCONSISTENT: "worse"}


def page_of(plan: Plan, found: Sequence[Finding], provenance: Mapping[str, object]) -> str:
    """The whole page as HTML text."""
    figures = [f"<h2>{escape(plot.title)}</h2>{drawing(plot.svg, plot.caption)}" for plot in plots_of(plan)]
    growth, money, drivers, budgets, failures, published = figures
    parts = [
        *([f"<h2>What was said, and what is found</h2>{_findings(found)}"] if found else []),
        growth,
        _levels(plan),
        money,
        _years(plan),
        drivers,
        budgets,
        failures,
        _jobs(plan),
        published,
        _standings(plan),
        f"<h2>What all this assumes</h2>{_assumptions(plan)}",
        f"<h2>Where these figures come from</h2>{provenance_table(provenance)}",
    ]
    header = f"<h1>{escape(headline(plan))}</h1>{_sentences(plan)}{facts(_facts(plan))}"
    footer = (
        "<p>Every range is of 2,000 draws from the assumptions above: one in ten lies below, one above. Figures of the "
        "machine and their sources are in its file; what is not known of it is not filled in.</p>"
    )
    return document("Plan of a machine", header, "\n".join(parts), footer, about=plan.question.machine.title)


def headline(plan: Plan) -> str:
    """The answer as a sentence."""
    question, spent, budget = plan.question, plan.spent_usd, plan.question.budget
    size = (
        f"{plan.flop_per_s.likely / 1e18:,.3g} exaflops of {question.machine.title} by {_month(question.build_up.by)}"
    )
    cost = f"take {_billions(spent)} until {_month(budget.until)}"
    if spent.low > budget.usd:
        return f"{size} {cost}: {spent.likely / budget.usd:.1f} times the budget"
    if spent.high < budget.usd:
        return f"{size} {cost}: within the budget"
    return f"{size} {cost}: the budget may or may not do"


def _month(day: object) -> str:
    return f"{day:%B %Y}"


def _billions(spread: Spread) -> str:
    unit, name = (1e9, "billion") if spread.high >= 1e9 else (1e6, "million")
    return f"{spread.low / unit:.3g} to {spread.high / unit:.3g} {name} dollars"


def _sentences(plan: Plan) -> str:
    budget, machine = plan.question.budget, plan.question.machine
    assumed = [name for name, bounds in _ranges(plan).items() if not bounds.grade.is_fact]
    afford = plan.affordable_flop_per_s.scaled(1e-18)
    said = [
        f"{_exact(plan.levels[0].count)} {several(machine.accelerator)}"
        + "".join(f", {_exact(level.count)} {several(level.name)}" for level in plan.levels[1:])
        + f"; {plan.it_power_w.likely / 1e6:,.3g} MW of IT load, {_two(plan.grid_power_w, 1e-6)} MW from the grid.",
        f"{budget.usd / 1e9:,.3g} billion dollars from {_month(budget.start)} to {_month(budget.until)} buy "
        f"{afford.low:.3g} to {afford.high:.3g} exaflops, research paid first.",
        f"One synchronous job can have {_two(plan.job_limit, 1.0)} {several(machine.accelerator)} before failures take "
        "more than a "
        "tenth of its time.",
        *(
            f"{standing.unit}: "
            f"{standing.why_not or f'place {standing.place} among {standing.among} listed systems and itself'}."
            for standing in plan.standings
        ),
        f"Assumptions with nothing to cite: {'; '.join(words(name) for name in assumed)}." if assumed else "",
    ]
    return "<ul class='verdict'>" + "".join(f"<li>{escape(one)}</li>" for one in said if one) + "</ul>"


def _ranges(plan: Plan) -> dict[str, Range]:
    return ranges_of(plan.question.assumptions) | plan.question.target.ranges


def _exact(spread: Spread) -> str:
    """A count as one number where it is one."""
    return f"{spread.likely:,.0f}" if spread.low == spread.high else _two(spread, 1.0)


def _two(spread: Spread, factor: float) -> str:
    low, high = spread.low * factor, spread.high * factor
    digits = 0 if high >= 20 else 1
    return f"{low:,.{digits}f} to {high:,.{digits}f}"


def _facts(plan: Plan) -> list[tuple[str, str]]:
    found = [
        ("Dense BF16 peak", f"{plan.flop_per_s.likely / 1e18:,.3g} EF"),
        (several(plan.question.machine.accelerator.capitalize()), f"{plan.levels[0].count.likely:,.0f}"),
        ("Power", f"{plan.grid_power_w.likely / 1e6:,.3g} MW"),
        ("Hardware", f"${plan.hardware_usd.likely / 1e9:,.3g} B"),
        ("Building", f"${plan.building_usd.likely / 1e9:,.3g} B"),
    ]
    if plan.video_hours is not None:
        found.insert(0, ("Video", f"{plan.video_hours.likely:,.3g} h"))
    return found


def _cells(*cells: str) -> str:
    first, *rest = cells
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'


def _head(*names: str) -> str:
    return "".join(f'<th scope="col">{escape(name)}</th>' for name in names)


def _told(spread: Spread, factor: float) -> str:
    """The median with its range beneath."""
    digits = 0 if spread.likely * factor >= 100 else 1 if spread.likely * factor >= 10 else 2
    value = f'<span class="value">{spread.likely * factor:,.{digits}f}</span>'
    if spread.low == spread.high:
        return value
    return (
        f'{value}<span class="interval">{spread.low * factor:,.{digits}f} to {spread.high * factor:,.{digits}f}</span>'
    )


def _findings(found: Sequence[Finding]) -> str:
    rows = [
        f'<tr><th scope="row" class="key">{escape(one.claim)}<span class="count" style="white-space:normal">'
        f"{escape(one.source)} ({one.grade.value})</span></th>"
        f'<td class="key">{escape(one.found)}</td><td class="key">{_verdict(one.verdict)}</td></tr>'
        for one in found
    ]
    caption = "Beside each claim its source and how good that is: primary, secondary, derived, or an assumption."
    head = "".join(f'<th scope="col" class="key">{name}</th>' for name in ("Said", "Found", "Verdict"))
    return table(caption, head, rows)


def _verdict(verdict: str) -> str:
    colour = _VERDICT_CLASS.get(verdict, "distinguishable")
    return f'<strong style="white-space:nowrap" class="{colour}">{verdict}</strong>'


def _levels(plan: Plan) -> str:
    machine = plan.question.machine
    rows = [
        _cells(
            escape(level.name),
            f"{level.accelerators_each:,}",
            _told(level.count, 1.0),
            _grade(machine.levels[level.name]),
        )
        for level in plan.levels
    ]
    for name, memory in (("memory on the chips, TB", plan.sram_bytes), ("memory beside them, TB", plan.memory_bytes)):
        if memory is not None:
            rows.append(_cells(name, "", _told(memory, 1e-12), ""))
    if plan.wafers is not None:
        rows.append(
            _cells("wafers of silicon", _told(plan.wafers.good_dies_each, 1.0), _told(plan.wafers.count, 1.0), "")
        )
    return table(
        "How many of each level.",
        _head("Level", f"{several(machine.accelerator)} in one", "How many", "Grade of its parts"),
        rows,
    )


def _grade(level: object) -> str:
    grades = sorted({part.grade.value for part in level.parts.values()})  # type: ignore[attr-defined]
    return ", ".join(grades)


def _years(plan: Plan) -> str:
    rows = [
        _cells(
            f"{year.year}{' and before' if place == 0 else ''}",
            *(_told(spread, 1e-6) for spread in (year.capital_usd, year.research_usd, year.energy_usd)),
        )
        for place, year in enumerate(plan.years)
    ]
    return table("Million dollars, three years.", _head("Year", "Capital", "Research", "Energy"), rows)


def _jobs(plan: Plan) -> str:
    rows = [
        _cells(
            f"{job.accelerators:,}",
            _told(job.mtbf_s, 1 / 3600),
            _told(job.checkpoint_every_s, 1 / 60),
            _told(job.progress_share, 100.0),
        )
        for job in plan.jobs
    ]
    head = _head("In one job", "Hours between failures", "Minutes between checkpoints", "Time in which it gets on, %")
    return table("Failures by size of the job.", head, rows)


def _standings(plan: Plan) -> str:
    rows = [
        _cells(
            escape(one.unit),
            "" if one.flop_per_s is None else f"{one.flop_per_s / 1e18:,.3g} exaflops",
            escape(one.why_not) or f"{one.place} of {one.among + 1}",
            escape("; ".join(one.larger)) or "none",
        )
        for one in plan.standings
    ]
    return table("Its place, unit by unit.", _head("Unit", "This machine", "Place", "Listed and larger"), rows)


def _assumptions(plan: Plan) -> str:
    rows = [
        _cells(
            escape(words(name)),
            *(f"{value:,.6g}" for value in (bounds.low, bounds.likely, bounds.high)),
            bounds.grade.value if bounds.grade.is_fact else f'<strong class="worse">{bounds.grade.value}</strong>',
            f'<span style="text-align:left;display:block">{escape(bounds.source)}</span>',
        )
        for name, bounds in _ranges(plan).items()
    ]
    caption = "The grade is that of the likely value; bounds are judgement unless the source names them."
    return table(caption, _head("What", "Low", "Likely", "High", "Grade", "Source"), rows)
