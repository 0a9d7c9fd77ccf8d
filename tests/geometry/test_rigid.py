from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import RecordError
from dojo.geometry import Rigid
from dojo.geometry.rigid import rotation_from_quaternion, yaw_of

angles = st.floats(-1.5, 1.5)
metres = st.floats(-100, 100)


def test_a_quarter_turn_to_the_left_points_the_x_axis_to_the_left() -> None:
    turned = Rigid.from_euler(0.0, 0.0, np.pi / 2, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(turned.apply(np.array([[1.0, 0.0, 0.0]])), [[1.0, 3.0, 3.0]], atol=1e-12)
    assert yaw_of(turned.rotation) == pytest.approx(np.pi / 2)


def test_positive_pitch_points_the_x_axis_down() -> None:
    assert Rigid.from_euler(0.0, 0.1, 0.0).apply(np.array([[1.0, 0.0, 0.0]]))[0, 2] < 0


@settings(max_examples=30, deadline=None)
@given(angles, angles, angles, metres, metres, metres)
def test_a_transform_followed_by_its_inverse_changes_nothing(
    roll: float, pitch: float, yaw: float, x: float, y: float, z: float
) -> None:
    there = Rigid.from_euler(roll, pitch, yaw, np.array([x, y, z]))
    points = np.array([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose((there.inverse() @ there).apply(points), points, atol=1e-9)
    np.testing.assert_allclose(there.inverse().apply(there.apply(points)), points, atol=1e-9)


def test_quaternion_and_euler_angles_agree() -> None:
    half = 0.3 / 2
    from_quaternion = rotation_from_quaternion(np.array([np.cos(half), 0.0, 0.0, np.sin(half)]))
    np.testing.assert_allclose(from_quaternion, Rigid.from_euler(0.0, 0.0, 0.3).rotation, atol=1e-12)


def test_a_matrix_that_is_no_rotation_is_refused() -> None:
    with pytest.raises(RecordError, match=r"expected a rotation matrix"):
        Rigid(np.eye(3) * 1.01, np.zeros(3))
    with pytest.raises(RecordError, match=r"expected a rotation matrix"):
        Rigid(np.diag([1.0, 1.0, -1.0]), np.zeros(3))
    with pytest.raises(RecordError, match=r"expected finite values"):
        Rigid(np.eye(3), np.array([np.nan, 0.0, 0.0]))
