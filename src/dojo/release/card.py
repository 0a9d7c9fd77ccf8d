"""The two pages of a bundle that people read: the model card, and the evidence.

In: stored reports as JSON, and what the bundle says of itself. Out: Markdown.
Idea: no sentence with a figure is written by hand. What was tested stands with how often and with what interval, what
failed stands first and by name, and what was not tested is listed as such: an empty cell is a finding. Each rate
carries the bound that its exposure bears: none in 20 km is not none.
Source of the headings: Mitchell et al. 2019 (arXiv 1810.03993) for the card; UN Regulation No. 171 and ISO 21448:2022
for what an authority asks about a system that assists a driver, towards which this is evidence and no more.
Not here: the figures (`evaluate/`), which words are refused (`words.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from dojo.release.words import require_modest

Json = Mapping[str, Any]

_NOBODY_ASKED = (
    "real roads and real vehicles: what was driven was driven in simulation, unless a report says otherwise",
    "pedestrians, cyclists, animals, and objects on the road: the simulated world has none",
    "junctions, traffic lights, signs that must be obeyed, road works, emergency vehicles",
    "snow, ice, glare, a dirty or damaged camera",
    "a driver who does not answer: only the times of the warnings are tested, not people",
    "attacks on the vehicle's bus or sensors",
)

_HEADLINE = (
    "lateral_error_1s_m",
    "lateral_error_3s_m",
    "lateral_error_5s_m",
    "longitudinal_error_3s_m",
    "hit_30_50m",
    "hit_50m",
    "coverage_lateral_80",
)
"""What of the open-loop figures stands on the card; the evidence has all."""

STANDING = (
    "This is software for driver assistance at SAE level 2: the driver drives, watches the road, and is responsible at "
    "all times. The pages of this bundle are evidence towards UN Regulation No. 171 and ISO 21448. They are not an "
    "approval, and whoever builds it into a vehicle makes the safety case for that vehicle."
)


@dataclass(frozen=True)
class About:
    """What the pages say beside the reports.

    Args:
        trained_on: clips, vehicles, hours, and the like, in their order.
        gates: name, sentence, whether passed; of the gates of the road, whatever the bundle was released for.
        not_driven: what exists to be driven and no report holds, in words.
    """

    name: str
    counter: int
    domains: tuple[str, ...]
    checkpoint_sha256: str
    trained_on: Mapping[str, str]
    gates: Sequence[tuple[str, str, bool]]
    not_driven: Sequence[str]
    changes: str


def kilometres_sentence(interventions: int, kilometres: float) -> str:
    """How often a human would have had to take over, with what the exposure bears.

    Source of the bounds: Garwood 1936, exact for a Poisson count; one-sided where there were none.
    """
    if kilometres <= 0:
        return "no kilometres were driven"
    counted = f"{interventions} intervention{'' if interventions == 1 else 's'} in {kilometres:.3g} km"
    if interventions == 0:
        return f"{counted}: at 95 % confidence fewer than 1 in {kilometres / -math.log(0.05):.2g} km"
    often = kilometres / (float(stats.chi2.ppf(0.975, 2 * (interventions + 1))) / 2)
    seldom = kilometres / (float(stats.chi2.ppf(0.025, 2 * interventions)) / 2)
    ends = f"between {often:.2g} and {seldom:.2g} km"
    return f"{counted}: 1 in {kilometres / interventions:.2g} km, at 95 % confidence {ends}"


def model_card(about: About, reports: Json) -> str:
    """What the model is, from what it learned, how good it is and where it is not; one page."""
    lines = [
        f"# {about.name}, release {about.counter}",
        "",
        STANDING,
        "",
        f"Released for: {', '.join(about.domains)}. {_gate_summary(about)}",
        "",
        "## Where it fails",
        "",
        *_bullets(_failures(reports["closed_loop"])),
        "",
        "## Closed loop",
        "",
        *_suites(reports["closed_loop"]),
        "",
        "## Open loop",
        "",
        *_open_loop(reports["open_loop"], _HEADLINE),
        "",
        "## What it learned from",
        "",
        *_table(("what", "how much"), about.trained_on.items()),
        "",
        "## What it was not tested for",
        "",
        *_bullets((*_NOBODY_ASKED, *about.not_driven)),
        "",
        "## Limits of use",
        "",
        "- camera: see `manifest.json`, `camera`; outside the mounting range it was not trained",
        "- speed and place: those of the suites above; the licence names the operational domain",
        "- what it says passes the vehicle's safety envelope, of the version that the manifest asks for or later",
        "",
        "## Changes",
        "",
        about.changes or "First release.",
        "",
        f"Checkpoint SHA-256 {about.checkpoint_sha256}.",
        "",
    ]
    return require_modest("model_card.md", "\n".join(lines))


def evidence(about: About, reports: Json) -> str:
    """What was asked before it was released, and what came."""
    agreement, timing = reports["agreement"], reports["timing"]
    lines = [
        f"# Evidence for {about.name}, release {about.counter}",
        "",
        STANDING,
        "",
        "Every figure is read from a report in `reports/`, whose hash stands in the manifest.",
        "",
        "## Gates of the road",
        "",
        _gate_summary(about),
        "",
        *_table(
            ("gate", "passed", "asked and found"),
            ((name, "yes" if passed else "**no**", says) for name, says, passed in about.gates),
        ),
        "",
        "## Tests in closed loop",
        "",
        *_suites(reports["closed_loop"]),
        "",
        *_bullets(
            f"{name}: {kilometres_sentence(found['interventions'], found['kilometres'])}"
            for name, suite in reports["closed_loop"].items()
            if (found := suite["kilometres_per_intervention"])
        ),
        "",
        "## Cases that failed",
        "",
        *_table(
            ("case", "why"),
            (
                (case, ", ".join(why))
                for suite in reports["closed_loop"].values()
                for case, why in suite["failures"].items()
            ),
        ),
        "",
        "## Tests in open loop",
        "",
        *_open_loop(reports["open_loop"], tuple(reports["open_loop"]["open_loop"]["model"])),
        "",
        *_by_tag(reports["open_loop"]),
        "",
        "## The exported model against the trained one",
        "",
        _agreement(agreement),
        "",
        *_table(("output", "largest difference"), ((k, f"{v:.2g}") for k, v in sorted(agreement["worst"].items()))),
        "",
        "## Time and memory",
        "",
        *_table(("what", "how much"), ((k, _figure(v)) for k, v in timing.items())),
        "",
        "## Not tested",
        "",
        *_bullets((*_NOBODY_ASKED, *about.not_driven)),
        "",
    ]
    return require_modest("evidence.md", "\n".join(lines))


def _agreement(report: Json) -> str:
    allowed = f"{report['tolerance']['absolute']:g} + {report['tolerance']['relative']:g} of its size"
    return (
        f"{report['samples']} held-out samples; allowed for each number of each answer: {allowed}; the worst reached "
        f"{report['worst_share']:.2g} of that."
    )


def _gate_summary(about: About) -> str:
    failed = [name for name, _, passed in about.gates if not passed]
    if not failed:
        return "It passed every gate of the road, which are necessary and not sufficient for driving on one."
    return (
        f"**It is not for any road: {len(failed)} of the {len(about.gates)} gates of the road are not passed** "
        f"({', '.join(failed)})."
    )


def _failures(closed_loop: Json) -> Iterable[str]:
    """Suites with the most failures first."""
    ordered = sorted(closed_loop.items(), key=lambda item: item[1]["completed"] / item[1]["cases"])
    for name, suite in ordered:
        if suite["failures"]:
            # "0.51 m from the lane's centre" and "0.63 m from ..." are one way to fail.
            reasons = [re.sub(r"^[\d.]+ ", "", reason) for why in suite["failures"].values() for reason in why]
            counted = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
            said = ", ".join(f"{reason} ({n})" for reason, n in sorted(counted.items(), key=lambda item: -item[1]))
            yield f"{name}: {len(suite['failures'])} of {suite['cases']} cases not completed: {said}"


def _suites(closed_loop: Json) -> list[str]:
    rows = []
    for name, suite in closed_loop.items():
        fault = suite["figures"].get("collided_at_fault")
        rows.append(
            (
                name,
                f"{suite['completed']} of {suite['cases']}",
                f"{suite['low']:.2f} to {suite['high']:.2f}",
                _estimate(fault) if fault else "",
                f"{suite['kilometres_per_intervention']['kilometres']:.1f}",
            )
        )
    return _table(("suite", "completed", "95 %", "share with contact at fault", "km"), rows)


def _open_loop(report: Json, names: Sequence[str]) -> list[str]:
    model = report["open_loop"]["model"]
    extent = report["extent"]
    said = (
        f"{extent['anchors']} moments of {extent['drives']} drives and {extent['vehicles']} vehicles that it did not "
        f"learn from, {extent['kilometres']:.1f} km; intervals at 95 % over drives."
    )
    rows = [
        (
            report["metrics"].get(name, {}).get("title", name),
            report["metrics"].get(name, {}).get("unit", ""),
            _estimate(e),
        )
        for name, e in ((name, model[name]) for name in names if name in model)
    ]
    warned = [f"- {warning}" for warning in report["warnings"]]
    return [said, "", *warned, *([""] if warned else []), *_table(("figure", "unit", "value and interval"), rows)]


def _by_tag(report: Json) -> list[str]:
    """Lateral error by manoeuvre, the worst first."""
    name = "lateral_error_3s_m"
    found = {tag: who["model"][name] for tag, who in report["open_loop_by_tag"].items() if name in who["model"]}
    rows = [
        (tag, _estimate(estimate), str(estimate["samples"]))
        for tag, estimate in sorted(found.items(), key=lambda item: -item[1]["value"])
    ]
    return _table(("manoeuvre", "lateral error 3 s ahead, m", "moments"), rows)


def _estimate(estimate: Json) -> str:
    return f"{estimate['value']:.3g} ({estimate['low']:.3g} to {estimate['high']:.3g})"


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines] or ["- none found"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    if not body:
        return ["None."]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *body]
