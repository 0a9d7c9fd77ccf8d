"""Draws what a vehicle's camera sees, with Panda3D: in software anywhere, with OpenGL where there is a GPU.

In: a road, a camera, a look; where the ego is, who else is there, the time. Out: RGB pictures that agree with the
camera model to a fraction of a pixel.
Idea: drawn with two rows for each row and averaged, because the software display has no anti-aliasing, and lane lines
towards the horizon are thin and slanted (two columns for each as well is better still, at twice the time).
Positions are taken relative to the eye before they become 32-bit floats. Paint and shadows are scaled by half a per
cent towards the eye, which leaves their picture the same and their depth in front of the road: no z-fighting.
The depth of each pixel rides along in the alpha channel (a texture looked up by eye depth), for weather that needs it.
Not here: shapes (`scenery.py`, `bodies.py`), light and weather (`weather.py`), windows and lenses (`window.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from panda3d import core

from dojo.errors import ConfigError
from dojo.geometry import Camera, Rigid
from dojo.world import textures
from dojo.world.bodies import Body, OtherVehicle, VehicleKind, body
from dojo.world.mesh import Mesh, grid
from dojo.world.props import Material
from dojo.world.road import Hills, Road
from dojo.world.scenery import DETAIL_WITHIN_M, STRETCH_M, Scene, Scenery
from dojo.world.surface import TILE_M
from dojo.world.weather import FAR_M, Finish, Glow, Look
from dojo.world.window import Window, as_texture, attach, carry_depth

REACH_M = 380.0
"""Road and scenery are drawn this far along the road, land to `LAND_REACH_M`."""
LAND_REACH_M = 460.0
HILLS_AWAY_M = 1200.0
"""Assumed: how far away the hills of the panorama are, for the haze before them."""
OVERLAY_SCALE = 0.995
ANCHOR_GRID_M = 512.0
"""Scenery is placed relative to the nearest point of this grid: 32-bit floats are exact to 0.06 mm at that distance."""
KEPT = 160
"""How many stretches and tiles are kept for when they are wanted again; about 50 are in sight."""
_BEHIND_M = 30.0
"""Assumed: a vehicle whose middle is this far behind the eye reaches into no picture: the longest is half as long."""
_ORDER = {
    "vehicle": 0,
    "plain": 1,
    "leaves": 2,
    "wall": 3,
    "asphalt": 4,
    "land": 5,
    "sky": 6,
    "overlay": 7,
    "shadow": 8,
}
"""What is likely to be in front is drawn first, so that what it hides costs little; what is see-through comes last."""


def stand(hills: Hills, x_m: float, y_m: float, yaw_rad: float) -> Rigid:
    """`world_from_ego` of a vehicle that stands on the ground, level with it."""
    east, north = hills.slope(x_m, y_m)
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    ahead, left = east * c + north * s, -east * s + north * c
    place = np.array([x_m, y_m, float(hills.height_m(x_m, y_m))])
    return Rigid.from_euler(math.atan(left), -math.atan(ahead), yaw_rad, place)


class Renderer:
    """Pictures of one drive; closes its window when closed or left as a context.

    Args:
        camera: without distortion. `seed`: of scenery and noise.
        supersampling: pixels drawn per pixel, across and down.
        display: `p3tinydisplay` needs nothing; `p3headlessgl` needs EGL, `pandagl` needs a screen.

    Raises:
        ConfigError: a camera with distortion, an unknown display, or one that cannot be opened here.
    """

    def __init__(
        self,
        road: Road,
        camera: Camera,
        look: Look,
        seed: int,
        *,
        supersampling: tuple[int, int] = (1, 2),
        display: str = "p3tinydisplay",
    ) -> None:
        if any(camera.distortion):
            raise ConfigError(f"renderer: expected a camera without distortion, got {camera.distortion}; rectify it")
        self._road, self._camera, self._look = road, camera, look
        self._scenery = Scenery(road, seed)
        self._finish = Finish(look, camera, seed)
        self._window = Window(camera, supersampling, display)
        self._textures = _make_textures(look, seed)
        self._scene = self._window.scene
        self._solid, self._overlay = self._scene.attach_new_node("solid"), self._scene.attach_new_node("overlay")
        self._overlay.set_depth_write(False)
        self._overlay.set_scale(OVERLAY_SCALE)  # about the eye, which is the scene's origin
        self._sky = _sky(self._window.scene, look, seed)
        if look.needs_depth:
            carry_depth(self._solid, self._overlay)
        self._solid_anchor = self._solid.attach_new_node("anchor")
        self._overlay_anchor = self._overlay.attach_new_node("anchor")
        self._anchor = np.full(3, np.inf)
        self._stretches, self._tiles = _Cache(self._make_stretch), _Cache(self._make_tile)
        self._vehicles: dict[tuple[VehicleKind, int], list[_Vehicle]] = {}
        nodes = road.pose(np.arange(0.0, road.length_m, 4.0))
        self._nodes = np.stack([nodes.x_m, nodes.y_m], -1)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the window and everything in it back."""
        self._window.close()
        self._vehicles.clear()

    def render(
        self, ego_pose: Sequence[float], others: Sequence[OtherVehicle], time_s: float
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        """The picture, RGB.

        Args:
            ego_pose: world x, y, yaw of the ego frame; z, pitch (nose down) and roll may follow, else the ego stands
                on the ground.
            time_s: decides blinkers, noise and rain; the same time gives the same picture.

        Raises:
            ConfigError: a pose of neither 3 nor 6 numbers.
        """
        world_from_ego = self._pose(ego_pose)
        world_from_camera = world_from_ego @ self._camera.ego_from_camera
        eye = world_from_camera.translation_m
        self._window.look_along(world_from_camera.rotation)
        self._show_surroundings(eye)
        ahead = world_from_camera.rotation[:, 2]
        seen = [
            other for other in others if (other.x_m - eye[0]) * ahead[0] + (other.y_m - eye[1]) * ahead[1] > -_BEHIND_M
        ]
        lit = [self._show(vehicle, slot, eye, time_s) for vehicle, slot in self._assign(seen)]
        picture, code = self._window.draw(self._look.needs_depth)
        glows: list[Glow] = []
        if self._look.headlights > 0:
            camera_from_world = world_from_camera.inverse()
            glows = [glow for vehicle, world in lit for glow in self._glows(vehicle, world, camera_from_world)]
        return self._finish.apply(picture, code, glows, time_s)

    def _pose(self, ego_pose: Sequence[float]) -> Rigid:
        if len(ego_pose) == 3:
            return stand(self._road.hills, *(float(value) for value in ego_pose))
        if len(ego_pose) != 6:
            raise ConfigError(f"renderer: expected a pose (x, y, yaw) or (x, y, yaw, z, pitch, roll), got {ego_pose}")
        x, y, yaw, z, pitch, roll = (float(value) for value in ego_pose)
        return Rigid.from_euler(roll, pitch, yaw, np.array([x, y, z]))

    # Surroundings.

    def _show_surroundings(self, eye: np.ndarray) -> None:
        """Build what comes near, hide what is left behind, and move everything to where the eye sees it from."""
        anchor = np.append(np.round(eye[:2] / ANCHOR_GRID_M) * ANCHOR_GRID_M, 0.0)
        shift = (anchor - eye).tolist()
        self._solid_anchor.set_pos(*shift)
        self._overlay_anchor.set_pos(*shift)
        s_m = 4.0 * int(np.argmin(((self._nodes - eye[:2]) ** 2).sum(-1)))
        moved = not np.array_equal(anchor, self._anchor)
        self._anchor = anchor
        self._stretches.want(self._stretches_near(s_m), anchor, moved)
        self._tiles.want(_tiles_near(eye), anchor, moved)

    def _stretches_near(self, s_m: float) -> frozenset[tuple[int, int]]:
        """Numbers of stretches, each with its level of detail and once more, as -1, for what stands beside it."""
        low = max(0, int((s_m - REACH_M) / STRETCH_M))
        high = min(self._scenery.stretches - 1, int((s_m + REACH_M) / STRETCH_M))
        wanted = set()
        for number in range(low, high + 1):
            away_m = abs((number + 0.5) * STRETCH_M - s_m)
            wanted |= {(number, sum(away_m > within for within in DETAIL_WITHIN_M)), (number, -1)}
        return frozenset(wanted)

    def _make_stretch(self, key: tuple[int, int]) -> _Placed:
        number, detail = key
        return self._place(self._scenery.surface(number, detail) if detail >= 0 else self._scenery.beside(number))

    def _make_tile(self, key: tuple[int, int]) -> _Placed:
        origin = (key[0] * TILE_M, key[1] * TILE_M, 0.0)
        return self._place(Scene(origin, {"land": self._scenery.land(*key)}, {}))

    def _place(self, scene: Scene) -> _Placed:
        nodes = []
        for root, meshes in ((self._solid_anchor, scene.solid), (self._overlay_anchor, scene.overlay)):
            if any(len(mesh.triangles) for mesh in meshes.values()):
                node = root.attach_new_node("stretch")
                for material, mesh in meshes.items():
                    if len(mesh.triangles):
                        part = attach(node, mesh, self._textures.get(material))
                        part.set_bin("fixed", _ORDER["overlay" if root is self._overlay_anchor else material])
                nodes.append(node)
        return _Placed(np.array(scene.origin_m), nodes)

    # Vehicles.

    def _assign(self, others: Sequence[OtherVehicle]) -> list[tuple[OtherVehicle, _Vehicle]]:
        """A body for each vehicle; bodies are kept from picture to picture and hidden while unused."""
        used: dict[tuple[VehicleKind, int], int] = {}
        pairs = []
        for vehicle in others:
            key = (vehicle.kind, vehicle.shape % 4)
            slots = self._vehicles.setdefault(key, [])
            index = used.get(key, 0)
            used[key] = index + 1
            if index == len(slots):
                slots.append(_Vehicle(self._solid, self._overlay, body(vehicle.kind, vehicle.shape % 4)))
            pairs.append((vehicle, slots[index]))
        for key, slots in self._vehicles.items():
            for slot in slots[used.get(key, 0) :]:
                slot.hide()
        return pairs

    def _show(
        self, vehicle: OtherVehicle, slot: _Vehicle, eye: np.ndarray, time_s: float
    ) -> tuple[OtherVehicle, Rigid]:
        world_from_vehicle = stand(self._road.hills, vehicle.x_m, vehicle.y_m, vehicle.yaw_rad)
        slot.show(vehicle, world_from_vehicle, eye, time_s)
        return vehicle, world_from_vehicle

    def _glows(self, vehicle: OtherVehicle, world_from_vehicle: Rigid, camera_from_world: Rigid) -> Iterator[Glow]:
        """Halos of the lamps that face the camera."""
        shape = body(vehicle.kind, vehicle.shape % 4)
        size = np.array([vehicle.length_m, vehicle.width_m, vehicle.height_m])
        lamps = np.array([shape.headlight, shape.headlight, shape.tail_light, shape.tail_light]) * size
        lamps[1::2, 1] *= -1
        in_camera = camera_from_world.apply(world_from_vehicle.apply(lamps))
        forward = camera_from_world.rotation @ world_from_vehicle.rotation[:, 0]
        focal, (cx, cy) = self._camera.focal_px, self._camera.centre_px
        for index, at in enumerate(in_camera):
            ahead = index < 2
            distance = float(np.linalg.norm(at))
            toward = float(forward @ at) / distance * (-1 if ahead else 1)  # 1 where the lamp points at the camera
            if toward <= 0 or at[2] < 1.0:
                continue
            # Assumed: a glare disc of 12 cm, at least 1.2 pixels; brightness fades over 150 m.
            fade = toward**4 * math.exp(-distance / 150.0)
            rgb = (1.0, 0.95, 0.85) if ahead else ((1.2, 0.12, 0.08) if vehicle.braking else (0.55, 0.05, 0.03))
            yield Glow(
                float(focal[0] * at[0] / at[2] + cx),
                float(focal[1] * at[1] / at[2] + cy),
                float(at[2]),
                max(1.2, 0.12 * focal[0] / float(at[2])),
                (rgb[0] * fade, rgb[1] * fade, rgb[2] * fade),
            )


def _tiles_near(eye: np.ndarray) -> frozenset[tuple[int, int]]:
    """Columns and rows of the land tiles within reach."""
    column, row = np.floor((eye[:2] - LAND_REACH_M) / TILE_M).astype(int).tolist()
    count = math.ceil(2 * LAND_REACH_M / TILE_M) + 1
    return frozenset((column + i, row + j) for i in range(count) for j in range(count))


class _Placed:
    """Nodes of one stretch or tile, and where they belong."""

    def __init__(self, origin_m: np.ndarray, nodes: list[Any]) -> None:
        self._origin_m, self._nodes = origin_m, nodes

    def show(self, anchor: np.ndarray) -> None:
        for node in self._nodes:
            node.set_pos(*(self._origin_m - anchor).tolist())
            node.show()

    def hide(self) -> None:
        for node in self._nodes:
            node.hide()

    def remove(self) -> None:
        for node in self._nodes:
            node.remove_node()


class _Cache:
    """Things that are made when first wanted, hidden while not, and forgotten when not wanted for long."""

    def __init__(self, make: Callable[[tuple[int, int]], _Placed]) -> None:
        self._make = make
        self._placed: dict[tuple[int, int], _Placed] = {}  # the longest unwanted first
        self._shown: frozenset[tuple[int, int]] = frozenset()

    def want(self, wanted: frozenset[tuple[int, int]], anchor: np.ndarray, moved: bool) -> None:
        if wanted == self._shown and not moved:
            return
        for key in self._shown - wanted:
            self._placed[key].hide()
        for key in sorted(wanted):
            item = self._placed.pop(key, None) or self._make(key)
            self._placed[key] = item
            item.show(anchor)
        for key in list(self._placed)[: max(0, len(self._placed) - KEPT)]:
            self._placed.pop(key).remove()
        self._shown = wanted


class _Vehicle:
    """One body in the scene, used for one vehicle after another."""

    def __init__(self, solid: Any, overlay: Any, shape: Body) -> None:
        self._node = solid.attach_new_node("vehicle")
        self._node.set_bin("fixed", _ORDER["vehicle"])
        self._painted = attach(self._node, shape.painted, None)
        attach(self._node, shape.fixed, None)
        self._lamps = {name: attach(self._node, getattr(shape, name), None) for name in ("brake", "left", "right")}
        self._shadow = attach(overlay, _shadow(), None)
        self._shadow.set_transparency(core.TransparencyAttrib.M_alpha)
        # A shadow leaves the depth in the alpha channel as it is.
        self._shadow.set_texture_off()
        rgb = core.ColorWriteAttrib.C_red | core.ColorWriteAttrib.C_green | core.ColorWriteAttrib.C_blue
        self._shadow.set_attrib(core.ColorWriteAttrib.make(rgb))
        self._shadow.set_color_scale(1, 1, 1, 0.55)
        self._shadow.set_bin("fixed", _ORDER["shadow"])

    def show(self, vehicle: OtherVehicle, world_from_vehicle: Rigid, eye: np.ndarray, time_s: float) -> None:
        ahead, left, up = world_from_vehicle.rotation.T
        x, y, z = (world_from_vehicle.translation_m - eye).tolist()
        rows = [ahead * vehicle.length_m, left * vehicle.width_m, up * vehicle.height_m]
        self._node.set_mat(core.LMatrix4(*rows[0], 0, *rows[1], 0, *rows[2], 0, x, y, z, 1))
        self._shadow.set_mat(core.LMatrix4(*rows[0], 0, *rows[1], 0, *rows[2], 0, x, y, z, 1))
        self._painted.set_color_scale(*vehicle.colour, 1)
        # Source of the rate: UN R48, direction indicators flash 90 +- 30 times a minute.
        flash = time_s * 1.5 % 1.0 < 0.5
        lit = {
            "brake": vehicle.braking,
            "left": flash and vehicle.blinker in ("left", "both"),
            "right": flash and vehicle.blinker in ("right", "both"),
        }
        for name, node in self._lamps.items():
            node.show() if lit[name] else node.hide()
        self._node.show()
        self._shadow.show()

    def hide(self) -> None:
        self._node.hide()
        self._shadow.hide()


def _shadow() -> Mesh:
    """What a body darkens below it, a little wider than the body."""
    x, y = np.meshgrid([-0.53, 0.53], [-0.56, 0.56], indexing="ij")
    points = np.stack([x, y, np.zeros_like(x)], -1).astype(np.float32)
    return grid(points, np.zeros((2, 2, 2), np.float32), np.full((2, 2, 3), 0.06, np.float32))


def _make_textures(look: Look, seed: int) -> dict[Material, Any]:
    rng = np.random.default_rng((seed, 0x7E47))
    return {
        "asphalt": as_texture(textures.asphalt(rng, look.roughness)),
        "land": as_texture(textures.meadow(rng)),
        "leaves": as_texture(textures.leaves(rng)),
        "wall": as_texture(textures.wall(rng)),
    }


def _sky(scene: Any, look: Look, seed: int) -> Any:
    """A cylinder around the eye, behind everything; its texture spans -6 to 42 degrees of elevation."""
    rng = np.random.default_rng((seed, 0x5C1))
    seen = math.exp(-3.912 * HILLS_AWAY_M / look.visibility_m)
    hill = tuple(seen * h + (1 - seen) * v for h, v in zip(look.hill, look.haze, strict=True))
    picture = textures.panorama(
        rng, look.zenith, look.horizon, look.cloud, look.cloud_cover, (hill[0], hill[1], hill[2])
    )
    radius, around, levels = FAR_M + 50.0, 32, np.radians(np.linspace(-6.0, 42.0, 13))
    turn = 2 * np.pi * np.arange(around + 1) / around
    x, _ = np.broadcast_arrays(radius * np.cos(turn), levels[:, None])
    y, z = np.broadcast_arrays(radius * np.sin(turn), radius * np.tan(levels)[:, None])
    u, v = np.broadcast_arrays(np.arange(around + 1) / around, np.linspace(0, 1, 13)[:, None])
    sheet = grid(
        np.stack([x, y, z], -1).astype(np.float32),
        np.stack([u, v * (255 / 256)], -1).astype(np.float32),
        np.ones((13, around + 1, 3), np.float32),
    )
    node = attach(scene, sheet, as_texture(picture, repeat=False))
    node.set_bin("fixed", _ORDER["sky"])
    node.set_depth_write(False)
    # Far away and narrow, its facets need neither perspective nor colours of their own, which makes them cheaper.
    node.set_color(1, 1, 1, 1)
    node.set_attrib(core.RenderModeAttrib.make(core.RenderModeAttrib.M_filled_flat))
    return node
