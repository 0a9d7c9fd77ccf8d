from __future__ import annotations

from collections.abc import Iterator

import jaxtyping
import numpy as np
import pytest

from dojo.errors import RecordError
from dojo.geometry import MODEL_VIEW
from dojo.records import TRAJECTORY_TIMES_S, CameraStream, Estimate, Plans, Signal, Telemetry

SECOND = 1_000_000_000


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Outside the tests nobody checks shapes but the record itself: let it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def signal(times_s: list[float], values: list[float]) -> Signal:
    return Signal.measured((np.array(times_s) * SECOND).astype(np.int64), np.array(values))


def test_trajectory_times_run_quadratically_from_zero_to_ten_seconds() -> None:
    assert len(TRAJECTORY_TIMES_S) == 33
    assert (TRAJECTORY_TIMES_S[0], TRAJECTORY_TIMES_S[16], TRAJECTORY_TIMES_S[32]) == (0.0, 2.5, 10.0)


def test_a_signal_is_linear_between_its_samples_and_unknown_outside_them() -> None:
    values, valid = signal([0.0, 1.0], [10.0, 20.0]).at(np.array([-1, 0, SECOND // 4, SECOND, SECOND + 1]))
    assert valid.tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(values[valid], [10.0, 12.5, 20.0])


def test_a_switch_keeps_its_last_value() -> None:
    values, _ = signal([0.0, 1.0], [0.0, 1.0]).at(np.array([SECOND - 1, SECOND]), held=True)
    assert values.tolist() == [0.0, 1.0]


def test_a_gap_or_an_invalid_sample_is_not_bridged_silently() -> None:
    holed = Signal(np.array([0, 1, 2]) * SECOND, np.array([1.0, np.nan, 3.0]), np.array([True, False, True]))
    assert not holed.at(np.array([SECOND]), max_gap_s=1.5)[1].any()
    values, valid = holed.at(np.array([SECOND]), max_gap_s=2.0)
    assert valid.all()
    assert values[0] == 2.0


def test_an_empty_signal_knows_nothing_and_a_single_sample_knows_one_moment() -> None:
    assert not Signal().at(np.array([0]))[1].any()
    values, valid = signal([1.0], [7.0]).at(np.array([0, SECOND, 2 * SECOND]))
    assert (values[1], valid.tolist()) == (7.0, [False, True, False])


def test_telemetry_names_what_it_has() -> None:
    assert Telemetry(speed_mps=signal([0.0], [1.0]), gear=signal([0.0], [float("nan")])).present() == ("speed_mps",)


def test_a_signal_whose_clock_runs_backwards_is_refused() -> None:
    with pytest.raises(RecordError, match=r"sample 2 is -1 ns after its predecessor"):
        Signal.measured(np.array([0, 2, 1]), np.zeros(3))


def test_a_signal_whose_valid_value_is_nan_is_refused() -> None:
    with pytest.raises(RecordError, match=r"marked valid is NaN"):
        Signal(np.array([0]), np.array([np.nan]), np.array([True]))


def test_a_signal_of_unequal_lengths_is_refused(unchecked_shapes: None) -> None:
    with pytest.raises(RecordError, match=r"got 2 times, 1 values, 1 marks"):
        Signal(np.array([0, 1]), np.zeros(1), np.ones(1, np.bool_))


def test_a_camera_stream_needs_a_mark_for_every_frame(unchecked_shapes: None) -> None:
    with pytest.raises(RecordError, match=r"camera front: 2 times but 1 marks"):
        CameraStream("front", MODEL_VIEW, np.array([0, 1]), np.ones(1, np.bool_))


def test_the_best_plan_is_the_most_probable_one() -> None:
    position = np.zeros((2, 2, 33, 3), np.float32)
    position[:, 1] = 1.0
    plans = Plans(
        position, position + 0.5, np.array([[0.2, 0.8], [0.9, 0.1]], np.float32), *np.zeros((2, 2), np.float32)
    )
    assert plans.best()[:, 0, 0].tolist() == [1.0, 0.0]
    assert plans.best_scale()[:, 0, 0].tolist() == [1.5, 0.5]


def test_plans_that_are_nan_or_have_no_spread_are_refused() -> None:
    position, probability, action = (
        np.zeros((1, 1, 33, 3), np.float32),
        np.ones((1, 1), np.float32),
        np.zeros(1, np.float32),
    )
    with pytest.raises(RecordError, match=r"expected positive scales"):
        Plans(position, position, probability, action, action)
    with pytest.raises(RecordError, match=r"curvature_per_m holds NaN"):
        Plans(position, position + 1, probability, action * np.nan, action)


def test_an_estimate_lies_inside_its_interval() -> None:
    with pytest.raises(RecordError, match=r"lies outside its own interval"):
        Estimate(1.0, 2.0, 3.0, samples=1, groups=1)
