from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dojo.errors import ReleaseError
from dojo.release.card import About, evidence, kilometres_sentence, model_card
from dojo.release.words import overclaims


def estimate(value: float) -> dict[str, float | int]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "samples": 40, "groups": 4}


def suite(completed: int, cases: int, failures: dict[str, list[str]], kilometres: float = 20.0) -> dict[str, Any]:
    return {
        "completed": completed,
        "cases": cases,
        "low": 0.5,
        "high": 0.9,
        "figures": {"collided_at_fault": estimate(0.1)},
        "kilometres_per_intervention": {"kilometres": kilometres, "interventions": len(failures)},
        "failures": failures,
    }


def reports() -> dict[str, Any]:
    model = {"lateral_error_3s_m": estimate(0.5), "hit_50m": estimate(0.3), "jerk": estimate(0.2)}
    return {
        "open_loop": {
            "open_loop": {"model": model},
            "open_loop_by_tag": {"curve": {"model": {"lateral_error_3s_m": estimate(0.9)}}, "stop": {"model": {}}},
            "metrics": {"lateral_error_3s_m": {"title": "Lateral error at 3 s", "unit": "m"}},
            "extent": {"anchors": 400, "drives": 12, "vehicles": 3, "kilometres": 8.0},
            "warnings": ["The intervals rest on 4 drives."],
        },
        "closed_loop": {
            "lane_centring": suite(20, 20, {}),
            "leader": suite(9, 12, {f"leader-0{n}": [f"{n}.5 m from the lane's centre"] for n in range(3)}),
        },
        "agreement": {
            "samples": 1000,
            "tolerance": {"absolute": 1e-4, "relative": 1e-4},
            "worst": {"position_m": 6.1e-5},
            "worst_share": 0.19,
        },
        "timing": {"median_ms": 3.0, "processor": "any"},
    }


ABOUT = About(
    name="demo",
    counter=3,
    domains=("simulation",),
    checkpoint_sha256="ab" * 32,
    trained_on={"clips": "640"},
    gates=[("leader_completed", "expected at least 0.7, got 0.5", False), ("exported_as_trained", "fine", True)],
    not_driven=["the suite cut_in: no report holds it"],
    changes="",
)


def test_none_in_twenty_kilometres_is_not_none() -> None:
    assert kilometres_sentence(0, 20.0) == "0 interventions in 20 km: at 95 % confidence fewer than 1 in 6.7 km"


def test_a_rate_stands_with_its_exact_interval() -> None:
    assert kilometres_sentence(2, 10.0) == (
        "2 interventions in 10 km: 1 in 5 km, at 95 % confidence between 1.4 and 41 km"
    )
    assert kilometres_sentence(1, 10.0).startswith("1 intervention in 10 km")
    assert kilometres_sentence(0, 0.0) == "no kilometres were driven"


@settings(max_examples=30, deadline=None)
@given(events=st.integers(1, 50), kilometres=st.floats(0.5, 1e4))
def test_the_interval_is_garwoods(events: int, kilometres: float) -> None:
    said = kilometres_sentence(events, kilometres).rpartition("between ")[2].removesuffix(" km").split(" and ")
    for text, tail, count in ((said[0], 0.975, events + 1), (said[1], 0.025, events)):
        # Two digits are shown.
        assert float(text) == pytest.approx(kilometres / stats.gamma.ppf(tail, count), rel=0.06)


def test_the_card_says_first_what_it_is_not_for_and_where_it_fails() -> None:
    page = model_card(ABOUT, reports())
    assert "**It is not for any road: 1 of the 2 gates of the road are not passed** (leader_completed)" in page
    assert "- leader: 3 of 12 cases not completed: m from the lane's centre (3)" in page
    assert page.index("Where it fails") < page.index("Closed loop") < page.index("What it was not tested for")
    assert "| leader | 9 of 12 | 0.50 to 0.90 | 0.1 (0 to 0.2) | 20.0 |" in page
    assert "| Lateral error at 3 s | m | 0.5 (0.4 to 0.6) |" in page
    assert "- the suite cut_in: no report holds it" in page
    assert "SAE level 2" in page
    assert "not an approval" in page


def test_the_card_shows_the_headline_and_the_evidence_everything() -> None:
    assert "jerk" not in model_card(ABOUT, reports())
    page = evidence(ABOUT, reports())
    assert "| jerk |" in page
    assert "- lane_centring: 0 interventions in 20 km: at 95 % confidence fewer than 1 in 6.7 km" in page
    assert "| leader-02 | 2.5 m from the lane's centre |" in page
    assert "| leader_completed | **no** | expected at least 0.7, got 0.5 |" in page
    assert "1000 held-out samples" in page
    assert "| curve | 0.9 (0.8 to 1) | 40 |" in page
    assert "stop" not in page.partition("by manoeuvre")[2]


def test_passing_every_gate_is_said_to_be_necessary_and_no_more() -> None:
    page = model_card(replace(ABOUT, gates=[("leader_completed", "fine", True)]), reports())
    assert "necessary and not sufficient" in page
    assert "not for any road" not in page


def test_a_page_without_failures_says_that_none_were_found() -> None:
    clean = reports()
    clean["closed_loop"].pop("leader")
    assert "- none found" in model_card(ABOUT, clean)
    assert "None." in evidence(ABOUT, clean)


def test_no_generated_page_claims_more_than_its_figures() -> None:
    for page in (model_card(ABOUT, reports()), evidence(ABOUT, reports())):
        assert overclaims(page) == []


def test_a_page_into_which_somebody_wrote_too_much_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"overclaims: model_card\.md: .*'certified'"):
        model_card(replace(ABOUT, changes="Now certified for motorways."), reports())
