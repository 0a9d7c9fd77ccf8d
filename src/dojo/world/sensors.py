"""What a simulated car measures of itself: the truth, rounded, late, drifting and noisy as real sensors make it.

In: the plant's state and the driver's levers at a frame. Out: the message that goes into that frame.
Idea: a fleet without sensor errors would let through every bug that only shows with them: a GNSS position that
drifts by a metre and is repeated until the next fix, a speed in steps, a steering wheel whose zero is off.
Not here: the bytes (`teslacam.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dojo.geometry.place import geodetic_from_ecef, world_from_ecef
from dojo.world.driver import Action, Wander
from dojo.world.teslacam import GEAR_DRIVE, SeiMetadata
from dojo.world.vehicle import VehicleState

MESSAGE_VERSION = 1
"""Assumed: the manufacturer's table names a version without saying which there are."""
SPEED_STEP_MPS = 0.08 / 3.6
"""Assumed: one count of 0.08 km/h, a common resolution of speed on vehicle buses."""
STEERING_STEP_DEG = 0.1
"""Assumed: one count of 0.1 degree, the common resolution of steering angle sensors."""


@dataclass(frozen=True)
class SensorErrors:
    """One vehicle's sensors.

    Args:
        gnss_drift_m: slow error of each axis, forgotten over `gnss_drift_s`; `gnss_noise_m` comes on top, per fix.
            Source of the order of magnitude: GPS Standard Positioning Service Performance Standard, 5th edition
            (2020), user range error 2 m rms; code-smoothed receivers drift over minutes.
        gnss_period_s: between fixes; the last one is repeated meanwhile.
        speed_scale: tyre wear and pressure. `steering_offset_deg`: the wheel's angle when driving straight.
        heading_deg: slow error, forgotten over `heading_s`: what turns fast is a gyroscope's and nearly free of noise.
        acceleration_mps2: noise; `acceleration_bias_mps2` per axis.
    """

    gnss_drift_m: float = 1.0
    gnss_drift_s: float = 60.0
    gnss_noise_m: float = 0.1
    gnss_period_s: float = 0.2
    speed_scale: float = 1.0
    steering_offset_deg: float = 0.0
    heading_deg: float = 0.3
    heading_s: float = 60.0
    acceleration_mps2: float = 0.05
    acceleration_bias_mps2: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @staticmethod
    def draw(seed: int) -> SensorErrors:
        """Sensors drawn at random. Assumed: ranges of ordinary automotive parts; see the fields for their order."""
        rng = np.random.default_rng((seed, 0x5E45))
        bias = rng.normal(0.0, 0.03, 3)
        return SensorErrors(
            gnss_drift_m=float(rng.uniform(0.5, 1.5)),
            gnss_noise_m=float(rng.uniform(0.05, 0.2)),
            gnss_period_s=float(rng.choice([0.1, 0.2, 1.0])),
            speed_scale=float(rng.normal(1.0, 0.004)),
            steering_offset_deg=float(rng.normal(0.0, 0.5)),
            heading_deg=float(rng.uniform(0.1, 0.4)),
            acceleration_mps2=float(rng.uniform(0.03, 0.08)),
            acceleration_bias_mps2=(float(bias[0]), float(bias[1]), float(bias[2])),
        )


class Sensors:
    """Reads the truth frame by frame.

    Args:
        origin_deg_m: latitude, longitude, altitude of the road's world origin.
    """

    def __init__(self, errors: SensorErrors, origin_deg_m: tuple[float, float, float], seed: int) -> None:
        self._errors = errors
        self._ecef_from_world = world_from_ecef(*origin_deg_m).inverse()
        self._rng = np.random.default_rng((seed, 0x6D55))
        self._drift = [Wander(errors.gnss_drift_m, errors.gnss_drift_s, self._rng) for _ in range(2)]
        self._heading = Wander(errors.heading_deg, errors.heading_s, self._rng)
        self._next_fix_s = -math.inf
        self._fix_deg = (0.0, 0.0)
        self._last_s: float | None = None

    def read(self, state: VehicleState, altitude_m: float, action: Action, frame_seq_no: int) -> SeiMetadata:
        """The message of the frame taken in this state; call in order of time."""
        errors = self._errors
        elapsed_s = 0.0 if self._last_s is None else state.time_s - self._last_s
        self._last_s = state.time_s
        east_m, north_m = (drift.step(elapsed_s) for drift in self._drift)
        if state.time_s >= self._next_fix_s:
            self._next_fix_s = state.time_s + errors.gnss_period_s
            noise = self._rng.normal(0.0, errors.gnss_noise_m, 2)
            self._fix_deg = self._fix(state.x_m + east_m + noise[0], state.y_m + north_m + noise[1], altitude_m)
        # The manufacturer's viewer turns its wheel clockwise by the angle: positive is to the right.
        # Source: teslamotors/dashcam, sei_explorer_hud.js.
        wheel_deg = errors.steering_offset_deg - math.degrees(state.steering_wheel_rad)
        shake = self._rng.normal(0.0, errors.acceleration_mps2, 3) + errors.acceleration_bias_mps2
        heading_deg = (90.0 - math.degrees(state.yaw_rad) + self._heading.step(elapsed_s)) % 360.0
        return SeiMetadata(
            version=MESSAGE_VERSION,
            gear_state=GEAR_DRIVE,
            frame_seq_no=frame_seq_no,
            vehicle_speed_mps=_float32(_steps(state.speed_mps * errors.speed_scale, SPEED_STEP_MPS)),
            accelerator_pedal_position=_float32(_steps(100.0 * action.accelerator, 0.4)),
            steering_wheel_angle=_float32(_steps(wheel_deg, STEERING_STEP_DEG)),
            blinker_on_left=action.blinker_left,
            blinker_on_right=action.blinker_right,
            brake_applied=action.brake,
            autopilot_state=0,
            latitude_deg=self._fix_deg[0],
            longitude_deg=self._fix_deg[1],
            heading_deg=heading_deg,
            linear_acceleration_mps2_x=float(state.acceleration_mps2 + shake[0]),
            linear_acceleration_mps2_y=float(state.speed_mps * state.yaw_rate_radps + shake[1]),
            linear_acceleration_mps2_z=float(shake[2]),
        )

    def _fix(self, x_m: float, y_m: float, z_m: float) -> tuple[float, float]:
        geodetic = geodetic_from_ecef(self._ecef_from_world.apply(np.array([x_m, y_m, z_m])))
        return float(geodetic[0]), float(geodetic[1])


def _steps(value: float, step: float) -> float:
    """The value in whole steps."""
    return round(value / step) * step


def _float32(value: float) -> float:
    """The value as the message's 32-bit field will hold it."""
    return float(np.float32(value))
