"""The vehicle of a rollout: the plant of `vehicle.py`, off from what its controller believes by what a scenario says.

In: what differs, what is asked as curvature and acceleration. Out: where the vehicle is.
Idea: a controller knows one middling car. It asks for curvatures, which that car's inverse turns into angles of the
steering wheel; the car that gets them answers later, turns more or less, pulls to a side and is pushed by gusts. Gusts
are a sum of sines with drawn phases: smooth, without memory, and so part of a pure `step`.
Fits `evaluate.plant.Plant` without knowing it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dojo.records import EgoPlant, EgoState
from dojo.world.vehicle import Command, VehicleParameters, VehicleState, step

BELIEVED = VehicleParameters()
"""The car that a controller believes to drive."""

_GUST_HZ = (0.05, 0.5)
"""Assumed: gusts come every 2 to 20 s; faster ones a car's mass smooths away."""
_GUSTS = 6
_PUSHED_MPS = 5.0  # Assumed: a push turns a vehicle that stands or crawls no faster than at walking pace


@dataclass(frozen=True)
class CarState:
    """One car on its way: what it is, how it differs, its gusts (amplitude, angular frequency, phase), its motion."""

    parameters: VehicleParameters
    plant: EgoPlant
    gusts: tuple[tuple[float, float, float], ...]
    motion: VehicleState


class Car:
    """Cars as scenarios describe them."""

    def begin(self, plant: EgoPlant, ego: EgoState, curvature_per_m: float) -> CarState:
        """A car in a steady turn, its steering wheel already where the turn needs it."""
        parameters = replace(
            BELIEVED,
            steering_ratio=BELIEVED.steering_ratio / plant.steering_gain,
            steering_delay_s=plant.steering_delay_s,
            length_m=plant.length_m,
            width_m=plant.width_m,
            rear_overhang_m=plant.rear_overhang_m,
        )
        wheel_rad = parameters.steering_wheel_rad(curvature_per_m, ego.speed_mps)
        motion = VehicleState(
            time_s=ego.time_s,
            x_m=ego.x_m,
            y_m=ego.y_m,
            yaw_rad=ego.yaw_rad,
            speed_mps=ego.speed_mps,
            yaw_rate_radps=curvature_per_m * ego.speed_mps,
            steering_wheel_rad=wheel_rad,
            asked_steering_rad=wheel_rad,
        )
        return CarState(parameters, plant, _gusts(plant), motion)

    def step(self, vehicle: CarState, curvature_per_m: float, acceleration_mps2: float, dt_s: float) -> CarState:
        """The car after `dt_s`: asked in the believed car's terms, turned by its own, pushed by the wind."""
        before = vehicle.motion
        bent = curvature_per_m + vehicle.plant.curvature_bias_per_m
        command = Command(BELIEVED.steering_wheel_rad(bent, before.speed_mps), acceleration_mps2)
        after = step(vehicle.parameters, before, command, dt_s)
        if after.speed_mps > 0:
            turn = push_mps2(vehicle.gusts, after.time_s) / max(after.speed_mps, _PUSHED_MPS) * dt_s
            after = replace(after, yaw_rad=after.yaw_rad + turn)
        return replace(vehicle, motion=after)

    def ego(self, vehicle: CarState) -> EgoState:
        """Where it is and how it moves."""
        motion = vehicle.motion
        pushed = push_mps2(vehicle.gusts, motion.time_s) / max(motion.speed_mps, _PUSHED_MPS)
        return EgoState(
            motion.time_s,
            motion.x_m,
            motion.y_m,
            motion.yaw_rad,
            motion.speed_mps,
            motion.acceleration_mps2,
            motion.yaw_rate_radps + (pushed if motion.speed_mps > 0 else 0.0),
        )


def _gusts(plant: EgoPlant) -> tuple[tuple[float, float, float], ...]:
    """Sines of equal strength whose sum deviates by the wind of the scenario."""
    if plant.wind_mps2 == 0:
        return ()
    rng = np.random.default_rng((plant.seed, 0x6057))
    amplitude = plant.wind_mps2 * math.sqrt(2 / _GUSTS)
    hertz = np.exp(rng.uniform(math.log(_GUST_HZ[0]), math.log(_GUST_HZ[1]), _GUSTS)).tolist()
    phases = rng.uniform(0, 2 * math.pi, _GUSTS).tolist()
    return tuple((amplitude, 2 * math.pi * hz, phase) for hz, phase in zip(hertz, phases, strict=True))


def push_mps2(gusts: tuple[tuple[float, float, float], ...], time_s: float) -> float:
    """Lateral acceleration that gusts push with at a time, to the left."""
    return sum((amplitude * math.sin(rate * time_s + phase) for amplitude, rate, phase in gusts), start=0.0)
