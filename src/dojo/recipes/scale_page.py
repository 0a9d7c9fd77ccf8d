"""The page of a scaling study: one HTML file.

In: the content of `report.json`. Out: HTML: the verdict in words, error and failures by hours of data, what each
manoeuvre gains, what a target would take, the published exponents.
Idea: made from the report alone, so that page and figures cannot disagree. Measured points are marks, one a run; what a
law says is a line, and dashed where nothing was measured.
Not here: the findings (`scale_findings.py`), how pages are made (`evaluate/markup.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dojo.evaluate.markup import cell, document, drawing, facts, provenance_table, table
from dojo.evaluate.plots import DASHES, MARKERS, SERIES, STYLE, Plot, svg_of

_LAW_NAMES = {"power": "a D^-c", "floor": "e + a D^-c"}


def page_of(report: Mapping[str, Any]) -> str:
    """The whole page as HTML text."""
    first, *rest = report["verdict"]
    header = f"<h1>{escape(first)}</h1><ul class='verdict'>{''.join(f'<li>{escape(one)}</li>' for one in rest)}</ul>"
    header += facts(_facts(report))
    plots = [error_by_hours(report), by_manoeuvre(report)]
    parts = [f"<h2>{escape(plot.title)}</h2>{drawing(plot.svg, plot.caption)}" for plot in plots]
    main = [
        *parts,
        "<h2>The laws</h2>",
        _laws(report),
        "<h2>What a target would take</h2>",
        _needed(report),
        "<h2>Published exponents</h2>",
        _published(report),
        "<h2>All sizes</h2>",
        _sizes(report),
        "<h2>Where these figures come from</h2>",
        provenance_table(report["provenance"]),
    ]
    footer = (
        "<p>Intervals: 95 %, from how runs of one size scatter; all runs are judged on the same clips, which intervals "
        "do not cover. A law says nothing of roads, vehicles and weather that are in none of the sizes.</p>"
    )
    return document("Data-scaling report", header, "\n".join(main), footer)


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    sizes = [size for curve in report["curves"].values() for size in curve["sizes"]]
    hours = [size["hours"] for size in sizes]
    return [
        ("Runs", str(len(report["points"]))),
        ("Sizes", str(len({size["routes"] for size in sizes}))),
        ("Least data", _hours(min(hours))),
        ("Most data", _hours(max(hours))),
        ("Models", ", ".join(report["curves"])),
    ]


def error_by_hours(report: Mapping[str, Any]) -> Plot:
    """Every run, and both laws of every model, over hours of data."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.0), layout="constrained")
        axes = figure.subplots()
        for index, (model, curve) in enumerate(report["curves"].items()):
            colour = SERIES[index % len(SERIES)]
            largest = max(size["hours"] for size in curve["sizes"])
            places = [(size["hours"], error) for size in curve["sizes"] for error in size["errors"]]
            axes.plot(*zip(*places, strict=True), MARKERS[index % 6], color=colour, label=f"{model}, one run", zorder=5)
            for law, dashes in (("power", DASHES[0]), ("floor", DASHES[2])):
                _line(axes, curve["laws"][law], largest, colour, dashes, f"{model}, {_LAW_NAMES[law]}")
        for place, (name, value) in enumerate(_baselines(report).items()):
            axes.axhline(value, color=SERIES[-1 - place % 2], linewidth=1, linestyle=DASHES[1 + place % 3])
            # Each beside the last: those who see nothing may be equally wrong.
            at = (0.01 + 0.2 * place, value)
            said = axes.annotate(name.replace("_", " "), at, xycoords=("axes fraction", "data"), fontsize=8)
            said.set_in_layout(False)
        _logarithmic(axes)
        axes.set(xlabel="hours of training video", ylabel=_words(report["error"]))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        alt = "Error by hours of data. " + " ".join(report["verdict"][:2])
        svg = svg_of(figure, "scale", alt)
    runs = len(report["points"])
    caption = (
        f"Marks: one run each, n = {runs}, on validation clips. Lines: the fitted laws; band: 95 % of the mean of "
        "three further runs under the plain law; thin beyond the largest size. Both scales logarithmic."
    )
    return Plot("Error by hours of data", svg, alt, caption)


def _line(axes: Axes, law: Mapping[str, Any], largest: float, colour: str, dashes: Any, label: str) -> None:
    if "line" not in law:
        return
    known = [at for at in law["line"] if at["hours"] <= largest * 1.001]
    beyond = [at for at in law["line"] if at["hours"] >= known[-1]["hours"]]
    axes.plot([at["hours"] for at in known], [at["value"] for at in known], color=colour, linestyle=dashes, label=label)
    axes.plot(
        [at["hours"] for at in beyond], [at["value"] for at in beyond], color=colour, linestyle=dashes, linewidth=0.8
    )
    if "floor" not in law:
        every = law["line"]
        lows, highs = [at["low"] for at in every], [at["high"] for at in every]
        axes.fill_between([at["hours"] for at in every], lows, highs, color=colour, alpha=0.13, linewidth=0)


def by_manoeuvre(report: Mapping[str, Any]) -> Plot:
    """For each model, open-loop errors by tag, and beside them closed-loop failures by suite, over the same hours."""
    curves = report["curves"]
    driven = any(size["closed_loop"] for curve in curves.values() for size in curve["sizes"])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.4 * len(curves)), layout="constrained")
        rows = figure.subplots(len(curves), 2 if driven else 1, squeeze=False)
        for row, (model, curve) in zip(rows, curves.items(), strict=True):
            hours = [size["hours"] for size in curve["sizes"]]
            _errors(row[0], curve["by_tag"], f"{model}: open loop", _words(report["error"]))
            for axes in row:
                axes.set_xlim(0.85 * min(hours), 1.18 * max(hours))
            if driven:
                _failures(row[1], curve["sizes"], f"{model}: closed loop")
        alt = "Open-loop error and closed-loop failures by hours of data, by manoeuvre."
        svg = svg_of(figure, "manoeuvres", alt)
    counts = [found["drives"] for curve in curves.values() for found in curve["by_tag"].values()]
    said = f"Tags rest on {min(counts)} to {max(counts)} drives. " if counts else ""
    caption = (
        "Open loop: geometric mean over seeds on the validation clips that carry the tag; c: exponent of the plain law "
        f"with its 95 % interval. {said}"
    )
    if driven:
        caption += (
            "Closed loop: share of cases that were not completed, all seeds together, with Wilson's 95 %. In published "
            "studies failures did not fall as errors did."
        )
    return Plot("By manoeuvre: how well it predicts, how well it drives", svg, alt, caption)


def _errors(axes: Axes, tags: Mapping[str, Any], title: str, words: str) -> None:
    for index, (tag, found) in enumerate(tags.items()):
        c = found["exponent"]
        axes.plot(
            *zip(*found["means"], strict=True),
            color=SERIES[index % len(SERIES)],
            marker=MARKERS[index % 6],
            linestyle=DASHES[index % 5],
            label=f"{tag.replace('_', ' ')}: c {c['value']:.2f} [{c['low']:.2f}, {c['high']:.2f}]",
        )
    _logarithmic(axes)
    axes.set(xlabel="hours of training video", ylabel=words, title=title)
    if tags:
        axes.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)


def _failures(axes: Axes, sizes: Sequence[Mapping[str, Any]], title: str) -> None:
    for index, suite in enumerate(sizes[0]["closed_loop"]):
        told = [(size["hours"], size["closed_loop"][suite]) for size in sizes if suite in size["closed_loop"]]
        colour = SERIES[index % len(SERIES)]
        # Side by side, so that intervals of suites at one size do not hide one another.
        hours = [at * 1.03 ** (index - 1.5) for at, _ in told]
        lows, highs = ([100 * f["interval"][end] for _, f in told] for end in (0, 1))
        axes.vlines(hours, lows, highs, color=colour, linewidth=1)
        shares = [100 * found["share"] for _, found in told]
        axes.plot(
            hours,
            shares,
            color=colour,
            marker=MARKERS[index % 6],
            linestyle=DASHES[index % 5],
            label=suite.replace("_", " "),
        )
    _logarithmic(axes, up=False)
    axes.set(xlabel="hours of training video", ylabel="cases failed, %", ylim=(-3, 103), title=title)
    axes.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _laws(report: Mapping[str, Any]) -> str:
    rows = []
    for model, curve in report["curves"].items():
        for law, found in curve["laws"].items():
            name = f"<th scope='row'>{escape(model)}: {_LAW_NAMES[law]}</th>"
            if "refused" in found:
                rows.append(f"<tr>{name}<td colspan='4'>{escape(found['refused'])}</td></tr>")
                continue
            cells = "".join(_estimate(found.get(part)) for part in ("exponent", "scale", "floor"))
            rows.append(f"<tr>{name}{cells}{_held_out(found['held_out'])}</tr>")
    head = "".join(f'<th scope="col">{n}</th>' for n in ("Law", "c", "a", "e", "Largest size: predicted, measured"))
    return table("Both laws, D in hours of video. Small: 95 % interval.", head, rows)


def _estimate(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "<td>0</td>"
    return cell(f"{found['value']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}")


def _held_out(found: Mapping[str, Any]) -> str:
    if "refused" in found:
        return "<td>too few sizes</td>"
    e, word = found["predicted"], "inside" if found["inside"] else "outside"
    return cell(f"{e['value']:.3f}, {found['measured']:.3f}", f"{e['low']:.3f} to {e['high']:.3f}: {word}")


def _needed(report: Mapping[str, Any]) -> str:
    rows = []
    for model, curve in report["curves"].items():
        for law, found in curve["laws"].items():
            for needed in found.get("needed", ()):
                value, low, high = (_hours(needed[name]) for name in ("value", "low", "high"))
                never = f"{100 * needed['unreachable']:.0f} %"
                rows.append(
                    f"<tr><th scope='row'>{escape(model)}: {_LAW_NAMES[law]}</th><td>{needed['target']:.3f}</td>"
                    f"<td>{value}</td><td>{low} to {high}</td><td>{never}</td></tr>"
                )
    names = ("Law", "Target error", "Hours of video", "95 % interval", "Resamples in which no amount would do")
    return table("Read with the verdict above.", "".join(f'<th scope="col">{name}</th>' for name in names), rows)


def _published(report: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><th scope='row'>{escape(entry['who'])}</th><td>{escape(entry['error'])}</td>"
        f"<td>{_LAW_NAMES[entry['law']]}</td><td>{entry['exponent']:.3f}</td><td>{escape(entry['range'])}</td></tr>"
        for entry in report["published"]
    ]
    for model, curve in report["curves"].items():
        for law, found in curve["laws"].items():
            if "exponent" in found:
                c, sizes = found["exponent"], curve["sizes"]
                rows.append(
                    f"<tr><th scope='row'>here, {escape(model)}</th><td>{escape(_words(report['error']))}</td>"
                    f"<td>{_LAW_NAMES[law]}</td><td>{c['value']:.3f} ({c['low']:.3f} to {c['high']:.3f})</td>"
                    f"<td>{_hours(sizes[0]['hours'])} to {_hours(sizes[-1]['hours'])}</td></tr>"
                )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Study", "Error", "Law", "c", "Range"))
    return table("Other errors, other data, other models: a frame of reference, no comparison.", head, rows)


def _sizes(report: Mapping[str, Any]) -> str:
    rows = []
    for model, curve in report["curves"].items():
        for size in curve["sizes"]:
            errors = ", ".join(f"{error:.3f}" for error in size["errors"])
            rows.append(
                f"<tr><th scope='row'>{escape(model)}</th><td>{size['routes']}</td><td>{_hours(size['hours'])}</td>"
                f"<td>{size['kilometres']:.1f}</td><td>{size['vehicles']:.0f}</td><td>{errors}</td>"
                f"<td>{size['flat']} of {len(size['errors'])}</td></tr>"
            )
    names = ("Model", "Routes", "Video", "Kilometres", "Vehicles", "Error of each run", "Flat")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return table("Flat: runs whose error on the vehicles held back had stopped falling.", head, rows)


def _baselines(report: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = next(iter(report["curves"].values()))["baselines"]
    return found


def _logarithmic(axes: Axes, *, up: bool = True) -> None:
    """Hours on a logarithmic scale, and what stands over them too unless it is a share."""
    axes.set_xscale("log")
    if up:
        axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis)[: 1 + up]:
        axis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())


def _words(error: str) -> str:
    return error.removesuffix("_m").replace("_", " ") + (", m" if error.endswith("_m") else "")


def _hours(hours: float | None) -> str:
    if hours is None:
        return "no amount"
    if hours < 1:
        return f"{hours * 60:.1f} min"
    return f"{hours:.3g} h" if hours < 100 else f"{hours:,.0f} h"
