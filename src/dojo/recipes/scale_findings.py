"""What follows from the points of a scaling study, and what does not.

In: points. Out: laws, predictions and a verdict in words, as JSON values.
Idea: the largest size is left out, predicted from the others, and then compared: a law that cannot tell what is known
is not asked what is not. Words follow from intervals alone, and one of the words is "cannot say".
Sources of the published exponents: Zheng et al. 2024, arXiv 2412.02689; Naumann et al. 2025, arXiv 2504.04338. The
figures were transcribed by third parties: check them against the papers before they are quoted elsewhere.
Not here: the laws (`train/scaling.py`), the page (`scale_page.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dojo.errors import EvaluationError
from dojo.evaluate.intervals import wilson
from dojo.train.scaling import Fit, Needed, fit

PUBLISHED = (
    {"who": "Zheng et al. 2024 (arXiv 2412.02689)", "error": "ADE", "law": "power", "exponent": 0.188,
     "range": "10 k to 4 M demonstrations"},
    {"who": "Naumann et al. 2025 (arXiv 2504.04338)", "error": "FDE", "law": "floor", "exponent": 0.396,
     "range": "16 to 8,192 h"},
    {"who": "Naumann et al. 2025 (arXiv 2504.04338)", "error": "ADE", "law": "floor", "exponent": 0.417,
     "range": "16 to 8,192 h"},
    {"who": "Naumann et al. 2025 (arXiv 2504.04338), small end alone", "error": "FDE", "law": "power",
     "exponent": 0.127, "range": "the smallest of these sizes"},
)  # fmt: skip

_DECADES = 2.0
"""Assumed: below two decades of data an exponent is a description, not a law; the published ones span 2.6 and more."""

_BEYOND = 10.0
"""Assumed: hours are not told further than ten times beyond the largest size."""

_DRIVES_OF_A_TAG = 5
"""Assumed: a manoeuvre that fewer validation drives show is an anecdote."""

LAWS = ("power", "floor")


@dataclass(frozen=True)
class Point:
    """One run of a study: the best of those that its part of the data was given.

    Args:
        hours, kilometres, vehicles, clips: of the part that it learned from.
        tried: steps and error on the vehicles held back, of each length that was tried.
        flat: whether the last of these had stopped falling.
        figures, by_tag: of the report on validation clips, each with value, low, high.
        baselines: the error of those who see nothing, on the same clips.
        closed_loop: cases failed and driven, by suite.
    """

    model: str
    routes: int
    seed: int
    hours: float
    kilometres: float
    vehicles: int
    clips: int
    steps: int
    tried: list[tuple[int, float]]
    flat: bool
    run: str
    figures: dict[str, dict[str, float | int]]
    by_tag: dict[str, dict[str, float | int]]
    baselines: dict[str, float]
    closed_loop: dict[str, list[int]] | None


def findings(points: Sequence[Point], error: str, targets: Sequence[float]) -> dict[str, Any]:
    """Everything that the report says."""
    curves = {model: _curve([p for p in points if p.model == model], error, targets) for model in _models(points)}
    return {
        "error": error,
        "curves": curves,
        "verdict": [f"{model}: {sentence}" for model, curve in curves.items() for sentence in verdict(curve)],
        "published": [dict(entry) for entry in PUBLISHED],
        "points": [asdict(point) for point in points],
    }


def _models(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(point.model for point in points))


def _curve(points: Sequence[Point], error: str, targets: Sequence[float]) -> dict[str, Any]:
    """Sizes, laws, what is predicted of the largest size and beyond, for one model."""
    routes = sorted({point.routes for point in points})
    of_size = [[point for point in points if point.routes == count] for count in routes]
    # Parts of equally many routes differ a little in length from seed to seed; a size has one length.
    hours_of = {count: float(np.mean([p.hours for p in some])) for count, some in zip(routes, of_size, strict=True)}
    values = np.array([point.figures[error]["value"] for point in points])
    hours = np.array([hours_of[point.routes] for point in points])
    lowest = float(min(np.mean([p.figures[error]["value"] for p in some]) for some in of_size))
    wanted = tuple(targets) or (lowest / 2, lowest / 4)
    return {
        "sizes": [
            {
                "routes": count,
                "hours": hours_of[count],
                "kilometres": float(np.mean([point.kilometres for point in some])),
                "vehicles": float(np.mean([point.vehicles for point in some])),
                "errors": [point.figures[error]["value"] for point in some],
                "mean": float(np.exp(np.mean(np.log([point.figures[error]["value"] for point in some])))),
                "flat": sum(point.flat for point in some),
                "closed_loop": _pooled(some),
            }
            for count, some in zip(routes, of_size, strict=True)
        ],
        "decades": math.log10(max(hours_of.values()) / min(hours_of.values())) if len(routes) > 1 else 0.0,
        "laws": {law: _law(hours, values, law, wanted) for law in LAWS},
        "by_tag": _by_tag(points, hours),
        "baselines": dict(points[0].baselines),
    }


def _law(hours: np.ndarray, values: np.ndarray, law: str, targets: Sequence[float]) -> dict[str, Any]:
    """One law over all sizes, and whether it would have predicted the largest from the others."""
    try:
        whole = fit(hours, values, floor=law == "floor")
    except EvaluationError as refusal:
        return {"refused": str(refusal)}
    names = ("exponent", "scale", "floor") if law == "floor" else ("exponent", "scale")
    return {
        **{name: asdict(whole.estimate(name)) for name in names},
        "line": [
            {"hours": float(h), **asdict(whole.predicted(float(h), 3))}
            for h in np.geomspace(hours.min(), hours.max() * _BEYOND, 40)
        ],
        "needed": [_said(whole.needed(target)) for target in targets],
        "held_out": _held_out(hours, values, law),
    }


def _held_out(hours: np.ndarray, values: np.ndarray, law: str) -> dict[str, Any]:
    """The largest size as predicted from all others, and as it turned out."""
    largest = hours == hours.max()
    try:
        rest: Fit = fit(hours[~largest], values[~largest], floor=law == "floor")
    except EvaluationError as refusal:
        return {"refused": str(refusal)}
    expected = rest.predicted(float(hours.max()), int(largest.sum()))
    measured = float(np.exp(np.log(values[largest]).mean()))
    inside = expected.low <= measured <= expected.high
    return {"hours": float(hours.max()), "predicted": asdict(expected), "measured": measured, "inside": bool(inside)}


def _said(needed: Needed) -> dict[str, Any]:
    """JSON knows no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in asdict(needed).items()}


def _by_tag(points: Sequence[Point], hours: np.ndarray) -> dict[str, Any]:
    """The plain law of each manoeuvre that every point was judged on; what a vehicle noted, `name:value`, is none."""
    found: dict[str, Any] = {}
    for tag in sorted(set.intersection(*(set(point.by_tag) for point in points))):
        if ":" in tag or points[0].by_tag[tag]["groups"] < _DRIVES_OF_A_TAG:
            continue
        values = np.array([point.by_tag[tag]["value"] for point in points])
        try:
            law = fit(hours, values, floor=False)
        except EvaluationError:
            continue
        sizes = defaultdict(list)
        for size, value in zip(hours, values, strict=True):
            sizes[float(size)].append(float(value))
        found[tag] = {
            "exponent": asdict(law.estimate("exponent")),
            "means": [[size, float(np.exp(np.mean(np.log(some))))] for size, some in sorted(sizes.items())],
            "samples": points[0].by_tag[tag]["samples"],
            "drives": points[0].by_tag[tag]["groups"],
        }
    return found


def _pooled(points: Sequence[Point]) -> dict[str, Any]:
    """Share of cases failed, by suite, all seeds together, with Wilson's interval."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for point in points:
        for suite, (failed, cases) in (point.closed_loop or {}).items():
            counts[suite][0] += failed
            counts[suite][1] += cases
    return {
        suite: {"failed": failed, "cases": cases, "share": failed / cases, "interval": list(wilson(failed, cases))}
        for suite, (failed, cases) in counts.items()
    }


def verdict(curve: dict[str, Any]) -> list[str]:
    """What may be said of one model, a sentence each."""
    power, floor = curve["laws"]["power"], curve["laws"]["floor"]
    if "refused" in power:
        return [f"nothing can be said: {power['refused']}."]
    c = power["exponent"]
    span = f"[{c['low']:.3f}, {c['high']:.3f}]"
    said = [
        f"more data helps: over {curve['decades']:.1f} decades of data the error falls as D^-{c['value']:.3f} "
        f"(95 % {span})."
        if c["low"] > 0
        else f"more data makes it worse: the error grows as D^{-c['value']:.3f} (95 % of c {span})."
        if c["high"] < 0
        else f"the data cannot say whether more of it helps: the exponent is {c['value']:.3f} (95 % {span})."
    ]
    if curve["decades"] < _DECADES:
        said.append(
            f"{curve['decades']:.1f} decades are too few to call this a law, or to set the exponent beside published "
            f"ones: it takes {_DECADES:.0f}."
        )
    said += [_prediction(law, curve["laws"][law]["held_out"]) for law in LAWS if "held_out" in curve["laws"][law]]
    if "floor" in floor:
        f = floor["floor"]
        said.append(
            f"the error may stop falling at {f['value']:.3f} (95 % [{f['low']:.3f}, {f['high']:.3f}])."
            if f["low"] > 0
            else "the data cannot say whether there is an error that no amount of data goes below."
        )
        if curve["decades"] >= _DECADES:
            said.append(_beside_published(floor["exponent"]))
    said += _targets(curve)
    said += _driving(curve["sizes"])
    if any(size["flat"] < len(size["errors"]) for size in curve["sizes"]):
        said.append(
            "some runs were still improving when their steps ran out: their sizes could do better than they did."
        )
    return said


def _beside_published(c: dict[str, float]) -> str:
    """The exponent with a floor beside those published with one: other errors, data and models."""
    known = sorted(float(str(entry["exponent"])) for entry in PUBLISHED if entry["law"] == "floor")
    word = "above" if c["low"] > known[-1] else "below" if c["high"] < known[0] else "not told apart from"
    return (
        f"with a floor, c is {c['value']:.3f} (95 % [{c['low']:.3f}, {c['high']:.3f}]): {word} the published "
        f"{known[0]:.3f} to {known[-1]:.3f}, which are of other errors, data and models."
    )


def _driving(sizes: Sequence[dict[str, Any]]) -> list[str]:
    """Whether fewer cases fail at the largest size than at the smallest, for each suite."""
    first, last = sizes[0]["closed_loop"], sizes[-1]["closed_loop"]
    if not first:
        return ["nothing was driven: whether it drives better with more data, these errors do not say; name suites."]
    said = []
    for suite, few in first.items():
        many = last[suite]
        low, high = _difference(few, many)
        word = (
            "more data helps there too"
            if low > 0
            else "more data made it worse there"
            if high < 0
            else "whether more data helps there, the data cannot say"
        )
        said.append(
            f"driving, {suite.replace('_', ' ')}: {few['failed']} of {few['cases']} cases failed at the smallest size, "
            f"{many['failed']} of {many['cases']} at the largest (fewer by {100 * (few['share'] - many['share']):.0f} "
            f"in 100, 95 % [{100 * low:.0f}, {100 * high:.0f}]): {word}."
        )
    return said


def _difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """Ends of the interval of the difference of two shares, from Wilson's interval of each.

    Source: Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17
    (1998), method 10. Seeds drive the same cases, so the trials are less independent than it assumes.
    """
    (l1, u1), (l2, u2) = one["interval"], other["interval"]
    p1, p2 = one["share"], other["share"]
    return p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)


def _prediction(law: str, held_out: dict[str, Any]) -> str:
    name = "the plain law" if law == "power" else "the law with a floor"
    if "refused" in held_out:
        return f"{name} could not be tried on the largest size: too few sizes."
    e = held_out["predicted"]
    hit = "holds" if held_out["inside"] else "does not hold"
    return (
        f"{name}, fitted without the largest size, predicts {e['value']:.3f} there (95 % [{e['low']:.3f}, "
        f"{e['high']:.3f}]), measured is {held_out['measured']:.3f}: it {hit}."
    )


def _targets(curve: dict[str, Any]) -> list[str]:
    """For each target how many hours it takes, where both laws and their intervals can tell."""
    largest = max(size["hours"] for size in curve["sizes"])
    told = {law: curve["laws"][law].get("needed", []) for law in LAWS}
    said = []
    for number, plain in enumerate(told["power"]):
        both = [plain, *told["floor"][number : number + 1]]
        target = plain["target"]
        highest = [needed["high"] for needed in both]
        if any(high is None for high in highest):
            share = max(needed["unreachable"] for needed in both)
            said.append(
                f"how many hours an error of {target:.3f} takes, the data cannot say: in {100 * share:.0f} % of what "
                "they allow, no amount would do."
            )
        elif max(highest) > _BEYOND * largest:
            least = min(needed["low"] for needed in both)
            said.append(
                f"an error of {target:.3f} takes at least {least:.3g} h; how many, the data cannot say: it may be more "
                f"than {_BEYOND:.0f} times the largest size, {largest:.3g} h."
            )
        else:
            low, high = min(needed["low"] for needed in both), max(highest)
            said.append(
                f"an error of {target:.3f} takes {plain['value']:.3g} h of video (95 %, both laws: {low:.3g} to "
                f"{high:.3g} h)."
            )
    return said
