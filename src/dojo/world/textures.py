"""Procedural pictures that cover the scenery: asphalt, meadow, leaves, walls, the panorama of the sky.

In: a seed and base colours. Out: RGB arrays, powers of two wide, that repeat without a seam.
Idea: noise summed over octaves, each octave periodic, so that tiling never shows an edge. Textures are grey-balanced
about a mean near 0.8 and get their colour from the mesh, so that one texture serves many hues.
Not here: which seed gets which look (`weather.py`), meshes (`mesh.py`).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from dojo.world.mesh import Rgb

Picture = UInt8[np.ndarray, "rows columns 3"]


def noise(rng: np.random.Generator, size_px: int, coarsest: int, decay: float) -> Float32[np.ndarray, "size size"]:
    """Periodic noise of mean 0 and deviation 1; each octave has twice the cells and `decay` of the weight."""
    total = np.zeros((size_px, size_px), np.float32)
    cells, weight = coarsest, 1.0
    while cells <= size_px:
        patch = rng.standard_normal((cells, cells)).astype(np.float32)
        padded = np.pad(patch, 2, mode="wrap")
        scale = size_px // cells
        large = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        total += weight * large[2 * scale : -2 * scale, 2 * scale : -2 * scale]
        cells, weight = cells * 2, weight * decay
    total -= total.mean()
    return np.asarray(total / (total.std() + 1e-6), np.float32)


def _tinted(grey: Float[np.ndarray, "rows columns"], rgb: Rgb = (1.0, 1.0, 1.0)) -> Picture:
    return np.clip(255 * grey[..., None] * np.array(rgb, np.float32), 0, 255).astype(np.uint8)


def asphalt(rng: np.random.Generator, roughness: float) -> Picture:
    """Stones of a millimetre to stains of a metre; one repeat is meant for 4 m."""
    grey = 0.80 + roughness * (0.045 * noise(rng, 256, 64, 0.9) + 0.035 * noise(rng, 256, 4, 0.5))
    # Cracks: thin dark contours of a smooth field.
    field = noise(rng, 256, 8, 0.55)
    grey -= 0.10 * roughness * np.exp(-((field - 1.6) ** 2) / 0.0015)
    return _tinted(np.clip(grey, 0.3, 1.0))


def meadow(rng: np.random.Generator) -> Picture:
    """Tufts and bare spots; one repeat is meant for 6 m."""
    fine, coarse = noise(rng, 256, 32, 0.8), noise(rng, 256, 4, 0.6)
    grey = 0.78 + 0.09 * fine + 0.06 * coarse
    earth = np.clip(coarse - 1.0, 0, 1)[..., None]
    colour = np.array([1.0, 1.0, 1.0], np.float32) * (1 - earth) + np.array([1.15, 0.95, 0.8], np.float32) * earth
    return np.clip(255 * np.clip(grey, 0.3, 1.1)[..., None] * colour, 0, 255).astype(np.uint8)


def leaves(rng: np.random.Generator) -> Picture:
    """Light and dark clumps."""
    return _tinted(np.clip(0.72 + 0.16 * noise(rng, 128, 16, 0.8), 0.25, 1.0))


def wall(rng: np.random.Generator) -> Picture:
    """One storey of one window bay: plaster or brick, a window with a frame."""
    grey = 0.86 + 0.03 * noise(rng, 128, 16, 0.8)
    if rng.random() < 0.4:  # brick courses
        rows, columns = np.mgrid[0:128, 0:128]
        joint = (rows % 8 == 0) | ((columns + 8 * (rows // 8 % 2)) % 16 == 0)
        grey = grey - 0.12 * joint
    picture = _tinted(np.clip(grey, 0, 1))
    left, right = int(rng.integers(28, 44)), int(rng.integers(84, 100))
    top, bottom = int(rng.integers(30, 40)), int(rng.integers(88, 104))
    cv2.rectangle(picture, (left - 4, top - 4), (right + 4, bottom + 4), (235, 235, 230), -1)
    cv2.rectangle(picture, (left, top), (right, bottom), (52, 60, 72), -1)
    cv2.line(picture, ((left + right) // 2, top), ((left + right) // 2, bottom), (225, 225, 220), 3)
    cv2.rectangle(picture, (left + 3, top + 3), ((left + right) // 2 - 6, (top + bottom) // 2), (96, 112, 130), -1)
    return picture[::-1].copy()


def panorama(rng: np.random.Generator, zenith: Rgb, horizon: Rgb, cloud: Rgb, cover: float, hill: Rgb) -> Picture:
    """The sky all around, 4096 x 512: bottom row is 6 degrees below the horizon, top row 42 degrees above.

    Args:
        cover: share of the sky in cloud, 0 to 1.
    """
    rows, columns = 256, 1024
    elevation = np.linspace(42.0, -6.0, rows, dtype=np.float32)[:, None]
    up = np.clip(elevation / 42.0, 0, 1) ** 0.6
    sky = np.array(horizon, np.float32) * (1 - up)[..., None] + np.array(zenith, np.float32) * up[..., None]
    sky = np.broadcast_to(sky, (rows, columns, 3)).copy()
    # Clouds flatten towards the horizon: sample a sheet of noise along 1 / elevation.
    field = np.tile(noise(rng, 256, 4, 0.6), (1, 4))
    line = np.clip(960.0 / (np.clip(elevation, 1.5, 42) + 4.0), 0, 255).astype(np.float32)
    across, down = np.broadcast_arrays(np.arange(columns, dtype=np.float32), line)
    sheet = cv2.remap(field, across.copy(), down.copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    veil = sheet + 1.6 * (cover - 0.5) * 2
    amount = np.clip(veil, 0, 1.2)[..., None] / 1.2 * np.clip(elevation / 4.0, 0, 1)[..., None]
    sky = sky * (1 - 0.85 * amount) + np.array(cloud, np.float32) * 0.85 * amount
    sky = np.asarray(cv2.GaussianBlur(sky, (0, 0), 1.5))
    for layer, fade in ((2.4, 0.45), (1.3, 0.8)):  # a far and a near ridge
        ridge = layer * (0.6 + 0.35 * _ridge(rng, columns))
        inside = (elevation < ridge[None, :])[..., None]
        tone = np.array(hill, np.float32) * fade + np.array(horizon, np.float32) * (1 - fade)
        sky = np.where(inside, tone, sky)
    large = cv2.resize(
        np.pad(sky, ((2, 2), (2, 2), (0, 0)), mode="wrap"), None, fx=4, fy=2, interpolation=cv2.INTER_LINEAR
    )
    large = np.asarray(large[4:-4, 8:-8])
    large *= 255  # in place: six million numbers
    return np.clip(large, 0, 255, out=large).astype(np.uint8)


def _ridge(rng: np.random.Generator, columns: int) -> Float32[np.ndarray, " columns"]:
    angle = 2 * np.pi * np.arange(columns) / columns
    waves = np.array([3, 5, 9, 16, 31, 60])
    weights = rng.uniform(0.3, 1.0, 6) / np.sqrt(waves / 3)
    phases = rng.uniform(0, 2 * np.pi, 6)
    return np.asarray(np.sin(np.outer(angle, waves) + phases) @ weights, np.float32)
