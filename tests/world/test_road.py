"""Roads: geometry against closed forms, lanes, limits, places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.world.road import SPACING_M, CrossSection, Hills, Road
from dojo.world.road_design import make_road

KINDS = ("rural", "suburban", "motorway")
kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 10_000)


def bare_road(curvature: np.ndarray) -> Road:
    """A flat road of given curvature that begins at the origin, towards the east."""
    return Road(
        kind="rural",
        seed=0,
        curvature_per_m=curvature,
        bearing_rad=0.0,
        section=CrossSection(1, 3.5, 0.0, 0.5, 0.0, False),
        lines=(),
        limits=((0.0, 20.0),),
        hills=Hills(np.zeros((1, 4))),
        origin_deg_m=(48.0, 9.0, 100.0),
    )


def test_constant_curvature_is_an_exact_circle() -> None:
    radius = 50.0
    road = bare_road(np.full(401, 1 / radius))
    s = np.linspace(0, 200, 1001)
    x, y, z = road.point(s, 0.0)
    np.testing.assert_allclose(x, radius * np.sin(s / radius), atol=2e-5)
    np.testing.assert_allclose(y, radius * (1 - np.cos(s / radius)), atol=2e-5)
    assert (z == 0).all()


def test_linear_curvature_is_a_clothoid() -> None:
    # Source: Abramowitz & Stegun 7.3: Fresnel integrals C(1) = 0.7798934004, S(1) = 0.4382591474. A clothoid of
    # curvature pi s / a² passes a * (C(1), S(1)) at s = a.
    a = 100.0
    road = bare_road(np.pi * np.arange(201) * SPACING_M / a**2)
    x, y, _ = road.point(a, 0.0)
    assert (float(x), float(y)) == pytest.approx((77.98934004, 43.82591474), abs=1e-5)


def test_poses_run_straight_on_beyond_both_ends() -> None:
    road = bare_road(np.zeros(201))
    np.testing.assert_allclose(road.pose(np.array([-20.0, 130.0])).x_m, [-20.0, 130.0], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, kind=kinds, share=st.floats(0, 1), lateral=st.floats(-12, 12), off=st.floats(-40, 40))
def test_locate_undoes_point(seed: int, kind: str, share: float, lateral: float, off: float) -> None:
    road = make_road(seed, kind, 900.0)
    s = share * road.length_m
    x, y, _ = road.point(s, lateral)
    found_s, found_lateral = road.locate(float(x), float(y), s + off)
    assert (found_s, found_lateral) == pytest.approx((s, lateral), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=kinds)
def test_lanes_lie_side_by_side_and_know_their_direction(seed: int, kind: str) -> None:
    road = make_road(seed, kind, 400.0)
    n = road.lanes_per_direction
    centres = [road.lane_centre_m(lane) for lane, _ in road.directed_lanes]
    assert centres == sorted(centres)
    assert all((centre < 0) == (sense > 0) for centre, (_, sense) in zip(centres, road.directed_lanes, strict=True))
    assert np.allclose(np.diff(centres[:n]), road.lane_width_m)
    assert 2.75 <= road.lane_width_m <= 3.75
    for lane, sense in road.directed_lanes:
        beside = road.lanes_beside(lane)
        assert all(dict(road.directed_lanes)[other] == sense and abs(other - lane) == 1 for other in beside)
        assert len(beside) == min(n - 1, 2 if 0 < lane % n < n - 1 else 1)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, kind=kinds, s_m=st.floats(-50, 450), lateral=st.floats(-12, 12))
def test_one_number_gives_to_the_last_bit_what_it_gives_among_many(
    seed: int, kind: str, s_m: float, lateral: float
) -> None:
    road = make_road(seed, kind, 400.0)
    among = np.array([3.0, s_m, 200.0, s_m])
    assert [float(one) for one in road.on_plane(s_m)] == [float(many[1]) for many in road.on_plane(among)]
    many_x, many_y = road.point_on_plane(among, lateral)
    x, y, _ = road.point(s_m, lateral)
    assert (float(x), float(y)) == (float(many_x[3]), float(many_y[3]))


def test_a_lane_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a lane from 0 to 1, got 2"):
        make_road(0, "rural").lane_centre_m(2)
