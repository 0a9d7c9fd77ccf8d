from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.evaluate.metrics.times import at_times, interpolation, valid_at
from dojo.records import TRAJECTORY_TIMES_S


def test_at_one_of_the_33_times_only_that_point_counts() -> None:
    weights = interpolation(TRAJECTORY_TIMES_S)
    assert np.allclose(weights, np.eye(33))
    assert (weights != 0).sum() == 33


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 10), st.floats(-30, 30), st.floats(-4, 4))
def test_motion_under_constant_acceleration_is_found_to_a_millimetre(time: float, speed: float, pull: float) -> None:
    path = (speed * TRAJECTORY_TIMES_S + pull * TRAJECTORY_TIMES_S**2 / 2)[None, :, None]
    found = at_times(path, np.array([time]))[0, 0, 0]
    # t^2 is of fourth order in the index; what a cubic leaves of it is below 1 mm at 4 m/s2.
    assert found == pytest.approx(speed * time + pull * time**2 / 2, abs=1e-3)


def test_weights_sum_to_one() -> None:
    assert np.allclose(interpolation(np.linspace(0, 10, 101)).sum(1), 1)


def test_a_time_is_valid_only_where_all_its_points_are() -> None:
    valid = np.ones((3, 33), np.bool_)
    valid[1, 20:] = False  # from 3.9 s on
    valid[2, 17] = False  # 2.8 s
    found = valid_at(valid, np.array([1.0, 3.0, 5.0]))
    assert found.tolist() == [[True, True, True], [True, True, False], [True, False, True]]
