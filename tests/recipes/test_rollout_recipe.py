"""A trained policy drives through suites; what comes of it is the same however it is driven, and can be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from dojo import cli
from dojo.errors import ConfigError
from dojo.evaluate.closed_loop import ClosedLoopResult
from dojo.evaluate.markup import document, region, write_text
from dojo.evaluate.suites import SUITES
from dojo.model.config import PolicyConfig
from dojo.model.policy import Policy
from dojo.recipes import rollout
from dojo.recipes.films import films_in
from dojo.recipes.rollout import Driver, RolloutRun, scenarios_of
from dojo.recipes.run import read_record

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), far_widths=(8, 8, 8), feature=16, width=16, heads=2, hidden=16)
QUIET = Console(quiet=True)


def test_a_driver_answers_the_last_anchor_of_each_window() -> None:
    torch.manual_seed(0)
    policy = Policy(MINIATURE)
    rng = np.random.default_rng(0)
    frames = rng.integers(16, 235, (3, 4, 6, 128, 256), dtype=np.uint8)
    speed = rng.uniform(5, 20, (3, 3)).astype(np.float32)
    rest = (np.ones((3, 3), np.bool_), np.zeros((3, 3, 8), np.float32), np.ones(3, np.bool_))
    answer = Driver(policy)(frames, speed, *rest)
    assert len(answer.probability) == 3
    other_last = speed.copy()
    other_last[:, 2] += 5.0
    assert (Driver(policy)(frames, other_last, *rest).position_m != answer.position_m).any()
    moved_m = answer.position_m[:, 0, 8, 0] / speed[:, 2]
    np.testing.assert_allclose(moved_m, moved_m.mean(), rtol=0.2, err_msg="plans start at the last anchor's speed")


def test_each_suite_is_driven_plain_and_then_in_each_variant() -> None:
    config = RolloutRun(Path("run"), suites=("lane_centring", "leader"), variants=("night", "latency"))
    found = [(one.suite, one.variant) for one in scenarios_of(config)]
    suites = {name: len(SUITES[name](0)) for name in config.suites}
    expected = [(name, variant) for name in config.suites for variant in ("", "night", "latency")]
    assert list(dict.fromkeys(found)) == expected
    assert all(found.count((name, variant)) == suites[name] for name, variant in expected)
    assert len({one.scenario_id for one in scenarios_of(config)}) == len(found)
    assert len(scenarios_of(replace(config, cases=2))) == 2 * 2 * 3


def test_settings_that_cannot_work_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"variants from latency, .* got parking, fog_of_war"):
        RolloutRun(Path("run"), suites=("parking",), variants=("fog_of_war",))
    with pytest.raises(ConfigError, match=r"got none"):
        RolloutRun(Path("run"), suites=())
    with pytest.raises(ConfigError, match=r"expected films of at least 0, got -1"):
        RolloutRun(Path("run"), films=-1)
    with pytest.raises(ConfigError, match=r"expected film_seconds above 0, got 0"):
        RolloutRun(Path("run"), film_seconds=0.0)


@pytest.fixture(scope="module")
def driven(miniature_run: Path, tmp_path_factory: pytest.TempPathFactory) -> RolloutRun:
    """Four cases, driven in this process, and told to an earlier report."""
    report = tmp_path_factory.mktemp("report")
    (report / "report.json").write_text('{"open_loop": {}, "closed_loop": {"earlier": {}}}')
    write_text(report / "report.html", document("Report", "", region("closed_loop", "not driven"), ""))
    config = RolloutRun(
        run=miniature_run,
        out=tmp_path_factory.mktemp("rollout"),
        suites=("lane_centring", "cut_in"),
        cases=2,
        processes=1,
        films=2,
        film_seconds=1.0,
        report=report,
        name="on_policy",
    )
    threads = torch.get_num_threads()
    rollout.run(config, QUIET)
    assert torch.get_num_threads() == threads, "other work of this process keeps its threads"
    return config


def told(folder: Path) -> dict:
    return json.loads((folder / "closed_loop.json").read_text())


def test_the_report_says_how_each_suite_was_driven_and_where_that_comes_from(
    driven: RolloutRun, miniature_run: Path
) -> None:
    report = told(driven.folder)
    assert [suite.cases for suite in ClosedLoopResult.from_json(report["closed_loop"]).suites] == [2, 2]
    found = report["closed_loop"]["lane_centring"]
    assert found["cases"] == 2
    assert 0 <= found["low"] <= found["completed"] / 2 <= found["high"] <= 1
    origin = report["provenance"]
    assert {"seed", "commit", "versions", "machine", "dataset_version", "checkpoint_sha256"} <= set(origin)
    assert origin["cases"] == "4 cases of 2 suites, seed 0"
    assert origin["evaluation"]["suites"] == ["lane_centring", "cut_in"]
    assert origin["training"]["config"]["out"] == str(miniature_run)


def test_as_many_films_as_asked_stand_in_the_page_and_no_picture_is_left(driven: RolloutRun) -> None:
    films = films_in(driven.folder)
    assert len(films) == 2
    page = (driven.folder / "closed_loop.html").read_text()
    assert page.count("<video") == 2
    assert all(film.title in page for film in films)
    assert sorted(path.name for path in driven.folder.iterdir()) == [
        *("closed_loop.html", "closed_loop.json", "films", "run.json"),
    ]
    assert len(list((driven.folder / "films").glob("*.mp4"))) == 2


def test_an_earlier_report_is_told_and_keeps_what_it_had(driven: RolloutRun) -> None:
    assert driven.report is not None
    report = json.loads((driven.report / "report.json").read_text())
    assert report["closed_loop"]["on_policy"]["cut_in"] == told(driven.folder)["closed_loop"]["cut_in"]
    assert {"open_loop", "closed_loop"} == set(report)
    assert "earlier" in report["closed_loop"]
    page = (driven.report / "report.html").read_text()
    assert "How it drives" in page
    assert "not driven" not in page.replace('<span class="count">not driven</span>', "")
    assert page.count("<video") == 2


def test_a_rollout_is_repeated_exactly_from_its_record(driven: RolloutRun, tmp_path: Path) -> None:
    record = driven.folder / "run.json"
    assert read_record(record).verb == "rollout"
    assert cli.main(["rerun", str(record), "--out", str(tmp_path / "again"), "--json"]) == 0
    again = told(tmp_path / "again")
    assert again["closed_loop"] == told(driven.folder)["closed_loop"], "hashes of every state of every rollout included"
    for name in ("lane_centring", "cut_in"):
        assert len(again["closed_loop"][name]["driven"]) == 64


def test_how_many_processes_drive_changes_nothing(driven: RolloutRun, tmp_path: Path) -> None:
    rollout.run(replace(driven, out=tmp_path, processes=2, films=0, report=None), QUIET)
    assert told(tmp_path)["closed_loop"] == told(driven.folder)["closed_loop"]
    assert not (tmp_path / "films" / "cut_in-00.mp4").exists()
