"""The two contracts of a bundle: what the camera must deliver, and which signals go in and out.

In: what the training clips covered, and how the model was exported. Out: plain values for the manifest.
Idea: a carmaker's engineer must be able to check the car against them before anything is driven, so every number has
its unit in its name, and a range is what was trained or tested, not what was hoped.
Not here: how a signal lies on one vehicle's bus (`drive/vehicles/<platform>/`, a DBC file each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from dojo.errors import ReleaseError
from dojo.geometry import Camera
from dojo.records import CameraContract, SignalContract, ViewContract

_DRIVER = "handed back to the driver"

SIGNALS: tuple[SignalContract, ...] = (
    SignalContract("speed", "in", "m/s", 0.0, 70.0, 50.0, 0.1, True, _DRIVER),
    SignalContract("steering_angle", "in", "rad at the steering wheel", -10.0, 10.0, 50.0, 0.1, True, _DRIVER),
    SignalContract("yaw_rate", "in", "rad/s", -2.0, 2.0, 50.0, 0.1, True, _DRIVER),
    SignalContract("brake_pressed", "in", "boolean", 0.0, 1.0, 50.0, 0.1, True, _DRIVER),
    SignalContract("gas_pressed", "in", "boolean", 0.0, 1.0, 50.0, 0.1, True, _DRIVER),
    SignalContract("driver_torque", "in", "N m", -20.0, 20.0, 50.0, 0.1, True, _DRIVER),
    SignalContract("hands_on", "in", "boolean", 0.0, 1.0, 10.0, 0.5, True, "counts as hands off"),
    SignalContract("blinker", "in", "-1 right, 0 none, 1 left", -1.0, 1.0, 10.0, 0.5, True, "counts as none"),
    # Source of the ranges of acceleration: ISO 15622:2018; of lateral acceleration, from which the curvature that is
    # let out falls with speed: ISO 11270:2014. The envelope (`drive/limits.py`) holds both, whatever the model says.
    SignalContract("curvature", "out", "1/m, left positive", -0.2, 0.2, 20.0, 0.1, True, "the vehicle lets go"),
    SignalContract("acceleration", "out", "m/s2", -3.5, 2.0, 20.0, 0.1, True, "the vehicle lets go"),
    SignalContract("engaged", "out", "boolean", 0.0, 1.0, 20.0, 0.1, True, "counts as not engaged"),
    SignalContract("take_over_request", "out", "boolean", 0.0, 1.0, 20.0, 0.1, True, "counts as requested"),
)
"""Assumed: rates and times of a driver assistance on an ordinary bus; the angles and speeds of a passenger car."""


def mounting_range(mountings: Sequence[Float64[np.ndarray, " 6"]]) -> dict[str, tuple[float, float]]:
    """What the cameras of the training clips covered.

    Args:
        mountings: of each stream: forward, left, up (m) in the ego frame; roll, pitch (down), yaw (left) (rad).

    Raises:
        ReleaseError: `cameras_unknown`: there are none.
    """
    if not mountings:
        raise ReleaseError("cameras_unknown", "expected the cameras of the training clips, found none")
    names = ("forward_m", "left_m", "up_m", "roll_rad", "pitch_down_rad", "yaw_left_rad")
    table = np.stack(list(mountings))
    lows, highs = table.min(0).round(4), table.max(0).round(4)
    return {name: (float(lows[i]), float(highs[i])) for i, name in enumerate(names)}


def camera_contract(
    view: Camera, mounting: Mapping[str, tuple[float, float]], tick_s: float, anchors: int, latency_s: float
) -> CameraContract:
    """What the camera must deliver.

    Args:
        mounting: see `mounting_range`.
        tick_s: between the pictures that the model is shown. `anchors`: pictures it answers on, one less than it sees.
        latency_s: the longest from exposure to plan under which it was tested.
    """
    return CameraContract(
        view=ViewContract(
            view.width_px,
            view.height_px,
            view.focal_px,
            view.centre_px,
            "straight ahead and level, from where the vehicle's camera is",
        ),
        layout="YUV 4:2:0, limited range, packed to 6 planes of 128 x 256: luma of even row and even column, odd row "
        "and even column, even row and odd column, odd row and odd column; U; V",
        mounting=mounting,
        pictures=anchors + 1,
        picture_every_s=tick_s,
        tested_latency_s=latency_s,
        time_base="integer nanoseconds at the middle of the exposure, the same clock as the signals",
    )
