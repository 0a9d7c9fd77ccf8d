"""A road: where it runs, its lanes, markings, limits, and the gentle hills that it lies on.

In: curvature along it, what lies beside what. Out: poses along the road, places beside it, where a vehicle is on it.
Idea: curvature is a piecewise linear function of arclength, and everything else is its integral: heading is exact,
position is Simpson's rule on half metres (micrometres per step). Hills are one smooth function of the place, not of
the road, so that road, verge, trees and vehicles stand on the same ground and nothing gapes.
Not here: which roads there are (`road_design.py`), the look of it (`scenery.py`), who drives on it (`driver.py`,
`traffic.py`).

Frames: world is east-north-up about `origin_deg_m`; lateral positions are left positive, from the reference line
between the two directions. Traffic keeps right. Lanes are numbered from right to left across the whole road: lane 0
is the slow lane of our direction, `lanes_per_direction` is the first lane of the other direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError

RoadKind = Literal["rural", "suburban", "motorway"]
Colour = Literal["white", "yellow"]
Numbers = float | int | Float64[np.ndarray, "..."]
"""One number or many; results have the shape of what came in."""

SPACING_M = 0.5
"""Grid of the integration; curvature is linear in between."""


class Pose(NamedTuple):
    """Places on the reference line: position, heading counter-clockwise from east, curvature (left positive)."""

    x_m: Float64[np.ndarray, "*n"]
    y_m: Float64[np.ndarray, "*n"]
    z_m: Float64[np.ndarray, "*n"]
    yaw_rad: Float64[np.ndarray, "*n"]
    curvature_per_m: Float64[np.ndarray, "*n"]


@dataclass(frozen=True)
class Line:
    """A painted line between two distances; `dash_m` 0 is solid, else paint and gap repeat."""

    lateral_m: float
    width_m: float
    dash_m: float
    gap_m: float
    colour: Colour
    begin_m: float
    end_m: float


@dataclass(frozen=True)
class CrossSection:
    """What lies beside what, from the reference line outwards, the same on both sides.

    Args:
        median_m: between the inner edges of the two directions' lanes; 0 where only paint divides them.
        shoulder_m: paved, outside the outermost lane. `inner_strip_m`: paved, between lanes and median.
        kerb: a kerb and a pavement for walking outside the shoulder.
    """

    lanes_per_direction: int
    lane_width_m: float
    median_m: float
    shoulder_m: float
    inner_strip_m: float
    kerb: bool

    @property
    def lanes_edge_m(self) -> float:
        """From the reference line to the outer edge of the outermost lane."""
        return self.median_m / 2 + self.lanes_per_direction * self.lane_width_m

    @property
    def paved_edge_m(self) -> float:
        """From the reference line to where the pavement ends."""
        return self.lanes_edge_m + self.shoulder_m


@dataclass(frozen=True)
class Hills:
    """Ground height as a sum of plane waves: `amplitude * sin(kx x + ky y + phase)`, one row per wave."""

    waves: Float64[np.ndarray, "waves 4"]

    def height_m(self, x_m: Numbers, y_m: Numbers) -> Float64[np.ndarray, "*n"]:
        """Height above the origin."""
        amplitude, kx, ky, phase = self.waves.T
        angle = np.asarray(x_m)[..., None] * kx + np.asarray(y_m)[..., None] * ky + phase
        return np.asarray(np.sin(angle) @ amplitude)

    def slope(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Rise per metre towards east and north."""
        amplitude, kx, ky, phase = self.waves.T
        rise = amplitude * np.cos(x_m * kx + y_m * ky + phase)
        return float(rise @ kx), float(rise @ ky)


class Road:
    """One route; see `road_design.make_road`.

    Args:
        curvature_per_m: at the nodes 0, 0.5 m, 1 m, ...; the first and last node are straight.
        limits: (begin of the stretch in metres, limit in m/s), the first at 0.
        origin_deg_m: latitude, longitude and altitude of the world's origin, where the road begins.
    """

    def __init__(
        self,
        *,
        kind: RoadKind,
        seed: int,
        curvature_per_m: Float64[np.ndarray, " n"],
        bearing_rad: float,
        section: CrossSection,
        lines: tuple[Line, ...],
        limits: tuple[tuple[float, float], ...],
        hills: Hills,
        origin_deg_m: tuple[float, float, float],
    ) -> None:
        self.kind, self.seed, self.section, self.lines = kind, seed, section, lines
        self.hills, self.origin_deg_m = hills, origin_deg_m
        self._limit_begin_m = np.array([begin for begin, _ in limits])
        self._limit_mps = np.array([limit for _, limit in limits])
        self._curvature = curvature_per_m
        step = (curvature_per_m[1:] + curvature_per_m[:-1]) / 2 * SPACING_M
        self._yaw = bearing_rad + np.concatenate([[0.0], np.cumsum(step)])
        # Half way the heading is exact too; Simpson's rule over each step.
        half = self._yaw[:-1] + (3 * curvature_per_m[:-1] + curvature_per_m[1:]) / 8 * SPACING_M
        self._x = _simpson(np.cos(self._yaw), np.cos(half))
        self._y = _simpson(np.sin(self._yaw), np.sin(half))
        self.length_m = SPACING_M * (len(curvature_per_m) - 1)

    @property
    def lanes_per_direction(self) -> int:
        """Lanes that traffic may use, per direction."""
        return self.section.lanes_per_direction

    @property
    def lane_width_m(self) -> float:
        """Width of every lane."""
        return self.section.lane_width_m

    @property
    def directed_lanes(self) -> tuple[tuple[int, int], ...]:
        """Every lane with its direction: +1 along the road, -1 against it."""
        n = self.lanes_per_direction
        return tuple((lane, 1 if lane < n else -1) for lane in range(2 * n))

    def lanes_beside(self, lane: int) -> tuple[int, ...]:
        """Neighbouring lanes of the same direction, the right one first."""
        n = self.lanes_per_direction
        return tuple(other for other in (lane - 1, lane + 1) if 0 <= other < 2 * n and other // n == lane // n)

    def lane_centre_m(self, lane: int) -> float:
        """Lateral position of a lane's centre.

        Raises:
            ConfigError: there is no such lane.
        """
        n, section = self.lanes_per_direction, self.section
        if not 0 <= lane < 2 * n:
            raise ConfigError(f"road {self.seed}: expected a lane from 0 to {2 * n - 1}, got {lane}")
        if lane < n:
            return -(section.median_m / 2 + (n - lane - 0.5) * section.lane_width_m)
        return section.median_m / 2 + (lane - n + 0.5) * section.lane_width_m

    def speed_limit_mps(self, s_m: Numbers) -> Float64[np.ndarray, "*n"]:
        """Speed limit at distances along the road."""
        return np.asarray(self._limit_mps[np.searchsorted(self._limit_begin_m, s_m, side="right").clip(1) - 1])

    def limit_signs(self) -> tuple[tuple[float, float], ...]:
        """Where a new limit begins, and the limit."""
        return tuple(zip(self._limit_begin_m.tolist(), self._limit_mps.tolist(), strict=True))

    def pose(self, s_m: Numbers) -> Pose:
        """Poses on the reference line; beyond either end the road is taken to run straight on."""
        x, y, yaw, curvature = self.on_plane(s_m)
        return Pose(np.asarray(x), np.asarray(y), self.hills.height_m(x, y), np.asarray(yaw), np.asarray(curvature))

    def on_plane(self, s_m: Numbers) -> tuple[Any, Any, Any, Any]:
        """x, y, yaw and curvature; the height takes as long again, and not everybody asks for it."""
        if isinstance(s_m, float):
            return self._one_on_plane(s_m)
        s = np.asarray(s_m, np.float64)
        # Not np.clip: it takes several times as long for one number, and a drive asks for thousands.
        node = np.maximum(np.minimum((s / SPACING_M).astype(np.int64), len(self._curvature) - 2), 0)
        d = s - node * SPACING_M
        inside = np.maximum(np.minimum(d, SPACING_M), 0.0)
        k0 = self._curvature[node]
        rate = (self._curvature[node + 1] - k0) / SPACING_M
        half = self._yaw[node] + k0 * inside / 2 + rate * inside**2 / 8
        x, y = self._x[node] + d * np.cos(half), self._y[node] + d * np.sin(half)
        return x, y, self._yaw[node] + k0 * inside + rate * inside**2 / 2, k0 + rate * inside

    def _one_on_plane(self, s_m: float) -> tuple[float, float, float, float]:
        """The same sums for one number, in plain numbers, at a quarter of the time: a drive asks for thousands."""
        node = max(min(int(s_m / SPACING_M), len(self._curvature) - 2), 0)
        d = s_m - node * SPACING_M
        inside = max(min(d, SPACING_M), 0.0)
        k0, yaw = self._curvature.item(node), self._yaw.item(node)
        rate = (self._curvature.item(node + 1) - k0) / SPACING_M
        half = yaw + k0 * inside / 2 + rate * (inside * inside) / 8
        # NumPy's sine and cosine, which differ from the library's in the last bit.
        x, y = self._x.item(node) + d * float(np.cos(half)), self._y.item(node) + d * float(np.sin(half))
        return x, y, yaw + k0 * inside + rate * (inside * inside) / 2, k0 + rate * inside

    def point(
        self, s_m: Numbers, lateral_m: Numbers
    ) -> tuple[Float64[np.ndarray, "*n"], Float64[np.ndarray, "*n"], Float64[np.ndarray, "*n"]]:
        """World x, y, z of places beside the reference line."""
        x, y = self.point_on_plane(s_m, lateral_m)
        return x, y, self.hills.height_m(x, y)

    def point_on_plane(
        self, s_m: Numbers, lateral_m: Numbers
    ) -> tuple[Float64[np.ndarray, "*n"], Float64[np.ndarray, "*n"]]:
        """World x, y of places beside the reference line."""
        x, y, yaw, _ = self.on_plane(s_m)
        return np.asarray(x - np.sin(yaw) * lateral_m), np.asarray(y + np.cos(yaw) * lateral_m)

    def locate(self, x_m: float, y_m: float, near_s_m: float, within_m: float = 60.0) -> tuple[float, float]:
        """Distance along the road and lateral position of a world point, searched `within_m` of `near_s_m`."""
        low = int(np.clip((near_s_m - within_m) / SPACING_M, 0, len(self._x) - 2))
        high = int(np.clip((near_s_m + within_m) / SPACING_M + 1, low + 1, len(self._x)))
        s = SPACING_M * (low + int(np.argmin((self._x[low:high] - x_m) ** 2 + (self._y[low:high] - y_m) ** 2)))
        lateral = 0.0
        for _ in range(3):  # Newton on the foot of the perpendicular; from half a metre away two steps suffice
            x, y, yaw, curvature = self._one_on_plane(s)
            dx, dy = x_m - x, y_m - y
            cos, sin = math.cos(yaw), math.sin(yaw)
            lateral = -sin * dx + cos * dy
            s += (cos * dx + sin * dy) / max(1.0 - curvature * lateral, 0.1)
        return s, lateral


def _simpson(at_nodes: Float64[np.ndarray, " n"], half_way: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, " n"]:
    """Running integral over the nodes, from 0."""
    steps = (at_nodes[:-1] + 4 * half_way + at_nodes[1:]) * SPACING_M / 6
    return np.concatenate([[0.0], np.cumsum(steps)])
