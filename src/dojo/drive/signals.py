"""The signals that driving needs of a vehicle, whatever the vehicle calls them.

In: nothing. Out: each signal with its unit, range, and how soon it is stale; which units a platform may state it in.
Idea: one list that adapters, the conformance test and the runtime share; a bundle's own contract may ask for no signal
that is not here (`adapter.check_fits`).
Not here: where a signal lies on one platform's bus (`vehicles/<platform>/vehicle.toml`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Need:
    """One signal.

    Args:
        kind: a `number` with a unit; a `switch`, 0 or 1; a `code`, a whole number.
        low, high: ends of its range, in the first of its units; outside it counts as missing.
        stale_after_s: no newer value for so long, and it counts as missing.
        sided: it counts to the left; a platform may count to the right.
    """

    name: str
    direction: Literal["in", "out"]
    kind: Literal["number", "switch", "code"]
    low: float
    high: float
    stale_after_s: float = 0.1
    units: Mapping[str, float] | None = None
    sided: bool = False


_ANGLE = {"rad": 1.0, "deg": math.pi / 180}
_SPEED = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704}
_RATE = {"rad/s": 1.0, "deg/s": math.pi / 180}
CURVATURE, WHEEL_RAD, WHEEL_DEG = "1/m", "rad at the steering wheel", "deg at the steering wheel"

NEEDS: tuple[Need, ...] = (
    Need("speed", "in", "number", 0.0, 70.0, units=_SPEED),
    Need("steering_angle", "in", "number", -10.0, 10.0, units=_ANGLE, sided=True),
    Need("yaw_rate", "in", "number", -2.0, 2.0, units=_RATE, sided=True),
    Need("driver_torque", "in", "number", -20.0, 20.0, units={"N m": 1.0}, sided=True),
    Need("brake_pressed", "in", "switch", 0.0, 1.0),
    Need("gas_pressed", "in", "switch", 0.0, 1.0),
    Need("accepts", "in", "switch", 0.0, 1.0),
    Need("hands_on", "in", "switch", 0.0, 1.0, 0.5),
    Need("eyes_on_road", "in", "switch", 0.0, 1.0, 0.5),
    Need("blinker", "in", "code", -1.0, 1.0, 0.5),
    Need("engage", "in", "switch", 0.0, 1.0, 0.5),
    Need("cancel", "in", "switch", 0.0, 1.0, 0.5),
    # A curvature may be asked for as the angle of the steering wheel that settles at it.
    Need("curvature", "out", "number", -0.2, 0.2, units={CURVATURE: 1.0, WHEEL_RAD: 1.0, WHEEL_DEG: 1.0}, sided=True),
    Need("acceleration", "out", "number", -3.5, 2.0, units={"m/s2": 1.0}),
    Need("engaged", "out", "switch", 0.0, 1.0),
    Need("take_over_request", "out", "switch", 0.0, 1.0),
    Need("warning", "out", "code", 0.0, 2.0),
)
"""Ranges and times: those of the bundle's interface contract (`release/contracts.py`), and of the vehicle's buttons and
monitors beside them. Assumed: five messages of 50 Hz, or five of 10 Hz, are few enough to lose."""

BY_NAME: Mapping[str, Need] = {need.name: need for need in NEEDS}

FAST = tuple(need.name for need in NEEDS if need.direction == "in" and need.stale_after_s <= 0.1)
"""Without these nobody knows how the vehicle moves or what the driver does."""
