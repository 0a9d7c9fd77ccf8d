"""What a policy gives away, as a part of a report.

In: a `CheatReport`. Out: HTML.
Not here: the probe (`cheat.py`), the page (`page.py`, `closed_loop_page.py`).
"""

from __future__ import annotations

from html import escape

from dojo.evaluate.cheat import EXPLAINED_LIMIT, STRAIGHT_LIMIT_M, STRAIGHT_S, CheatReport
from dojo.evaluate.markup import cell, table
from dojo.records import Estimate


def cheat_section(report: CheatReport, switched_off: tuple[str, ...] = ()) -> str:
    """The two questions and their answers, to stand in a page.

    Args:
        switched_off: parts of the disguise that this probe was made without, in words.
    """
    straight = _kind(report.nowhere_m < STRAIGHT_LIMIT_M)
    rows = [
        _explained("To the side", report.lateral),
        _explained("Heading", report.yaw),
        f'<tr><th scope="row">Furthest aside within {STRAIGHT_S:g} s where there is no road</th>'
        f"{cell(f'{report.nowhere_m:.2f} m', f'must stay below {STRAIGHT_LIMIT_M:g} m', straight)}<td></td></tr>",
    ]
    head = '<th scope="col">Question</th><th scope="col">Answer</th><th scope="col">Pictures</th>'
    without = f" Made without {escape(' and '.join(switched_off))}." if switched_off else ""
    verdict = "It does not cheat, as far as this can tell." if report.passed else "It may cheat: see what is red."
    return f"""<h2>Does it see the road, or the traces of the warp?</h2>
<p>{verdict}{without} Training shows pictures displaced to the side. Here the road is blanked before they are displaced,
so that only the traces of displacing are left; a linear probe then looks for the offset in what the model's heads
see, on drives that it was not fitted on.</p>
{table("Share of the offset's variance that the probe explains; small: 95 % interval over drives.", head, rows)}"""


def _explained(name: str, share: Estimate) -> str:
    kind = _kind(share.value < EXPLAINED_LIMIT)
    return (
        f'<tr><th scope="row">{name}: explained, must stay below {100 * EXPLAINED_LIMIT:.0f} %</th>'
        f"{cell(f'{100 * share.value:.1f} %', f'{100 * share.low:.1f} to {100 * share.high:.1f} %', kind)}"
        f'<td>{share.samples:,}<span class="count">{share.groups} drives</span></td></tr>'
    )


def _kind(holds: bool) -> str:
    return "good" if holds else "bad"
