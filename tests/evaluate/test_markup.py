"""Pages hold what they need, and their regions can be filled again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.errors import EvaluationError
from dojo.evaluate.markup import document, facts, filled, film, picture, provenance_table, region, table, write_text


def test_a_region_is_filled_and_filled_anew_and_the_rest_stays() -> None:
    page = f"before {region('drive', 'nothing yet')} between {region('probe', 'nor here')} after"
    once = filled(page, "drive", "<p>24 of 24\\1</p>")
    twice = filled(once, "drive", "<p>20 of 24</p>")
    assert "24 of 24\\1" in once
    assert "nothing yet" not in once
    assert twice == filled(page, "drive", "<p>20 of 24</p>")
    assert twice.startswith("before ")
    assert "nor here" in twice
    assert twice.endswith(" after")


def test_a_region_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(EvaluationError, match=r"expected a region 'probe', found drive; write the page anew"):
        filled(region("drive", ""), "probe", "")
    with pytest.raises(EvaluationError, match="found none"):
        filled("<p></p>", "probe", "")


def test_what_is_said_is_escaped_and_what_is_shown_is_inside() -> None:
    shown = film("a <b>", 'says "c"', b"mp4", b"png") + picture("d & e", "f", b"png")
    assert "a &lt;b&gt;" in shown
    assert "d &amp; e" in shown
    assert shown.count("base64,") == 3
    assert "&lt;x&gt;" in facts((("<x>", "1"),))
    assert "&lt;x&gt;" in table("<x>", "", [])
    assert "&quot;steps&quot;: 3" in provenance_table({"training": {"steps": 3}, "seed": 0})


def test_a_page_is_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run" / "page.html"
    for title in ("First", "Second"):
        write_text(path, document(title, "<h1>x</h1>", "", ""))
    assert "<title>Second</title>" in path.read_text("utf-8")
    assert "driver assistance" in path.read_text("utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
