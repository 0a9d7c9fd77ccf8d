"""Show a recorded picture as a camera beside the recorded one would have taken it.

In: YUV420 planes, the camera that took them, and where the other camera stands. Out: the planes that it would see.
Idea: a picture from another place needs depth, and the road gives it for free: what lies below the horizon is taken to
lie on the ground, and what lies above it to be far away. With q the direction of a pixel in the ego frame and o - c the
step from the recorded camera to the other one, at height o_z over the ground, the recorded camera saw the same point in
the direction q + (o - c) max(-q_z, 0) / o_z: below the horizon the road's homography, above it a rotation alone. The
second term is zero at the horizon, so both meet there without a seam. Cars and trees beside the road lean
over instead of moving; that, and what the recorded picture did not show, bounds how far a displacement may go.
Source: the plane-induced homography R - t n^T / d, Hartley and Zisserman, Multiple View Geometry, 2nd ed., eq. 13.2.
Not here: cameras at the same place (`resample.py`); which displacements training shows (`load/recover.py`).
"""

from __future__ import annotations

import threading

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from dojo.errors import ConfigError
from dojo.geometry.camera import Camera
from dojo.geometry.resample import chroma_camera
from dojo.geometry.rigid import Rigid

Plane = UInt8[np.ndarray, "_ _"]

MAX_OFFSET_M = 4.0
"""How far sideways a picture can be carried. Source: arXiv 2504.19077, the limits of its reprojective simulator."""

_UNSEEN_PX = -2.0  # far enough outside that a bilinear tap reads nothing but the border


def displaced(
    camera: Camera,
    lateral_m: float,
    yaw_rad: float,
    forward_m: float = 0.0,
    *,
    camera_roll_rad: float = 0.0,
    camera_pitch_rad: float = 0.0,
    camera_yaw_rad: float = 0.0,
) -> Camera:
    """The camera of a vehicle displaced on the road, mounted in the ego frame of the vehicle that is not.

    Args:
        lateral_m, forward_m: where the displaced vehicle stands: to the left, and ahead.
        yaw_rad: where it heads: to the left.
        camera_roll_rad, camera_pitch_rad, camera_yaw_rad: error of its camera's mounting: right side down, looking
            down, looking left.

    Raises:
        ConfigError: further to the side than a picture can be carried.
    """
    if not abs(lateral_m) <= MAX_OFFSET_M:
        raise ConfigError(
            f"reprojection: expected an offset within {MAX_OFFSET_M} m of the recorded line, got {lateral_m:.2f} m; "
            "end the rollout as an intervention"
        )
    recorded_from_displaced = Rigid.from_euler(0.0, 0.0, yaw_rad, np.array([forward_m, lateral_m, 0.0]))
    turned = Rigid.from_euler(camera_roll_rad, camera_pitch_rad, camera_yaw_rad).rotation
    mounting = Rigid(turned @ camera.ego_from_camera.rotation, camera.ego_from_camera.translation_m)
    return camera.at(recorded_from_displaced @ mounting)


class Reprojector:
    """Turns pictures of `recorded` into pictures of `other`.

    Args:
        recorded: camera of the incoming pictures, without distortion; sizes must be even.
        other: camera of the outgoing pictures; both are mounted in the ego frame of the recorded vehicle.
        hidden: chroma pixels, and the luma pixels that each covers, that stay black whether seen or not.

    Raises:
        ConfigError: a lens that distorts, or a camera that is not above the ground.
    """

    def __init__(
        self, recorded: Camera, other: Camera, hidden: Bool[np.ndarray, "half_rows half_columns"] | None = None
    ) -> None:
        if any(recorded.distortion) or other.ego_from_camera.translation_m[2] <= 0:
            raise ConfigError(
                f"reprojection: expected a rectified picture and a camera above the ground, got distortion "
                f"{recorded.distortion} and a height of {float(other.ego_from_camera.translation_m[2])} m; resample "
                "into MODEL_VIEW first, and check the mounting"
            )
        # Computed where chroma pixels lie, in the middle of 2 x 2 luma pixels, and one around the picture; between them
        # the map is straight but for the pixel at the horizon, so the rest is interpolated, at a third of the cost.
        around = _with_margin(chroma_camera(other))
        coarse = _sampling_map(recorded, around)
        fine = [
            cv2.resize(part, None, _scratch(2 * part.shape[0], 2 * part.shape[1], axis), 2, 2)
            for axis, part in enumerate(coarse)
        ]
        columns, rows = (part[2:-2, 2:-2] for part in fine)
        u_columns, u_rows = (part[1:-1, 1:-1] for part in coarse)
        for part in (u_columns, u_rows):
            part -= np.float32(0.5)
            part /= 2
        if hidden is not None:
            for covered in (u_columns, *(columns[row::2, column::2] for row in (0, 1) for column in (0, 1))):
                np.copyto(covered, _UNSEEN_PX, where=hidden)
        self._luma = cv2.convertMaps(columns, rows, cv2.CV_16SC2)
        self._chroma = cv2.convertMaps(u_columns, u_rows, cv2.CV_16SC2)

    def apply(self, y: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane, Plane]:
        """The three planes as the other camera would show them; black where it sees what the recorded one did not."""
        return _taken(y, self._luma, 16), _taken(u, self._chroma, 128), _taken(v, self._chroma, 128)


class _Kept(threading.local):
    """Memory of a thread to work in."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[int, int, int], Float32[np.ndarray, "_ _"]] = {}


_kept = _Kept()


def _scratch(rows: int, columns: int, axis: int) -> Float32[np.ndarray, "rows columns"]:
    """The same memory each time: to be given new memory takes longer than to fill it."""
    key = (rows, columns, axis)
    if key not in _kept.arrays:
        _kept.arrays[key] = np.empty((rows, columns), np.float32)
    return _kept.arrays[key]


def unseen(
    recorded: Camera, other: Camera, blank: Bool[np.ndarray, "half_rows half_columns"] | None = None
) -> Bool[np.ndarray, "half_rows half_columns"]:
    """Chroma pixels of the other camera's picture of which the recorded picture shows no part, or not all.

    Args:
        blank: chroma pixels of the recorded picture that are black because its lens did not see that far.
    """
    columns, rows = _sampling_map(chroma_camera(recorded), chroma_camera(other))
    # A rounding error outside the picture is still its edge.
    right, bottom = recorded.width_px // 2 - 1 + 0.01, recorded.height_px // 2 - 1 + 0.01
    outside = (columns < -0.01) | (columns > right) | (rows < -0.01) | (rows > bottom)
    if blank is not None:
        outside |= cv2.remap(blank.astype(np.uint8) * 255, columns, rows, cv2.INTER_LINEAR) > 0
    return cv2.dilate(outside.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)


def never_seen(recorded: Camera, view: Camera) -> Bool[np.ndarray, "half_rows half_columns"]:
    """Chroma pixels of a view, at the same place, that are black because the recording camera did not see that far."""
    columns, rows = recorded.sampling_map(chroma_camera(view))
    return (columns < 0) | (columns > recorded.width_px - 1) | (rows < 0) | (rows > recorded.height_px - 1)


def on_both_sides(pixels: Bool[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """Pixels and their mirror image: hidden so, edges do not tell to which side a picture was carried."""
    return pixels | pixels[:, ::-1]


def _sampling_map(
    recorded: Camera, other: Camera
) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns"]]:
    """For each pixel of `other`, column and row of the recorded picture; far outside where it lies behind."""
    step = other.ego_from_camera.translation_m - recorded.ego_from_camera.translation_m
    height = float(other.ego_from_camera.translation_m[2])
    pixel_from_ego = recorded.matrix @ recorded.ego_from_camera.rotation.T
    ego_from_pixel = other.ego_from_camera.rotation @ np.linalg.inv(other.matrix)
    down = _linear(-ego_from_pixel[2], other)
    np.maximum(down, 0, out=down)
    far, near = pixel_from_ego @ ego_from_pixel, pixel_from_ego @ step / height
    across, below, depth = (_linear(far[axis], other) for axis in range(3))
    for part, per_metre in zip((across, below, depth), near, strict=True):
        if per_metre:
            part += down * np.float32(per_metre)
    # What lies beside or behind the recorded camera comes out far outside its picture.
    np.maximum(depth, np.float32(0.1), out=depth)
    across /= depth
    below /= depth
    return across, below


def _with_margin(camera: Camera) -> Camera:
    """The camera with one more pixel on each side."""
    centre = (camera.centre_px[0] + 1, camera.centre_px[1] + 1)
    return Camera(camera.width_px + 2, camera.height_px + 2, camera.focal_px, centre, camera.ego_from_camera)


def _linear(row_of_matrix: Float64[np.ndarray, "3"], camera: Camera) -> Float32[np.ndarray, "rows columns"]:
    """a column + b row + c at every pixel."""
    along = row_of_matrix[0] * np.arange(camera.width_px) + row_of_matrix[2]
    return along.astype(np.float32) + (row_of_matrix[1] * np.arange(camera.height_px)).astype(np.float32)[:, None]


def _taken(plane: Plane, maps: tuple[np.ndarray, np.ndarray], outside: int) -> Plane:
    return np.asarray(
        cv2.remap(plane, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
    )
