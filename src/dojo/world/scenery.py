"""What a road runs through: a scene for every stretch of it, and tiles of land between.

In: a road, a seed. Out: meshes by material, stretch by stretch; the road's surface at three levels of detail.
Idea: each stretch draws its own random numbers from (seed, its number), so that it looks the same whether it is
reached from the front or from behind, today or in another process. Country changes along the way: open land, wood,
hedges, farms; streets are lined with houses and lamps; motorways with rails and boards.
Not here: the shapes (`props.py`, `surface.py`), the drawing (`render.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from dojo.world import props
from dojo.world.mesh import Mesh, Rgb, grid, polygon
from dojo.world.props import Material, Parts
from dojo.world.road import Road
from dojo.world.surface import Palette, Stretch, land, paint, patches, ribbon

STRETCH_M = 60.0
DETAIL_WITHIN_M = (75.0, 150.0)
"""Stretches whose middle is nearer than this are drawn at level 0, 1; beyond, at level 2."""


@dataclass(frozen=True)
class Scene:
    """Part of a stretch, ready to draw: opaque things, and what lies flat on the road and must win over it."""

    origin_m: tuple[float, float, float]
    solid: dict[Material, Mesh]
    overlay: dict[Material, Mesh]


class Scenery:
    """All that can be seen along one road; stretches are built when asked for.

    Args:
        seed: varies colours and what stands where; the road itself stays.
    """

    def __init__(self, road: Road, seed: int) -> None:
        self.road, self.seed = road, seed
        self.palette = draw_palette(seed)
        self._greens = _greens(seed)
        nodes = road.pose(np.arange(0.0, road.length_m, 2.0))
        self._nodes = np.stack([nodes.x_m, nodes.y_m], -1)

    @property
    def stretches(self) -> int:
        """How many stretches the road has."""
        return math.ceil(self.road.length_m / STRETCH_M)

    def stretch(self, number: int) -> Stretch:
        """A stretch by number."""
        begin = number * STRETCH_M
        return Stretch(self.road, begin, min(begin + STRETCH_M, self.road.length_m))

    def surface(self, number: int, detail: int) -> Scene:
        """The road itself along a stretch, with its verges."""
        stretch = self.stretch(number)
        pavement, verges = ribbon(stretch, self.palette, detail)
        flat = [patches(stretch, self.palette, self._rng(number, 1))] if detail == 0 else []
        return Scene(
            stretch.origin_m,
            {"asphalt": pavement, "land": verges},
            {"asphalt": Mesh.joined([*flat, paint(stretch, self.palette, detail)])},
        )

    def beside(self, number: int) -> Scene:
        """Everything that stands beside a stretch."""
        stretch = self.stretch(number)
        solid: dict[Material, list[Mesh]] = defaultdict(list)
        for material, mesh in self._beside(stretch, number):
            solid[material].append(mesh)
        return Scene(stretch.origin_m, {material: Mesh.joined(parts) for material, parts in solid.items()}, {})

    def land(self, column: int, row: int) -> Mesh:
        """One tile of land; see `surface.land`."""
        return land(self.road.hills, self.palette, column, row, self.seed)

    # What stands beside a stretch.

    def _rng(self, number: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.road.seed, number, purpose))

    def _beside(self, stretch: Stretch, number: int) -> list[tuple[Material, Mesh]]:
        placed: list[tuple[Material, Mesh]] = []
        kind = self.road.kind
        if kind == "suburban":
            placed += self._houses(stretch, number) + self._lamps(stretch)
        elif kind == "motorway":
            placed += self._rails(stretch, number) + self._boards(stretch, number)
        if kind != "suburban":
            placed += self._delineators(stretch)
        placed += self._plants(stretch, number) + self._signs(stretch)
        if kind == "rural":
            placed += self._farm(stretch, number)
        return placed

    def _put(
        self, stretch: Stretch, parts: Parts, s_m: float, lateral_m: float, turn_rad: float = 0.0
    ) -> list[tuple[Material, Mesh]]:
        """Parts stood on the ground; turned 0 they face along the road."""
        x, y, z = (float(value) for value in self.road.point(s_m, lateral_m))
        ox, oy, oz = stretch.origin_m
        yaw = float(self.road.on_plane(s_m)[2]) + turn_rad
        return [(material, mesh.moved(x - ox, y - oy, z - oz, yaw)) for material, mesh in parts.items()]

    def _is_clear(self, s_m: float, lateral_m: float, margin_m: float) -> bool:
        """True where a place keeps its distance from every part of the road (bends come back)."""
        x, y = self.road.point_on_plane(s_m, lateral_m)
        low, high = int(max(0.0, s_m - 300) / 2), int((s_m + 300) / 2)
        offset = self._nodes[low:high] - np.array([float(x), float(y)])
        return bool((offset**2).sum(-1).min(initial=math.inf) > (self.road.section.paved_edge_m + margin_m) ** 2)

    def _woods(self, s_m: float) -> float:
        """How wooded the country is, 0 to 1, changing over some 300 m."""
        phase = self.seed % 100
        return 0.5 + 0.5 * math.sin(s_m / 95.0 + phase) * math.sin(s_m / 153.0 + 2.3 * phase)

    def _plants(self, stretch: Stretch, number: int) -> list[tuple[Material, Mesh]]:
        rng = self._rng(number, 2)
        middle = (stretch.begin_m + stretch.end_m) / 2
        woods = self._woods(middle) * (0.35 if self.road.kind == "suburban" else 1.0)
        placed: list[tuple[Material, Mesh]] = []
        count = int(rng.poisson(3 + 15 * woods**2))
        near = self.road.section.paved_edge_m + (4.0 if self.road.section.kerb else 3.0)
        for i in range(count):
            s = float(rng.uniform(stretch.begin_m, stretch.end_m))
            lateral = float(rng.choice([-1.0, 1.0])) * (near + float(rng.exponential(14.0)))
            pick, height = float(rng.random()), float(rng.uniform(4.0, 13.0))
            tree = np.random.default_rng((self.seed, number, i, 7))
            if not self._is_clear(s, lateral, 2.5):
                continue
            green = self._greens[int(tree.integers(len(self._greens)))]
            if pick < 0.3:
                parts = props.bush(float(tree.uniform(0.7, 2.0)), green, tree)
            elif pick < 0.55:
                parts = props.conifer(height * 1.2, (green[0] * 0.7, green[1] * 0.75, green[2] * 0.8))
            else:
                parts = props.broadleaf(height, green, tree)
            placed += self._put(stretch, parts, s, lateral, float(tree.uniform(0, 6.28)))
        for side in (-1.0, 1.0):
            if woods > 0.62 and rng.random() < 0.8:
                placed += self._wood_edge(stretch, side * float(rng.uniform(13.0, 22.0)), 9.0, rng)
            elif self.road.kind == "rural" and rng.random() < 0.3:
                placed += self._wood_edge(stretch, side * float(rng.uniform(4.0, 6.0)), 1.3, rng)
        return placed

    def _wood_edge(
        self, stretch: Stretch, lateral_m: float, height_m: float, rng: np.random.Generator
    ) -> list[tuple[Material, Mesh]]:
        """The edge of a wood, or a hedge: a leafy bank with a ragged top."""
        rows = stretch.rows(5.0)
        centre = lateral_m + math.copysign(self.road.section.paved_edge_m, lateral_m)
        if not all(self._is_clear(float(s), centre, abs(lateral_m) * 0.8) for s in rows[:: max(1, len(rows) // 4)]):
            return []
        out = math.copysign(height_m * 0.35, lateral_m)
        points = stretch.sheet(rows, centre + np.array([0.0, 0.1 * out, out, 2 * out]))
        ragged = height_m * rng.uniform(0.75, 1.15, (len(rows), 1))
        points[..., 2] += ragged * np.array([-0.2, 0.62, 1.0, -0.2])
        points[1:-1, :, :2] += rng.uniform(-0.07, 0.07, (len(rows) - 2, 4, 2)) * height_m
        green = np.array(self._greens[int(rng.integers(len(self._greens)))]) * 0.85
        rgb = green * np.array([0.45, 0.75, 1.05, 0.6])[:, None] * rng.uniform(0.85, 1.1, (len(rows), 1, 1))
        uv = np.stack(np.broadcast_arrays(np.array([0, 0.7, 1.2, 2.0]) * height_m / 4, (rows / 4.0)[:, None]), -1)
        sheet = grid(points.astype(np.float32), uv.astype(np.float32), rgb.astype(np.float32))
        return [("leaves", sheet)]

    def _houses(self, stretch: Stretch, number: int) -> list[tuple[Material, Mesh]]:
        rng = self._rng(number, 3)
        placed: list[tuple[Material, Mesh]] = []
        for side in (-1.0, 1.0):
            s = stretch.begin_m + float(rng.uniform(2.0, 10.0))
            while s < stretch.end_m - 4.0:
                length, depth = float(rng.uniform(8.0, 16.0)), float(rng.uniform(7.0, 11.0))
                lateral = side * (self.road.section.paved_edge_m + float(rng.uniform(4.5, 11.0)) + depth / 2)
                parts = _random_house(rng, length, depth)
                if rng.random() < 0.78 and self._is_clear(s + length / 2, lateral, depth / 2 + 2.5):
                    turn = float(rng.normal(0.0, 0.04)) + (math.pi if side < 0 else 0.0)
                    placed += self._put(stretch, parts, s + length / 2, lateral, turn)
                s += length + float(rng.uniform(2.0, 12.0))
        return placed

    def _farm(self, stretch: Stretch, number: int) -> list[tuple[Material, Mesh]]:
        rng = self._rng(number, 4)
        if rng.random() > 0.14:
            return []
        side = float(rng.choice([-1.0, 1.0]))
        s = float(rng.uniform(stretch.begin_m, stretch.end_m))
        placed: list[tuple[Material, Mesh]] = []
        for _ in range(int(rng.integers(1, 4))):
            length, depth = float(rng.uniform(9.0, 22.0)), float(rng.uniform(8.0, 12.0))
            lateral = side * (self.road.section.paved_edge_m + float(rng.uniform(14.0, 45.0)))
            parts = _random_house(rng, length, depth)
            if self._is_clear(s, lateral, length / 2 + 5.0):
                placed += self._put(stretch, parts, s, lateral, float(rng.uniform(0, 6.28)))
            s += float(rng.uniform(5.0, 18.0))
        return placed

    def _lamps(self, stretch: Stretch) -> list[tuple[Material, Mesh]]:
        """Every 30 m, on alternating sides."""
        placed: list[tuple[Material, Mesh]] = []
        for n in _marks(stretch, 30.0):
            side = -1.0 if n % 2 else 1.0
            lateral = side * (self.road.section.paved_edge_m + 0.6)
            placed += self._put(stretch, props.lamp(7.0), 30.0 * n, lateral, math.pi if side < 0 else 0.0)
        return placed

    def _delineators(self, stretch: Stretch) -> list[tuple[Material, Mesh]]:
        """Every 50 m on both sides, 25 m in bends. Source of the spacing: HLB (50 m on straights, fewer in bends)."""
        placed: list[tuple[Material, Mesh]] = []
        for n in _marks(stretch, 25.0):
            bend = abs(float(self.road.on_plane(25.0 * n)[3])) > 1 / 400
            if n % 2 and not bend:
                continue
            for side in (-1.0, 1.0):
                lateral = side * (self.road.section.paved_edge_m + 0.6)
                placed += self._put(stretch, props.delineator(), 25.0 * n, lateral)
        return placed

    def _rails(self, stretch: Stretch, number: int) -> list[tuple[Material, Mesh]]:
        """Guard rails: always in the median, beside the road now and then (decided for six stretches at a time)."""
        section = self.road.section
        laterals = [-0.35, 0.35]
        sides = self._rng(number // 6, 5).random(2) < 0.45
        outside = section.paved_edge_m + 0.5
        laterals += [side * outside for side, there in zip((-1.0, 1.0), sides, strict=True) if there]
        placed: list[tuple[Material, Mesh]] = []
        rows = stretch.rows(8.0)
        for lateral in laterals:
            faces = 1.0 if lateral < 0 else -1.0
            points = stretch.sheet(rows, lateral + np.array([0.0, 0.05, 0.0]) * faces)
            points[..., 2] += np.array([0.45, 0.60, 0.75])
            rgb = np.broadcast_to(np.array([[0.50], [0.72], [0.62]]) * np.ones(3), (len(rows), 3, 3))
            uv = np.zeros((len(rows), 3, 2), np.float32)
            placed.append(("plain", grid(points.astype(np.float32), uv, rgb.astype(np.float32))))
            for n in _marks(stretch, 4.0):
                placed += self._put(stretch, {"plain": _RAIL_POST}, 4.0 * n, lateral - 0.06 * faces)
        return placed

    def _boards(self, stretch: Stretch, number: int) -> list[tuple[Material, Mesh]]:
        rng = self._rng(number, 6)
        if rng.random() > 0.12:
            return []
        rgb: Rgb = (0.08, 0.30, 0.75) if self.seed % 2 else (0.05, 0.42, 0.25)
        board = props.direction_board(float(rng.uniform(3.0, 5.5)), float(rng.uniform(2.0, 3.2)), rgb)
        s = float(rng.uniform(stretch.begin_m, stretch.end_m))
        return self._put(stretch, board, s, -(self.road.section.paved_edge_m + 4.5))

    def _signs(self, stretch: Stretch) -> list[tuple[Material, Mesh]]:
        """Limit signs where a limit begins, arrow boards outside sharp bends."""
        placed: list[tuple[Material, Mesh]] = []
        edge = self.road.section.paved_edge_m + 1.0
        for begin, limit in self.road.limit_signs():
            if stretch.begin_m <= begin < stretch.end_m:
                placed += self._put(stretch, props.limit_sign(round(limit * 3.6)), begin, -edge)
        if self.road.kind == "suburban":
            return placed
        for n in _marks(stretch, 12.0):
            bend = float(self.road.on_plane(12.0 * n)[3])
            if abs(bend) > 1 / 160:
                outside = -math.copysign(edge, bend)
                turn = -0.5 * math.copysign(1.0, bend)
                placed += self._put(stretch, props.chevron(left=bend > 0), 12.0 * n, outside, turn)
        return placed


_RAIL_POST = polygon([(0.0, 0.05, -0.1), (0.0, -0.05, -0.1), (0.0, -0.05, 0.7), (0.0, 0.05, 0.7)], (0.45, 0.46, 0.47))


def _marks(stretch: Stretch, every_m: float) -> range:
    """The multiples n of `every_m` with begin <= n * every_m < end."""
    return range(math.ceil(stretch.begin_m / every_m), math.ceil(stretch.end_m / every_m))


def _random_house(rng: np.random.Generator, length_m: float, depth_m: float) -> Parts:
    plasters: tuple[Rgb, ...] = (
        (0.95, 0.92, 0.84),
        (0.9, 0.84, 0.7),
        (0.75, 0.5, 0.4),
        (0.85, 0.86, 0.88),
        (0.9, 0.8, 0.75),
    )
    roofs: tuple[Rgb, ...] = ((0.55, 0.27, 0.2), (0.38, 0.22, 0.18), (0.28, 0.29, 0.32), (0.45, 0.4, 0.36))
    plaster = plasters[int(rng.integers(len(plasters)))]
    roof = roofs[int(rng.integers(len(roofs)))]
    return props.house(length_m, depth_m, int(rng.integers(1, 4)), plaster, roof, flat=bool(rng.random() < 0.25))


def _vary(rgb: Rgb, rng: np.random.Generator, hue: float, light: float) -> Rgb:
    tone = 1 + rng.uniform(-light, light)
    r, g, b = np.clip(np.array(rgb) * tone * (1 + rng.uniform(-hue, hue, 3)), 0.0, 1.2).tolist()
    return r, g, b


def draw_palette(seed: int) -> Palette:
    """Colours of one place and season. Assumed: ranges that photographs of roads show, from spring to late autumn."""
    rng = np.random.default_rng((seed, 0xC010))
    seasons: tuple[tuple[Rgb, Rgb], ...] = (
        ((0.36, 0.46, 0.22), (0.42, 0.52, 0.24)),  # spring
        ((0.45, 0.47, 0.25), (0.66, 0.58, 0.30)),  # harvest
        ((0.44, 0.40, 0.26), (0.48, 0.38, 0.27)),  # autumn, ploughed
        ((0.55, 0.50, 0.34), (0.62, 0.52, 0.36)),  # dry
    )
    verge, field = seasons[int(rng.integers(len(seasons)))]
    grey = float(rng.uniform(0.38, 0.66))
    warm = float(rng.uniform(-0.03, 0.04))
    asphalt: Rgb = (grey * (1 + warm), grey, grey * (1 - warm))
    shoulder = _vary(asphalt, rng, 0.02, 0.12)
    worn = float(rng.uniform(0.88, 1.2))
    return Palette(
        asphalt=asphalt,
        shoulder=shoulder,
        verge=_vary(verge, rng, 0.08, 0.12),
        land=_vary(verge, rng, 0.08, 0.15),
        field=_vary(field, rng, 0.08, 0.15),
        white=(worn, worn, worn * 0.98),
        yellow=(worn, worn * 0.74, worn * 0.16),
        pavement=_vary((0.62, 0.60, 0.57), rng, 0.04, 0.1),
    )


def _greens(seed: int) -> tuple[Rgb, ...]:
    rng = np.random.default_rng((seed, 0x6EE7))
    base: Rgb = ((0.34, 0.45, 0.20), (0.42, 0.44, 0.19), (0.50, 0.40, 0.18))[int(rng.integers(3))]
    return tuple(_vary(base, rng, 0.2, 0.25) for _ in range(6))
