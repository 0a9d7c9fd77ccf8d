"""The same moment from beside the driven line, with the way back to it as the target.

In: a clip and the camera that took it. Out: the clip as a vehicle would live it that drives in parallel with the
recorded one, a little to the side and askew, and the `Reprojector` that makes its pictures.
Idea: who has only seen a human in the middle of the lane does not know the way back to it. The offset is held over the
whole clip, so the displaced vehicle is a point carried along by the recorded one: its motion follows from that one's by
the rigid body's formula, and every target from one path, the human line plus an offset d that fades along it as a
quintic. What the displacement leaves in the picture must not tell which way it goes (arXiv 2504.19077 found policies
that read it there), so every sample, displaced or not, passes through the same resampler with a small tilt of
its own, and pixels that were not recorded are hidden on both sides alike.
Not here: the warp itself (`geometry/reproject.py`); the noise on the feature that closes what is left (`model/`); the
test that it is closed (`evaluate/cheat.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from dojo.errors import ConfigError
from dojo.geometry import Camera
from dojo.geometry.reproject import MAX_OFFSET_M, Reprojector, displaced, on_both_sides, unseen
from dojo.load.order import random_units
from dojo.records import TRAJECTORY_TIMES_S, Clip

MAX_LATERAL_JERK_MPS3 = 5.0
"""Of the way back, beyond the human's own. Source: ISO 11270:2014 (lane keeping), as in opendbc/car/lateral.py. Its
limit of 3 m/s2 then holds by itself: a quintic of 4 s or less within this jerk stays below 2.2 m/s2."""

MAX_EXTRA_CURVATURE_PER_M = 0.1
"""Of the way back, beyond the human's own. Assumed: half of what a car can steer (opendbc limits curvature to 0.2 1/m);
it lengthens the way back where little speed would else mean full lock."""

# Largest values, over 0..1, of the second and third derivative of the two quintics in `_fade`.
_OFFSET_BEND, _OFFSET_JERK = 10 / math.sqrt(3), 60.0
_SLOPE_BEND, _SLOPE_JERK = 3.95, 36.0

_MIN_SPEED_MPS = 1.0  # below it, curvature per metre is noise; the same guard as in the targets of clips


@dataclass(frozen=True)
class RecoverConfig:
    """How training clips are shown from beside the driven line; a share of zero switches it off.

    Args:
        share: of the clips that are displaced; the others pass through the same resampler, undisplaced.
        max_lateral_m, max_yaw_rad: largest offset to either side; all up to it are equally likely.
        min_s, max_s: how long the way back takes: as short as a lateral jerk of 5 m/s3 allows.
        disguised: every sample passes through the same resampler, tilted a little, with the same hidden on both sides.
            Off, displaced pictures can be told from others by their edges and their blur: a control for the cheat test.
        max_tilt_rad: largest error of the camera's pitch and roll, in every disguised sample. Assumed: a quarter of a
            degree, what calibration leaves; it moves pixels by up to two, so that undisplaced pictures blur alike.
        actuator_delay_s: time from a command to its effect; as in the targets that the clips were curated with.
    """

    share: float = 0.0
    max_lateral_m: float = 1.5
    max_yaw_rad: float = math.radians(5.0)
    min_s: float = 2.0
    max_s: float = 4.0
    disguised: bool = True
    max_tilt_rad: float = math.radians(0.25)
    actuator_delay_s: float = 0.2

    def __post_init__(self) -> None:
        # The slowest way back must bear the largest offset alone, or no yaw would be left to draw.
        widest_m = MAX_LATERAL_JERK_MPS3 * self.max_s**3 / _OFFSET_JERK
        rules = (
            ("share", 0 <= self.share <= 1, "in [0, 1]"),
            (
                "max_lateral_m",
                0 <= self.max_lateral_m <= min(MAX_OFFSET_M, widest_m),
                "in [0, 4], and in reach of max_s",
            ),
            ("max_yaw_rad", 0 <= self.max_yaw_rad <= 0.35, "in [0, 0.35]"),
            ("min_s", 0 < self.min_s <= self.max_s, "positive and not above max_s"),
            ("max_s", self.max_s <= TRAJECTORY_TIMES_S[-1], "at most 10"),
            ("max_tilt_rad", 0 <= self.max_tilt_rad <= 0.05, "in [0, 0.05]"),
            ("actuator_delay_s", 0 < self.actuator_delay_s <= 1, "in (0, 1]"),
        )
        wrong = [f"{name} must be {rule}, got {getattr(self, name)}" for name, ok, rule in rules if not ok]
        if wrong:
            raise ConfigError("recover: " + "; ".join(wrong))


NO_RECOVER = RecoverConfig()


@dataclass(frozen=True)
class Offset:
    """Where a vehicle drives, relative to the recorded one: to the left, and heading to the left."""

    lateral_m: float
    yaw_rad: float


def draw(config: RecoverConfig, clip: Clip, *key: object) -> Offset:
    """The offset that is held over a clip; depends on the key and on how fast the clip is driven alone."""
    chosen, lateral, yaw = random_units(3, "recover", *key)
    if chosen >= config.share:
        return Offset(0.0, 0.0)
    lateral_m = (2 * lateral - 1) * config.max_lateral_m
    slope = math.tan(config.max_yaw_rad)
    # What of the jerk the offset leaves, the heading may use: at 30 m/s, five degrees cannot be driven back in 4 s.
    left = MAX_LATERAL_JERK_MPS3 - _OFFSET_JERK * abs(lateral_m) / config.max_s**3
    fastest = max(float(_speed_ahead_mps(clip, config.max_s).max()), _MIN_SPEED_MPS)
    slope = min(slope, left * config.max_s**2 / _SLOPE_JERK / fastest)
    return Offset(lateral_m, (2 * yaw - 1) * math.atan(slope))


def _speed_ahead_mps(clip: Clip, seconds: float) -> Float64[np.ndarray, " anchors"]:
    """The highest speed of the next seconds, at each anchor."""
    soon = clip.valid & (seconds >= TRAJECTORY_TIMES_S)
    return np.where(soon, clip.speed_mps, 0.0).max(1).astype(np.float64)


def _fade(
    offset_m: float,
    slope: Float64[np.ndarray, "anchors 1"],
    length_m: Float64[np.ndarray, "anchors 1"],
    along_m: Float64[np.ndarray, "anchors n"],
) -> tuple[Float64[np.ndarray, "anchors n"], Float64[np.ndarray, "anchors n"]]:
    """Offset and its slope along the line: the quintic from (offset, slope, 0) to (0, 0, 0) over a length.

    A quintic through position, slope and bend at both ends is the path of least jerk between them.
    Source: Flash and Hogan 1985, J. Neuroscience 5(7), for the least jerk; Werling et al. 2010, ICRA, for its use as
    the lateral movement of a vehicle along a line.
    """
    t = np.clip(along_m / length_m, 0.0, 1.0)
    from_offset = 1 - t**3 * (10 - 15 * t + 6 * t**2)
    from_slope = t - t**3 * (6 - 8 * t + 3 * t**2)
    slope_of_offset = -30 * t**2 * (1 - t) ** 2
    slope_of_slope = (1 - t) ** 2 * (1 + 2 * t - 15 * t**2)
    return (
        offset_m * from_offset + slope * length_m * from_slope,
        offset_m * slope_of_offset / length_m + slope * slope_of_slope,
    )


def _length_m(
    offset_m: float,
    slope: Float64[np.ndarray, "anchors 1"],
    speed_mps: Float64[np.ndarray, "anchors 1"],
    config: RecoverConfig,
) -> Float64[np.ndarray, "anchors 1"]:
    """How far the way back leads: the shortest that keeps to the limits of jerk and curvature.

    The bounds add the largest derivatives of both quintics, which is exact where offset and heading point the same way.
    """
    seconds = np.linspace(config.min_s, config.max_s, 41)
    jerk = _OFFSET_JERK * abs(offset_m) / seconds**3 + _SLOPE_JERK * np.abs(slope) * speed_mps / seconds**2
    # The bound falls with time. The last entry serves where a bend adds its few percent to what `draw` allowed.
    enough = jerk <= MAX_LATERAL_JERK_MPS3
    taken_s = seconds[np.where(enough.any(1), enough.argmax(1), len(seconds) - 1)][:, None]
    bend = _SLOPE_BEND * np.abs(slope)
    root = np.sqrt(bend**2 + 4 * MAX_EXTRA_CURVATURE_PER_M * _OFFSET_BEND * abs(offset_m))
    return np.maximum(np.maximum(taken_s * speed_mps, (bend + root) / (2 * MAX_EXTRA_CURVATURE_PER_M)), 1e-3)


def recovering(clip: Clip, offset: Offset, config: RecoverConfig) -> Clip:
    """The clip as lived by a vehicle that is carried along at this offset, with the way back as its target.

    Progress along the human line stays the human's, so the way back ends where the human was at that time. Speed
    changes with the length of the way alone.
    """
    position, yaw = clip.position_m.astype(np.float64), clip.yaw_rad.astype(np.float64)
    along = np.cumsum(np.hypot(*np.moveaxis(np.diff(position[..., :2], axis=1, prepend=0.0), -1, 0)), 1)
    # Past the last known time the path does not move; it is not read there.
    along = np.maximum.accumulate(np.where(clip.valid, along, 0.0), 1)
    speed_now = np.maximum(clip.ego_rates[:, :1].astype(np.float64), _MIN_SPEED_MPS)
    turn_now = clip.ego_rates[:, 5:].astype(np.float64) / speed_now
    slope = (1 - turn_now * offset.lateral_m) * math.tan(offset.yaw_rad)
    length = _length_m(offset.lateral_m, slope, _speed_ahead_mps(clip, config.max_s)[:, None], config)
    beside, slopes = _fade(offset.lateral_m, slope, length, along)
    # A line beside a bend is longer outside and shorter inside it: 1 - curvature * d of its length.
    stretch = 1 - _bend_per_m(yaw, along, turn_now) * beside
    heading = yaw + np.arctan2(slopes, stretch)
    left = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros_like(yaw)], -1)
    start = np.array([0.0, offset.lateral_m, 0.0])
    moved = (position + beside[..., None] * left - start) @ _turned(offset.yaw_rad).T
    return replace(
        clip,
        position_m=np.where(clip.valid[..., None], moved, 0.0).astype(np.float32),
        yaw_rad=np.where(clip.valid, heading - offset.yaw_rad, 0.0).astype(np.float32),
        speed_mps=np.where(clip.valid, clip.speed_mps * np.hypot(stretch, slopes), 0.0).astype(np.float32),
        curvature_per_m=_curvature(clip, offset, slope, length, speed_now, turn_now, config).astype(np.float32),
        ego_rates=_carried_rates(clip, offset).astype(np.float32),
    )


def _turned(yaw_rad: float) -> Float64[np.ndarray, "3 3"]:
    """displaced_from_recorded: directions as a vehicle sees them that heads `yaw_rad` further left."""
    cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _bend_per_m(
    yaw: Float64[np.ndarray, "anchors n"],
    along: Float64[np.ndarray, "anchors n"],
    now: Float64[np.ndarray, "anchors 1"],
) -> Float64[np.ndarray, "anchors n"]:
    """Curvature of the human line: what the vehicle does now, then the turn from each time to the next."""
    steps = np.diff(along, axis=1)
    turned = np.diff(yaw, axis=1)
    # Assumed: over less than a decimetre the heading's noise is not a bend.
    bends = np.where(steps > 0.1, turned / np.maximum(steps, 0.1), 0.0)
    limited = np.clip(np.concatenate([now, bends], 1), -0.2, 0.2)
    return np.where(along > 0.1, limited, now)


def _curvature(
    clip: Clip,
    offset: Offset,
    slope: Float64[np.ndarray, "anchors 1"],
    length: Float64[np.ndarray, "anchors 1"],
    speed_now: Float64[np.ndarray, "anchors 1"],
    turn_now: Float64[np.ndarray, "anchors 1"],
    config: RecoverConfig,
) -> Float64[np.ndarray, " anchors"]:
    """The action of the displaced vehicle: the human's, and what turns it back.

    The human's is 2 psi(t_a) / (v t_a) - psidot / v (openpilot drive_helpers.py); the way back adds to psi(t_a), and
    the offset changes v.
    """
    reach = speed_now * config.actuator_delay_s
    beside, slopes = _fade(offset.lateral_m, slope, length, reach)
    turned_back = np.arctan2(slopes, 1 - turn_now * beside) - offset.yaw_rad
    human = clip.curvature_per_m[:, None].astype(np.float64)
    curvature = (human + 2 * turned_back / reach) / (1 - turn_now * offset.lateral_m)
    return np.where(clip.action_valid, curvature[:, 0], 0.0)


def _carried_rates(clip: Clip, offset: Offset) -> Float64[np.ndarray, "anchors 6"]:
    """Velocity, v + omega x r, and turn rates of what the recorded vehicle carries along, seen from its heading."""
    velocity, turning = clip.ego_rates[:, :3].astype(np.float64), clip.ego_rates[:, 3:].astype(np.float64)
    carried = velocity + np.cross(turning, np.array([0.0, offset.lateral_m, 0.0]))
    turned = _turned(offset.yaw_rad).T
    return np.concatenate([carried @ turned, turning @ turned], 1)


class Recover:
    """Displaces clips; one for all threads of a loader.

    Args:
        rows: of the packed pictures, the first and the last, excluded, that are made; all where none are named.
    """

    def __init__(self, config: RecoverConfig, seed: int, rows: tuple[int, int] | None = None) -> None:
        self._config = config
        self._seed = seed
        self._rows = rows

    def offset(self, clip: Clip, *key: object) -> Offset:
        """Where the clip of this key is shown from."""
        return draw(self._config, clip, self._seed, *key)

    def apply(
        self, clip: Clip, camera: Camera, blank: Bool[np.ndarray, "half_rows half_columns"] | None, *key: object
    ) -> tuple[Clip, Reprojector | None]:
        """The clip at the offset of its key, and what makes its pictures, None where they stay as they are.

        Args:
            camera: of the clip, in the model's view.
            blank: chroma pixels of that view that the recording camera did not see.
        """
        config = self._config
        offset = self.offset(clip, *key)
        if offset == Offset(0.0, 0.0) and not config.disguised:
            return clip, None
        roll, pitch = (2 * random_units(2, "tilt", self._seed, *key) - 1) * config.max_tilt_rad * config.disguised
        other = self._banded(
            displaced(
                camera, offset.lateral_m, offset.yaw_rad, camera_roll_rad=float(roll), camera_pitch_rad=float(pitch)
            )
        )
        hidden = None
        if config.disguised:
            # Undisplaced clips hide as much as displaced ones, or black edges would tell that there is a way back.
            veil = draw(replace(config, share=1.0), clip, self._seed, "veil", *key)
            veiled = self._banded(displaced(camera, veil.lateral_m, veil.yaw_rad))
            hidden = on_both_sides(unseen(camera, other, blank) | unseen(camera, veiled, blank))
        changed = clip if offset == Offset(0.0, 0.0) else recovering(clip, offset, config)
        return changed, Reprojector(camera, other, hidden)

    def _banded(self, camera: Camera) -> Camera:
        return camera if self._rows is None else camera.band(2 * self._rows[0], 2 * self._rows[1])
