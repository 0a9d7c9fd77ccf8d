"""Recipes side by side: how each drives, what it says in open loop, and what it gives away.

In: what was found of each recipe, all seeds together. Out: `report.html`.
Idea: the best open-loop model has been the worst driver (arXiv 2504.19077, table 2), so both stand in one table.
Not here: one recipe (`closed_loop_page.py`), the sums (`pooled.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from dojo.evaluate.closed_loop import ClosedLoopResult, SuiteResult
from dojo.evaluate.driving_plots import label, side_by_side
from dojo.evaluate.markup import cell, document, drawing, provenance_table, table
from dojo.evaluate.pooled import Spread


@dataclass(frozen=True)
class Row:
    """What was found of one recipe.

    Args:
        says: what the recipe is, in a few words.
        seeds: of its trainings.
        result: of all of them together.
        open_loop: by name of the metric.
        cheat: share of the offset that a probe explains, by axis.
    """

    says: str
    seeds: tuple[int, ...]
    result: ClosedLoopResult
    open_loop: Mapping[str, Spread]
    cheat: Mapping[str, Spread]


OPEN_LOOP = {
    "lateral_error_3s_m": "Open loop: lateral error at 3 s, m",
    "ade_3s_m": "Open loop: mean distance over 3 s, m",
}
"""The open-loop figures that stand beside how a recipe drives."""


def ablation_page(rows: Mapping[str, Row], provenance: Mapping[str, object]) -> str:
    """The whole page; rows in the order in which parts are added."""
    plot = side_by_side({name: row.result for name, row in rows.items()})
    header = f"<h1>{escape(_headline(rows))}</h1>"
    main = f"""<h2>The recipes</h2>
{_recipes(rows)}
<h2>Suites</h2>
{drawing(plot.svg, plot.caption)}
{_suites(rows)}
<h2>Where these figures come from</h2>
{provenance_table(provenance)}"""
    footer = """<p>The same data, the same cases, and as many training steps for each recipe. Intervals of counts are
Wilson's, of distances between interventions exact Poisson, 95 %, over cases and seeds together; ranges are the least
and the most of the seeds. Evidence towards what each part contributes on these cases, and nothing more.</p>"""
    return document("Ablation", header, main, footer)


def _headline(rows: Mapping[str, Row]) -> str:
    said = [f"{label(name)} {_done(row)} of {_cases(row)}" for name, row in rows.items()]
    return f"Cases completed: {', '.join(said)}"


def _plain(row: Row) -> list[SuiteResult]:
    return [suite for suite in row.result.suites if not suite.variant]


def _cases(row: Row) -> int:
    return sum(suite.cases for suite in _plain(row))


def _done(row: Row) -> int:
    return _cases(row) - sum(len(suite.failures) for suite in _plain(row))


def _recipes(rows: Mapping[str, Row]) -> str:
    """A row for each recipe: what it is, free driving, open loop, cheat."""
    head = "".join(
        f'<th scope="col">{escape(title)}</th>'
        for title in (
            *("Recipe", "Seeds", "Cases completed", "Free driving: km per intervention", *OPEN_LOOP.values()),
            *("Offset explained by a probe", "Heading explained"),
        )
    )
    lines = []
    for name, row in rows.items():
        cells = [
            f'<th scope="row">{escape(label(name).capitalize())}<span class="count">{escape(row.says)}</span></th>',
            f"<td>{len(row.seeds)}</td>",
            f'<td><span class="value">{_done(row)} of {_cases(row)}</span></td>',
            _free(row),
            *(_spread(row.open_loop.get(metric), "{:.3f}") for metric in OPEN_LOOP),
            *(_spread(row.cheat.get(axis), "{:.1%}") for axis in ("lateral", "yaw")),
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return table(
        "Large: the value, all seeds together or their mean. Small: interval, or range of the seeds.", head, lines
    )


def _free(row: Row) -> str:
    found = next((suite.per_intervention for suite in _plain(row) if suite.suite == "free_drive"), {})
    if not found:
        return '<td><span class="count">not driven</span></td>'
    value = f"none in {found['kilometres']:.0f}" if found["value"] is None else f"{found['value']:.2f}"
    high = "no limit" if found["high"] is None else f"{found['high']:.1f}"
    return cell(value, f"{found['low']:.2f} to {high}")


def _spread(found: Spread | None, form: str) -> str:
    if found is None:
        return '<td><span class="count">not measured</span></td>'
    return cell(form.format(found.mean), f"{form.format(found.least)} to {form.format(found.most)}")


def _suites(rows: Mapping[str, Row]) -> str:
    """Suites and their variants down, recipes across."""
    names = list(dict.fromkeys(suite.name for row in rows.values() for suite in row.result.suites))
    lines = []
    for name in names:
        cells = "".join(_cell(next((s for s in row.result.suites if s.name == name), None)) for row in rows.values())
        lines.append(f'<tr><th scope="row">{escape(label(name).capitalize())}</th>{cells}</tr>')
    head = '<th scope="col">Suite</th>' + "".join(
        f'<th scope="col">{escape(label(name).capitalize())}</th>' for name in rows
    )
    return table("Large: cases completed, all seeds together. Small: 95 % interval (Wilson).", head, lines)


def _cell(suite: SuiteResult | None) -> str:
    if suite is None:
        return '<td><span class="count">not driven</span></td>'
    share, done = suite.figures["completed"], suite.cases - len(suite.failures)
    return cell(f"{done} of {suite.cases}", f"{100 * share.low:.0f} to {100 * share.high:.0f} %")
