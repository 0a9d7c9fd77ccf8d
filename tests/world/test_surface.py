"""The road's surface: stretches that meet, land below them, paint in the right amount."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.world.road_design import make_road
from dojo.world.scenery import Scenery

KINDS = st.sampled_from(["rural", "suburban", "motorway"])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), kind=KINDS, number=st.integers(0, 7))
def test_stretches_meet_without_a_gap(seed: int, kind: str, number: int) -> None:
    road = make_road(seed, kind, 600.0)
    scenery = Scenery(road, seed)
    for detail in (0, 1, 2):
        a, b = scenery.surface(number, detail), scenery.surface(number + 1, detail)
        end = a.solid["asphalt"].points_m + np.array(a.origin_m)
        begin = b.solid["asphalt"].points_m + np.array(b.origin_m)
        columns = len(np.unique(np.round(a.solid["asphalt"].uv[:, 0], 5)))
        # The nearest point of the next stretch, for the outermost points of the last row.
        shared = sum(np.abs(begin - point).max(-1).min() < 1e-3 for point in end)
        assert shared >= columns * 0.9


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), kind=KINDS)
def test_the_land_lies_below_the_road_and_meets_its_neighbours(seed: int, kind: str) -> None:
    road = make_road(seed, kind, 600.0)
    scenery = Scenery(road, seed)
    here, east = scenery.land(0, 0), scenery.land(1, 0)
    gap = road.hills.height_m(here.points_m[:, 0].astype(float), here.points_m[:, 1].astype(float))
    np.testing.assert_allclose(gap - here.points_m[:, 2], 0.2, atol=1e-4)
    # Chords of 40 m over hills of 4000 m radius rise 5 cm at most, so the land stays 15 cm below.
    edge, other = here.points_m[here.points_m[:, 0] == 200.0], east.points_m[east.points_m[:, 0] == 0.0]
    np.testing.assert_allclose(edge[:, 1:], other[:, 1:], atol=1e-4)
    np.testing.assert_allclose(here.rgb[here.points_m[:, 0] == 200.0], east.rgb[east.points_m[:, 0] == 0.0], atol=1e-4)


def test_dashes_cover_their_share_of_the_road_across_stretches() -> None:
    road = make_road(1, "motorway", 1800.0)
    scenery = Scenery(road, 1)
    dashed = [line for line in road.lines if line.dash_m > 0]
    solid_m2 = sum(line.width_m * (line.end_m - line.begin_m) for line in road.lines if line.dash_m == 0)
    dashed_m2 = sum(line.width_m * 1800.0 * line.dash_m / (line.dash_m + line.gap_m) for line in dashed)
    painted = 0.0
    for number in range(scenery.stretches):
        mesh = scenery.surface(number, 0).overlay["asphalt"]
        a, b, c = (mesh.points_m[mesh.triangles[:, i]] for i in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2
        bright = mesh.rgb[mesh.triangles[:, 0]].min(-1) > 1.3 * max(scenery.palette.asphalt)
        painted += float(area[bright].sum())
    # 1 % for the width of bends and dashes cut at the end.
    assert abs(painted / (solid_m2 + dashed_m2) - 1) < 0.01


def test_far_paint_is_wider_and_paler_by_the_same_factor() -> None:
    road = make_road(1, "rural", 600.0)
    scenery = Scenery(road, 1)
    area, light = [], []
    for detail in (1, 2):
        mesh = scenery.surface(3, detail).overlay["asphalt"]
        a, b, c = (mesh.points_m[mesh.triangles[:, i]] for i in range(3))
        area.append(float(np.linalg.norm(np.cross(b - a, c - a), axis=-1).sum()))
        light.append(float(mesh.rgb[0, 0] - scenery.palette.asphalt[0]))
    np.testing.assert_allclose(area[1] / area[0], 2.0, rtol=0.02)
    np.testing.assert_allclose(light[0] / light[1], 2.0, rtol=0.02)
