"""Designs of roads: smooth, gentle, as their kinds are, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.world.road_design import COMFORT_JERK_MPS3, CURVE_LATERAL_MPS2, MAX_STRAY_RAD, make_road

KINDS = ("rural", "suburban", "motorway")
kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 10_000)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=kinds)
def test_roads_are_smooth_and_never_turn_back(seed: int, kind: str) -> None:
    road = make_road(seed, kind, 2000.0)
    here = road.pose(np.arange(0, 2000, 0.25))
    step = np.hypot(np.diff(here.x_m), np.diff(here.y_m))
    np.testing.assert_allclose(step, 0.25, atol=1e-5)
    assert np.abs(here.yaw_rad - here.yaw_rad[0]).max() < MAX_STRAY_RAD + 0.05
    # Curvature never jumps: the sharpest curve (30 m) is entered at 7.7 m/s over at least 13 m, 0.0026 per m².
    assert np.abs(np.diff(here.curvature_per_m)).max() / 0.25 < 0.003


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=kinds)
def test_curves_can_be_driven_into_without_a_jerk(seed: int, kind: str) -> None:
    # At the speed at which the sharpest curve of a stretch gives CURVE_LATERAL_MPS2, the change of lateral
    # acceleration stays within the design value; 15 % for clothoids rounded to the half-metre grid.
    road = make_road(seed, kind, 2000.0)
    curvature = np.abs(road.pose(np.arange(0, 1900, 0.5)).curvature_per_m)
    rate = np.abs(np.diff(curvature)) / 0.5
    for begin in np.flatnonzero((rate[1:] > 0) & (rate[:-1] == 0) & (curvature[:-2] == 0)):
        tip = begin + 2
        while tip + 1 < len(curvature) and curvature[tip + 1] > curvature[tip]:
            tip += 1
        if tip + 1 == len(curvature):
            continue  # the curve is cut off by the end of the road
        speed = min(float(np.sqrt(CURVE_LATERAL_MPS2 / curvature[tip])), float(road.speed_limit_mps(begin * 0.5)))
        assert rate[begin + 1] * speed**3 < 1.15 * COMFORT_JERK_MPS3


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=kinds)
def test_hills_stay_gentle(seed: int, kind: str) -> None:
    road = make_road(seed, kind, 2000.0)
    z = road.pose(np.arange(0, 2000, 10.0)).z_m
    assert np.abs(np.diff(z) / 10).max() < 0.06
    amplitude, kx, ky, _ = road.hills.waves.T
    assert (amplitude * (kx**2 + ky**2)).sum() < 1 / 3900
    x, y, _ = road.point(700.0, 0.0)
    east, north = road.hills.slope(float(x), float(y))
    step = 0.01
    assert east == pytest.approx(
        float(road.hills.height_m(x + step, y) - road.hills.height_m(x - step, y)) / (2 * step), abs=1e-6
    )
    assert north == pytest.approx(
        float(road.hills.height_m(x, y + step) - road.hills.height_m(x, y - step)) / (2 * step), abs=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_is_the_same_road_and_another_seed_another_place(kind: str) -> None:
    one, same, other = make_road(7, kind, 600.0), make_road(7, kind, 600.0), make_road(8, kind, 600.0)
    s = np.arange(0, 600, 3.0)
    assert all((a == b).all() for a, b in zip(one.pose(s), same.pose(s), strict=True))
    assert one.lines == same.lines
    assert one.origin_deg_m == same.origin_deg_m
    assert not np.array_equal(one.pose(s).x_m, other.pose(s).x_m)
    assert one.origin_deg_m != other.origin_deg_m


def test_limits_hold_from_their_sign_on() -> None:
    road = make_road(3, "rural")
    signs = road.limit_signs()
    assert signs[0][0] == 0
    assert len(signs) > 2
    for begin, limit in signs:
        assert float(road.speed_limit_mps(begin)) == limit
    assert float(road.speed_limit_mps(signs[1][0] - 0.1)) == signs[0][1]
    assert float(road.speed_limit_mps(-5.0)) == signs[0][1]


def test_kinds_differ_as_roads_do() -> None:
    sharpest = {
        k: max(np.abs(make_road(s, k).pose(np.arange(0, 5000, 5.0)).curvature_per_m).max() for s in range(5))
        for k in KINDS
    }
    assert sharpest["suburban"] > 1 / 60 > sharpest["rural"] > 1 / 280 >= sharpest["motorway"] > 1 / 1000


def test_every_line_lies_on_the_pavement() -> None:
    for kind in KINDS:
        for seed in range(8):
            road = make_road(seed, kind, 800.0)
            assert road.lines
            for line in road.lines:
                assert abs(line.lateral_m) + line.width_m / 2 <= road.section.paved_edge_m + 1e-9
                assert 0 <= line.begin_m < line.end_m <= road.length_m


def test_a_road_that_is_too_short_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected at least 300 m, got 100\.0"):
        make_road(0, "rural", 100.0)
