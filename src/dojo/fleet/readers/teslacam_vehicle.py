"""What a TeslaCam recording does not say about its car: `dojo-vehicle.toml`, and what is assumed without it.

In: the folder that holds `TeslaCam/`. Out: `Vehicle`.
Idea: the clips carry no calibration. Who knows it writes it once, beside the clips; who does not gets the defaults
below, and every drive says so in its tags (`assumed_calibration`).

The file, all of it optional::

    wheelbase_m = 2.875
    steering_ratio = 12.0
    steering_positive = "right"   # or "left"; without it, decided from the heading, drive by drive
    utc_offset_h = -7.0           # file names are local time; without it, times count from local midnight 1970
    traffic = "right"             # the side on which traffic keeps, or "left"

    [cameras.front]               # and back, left_repeater, right_repeater, left_pillar, right_pillar
    width = 1280                  # pixels; pictures of another size but the same shape are scaled
    height = 960
    focal_px = 1300.0             # or [horizontal, vertical]
    centre_px = [639.5, 479.5]    # column, row; without it, the middle
    position_m = [1.9, 0.0, 1.4]  # forward, left, up of the point on the ground below the rear axle
    roll_deg = 0.0                # turned from straight ahead: roll about the forward axis,
    pitch_deg = 0.0               # pitch positive down,
    yaw_deg = 0.0                 # yaw positive left
    distortion = [0, 0, 0, 0, 0]  # Brown-Conrady k1, k2, p1, p2, k3
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dojo.errors import RecordError, RecordingError
from dojo.geometry import Camera

FILE_NAME = "dojo-vehicle.toml"
CAMERA_NAMES = ("front", "back", "left_repeater", "right_repeater", "left_pillar", "right_pillar")

# Assumed: the manufacturer publishes no calibration. Size: the front camera's usual pictures. Field of view: 50 degrees
# across for the main forward camera, wide for the others, as the owner's manual's sketch of the cameras suggests.
# Positions: a mid-size saloon with a wheelbase of 2.9 m, front camera behind the mirror, 1 m behind the front axle.
_ASSUMED_FIELD_OF_VIEW_DEG = {"front": 50.0, "back": 110.0, "left_pillar": 80.0, "right_pillar": 80.0}
_ASSUMED_MOUNTING = {  # forward, left, up in metres, then yaw in degrees
    "front": (1.9, 0.0, 1.4, 0.0),
    "back": (-0.9, 0.0, 0.9, 180.0),
    "left_repeater": (2.3, 0.95, 0.85, 150.0),
    "right_repeater": (2.3, -0.95, 0.85, -150.0),
    "left_pillar": (1.0, 0.8, 1.2, 60.0),
    "right_pillar": (1.0, -0.8, 1.2, -60.0),
}
SHAPE_TOLERANCE = 0.01
"""Largest relative difference of height to width at which pictures count as scaled. Assumed: rounding to even sizes."""

_KEYS = {"wheelbase_m", "steering_ratio", "steering_positive", "utc_offset_h", "traffic", "cameras"}
_CAMERA_KEYS = {
    *("width", "height", "focal_px", "centre_px", "position_m", "roll_deg", "pitch_deg", "yaw_deg", "distortion"),
}


@dataclass(frozen=True)
class Vehicle:
    """What is known about the car: None means that nobody said.

    Args:
        steering_sign: factor that makes the car's steering angle positive to the left.
        cameras: those that the file describes.
        described: whether there is a file at all.
    """

    vehicle_id: str
    wheelbase_m: float | None = None
    steering_ratio: float | None = None
    steering_sign: int | None = None
    utc_offset_h: float | None = None
    traffic: str | None = None
    cameras: tuple[tuple[str, Camera], ...] = ()
    described: bool = False

    def camera(self, name: str, width_px: int, height_px: int) -> Camera:
        """The camera that took pictures of this size.

        Raises:
            RecordingError: gate `unknown_camera` where the description is of pictures of another shape.
        """
        known = dict(self.cameras).get(name)
        if known is None:
            return _assumed(name, width_px, height_px)
        scale = width_px / known.width_px
        if abs(height_px / (known.height_px * scale) - 1) > SHAPE_TOLERANCE:
            raise RecordingError(
                "unknown_camera",
                f"camera {name}: expected pictures shaped like {known.width_px} x {known.height_px}, got {width_px} x "
                f"{height_px}; correct [cameras.{name}] in {FILE_NAME}",
                {"width_px": float(width_px), "height_px": float(height_px)},
            )
        return replace(
            known,
            width_px=width_px,
            height_px=height_px,
            focal_px=(known.focal_px[0] * scale, known.focal_px[1] * scale),
            # Pixel (0, 0) is a centre: the picture's corner, not that centre, stays where it is.
            centre_px=((known.centre_px[0] + 0.5) * scale - 0.5, (known.centre_px[1] + 0.5) * scale - 0.5),
        )


def vehicle_of(folder: Path) -> Vehicle:
    """The vehicle whose clips lie in `folder` or in its `TeslaCam`; its id is the folder's name.

    Raises:
        RecordingError: gate `vehicle_file` where `dojo-vehicle.toml` cannot be understood; all faults at once.
    """
    vehicle_id = folder.resolve().name or "vehicle"
    path = folder / FILE_NAME
    if not path.is_file():
        return Vehicle(vehicle_id)
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecordingError("vehicle_file", f"{path}: expected TOML, got {error}; correct the file") from error
    faults: list[str] = [f"unknown key {key!r}" for key in sorted(set(written) - _KEYS)]
    vehicle = Vehicle(
        vehicle_id,
        _positive(written, "wheelbase_m", faults),
        _positive(written, "steering_ratio", faults),
        {"left": 1, "right": -1, None: None}.get(_choice(written, "steering_positive", faults)),
        _number(written, "utc_offset_h", faults),
        _choice(written, "traffic", faults),
        _cameras(written.get("cameras", {}), faults),
        described=True,
    )
    if faults:
        raise RecordingError(
            "vehicle_file", f"{path}: {'; '.join(faults)}; see dojo.fleet.readers.teslacam_vehicle for what it may hold"
        )
    return vehicle


def _number(written: Mapping[str, object], key: str, faults: list[str]) -> float | None:
    value = written.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        faults.append(f"{key} must be a number, got {value!r}")
        return None
    return float(value)


def _positive(written: Mapping[str, object], key: str, faults: list[str]) -> float | None:
    value = _number(written, key, faults)
    if value is not None and value <= 0:
        faults.append(f"{key} must be positive, got {value}")
    return value


def _choice(written: Mapping[str, object], key: str, faults: list[str]) -> str | None:
    value = written.get(key)
    if value is not None and value not in ("left", "right"):
        faults.append(f'{key} must be "left" or "right", got {value!r}')
        return None
    return None if value is None else str(value)


def _cameras(written: object, faults: list[str]) -> tuple[tuple[str, Camera], ...]:
    if not isinstance(written, dict):
        faults.append("cameras must be tables such as [cameras.front]")
        return ()
    found = []
    for name, table in written.items():
        if name not in CAMERA_NAMES or not isinstance(table, dict):
            faults.append(f"cameras.{name}: expected a table named like one of {', '.join(CAMERA_NAMES)}")
            continue
        faults += [f"cameras.{name}: unknown key {key!r}" for key in sorted(set(table) - _CAMERA_KEYS)]
        try:
            found.append((name, _camera(name, table)))
        except (KeyError, TypeError, ValueError, RecordError) as error:
            faults.append(f"cameras.{name}: expected width, height and focal_px as numbers, got {error}")
    return tuple(found)


def _camera(name: str, table: Mapping[str, object]) -> Camera:
    width, height = int(_numbers(table["width"], 1)[0]), int(_numbers(table["height"], 1)[0])
    horizontal, vertical = _numbers(table["focal_px"], 2)
    x, y, z, yaw_deg = _ASSUMED_MOUNTING[name]
    position = _numbers(table.get("position_m", [x, y, z]), 3)
    centre = _numbers(table.get("centre_px", [(width - 1) / 2, (height - 1) / 2]), 2)
    mounted = Camera.mounted(
        width,
        height,
        horizontal,
        (centre[0], centre[1]),
        position_m=(position[0], position[1], position[2]),
        roll_rad=math.radians(_numbers(table.get("roll_deg", 0.0), 1)[0]),
        pitch_rad=math.radians(_numbers(table.get("pitch_deg", 0.0), 1)[0]),
        yaw_rad=math.radians(_numbers(table.get("yaw_deg", yaw_deg), 1)[0]),
    )
    k1, k2, p1, p2, k3 = _numbers(table.get("distortion", [0.0] * 5), 5)
    return replace(mounted, focal_px=(horizontal, vertical), distortion=(k1, k2, p1, p2, k3))


def _numbers(value: object, count: int) -> list[float]:
    """`count` finite numbers; one number stands for all of them."""
    given = value if isinstance(value, list) else [value] * count
    numbers = [float(item) for item in given if isinstance(item, int | float)]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{value!r} where {count} number(s) belong")
    return numbers


def _assumed(name: str, width_px: int, height_px: int) -> Camera:
    x, y, z, yaw_deg = _ASSUMED_MOUNTING[name]
    half_view = math.radians(_ASSUMED_FIELD_OF_VIEW_DEG.get(name, 80.0) / 2)
    return Camera.mounted(
        width_px,
        height_px,
        width_px / 2 / math.tan(half_view),
        position_m=(x, y, z),
        yaw_rad=math.radians(yaw_deg),
    )
