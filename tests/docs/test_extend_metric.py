"""The code of docs/extend/metric.md does what the page says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dojo.evaluate.baselines import constant_velocity
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.samples import samples_of
from dojo.evaluate.suites import SUITES, manifest_hash
from dojo.records import TRAJECTORY_TIMES_S, Clip, Scenario
from dojo.world.stage import Place

METRIC_PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "metric.md"


def metric_blocks(kind: str) -> list[str]:
    """The fenced blocks of one kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", METRIC_PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Roads to drive on without drawing them."""
    if "driven" not in sys.modules:
        path = Path(__file__).parents[1] / "evaluate" / "driven.py"
        spec = importlib.util.spec_from_file_location("driven", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "driven", module)
        spec.loader.exec_module(module)
    return sys.modules["driven"]


def test_the_metric_of_driving_on_the_page_finds_who_brakes_hard(
    driven: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    rollouts = []
    for suite in ("gentle", "harsh"):
        cases = [Scenario(f"{suite}-{number}", suite, {}, number, 5.0) for number in range(3)]
        for rollout in drive(cases, driven.Circle(), IdealCar(), driven.LaneKeeper(), RolloutConfig()):
            if suite == "harsh":
                rollout.acceleration_mps2[21:41] = -4.0  # one second of five
            rollouts.append(rollout)
    page: dict[str, object] = {"rollouts": rollouts}
    for block in metric_blocks("python")[:2]:
        exec(block, page)
    assert capsys.readouterr().out == metric_blocks("text")[0]


def clip(number: int, yaw_rate_radps: float, known_s: float) -> Clip:
    """Ten moments of driving straight on, or in a bend."""
    turned = yaw_rate_radps * TRAJECTORY_TIMES_S
    chord = 12.0 * TRAJECTORY_TIMES_S * np.sinc(turned / 2 / np.pi)
    path = np.stack([chord * np.cos(turned / 2), chord * np.sin(turned / 2), 0 * turned], -1).astype(np.float32)
    rates = np.array([12.0, 0, 0, 0, 0, yaw_rate_radps], np.float32)
    return Clip(
        clip_id=f"c{number}",
        drive_id=f"d{number // 6}",
        vehicle_id="v",
        camera="front",
        split="validation",
        tags=(),
        tiles=(),
        weight=1.0,
        frame_indices=np.arange(11, dtype=np.int64),
        anchor_timestamps_ns=np.arange(10, dtype=np.int64) * 200_000_000,
        position_m=np.broadcast_to(path, (10, 33, 3)).copy(),
        yaw_rad=np.broadcast_to(turned.astype(np.float32), (10, 33)).copy(),
        speed_mps=np.full((10, 33), 12.0, np.float32),
        valid=np.broadcast_to(known_s + 1e-9 >= TRAJECTORY_TIMES_S, (10, 33)).copy(),
        curvature_per_m=np.full(10, yaw_rate_radps / 12.0, np.float32),
        acceleration_mps2=np.zeros(10, np.float32),
        action_valid=np.ones(10, np.bool_),
        ego_rates=np.broadcast_to(rates, (10, 6)).copy(),
        desire=np.zeros(10, np.int64),
    )


def test_the_metric_of_plans_on_the_page_counts_what_can_be_judged(capsys: pytest.CaptureFixture[str]) -> None:
    # Of 72 clips 12 are not known to the end, and of the others 6 are straight, which a straight plan meets.
    clips = [clip(number, 0.0 if number < 6 else 0.05, 10.0 if number < 60 else 4.0) for number in range(72)]
    samples = samples_of(clips)
    page: dict[str, object] = {"samples": samples, "plans": constant_velocity(samples)}
    for block in metric_blocks("python")[2:4]:
        exec(block, page)
    assert capsys.readouterr().out == metric_blocks("text")[1]


def test_the_suite_on_the_page_names_places_that_the_world_knows_and_shares_no_seed_with_another() -> None:
    page: dict[str, object] = {}
    exec(metric_blocks("python")[4], page)
    fog = page["fog"]
    assert callable(fog)
    scenarios = fog(0)
    assert {Place.of(scenario.place, scenario.scenario_id).weather for scenario in scenarios} == {"fog"}
    assert manifest_hash(fog(0)) != manifest_hash(fog(1))
    taken = {scenario.seed for make in SUITES.values() for scenario in make(0)}
    assert not taken & {scenario.seed for scenario in scenarios}


def test_every_file_that_the_page_of_metrics_names_exists_but_those_it_tells_to_write() -> None:
    named = set(re.findall(r"`((?:src|tests)/[\w/]+\.py|(?:src|tests)/[\w/]+/)`", METRIC_PAGE.read_text()))
    root = METRIC_PAGE.parents[2]
    missing = sorted(Path(name).name for name in named if not (root / name).exists())
    assert missing == ["end_hit.py", "hard_braking.py"]
