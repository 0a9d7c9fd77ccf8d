"""The whole road on a tiny fleet: the demo in miniature, by the same functions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dojo.curate import CurateConfig
from dojo.errors import ConfigError
from dojo.recipes import demo, train
from dojo.recipes.on_policy import OnPolicyRun, RoundConfig
from dojo.recipes.run import read_record
from dojo.store.dataset import Dataset
from dojo.train.train import TrainConfig
from dojo.world.fleet import FleetConfig

WHO = ("model", "constant_velocity", "constant_turn_rate", "mean_trajectory")
FIGURES = ("lateral_error_3s_m", "hit_30_50m", "hit_50m")


def tiny_demo(out: Path) -> demo.DemoRun:
    return demo.DemoRun(
        out=out,
        fleet=FleetConfig(vehicles=4, regions=2, drives_per_vehicle=1, seconds_per_drive=14.0, processes=2),
        curate=CurateConfig(validation_share=0.5),
        train=OnPolicyRun(
            train=replace(train.tiny(), train=TrainConfig(steps=3, checkpoint_every=2, threads=1)),
            round=RoundConfig(suites=("lane_centring",), scenarios=1, longest_s=1.5, steps=2),
        ),
        suites=("lane_centring",),
        cases=1,
        pictures=0,
        videos_of_each=1,
        films=1,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("story") / "demo"
    outcome = demo.run(tiny_demo(out), Console(quiet=True))
    assert outcome.facts["page"] == str(out / "report.html")
    return out


@pytest.mark.slow
def test_the_report_holds_every_figure_of_every_predictor_with_its_interval(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    for who in WHO:
        for figure in FIGURES:
            found = report["open_loop"][who][figure]
            assert found["low"] <= found["value"] <= found["high"], (who, figure)
            assert found["samples"] > 0


@pytest.mark.slow
def test_no_validation_clip_shares_a_vehicle_or_a_road_tile_with_training(finished: Path) -> None:
    dataset = Dataset.open(str(finished / "dataset"))
    sides = [dataset.clips(split=split) for split in ("train", "validation")]
    vehicles, tiles = (
        [{x for c in side for x in pick(c)} for side in sides]
        for pick in (lambda c: (c.vehicle_id,), lambda c: c.tiles)
    )
    assert all(sides)
    assert not vehicles[0] & vehicles[1]
    assert not tiles[0] & tiles[1]
    assert json.loads((finished / "report.json").read_text())["warnings"], "so few drives must be said"


@pytest.mark.slow
def test_the_page_shows_clips_and_needs_no_network(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.slow
def test_the_record_of_the_demo_names_everything_needed_to_repeat_it(finished: Path) -> None:
    run = read_record(finished / "run.json")
    assert run.verb == "demo"
    assert run.config["fleet"]["vehicles"] == 4
    provenance = json.loads((finished / "report.json").read_text())["provenance"]
    assert provenance["dataset_version"] == Dataset.open(str(finished / "dataset")).version
    assert len(provenance["checkpoint_sha256"]) == 64
    assert provenance["training"]["config"]["train"]["steps"] == 2
    assert provenance["training"]["config"]["rounds"] == [str(finished / "train-rounds" / "rollouts-0")]


@pytest.mark.slow
def test_the_report_says_how_the_policy_drives_and_shows_it(finished: Path) -> None:
    driven = json.loads((finished / "report.json").read_text())["closed_loop"]["on_policy"]
    assert set(driven) == {"lane_centring"}
    assert (driven["lane_centring"]["cases"], driven["lane_centring"]["completed"] in (0, 1)) == (1, True)
    assert 0 <= driven["lane_centring"]["low"] <= driven["lane_centring"]["high"] <= 1
    page = (finished / "report.html").read_text()
    assert "lane_centring-00" in page


@pytest.mark.slow
def test_a_demo_run_again_does_nothing_twice_and_says_the_same(finished: Path) -> None:
    before = json.loads((finished / "report.json").read_text())
    demo.run(tiny_demo(finished), Console(quiet=True))
    after = json.loads((finished / "report.json").read_text())
    assert after["open_loop"] == before["open_loop"]
    assert after["closed_loop"] == before["closed_loop"]
    assert after["provenance"]["checkpoint_sha256"] == before["provenance"]["checkpoint_sha256"]


@pytest.mark.slow
def test_another_demo_does_not_overwrite_this_one(finished: Path) -> None:
    other = tiny_demo(finished)
    with pytest.raises(ConfigError, match=r"with another configuration; remove the folder or choose another"):
        demo.run(replace(other, videos_of_each=2), Console(quiet=True))
