"""A vehicle as a plant: what a car does when its steering wheel and pedals are asked for something.

In: a state, a command, a time step. Out: the next state; nothing else is touched, nothing is remembered elsewhere.
Idea: a bicycle model whose rear axle does not slip, bent by three things that a policy must cope with in a real
car: steering that answers late (a pure delay, then a first-order lag, never faster than its rate limit), tyres that
turn less at speed than the wheel angle says (the understeer gradient), and a drive train that needs time. Each step
moves along an exact circular arc, so that a constant command drives an exact circle whatever the step.
Not here: who turns the wheel (`driver.py`), what lies below the tyres (`road.py`).

Source of the model: Rajamani, Vehicle Dynamics and Control, 2nd edition, section 2.2 (kinematic bicycle) and
chapter 3 (steady-state cornering: delta = L / R + K a_y). Source of the lag on acceleration: the same, chapter 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dojo.errors import ConfigError


@dataclass(frozen=True)
class VehicleParameters:
    """One vehicle.

    Args:
        wheelbase_m: between the axles.
        steering_ratio: steering wheel angle over road wheel angle.
        understeer_rad_per_mps2: extra road wheel angle per lateral acceleration; positive turns less at speed.
        steering_delay_s: pure delay between the asked and the begun turn of the wheel.
        steering_lag_s: time constant with which the wheel then follows.
        steering_rate_limit_radps, steering_limit_rad: of the steering wheel.
        yaw_lag_s: time constant with which the body follows its front wheels.
        acceleration_lag_s: time constant of drive train and brakes.
        acceleration_limit_mps2, power_limit_m2ps3: what the motor gives, at most and per kilogram (so `power / speed`).
        braking_limit_mps2: positive.
        length_m, width_m: of the body; `rear_overhang_m` reaches behind the rear axle.
    """

    wheelbase_m: float = 2.875
    steering_ratio: float = 14.0
    understeer_rad_per_mps2: float = 0.003
    steering_delay_s: float = 0.08
    steering_lag_s: float = 0.10
    steering_rate_limit_radps: float = 10.0
    steering_limit_rad: float = 8.0
    yaw_lag_s: float = 0.08
    acceleration_lag_s: float = 0.35
    acceleration_limit_mps2: float = 4.0
    power_limit_m2ps3: float = 70.0
    braking_limit_mps2: float = 9.0
    length_m: float = 4.7
    width_m: float = 1.85
    rear_overhang_m: float = 0.95

    def __post_init__(self) -> None:
        for name in ("wheelbase_m", "steering_ratio", "steering_lag_s", "yaw_lag_s", "acceleration_lag_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"vehicle: {name} must be above zero, got {getattr(self, name)}")
        if self.steering_delay_s < 0:
            raise ConfigError(f"vehicle: steering_delay_s must not be negative, got {self.steering_delay_s}")

    @staticmethod
    def draw(seed: int) -> VehicleParameters:
        """A passenger car drawn at random.

        Source of the understeer range: Gillespie, Fundamentals of Vehicle Dynamics, chapter 6 (about 1 to 3 deg/g).
        Assumed: the other ranges span compact to large electric cars; only their spread matters for training.
        """
        rng = np.random.default_rng((seed, 0x7EC1))
        wheelbase_m = float(rng.uniform(2.6, 3.0))
        return VehicleParameters(
            wheelbase_m=wheelbase_m,
            steering_ratio=float(rng.uniform(11.0, 16.0)),
            understeer_rad_per_mps2=float(np.radians(rng.uniform(1.0, 3.0)) / 9.81),
            steering_delay_s=float(rng.uniform(0.03, 0.12)),
            steering_lag_s=float(rng.uniform(0.06, 0.14)),
            yaw_lag_s=float(rng.uniform(0.05, 0.12)),
            acceleration_lag_s=float(rng.uniform(0.25, 0.5)),
            acceleration_limit_mps2=float(rng.uniform(3.0, 5.0)),
            power_limit_m2ps3=float(rng.uniform(50.0, 110.0)),
            length_m=wheelbase_m + 1.85,
            width_m=float(rng.uniform(1.78, 1.95)),
        )

    def curvature_per_m(self, steering_wheel_rad: float, speed_mps: float) -> float:
        """Curvature of the rear axle's path that a steering wheel angle settles at."""
        road_wheel_rad = steering_wheel_rad / self.steering_ratio
        return math.tan(road_wheel_rad) / (self.wheelbase_m + self.understeer_rad_per_mps2 * speed_mps * speed_mps)

    def steering_wheel_rad(self, curvature_per_m: float, speed_mps: float) -> float:
        """Steering wheel angle that settles at a curvature; inverse of `curvature_per_m`."""
        effective_m = self.wheelbase_m + self.understeer_rad_per_mps2 * speed_mps * speed_mps
        return self.steering_ratio * math.atan(curvature_per_m * effective_m)


@dataclass(frozen=True)
class VehicleState:
    """Where a vehicle is and how it moves; position of the rear axle in the world, yaw counter-clockwise from east.

    `waiting` holds (time due, steering wheel angle) of commands that the delay still keeps back, oldest first.
    """

    time_s: float
    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float
    acceleration_mps2: float = 0.0
    yaw_rate_radps: float = 0.0
    steering_wheel_rad: float = 0.0
    asked_steering_rad: float = 0.0
    waiting: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Command:
    """What is asked of the vehicle: an angle of the steering wheel (left positive) and an acceleration."""

    steering_wheel_rad: float
    acceleration_mps2: float


def step(parameters: VehicleParameters, state: VehicleState, command: Command, dt_s: float) -> VehicleState:
    """The state after `dt_s` under one command; forward driving only, so speed stops at zero."""
    end_s = state.time_s + dt_s
    asked_rad, waiting = _delayed(parameters, state, command, dt_s)
    wheel_rad = _steering(parameters, state.steering_wheel_rad, asked_rad, dt_s)
    speed_mps, acceleration_mps2, travelled_m = _longitudinal(parameters, state, command.acceleration_mps2, dt_s)

    settled_radps = speed_mps * parameters.curvature_per_m(wheel_rad, speed_mps)
    # The lag is a property of the tyres' relaxation in metres as much as in seconds; at walking pace it vanishes.
    follow = -math.expm1(-dt_s / parameters.yaw_lag_s) if speed_mps > 1.0 else 1.0
    yaw_rate_radps = state.yaw_rate_radps + follow * (settled_radps - state.yaw_rate_radps)
    turned_rad = yaw_rate_radps * dt_s if speed_mps > 0 else 0.0
    chord_m = travelled_m * (math.sin(turned_rad / 2) / (turned_rad / 2) if abs(turned_rad) > 1e-9 else 1.0)
    return replace(
        state,
        time_s=end_s,
        x_m=state.x_m + chord_m * math.cos(state.yaw_rad + turned_rad / 2),
        y_m=state.y_m + chord_m * math.sin(state.yaw_rad + turned_rad / 2),
        yaw_rad=state.yaw_rad + turned_rad,
        speed_mps=speed_mps,
        acceleration_mps2=acceleration_mps2,
        yaw_rate_radps=yaw_rate_radps if speed_mps > 0 else 0.0,
        steering_wheel_rad=wheel_rad,
        asked_steering_rad=asked_rad,
        waiting=waiting,
    )


def _delayed(
    parameters: VehicleParameters, state: VehicleState, command: Command, dt_s: float
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """The steering command in force during this step (the delay rounded to whole steps), and those still waiting."""
    queue = (*state.waiting, (state.time_s + parameters.steering_delay_s, command.steering_wheel_rad))
    due = [angle for time_s, angle in queue if time_s <= state.time_s + dt_s / 2]
    asked = due[-1] if due else state.asked_steering_rad
    return asked, queue[len(due) :]


def _steering(parameters: VehicleParameters, wheel_rad: float, asked_rad: float, dt_s: float) -> float:
    """Steering wheel angle after `dt_s` of following what is asked."""
    limit = parameters.steering_limit_rad
    change = (max(-limit, min(limit, asked_rad)) - wheel_rad) * -math.expm1(-dt_s / parameters.steering_lag_s)
    most = parameters.steering_rate_limit_radps * dt_s
    return wheel_rad + max(-most, min(most, change))


def _longitudinal(
    parameters: VehicleParameters, state: VehicleState, asked_mps2: float, dt_s: float
) -> tuple[float, float, float]:
    """Speed and acceleration after `dt_s`, and the distance driven meanwhile."""
    most = min(parameters.acceleration_limit_mps2, parameters.power_limit_m2ps3 / max(state.speed_mps, 1.0))
    asked_mps2 = max(-parameters.braking_limit_mps2, min(most, asked_mps2))
    follow = -math.expm1(-dt_s / parameters.acceleration_lag_s)
    acceleration = state.acceleration_mps2 + follow * (asked_mps2 - state.acceleration_mps2)
    speed = state.speed_mps + acceleration * dt_s
    if speed <= 0.0:
        # Brakes hold, they do not reverse: it rolls out the last centimetres and stands.
        braking = max(-acceleration, 1e-6)
        return 0.0, 0.0, min(state.speed_mps * dt_s, state.speed_mps**2 / (2 * braking))
    return speed, acceleration, (state.speed_mps + speed) / 2 * dt_s
