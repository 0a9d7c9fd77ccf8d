from __future__ import annotations

from pathlib import Path

import pytest

import dojo
from dojo.errors import ReleaseError
from dojo.evaluate.markup import document, filled, region
from dojo.release.words import overclaims, require_modest


@pytest.mark.parametrize(
    "claim",
    [
        "a self-driving car",
        "Self driving",
        "fully autonomous operation",
        "driverless",
        "better than Autopilot",
        "is compliant with UN R171",
        "complies with ISO 21448",
        "certified by nobody",
        "an approved system",
        "we guarantee it",
        "fail-safe",
        "accident-free",
        "zero collisions",
        "proven in simulation",
        "safer than a human",
        "the system is safe",
        "never crashes",
        "hands-free",
        "SAE level 3",
        "level 4 ready",
        "fully automated",
    ],
)
def test_a_word_that_no_figure_bears_is_refused(claim: str) -> None:
    assert overclaims(claim)
    with pytest.raises(ReleaseError, match=r"overclaims: page: expected words of driver assistance, got '"):
        require_modest("page", f"This is {claim}.")


@pytest.mark.parametrize(
    "said",
    [
        "driver assistance at SAE level 2",
        "evidence towards UN Regulation No. 171 and ISO 21448",
        "0 interventions in 20 km: at 95 % confidence fewer than 1 in 6.7 km",
        "It has not been approved; it is not approved.",
        "the licence names the operational domain; safety envelope; the safety case",
    ],
)
def test_what_was_tested_may_be_said(said: str) -> None:
    assert require_modest("page", said) == said


def test_every_page_that_a_test_makes_is_read_for_such_words() -> None:
    """`tests/conftest.py` stands between: reports, closed loop, ablation, scale, plan, cheat, replay, and parts."""
    with pytest.raises(ReleaseError, match=r"overclaims: page: .*'self-driving'"):
        document("A page", "<h1>Results</h1>", "<p>A self-driving&nbsp;car</p>", "")
    with pytest.raises(ReleaseError, match=r"overclaims: page: .*'certified'"):
        filled(region("closed_loop", ""), "closed_loop", "<p>a certified car</p>")
    assert document("A page", "", '<img alt="a road" src="data:image/png;base64,+proven+">', "")


def test_no_page_is_made_that_is_not_read() -> None:
    """Web pages are made by `markup.document` alone, and Markdown by `card.py`, which reads it itself."""
    sources = {path: path.read_text("utf-8") for path in Path(dojo.__file__).parent.rglob("*.py")}
    assert [path.name for path, text in sources.items() if "<!doctype" in text.lower()] == ["markup.py"]
    assert [path.name for path, text in sources.items() if '.md"' in text and "_card" in text] == [
        "release.py",
        "card.py",
    ]
    card = next(text for path, text in sources.items() if path.name == "card.py")
    assert card.count("return require_modest(") == card.count('\n    return require_modest("') == 2
