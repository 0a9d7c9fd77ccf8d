"""Several seeds are added up, and recipes stand side by side with what each says, drives and gives away."""

from __future__ import annotations

import re

import pytest
from driven import Circle, LaneKeeper, straight_on

from dojo.errors import EvaluationError
from dojo.evaluate.ablation_page import Row, ablation_page
from dojo.evaluate.closed_loop import judge
from dojo.evaluate.intervals import poisson_rate, wilson
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.pooled import Spread, pooled
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.records import Scenario


def driven(policy, suites=("bends", "free_drive")):
    cases = [
        Scenario(f"{suite}-{number}", suite, {"curvature": k}, number, 3.0)
        for suite in suites
        for number, k in enumerate((0.0, 0.01))
    ]
    return judge(list(drive(cases, Circle(), IdealCar(), policy, RolloutConfig())))


def test_cases_and_events_are_added_up_over_seeds():
    both = pooled({0: driven(LaneKeeper()), 1: driven(straight_on)})
    bends, free = both.suites
    assert (bends.cases, len(bends.failures)) == (4, 1)
    assert list(bends.failures) == ["seed 1: bends-1"]
    share = bends.figures["completed"]
    assert (share.value, share.low, share.high) == (0.75, *wilson(3, 4))
    km = sum(driven(policy).suites[1].per_intervention["kilometres"] for policy in (LaneKeeper(), straight_on))
    assert free.per_intervention["kilometres"] == pytest.approx(km)
    assert free.per_intervention["value"] == pytest.approx(km)
    assert free.per_intervention["low"] == pytest.approx(1 / poisson_rate(1, km)[1])


def test_seeds_that_drove_other_cases_are_not_added_up():
    with pytest.raises(EvaluationError, match=r"got seeds .0, 1. with 2 sets of cases"):
        pooled({0: driven(LaneKeeper()), 1: driven(LaneKeeper(), ("bends",))})
    with pytest.raises(EvaluationError, match=r"got seeds .. with 0 sets"):
        pooled({})


def test_a_figure_over_seeds_has_its_mean_and_its_ends():
    assert Spread.of([1.0, 4.0, 1.0]) == Spread(2.0, 1.0, 4.0)


def test_recipes_stand_side_by_side_in_the_order_in_which_parts_are_added():
    def row(says, policy):
        errors = {"lateral_error_3s_m": Spread(0.4, 0.3, 0.5)}
        return Row(says, (0,), pooled({0: driven(policy)}), errors, {"lateral": Spread(0.02, 0.0, 0.04)})

    page = ablation_page({"off_policy": row("Logs <alone>.", straight_on), "recovery": row("More.", LaneKeeper())}, {})
    assert "<h1>Cases completed: off policy 2 of 4, recovery 4 of 4</h1>" in page
    assert "Logs &lt;alone&gt;." in page
    first, second = (re.search(rf'<tr><th scope="row">{name}.*?</tr>', page).group() for name in ("Off pol", "Recov"))
    assert "none in 0" in second
    assert "none in" not in first
    assert "0.400" in first
    assert "2.0%" in first
    suites = re.search(r'<th scope="row">Bends</th>.*?</tr>', page).group()
    assert suites.index("1 of 2") < suites.index("2 of 2")
    assert "not measured" in page, "an open-loop figure that nobody has"
