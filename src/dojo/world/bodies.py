"""Bodies of other vehicles: a few cars and trucks, built of boxes and tapered cabins.

In: a kind and a shape number. Out: meshes one unit long, wide and high, by part, and where the lamps are.
Idea: what a driver reads off a vehicle ahead is its outline, its dark windows, its lamps and its shadow; those are
there, in proportion, and nothing else is. Bodies are unit-sized: the renderer stretches them to each vehicle's size.
Not here: who drives where (`traffic.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from dojo.world.mesh import Mesh, Rgb, box, polygon

VehicleKind = Literal["car", "truck"]
Blinker = Literal["off", "left", "right", "both"]

GLASS: Rgb = (0.13, 0.16, 0.20)
BLACK: Rgb = (0.09, 0.09, 0.10)
PAINTS: tuple[Rgb, ...] = (
    (0.88, 0.88, 0.87), (0.13, 0.13, 0.14), (0.55, 0.57, 0.59), (0.30, 0.32, 0.35), (0.17, 0.25, 0.45),
    (0.58, 0.11, 0.11), (0.22, 0.31, 0.25), (0.62, 0.55, 0.42), (0.80, 0.62, 0.15), (0.35, 0.48, 0.60),
)  # fmt: skip
"""Assumed: ten paints; half of all cars are white, black or grey, as on most roads."""


@dataclass(frozen=True)
class OtherVehicle:
    """Another vehicle as it is seen: centre of its body on the ground, in world coordinates.

    Args:
        shape: picks one of the bodies of its kind; any number. `colour`: see `PAINTS`.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    kind: VehicleKind = "car"
    length_m: float = 4.4
    width_m: float = 1.8
    height_m: float = 1.5
    colour: Rgb = PAINTS[0]
    shape: int = 0
    braking: bool = False
    blinker: Blinker = "off"


@dataclass(frozen=True)
class Body:
    """A vehicle of length, width and height 1, centred above the origin, front towards +x.

    Args:
        painted: takes the vehicle's colour. `fixed`: glass, wheels, bumpers, plates.
        brake, left, right: lamps when lit; the unlit ones are part of `fixed`.
        lamps: (x, y, z) of headlights and tail lights on the left side; mirror y for the right.
    """

    painted: Mesh
    fixed: Mesh
    brake: Mesh
    left: Mesh
    right: Mesh
    headlight: tuple[float, float, float]
    tail_light: tuple[float, float, float]


# Profiles of cars: bonnet begins, windscreen foot, roof begins, roof ends, rear window foot (x, front positive), waist.
_CARS = (
    (0.5, 0.22, 0.02, -0.36, -0.47, 0.58),  # hatchback
    (0.5, 0.20, 0.03, -0.22, -0.36, 0.60),  # saloon
    (0.5, 0.26, 0.10, -0.42, -0.48, 0.56),  # sports utility, estate
    (0.5, 0.36, 0.22, -0.46, -0.49, 0.52),  # van
)


@lru_cache
def body(kind: VehicleKind, shape: int) -> Body:
    """The body that a shape number stands for."""
    return _truck(shape % 2 == 0) if kind == "truck" else _car(*_CARS[shape % len(_CARS)])


def _rear(y0: float, y1: float, z0: float, z1: float, rgb: Rgb, x: float = -0.502) -> Mesh:
    """A rectangle that faces backwards."""
    return polygon([(x, y1, z0), (x, y0, z0), (x, y0, z1), (x, y1, z1)], rgb)


def _front(y0: float, y1: float, z0: float, z1: float, rgb: Rgb, x: float = 0.502) -> Mesh:
    return polygon([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], rgb)


def _both(make: Mesh) -> Mesh:
    """A mesh and its mirror image about y = 0."""
    flip = np.array([1.0, -1.0, 1.0], np.float32)
    return Mesh.joined([make, Mesh(make.points_m * flip, make.uv, make.rgb, make.triangles[:, ::-1].copy())])


def _wheels(front_x: float, rear_x: float, radius_x: float, height: float) -> Mesh:
    parts = [
        box((x - radius_x, 0.36, 0.0), (x + radius_x, 0.485, height), BLACK, taper=(0.7, 1.0))
        for x in (front_x, rear_x)
    ]
    return _both(Mesh.joined(parts))


def _loft(sections: list[tuple[float, float, float, float]], rgb: Rgb) -> Mesh:
    """Side walls and top between cross-sections (x, half width, low z, high z), front first, ends closed."""
    parts = []
    for (x0, w0, l0, h0), (x1, w1, l1, h1) in pairwise(sections):
        parts.append(_both(polygon([(x1, w1, l1), (x0, w0, l0), (x0, w0, h0), (x1, w1, h1)][::-1], rgb)))
        parts.append(polygon([(x0, -w0, h0), (x0, w0, h0), (x1, w1, h1), (x1, -w1, h1)], rgb))
    xf, wf, lf, hf = sections[0]
    xr, wr, lr, hr = sections[-1]
    parts.append(_front(-wf, wf, lf, hf, rgb, xf))
    parts.append(_rear(-wr, wr, lr, hr, rgb, xr))
    return Mesh.joined(parts)


def _car(nose: float, screen: float, roof: float, back: float, tail: float, waist: float) -> Body:
    floor, base = 0.13, waist - 0.03  # the cabin begins inside the shell
    shell = _loft(
        [
            (nose, 0.42, floor, waist * 0.78),
            (nose - 0.04, 0.49, floor, waist * 0.90),
            (screen, 0.5, floor, waist),
            (tail, 0.5, floor, waist),
            (-0.48, 0.49, floor, waist * 0.97),
            (-0.5, 0.45, floor, waist * 0.92),
        ],
        (1.0, 1.0, 1.0),
    )
    lid = polygon([(roof, -0.39, 1.0), (roof, 0.39, 1.0), (back, 0.39, 0.98), (back, -0.39, 0.98)], (1.0, 1.0, 1.0))
    pillars = _both(
        polygon(
            [(roof, 0.392, 0.995), (roof - 0.02, 0.395, 0.90), (back, 0.395, 0.88), (back, 0.392, 0.98)],
            (1.0, 1.0, 1.0),
        )
    )
    cabin = _loft(
        [
            (screen, 0.46, base, base),
            (roof, 0.40, base, 0.985),
            (back, 0.39, base, 0.965),
            (tail, 0.45, base, base),
        ],
        GLASS,
    )
    fixed = [
        cabin,
        _wheels(0.30, -0.29, 0.075, 0.36),
        _rear(-0.45, 0.45, floor - 0.02, 0.24, BLACK),
        _front(-0.42, 0.42, floor - 0.02, 0.26, BLACK),
        _front(-0.20, 0.20, 0.30, 0.38, BLACK),
        _rear(-0.14, 0.14, 0.30, 0.37, (1.1, 1.1, 1.1), -0.504),
        _both(_rear(0.28, 0.45, waist * 0.68, waist * 0.86, (0.42, 0.04, 0.04), -0.503)),
        _both(_front(0.26, 0.41, waist * 0.56, waist * 0.72, (1.15, 1.15, 1.1), 0.503)),
    ]
    lamp_z = waist * 0.77
    brake = [
        _both(_rear(0.26, 0.46, waist * 0.66, waist * 0.88, (1.6, 0.12, 0.08), -0.51)),
        _rear(-0.10, 0.10, 0.90, 0.925, (1.6, 0.1, 0.08), tail - 0.01),
    ]
    return Body(
        painted=Mesh.joined([shell, lid, pillars]),
        fixed=Mesh.joined(fixed),
        brake=Mesh.joined(brake),
        left=_blinker(1.0, lamp_z),
        right=_blinker(-1.0, lamp_z),
        headlight=(0.5, 0.34, waist * 0.64),
        tail_light=(-0.5, 0.37, lamp_z),
    )


def _blinker(side: float, z: float) -> Mesh:
    amber: Rgb = (1.6, 0.75, 0.05)
    low, high = sorted((side * 0.40, side * 0.50))
    return Mesh.joined(
        [_rear(low, high, z - 0.07, z + 0.04, amber, -0.515), _front(low, high, z - 0.15, z - 0.06, amber, 0.515)]
    )


def _truck(boxy: bool) -> Body:
    cab = 0.5 - 0.22
    load: Rgb = (1.0, 1.0, 1.0) if boxy else (0.85, 0.85, 0.82)
    cargo = box((-0.5, -0.5, 0.30), (cab - 0.02, 0.5, 1.0), load)
    cabin = box((cab, -0.48, 0.16), (0.5, 0.48, 0.82), (0.8, 0.8, 0.8) if boxy else (1.0, 1.0, 1.0), taper=(0.92, 0.96))
    fixed = [
        _front(-0.40, 0.40, 0.50, 0.72, GLASS, 0.499),
        _both(
            polygon(
                [(cab + 0.08, 0.483, 0.50), (0.47, 0.483, 0.50), (0.46, 0.475, 0.70), (cab + 0.08, 0.475, 0.70)][::-1],
                GLASS,
            )
        ),
        box((-0.48, -0.42, 0.18), (cab, 0.42, 0.30), BLACK),
        _wheels(0.36, -0.30, 0.06, 0.28),
        _wheels(-0.17, -0.42, 0.05, 0.28),
        _rear(-0.47, 0.47, 0.16, 0.26, BLACK),
        _rear(-0.01, 0.01, 0.32, 0.98, (0.35, 0.35, 0.35)),
        _rear(-0.1, 0.1, 0.17, 0.2, (1.1, 1.1, 1.1), -0.504),
        _both(_rear(0.30, 0.46, 0.19, 0.24, (0.42, 0.04, 0.04), -0.504)),
        _both(_front(0.28, 0.44, 0.22, 0.28, (1.15, 1.15, 1.1), 0.503)),
    ]
    return Body(
        painted=Mesh.joined([cargo, cabin]),
        fixed=Mesh.joined(fixed),
        brake=_both(_rear(0.29, 0.47, 0.185, 0.245, (1.6, 0.12, 0.08), -0.51)),
        left=_blinker(1.0, 0.25),
        right=_blinker(-1.0, 0.25),
        headlight=(0.5, 0.36, 0.25),
        tail_light=(-0.5, 0.38, 0.215),
    )
