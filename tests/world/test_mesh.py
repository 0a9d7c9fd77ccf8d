"""Meshes: they add up, move, and the solids have the sizes asked for."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.world.mesh import Mesh, blob, box, grid, polygon, prism

WHITE = (1.0, 1.0, 1.0)


def area_m2(mesh: Mesh) -> float:
    a, b, c = (mesh.points_m[mesh.triangles[:, i]] for i in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=-1).sum() / 2)


def test_a_box_without_a_floor_has_five_sixths_of_its_faces() -> None:
    mesh = box((0.0, 0.0, 0.0), (2.0, 3.0, 4.0), WHITE)
    assert area_m2(mesh) == pytest.approx(2 * (2 * 4 + 3 * 4) + 2 * 3)
    np.testing.assert_allclose(mesh.points_m.min(0), [0, 0, 0])
    np.testing.assert_allclose(mesh.points_m.max(0), [2, 3, 4])


def test_joined_meshes_keep_their_triangles() -> None:
    parts = [box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), WHITE), Mesh.empty(), prism(1.0, 0.0, 2.0, WHITE)]
    together = Mesh.joined(parts)
    assert area_m2(together) == pytest.approx(sum(area_m2(part) for part in parts), rel=1e-5)
    assert len(Mesh.joined([]).triangles) == 0


def test_moving_turns_to_the_left_then_carries() -> None:
    point = polygon([(1.0, 0.0, 0.0), (2.0, 0.0, 0.0), (1.0, 0.0, 1.0)], WHITE)
    np.testing.assert_allclose(point.moved(10.0, 0.0, 5.0, np.pi / 2).points_m[0], [10, 1, 5], atol=1e-6)
    np.testing.assert_allclose(point.moved(0.0, 0.0, 0.0, scale=3.0).points_m[1], [6, 0, 0], atol=1e-6)


def test_faces_towards_the_light_are_brighter() -> None:
    up = polygon([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0)], WHITE)
    down = polygon([(0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0)], WHITE)
    assert up.rgb.mean() > 1.5 * down.rgb.mean()
    assert up.tinted((0.5, 1.0, 1.0)).rgb[0, 0] == pytest.approx(up.rgb[0, 0] / 2)


def test_a_grid_covers_its_sheet_once() -> None:
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    points = np.stack([x, y, 0 * x], -1).astype(np.float32)
    sheet = grid(points, points[..., :2], np.ones((3, 4, 3), np.float32))
    assert area_m2(sheet) == pytest.approx(6.0)


def test_a_blob_stays_within_its_bumps() -> None:
    ball = blob(2.0, 3.0, 5.0, WHITE, np.random.default_rng(0))
    assert np.hypot(ball.points_m[:, 0], ball.points_m[:, 1]).max() <= 2.0 * 1.12
    assert 5.0 - 1.7 < ball.points_m[:, 2].min() < ball.points_m[:, 2].max() < 5.0 + 1.7
