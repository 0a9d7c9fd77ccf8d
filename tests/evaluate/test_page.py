from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dojo.evaluate.baselines import constant_velocity, standard_baselines
from dojo.evaluate.open_loop import OpenLoopResult, evaluate
from dojo.evaluate.page import Video, page_of, write_page
from dojo.evaluate.plots import plots_of
from dojo.evaluate.samples import Samples, samples_of
from dojo.records import Clip, Plans

VOID = {"meta", "br", "img", "link", "input", "hr"}
FORBIDDEN = r"self.?driving|autonomous|autonomy|driverless|complian\w*|\bsafe\w*|certif\w*|guarant\w*|proven|flawless"
PROVENANCE = {"seed": 0, "commit": "abc123", "split": "by vehicle & <place>", "training": {"steps": 500}}


class Reader(HTMLParser):
    """Collects tags, ids, texts and links; complains about tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.tags: Counter[str] = Counter()
        self.unnamed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [str(given[name]) for name in ("src", "href", "poster") if name in given]
        if tag in ("svg", "video", "img") and not (given.get("aria-label") or given.get("alt")):
            self.unnamed.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def result(fleet_samples: Samples, noisy_plans: Callable[..., Plans]) -> OpenLoopResult:
    baselines = standard_baselines(fleet_samples, fleet_samples)
    return evaluate(fleet_samples, noisy_plans(fleet_samples), baselines, warnings=("Mind <this>.",))


@pytest.fixture(scope="module")
def page(result: OpenLoopResult) -> str:
    videos = [
        Video("best", "Drive b", "error 0.1 m", b"mp4-b"),
        Video("failure", "Drive a", "error 2.0 m", b"mp4-a", b"png-a"),
    ]
    return page_of(result, PROVENANCE, videos=videos)


def test_the_page_is_well_formed_with_unique_ids_and_named_pictures(page: str) -> None:
    reader = read(page)
    assert page.startswith("<!DOCTYPE html>")
    assert [name for name, count in Counter(reader.ids).items() if count > 1] == []
    assert reader.unnamed == []
    assert reader.tags["h1"] == 1
    assert reader.tags["svg"] == 3
    assert reader.tags["video"] == 2


def test_the_page_needs_no_network(page: str) -> None:
    reader = read(page)
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    text = re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", page)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"' <)]+", text)) <= namespaces
    assert "<script" not in page
    assert "@import" not in page
    assert re.findall(r"url\(([^)]*)\)", text) == re.findall(r"url\((#[^)]*)\)", text)


def test_links_within_drawings_find_their_target(page: str) -> None:
    reader = read(page)
    used = [link[1:] for link in reader.links if link.startswith("#")] + re.findall(r"url\(#([^)]+)\)", page)
    assert used
    assert set(used) <= set(reader.ids)


def test_no_word_claims_more_than_was_measured(page: str) -> None:
    said = " ".join(read(page).text)
    assert re.findall(FORBIDDEN, said, re.IGNORECASE) == []
    assert "driver assistance" in said
    assert "evidence towards" in said
    assert "What was not tested" in said


def test_the_words_follow_the_figures(result: OpenLoopResult) -> None:
    worse = replace(result, versus={"constant_velocity": result.versus["constant_turn_rate"]})
    assert '<h1><span class="worse">Worse</span>' in page_of(worse, {})
    better = replace(result, versus={"mean_trajectory": result.versus["mean_trajectory"]})
    assert '<h1><span class="better">Better</span> than every baseline' in page_of(better, {})


def test_every_headline_figure_has_interval_and_sample_size(page: str, result: OpenLoopResult) -> None:
    row = re.search(r'<th scope="row">Lateral error at 3 s, m</th>.*?</tr>', page)
    assert row is not None
    assert row.group().count('class="interval"') == 4
    figure = result.figures["model"]["lateral_error_3s_m"]
    assert f"{figure.value:.2f}" in row.group()
    assert f"{figure.samples}" in row.group()
    assert "12 drives" in row.group()
    for plot in plots_of(result):
        assert re.search(r"n = [\d,]+( to [\d,]+)? anchors, 12 drives", plot.caption)


def test_failures_are_shown_before_the_best(page: str) -> None:
    assert page.index("Where it fails") < page.index("At its best")
    assert base64.b64encode(b"mp4-a").decode() in page
    assert page.index("Drive a") < page.index("Drive b")


def test_warnings_and_provenance_are_escaped_and_shown(page: str) -> None:
    assert "Mind &lt;this&gt;." in page
    assert "by vehicle &amp; &lt;place&gt;" in page
    assert "&quot;steps&quot;: 500" in page


def test_manoeuvres_that_never_occurred_are_named(page: str) -> None:
    assert "Manoeuvres without a single clip here: lane change, stop, start, hard brake." in page


def test_drawings_take_their_colours_from_the_page(result: OpenLoopResult) -> None:
    for plot in plots_of(result):
        ElementTree.fromstring(plot.svg)
        assert "#0102" not in plot.svg
        assert "var(--series-0)" in plot.svg
        assert plot.alt.startswith(("Error", "Hit", "Coverage"))


def test_drawing_twice_gives_the_same_page(result: OpenLoopResult) -> None:
    assert page_of(result, PROVENANCE) == page_of(result, PROVENANCE)


def test_a_result_with_gaps_still_makes_a_page(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(speed_mps=1.0, tags=(), valid_until_s=2.2)])
    plans = constant_velocity(samples)
    page = page_of(evaluate(samples, plans, {}), {})
    read(page)
    assert "The clips carry no manoeuvre tags." in page
    assert "There is no baseline to compare with." in page


def test_writing_replaces_the_old_page_whole(result: OpenLoopResult, tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    write_page(path, result, PROVENANCE)
    write_page(path, result, PROVENANCE, title="Second")
    assert "<title>Second</title>" in path.read_text("utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
