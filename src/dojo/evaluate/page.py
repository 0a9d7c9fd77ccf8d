"""The report as one page: a single HTML file that holds its pictures and videos and needs no network.

In: an open-loop result, where it comes from, plots, videos. Out: `report.html`.
Idea: the order in which a sceptical reader asks. What was found, in words that follow from the intervals; what to
mind before believing it; how the model drives, once somebody has let it; the figures beside the baselines; how errors
grow; where it fails, to look at; what was not tested; how to make the same again. No figure without its interval and
the number of samples behind it.
Not here: the words (`verdict.py`), the plots (`plots.py`), the pictures (`video.py`), how it drives
(`closed_loop_page.py`), the pieces of any page (`markup.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from dojo.evaluate.markup import document, drawing, facts, film, provenance_table, region, table, write_text
from dojo.evaluate.metrics import Metric
from dojo.evaluate.open_loop import DRIVEN, MODEL, OpenLoopResult
from dojo.evaluate.plots import Plot, plots_of
from dojo.evaluate.samples import Extent
from dojo.evaluate.showcase import KINDS, Kind
from dojo.evaluate.verdict import headline, label, verdict, words
from dojo.records import Estimate

TABLE = (
    "lateral_error_1s_m",
    "lateral_error_2s_m",
    "lateral_error_3s_m",
    "lateral_error_5s_m",
    "longitudinal_error_3s_m",
    "ade_3s_m",
    "fde_3s_m",
    "fde_5s_m",
    "hit_0_10m",
    "hit_10_20m",
    "hit_20_30m",
    "hit_30_50m",
    "hit_50m",
    "jerk_mps3",
)
"""The metrics of the first table; all others stand in the folded one and in `report.json`."""

TAG_TABLE = ("lateral_error_3s_m", "hit_30_50m")

USUAL_TAGS = ("straight", "curve", "lane_change", "stop", "start", "hard_brake")
"""Manoeuvres whose absence from the samples a reader must be told of."""

NOT_DRIVEN = (
    "<h2>How it drives</h2><p>Not tested yet: nothing here lets the model's plan move the vehicle. A model that "
    "follows a driven path well in the figures below can still leave the lane when it steers by itself. "
    "<code>dojo rollout</code> lets it drive.</p>"
)
NOT_PROBED = "<p><code>dojo cheat</code> says whether the model sees the road or the traces of its training.</p>"
"""What stands in the regions `closed_loop` and `cheat` until somebody fills them."""

NOT_TESTED = (
    "Other vehicles, cameras, mountings, countries, weather and light than those of the clips counted above.",
    "What happens in rare events: too few of them are in any set of this size.",
    "The vehicle around the model: actuators, limits, driver monitoring, take-over.",
)

_KIND_TITLES: Mapping[Kind, tuple[str, str]] = {
    "failure": ("Where it fails", "The clips with the largest mean lateral error at 3 s."),
    "typical": ("What is typical", "The clips nearest to the median."),
    "best": ("At its best", "The clips with the smallest error."),
}


@dataclass(frozen=True)
class Video:
    """A clip to show: MP4 bytes, what it shows in words, and a PNG that stands for it until it plays."""

    kind: Kind
    title: str
    caption: str
    mp4: bytes
    poster_png: bytes = b""


def _number(value: float, metric: Metric) -> str:
    if metric.share:
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _interval(estimate: Estimate, metric: Metric) -> str:
    low, high = _number(estimate.low, metric).removesuffix(" %"), _number(estimate.high, metric)
    return f"{low} to {high}"


def _cell(estimate: Estimate | None, metric: Metric, against: str = "", kind: str = "") -> str:
    """A table cell: value, interval, and for a baseline what the model is against it."""
    opened = f'<td class="{kind}">' if kind else "<td>"
    if estimate is None:
        return f'{opened}<span class="count">no samples</span></td>'
    said = ""
    if against:
        sign = {"better": "▲ ", "worse": "▼ "}.get(against, "")
        said = f'<span class="against {against.split()[-1]}">{sign}model {against}</span>'
    return (
        f'{opened}<span class="value">{_number(estimate.value, metric)}</span>'
        f'<span class="interval">{_interval(estimate, metric)}</span>{said}</td>'
    )


def _count(estimate: Estimate | None) -> str:
    if estimate is None:
        return "<td>0</td>"
    drives = "drive" if estimate.groups == 1 else "drives"
    return f'<td>{estimate.samples:,}<span class="count">{estimate.groups} {drives}</span></td>'


def _name(who: str) -> str:
    return escape(label(who).capitalize())


def _row_title(metric: Metric) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    return f'<th scope="row">{escape(metric.title + unit)}</th>'


def _figures_table(result: OpenLoopResult, names: Iterable[str], caption: str) -> str:
    by_name = {metric.name: metric for metric in result.metrics}
    columns = [MODEL, *result.baselines]
    head = "".join(f'<th scope="col">{_name(who)}</th>' for who in columns)
    rows = []
    for name in names:
        metric = by_name[name]
        if not any(name in result.figures[who] for who in columns):
            continue
        against = words(result, name) if metric.better != "nominal" else {}
        cells = [_cell(result.figures[MODEL].get(name), metric, kind="model")]
        cells += [_cell(result.figures[who].get(name), metric, against.get(who, "")) for who in result.baselines]
        rows.append(f"<tr>{_row_title(metric)}{''.join(cells)}{_count(result.figures[MODEL].get(name))}</tr>")
    return table(caption, f'<th scope="col">Figure</th>{head}<th scope="col">Anchors</th>', rows)


def _tags_table(result: OpenLoopResult, metric: Metric) -> str:
    """One metric, a row per tag, the most frequent first."""
    columns = [MODEL, *result.baselines]
    rows = []
    for tag, figures in sorted(result.by_tag.items(), key=lambda item: -result.tag_extent[item[0]].anchors):
        cells = "".join(
            _cell(figures[who].get(metric.name), metric, kind="model" if who == MODEL else "") for who in columns
        )
        count = _count(figures[MODEL].get(metric.name))
        rows.append(f'<tr><th scope="row">{escape(tag.replace("_", " "))}</th>{cells}{count}</tr>')
    head = "".join(f'<th scope="col">{_name(who)}</th>' for who in columns)
    caption = f"{metric.title}{', ' + metric.unit if metric.unit else ''}. Small: 95 % interval over drives."
    return table(caption, f'<th scope="col">Tag</th>{head}<th scope="col">Anchors</th>', rows)


def _tags(result: OpenLoopResult) -> str:
    if not result.by_tag:
        return "<p>The clips carry no manoeuvre tags.</p>"
    tables = [_tags_table(result, metric) for metric in result.metrics if metric.name in TAG_TABLE]
    return "<p>A clip can carry several tags.</p>" + "".join(tables)


def _headline(result: OpenLoopResult) -> str:
    """The first sentence, its leading word in the colour of what it says."""
    said, (word, _) = headline(result), verdict(result)
    lead = word.capitalize()
    return f'<span class="{word.split()[-1]}">{escape(lead)}</span>{escape(said.removeprefix(lead))}'


def _facts(extent: Extent) -> str:
    return facts(
        (
            ("Anchors judged", f"{extent.anchors:,}"),
            ("Clips", f"{extent.clips:,}"),
            ("Drives", f"{extent.drives:,}"),
            ("Vehicles", f"{extent.vehicles:,}"),
            ("Driving", f"{extent.hours:.1f} h" if extent.hours >= 1 else f"{extent.hours * 60:.1f} min"),
            ("Distance", f"{extent.kilometres:.1f} km"),
        )
    )


def _warnings(result: OpenLoopResult) -> str:
    if not result.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in result.warnings)
    return (
        f'<aside class="warnings" aria-label="Warnings"><h3>Before believing these figures</h3><ul>{items}</ul></aside>'
    )


def _verdict(result: OpenLoopResult) -> str:
    _, sentences = verdict(result)
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="verdict">{items}</ul>'


def _videos(videos: Sequence[Video]) -> str:
    """Failures first; nothing where there are no videos."""
    if not videos:
        return ""
    parts = [
        "<h2>Clips to look at</h2><p>Blue edges: what was driven. Orange ribbon: the most probable plan, with its "
        "stated spread; thin orange lines: the other hypotheses. At the right the same from above.</p>"
    ]
    for kind in KINDS:
        mine = [video for video in videos if video.kind == kind]
        if not mine:
            continue
        title, what = _KIND_TITLES[kind]
        parts.append(f'<h3>{title}</h3><p>{what}</p><div class="videos">{"".join(map(_video, mine))}</div>')
    return "".join(parts)


def _video(video: Video) -> str:
    return film(video.title, video.caption, video.mp4, video.poster_png)


def _not_tested(result: OpenLoopResult) -> str:
    missing = [tag.replace("_", " ") for tag in USUAL_TAGS if tag not in result.by_tag]
    said = [*NOT_TESTED]
    if missing:
        said.insert(1, f"Manoeuvres without a single clip here: {', '.join(missing)}.")
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in said) + "</ul>"


def _jerk(result: OpenLoopResult) -> str:
    driven = result.figures.get(DRIVEN, {}).get("jerk_mps3")
    if driven is None:
        return ""
    return (
        f" The driven paths themselves have a jerk of {driven.value:.2f} m/s³ ({driven.low:.2f} to {driven.high:.2f}; "
        f"{driven.samples:,} anchors, {driven.groups} drives): lower is not better by itself."
    )


def page_of(
    result: OpenLoopResult,
    provenance: Mapping[str, object],
    figures: Sequence[Plot] | None = None,
    videos: Sequence[Video] = (),
    title: str = "Open-loop report",
) -> str:
    """The whole page as HTML text.

    Args:
        provenance: name -> value, shown in its order: seed, versions, commit, dataset version, checkpoint, split ...
        figures: the plots; None draws the usual ones.
    """
    plots = plots_of(result) if figures is None else figures
    plot_parts = "".join(f"<h2>{escape(plot.title)}</h2>{drawing(plot.svg, plot.caption)}" for plot in plots)
    caption = (
        "Large: the value. Small: its 95 % interval, drawn over drives. Under each baseline: what the paired interval "
        "of the difference says of the model."
    )
    every = [metric.name for metric in result.metrics]
    header = f"""<h1>{_headline(result)}</h1>
{_verdict(result)}
{_facts(result.extent)}
{_warnings(result)}"""
    main = f"""{region("closed_loop", NOT_DRIVEN)}
{region("cheat", NOT_PROBED)}
<h2>The model beside the baselines</h2>
<p>At each anchor the model sees two frames and answers with a path; the path is compared with the one that was driven.
The baselines do not see the road. <em>Constant velocity</em> goes straight on, <em>constant turn rate</em> keeps
turning as at the anchor, both told the vehicle's true motion; <em>mean trajectory</em> is the average path of the
training clips.{_jerk(result)}</p>
{_figures_table(result, TABLE, caption)}
{plot_parts}
<h2>By manoeuvre</h2>
{_tags(result)}
{_videos(videos)}
<h2>What was not tested</h2>
{_not_tested(result)}
<h2>All figures</h2>
<details><summary>Every metric with its interval</summary>
{_figures_table(result, every, caption)}
</details>
<h2>Where these figures come from</h2>
{provenance_table(provenance)}"""
    footer = f"""<p>These figures are evidence towards how well the model predicts where a driver goes on the clips
counted above, and nothing more. Intervals: bootstrap over drives, {result.config.resamples:,} resamples, seed
{result.config.seed}.</p>"""
    return document(title, header, main, footer)


def write_page(
    path: Path,
    result: OpenLoopResult,
    provenance: Mapping[str, object],
    figures: Sequence[Plot] | None = None,
    videos: Sequence[Video] = (),
    title: str = "Open-loop report",
) -> None:
    """Write the page as one file; a half-written page never takes the place of an older one."""
    write_text(path, page_of(result, provenance, figures, videos, title))
