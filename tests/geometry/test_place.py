from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.geometry.place import ecef_from_geodetic, geodetic_from_ecef, tile, world_from_ecef


def test_the_equator_and_the_pole_lie_where_the_ellipsoid_says() -> None:
    points = ecef_from_geodetic(np.array([0.0, 90.0]), np.array([0.0, 0.0]), np.array([0.0, 0.0]))
    np.testing.assert_allclose(points[0], [6_378_137.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(points[1], [0.0, 0.0, 6_356_752.314245], atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-400, 9000))
def test_there_and_back_again_is_within_a_tenth_of_a_millimetre(
    latitude: float, longitude: float, altitude: float
) -> None:
    ecef = ecef_from_geodetic(np.array([latitude]), np.array([longitude]), np.array([altitude]))
    back = geodetic_from_ecef(ecef)[0]
    again = ecef_from_geodetic(back[:1], back[1:2], back[2:])
    np.testing.assert_allclose(again, ecef, atol=1e-4)
    np.testing.assert_allclose(back, [latitude, longitude, altitude], atol=1e-4)


def test_in_the_local_world_north_is_y_and_up_is_z() -> None:
    world = world_from_ecef(48.0, 11.0, 500.0)
    points = ecef_from_geodetic(
        np.array([48.0, 48.001, 48.0]), np.array([11.0, 11.0, 11.0]), np.array([500.0, 500.0, 510.0])
    )
    local = world.apply(points)
    np.testing.assert_allclose(local[0], 0.0, atol=1e-6)
    assert local[1, 1] == pytest.approx(111.2, abs=0.2)
    np.testing.assert_allclose(local[2], [0.0, 0.0, 10.0], atol=1e-3)


def test_a_geohash_known_from_its_inventor_comes_out() -> None:
    # The example on which geohash.org was presented in 2008: 57.64911, 10.40744 is u4pruydqqvj.
    assert tile(57.64911, 10.40744, precision=6) == "u4pruy"
