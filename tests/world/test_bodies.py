"""Bodies of other vehicles: unit-sized, with lamps where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.world.bodies import body


@pytest.mark.parametrize(
    ("kind", "shape"), [("car", 0), ("car", 1), ("car", 2), ("car", 3), ("truck", 0), ("truck", 1)]
)
def test_bodies_fill_the_unit_box_and_stand_on_the_ground(kind: str, shape: int) -> None:
    shell = body(kind, shape)
    points = np.concatenate([shell.painted.points_m, shell.fixed.points_m])
    np.testing.assert_allclose(points.min(0), [-0.505, -0.5, 0.0], atol=0.012)
    np.testing.assert_allclose(points.max(0), [0.505, 0.5, 1.0], atol=0.012)


@pytest.mark.parametrize("kind", ["car", "truck"])
def test_lamps_are_at_the_right_ends_and_sides(kind: str) -> None:
    shell = body(kind, 0)
    assert shell.brake.points_m[:, 0].max() < -0.3
    assert shell.left.points_m[:, 1].min() > 0 > shell.right.points_m[:, 1].max()
    assert shell.headlight[0] > 0 > shell.tail_light[0]
    assert 0 < shell.headlight[2] < 0.7


def test_shapes_differ_and_repeat() -> None:
    assert not np.array_equal(body("car", 0).painted.points_m, body("car", 3).painted.points_m)
    assert body("car", 1) is body("car", 1)
    np.testing.assert_array_equal(body("car", 1).painted.points_m, body("car", 5).painted.points_m)
