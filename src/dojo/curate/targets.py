"""What a policy should have answered at each anchor: the path that was then driven, and the action that began it.

In: the motion of a drive and the true times of the anchors. Out: `Targets`, axis names as in `records.Clip`.
Idea: the future is looked up at the anchor's true time plus each trajectory time, never at a frame count, and carried
into the ego frame of the anchor by the full rotation, so that a hill does not bend the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.spatial.transform import Rotation

from dojo.curate.config import CurateConfig
from dojo.curate.motion import Motion
from dojo.geometry.rigid import yaw_of
from dojo.records import TRAJECTORY_TIMES_S

MIN_SPEED_MPS = 1.0
"""Curvature is heading change per metre; below this speed the metres are noise. Source: openpilot
selfdrive/controls/lib/drive_helpers.py (MIN_SPEED)."""

MAX_CURVATURE_PER_M = 0.2
"""Source: opendbc's curvature limit (driving.md 5.1); a car cannot turn tighter than about a 5 m radius."""

MAX_ACCELERATION_MPS2 = 10.0
"""Assumed: about one g, what tyres on dry asphalt can do; more than that is a fault of the speed signal."""

RATE_HALF_WINDOW_S = 0.1
"""Assumed: velocities and angular rates are central differences over 0.2 s, the step between anchors; a single
camera period would turn millimetres of pose noise into decimetres per second."""

_TIMES_NS = np.round(TRAJECTORY_TIMES_S * 1e9).astype(np.int64)


@dataclass(frozen=True)
class Targets:
    """Targets at each anchor; fields as in `records.Clip`."""

    position_m: Float32[np.ndarray, "anchors 33 3"]
    yaw_rad: Float32[np.ndarray, "anchors 33"]
    speed_mps: Float32[np.ndarray, "anchors 33"]
    valid: Bool[np.ndarray, "anchors 33"]
    curvature_per_m: Float32[np.ndarray, " anchors"]
    acceleration_mps2: Float32[np.ndarray, " anchors"]
    action_valid: Bool[np.ndarray, " anchors"]
    ego_rates: Float32[np.ndarray, "anchors 6"]


def targets(motion: Motion, anchors_ns: Int64[np.ndarray, " anchors"], config: CurateConfig) -> Targets:
    """Targets at each anchor; zero where not valid."""
    position, yaw, speed, valid = _trajectory(motion, anchors_ns, config.future_s)
    curvature, acceleration, action_valid = _action(motion, anchors_ns, config.actuator_delay_s)
    return Targets(
        position.astype(np.float32),
        yaw.astype(np.float32),
        speed.astype(np.float32),
        valid,
        curvature.astype(np.float32),
        acceleration.astype(np.float32),
        action_valid,
        _ego_rates(motion, anchors_ns).astype(np.float32),
    )


def _trajectory(
    motion: Motion, anchors_ns: Int64[np.ndarray, " anchors"], future_s: float
) -> tuple[
    Float64[np.ndarray, "anchors 33 3"],
    Float64[np.ndarray, "anchors 33"],
    Float64[np.ndarray, "anchors 33"],
    Bool[np.ndarray, "anchors 33"],
]:
    """Position, yaw and speed at the trajectory times in the frame of each anchor, and where they are known."""
    start = anchors_ns[:, None] + np.zeros((1, 33), np.int64)
    times = start + _TIMES_NS
    valid = motion.known(start, times) & (future_s + 1e-9 >= TRAJECTORY_TIMES_S)
    ego_from_world = np.swapaxes(motion.rotation_at(anchors_ns), -1, -2)[:, None]
    away = motion.position_m(times) - motion.position_m(anchors_ns)[:, None]
    position = (ego_from_world @ away[..., None])[..., 0]
    # A roundabout may turn by more than half a circle; between neighbouring times nobody does.
    yaw = np.unwrap(yaw_of(ego_from_world @ motion.rotation_at(times)), axis=1)
    yaw, speed = np.where(valid, yaw, 0.0), np.where(valid, motion.speed_mps(times), 0.0)
    return np.where(valid[..., None], position, 0.0), yaw, speed, valid


def _action(
    motion: Motion, anchors_ns: Int64[np.ndarray, " anchors"], delay_s: float
) -> tuple[Float64[np.ndarray, " anchors"], Float64[np.ndarray, " anchors"], Bool[np.ndarray, " anchors"]]:
    """Curvature and acceleration wanted at the actuator delay, and where they make sense.

    Both extrapolate linearly: twice the mean until the delay, less what is now.
    Source: openpilot drive_helpers.py, `kappa = 2 psi(t_a) / (v t_a) - psidot / v` and `a = 2 (v(t_a) - v0) / t_a - a0`
    (driving.md 1.1). psidot and a0 are central differences over one delay either side, which on comma2k19 takes a
    sixth off the noise that yaw rates between single frames bring.
    """
    delay_ns = round(delay_s * 1e9)
    before, after = anchors_ns - delay_ns, anchors_ns + delay_ns
    known = motion.known(before, after)
    ego_from_world = np.swapaxes(motion.rotation_at(anchors_ns), -1, -2)
    heading_before, heading_after = (yaw_of(ego_from_world @ motion.rotation_at(t)) for t in (before, after))
    speed_before, speed_now, speed_after = (motion.speed_mps(t) for t in (before, anchors_ns, after))
    guarded = np.maximum(speed_now, MIN_SPEED_MPS)
    yaw_rate = (heading_after - heading_before) / (2 * delay_s)
    curvature = 2 * heading_after / (guarded * delay_s) - yaw_rate / guarded
    acceleration_now = (speed_after - speed_before) / (2 * delay_s)
    acceleration = 2 * (speed_after - speed_now) / delay_s - acceleration_now
    sane = (np.abs(curvature) <= MAX_CURVATURE_PER_M) & (np.abs(acceleration) <= MAX_ACCELERATION_MPS2)
    valid = known & sane
    return np.where(valid, curvature, 0.0), np.where(valid, acceleration, 0.0), valid


def _ego_rates(motion: Motion, anchors_ns: Int64[np.ndarray, " anchors"]) -> Float64[np.ndarray, "anchors 6"]:
    """Velocity along the ego axes and angular rates about them; one-sided where a side is unknown, else zero."""
    half = round(RATE_HALF_WINDOW_S * 1e9)
    before = np.where(motion.known(anchors_ns - half, anchors_ns), anchors_ns - half, anchors_ns)
    after = np.where(motion.known(anchors_ns, anchors_ns + half), anchors_ns + half, anchors_ns)
    span_s = np.maximum(after - before, 1)[:, None] / 1e9
    ego_from_world = np.swapaxes(motion.rotation_at(anchors_ns), -1, -2)
    moved = (motion.position_m(after) - motion.position_m(before))[..., None]
    turned = np.swapaxes(motion.rotation_at(before), -1, -2) @ motion.rotation_at(after)
    rates = np.concatenate([(ego_from_world @ moved)[..., 0], Rotation.from_matrix(turned).as_rotvec()], 1) / span_s
    return np.where(after[:, None] > before[:, None], rates, 0.0)
