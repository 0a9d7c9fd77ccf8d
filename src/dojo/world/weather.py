"""Light and weather: what the sky looks like, and what happens between the scene and the stored picture.

In: a look, a camera; pictures of the scene in even light, with the depth of every pixel. Out: pictures as that
camera would have stored them in that weather.
Idea: the renderer draws the same scene in the same light always; night, fog and rain are functions of colour, depth
and direction, which are cheap on whole arrays. A vehicle's camera has a character of its own (exposure, tint,
vignette, noise) which stays with it through all weathers. Every look stays drivable: the paint can be made out at
20 m at least, as it can for the drivers whose recordings these stand for.
Not here: geometry (`render.py`), what the scenery is made of (`scenery.py`).

Source of fog: Koschmieder's law: contrast falls by exp(-3.912 d / visibility) (Middleton, Vision through the
Atmosphere, 1952). Source of wet reflections: Schlick, An inexpensive BRDF model, 1994. All other shapes are assumed,
judged by eye against recordings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from dojo.geometry import Camera
from dojo.world.mesh import Rgb

Weather = Literal["day", "overcast", "dusk", "night", "rain", "fog"]
Picture = UInt8[np.ndarray, "rows columns 3"]
Plane = UInt8[np.ndarray, "rows columns"]

FAR_M = 600.0
"""Nothing is drawn beyond; the sky counts as this far."""
_NEAR_M = 2.0
WEIGHTS: dict[Weather, float] = {"day": 0.34, "overcast": 0.2, "dusk": 0.12, "night": 0.12, "rain": 0.12, "fog": 0.1}
"""Assumed: how often a drive is in each; enough of each for a small fleet to have all."""


def depth_code(depth_m: Float64[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Depth along the optical axis in one byte: logarithmic, 2 % a step; 255 is the sky."""
    share = np.log1p(np.clip(depth_m, 0, FAR_M) / _NEAR_M) / math.log1p(FAR_M / _NEAR_M)
    return np.asarray(np.round(255 * share), np.uint8)


DEPTH_OF_CODE_M = _NEAR_M * np.expm1(np.arange(256) / 255 * math.log1p(FAR_M / _NEAR_M))
"""The depth that each code stands for."""


@dataclass(frozen=True)
class Look:
    """How one vehicle's camera sees one drive.

    Args:
        zenith, horizon, cloud, hill, haze: colours of the panorama, and of what distance fades into.
        cloud_cover: share of the sky. `light`: tint and brightness of the whole scene.
        visibility_m: distance at which contrast has fallen to 2 %. `headlights`: what they add, 0 for off.
        wet: how much of a mirror's reflection the road gives back. `streaks`: rain drops before the camera.
        exposure, white_balance, gamma, vignette, noise: of the camera; noise as deviation of 8-bit values.
        roughness: of the asphalt's texture.
    """

    weather: Weather
    zenith: Rgb = (0.30, 0.48, 0.80)
    horizon: Rgb = (0.78, 0.86, 0.94)
    cloud: Rgb = (0.95, 0.95, 0.96)
    hill: Rgb = (0.36, 0.46, 0.44)
    haze: Rgb = (0.78, 0.84, 0.90)
    cloud_cover: float = 0.35
    light: Rgb = (1.0, 1.0, 1.0)
    visibility_m: float = math.inf
    headlights: float = 0.0
    wet: float = 0.0
    streaks: float = 0.0
    exposure: float = 1.0
    white_balance: Rgb = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    vignette: float = 0.2
    noise: float = 2.0
    roughness: float = 1.0

    @property
    def needs_depth(self) -> bool:
        """True where pictures cannot be finished from colours alone."""
        return math.isfinite(self.visibility_m) or self.headlights > 0 or self.wet > 0

    @staticmethod
    def draw(seed: int) -> Look:
        """A look drawn at random, weather and camera."""
        rng = np.random.default_rng((seed, 0x100C))
        weathers = get_args(Weather)
        weights = np.array([WEIGHTS[weather] for weather in weathers])
        return Look.of(weathers[int(rng.choice(len(weathers), p=weights / weights.sum()))], seed)

    @staticmethod
    def of(weather: Weather, seed: int) -> Look:
        """A look in a given weather; the camera's character and the details follow from the seed."""
        rng = np.random.default_rng((seed, 0x100D))
        u = rng.uniform
        tint = u(-0.05, 0.05)
        camera = Look(
            weather,
            exposure=float(u(0.88, 1.12)),
            white_balance=(float(1 + tint), 1.0, float(1 - tint)),
            gamma=float(u(0.9, 1.12)),
            vignette=float(u(0.05, 0.35)),
            noise=float(u(1.0, 3.5)),
            roughness=float(u(0.5, 1.5)),
        )
        grey = float(u(0.62, 0.82))
        if weather == "day":
            deep = float(u(0.7, 1.1))
            return replace(camera, cloud_cover=float(u(0.0, 0.6)), zenith=(0.30 * deep, 0.48 * deep, 0.80 * deep))
        if weather == "overcast":
            return replace(
                camera,
                zenith=(grey * 0.92, grey * 0.95, grey),
                horizon=(grey * 1.08, grey * 1.09, grey * 1.10),
                cloud=(grey * 0.85, grey * 0.87, grey * 0.9),
                cloud_cover=float(u(0.5, 0.9)),
                light=(0.80, 0.82, 0.84),
                haze=(grey, grey, grey),
                visibility_m=float(u(1200, 3000)),
            )
        if weather == "dusk":
            return replace(
                camera,
                zenith=(0.22, 0.26, 0.42),
                horizon=(0.92, float(u(0.52, 0.7)), 0.42),
                cloud=(0.62, 0.44, 0.46),
                hill=(0.14, 0.14, 0.18),
                haze=(0.55, 0.45, 0.44),
                cloud_cover=float(u(0.2, 0.6)),
                light=(float(u(0.44, 0.56)), 0.44, 0.46),
                headlights=float(u(0.25, 0.4)),
                visibility_m=float(u(800, 2000)),
                noise=camera.noise * 1.3,
            )
        if weather == "night":
            glow = float(u(0.02, 0.07))
            dark = float(u(0.10, 0.17))
            return replace(
                camera,
                zenith=(0.01, 0.015, 0.03),
                horizon=(glow * 1.2, glow, glow * 1.1),
                cloud=(glow, glow, glow),
                hill=(0.01, 0.01, 0.015),
                haze=(0.02, 0.02, 0.025),
                light=(dark, dark, dark * 1.15),
                headlights=float(u(0.85, 1.15)),
                visibility_m=float(u(500, 1500)),
                exposure=camera.exposure * 1.5,  # as automatic exposure would
                noise=camera.noise * 1.6,
            )
        if weather == "rain":
            return replace(
                camera,
                zenith=(grey * 0.75, grey * 0.78, grey * 0.82),
                horizon=(grey * 0.92, grey * 0.94, grey * 0.96),
                cloud=(grey * 0.6, grey * 0.62, grey * 0.65),
                hill=(0.34, 0.38, 0.40),
                haze=(grey * 0.9, grey * 0.92, grey * 0.94),
                cloud_cover=0.8,
                light=(0.62, 0.64, 0.67),
                visibility_m=float(u(250, 700)),
                wet=float(u(0.35, 0.7)),
                streaks=float(u(0.3, 1.0)),
            )
        return replace(
            camera,
            zenith=(grey, grey, grey * 1.01),
            horizon=(grey, grey, grey * 1.01),
            cloud=(grey, grey, grey),
            hill=(grey, grey, grey),
            haze=(grey, grey, grey * 1.01),
            light=(0.78, 0.79, 0.8),
            visibility_m=float(u(70, 220)),
            headlights=0.12,
        )


@dataclass(frozen=True)
class Glow:
    """A lamp to be seen as a halo: where in the picture, how deep in the scene, how large and how bright."""

    column: float
    row: float
    depth_m: float
    radius_px: float
    rgb: Rgb


class Finish:
    """Turns pictures of the scene into pictures of the drive; see the module's text.

    Args:
        camera: whose directions decide where headlights and reflections fall.
        seed: of noise and rain.
    """

    def __init__(self, look: Look, camera: Camera, seed: int) -> None:
        self._look = look
        self._seed = seed
        rng = np.random.default_rng((seed, 0xF1A1))
        rows, columns = camera.height_px, camera.width_px
        noise = rng.standard_normal((rows + 64, columns + 64, 3))
        noise *= look.noise  # in place: some of a drive's time before its first picture is fresh memory
        noise += 128
        self._noise = np.clip(noise, 0, 255, out=noise).astype(np.uint8)
        self._tone = _tone_curves(look)
        self._vignette = _vignette(camera, look.vignette)
        if look.needs_depth:
            right, up, forward = _directions(camera)
            self._beam = np.clip(255 * _beam(right, up, forward), 0, 255).astype(np.uint8)
            self._fall = _lut(np.exp(-DEPTH_OF_CODE_M / 45.0) * min(look.headlights, 1.2))
            through = np.exp(-3.912 * DEPTH_OF_CODE_M / look.visibility_m)
            self._through = _lut(through)
            self._veil = np.stack([_lut(haze * (1 - through)) for haze in look.haze], -1)[None]
            self._ambient = np.array(look.light, np.float64) * 255
            self._horizon_row = _horizon_row(camera)
            grazing = np.clip(-up, 0.0, 1.0)
            ground_m = np.where(up < -1e-3, camera.ego_from_camera.translation_m[2] / np.maximum(-up, 1e-3), FAR_M)
            self._ground_code = depth_code(ground_m * forward)
            mirror = look.wet * (0.02 + 0.98 * (1 - grazing) ** 5) * (up < -1e-3)
            self._mirror = np.clip(255 * mirror, 0, 255).astype(np.uint8)
        if look.streaks > 0:
            self._rain = [_streaks(rows + 64, columns + 64, look.streaks, rng) for _ in range(3)]

    def apply(self, picture: Picture, code: Plane | None, glows: Sequence[Glow], time_s: float) -> Picture:
        """The finished picture.

        Args:
            picture: scene in even light. `code`: depth of each pixel, see `depth_code`; needed if `needs_depth`.
        """
        look, rng = self._look, np.random.default_rng((self._seed, round(time_s * 1e6) % 2**62))
        if code is not None and look.needs_depth:
            picture = self._lit(picture, code)
            if look.wet > 0:
                picture = self._wet(picture, code)
            picture = self._veiled(picture, code)
            for glow in glows:
                _add_glow(picture, code, glow)
        else:
            picture = cv2.multiply(picture, (*look.light, 0.0)) if look.light != (1.0, 1.0, 1.0) else picture
        rows, columns = picture.shape[:2]
        down, along = int(rng.integers(64)), int(rng.integers(64))
        if look.streaks > 0:
            layer = self._rain[int(rng.integers(len(self._rain)))][down : down + rows, along : along + columns]
            picture = cv2.add(picture, layer)
        picture = cv2.multiply(picture, self._vignette, scale=1 / 255)
        picture = cv2.LUT(picture, self._tone)
        grain = self._noise[down : down + rows, along : along + columns]
        return np.asarray(cv2.addWeighted(picture, 1.0, grain, 1.0, -128.0))

    def _lit(self, picture: Picture, code: Plane) -> Picture:
        """Daylight or what is left of it, plus the own headlights; the sky keeps its own light."""
        look = self._look
        if look.headlights <= 0:
            light = np.full((256, 3), self._ambient)
            light[255] = 255
            return np.asarray(cv2.multiply(picture, _per_code(code, light.astype(np.uint8)[None]), scale=1 / 255))
        head = cv2.multiply(self._beam, cv2.LUT(code, self._fall), scale=1 / 255)
        head = cv2.cvtColor(head, cv2.COLOR_GRAY2RGB)
        ambient = np.tile(self._ambient, (256, 1))
        ambient[255] = 255
        total = cv2.add(head, _per_code(code, np.clip(ambient, 0, 255).astype(np.uint8)[None]))
        return np.asarray(cv2.multiply(picture, total, scale=1 / 255))

    def _veiled(self, picture: Picture, code: Plane) -> Picture:
        """Contrast lost with distance."""
        if not math.isfinite(self._look.visibility_m):
            return picture
        # The panorama holds the colours of the sky as seen, so only fog thick enough to hide it changes it.
        through, veil = self._through, self._veil
        if self._look.weather != "fog":
            through, veil = through.copy(), veil.copy()
            through[255], veil[0, 255] = 255, 0
        share = cv2.cvtColor(cv2.LUT(code, through), cv2.COLOR_GRAY2RGB)
        return np.asarray(cv2.add(cv2.multiply(picture, share, scale=1 / 255), _per_code(code, veil)))

    def _wet(self, picture: Picture, code: Plane) -> Picture:
        """The road mirrors what stands above it, blurred downwards, where a pixel is ground."""
        rows, columns = picture.shape[:2]
        small = cv2.resize(picture, (columns // 4, rows // 4), interpolation=cv2.INTER_AREA)
        sources = np.clip(2 * self._horizon_row / 4 - np.arange(rows // 4), 0, rows // 4 - 1).astype(np.int64)
        mirrored = cv2.resize(cv2.blur(small[sources], (3, 11)), (columns, rows), interpolation=cv2.INTER_LINEAR)
        off = cv2.absdiff(code, self._ground_code)
        is_ground = cv2.LUT(off, _lut(np.clip((14.0 - np.arange(256)) / 6.0, 0, 1)))
        share = cv2.cvtColor(cv2.multiply(self._mirror, is_ground, scale=1 / 255), cv2.COLOR_GRAY2RGB)
        kept = cv2.multiply(picture, cv2.bitwise_not(share), scale=1 / 255)
        return np.asarray(cv2.add(kept, cv2.multiply(mirrored, share, scale=1 / 255)))


def _per_code(code: Plane, table: UInt8[np.ndarray, "1 256 3"]) -> Picture:
    return np.asarray(cv2.LUT(cv2.cvtColor(code, cv2.COLOR_GRAY2RGB), table))


def _lut(values: Float64[np.ndarray, "256"]) -> UInt8[np.ndarray, "256"]:
    return np.clip(np.round(255 * values), 0, 255).astype(np.uint8)


def _tone_curves(look: Look) -> UInt8[np.ndarray, "1 256 3"]:
    """Exposure, white balance and gamma, with a soft shoulder so that the sky does not clip hard."""
    x = np.arange(256) / 255
    curves = []
    for balance in look.white_balance:
        y = (x * look.exposure * balance) ** look.gamma
        y = np.where(y < 0.8, y, 0.8 + 0.2 * np.tanh((y - 0.8) / 0.2))
        curves.append(_lut(y))
    return np.stack(curves, -1)[None]


def _directions(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit direction of each pixel: towards the right and up in the ego frame, and its depth per unit of range."""
    columns, rows = np.meshgrid(np.arange(camera.width_px) * 1.0, np.arange(camera.height_px) * 1.0)
    rays = np.stack(
        [
            (columns - camera.centre_px[0]) / camera.focal_px[0],
            (rows - camera.centre_px[1]) / camera.focal_px[1],
            np.ones_like(columns),
        ],
        -1,
    )
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    ego = rays @ camera.ego_from_camera.rotation.T
    return -ego[..., 1], ego[..., 2], rays[..., 2]


def _beam(right: np.ndarray, up: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Low beam by direction: bright below its cut-off, higher on the right side, little above, nothing far aside.

    Source of the shape: UN R149, class C dipped beam: cut-off 0.57 degrees down on the left, rising to the right.
    """
    aside, above = np.degrees(np.arcsin(right)), np.degrees(np.arcsin(np.clip(up, -1, 1)))
    cut = -0.57 + np.clip(aside, 0, 10) * 0.1
    vertical = 1 / (1 + np.exp((above - cut) / 0.9)) * 0.9 + 0.1 * np.exp(-(np.clip(above, 0, None) ** 2) / 18)
    horizontal = 0.65 * np.exp(-(aside**2) / (2 * 11.0**2)) + 0.45 * np.exp(-(aside**2) / (2 * 26.0**2))
    return np.asarray(vertical * horizontal * (forward > 0))


def _vignette(camera: Camera, strength: float) -> Picture:
    rows, columns = camera.height_px, camera.width_px
    y, x = np.mgrid[0:rows, 0:columns]
    radius2 = ((x - columns / 2) ** 2 + (y - rows / 2) ** 2) / (columns**2 / 4 + rows**2 / 4)
    return np.repeat(np.clip(255 * (1 - strength * radius2), 0, 255).astype(np.uint8)[..., None], 3, 2)


def _horizon_row(camera: Camera) -> float:
    """Row of the horizon straight ahead."""
    far = np.array([[1e5, 0.0, camera.ego_from_camera.translation_m[2]]])
    return float(camera.project(far)[0][0, 1])


def _streaks(rows: int, columns: int, strength: float, rng: np.random.Generator) -> Picture:
    """Rain drops as short slanted lines, most of them faint."""
    layer = np.zeros((rows, columns), np.uint8)
    slant = float(rng.uniform(-0.25, 0.25))
    for _ in range(int(260 * strength * rows * columns / 256e3)):
        x, y, length = float(rng.uniform(0, columns)), float(rng.uniform(0, rows)), float(rng.uniform(5, 26))
        tip = (int(x + slant * length), int(y + length))
        cv2.line(layer, (int(x), int(y)), tip, int(rng.uniform(10, 46)), 1, cv2.LINE_AA)
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(layer, (3, 3), 0.7), cv2.COLOR_GRAY2RGB))


def _add_glow(picture: Picture, code: Plane, glow: Glow) -> None:
    """A bright core and a wide halo, unless something nearer hides the lamp."""
    rows, columns = picture.shape[:2]
    column, row = round(glow.column), round(glow.row)
    if not (0 <= column < columns and 0 <= row < rows):
        return
    # Two codes are about 4 % of depth; the lamp sits on the body's face, so its own body does not hide it.
    if int(code[row, column]) + 2 < int(depth_code(np.array(glow.depth_m - 1.0))):
        return
    reach = math.ceil(4 * glow.radius_px) + 1
    x0, x1, y0, y1 = max(0, column - reach), min(columns, column + reach), max(0, row - reach), min(rows, row + reach)
    dx2 = (np.arange(x0, x1) - glow.column) ** 2 / glow.radius_px**2
    dy2 = (np.arange(y0, y1) - glow.row) ** 2 / glow.radius_px**2
    distance2 = dx2[None, :] + dy2[:, None]
    shape = np.exp(-distance2) + 0.25 / (1 + distance2) * np.clip(1 - distance2 / 16, 0, 1)
    added = 255 * shape[..., None] * np.array(glow.rgb)
    patch = picture[y0:y1, x0:x1]
    picture[y0:y1, x0:x1] = np.clip(patch + added, 0, 255).astype(np.uint8)
