"""Pieces that the pages are made of: one HTML file each, which holds its pictures and films and needs no network.

In: texts, tables, films. Out: HTML.
Idea: a page is written once by whoever has its figures, and leaves named regions in which others put theirs later: the
report of a training run is there before anybody has driven with it. A region that nobody has filled says so in words.
Not here: what the pages say (`page.py`, `closed_loop_page.py`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from dojo.errors import EvaluationError


def document(
    title: str, header: str, main: str, footer: str, about: str = "a camera-to-path model for driver assistance"
) -> str:
    """A whole page; `about` is what its figures are of."""
    css = resources.files("dojo.evaluate").joinpath("page.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
<header>
<p class="kicker">{escape(title)} · {escape(about)}</p>
{header}
</header>
<main>
{main}
</main>
<footer>
{footer}
</footer>
</body>
</html>
"""


def table(caption: str, head: str, rows: Sequence[str]) -> str:
    """A table that scrolls sideways where it must; `head` and `rows` are HTML."""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption[:60])}"><table>'
        f"<caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def cell(value: str, interval: str, kind: str = "") -> str:
    """A value of a table, large, and its interval below it, small; `kind` is `good`, `bad` or neither."""
    opened = f'<td class="{kind}">' if kind else "<td>"
    return f'{opened}<span class="value">{value}</span><span class="interval">{interval}</span></td>'


def facts(found: Sequence[tuple[str, str]]) -> str:
    """A few names with their figures, large."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in found)
    return f'<dl class="facts">{cells}</dl>'


def data(kind: str, content: bytes) -> str:
    """Bytes as an address that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def film(title: str, caption: str, mp4: bytes, poster_png: bytes = b"") -> str:
    """A film with its title and what it shows."""
    poster = f' poster="{data("image/png", poster_png)}"' if poster_png else ""
    return (
        f'<figure><video controls muted loop playsinline preload="metadata" '
        f'aria-label="{escape(title + ": " + caption)}"{poster} src="{data("video/mp4", mp4)}">'
        f"</video><figcaption><strong>{escape(title)}</strong> {escape(caption)}</figcaption></figure>"
    )


def drawing(svg: str, caption: str) -> str:
    """A plot and what it shows."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def picture(title: str, caption: str, png: bytes) -> str:
    """A picture with its title and what it shows."""
    return (
        f'<figure><img alt="{escape(title + ": " + caption)}" src="{data("image/png", png)}">'
        f"<figcaption><strong>{escape(title)}</strong> {escape(caption)}</figcaption></figure>"
    )


def provenance_table(provenance: Mapping[str, object]) -> str:
    """Where figures come from, name by name."""
    rows = [
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td class="key">{_told(value)}</td></tr>'
        for name, value in provenance.items()
    ]
    return table(
        "What is needed to make these figures again.",
        '<th scope="col">What</th><th scope="col" class="key">Value</th>',
        rows,
    )


def _told(value: object) -> str:
    """A value of the provenance; what has parts is folded away, whole."""
    if isinstance(value, Mapping | list | tuple):
        text = escape(json.dumps(value, indent=1, default=str))
        return f"<details><summary>{len(value)} entries</summary><pre><code>{text}</code></pre></details>"
    return f"<code>{escape(str(value))}</code>"


def region(name: str, html: str) -> str:
    """A part of a page that can be filled anew."""
    return f"<!-- begin {name} -->\n{html}\n<!-- end {name} -->"


def filled(page: str, name: str, html: str) -> str:
    """The page with other content in a region.

    Raises:
        EvaluationError: the page has no such region.
    """
    found = re.search(rf"<!-- begin {re.escape(name)} -->.*<!-- end {re.escape(name)} -->", page, re.DOTALL)
    if found is None:
        there = re.findall(r"<!-- begin (\w+) -->", page)
        raise EvaluationError(
            f"page: expected a region {name!r}, found {', '.join(there) or 'none'}; write the page anew with this Dojo"
        )
    return page[: found.start()] + region(name, html) + page[found.end() :]


def write_text(path: Path, text: str) -> None:
    """Write a page as one file; a half-written page never takes the place of an older one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)
