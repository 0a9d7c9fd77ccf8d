"""An ablation sets recipes side by side, from normal runs, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dojo.errors import ConfigError
from dojo.load.loader import LoadConfig
from dojo.load.recover import NO_RECOVER, RecoverConfig
from dojo.recipes import ablation
from dojo.recipes.ablation import ROWS, AblationRun
from dojo.recipes.on_policy import OnPolicyRun
from dojo.recipes.run import read_record
from dojo.recipes.train import TrainRun, load_policy

QUIET = Console(quiet=True)


def test_each_row_changes_one_thing_and_trains_as_long() -> None:
    full = AblationRun().full
    assert full.train.load.recover.share > 0, "there is something to switch off"
    made = {name: row(full) for name, row in ROWS.items()}
    steps = {one.train.train.steps + one.rounds * one.round.steps for one in made.values()}
    assert len(steps) == 1
    assert made["on_policy"] == full
    assert made["off_policy"].train.load.recover == NO_RECOVER
    assert made["recovery"].train.load.recover == full.train.load.recover
    assert [one.rounds for name, one in made.items() if name != "on_policy"] == [0] * (len(ROWS) - 1)
    assert not made["no_resampler"].train.load.recover.disguised
    noise = [made[name].train.policy.feature_noise_std for name in ("no_bottleneck", "bottleneck")]
    assert noise == [0.0, 0.42]


def test_what_cannot_be_compared_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"expected rows from off_policy, .* got magic, parking"):
        AblationRun(rows=("magic",), free=("parking",))
    with pytest.raises(ConfigError, match="got none of one of them"):
        AblationRun(seeds=())


@pytest.fixture(scope="module")
def config(miniature_run: Path, tmp_path_factory: pytest.TempPathFactory) -> AblationRun:
    trained = TrainRun(policy=load_policy(miniature_run).policy.config)
    recipe = OnPolicyRun(
        train=replace(
            trained,
            load=LoadConfig(batch_size=4, workers=0, recover=RecoverConfig(share=0.5)),
            train=replace(trained.train, steps=2, threads=1),
        ),
        rounds=0,
    )
    return AblationRun(
        out=tmp_path_factory.mktemp("ablation"),
        dataset=str(read_record(miniature_run / "run.json").config["dataset"]),
        full=recipe,
        rows=("recovery",),
        seeds=(3,),
        suites=("lane_centring",),
        variants=(),
        cases=1,
        free=(),
        films=0,
        processes=1,
    )


@pytest.fixture(scope="module")
def report(config: AblationRun) -> dict:
    ablation.run(config, QUIET)
    return json.loads((config.out / "report.json").read_text())


def test_the_report_has_every_suite_of_every_row_with_its_interval(report: dict) -> None:
    assert list(report["closed_loop"]) == ["recovery"]
    for row in report["closed_loop"].values():
        assert list(row) == ["lane_centring"]
        for suite in row.values():
            assert suite["cases"] == 1
            assert suite["low"] <= suite["completed"] / suite["cases"] <= suite["high"]
    assert report["open_loop"]["recovery"]["lateral_error_3s_m"]["mean"] > 0
    assert report["cheat"]["recovery"]["lateral"]["mean"] < 1
    assert report["seeds"] == {"recovery": [3]}
    assert list(report["provenance"]["points"]) == ["recovery-3"]


def test_every_point_is_a_normal_run(config: AblationRun, report: dict) -> None:
    point = config.out / "points" / "recovery-3"
    assert read_record(point / "train" / "run.json").config["train"]["seed"] == 3
    assert read_record(point / "train" / "run.json").config["load"]["recover"]["share"] == 0.5
    assert (point / "rollout" / "closed_loop.html").exists()
    assert (point / "open_loop" / "report.html").exists()
    page = (config.out / "report.html").read_text()
    assert "The logs, and from beside the driven line, with the way back as the target." in page


def test_what_is_done_is_not_done_again(config: AblationRun, report: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("done again")

    for verb in (ablation.rollout, ablation.cheat, ablation.evaluate):
        monkeypatch.setattr(verb, "run", refuse)
    ablation.run(config, QUIET)
    after = json.loads((config.out / "report.json").read_text())
    assert after["closed_loop"] == report["closed_loop"]
    assert after["provenance"]["points"] == report["provenance"]["points"], "the same checkpoints"
    with pytest.raises(AssertionError, match="done again"):
        ablation.run(replace(config, variants=("latency",)), QUIET)
