"""The same moment, seen otherwise: other light, other grain, in a mirror, or not at all.

In: packed frames and targets of a clip. Out: the same, changed; what changes is a pure function of the key.
Idea: one change of light holds for all frames of a clip, as a real one would; a mirror doubles the road and takes away
any preference for left or right, and turns everything that has a side: paths, desires, and the side of traffic. Who is
shown nothing has nothing to steer by, and is taught to go straight on: what it would do instead is an accident of its
weights.
Not here: views from beside the path, which teach recovery (a later stage of training).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Int8, UInt8

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW
from dojo.load.order import random_bits, random_units
from dojo.records import DESIRES, TRAJECTORY_TIMES_S, Clip
from dojo.records.pack import mirror


def _other_side(name: str) -> str:
    if name.endswith("left"):
        return name.removesuffix("left") + "right"
    return name.removesuffix("right") + "left" if name.endswith("right") else name


MIRRORED_DESIRE = np.array([DESIRES.index(_other_side(name)) for name in DESIRES])
MIRRORED_RATES = np.array([1, -1, 1, -1, 1, -1], np.float32)
"""Forward, left, up velocity, then roll, pitch, yaw rate: a mirror keeps what lies in the plane of forward and up."""

_GRAIN_SIZE = 1 << 21


@dataclass(frozen=True)
class AugmentConfig:
    """How far training pictures may stray from the recorded ones; all zero switches it off.

    Args:
        mirror: share of clips shown in a mirror. Only for cameras near the middle of the vehicle.
        brightness: largest change of luma, in steps of 255.
        contrast, saturation: largest relative change of luma about mid-grey, of chroma about grey.
        noise: largest standard deviation of the grain, in steps of 255.
        blind: share of clips of which nothing is left but the mean of the picture above the horizon and below it.
            Assumed: one in fifty; without any, a policy went 1.7 m to the side within 3 s of an empty plain.
    """

    mirror: float = 0.5
    brightness: float = 16.0
    contrast: float = 0.2
    saturation: float = 0.2
    noise: float = 3.0
    blind: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.blind <= 1:
            raise ConfigError(f"augment: blind must be in [0, 1], got {self.blind}")
        if not (0 <= self.mirror <= 1 and 0 <= self.contrast < 1 and 0 <= self.saturation <= 1):
            raise ConfigError(
                f"augment: mirror and saturation must be in [0, 1] and contrast in [0, 1), got {self.mirror}, "
                f"{self.saturation} and {self.contrast}"
            )
        if not (0 <= self.brightness <= 128 and 0 <= self.noise <= 32):
            raise ConfigError(
                f"augment: brightness must be in [0, 128] and noise in [0, 32], got {self.brightness} and {self.noise}"
            )


NO_AUGMENT = AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def mirrored(clip: Clip) -> Clip:
    """The clip as driven in a mirror; its tags say on which side traffic keeps, and change with it."""
    flip = np.array([1, -1, 1], np.float32)
    side = {"traffic_left"} ^ (set(clip.tags) & {"traffic_left"})
    return replace(
        clip,
        tags=tuple(sorted((set(clip.tags) - {"traffic_left"}) | side)),
        position_m=clip.position_m * flip,
        yaw_rad=-clip.yaw_rad,
        curvature_per_m=-clip.curvature_per_m,
        ego_rates=clip.ego_rates * MIRRORED_RATES,
        desire=MIRRORED_DESIRE[clip.desire],
    )


def straight_on(clip: Clip) -> Clip:
    """The clip as driven by who sees nothing: straight on at the speed of each anchor, whatever is asked."""
    speed = clip.speed_mps[:, :1]
    position, rates = np.zeros_like(clip.position_m), np.zeros_like(clip.ego_rates)
    position[..., 0] = speed * TRAJECTORY_TIMES_S.astype(np.float32)
    rates[:, 0] = clip.ego_rates[:, 0]
    return replace(
        clip,
        position_m=position,
        yaw_rad=np.zeros_like(clip.yaw_rad),
        speed_mps=np.broadcast_to(speed, clip.speed_mps.shape).copy(),
        curvature_per_m=np.zeros_like(clip.curvature_per_m),
        acceleration_mps2=np.zeros_like(clip.acceleration_mps2),
        ego_rates=rates,
    )


def _emptied(
    frames: UInt8[np.ndarray, "frames 6 rows columns"], horizon: int
) -> UInt8[np.ndarray, "frames 6 rows columns"]:
    """Frames that are flat above a row, and flat below it."""
    empty = np.empty_like(frames)
    for rows in (slice(None, horizon), slice(horizon, None)):
        # The four luma planes are one picture, so one mean serves them all.
        empty[:, :4, rows] = frames[:, :4, rows].mean().round()
        empty[:, 4:, rows] = frames[:, 4:, rows].mean((0, 2, 3), keepdims=True).round()
    return empty


class Augment:
    """Changes clips; holds the grain, made once from the seed.

    Args:
        horizon: packed row of the frames at which the ground ends.
    """

    def __init__(self, config: AugmentConfig, seed: int, horizon: int = round(MODEL_VIEW.centre_px[1] / 2)) -> None:
        self._config = config
        self._horizon = horizon
        self._seed = seed
        self._grain = _grain(seed) if config.noise > 0 else np.zeros(0, np.int8)

    def apply(
        self, clip: Clip, frames: UInt8[np.ndarray, "frames 6 rows columns"], *key: object
    ) -> tuple[Clip, UInt8[np.ndarray, "frames 6 rows columns"]]:
        """The clip and its frames, changed as the key says."""
        flip, bright, contrast, saturate, grain, offset, blind = random_units(7, self._seed, "augment", *key)
        config = self._config
        if blind < config.blind:
            clip, frames = straight_on(clip), _emptied(frames, self._horizon)
        if flip < config.mirror:
            clip, frames = mirrored(clip), mirror(frames)
        if config.brightness or config.contrast or config.saturation:
            frames = frames.copy()
            luma = _curve(1 + (2 * contrast - 1) * config.contrast, (2 * bright - 1) * config.brightness)
            chroma = _curve(1 + (2 * saturate - 1) * config.saturation, 0.0)
            for frame in frames:
                frame[:4], frame[4:] = _looked_up(frame[:4], luma), _looked_up(frame[4:], chroma)
        if config.noise > 0:
            frames = self._with_grain(frames, grain * config.noise, offset)
        return clip, frames

    def _with_grain(
        self, frames: UInt8[np.ndarray, "frames 6 rows columns"], deviation: float, offset: float
    ) -> UInt8[np.ndarray, "frames 6 rows columns"]:
        """The frames with noise of this standard deviation, different in each frame."""
        table = np.round(np.arange(256, dtype=np.uint8).view(np.int8) * (deviation / 32)).astype(np.int8)
        result = np.empty_like(frames)
        for index, frame in enumerate(frames):
            start = (int(offset * _GRAIN_SIZE) + index * 700_001) % (_GRAIN_SIZE - frame.size)
            grain = _looked_up(self._grain[start : start + frame.size].reshape(len(frame), -1), table)
            result[index] = cv2.add(frame.reshape(len(frame), -1), grain, dtype=cv2.CV_8U).reshape(frame.shape)
        return result


def _looked_up(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Each byte replaced by its entry; entry 0 is that of byte 0, for signed bytes too."""
    flat = values.reshape(len(values), -1).view(np.uint8)
    return np.asarray(cv2.LUT(flat, table)).reshape(values.shape)


def _curve(gain: float, shift: float) -> UInt8[np.ndarray, "256"]:
    """What each value becomes: gain about 128, then shift."""
    return np.clip(np.round((np.arange(256) - 128) * gain + 128 + shift), 0, 255).astype(np.uint8)


def _grain(seed: int) -> Int8[np.ndarray, " n"]:
    """Nearly normal noise with a standard deviation of 32: the sum of four uniform bytes, scaled."""
    raw = random_bits(_GRAIN_SIZE // 2, seed, "grain").view(np.int8).reshape(-1, 4)
    return np.clip(np.round(raw.sum(1, dtype=np.int16) * (32 / (2 * 73.9))), -128, 127).astype(np.int8)
