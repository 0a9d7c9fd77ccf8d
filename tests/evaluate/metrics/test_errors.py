"""Displacement, time errors, jerk and calibration on cases computed by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dojo.evaluate.metrics import METRICS
from dojo.evaluate.samples import Samples, samples_of
from dojo.records import TRAJECTORY_TIMES_S, Clip, Plans

BY_NAME = {metric.name: metric for metric in METRICS}


def plans_at(position: np.ndarray, scale: float = 1.0) -> Plans:
    position = position[:, None].astype(np.float32)
    ones = np.ones((len(position), 1), np.float32)
    return Plans(position, np.full_like(position, scale), ones, ones[:, 0], ones[:, 0])


def value(name: str, samples: Samples, plans: Plans) -> float:
    found = BY_NAME[name].measure(samples, plans)
    return float(found.total.sum() / found.weight.sum())


@pytest.fixture
def straight(make_clip: Callable[..., Clip]) -> Samples:
    return samples_of([make_clip(anchors=2)])


def test_errors_at_a_time_are_split_into_beside_and_along(straight: Samples) -> None:
    drift = np.stack([0.5 * TRAJECTORY_TIMES_S, -0.2 * TRAJECTORY_TIMES_S, 0 * TRAJECTORY_TIMES_S], -1)
    plans = plans_at(straight.position_m + drift)
    for second in (1, 2, 3, 5):
        assert value(f"lateral_error_{second}s_m", straight, plans) == pytest.approx(0.2 * second, rel=1e-4)
        assert value(f"longitudinal_error_{second}s_m", straight, plans) == pytest.approx(0.5 * second, rel=1e-4)


def test_displacement_is_in_the_ground_plane_and_its_average_over_even_times(straight: Samples) -> None:
    drift = np.stack([0.3 * TRAJECTORY_TIMES_S, 0.4 * TRAJECTORY_TIMES_S, 9.0 + 0 * TRAJECTORY_TIMES_S], -1)
    plans = plans_at(straight.position_m + drift)
    assert value("fde_3s_m", straight, plans) == pytest.approx(1.5, rel=1e-4)
    # mean of 0.5 t over t = 0.1, 0.2 ... 3.0 is 0.5 * 1.55
    assert value("ade_3s_m", straight, plans) == pytest.approx(0.775, rel=1e-4)


def test_samples_whose_path_ends_earlier_are_left_out(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip("a", anchors=1), make_clip("b", anchors=1, valid_until_s=3.0)])
    off = samples.position_m.copy()
    off[1, :, 1] += 100.0
    found = BY_NAME["lateral_error_5s_m"].measure(samples, plans_at(off))
    assert found.weight.tolist() == [1, 0]
    assert found.total.tolist() == pytest.approx([0, 0], abs=1e-4)


def test_jerk_of_a_cubic_is_its_third_derivative(straight: Samples) -> None:
    path = np.stack([10 * TRAJECTORY_TIMES_S, 0.7 * TRAJECTORY_TIMES_S**3 / 6, 0 * TRAJECTORY_TIMES_S], -1)
    plans = plans_at(np.broadcast_to(path, (2, 33, 3)))
    assert value("jerk_mps3", straight, plans) == pytest.approx(0.7, rel=1e-3)


def test_steady_motion_has_no_jerk(straight: Samples) -> None:
    assert value("jerk_mps3", straight, plans_at(straight.position_m)) == pytest.approx(0, abs=1e-3)


def test_coverage_counts_points_inside_the_central_interval(straight: Samples) -> None:
    # With scale 1 the central 80 % interval reaches to ln 5 = 1.609 m.
    assert value("coverage_lateral_80", straight, plans_at(straight.position_m + np.array([0, 1.60, 0]))) == 1.0
    assert value("coverage_lateral_80", straight, plans_at(straight.position_m + np.array([0, 1.62, 0]))) == 0.0
    assert value("coverage_longitudinal_80", straight, plans_at(straight.position_m + np.array([0, 1.62, 0]))) == 1.0


def test_a_plan_too_far_right_puts_the_driven_points_in_the_left_tenth(straight: Samples) -> None:
    plans = plans_at(straight.position_m + np.array([0, -3.0, 0]))
    assert value("tenth_lateral_10", straight, plans) == 1.0
    assert value("tenth_lateral_1", straight, plans) == 0.0


def test_a_calibrated_model_is_found_calibrated(fleet_samples: Samples, noisy_plans: Callable[..., Plans]) -> None:
    plans = noisy_plans(fleet_samples)
    for axis in ("lateral", "longitudinal"):
        for level in (50, 80, 95):
            # 20,000 independent points: two standard errors are below 0.7 %.
            assert value(f"coverage_{axis}_{level}", fleet_samples, plans) == pytest.approx(level / 100, abs=0.01)
        for tenth in range(1, 11):
            assert value(f"tenth_{axis}_{tenth}", fleet_samples, plans) == pytest.approx(0.1, abs=0.01)
    overconfident = noisy_plans(fleet_samples, stated=0.5)
    assert value("coverage_lateral_80", fleet_samples, overconfident) < 0.6


def test_every_metric_is_finite_and_zero_where_nothing_is_valid(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(anchors=1, valid_until_s=-1.0)])
    for metric in METRICS:
        found = metric.measure(samples, plans_at(samples.position_m + 1))
        assert found.weight.tolist() == [0]
        assert found.total.tolist() == [0]
