"""Roads as they are designed: several kilometres of straights, clothoids and arcs that a seed and a kind stand for.

In: a seed and a kind of road. Out: a `Road`.
Idea: limits come first, then curves that can be driven at them, each laid down as curvature over arclength; then lanes,
hills and paint. The heading never strays more than 75 degrees from the route's bearing, so a route cannot cross itself.
Not here: what a road is and how it is asked (`road.py`).

Source of radii, clothoids and crests: RAL 2012 (rural roads: radii 200 to 900 m by class, clothoid parameter A from
R/3 to R, crest radii from 3000 m), RAA 2008 (motorways: from 280 m urban to 900 m), RASt 2006 (streets), as they are
built; older roads are tighter than today's rules, which the ranges below allow for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError
from dojo.world.road import SPACING_M, Colour, CrossSection, Hills, Line, Road, RoadKind

MAX_STRAY_RAD = math.radians(75.0)
COMFORT_JERK_MPS3 = 1.2
"""Largest lateral jerk that a transition curve may ask for. Source: AASHTO Green Book, minimum length of spiral."""
CURVE_LATERAL_MPS2 = 2.0
"""Assumed: lateral acceleration at which a curve is driven, which sets the shortest clothoid before it."""


@dataclass(frozen=True)
class _Design:
    """What roads of one kind are drawn from.

    Args:
        radii_m: by limit in km/h, the range of curve radii.
        turn_deg: range of the angle that one curve turns by. `straight_m`: range between curves.
        lane_width_m: range. Source: RAL/RAA/RASt cross-sections: 2.75 m on narrow streets to 3.75 m on motorways.
        crest_radius_m: smallest radius of the hills, which sets their height for each wavelength.
    """

    radii_m: dict[int, tuple[float, float]]
    turn_deg: tuple[float, float]
    straight_m: tuple[float, float]
    lane_width_m: tuple[float, float]
    lanes: tuple[int, ...]
    crest_radius_m: float


_DESIGNS: dict[RoadKind, _Design] = {
    "rural": _Design({70: (110.0, 400.0), 100: (220.0, 900.0)}, (10.0, 80.0), (20.0, 260.0), (2.75, 3.5), (1,), 4000.0),
    "suburban": _Design(
        {30: (30.0, 80.0), 50: (60.0, 280.0)}, (15.0, 95.0), (15.0, 160.0), (2.75, 3.25), (1, 1, 2), 4000.0
    ),
    "motorway": _Design(
        {80: (280.0, 900.0), 100: (500.0, 1800.0), 120: (720.0, 3000.0)},
        (6.0, 40.0),
        (30.0, 500.0),
        (3.5, 3.75),
        (2, 3),
        8000.0,
    ),
}

# Assumed: six boxes of land, degrees; routes are drawn inside, so that no two seeds are likely to share a tile.
_REGIONS_DEG: tuple[tuple[float, float, float, float, Colour], ...] = (
    (48.0, 53.5, 8.0, 12.5, "white"),
    (44.0, 48.5, 0.5, 5.5, "white"),
    (56.0, 60.0, 13.0, 16.5, "white"),
    (39.0, 42.0, -5.5, -1.5, "white"),
    (35.0, 41.0, -98.0, -84.0, "yellow"),
    (37.0, 45.0, -122.0, -117.5, "yellow"),
)


def make_road(seed: int, kind: RoadKind, length_m: float = 5000.0) -> Road:
    """The road of a kind that a seed stands for: the same on every machine, elsewhere on earth for every seed.

    Raises:
        ConfigError: less than 300 m.
    """
    if length_m < 300:
        raise ConfigError(f"road: expected at least 300 m, got {length_m}; the ends alone are straight for 60 m each")
    rng = np.random.default_rng((seed, 0x20AD, get_args(RoadKind).index(kind)))
    design = _DESIGNS[kind]
    south, north, west, east, centre = _REGIONS_DEG[int(rng.integers(len(_REGIONS_DEG)))]
    limits = tuple(_limits(design, length_m, rng))
    curvature = _curvature(design, limits, length_m, rng)
    section = _section(kind, design, rng)
    return Road(
        kind=kind,
        seed=seed,
        curvature_per_m=curvature,
        bearing_rad=float(rng.uniform(-math.pi, math.pi)),
        section=section,
        lines=tuple(_lines(kind, section, centre, curvature, rng)),
        limits=tuple((begin, kmh / 3.6) for begin, kmh in limits),
        hills=_hills(design.crest_radius_m, rng),
        origin_deg_m=(
            float(rng.uniform(south, north)),
            float(rng.uniform(west, east)),
            float(rng.uniform(20.0, 500.0)),
        ),
    )


def _limits(design: _Design, length_m: float, rng: np.random.Generator) -> Iterator[tuple[float, int]]:
    """Stretches of 500 to 1500 m (assumed), each with another limit than the one before."""
    begin, choices = 0.0, list(design.radii_m)
    last = 0
    while begin < length_m:
        last = int(rng.choice([kmh for kmh in choices if kmh != last]))
        yield begin, last
        begin += float(np.round(rng.uniform(500.0, 1500.0)))


def _curvature(
    design: _Design, limits: tuple[tuple[float, int], ...], length_m: float, rng: np.random.Generator
) -> Float64[np.ndarray, " n"]:
    """Curvature at the nodes: straight, then clothoid, arc, clothoid, straight, and so on."""
    nodes = int(length_m / SPACING_M) + 1
    parts = [np.zeros(int(60.0 / SPACING_M))]
    stray = 0.0
    while sum(map(len, parts)) < nodes:
        s_m = SPACING_M * sum(map(len, parts))
        kmh = max((begin, kmh) for begin, kmh in limits if begin <= s_m)[1]
        curve, turned = _curve(design, kmh, stray, rng)
        stray += turned
        # Now and then one curve flows into the next without a straight (an S).
        straight_m = 0.0 if rng.random() < 0.3 else _log_uniform(rng, *design.straight_m)
        parts += [curve, np.zeros(int(straight_m / SPACING_M))]
    curvature = np.concatenate(parts)[:nodes]
    # The far end is let down to a straight over 60 m, so that whoever looks beyond it sees the road run on.
    fade = np.clip((nodes - 1 - np.arange(nodes)) * SPACING_M / 60.0 - 0.2, 0.0, 1.0)
    return curvature * fade


def _curve(
    design: _Design, kmh: int, stray_rad: float, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, " n"], float]:
    """Curvature of one clothoid-arc-clothoid, and the angle it turns by, which leads back where the route strays."""
    radius = _log_uniform(rng, *design.radii_m[kmh])
    turn = math.radians(_log_uniform(rng, *design.turn_deg))
    sign = 1.0 if rng.random() < 0.5 - 0.5 * stray_rad / MAX_STRAY_RAD else -1.0
    turn = max(min(turn, MAX_STRAY_RAD - sign * stray_rad), 0.02)
    speed = min(kmh / 3.6, math.sqrt(CURVE_LATERAL_MPS2 * radius))
    shortest = max(radius / 9, speed**3 / (radius * COMFORT_JERK_MPS3))
    ramp_m = float(rng.uniform(shortest, max(shortest, min(radius, 2.5 * shortest))))  # A = sqrt(R L) <= R
    if ramp_m / radius > turn:  # too small an angle for an arc of this radius: two clothoids that meet at their tips
        ramp_m = max(ramp_m, math.sqrt((kmh / 3.6) ** 3 * turn / COMFORT_JERK_MPS3))
        radius = ramp_m / turn
    ramp = np.linspace(0.0, 1.0, max(2, round(ramp_m / SPACING_M)), endpoint=False)
    arc = np.ones(max(1, round((turn - ramp_m / radius) * radius / SPACING_M)))
    curvature = sign / radius * np.concatenate([ramp, arc, 1.0 - ramp])
    return curvature, float(curvature.sum() * SPACING_M)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _section(kind: RoadKind, design: _Design, rng: np.random.Generator) -> CrossSection:
    """Source of the strips: RAA RQ 31 (2.5 m hard shoulder, 0.75 m inner strip, 4 m median), RAL RQ 11 (0.5 m)."""
    lanes = int(rng.choice(design.lanes))
    width_m = float(rng.uniform(*design.lane_width_m))
    if kind == "motorway":
        return CrossSection(lanes, width_m, float(rng.uniform(3.5, 5.0)), float(rng.uniform(2.0, 3.0)), 0.75, False)
    shoulder_m = float(rng.uniform(0.25, 1.5) if kind == "rural" else rng.uniform(0.3, 0.6))
    return CrossSection(lanes, width_m, 0.0, shoulder_m, 0.0, kind == "suburban")


def _hills(crest_radius_m: float, rng: np.random.Generator) -> Hills:
    """Four waves of 350 to 1400 m whose crests together are never sharper than `crest_radius_m`."""
    length = rng.uniform(350.0, 1400.0, 4)
    heading = rng.uniform(0.0, 2 * math.pi, 4)
    wavenumber = 2 * math.pi / length
    share = rng.dirichlet(np.ones(4))
    # A wave a sin(k x) has the curvature a k² at its crest. Assumed: at most 8 m, or valleys become canyons.
    amplitude = np.minimum(share / (crest_radius_m * wavenumber**2), 8.0)
    return Hills(
        np.stack(
            [amplitude, wavenumber * np.cos(heading), wavenumber * np.sin(heading), rng.uniform(0, 2 * math.pi, 4)], -1
        )
    )


def _lines(
    kind: RoadKind,
    section: CrossSection,
    centre: Colour,
    curvature: Float64[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Iterator[Line]:
    """The paint.

    Source: RMS 1993 (dash and gap 6 m + 12 m on motorways, 4 m + 8 m on rural roads, 3 m + 6 m in towns; widths 0.12 m,
    on motorways 0.15 m and 0.30 m); MUTCD 2009 section 3A.06 (3.05 m + 9.14 m, centre lines yellow).
    """
    end_m = SPACING_M * (len(curvature) - 1)
    american = centre == "yellow"
    dash = (3.05, 9.14) if american else {"motorway": (6.0, 12.0), "rural": (4.0, 8.0), "suburban": (3.0, 6.0)}[kind]
    thin = 0.15 if kind == "motorway" else 0.12
    n, width, inner = section.lanes_per_direction, section.lane_width_m, section.median_m / 2
    for side in (-1.0, 1.0):
        for between in range(1, n):
            yield Line(side * (inner + between * width), thin, *dash, "white", 0.0, end_m)
        edge = side * (section.lanes_edge_m + thin / 2)
        # Assumed: most rural roads and half the streets have edge lines.
        if kind == "motorway":
            yield Line(edge, 0.30 if not american else 0.15, 0.0, 0.0, "white", 0.0, end_m)
            yield Line(side * inner, 0.15, 0.0, 0.0, centre if american else "white", 0.0, end_m)
    if kind == "motorway":
        return
    if rng.random() < (0.85 if kind == "rural" else 0.5):
        for side in (-1.0, 1.0):
            yield Line(side * (section.lanes_edge_m - thin / 2), thin, 0.0, 0.0, "white", 0.0, end_m)
    always_double = n > 1
    for begin_m, stretch_m, tight in _stretches(curvature, 1 / 350.0):
        if tight or always_double:
            for side in (-1.0, 1.0):
                yield Line(side * 0.11, thin, 0.0, 0.0, centre, begin_m, stretch_m)
        else:
            yield Line(0.0, thin, *dash, centre, begin_m, stretch_m)


def _stretches(curvature: Float64[np.ndarray, " n"], tight_per_m: float) -> Iterator[tuple[float, float, bool]]:
    """Stretches (begin, end, whether overtaking is forbidden): forbidden 30 m before and after every tight curve."""
    reach = int(30.0 / SPACING_M)
    tight = np.convolve(np.abs(curvature) > tight_per_m, np.ones(2 * reach + 1), mode="same") > 0.5
    edges = np.flatnonzero(np.diff(tight)) + 1
    for begin, end in zip([0, *edges], [*edges, len(curvature) - 1], strict=True):
        yield SPACING_M * float(begin), SPACING_M * float(end), bool(tight[begin])
