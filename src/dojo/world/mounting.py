"""The cameras of a simulated vehicle, and what its owner writes down about it.

In: a camera's name, picture size, a seed. Out: the camera as mounted; the text of `dojo-vehicle.toml`.
Idea: no two cars carry their cameras alike, and a model must not learn one of them; the owner's file says exactly
how they are mounted, as after a calibration.
Not here: the reader of that file (`dojo.fleet`), which documents it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dojo.geometry import Camera
from dojo.world.vehicle import VehicleParameters

MOUNTINGS: Mapping[str, tuple[float, float, float, float]] = {
    "front": (1.85, 0.0, 1.4, 0.0),
    "back": (-0.9, 0.0, 0.95, 180.0),
    "left_repeater": (2.3, 0.95, 0.85, 150.0),
    "right_repeater": (2.3, -0.95, 0.85, -150.0),
    "left_pillar": (1.0, 0.8, 1.2, 60.0),
    "right_pillar": (1.0, -0.8, 1.2, -60.0),
}
"""Forward, left, up (m) from the ego's origin, and yaw (deg). Assumed: the middle of a range of mid-size cars."""
PITCH_DEG = 3.75
"""Cameras look down by this much, which centres the model view (11.9 degrees up, 19.4 down) in the picture."""


def draw_camera(name: str, width_px: int, height_px: int, focal_px: float, seed: int) -> Camera:
    """One vehicle's camera.

    Assumed: mounted to within 0.2 m in length and height (1.2 to 1.6 m for the front camera), 1.5 degrees of yaw, 1.2
    of pitch and 0.8 of roll; lens and sensor to within 1.5 % of focal length and 5 pixels of centre.
    """
    rng = np.random.default_rng((seed, 0xCA3, list(MOUNTINGS).index(name)))
    forward, left, up, yaw_deg = MOUNTINGS[name]

    def near(value: float, spread: float) -> float:
        return value + float(rng.uniform(-spread, spread))

    return Camera.mounted(
        width_px,
        height_px,
        focal_px * near(1.0, 0.015),
        (near((width_px - 1) / 2, 5.0), near((height_px - 1) / 2, 5.0)),
        position_m=(near(forward, 0.2), near(left, 0.08), near(up, 0.2)),
        roll_rad=math.radians(near(0.0, 0.8)),
        pitch_rad=math.radians(near(PITCH_DEG, 1.2)),
        yaw_rad=math.radians(near(yaw_deg, 1.5)),
    )


def describe_vehicle(car: VehicleParameters, cameras: Mapping[str, Camera], utc_offset_h: float) -> str:
    """The text of `dojo-vehicle.toml`: what the clips themselves do not say."""
    lines = [
        f"wheelbase_m = {car.wheelbase_m!r}",
        f"steering_ratio = {car.steering_ratio!r}",
        'steering_positive = "right"',
        f"utc_offset_h = {utc_offset_h!r}",
        'traffic = "right"',
    ]
    for name, camera in cameras.items():
        roll_deg, pitch_deg, yaw_deg = turned_deg(camera)
        lines += [
            "",
            f"[cameras.{name}]",
            f"width = {camera.width_px}",
            f"height = {camera.height_px}",
            f"focal_px = {list(camera.focal_px)!r}",
            f"centre_px = {list(camera.centre_px)!r}",
            f"position_m = {camera.ego_from_camera.translation_m.tolist()!r}",
            f"roll_deg = {roll_deg!r}",
            f"pitch_deg = {pitch_deg!r}",
            f"yaw_deg = {yaw_deg!r}",
        ]
    return "\n".join(lines) + "\n"


def turned_deg(camera: Camera) -> tuple[float, float, float]:
    """Roll, pitch (down) and yaw (left) by which a camera is turned from straight ahead; see `Rigid.from_euler`."""
    straight = Camera.mounted(2, 2, 1.0).ego_from_camera.rotation
    turn = camera.ego_from_camera.rotation @ straight.T
    return (
        math.degrees(math.atan2(turn[2, 1], turn[2, 2])),
        math.degrees(-math.asin(turn[2, 0])),
        math.degrees(math.atan2(turn[1, 0], turn[0, 0])),
    )
