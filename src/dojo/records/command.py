"""What passes between a driver, a vehicle and what drives it: the driver's input, the vehicle's state, a command.

Idea: these are the same for every vehicle; how they lie on one vehicle's bus is its adapter's business. A signal that
is missing or out of its range is no value of these records: a vehicle whose state is unknown has no `VehicleState`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dojo.errors import RecordError


@dataclass(frozen=True)
class DriverInput:
    """What the driver does, and whether the driver is there.

    Args:
        torque_nm: with which the driver turns the steering wheel, left positive.
        hands_on, eyes_on_road: as the vehicle's monitors see it.
        engage_pressed, cancel_pressed: the two buttons of the assistance.
        blinker: 1 left, -1 right, 0 none.
    """

    brake_pressed: bool = False
    gas_pressed: bool = False
    torque_nm: float = 0.0
    hands_on: bool = False
    eyes_on_road: bool = False
    engage_pressed: bool = False
    cancel_pressed: bool = False
    blinker: Literal[-1, 0, 1] = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.torque_nm) or self.blinker not in (-1, 0, 1):
            raise RecordError(
                f"driver input: expected a finite torque and a blinker of -1, 0 or 1, got {self.torque_nm} N m and "
                f"{self.blinker}"
            )


@dataclass(frozen=True)
class VehicleState:
    """How the vehicle moves.

    Args:
        time_ns: when the oldest of these values came in, on the clock of the computer that drives.
        steering_wheel_rad: left positive. `yaw_rate_radps`: counter-clockwise seen from above.
        accepts: its steering, motor and brakes follow commands, or would.
    """

    time_ns: int
    speed_mps: float
    steering_wheel_rad: float
    yaw_rate_radps: float
    accepts: bool = True

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.speed_mps, self.steering_wheel_rad, self.yaw_rate_radps))):
            raise RecordError(
                f"vehicle state: expected finite values, got {self.speed_mps} m/s, {self.steering_wheel_rad} rad and "
                f"{self.yaw_rate_radps} rad/s; a signal out of range is missing, not a number"
            )


@dataclass(frozen=True)
class Command:
    """What the vehicle is asked for until the next command.

    Args:
        curvature_per_m: of the rear axle's path, left positive.
        engaged: the vehicle is to follow; otherwise the values are only where it would begin.
        take_over_request: the driver is asked to drive now.
        warning: that hands or eyes are missed: 0 none, 1 shown, 2 sounded as well.
    """

    curvature_per_m: float
    acceleration_mps2: float
    engaged: bool
    take_over_request: bool = False
    warning: Literal[0, 1, 2] = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.curvature_per_m) and math.isfinite(self.acceleration_mps2)):
            raise RecordError(
                f"command: expected finite values, got {self.curvature_per_m} 1/m and {self.acceleration_mps2} m/s2"
            )
