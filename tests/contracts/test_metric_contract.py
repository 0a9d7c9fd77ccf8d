"""What every metric owes: a name that says its unit, finite sums, no weight for what it cannot judge, and no memory."""

from __future__ import annotations

import copy
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from driven import Circle, LaneKeeper, straight_on

from dojo.evaluate.baselines import constant_velocity
from dojo.evaluate.driving import DRIVING_METRICS, DrivingMetric
from dojo.evaluate.metrics import METRICS, Metric
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.samples import Samples
from dojo.records import Goal, Rollout, Scenario

ENDINGS = {"m": "_m", "s": "_s", "m/s²": "_mps2", "m/s³": "_mps3", "1/km": "_per_km"}

driving = pytest.mark.parametrize("metric", DRIVING_METRICS, ids=lambda metric: metric.name)
planning = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


@pytest.fixture(scope="module")
def rollouts() -> list[Rollout]:
    """Good and bad ends, long and short, standing and moving, with and without somebody ahead."""
    cases = [
        (Scenario("kept", "s", {}, 0, 4.0), LaneKeeper()),
        (Scenario("left", "s", {"curvature": 0.01}, 1, 6.0), straight_on),
        (Scenario("hit", "s", {"wall_m": 30.0}, 2, 6.0), straight_on),
        (Scenario("stood", "s", {}, 3, 2.0, start_speed_mps=0.0), straight_on),
        (Scenario("moment", "s", {}, 4, 0.05), LaneKeeper()),
        (Scenario("asked", "s", {}, 5, 2.0, goal=Goal(lanes_left=1, within_m=0.5, stands=True)), LaneKeeper()),
    ]
    return [
        rollout for case, policy in cases for rollout in drive([case], Circle(), IdealCar(), policy, RolloutConfig())
    ]


def test_names_are_unique_and_end_in_their_unit() -> None:
    for metrics in (DRIVING_METRICS, METRICS):
        names = [metric.name for metric in metrics]
        assert len(set(names)) == len(names)
        assert all(metric.name.endswith(ENDINGS[metric.unit]) for metric in metrics if metric.unit)
        assert all(metric.title for metric in metrics)


@driving
def test_what_a_rollout_adds_is_finite_and_weighs_at_least_nothing(
    metric: DrivingMetric, rollouts: list[Rollout]
) -> None:
    for rollout in rollouts:
        told = metric.measure(rollout)
        assert math.isfinite(told.total), rollout.scenario.scenario_id
        assert math.isfinite(told.weight)
        assert told.weight >= 0
        if told.weight == 0:
            assert told.total == 0, "what is not judged adds nothing"
        if metric.kind == "count":
            assert (told.total, told.weight) in {(0.0, 1.0), (1.0, 1.0), (0.0, 0.0)}
        if metric.kind == "rate":
            assert told.total == round(told.total), "events are counted"


@driving
def test_a_metric_of_driving_leaves_the_rollout_as_it_was_and_says_the_same_again(
    metric: DrivingMetric, rollouts: list[Rollout]
) -> None:
    for rollout in rollouts:
        before = copy.deepcopy(rollout)
        assert metric.measure(rollout) == metric.measure(before)
        for field in fields(rollout):
            value = getattr(rollout, field.name)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(before, field.name))


def few_samples() -> Samples:
    """Thirty moments, of which some know little of their future, and some nothing."""
    random = np.random.default_rng(2)
    n = 30
    valid = np.arange(33) < random.integers(0, 34, n)[:, None]
    position = np.cumsum(random.uniform(0, 2, (n, 33, 3)), 1).astype(np.float32) * valid[..., None]
    zero = np.zeros(n, np.int64)
    return Samples(
        position_m=position,
        yaw_rad=np.zeros((n, 33), np.float32),
        speed_mps=np.full((n, 33), 8.0, np.float32) * valid,
        valid=valid,
        speed_now_mps=np.full(n, 8.0, np.float32),
        yaw_rate_now_radps=np.zeros(n, np.float32),
        curvature_per_m=np.zeros(n, np.float32),
        acceleration_mps2=np.zeros(n, np.float32),
        action_valid=np.ones(n, np.bool_),
        timestamp_ns=np.arange(n, dtype=np.int64) * 200_000_000,
        drive=zero,
        vehicle=zero,
        clip=zero,
        drive_ids=("d",),
        vehicle_ids=("v",),
        clip_ids=("c",),
        tags=(),
        tagged=np.zeros((n, 0), np.bool_),
    )


@planning
def test_what_a_moment_adds_is_finite_and_what_is_not_known_changes_nothing(metric: Metric) -> None:
    samples = few_samples()
    plans = constant_velocity(samples)
    measured = metric.measure(samples, plans)
    assert measured.total.shape == measured.weight.shape == (30,)
    assert np.isfinite(measured.total).all()
    assert np.isfinite(measured.weight).all()
    assert (measured.weight >= 0).all()
    assert (measured.total[measured.weight == 0] == 0).all(), "what is not judged adds nothing"
    elsewhere = samples.position_m + np.where(samples.valid[..., None], 0, 1000).astype(np.float32)
    again = metric.measure(replace(samples, position_m=elsewhere), plans)
    np.testing.assert_array_equal(measured.total, again.total)
    np.testing.assert_array_equal(measured.weight, again.weight)
