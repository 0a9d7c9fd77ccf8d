"""Scenery: every stretch by itself, nothing on the road."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.world.road_design import make_road
from dojo.world.scenery import STRETCH_M, Scenery, draw_palette

KINDS = st.sampled_from(["rural", "suburban", "motorway"])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), kind=KINDS)
def test_a_stretch_looks_the_same_from_whichever_side_it_is_reached(seed: int, kind: str) -> None:
    road = make_road(seed, kind, 600.0)
    forth, back = Scenery(road, seed), Scenery(road, seed)
    numbers = range(4)
    first = {number: forth.beside(number) for number in numbers}
    second = {number: back.beside(number) for number in reversed(numbers)}
    for number in numbers:
        assert first[number].origin_m == second[number].origin_m
        assert first[number].solid.keys() == second[number].solid.keys()
        for material, mesh in first[number].solid.items():
            np.testing.assert_array_equal(mesh.points_m, second[number].solid[material].points_m)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), kind=KINDS, share=st.floats(0.1, 0.9))
def test_nothing_stands_on_the_road(seed: int, kind: str, share: float) -> None:
    road = make_road(seed, kind, 900.0)
    scenery = Scenery(road, seed)
    number = int(share * scenery.stretches)
    scene = scenery.beside(number)
    edge, median = road.section.paved_edge_m, road.section.median_m / 2
    for mesh in scene.solid.values():
        points = mesh.points_m[:: max(1, len(mesh.points_m) // 150)] + np.array(scene.origin_m)
        for x, y, z in points.astype(float):
            s, lateral = road.locate(x, y, (number + 0.5) * STRETCH_M, 200.0)
            above = z - float(road.hills.height_m(x, y))
            # Crowns, lamp arms and eaves may hang over; rails stand in the median. 0 < s: what lies before the
            # beginning of the road has no foot on it.
            if above < 4.5 and 0 < s < road.length_m:
                assert abs(lateral) > edge - 0.05 or abs(lateral) < median, (s, lateral, above)


def test_palettes_vary_with_the_seed_alone() -> None:
    assert draw_palette(3) == draw_palette(3)
    assert len({draw_palette(seed).asphalt for seed in range(20)}) == 20
