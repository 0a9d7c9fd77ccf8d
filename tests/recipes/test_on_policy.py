"""Rounds on policy: what the policy gets into becomes drives, corrected, and is learned with the logs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dojo.curate import CurateConfig
from dojo.errors import ConfigError, DojoError
from dojo.evaluate.rollout import RolloutConfig
from dojo.load import LoadConfig, RecoverConfig
from dojo.model.config import PolicyConfig
from dojo.recipes import curate, ingest, on_policy, simulate, train
from dojo.recipes.on_policy import OnPolicyRun, RoundConfig, scenarios_of, stages
from dojo.recipes.train import TrainRun, mixed
from dojo.store.dataset import Dataset
from dojo.train import checkpoint
from dojo.train.train import TrainConfig
from dojo.world.fleet import FleetConfig

QUIET = Console(quiet=True)
MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), far_widths=(8, 8, 8), feature=16, width=16, heads=2, hidden=16)


def test_scenarios_come_from_the_suites_in_turns_and_never_with_the_seed_of_the_figures() -> None:
    config = RoundConfig(suites=("lane_centring", "leader"), scenarios=30, longest_s=8.0)
    found = scenarios_of(config, 0)
    assert [scenario.suite for scenario in found[:4]] == ["lane_centring", "leader"] * 2
    assert len({scenario.scenario_id for scenario in found}) == len(found) == 30
    assert max(scenario.duration_s for scenario in found) == 8.0
    places = {json.dumps(dict(scenario.place), sort_keys=True) for scenario in found}
    figures = {json.dumps(dict(s.place), sort_keys=True) for name in config.suites for s in on_policy.SUITES[name](0)}
    others = {json.dumps(dict(scenario.place), sort_keys=True) for scenario in scenarios_of(config, 1)}
    assert not places & figures
    assert not places & others


def test_the_learning_rate_falls_once_over_all_trainings() -> None:
    tiny = train.tiny()
    found = stages(OnPolicyRun(train=tiny, rounds=2, round=RoundConfig(learning_rate=1e-3, steps=7)))
    rates = [stage.train.optimise for stage in found]
    assert [rate.learning_rate for rate in rates] == [3e-3, 1e-3, 1e-3]
    assert [rate.final_share for rate in rates] == [pytest.approx(1 / 3), 1.0, tiny.train.optimise.final_share]
    assert [stage.train.steps for stage in found] == [tiny.train.steps, 7, 7]


def test_logs_from_beside_the_line_can_be_left_to_the_first_training() -> None:
    recover = RecoverConfig(share=0.2)
    logs = replace(train.tiny(), load=replace(train.tiny().load, recover=recover))
    for beside, expected in ((True, [0.2, 0.2]), (False, [0.2, 0.0])):
        found = stages(OnPolicyRun(train=logs, rounds=1, round=RoundConfig(beside=beside)))
        assert [stage.load.recover.share for stage in found] == expected


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected suites from .* got parking"):
        RoundConfig(suites=("parking",))
    with pytest.raises(ConfigError, match="first_seed and steps of at least 1"):
        RoundConfig(first_seed=0)
    with pytest.raises(ConfigError, match="expected rounds and processes from 0, got -1"):
        OnPolicyRun(rounds=-1)
    with pytest.raises(ConfigError, match=r"expected rollout.keep_frames"):
        OnPolicyRun(rollout=RolloutConfig())
    with pytest.raises(ConfigError, match=r"expected a rounds_share between 0 and 1, got 1.0"):
        TrainRun(rounds_share=1.0)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The dataset of a fleet of two short drives."""
    root = tmp_path_factory.mktemp("logs")
    fleet = FleetConfig(vehicles=2, regions=2, drives_per_vehicle=1, seconds_per_drive=8.0, fps=5.0, processes=1)
    simulate.run(simulate.SimulateRun(out=root / "fleet", fleet=fleet), QUIET)
    data = str(root / "data")
    ingest.run(ingest.IngestConfig(source=root / "fleet", dataset=data, processes=1), QUIET)
    wanted = CurateConfig(anchors_per_clip=2, force_split="train")
    curate.run(curate.CurateRun(dataset=data, curate=wanted), QUIET)
    return data


def plan(logs: str, out: Path, rounds: int = 1) -> OnPolicyRun:
    recipe = TrainRun(
        dataset=logs,
        out=out,
        cache_gb=0.2,
        policy=MINIATURE,
        load=LoadConfig(batch_size=4, workers=0),
        train=TrainConfig(steps=2, threads=1),
    )
    return OnPolicyRun(
        train=recipe,
        rounds=rounds,
        round=RoundConfig(suites=("lane_centring",), scenarios=2, longest_s=1.5, steps=2),
        processes=1,
    )


@pytest.fixture(scope="module")
def finished(logs: str, tmp_path_factory: pytest.TempPathFactory) -> OnPolicyRun:
    config = plan(logs, tmp_path_factory.mktemp("round") / "train")
    outcome = on_policy.run(config, QUIET)
    assert outcome.facts["run"] == str(config.train.out)
    return config


def weights(run: Path) -> bytes:
    found = checkpoint.newest(run / "checkpoints")
    assert found is not None
    return b"".join(value.numpy().tobytes() for _, value in sorted(found.state["model"].items()))


@pytest.mark.slow
def test_a_round_leaves_drives_that_anyone_can_open_and_clips_of_every_picture(finished: OnPolicyRun) -> None:
    dataset = Dataset.open(str(finished.folder / "rollouts-0"))
    drives, clips = dataset.drives(), dataset.clips(split="train")
    assert len(drives) == 2
    assert {tag for drive in drives for tag in drive.tags} == {"on_policy"}
    for drive in drives:
        (stream,) = drive.cameras
        times_s = stream.timestamps_ns / 1e9
        np.testing.assert_allclose(np.diff(times_s), 0.2, atol=1e-6)
        speed, known = drive.telemetry.speed_mps.at(stream.timestamps_ns)
        moved_m = np.linalg.norm(np.diff(drive.ego.translation_m[:, :2], axis=0), axis=1).sum()
        assert known.all()
        assert moved_m == pytest.approx(speed.mean() * times_s[-1], rel=0.1)
        own = [clip for clip in clips if clip.drive_id == drive.drive_id]
        assert len(own) == (len(times_s) - 1) // 2
        frames = dataset.frames(drive.drive_id, "front", own[0].frame_indices)
        assert frames[0].y.shape == (256, 512)
        assert frames[0].y.std() > 5
    assert all(clip.valid[:, :10].all() for clip in clips)


@pytest.mark.slow
def test_a_finished_round_is_not_driven_again_and_an_unfinished_one_is_completed(finished: OnPolicyRun) -> None:
    first = finished.folder / "round-0"
    again = on_policy.collect(finished, first, 0, lambda _done, _all: pytest.fail("it drove again"))
    before = again.clips()
    again.put_clips([], {})  # as if it had been interrupted before the clips were put
    told: list[tuple[int, int]] = []
    repeated = on_policy.collect(finished, first, 0, lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)
    assert len(repeated.drives()) == 2
    assert [clip.clip_id for clip in repeated.clips()] == [clip.clip_id for clip in before]


@pytest.mark.slow
def test_the_last_training_begins_with_the_weights_before_it_and_learns_from_the_round(
    finished: OnPolicyRun, logs: str, tmp_path: Path
) -> None:
    assert weights(finished.train.out) != weights(finished.folder / "round-0")
    alone = plan(logs, tmp_path / "alone", rounds=0)
    on_policy.run(alone, QUIET)
    # Without rounds it is the plain training on logs, to the last bit.
    assert weights(alone.train.out) == weights(finished.folder / "round-0")
    assert not list(alone.folder.glob("rollouts-*"))


@pytest.mark.slow
def test_rounds_have_the_share_of_the_draws_that_the_recipe_says(finished: OnPolicyRun, logs: str) -> None:
    own = Dataset.open(logs).clips(split="train")
    others = Dataset.open(str(finished.folder / "rollouts-0")).clips(split="train")
    together = mixed(own, others, 0.3)
    mass = sum(clip.weight for clip in together if "on_policy" in clip.tags)
    assert mass / sum(clip.weight for clip in together) == pytest.approx(0.3)
    assert mixed(own, [], 0.3) == own


@pytest.mark.slow
def test_a_round_that_is_no_longer_there_is_an_error_that_says_so(finished: OnPolicyRun, tmp_path: Path) -> None:
    broken = replace(finished.train, out=tmp_path / "x", rounds=(str(tmp_path / "gone"),))
    with pytest.raises(DojoError, match=r"gone"):
        train.run(broken, QUIET)
