from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import EvaluationError
from dojo.evaluate.baselines import constant_turn_rate, constant_velocity, mean_trajectory, standard_baselines
from dojo.evaluate.samples import Samples, samples_of
from dojo.records import TRAJECTORY_TIMES_S, Clip


def test_constant_velocity_goes_straight_on(make_clip: Callable[..., Clip]) -> None:
    path = constant_velocity(samples_of([make_clip(speed_mps=10.0, yaw_rate_radps=0.1, anchors=1)])).best()[0]
    assert path[-1].tolist() == pytest.approx([100.0, 0.0, 0.0])
    assert path[16].tolist() == pytest.approx([25.0, 0.0, 0.0])


def test_constant_turn_rate_ends_a_quarter_turn_on_the_quarter_circle(make_clip: Callable[..., Clip]) -> None:
    rate = np.pi / 2 / 10
    path = constant_turn_rate(samples_of([make_clip(speed_mps=10.0, yaw_rate_radps=rate, anchors=1)])).best()[0]
    radius = 10.0 / rate
    assert path[-1].tolist() == pytest.approx([radius, radius, 0.0], rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 40.0), st.floats(-0.5, 0.5))
def test_a_turn_keeps_its_speed(speed: float, rate: float) -> None:
    fine = np.linspace(0, 10, 2001)
    samples = _one(speed, rate)
    path = constant_turn_rate(samples).best()[0].astype(np.float64)
    x = np.concatenate([[0], np.cumsum(speed * np.cos(rate * (fine[1:] + fine[:-1]) / 2) * np.diff(fine))])
    y = np.concatenate([[0], np.cumsum(speed * np.sin(rate * (fine[1:] + fine[:-1]) / 2) * np.diff(fine))])
    # Midpoint sums over 5 ms steps of a curve with |acceleration change| <= v r^2 are good to 1 mm; float32 to 0.1 mm.
    assert np.allclose(path[:, 0], np.interp(TRAJECTORY_TIMES_S, fine, x), atol=2e-3)
    assert np.allclose(path[:, 1], np.interp(TRAJECTORY_TIMES_S, fine, y), atol=2e-3)


def _one(speed: float, rate: float) -> Samples:
    zero33, one = np.zeros((1, 33), np.float32), np.zeros(1, np.float32)
    index = np.zeros(1, np.int64)
    return Samples(
        position_m=np.zeros((1, 33, 3), np.float32),
        yaw_rad=zero33,
        speed_mps=zero33,
        valid=np.ones((1, 33), np.bool_),
        speed_now_mps=np.array([speed], np.float32),
        yaw_rate_now_radps=np.array([rate], np.float32),
        curvature_per_m=one,
        acceleration_mps2=one,
        action_valid=np.ones(1, np.bool_),
        timestamp_ns=index,
        drive=index,
        vehicle=index,
        clip=index,
        drive_ids=("d",),
        vehicle_ids=("v",),
        clip_ids=("c",),
        tags=(),
        tagged=np.zeros((1, 0), np.bool_),
    )


def test_the_mean_is_over_valid_training_points_only(make_clip: Callable[..., Clip]) -> None:
    training = samples_of(
        [make_clip("a", speed_mps=10.0, anchors=1), make_clip("b", speed_mps=20.0, anchors=1, valid_until_s=2.5)]
    )
    path = mean_trajectory(samples_of([make_clip(anchors=2)]), training).best()
    assert path[:, 16, 0] == pytest.approx([37.5, 37.5])
    assert path[:, 32, 0] == pytest.approx([100.0, 100.0])


def test_the_mean_goes_on_beyond_what_training_reaches(make_clip: Callable[..., Clip]) -> None:
    training = samples_of([make_clip(speed_mps=10.0, valid_until_s=3.0)])
    path = mean_trajectory(training, training).best()
    assert path[0, :, 0] == pytest.approx(10.0 * TRAJECTORY_TIMES_S, abs=1e-3)


def test_a_mean_of_nothing_is_refused(make_clip: Callable[..., Clip]) -> None:
    nothing = samples_of([make_clip(valid_until_s=0.0)])
    with pytest.raises(EvaluationError, match="expected training clips with a valid path, got 1 valid times"):
        mean_trajectory(nothing, nothing)


def test_without_training_clips_two_baselines_remain(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip()])
    assert list(standard_baselines(samples, None)) == ["constant_velocity", "constant_turn_rate"]
    assert list(standard_baselines(samples, samples))[2] == "mean_trajectory"


def test_a_standing_vehicle_has_no_curvature(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(speed_mps=0.0)])
    turning = replace(samples, yaw_rate_now_radps=np.full(5, 0.2, np.float32))
    assert constant_turn_rate(turning).curvature_per_m.tolist() == [0.0] * 5
