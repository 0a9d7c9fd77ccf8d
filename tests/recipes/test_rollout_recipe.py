from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dojo.errors import ConfigError
from dojo.evaluate.suites import SUITES
from dojo.model.config import PolicyConfig
from dojo.model.policy import Policy
from dojo.recipes.rollout import Driver, RolloutRun, scenarios_of

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), far_widths=(8, 8, 8), feature=16, width=16, heads=2, hidden=16)


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


def test_suites_and_variants_that_do_not_exist_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"variants from latency, .* got parking, fog_of_war"):
        RolloutRun(Path("run"), suites=("parking",), variants=("fog_of_war",))
    with pytest.raises(ConfigError, match=r"got none"):
        RolloutRun(Path("run"), suites=())
