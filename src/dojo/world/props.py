"""What stands beside roads: trees, bushes, houses, lamps, posts, signs.

In: sizes, colours, a random generator. Out: meshes about the origin, by material.
Idea: everything is closed and opaque (no cut-out pictures of trees), so that depth is right at every pixel and fog
can be laid over the picture afterwards.
Not here: where it stands (`scenery.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from dojo.world.mesh import Mesh, Rgb, blob, box, polygon, prism

Material = Literal["asphalt", "land", "leaves", "wall", "plain"]
Parts = Mapping[Material, Mesh]

TRUNK: Rgb = (0.32, 0.25, 0.19)
STEEL: Rgb = (0.62, 0.64, 0.66)


def broadleaf(height_m: float, green: Rgb, rng: np.random.Generator) -> Parts:
    """A trunk and one or two crowns."""
    crown_m = height_m * float(rng.uniform(0.62, 0.78))
    wide_m = height_m * float(rng.uniform(0.22, 0.34))
    crowns = [blob(wide_m, crown_m, height_m - crown_m / 2, green, rng)]
    if height_m > 7:
        side = blob(wide_m * 0.7, crown_m * 0.6, height_m * 0.55, green, rng)
        crowns.append(side.moved(wide_m * 0.6, float(rng.uniform(-0.5, 0.5)) * wide_m, 0.0))
    trunk = prism(0.025 * height_m, 0.0, height_m * 0.45, TRUNK, sides=4, top=0.8)
    return {"leaves": Mesh.joined(crowns), "plain": trunk}


def conifer(height_m: float, green: Rgb) -> Parts:
    """A trunk and two cones."""
    lower = prism(height_m * 0.19, height_m * 0.14, height_m * 0.72, green, sides=6, top=0.0)
    upper = prism(height_m * 0.13, height_m * 0.48, height_m, green, sides=6, top=0.0)
    return {
        "leaves": Mesh.joined([lower, upper]),
        "plain": prism(0.02 * height_m, 0.0, height_m * 0.2, TRUNK, sides=4),
    }


def bush(height_m: float, green: Rgb, rng: np.random.Generator) -> Parts:
    """A low blob."""
    return {"leaves": blob(height_m * float(rng.uniform(0.7, 1.2)), height_m * 1.3, height_m * 0.45, green, rng)}


def house(length_m: float, depth_m: float, storeys: int, plaster: Rgb, roof: Rgb, *, flat: bool) -> Parts:
    """A house whose front faces -y, with a gabled or flat roof; windows repeat every 3 m."""
    height, half_l, half_d = 2.9 * storeys, length_m / 2, depth_m / 2
    bays = (max(1.0, float(round(length_m / 3.0))), max(1.0, float(round(depth_m / 3.0))), float(storeys))
    walls = box((-half_l, -half_d, -0.6), (half_l, half_d, height), plaster, repeats=bays)
    if flat:
        lid = box((-half_l - 0.2, -half_d - 0.2, height), (half_l + 0.2, half_d + 0.2, height + 0.5), roof)
        return {"wall": walls, "plain": lid}
    ridge, eaves = height + depth_m * 0.42, 0.4
    a, b = half_l + eaves, half_d + eaves
    low = height - 0.2
    slopes = Mesh.joined(
        [
            polygon([(-a, -b, low), (a, -b, low), (a, 0.0, ridge), (-a, 0.0, ridge)], roof),
            polygon([(a, b, low), (-a, b, low), (-a, 0.0, ridge), (a, 0.0, ridge)], roof),
            polygon([(half_l, -half_d, height), (half_l, half_d, height), (half_l, 0.0, ridge - 0.2)], plaster),
            polygon([(-half_l, half_d, height), (-half_l, -half_d, height), (-half_l, 0.0, ridge - 0.2)], plaster),
        ]
    )
    return {"wall": walls, "plain": slopes}


@functools.cache
def lamp(height_m: float) -> Parts:
    """A street lamp whose arm reaches towards -y."""
    pole = prism(0.07, 0.0, height_m, STEEL, sides=4)
    arm = box((-0.05, -1.6, height_m - 0.1), (0.05, 0.0, height_m), STEEL)
    head = box((-0.12, -2.0, height_m - 0.14), (0.12, -1.4, height_m - 0.02), (0.8, 0.8, 0.78))
    return {"plain": Mesh.joined([pole, arm, head])}


@functools.cache
def delineator() -> Parts:
    """A white post with a black band. Source of the shape: German guide posts, 1 m high, 0.12 m wide (HLB)."""
    return {
        "plain": Mesh.joined(
            [
                box((-0.05, -0.06, 0.0), (0.05, 0.06, 0.72), (0.95, 0.95, 0.95)),
                box((-0.05, -0.06, 0.72), (0.05, 0.06, 0.90), (0.12, 0.12, 0.12)),
                box((-0.05, -0.06, 0.90), (0.05, 0.06, 1.0), (0.95, 0.95, 0.95)),
            ]
        )
    }


def _disc(radius_m: float, z_m: float, rgb: Rgb, proud_m: float, sides: int = 12) -> Mesh:
    """An upright disc that faces -x."""
    angle = -2 * np.pi * np.arange(sides) / sides
    return polygon([(-proud_m, radius_m * math.cos(a), z_m + radius_m * math.sin(a)) for a in angle.tolist()], rgb)


# Seven segments by digit: top, upper left, upper right, middle, lower left, lower right, bottom.
_SEGMENTS = {
    "0": "1110111", "1": "0010010", "2": "1011101", "3": "1011011", "4": "0111010",
    "5": "1101011", "6": "1101111", "7": "1010010", "8": "1111111", "9": "1111011",
}  # fmt: skip


def _digit(digit: str, y_m: float, z_m: float, size_m: float, proud_m: float) -> Mesh:
    """A digit of bars, `size_m` high, facing -x; +y is to the viewer's left."""
    half, w, t = size_m / 2, size_m * 0.28, size_m * 0.09
    bars = [
        (-w, w, half - t, half + t), (w - t, w + t, 0.0, half), (-w - t, -w + t, 0.0, half), (-w, w, -t, t),
        (w - t, w + t, -half, 0.0), (-w - t, -w + t, -half, 0.0), (-w, w, -half - t, -half + t),
    ]  # fmt: skip
    parts = []
    for on, (y0, y1, z0, z1) in zip(_SEGMENTS[digit], bars, strict=True):
        if on == "1":
            corners = [(y1, z0), (y0, z0), (y0, z1), (y1, z1)]
            parts.append(polygon([(-proud_m, y_m + y, z_m + z) for y, z in corners], (0.05, 0.05, 0.05)))
    return Mesh.joined(parts)


@functools.cache
def limit_sign(kmh: int) -> Parts:
    """A round speed limit sign for traffic that drives towards +x. Source of the size: VzKat, 0.6 m across."""
    pole = prism(0.04, 0.0, 2.2, STEEL, sides=4)
    face = [_disc(0.34, 2.4, (1.0, 0.15, 0.15), 0.05), _disc(0.26, 2.4, (1.2, 1.2, 1.2), 0.06)]
    back = _disc(0.34, 2.4, STEEL, 0.04)
    text = str(kmh)
    size = 0.2 if len(text) < 3 else 0.16
    digits = [_digit(digit, -(i - (len(text) - 1) / 2) * size * 0.85, 2.4, size, 0.07) for i, digit in enumerate(text)]
    return {"plain": Mesh.joined([pole, back, *face, *digits])}


@functools.cache
def chevron(*, left: bool) -> Parts:
    """A red and white arrow board for a sharp bend, facing -x, pointing to the viewer's left or right."""
    board = polygon([(-0.05, 0.3, 0.7), (-0.05, -0.3, 0.7), (-0.05, -0.3, 1.3), (-0.05, 0.3, 1.3)], (1.25, 1.25, 1.25))
    tip = 1.0 if left else -1.0
    arms = []
    for offset in (-0.12, 0.12):
        y = offset * tip
        for z in (0.75, 1.25):
            corners = [(y + 0.15 * tip, 1.0), (y - 0.15 * tip, z), (y - 0.01 * tip, z), (y + 0.29 * tip, 1.0)]
            points = [(-0.06, cy, cz) for cy, cz in corners]
            arms.append(polygon(points if (z > 1) == left else points[::-1], (1.1, 0.1, 0.1)))
    posts = [prism(0.03, 0.0, 0.7, STEEL, sides=3).moved(0.0, y, 0.0) for y in (-0.2, 0.2)]
    return {"plain": Mesh.joined([board, *arms, *posts])}


def direction_board(width_m: float, height_m: float, rgb: Rgb) -> Parts:
    """A large panel on two posts, facing -x, with pale bars where the text would be."""
    low, half = 2.2, width_m / 2
    parts = [
        polygon([(0.0, half, low), (0.0, -half, low), (0.0, -half, low + height_m), (0.0, half, low + height_m)], rgb),
        polygon(
            [(0.02, -half, low), (0.02, half, low), (0.02, half, low + height_m), (0.02, -half, low + height_m)], STEEL
        ),
    ]
    for line in range(2):
        z = low + height_m * (0.3 + 0.4 * line)
        reach = half * (0.7, 0.45)[line]
        corners = [(0.75 * half, z - 0.12), (0.75 * half - 1.3 * reach, z - 0.12)]
        top = [(y, z + 0.12) for y, _ in reversed(corners)]
        parts.append(polygon([(-0.04, y, cz) for y, cz in corners + top], (1.2, 1.2, 1.2)))
    for y in (-0.6 * half, 0.6 * half):
        parts.append(prism(0.09, 0.0, low + height_m, STEEL, sides=4).moved(0.12, y, 0.0))
    return {"plain": Mesh.joined(parts)}
