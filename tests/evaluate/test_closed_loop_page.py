"""The page of rollouts says how each suite was driven, shows failures first, and claims no more than was measured."""

from __future__ import annotations

import base64
import json
import re

import pytest
from driven import Circle, LaneKeeper, straight_on

from dojo.evaluate.closed_loop import ClosedLoopResult, driven_hash, judge
from dojo.evaluate.closed_loop_page import Film, closed_loop_page, closed_loop_section
from dojo.evaluate.driving_plots import completion, side_by_side
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.records import Goal, Request, Scenario

FORBIDDEN = r"self.?driving|autonom|driverless|complian|\bsafe|certif|guarant|proven|flawless"


def rollouts(policy=straight_on):
    bends = [Scenario(f"bends-{number}", "bends", {"curvature": k}, number, 3.0) for number, k in enumerate((0, 0.006))]
    late = [Scenario(f"bends-{number}-night", "bends", {}, number, 3.0, "night") for number in range(2)]
    wish = Scenario(
        "wish-0",
        "wish",
        {"road": "motorway"},
        9,
        3.0,
        start_offset_m=-0.5,
        requests=(Request("lane_change_left", 1.0),),
        goal=Goal(lanes_left=1),
    )
    return list(drive([*bends, *late, wish], Circle(), IdealCar(), policy, RolloutConfig()))


@pytest.fixture(scope="module")
def driven():
    return rollouts()


@pytest.fixture(scope="module")
def page(driven):
    films = [Film.of(rollout, f"mp4-{rollout.scenario.scenario_id}".encode()) for rollout in driven]
    return closed_loop_page(judge(driven), {"seed": 0, "commit": "<abc>"}, films)


def test_every_suite_is_counted_with_its_interval(page):
    assert "<h1>3 of 5 cases completed" in page
    row = re.search(r'<th scope="row">Bends</th>.*?</tr>', page)
    assert row is not None
    assert "1 of 2" in row.group()
    assert "9 to 91 %" in row.group()
    assert "2 of 2" in row.group(), "each variant in a column of its own"
    assert 'scope="col">Night' in page
    assert "not driven" in page, "the second suite has no such variant"


def test_failures_come_before_what_was_missed_and_that_before_what_went_well(page):
    places = [
        page.index(base64.b64encode(f"mp4-{name}".encode()).decode()) for name in ("bends-1", "wish-0", "bends-0")
    ]
    assert places == sorted(places)
    assert "Left lane after" in page
    assert "In another lane after 3 s: motorway, begins 0.5 m to the right, asked for a lane change left" in page


def test_every_failure_is_listed_with_its_reason(page):
    listed = re.search(r"Bends: 1 of 2 not completed</summary>.*?</details>", page)
    assert listed is not None
    assert "<code>bends-1</code> left lane" in listed.group()
    flawless = closed_loop_section(judge(rollouts(LaneKeeper())[:4]))
    assert "Every case was completed." in flawless
    assert "none in 0.1" in flawless, "kilometres without an intervention are not a distance between two"


def test_the_page_claims_no_more_than_was_measured_and_needs_no_network(page):
    said = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert re.findall(FORBIDDEN, said, re.IGNORECASE) == []
    assert "What was not tested" in said
    assert "&lt;abc&gt;" in page
    links = re.findall(r'(?:src|href)="([^"]{5})', page)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)


def test_a_result_comes_back_from_its_json(driven):
    result = judge(driven)
    assert ClosedLoopResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_a_hash_names_what_was_driven(driven):
    assert driven_hash(driven) == driven_hash(rollouts())
    assert driven_hash(driven) != driven_hash(rollouts(LaneKeeper()))
    assert judge(driven).suites[0].driven == driven_hash(driven[:2])


def test_drawings_say_in_words_what_they_show(driven):
    plot = completion(judge(driven))
    assert "as it is: bends 1 of 2, wish 0 of 1; night: bends 2 of 2" in plot.alt
    assert "n = 1 to 2 cases each" in plot.caption
    beside = side_by_side({"off_policy": judge(driven), "on_policy": judge(rollouts(LaneKeeper()))})
    assert "off policy: bends 1 of 2, wish 0 of 1; on policy: bends 2 of 2" in beside.alt
    for drawn in (plot, beside):
        assert "#0102" not in drawn.svg
        assert "var(--series-1)" in drawn.svg
