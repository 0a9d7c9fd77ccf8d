"""How a model drives, as a part of the report and as a page of its own.

In: a closed-loop result, films of some rollouts. Out: HTML.
Idea: a person should see in a minute how the model drives and where it fails: how many cases of each suite it
completed, with intervals, beside each other; the films, failures first; every failure with its reason; all figures,
folded away.
Not here: what was driven (`rollout.py`), the films (`rollout_video.py`), the pieces of a page (`markup.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from dojo.evaluate.closed_loop import ClosedLoopResult, SuiteResult
from dojo.evaluate.driving import DRIVING_METRICS, DrivingMetric, missed
from dojo.evaluate.driving_plots import PLAIN, completion, label
from dojo.evaluate.markup import cell, document, drawing, film, provenance_table, table
from dojo.records import Estimate, Rollout

Outcome = Literal["intervention", "missed", "completed"]

_OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    "intervention": ("Where a human would have had to take over", "Each film ends where the rollout did."),
    "missed": ("What it did not complete", "Nobody had to take over, but the case asked for something else."),
    "completed": ("What went well", "The first completed case of each suite, as far as there is room."),
}

SHARES = {"completed", "out_of_lane", "collided_at_fault", "collided_not_at_fault", "critical_time", "pace"}
"""Figures that people read as percentages."""

FIRST = {
    *("lateral_error_m", "out_of_lane", "collided_at_fault", "collided_not_at_fault", "lateral_acceleration_95_mps2"),
    *("lateral_jerk_mps3", "time_to_collision_s", "pace"),
}
"""The metrics that stand in the open table; every other stands in the folded ones."""

KILOMETRES = "Kilometres per intervention"


@dataclass(frozen=True)
class Film:
    """A rollout to look at: MP4 bytes, and what it shows in words."""

    outcome: Outcome
    title: str
    caption: str
    mp4: bytes

    @staticmethod
    def of(rollout: Rollout, mp4: bytes) -> Film:
        """The film of a rollout, with its title and caption."""
        outcome: Outcome = "intervention" if rollout.intervention else "missed" if missed(rollout) else "completed"
        why = "; ".join(missed(rollout)) or "completed"
        scenario = rollout.scenario
        wrong = f", {label(scenario.variant)}" if scenario.variant else ""
        return Film(
            outcome,
            scenario.scenario_id,
            f"{why.capitalize()} after {rollout.times_s[-1]:.0f} s{wrong}: {_where(rollout)}.",
            mp4,
        )


def _where(rollout: Rollout) -> str:
    """What a scenario is, as far as its values say it to a person."""
    scenario = rollout.scenario
    told = [
        str(scenario.place[name]).replace("_", " ") for name in ("road", "stretch", "weather") if name in scenario.place
    ]
    told += [f"begins {abs(scenario.start_offset_m):g} m to the {_side(scenario.start_offset_m)}"] * bool(
        scenario.start_offset_m
    )
    told += [f"asked for a {label(request.desire)} after {request.at_s:g} s" for request in scenario.requests]
    return ", ".join(told) or scenario.suite.replace("_", " ")


def _side(offset_m: float) -> str:
    return "left" if offset_m > 0 else "right"


def closed_loop_section(result: ClosedLoopResult, films: Sequence[Film] = ()) -> str:
    """How it drives, to stand in a page: headline, plot, films, failures, and all figures folded away."""
    plot = completion(result)
    return f"""<h2>How it drives</h2>
<p>{_headline(result)}</p>
{_completed_table(result)}
{drawing(plot.svg, plot.caption)}
{_films(films)}
{_failures(result)}
<h3>How the cases were driven</h3>
{_figures_table(result)}
<details><summary>Every figure of every suite, and of every variant</summary>
{"".join(_suite_table(suite) for suite in result.suites)}
</details>"""


def closed_loop_page(
    result: ClosedLoopResult, provenance: Mapping[str, object], films: Sequence[Film] = (), more: str = ""
) -> str:
    """The same as a page of its own.

    Args:
        more: HTML that follows the section.
    """
    cases = sum(suite.cases for suite in result.suites)
    done = cases - sum(len(suite.failures) for suite in result.suites)
    header = f"<h1>{done} of {cases} cases completed when the model steers, brakes and accelerates by itself</h1>"
    main = f"""{closed_loop_section(result, films)}
{more}
<h2>What was not tested</h2>
<ul><li>Roads, traffic and pictures other than those of the simulator: what it does not show, nobody has driven.</li>
<li>What happens in rare events: a suite of 24 cases says little about one in a thousand.</li>
<li>The vehicle around the model: limits, driver monitoring, take-over.</li></ul>
<h2>Where these figures come from</h2>
{provenance_table(provenance)}"""
    footer = """<p>These figures are evidence towards how well the model drives in the cases counted above, and nothing
more. Intervals: Wilson for counts, exact Poisson for rates, bootstrap over rollouts for means; all 95 %.</p>"""
    return document("Closed-loop report", header, main, footer)


def _headline(result: ClosedLoopResult) -> str:
    plain = [suite for suite in result.suites if not suite.variant] or list(result.suites)
    said = ", ".join(f"{suite.cases - len(suite.failures)} of {suite.cases} {label(suite.suite)}" for suite in plain)
    km = sum(float(suite.per_intervention.get("kilometres") or 0.0) for suite in plain)
    events = sum(int(suite.per_intervention.get("interventions") or 0) for suite in plain)
    takeovers = "no intervention" if events == 0 else f"{events} intervention{'s' * (events > 1)}"
    return (
        f"Cases completed: {escape(said)}. In all {km:.1f} km with {takeovers}. The model's own plan moves the vehicle."
    )


def _completed_table(result: ClosedLoopResult) -> str:
    """Suites down, variants across."""
    variants = list(dict.fromkeys(suite.variant for suite in result.suites))
    by_place = {(suite.suite, suite.variant): suite for suite in result.suites}
    rows = []
    for name in dict.fromkeys(suite.suite for suite in result.suites):
        cells = "".join(_completed_cell(by_place.get((name, variant))) for variant in variants)
        rows.append(f'<tr><th scope="row">{escape(label(name).capitalize())}</th>{cells}</tr>')
    head = '<th scope="col">Suite</th>' + "".join(
        f'<th scope="col">{escape((label(variant) or PLAIN).capitalize())}</th>' for variant in variants
    )
    return table("Large: cases completed. Small: 95 % interval of the share (Wilson).", head, rows)


def _completed_cell(suite: SuiteResult | None) -> str:
    if suite is None:
        return '<td><span class="count">not driven</span></td>'
    share, done = suite.figures["completed"], suite.cases - len(suite.failures)
    kind = "good" if done == suite.cases else "bad" if share.high < 0.5 else ""
    return cell(f"{done} of {suite.cases}", f"{100 * share.low:.0f} to {100 * share.high:.0f} %", kind)


def _figures_table(result: ClosedLoopResult) -> str:
    """The metrics that people ask for first, of every suite as it is."""
    metrics = [metric for metric in DRIVING_METRICS if metric.name in FIRST]
    rows = []
    for suite in [suite for suite in result.suites if not suite.variant] or result.suites:
        cells = "".join(_cell(suite.figures.get(metric.name), metric) for metric in metrics)
        rows.append(
            f'<tr><th scope="row">{escape(label(suite.name).capitalize())}</th>{cells}{_kilometres(suite)}</tr>'
        )
    titles = [*(metric.title + (f", {metric.unit}" if metric.unit else "") for metric in metrics), KILOMETRES]
    head = '<th scope="col">Suite</th>' + "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    return table("Large: the value. Small: its 95 % interval.", head, rows)


def _cell(found: Estimate | None, metric: DrivingMetric) -> str:
    if found is None:
        return '<td><span class="count">not judged</span></td>'
    return cell(_number(found.value, metric), _interval(found, metric))


def _kilometres(suite: SuiteResult) -> str:
    found = suite.per_intervention
    if not found:
        return '<td><span class="count">none driven</span></td>'
    value = f"none in {found['kilometres']:.1f}" if found["value"] is None else f"{found['value']:.2f}"
    high = "no limit" if found["high"] is None else f"{found['high']:.1f}"
    return cell(value, f"{found['low']:.2f} to {high}")


def _films(films: Sequence[Film]) -> str:
    """Failures first; nothing where there are no films."""
    if not films:
        return ""
    parts = [
        "<h3>To look at</h3><p>Blue edges: the lane. Orange ribbon: the plan that is driven. At the right the same "
        "from above, with other vehicles; below: turn asked, driven and of the lane, and speed beside a human's.</p>"
    ]
    for outcome, (title, what) in _OUTCOMES.items():
        mine = [film(one.title, one.caption, one.mp4) for one in films if one.outcome == outcome]
        if mine:
            parts.append(f'<h3>{title}</h3><p>{what}</p><div class="films">{"".join(mine)}</div>')
    return "".join(parts)


def _failures(result: ClosedLoopResult) -> str:
    """Every case that was not completed, and why, by suite."""
    parts = []
    for suite in result.suites:
        if suite.failures:
            items = "".join(
                f"<li><code>{escape(case)}</code> {escape('; '.join(why))}</li>" for case, why in suite.failures.items()
            )
            count = f"{label(suite.name).capitalize()}: {len(suite.failures)} of {suite.cases} not completed"
            parts.append(f'<details><summary>{escape(count)}</summary><ul class="reasons">{items}</ul></details>')
    return "<h3>Every failure, and why</h3>" + "".join(parts) if parts else "<p>Every case was completed.</p>"


def _suite_table(suite: SuiteResult) -> str:
    rows = []
    for metric in DRIVING_METRICS:
        if (found := suite.figures.get(metric.name)) is not None:
            title = metric.title + (f", {metric.unit}" if metric.unit else "")
            rows.append(f'<tr><th scope="row">{escape(title)}</th>{_cell(found, metric)}<td>{found.samples}</td></tr>')
    rows.append(f'<tr><th scope="row">{KILOMETRES}</th>{_kilometres(suite)}<td>{suite.cases}</td></tr>')
    caption = f"{label(suite.name).capitalize()}: {suite.cases} cases, manifest {suite.manifest[:12]}."
    head = '<th scope="col">Figure</th><th scope="col">Value, 95 %</th><th scope="col">Rollouts</th>'
    return table(caption, head, rows)


def _number(value: float, metric: DrivingMetric) -> str:
    if metric.name in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _interval(estimate: Estimate, metric: DrivingMetric) -> str:
    return f"{_number(estimate.low, metric).removesuffix(' %')} to {_number(estimate.high, metric)}"
