"""Plots of a closed-loop result as SVG that takes its colours from the page around it.

In: a closed-loop result; several, by name, where they are set side by side. Out: the share of cases that was completed,
by suite, with its interval.
Idea: a share of few cases is mostly interval, so the interval is what is drawn, and the share is a mark on it.
Not here: how a drawing becomes part of a page (`plots.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import matplotlib as mpl
from matplotlib.figure import Figure

from dojo.evaluate.closed_loop import ClosedLoopResult, SuiteResult
from dojo.evaluate.plots import DASHES, MARKERS, SERIES, STYLE, Plot, svg_of

PLAIN = "as it is"


def completion(result: ClosedLoopResult) -> Plot:
    """Cases completed, by suite, one mark for each variant."""
    variants = list(dict.fromkeys(suite.variant for suite in result.suites))
    found = {
        label(variant) or PLAIN: {suite.suite: suite for suite in result.suites if suite.variant == variant}
        for variant in variants
    }
    return _drawn(found, "completion", "Cases completed", "Marks: share of cases completed; lines: Wilson's 95 %.")


def side_by_side(results: Mapping[str, ClosedLoopResult]) -> Plot:
    """Cases completed without a variant, by suite, one mark for each of several policies."""
    found = {
        label(name): {suite.suite: suite for suite in result.suites if not suite.variant}
        for name, result in results.items()
    }
    return _drawn(
        found,
        "side-by-side",
        "Cases completed, side by side",
        "Marks: share of cases completed, all seeds together; lines: Wilson's 95 %.",
    )


def label(name: str) -> str:
    """A name for people: `lane centring`."""
    return name.replace("_", " ")


def _drawn(found: Mapping[str, Mapping[str, SuiteResult]], prefix: str, title: str, caption: str) -> Plot:
    suites = list(dict.fromkeys(suite for some in found.values() for suite in some))
    with mpl.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure(figsize=(9.2, 0.9 + len(suites) * (0.24 + 0.16 * len(found))), layout="constrained")
        axes = figure.subplots()
        for index, (name, some) in enumerate(found.items()):
            beside = (index - (len(found) - 1) / 2) * 0.7 / max(len(found), 1)
            rows = [(suites.index(suite) + beside, one.figures["completed"]) for suite, one in some.items()]
            places, estimates = [row for row, _ in rows], [estimate for _, estimate in rows]
            colour = SERIES[index % len(SERIES)]
            lows, highs = [100 * e.low for e in estimates], [100 * e.high for e in estimates]
            axes.hlines(places, lows, highs, color=colour, linewidth=1.8, linestyle=DASHES[index % len(DASHES)])
            axes.plot(
                [100 * e.value for e in estimates],
                places,
                MARKERS[index % len(MARKERS)],
                color=colour,
                label=name,
                markersize=6,
            )
        axes.set(xlim=(-2, 102), xlabel="cases completed, %")
        axes.set_yticks(range(len(suites)), [label(suite) for suite in suites])
        axes.invert_yaxis()
        if len(found) > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=min(6, len(found)))
        alt = f"{title}. " + "; ".join(_spoken(name, some.values()) for name, some in found.items())
        svg = svg_of(figure, prefix, alt)
    return Plot(title, svg, alt, f"{caption} {_cases(found)}.")


def _spoken(name: str, suites: Iterable[SuiteResult]) -> str:
    said = [f"{label(one.suite)} {one.cases - len(one.failures)} of {one.cases}" for one in suites]
    return f"{name}: {', '.join(said)}"


def _cases(found: Mapping[str, Mapping[str, SuiteResult]]) -> str:
    counts = [one.cases for some in found.values() for one in some.values()]
    return f"n = {min(counts)} to {max(counts)} cases each" if min(counts) < max(counts) else f"n = {counts[0]} cases"
