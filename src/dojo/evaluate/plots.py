"""Plots of an open-loop result as SVG that takes its colours from the page around it.

In: an open-loop result. Out: figures with title, SVG, a description for those who cannot see it, and a caption.
Idea: Matplotlib draws with placeholder colours, which are then replaced by CSS variables, so that one drawing is right
on a light and on a dark page; ids get a prefix, so that several drawings can stand in one page.
Every mark carries its interval, and every caption says how many samples and drives it rests on.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dojo.evaluate.metrics.calibration import LEVELS, TENTHS
from dojo.evaluate.metrics.displacement import UP_TO_S
from dojo.evaluate.metrics.hit_rate import RANGES_M, WITHIN_M, range_name
from dojo.evaluate.open_loop import MODEL, OpenLoopResult
from dojo.evaluate.verdict import label
from dojo.records import Estimate

# Placeholders: colours that nothing else uses, each replaced by a CSS variable of the page.
_INK, _GRID = "#010203", "#010204"
SERIES = ("#010210", "#010211", "#010212", "#010213", "#010214", "#010215")
_CSS = {_INK: "var(--ink)", _GRID: "var(--grid)"} | {c: f"var(--series-{i})" for i, c in enumerate(SERIES)}
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), "--")
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dojo",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
}


@dataclass(frozen=True)
class Plot:
    """A drawing for the page; `alt` says in words what it shows."""

    title: str
    svg: str
    alt: str
    caption: str


def svg_of(figure: Figure, prefix: str, alt: str) -> str:
    """The figure as an SVG element to stand inline in HTML, scaling with its container."""
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-").replace('xlink:href="#', f'href="#{prefix}-')
    for placeholder, variable in _CSS.items():
        text = text.replace(placeholder, variable)
    escaped = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return re.sub(r"<svg [^>]*?viewBox", f'<svg role="img" aria-label="{escaped}" viewBox', text, count=1).replace(
        ' version="1.1">', ">", 1
    )


def _predictors(result: OpenLoopResult) -> list[str]:
    return [MODEL, *result.baselines]


def _series(
    axes: Axes, places: Sequence[float] | Sequence[int], found: Sequence[Estimate | None], index: int, label: str
) -> None:
    """A line with a band where neighbours exist, and marks with whiskers everywhere."""
    kept = [(place, e) for place, e in zip(places, found, strict=True) if e is not None]
    if not kept:
        return
    xs, values = [p for p, _ in kept], [e.value for _, e in kept]
    lows, highs = [e.low for _, e in kept], [e.high for _, e in kept]
    colour = SERIES[index % len(SERIES)]
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.16, linewidth=0)
    axes.vlines(xs, lows, highs, color=colour, linewidth=1.1)
    front = 5 if index == 0 else 3
    axes.plot(
        xs,
        values,
        color=colour,
        linestyle=DASHES[index % 5],
        marker=MARKERS[index % 5],
        label=label,
        zorder=front,
        linewidth=2.6 if index == 0 else 1.5,
    )


def _rests_on(result: OpenLoopResult, names: Sequence[str]) -> str:
    """`n = 1,200 to 3,400 anchors, 12 drives` over some metrics of the model."""
    found = [result.figures[MODEL][name] for name in names if name in result.figures[MODEL]]
    if not found:
        return "no samples"
    least, most = min(e.samples for e in found), max(e.samples for e in found)
    drives = sorted({e.groups for e in found})
    count = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    spread = f"{drives[0]}" if len(drives) == 1 else f"{drives[0]} to {drives[-1]}"
    return f"n = {count} anchors, {spread} {'drive' if drives[-1] == 1 else 'drives'}"


def _spoken(result: OpenLoopResult, names: Sequence[tuple[str, str]], unit: str) -> str:
    """The model's figures read out, for those who cannot see the drawing."""
    figures = result.figures[MODEL]
    said = [
        f"{where}: {figures[n].value:.3g} {unit} ({figures[n].low:.3g} to {figures[n].high:.3g})"
        for n, where in names
        if n in figures
    ]
    return "Model " + "; ".join(said) if said else "No figures"


def _two_panels(titles: tuple[str, str], height: float = 3.1) -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(9.2, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set_title(titles[0])
    right.set_title(titles[1])
    return figure, left, right


def _logarithmic(axes: Axes) -> None:
    """Errors on a logarithmic scale, with plain numbers: predictors differ by factors, and a factor is what counts."""
    if not any((np.asarray(line.get_ydata()) > 0).any() for line in axes.lines):
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), handlelength=3.2)


def error_by_time(result: OpenLoopResult) -> Plot:
    """Lateral and longitudinal error at 1, 2, 3, 5 s."""
    with mpl.rc_context(STYLE):
        figure, *panels = _two_panels(("Lateral error, m", "Longitudinal error, m"))
        for axes, kind in zip(panels, ("lateral", "longitudinal"), strict=True):
            names = [f"{kind}_error_{s}s_m" for s in UP_TO_S]
            for index, who in enumerate(_predictors(result)):
                found = [result.figures[who].get(name) for name in names]
                _series(axes, list(UP_TO_S), found, index, label(who))
            axes.set_xticks(UP_TO_S, [f"{s} s" for s in UP_TO_S])
            _logarithmic(axes)
        _legend(figure, panels[0])
        names = [f"{kind}_error_{s}s_m" for kind in ("lateral", "longitudinal") for s in UP_TO_S]
        alt = "Error by time. " + _spoken(
            result, [(f"lateral_error_{s}s_m", f"lateral at {s} s") for s in UP_TO_S], "m"
        )
        svg = svg_of(figure, "by-time", alt)
    caption = (
        "Mean absolute error at a time after the anchor; bands are 95 % intervals; logarithmic scale. "
        f"{_rests_on(result, names)}."
    )
    return Plot("Error by time", svg, alt, caption)


def hits_and_errors_by_range(result: OpenLoopResult) -> Plot:
    """Hit rates and lateral errors in the five ranges."""
    names = [range_name(*bounds) for bounds in RANGES_M]
    ticks = [f"{low}–{high}" if high < 1000 else f"{low}+" for low, high in RANGES_M]
    with mpl.rc_context(STYLE):
        figure, hits, errors = _two_panels(("Hit rate, %", "Lateral error, m"), 3.4)
        for index, who in enumerate(_predictors(result)):
            found = [result.figures[who].get(f"hit_{name}") for name in names]
            percent = [_percent(e) for e in found]
            _series(hits, range(5), percent, index, label(who))
            found = [result.figures[who].get(f"lateral_error_{name}_m") for name in names]
            _series(errors, range(5), found, index, label(who))
        hits.set_xticks(range(5), [f"{t}\n< {d:g} m" for t, d in zip(ticks, WITHIN_M, strict=True)])
        errors.set_xticks(range(5), ticks)
        hits.set_ylim(0, 102)
        _logarithmic(errors)
        for axes in (hits, errors):
            axes.set_xlabel("forward distance of the driven point, m")
        _legend(figure, hits)
        alt = "Hit rate by range. " + _spoken(
            result, [(f"hit_{n}", f"{t} m") for n, t in zip(names, ticks, strict=True)], ""
        )
        svg = svg_of(figure, "by-range", alt)
    caption = (
        "Share of driven points that the plan came closer to than the distance below each range (OP-Deepdive's AP), "
        f"and mean error beside the path, logarithmic. {_rests_on(result, [f'hit_{name}' for name in names])}."
    )
    return Plot("Hit rate and error by range", svg, alt, caption)


def calibration(result: OpenLoopResult) -> Plot | None:
    """Coverage against nominal, and the tenths; None where the model states no spread."""
    figures = result.figures[MODEL]
    if "coverage_lateral_50" not in figures:
        return None
    with mpl.rc_context(STYLE):
        titles = ("Driven points inside the stated interval, %", "Share in each tenth of the prediction, %")
        figure, covered, tenths = _two_panels(titles, 3.3)
        covered.plot([0, 100], [0, 100], color=_INK, linewidth=1, linestyle=":", label="calibrated")
        tenths.axhline(100 / TENTHS, color=_INK, linewidth=1, linestyle=":")
        for index, kind in enumerate(("lateral", "longitudinal")):
            levels = [100 * level for level in LEVELS]
            found = [_percent(figures.get(f"coverage_{kind}_{level:.0f}")) for level in levels]
            _series(covered, levels, found, index, kind)
            found = [_percent(figures.get(f"tenth_{kind}_{tenth + 1}")) for tenth in range(TENTHS)]
            _series(tenths, range(1, TENTHS + 1), found, index, kind)
        covered.set(xlabel="nominal, %", xlim=(40, 100), ylim=(0, 102))
        covered.set_xticks([50, 80, 95])
        tenths.set(xlabel="tenth (1: right or behind; 10: left or ahead)")
        tenths.set_xticks(range(1, TENTHS + 1))
        tenths.set_ylim(bottom=0)
        _legend(figure, covered)
        names = [(f"coverage_lateral_{100 * level:.0f}", f"nominal {100 * level:.0f} %") for level in LEVELS]
        alt = "Coverage of the stated lateral intervals. " + _spoken(result, names, "of driven points")
        svg = svg_of(figure, "calibration", alt)
    caption = (
        "Left: below the dotted line the model is surer than its errors allow. Right: flat is calibrated; heaps at "
        f"both ends are overconfidence, a slope is a bias. {_rests_on(result, [n for n, _ in names])}."
    )
    return Plot("Calibration of the stated spread", svg, alt, caption)


def _percent(estimate: Estimate | None) -> Estimate | None:
    if estimate is None:
        return None
    return Estimate(100 * estimate.value, 100 * estimate.low, 100 * estimate.high, estimate.samples, estimate.groups)


def plots_of(result: OpenLoopResult) -> tuple[Plot, ...]:
    """The plots that every report has."""
    found = (error_by_time(result), hits_and_errors_by_range(result), calibration(result))
    return tuple(plot for plot in found if plot is not None)
