"""Places on the earth: latitude and longitude to local metres and back, and geohash tiles.

In: WGS-84 degrees. Out: east-north-up metres about an origin; tile names.
Idea: one drive spans kilometres, so its world frame is the tangent plane at its first fix; ECEF keeps the
conversion exact (millimetres) where a flat-earth formula would be decimetres out after 10 km.
"""

from __future__ import annotations

import numpy as np
import pygeohash
from jaxtyping import Float64

from dojo.geometry.rigid import Rigid

# WGS-84: NGA.STND.0036_1.0.0_WGS84, table 3.1.
SEMI_MAJOR_AXIS_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
_E2 = FLATTENING * (2 - FLATTENING)


def ecef_from_geodetic(
    latitude_deg: Float64[np.ndarray, "*n"],
    longitude_deg: Float64[np.ndarray, "*n"],
    altitude_m: Float64[np.ndarray, "*n"],
) -> Float64[np.ndarray, "*n 3"]:
    """Earth-centred, earth-fixed metres of WGS-84 coordinates."""
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    normal = SEMI_MAJOR_AXIS_M / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    return np.stack(
        [
            (normal + altitude_m) * np.cos(latitude) * np.cos(longitude),
            (normal + altitude_m) * np.cos(latitude) * np.sin(longitude),
            (normal * (1 - _E2) + altitude_m) * np.sin(latitude),
        ],
        -1,
    )


def geodetic_from_ecef(ecef_m: Float64[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Latitude (deg), longitude (deg), altitude (m) of ECEF points; fixed-point iteration, below 1e-9 deg on roads."""
    x, y, z = np.moveaxis(ecef_m, -1, 0)
    planar = np.hypot(x, y)
    latitude = np.arctan2(z, planar * (1 - _E2))
    altitude = np.zeros_like(planar)
    for _ in range(6):
        normal = SEMI_MAJOR_AXIS_M / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
        altitude = planar / np.cos(latitude) - normal
        latitude = np.arctan2(z, planar * (1 - _E2 * normal / (normal + altitude)))
    return np.stack([np.degrees(latitude), np.degrees(np.arctan2(y, x)), altitude], -1)


def world_from_ecef(latitude_deg: float, longitude_deg: float, altitude_m: float) -> Rigid:
    """The tangent plane (east, north, up) at an origin."""
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    sin_lat, cos_lat, sin_lon, cos_lon = (
        np.sin(latitude),
        np.cos(latitude),
        np.sin(longitude),
        np.cos(longitude),
    )
    rotation = np.array(
        [
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
    )
    origin = ecef_from_geodetic(np.array(latitude_deg), np.array(longitude_deg), np.array(altitude_m))
    return Rigid(rotation, -rotation @ origin)


def tile(latitude_deg: float, longitude_deg: float, precision: int = 6) -> str:
    """Geohash of a point; precision 6 is a cell of about 1.2 km x 0.6 km."""
    return str(pygeohash.encode(latitude_deg, longitude_deg, precision=precision))
