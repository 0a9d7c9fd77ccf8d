"""Triangles with colours and texture coordinates, and the few solids that scenery is made of.

In: sizes and places. Out: `Mesh`es, which add up to larger ones.
Idea: plain arrays, so that a stretch of scenery is concatenated into one mesh per material and handed to the
renderer in one piece. Faces carry their own shading in their colours (walls that face the light are brighter),
because the software renderer is fastest without lights.
Not here: what is built (`props.py`, `surface.py`, `bodies.py`), how it is drawn (`render.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt32

Rgb = tuple[float, float, float]
"""Red, green and blue from 0 to 1."""

SUN = (0.45, 0.35, 0.82)
"""Assumed: direction to the light that shades faces, one for all; turned things take their shading with them."""


@dataclass(frozen=True)
class Mesh:
    """Triangles; metres, texture coordinates in repeats, colours from 0 to 1 that multiply the texture."""

    points_m: Float32[np.ndarray, "points 3"]
    uv: Float32[np.ndarray, "points 2"]
    rgb: Float32[np.ndarray, "points 3"]
    triangles: UInt32[np.ndarray, "triangles 3"]

    @staticmethod
    def empty() -> Mesh:
        """No triangle at all."""
        none = np.zeros((0, 3), np.float32)
        return Mesh(none, np.zeros((0, 2), np.float32), none, np.zeros((0, 3), np.uint32))

    @staticmethod
    def joined(parts: Iterable[Mesh]) -> Mesh:
        """All parts in one."""
        parts = [part for part in parts if len(part.triangles)]
        if not parts:
            return Mesh.empty()
        begins = np.cumsum([0] + [len(part.points_m) for part in parts[:-1]]).astype(np.uint32)
        return Mesh(
            np.concatenate([part.points_m for part in parts]),
            np.concatenate([part.uv for part in parts]),
            np.concatenate([part.rgb for part in parts]),
            np.concatenate([part.triangles + begin for part, begin in zip(parts, begins, strict=True)]),
        )

    def moved(self, x_m: float, y_m: float, z_m: float, yaw_rad: float = 0.0, scale: float = 1.0) -> Mesh:
        """Scaled, turned about the vertical, then carried to a place."""
        c, s = scale * math.cos(yaw_rad), scale * math.sin(yaw_rad)
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, scale]], np.float32)
        place = np.array([x_m, y_m, z_m], np.float32)
        return Mesh(self.points_m @ turn + place, self.uv, self.rgb, self.triangles)

    def tinted(self, rgb: Rgb) -> Mesh:
        """With its colours multiplied."""
        return Mesh(self.points_m, self.uv, self.rgb * np.array(rgb, np.float32), self.triangles)


def grid(
    points_m: Float32[np.ndarray, "rows columns 3"],
    uv: Float32[np.ndarray, "rows columns 2"],
    rgb: Float32[np.ndarray, "rows columns 3"],
) -> Mesh:
    """A sheet of two triangles per cell."""
    rows, columns = points_m.shape[:2]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
    first = np.stack([corner, corner + 1, corner + columns + 1], -1)
    second = np.stack([corner, corner + columns + 1, corner + columns], -1)
    return Mesh(
        points_m.reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
        rgb.reshape(-1, 3).astype(np.float32),
        np.concatenate([first, second]).astype(np.uint32),
    )


def polygon(corners_m: Sequence[Sequence[float]], rgb: Rgb, repeats: tuple[float, float] = (1.0, 1.0)) -> Mesh:
    """A flat convex polygon as a fan, shaded by the way it faces; quads span `repeats` of their texture."""
    # Plain numbers: NumPy takes ten times as long for three of them, and a drive has thousands of polygons.
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corners_m[:3]
    ux, uy, uz, vx, vy, vz = x1 - x0, y1 - y0, z1 - z0, x2 - x0, y2 - y0, z2 - z0
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    facing = (nx * SUN[0] + ny * SUN[1] + nz * SUN[2]) / (math.hypot(nx, ny, nz) + 1e-9)
    n = len(corners_m)
    colour = np.empty((n, 3), np.float32)
    colour[:] = [channel * (0.72 + 0.28 * facing) for channel in rgb]
    if n == 4:
        uv = np.array([[0.0, 0.0], [repeats[0], 0.0], [repeats[0], repeats[1]], [0.0, repeats[1]]], np.float32)
    else:
        uv = _disc(n)
    return Mesh(np.array(corners_m, np.float32), uv, colour, _fan(n))


@functools.cache
def _disc(corners: int) -> Float32[np.ndarray, "corners 2"]:
    """Texture coordinates of a polygon that is cut out of the middle of its texture."""
    angle = 2 * np.pi * np.arange(corners) / corners
    return (0.5 + 0.5 * np.stack([np.cos(angle), np.sin(angle)], -1)).astype(np.float32)


@functools.cache
def _fan(corners: int) -> UInt32[np.ndarray, "triangles 3"]:
    """The triangles of a convex polygon."""
    return np.array([[0, i, i + 1] for i in range(1, corners - 1)], np.uint32)


def box(
    low_m: tuple[float, float, float],
    high_m: tuple[float, float, float],
    rgb: Rgb,
    *,
    taper: tuple[float, float] = (1.0, 1.0),
    repeats: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Mesh:
    """A box without a floor; the top is `taper` of its length and width."""
    (x0, y0, z0), (x1, y1, z1) = low_m, high_m
    xm, ym, tx, ty = (x0 + x1) / 2, (y0 + y1) / 2, taper[0], taper[1]
    a, b = [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)], []
    b = [(xm + (x - xm) * tx, ym + (y - ym) * ty, z1) for x, y, _ in a]
    rx, ry, rz = repeats
    sides = [polygon([a[i], a[(i + 1) % 4], b[(i + 1) % 4], b[i]], rgb, ((rx, ry)[i % 2], rz)) for i in range(4)]
    return Mesh.joined([*sides, polygon(b, rgb, (rx, ry))])


def prism(radius_m: float, low_m: float, high_m: float, rgb: Rgb, *, sides: int = 5, top: float = 1.0) -> Mesh:
    """An upright prism about the z axis, or with `top` below 1 a cone; no floor."""
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = [(math.cos(a) * radius_m, math.sin(a) * radius_m) for a in angle.tolist()]
    faces = []
    for i in range(sides):
        (x0, y0), (x1, y1) = ring[i], ring[(i + 1) % sides]
        if top > 0:
            corners = [(x0, y0, low_m), (x1, y1, low_m), (x1 * top, y1 * top, high_m), (x0 * top, y0 * top, high_m)]
        else:
            corners = [(x0, y0, low_m), (x1, y1, low_m), (0.0, 0.0, high_m)]
        faces.append(polygon(corners, rgb))
    if top > 0:
        faces.append(polygon([(x * top, y * top, high_m) for x, y in ring], rgb))
    return Mesh.joined(faces)


def blob(radius_m: float, height_m: float, centre_z_m: float, rgb: Rgb, rng: np.random.Generator) -> Mesh:
    """A bumpy ball of 6 x 3 patches, darker below: the crown of a tree, a bush."""
    around, up = 6, 4
    yaw = 2 * np.pi * np.arange(around + 1) / around
    pitch = np.linspace(-0.42 * np.pi, 0.5 * np.pi, up)
    bump = rng.uniform(0.82, 1.12, (up, around + 1))
    bump[:, -1] = bump[:, 0]
    bump[-1] = 1.0
    x = bump * radius_m * np.cos(pitch)[:, None] * np.cos(yaw)
    y = bump * radius_m * np.cos(pitch)[:, None] * np.sin(yaw)
    z = centre_z_m + bump * height_m / 2 * np.sin(pitch)[:, None]
    lit = 0.62 + 0.25 * np.sin(pitch)[:, None] + 0.13 * np.cos(yaw - 0.7)
    rgb_all = np.array(rgb) * lit[..., None]
    uv = np.stack(np.broadcast_arrays(2.0 * np.arange(around + 1) / around, np.linspace(0, 1.5, up)[:, None]), -1)
    return grid(np.stack([x, y, z], -1).astype(np.float32), uv.astype(np.float32), rgb_all.astype(np.float32))
