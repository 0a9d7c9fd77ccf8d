"""What a plant is: the vehicle that a controller asks for curvature and acceleration, and what it makes of that.

In: what was asked. Out: where the ego is.
Idea: states are values and `step` is a pure function of them, so that a rollout can be repeated from any moment. How
the vehicle of a scenario differs from what its controller believes is in `EgoPlant`; a real one answers late and a
little wrong (`world/car.py`). The plainest plant does at once what it is asked, and is here to read and to test with.
Not here: what is asked (`controller.py`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol, TypeVar, runtime_checkable

from dojo.records import EgoPlant, EgoState

Vehicle = TypeVar("Vehicle")


@runtime_checkable
class Plant(Protocol[Vehicle]):
    """A kind of vehicle; `Vehicle` is the state of one."""

    def begin(self, plant: EgoPlant, ego: EgoState, curvature_per_m: float) -> Vehicle:
        """A vehicle that has been driving along a curvature, and is now where `ego` is."""
        ...

    def step(self, vehicle: Vehicle, curvature_per_m: float, acceleration_mps2: float, dt_s: float) -> Vehicle:
        """The vehicle after `dt_s` of being asked for this."""
        ...

    def ego(self, vehicle: Vehicle) -> EgoState:
        """Where it is and how it moves."""
        ...


class IdealCar:
    """Does what it is asked, at once; its state is the ego itself."""

    def begin(self, plant: EgoPlant, ego: EgoState, curvature_per_m: float) -> EgoState:
        """The ego, turning."""
        return replace(ego, yaw_rate_radps=curvature_per_m * ego.speed_mps)

    def step(self, vehicle: EgoState, curvature_per_m: float, acceleration_mps2: float, dt_s: float) -> EgoState:
        """An arc of exactly this curvature; speed stops at zero."""
        speed = max(0.0, vehicle.speed_mps + acceleration_mps2 * dt_s)
        travelled_m = (vehicle.speed_mps + speed) / 2 * dt_s
        turned = curvature_per_m * travelled_m
        chord_m = travelled_m * (math.sin(turned / 2) / (turned / 2) if abs(turned) > 1e-9 else 1.0)
        return EgoState(
            time_s=vehicle.time_s + dt_s,
            x_m=vehicle.x_m + chord_m * math.cos(vehicle.yaw_rad + turned / 2),
            y_m=vehicle.y_m + chord_m * math.sin(vehicle.yaw_rad + turned / 2),
            yaw_rad=vehicle.yaw_rad + turned,
            speed_mps=speed,
            acceleration_mps2=acceleration_mps2 if speed > 0 else 0.0,
            yaw_rate_radps=curvature_per_m * speed,
        )

    def ego(self, vehicle: EgoState) -> EgoState:
        """Itself."""
        return vehicle
