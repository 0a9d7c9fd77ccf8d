"""The road itself as meshes: pavement with its wheel tracks, verges, kerbs, paint, patches, and the land around.

In: a road and a stretch of it. Out: one mesh per material, relative to the stretch's origin.
Idea: pavement and verge are one ribbon of quads across the road; the verge's outer edge dives below the land, which
is a coarse grid laid a little lower, so that there is never a gap to look through. Paint is separate: the renderer
draws it a hair nearer to the eye. Far away a 12 cm line is thinner than a pixel and would break into dots; there it
is painted wider and paler by the same factor, which is what a camera sees.
Not here: what stands beside the road (`scenery.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from dojo.world.mesh import Mesh, Rgb, grid
from dojo.world.road import Hills, Line, Road

LAND_SINK_M = 0.2
"""The land lies this much below the road's ground, and the verge's foot 0.2 m deeper still."""
LAND_CELL_M = 40.0
TILE_M = 200.0

WIDENED = (1.0, 1.5, 3.0)
"""Paint at each level of detail: times wider, and paler by the same factor."""


@dataclass(frozen=True)
class Palette:
    """Colours of one road and season."""

    asphalt: Rgb
    shoulder: Rgb
    verge: Rgb
    land: Rgb
    field: Rgb
    white: Rgb
    yellow: Rgb
    pavement: Rgb


@dataclass(frozen=True)
class Stretch:
    """A piece of a road; meshes are relative to `origin_m`."""

    road: Road
    begin_m: float
    end_m: float

    @cached_property
    def origin_m(self) -> tuple[float, float, float]:
        """World position of the middle."""
        here = self.road.pose((self.begin_m + self.end_m) / 2)
        return float(here.x_m), float(here.y_m), float(here.z_m)

    def rows(self, step_m: float) -> Float64[np.ndarray, " rows"]:
        """Distances from begin to end, both included."""
        return np.linspace(self.begin_m, self.end_m, max(1, math.ceil((self.end_m - self.begin_m) / step_m)) + 1)

    def sheet(
        self, s_m: Float64[np.ndarray, " rows"], lateral_m: Float64[np.ndarray, " columns"]
    ) -> Float64[np.ndarray, "rows columns 3"]:
        """Points across the road, relative to the origin."""
        x, y, z = self.road.point(s_m[:, None], lateral_m[None, :])
        return np.asarray(np.stack([x, y, z], -1) - np.array(self.origin_m))


KERB_M, FOOTWAY_M = 0.12, 2.0
"""Source: RASt 2006: kerbs of 0.12 m; footways beside narrow streets from 1.5 m up."""
ROW_M = {"suburban": 2.5, "rural": 5.0, "motorway": 8.0}
"""Row spacing: chords leave the sharpest curve of each kind by 3 cm at most."""


def ribbon(stretch: Stretch, palette: Palette, detail: int) -> tuple[Mesh, Mesh]:
    """Pavement and verges; with `detail` 0 all rows and wheel tracks, fewer from 1 on."""
    road, section = stretch.road, stretch.road.section
    rows = stretch.rows(ROW_M[road.kind] * (1, 2, 2)[detail])
    columns = sorted(_columns(road, palette, tracks=detail == 0), key=lambda column: column[0])
    lateral = np.array([column[0] for column in columns])
    rgb = np.broadcast_to(np.array([column[1] for column in columns]), (len(rows), len(columns), 3))
    points = stretch.sheet(rows, lateral)
    uv = np.stack(np.broadcast_arrays(lateral / 4.0, (rows / 4.0)[:, None]), -1)
    asphalt = grid(points.astype(np.float32), uv.astype(np.float32), rgb.astype(np.float32))
    footways = [_footway(stretch, palette, rows, side) for side in (-1.0, 1.0)] if section.kerb else []
    verges = [_verge(stretch, palette, rows, side) for side in (-1.0, 1.0)]
    median = [_median(stretch, palette, rows)] if section.median_m else []
    return Mesh.joined([asphalt, *footways]), Mesh.joined([*verges, *median])


def _columns(road: Road, palette: Palette, *, tracks: bool) -> Iterator[tuple[float, Rgb]]:
    """Lateral positions of the pavement's vertices, with their colours."""
    section, half_m = road.section, 0.75  # half a car's track
    asphalt = palette.asphalt
    dark: Rgb = (asphalt[0] * 0.90, asphalt[1] * 0.90, asphalt[2] * 0.90)
    for side in (-1.0, 1.0):
        yield side * section.paved_edge_m, palette.shoulder
        yield side * (section.lanes_edge_m + 0.02), palette.shoulder
        yield side * section.lanes_edge_m, asphalt
    if not tracks:
        yield 0.0, asphalt
        return
    for lane, _ in road.directed_lanes:
        centre = road.lane_centre_m(lane)
        yield centre - half_m, dark
        yield centre, asphalt
        yield centre + half_m, dark
    yield 0.0, asphalt
    for between in range(1, section.lanes_per_direction):
        for side in (-1.0, 1.0):
            yield side * (section.median_m / 2 + between * section.lane_width_m), asphalt


def _verge(stretch: Stretch, palette: Palette, rows: Float64[np.ndarray, " rows"], side: float) -> Mesh:
    """Grass from the pavement outwards, which then goes down below the land."""
    soil: Rgb = (palette.land[0] * 0.9, palette.land[1] * 0.8, palette.land[2] * 0.7)
    if stretch.road.section.kerb:
        steps = [(FOOTWAY_M, KERB_M), (FOOTWAY_M + 0.1, 0.05), (4.0, 0.0), (8.0, -0.4)]
        colours = [soil, palette.verge, palette.verge, palette.land]
    else:
        steps = [(0.0, 0.0), (0.35, -0.02), (1.2, 0.02), (3.0, -0.05), (8.0, -0.4)]
        colours = [soil, palette.verge, palette.verge, palette.verge, palette.land]
    points, rgb = _profile(stretch, rows, side, steps, colours)
    return _on_land(stretch, points, rgb)


def _footway(stretch: Stretch, palette: Palette, rows: Float64[np.ndarray, " rows"], side: float) -> Mesh:
    """A kerb and paving beside a street."""
    face: Rgb = (palette.pavement[0] * 0.75, palette.pavement[1] * 0.75, palette.pavement[2] * 0.75)
    stone: Rgb = (palette.pavement[0] * 1.15, palette.pavement[1] * 1.15, palette.pavement[2] * 1.15)
    steps = [(0.0, 0.0), (0.02, KERB_M), (0.15, KERB_M), (0.17, KERB_M), (FOOTWAY_M, KERB_M)]
    points, rgb = _profile(stretch, rows, side, steps, [face, stone, stone, palette.pavement, palette.pavement])
    uv = np.stack(
        np.broadcast_arrays(side * np.array([offset for offset, _ in steps]) / 4.0, (rows / 4.0)[:, None]), -1
    )
    return grid(points.astype(np.float32), uv.astype(np.float32), rgb.astype(np.float32))


def _profile(
    stretch: Stretch,
    rows: Float64[np.ndarray, " rows"],
    side: float,
    steps: list[tuple[float, float]],
    colours: list[Rgb],
) -> tuple[Float64[np.ndarray, "rows columns 3"], Float64[np.ndarray, "rows columns 3"]]:
    """Points and colours of a sheet with (offset from the pavement's edge, lift) per column."""
    points = stretch.sheet(rows, side * (stretch.road.section.paved_edge_m + np.array([offset for offset, _ in steps])))
    points[..., 2] += np.array([lift for _, lift in steps])
    return points, np.asarray(np.broadcast_to(np.array(colours), points.shape))


def _median(stretch: Stretch, palette: Palette, rows: Float64[np.ndarray, " rows"]) -> Mesh:
    """Grass between the directions, a little proud of the pavement."""
    half = stretch.road.section.median_m / 2 - stretch.road.section.inner_strip_m
    points = stretch.sheet(rows, np.array([-half, -half + 0.1, half - 0.1, half]))
    points[..., 2] += np.array([0.02, 0.08, 0.08, 0.02])
    return _on_land(stretch, points, np.broadcast_to(np.array(palette.verge), (*points.shape[:2], 3)))


def _on_land(
    stretch: Stretch, points: Float64[np.ndarray, "rows columns 3"], rgb: Float64[np.ndarray, "rows columns 3"]
) -> Mesh:
    """A sheet whose texture lies in world coordinates, 6 m a repeat, so that it meets the land's."""
    origin = np.fmod(np.array(stretch.origin_m[:2]), 6.0)
    uv = (points[..., :2] + origin) / 6.0
    return grid(points.astype(np.float32), uv.astype(np.float32), rgb.astype(np.float32))


def paint(stretch: Stretch, palette: Palette, detail: int) -> Mesh:
    """All lines of a stretch."""
    return Mesh.joined(_line(stretch, palette, line, detail) for line in stretch.road.lines)


def _line(stretch: Stretch, palette: Palette, line: Line, detail: int) -> Mesh:
    begin, end = max(stretch.begin_m, line.begin_m), min(stretch.end_m, line.end_m)
    if begin >= end:
        return Mesh.empty()
    wide = WIDENED[detail]
    share = 1.0 / wide
    colour = palette.white if line.colour == "white" else palette.yellow
    rgb = (share * np.array(colour) + (1 - share) * np.array(palette.asphalt)).astype(np.float32)
    step = ROW_M[stretch.road.kind] * (1, 2, 2)[detail]
    half = line.width_m * wide / 2
    lateral = np.array([line.lateral_m - half, line.lateral_m + half])
    dashes = [
        np.linspace(first, last, max(1, math.ceil((last - first) / step)) + 1)
        for first, last in _dashes(line, begin, end)
    ]
    if not dashes:
        return Mesh.empty()
    # All dashes as one sheet, less the cells between the end of one and the beginning of the next.
    rows = np.concatenate(dashes)
    points = stretch.sheet(rows, lateral).astype(np.float32)
    uv = np.stack(np.broadcast_arrays(lateral / 4.0, (rows / 4.0)[:, None]), -1).astype(np.float32)
    sheet = grid(points, uv, np.broadcast_to(rgb, points.shape))
    dash = np.repeat(np.arange(len(dashes)), [len(dash) for dash in dashes])
    whole = np.flatnonzero(np.tile(dash[1:] == dash[:-1], 2))
    # Dash by dash, as where two meet in a pixel the last one drawn is seen.
    order = whole[np.argsort(np.tile(dash[:-1], 2)[whole], kind="stable")]
    return Mesh(sheet.points_m, sheet.uv, sheet.rgb, sheet.triangles[order])


def _dashes(line: Line, begin_m: float, end_m: float) -> Iterator[tuple[float, float]]:
    """Painted intervals within [begin, end]; dashes count from the line's own begin, so stretches meet."""
    if line.dash_m == 0:
        yield begin_m, end_m
        return
    period = line.dash_m + line.gap_m
    number = math.floor((begin_m - line.begin_m) / period)
    while (first := line.begin_m + number * period) < end_m:
        low, high = max(first, begin_m), min(first + line.dash_m, end_m)
        if low < high:
            yield low, high
        number += 1


def patches(stretch: Stretch, palette: Palette, rng: np.random.Generator) -> Mesh:
    """Repairs and stains, a little darker or lighter than the pavement."""
    parts = []
    edge = stretch.road.section.lanes_edge_m
    for _ in range(int(rng.poisson(1.2))):
        begin = float(rng.uniform(stretch.begin_m, stretch.end_m))
        end = min(begin + float(rng.uniform(1.5, 9.0)), stretch.end_m)
        low = float(rng.uniform(-edge, edge - 0.8))
        lateral = np.array([low, min(low + float(rng.uniform(0.5, 3.0)), edge)])
        rows = np.linspace(begin, end, 3)
        tone = float(rng.choice([rng.uniform(0.72, 0.9), rng.uniform(1.05, 1.15)]))
        rgb = np.broadcast_to(np.array(palette.asphalt) * tone, (3, 2, 3))
        uv = np.stack(np.broadcast_arrays(lateral / 4.0, (rows / 4.0)[:, None]), -1)
        points = stretch.sheet(rows, lateral)
        parts.append(grid(points.astype(np.float32), uv.astype(np.float32), rgb.astype(np.float32)))
    return Mesh.joined(parts)


def land(hills: Hills, palette: Palette, column: int, row: int, seed: int) -> Mesh:
    """One tile of the land, relative to its south-western corner at sea level of the world (z 0)."""
    cells = round(TILE_M / LAND_CELL_M)
    east = column * TILE_M + LAND_CELL_M * np.arange(cells + 1)
    north = row * TILE_M + LAND_CELL_M * np.arange(cells + 1)
    x, y = np.meshgrid(east, north)
    z = hills.height_m(x, y) - LAND_SINK_M
    # Fields: each corner's colour follows from its place alone, so neighbouring tiles agree.
    mix = 0.5 + 0.5 * np.sin(x / 83.0 + seed % 97) * np.sin(y / 71.0 + seed % 89)
    tone = 0.93 + 0.07 * np.sin(x / 31.0 + y / 47.0)
    rgb = (np.array(palette.land) * (1 - mix[..., None]) + np.array(palette.field) * mix[..., None]) * tone[..., None]
    local = np.stack([x - column * TILE_M, y - row * TILE_M, z], -1)
    origin = np.fmod(np.array([column * TILE_M, row * TILE_M]), 6.0)
    uv = (local[..., :2] + origin) / 6.0
    return grid(local.astype(np.float32), uv.astype(np.float32), rgb.astype(np.float32))
