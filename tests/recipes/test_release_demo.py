from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dojo.errors import ConfigError, ReleaseError
from dojo.evaluate.suites import SUITES
from dojo.recipes import release_demo
from dojo.recipes.attacks import Tried
from dojo.recipes.release_demo import CUSTOMERS, ReleaseDemoRun

LEADER = [scenario.scenario_id for scenario in SUITES["leader"](0)]


def compared(completed: int, failed: list[str], cases: int = 0) -> dict[str, Any]:
    driven = {"leader": {"completed": completed, "cases": cases or len(LEADER)}}
    reported = {"leader": {"failures": {case: ["contact"] for case in failed}}}
    return release_demo._compared(ReleaseDemoRun(cases=cases), driven, reported)["leader"]


def test_a_suite_agrees_where_the_interval_of_the_difference_holds_zero() -> None:
    same = compared(9, LEADER[:3])
    assert same["agrees"]
    assert same["difference"]["value"] == 0
    assert compared(10, LEADER[:3])["agrees"]
    assert not compared(2, LEADER[:1])["agrees"]
    assert not compared(12, LEADER[:7])["agrees"]


def test_the_interval_of_the_difference_is_newcombes() -> None:
    # Source: Newcombe 1998, table II, method 10, case (a): 56/70 and 48/80 give 0.0524 to 0.3339.
    first, second = release_demo._share(56, 70), release_demo._share(48, 80)
    low, high = release_demo._difference(first, second)
    assert (low, high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_only_the_cases_that_were_driven_are_held_against_the_report() -> None:
    found = compared(3, LEADER[3:], cases=3)
    assert (found["reported"]["completed"], found["reported"]["cases"]) == (3, 3)


def test_a_folder_that_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(ConfigError, match="expected an empty folder or an earlier release demo"):
        release_demo.run(ReleaseDemoRun(out=tmp_path), Console(quiet=True))
    assert (tmp_path / "letters.txt").exists()


def test_one_carmaker_is_not_two() -> None:
    with pytest.raises(ConfigError, match="two carmakers"):
        ReleaseDemoRun(customers=(CUSTOMERS[0], CUSTOMERS[0]))


def test_an_attack_that_was_not_refused_by_its_rule_fails_the_demo() -> None:
    config, report = ReleaseDemoRun(), {"vehicles": []}
    for rule in ("", "metadata_frozen"):
        with pytest.raises(ReleaseError, match=r"attack_not_refused: .*replayed metadata"):
            release_demo._require_as_expected(
                config, report, [Tried("replayed metadata", bool(rule), rule, "metadata_replayed")]
            )


def test_a_vehicle_that_drives_otherwise_fails_the_demo() -> None:
    report = {"vehicles": [{"platform": "aurora_comet", "suites": {"leader": {"agrees": False}}}]}
    with pytest.raises(ReleaseError, match=r"drives_otherwise: .*aurora_comet: leader"):
        release_demo._require_as_expected(ReleaseDemoRun(), report, [])
