"""Things beside the road: on the ground, of the size asked for, facing traffic."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.world import props

GREEN = (0.3, 0.5, 0.2)


def points(parts: props.Parts) -> np.ndarray:
    return np.concatenate([mesh.points_m for mesh in parts.values()])


@pytest.mark.parametrize("height", [4.0, 12.0])
def test_trees_stand_on_the_ground_and_reach_their_height(height: float) -> None:
    rng = np.random.default_rng(0)
    for tree in (props.broadleaf(height, GREEN, rng), props.conifer(height, GREEN)):
        assert points(tree)[:, 2].min() == 0
        assert points(tree)[:, 2].max() == pytest.approx(height, rel=0.06)


def test_houses_are_as_large_as_asked_and_reach_into_the_ground() -> None:
    for flat in (True, False):
        house = props.house(12.0, 8.0, 2, (1.0, 1.0, 1.0), (0.5, 0.2, 0.2), flat=flat)
        walls = house["wall"].points_m
        np.testing.assert_allclose(np.ptp(walls[:, :2], axis=0), [12.0, 8.0])
        assert walls[:, 2].min() < -0.5
        assert points(house)[:, 2].max() > 2 * 2.9


@pytest.mark.parametrize("kmh", [30, 100])
def test_limit_signs_show_their_face_to_traffic(kmh: int) -> None:
    sign = points(props.limit_sign(kmh))
    assert sign[:, 0].min() == pytest.approx(-0.07)
    assert sign[:, 2].max() == pytest.approx(2.74, abs=0.01)


def test_arrow_boards_point_where_the_bend_goes() -> None:
    for left in (True, False):
        mesh = props.chevron(left=left)["plain"]
        red = mesh.points_m[(mesh.rgb[:, 0] > 0.3) & (mesh.rgb[:, 1] < 0.2)]
        tips = red[np.isclose(red[:, 2], 1.0)]  # the arms meet at mid-height, furthest to where they point
        assert (tips[:, 1].mean() > red[~np.isclose(red[:, 2], 1.0)][:, 1].mean()) == left
