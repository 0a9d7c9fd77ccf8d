"""Pinhole cameras, and the calibrated view that every model sees.

In: intrinsics and mounting of a real camera. Out: pixels of points, and the map that turns its picture into the
picture of another camera at the same place.
Idea: a model must not learn where one vehicle's camera happens to be screwed on. A rotation about the pinhole and
a change of focal length need no depth, so every recording is resampled once into one virtual camera that looks
straight ahead and level (`MODEL_VIEW`); only the mounting height and position, which would need depth, stay as
they are and are kept beside the picture.
Not here: the resampling of whole drives (`fleet/`), of displaced views (later: `evaluate/`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from dojo.errors import RecordError
from dojo.geometry.rigid import Rigid

# Camera axes (x right, y down, z forward) of a camera that looks along the ego's x axis, in the ego frame.
FORWARD_EGO_FROM_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on a vehicle.

    Args:
        width_px, height_px: picture size; pixel (0, 0) is the centre of the top left pixel.
        focal_px: (horizontal, vertical) focal length.
        centre_px: principal point (column, row).
        ego_from_camera: mounting; for a camera that looks straight ahead see `mounted`.
        distortion: Brown-Conrady k1, k2, p1, p2, k3 as OpenCV defines them; all zero for a rectified picture.

    Raises:
        RecordError: a size or focal length that is not positive.
    """

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    ego_from_camera: Rigid
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0 or min(self.focal_px) <= 0:
            raise RecordError(
                f"camera: expected positive size and focal length, got {self.width_px} x {self.height_px} px "
                f"and {self.focal_px} px; check the intrinsics"
            )

    @staticmethod
    def mounted(
        width_px: int,
        height_px: int,
        focal_px: float,
        centre_px: tuple[float, float] | None = None,
        *,
        position_m: tuple[float, float, float] = (1.5, 0.0, 1.3),
        roll_rad: float = 0.0,
        pitch_rad: float = 0.0,
        yaw_rad: float = 0.0,
    ) -> Camera:
        """A camera at `position_m` in the ego frame, turned from straight ahead by yaw (left), pitch (down), roll."""
        turn = Rigid.from_euler(roll_rad, pitch_rad, yaw_rad).rotation
        mounting = Rigid(turn @ FORWARD_EGO_FROM_CAMERA, np.array(position_m, np.float64))
        centre = centre_px or ((width_px - 1) / 2, (height_px - 1) / 2)
        return Camera(width_px, height_px, (focal_px, focal_px), centre, mounting)

    @property
    def matrix(self) -> Float64[np.ndarray, "3 3"]:
        """Intrinsic matrix K: pixel = K @ (x/z, y/z, 1)."""
        return np.array(
            [
                [self.focal_px[0], 0.0, self.centre_px[0]],
                [0.0, self.focal_px[1], self.centre_px[1]],
                [0.0, 0.0, 1.0],
            ]
        )

    def project(
        self, points_ego_m: Float64[np.ndarray, "points 3"]
    ) -> tuple[Float64[np.ndarray, "points 2"], Bool[np.ndarray, " points"]]:
        """Pixels (column, row) of ego-frame points, and which of them lie in front of the camera (z > 0.1 m).

        Distortion is ignored: points are drawn on rectified pictures.
        """
        in_camera = self.ego_from_camera.inverse().apply(points_ego_m)
        depth = in_camera[:, 2]
        visible = depth > 0.1
        safe = np.where(visible, depth, 1.0)
        pixels = np.stack(
            [
                self.focal_px[0] * in_camera[:, 0] / safe + self.centre_px[0],
                self.focal_px[1] * in_camera[:, 1] / safe + self.centre_px[1],
            ],
            -1,
        )
        return pixels, visible

    def band_slopes(self, bands: int) -> Float64[np.ndarray, " bands"]:
        """y / x of the level rays through the middles of equal bands of columns, left (positive) to right.

        For a camera that looks straight ahead, without distortion.
        """
        middle_px = (np.arange(bands) + 0.5) * self.width_px / bands - 0.5
        return (self.centre_px[0] - middle_px) / self.focal_px[0]

    def band(self, first_row: int, last_row: int) -> Camera:
        """The camera of some of its rows alone, the last one excluded."""
        centre = (self.centre_px[0], self.centre_px[1] - first_row)
        mounting = self.ego_from_camera
        return Camera(self.width_px, last_row - first_row, self.focal_px, centre, mounting, self.distortion)

    def at(self, ego_from_camera: Rigid) -> Camera:
        """The same camera, mounted elsewhere."""
        return Camera(self.width_px, self.height_px, self.focal_px, self.centre_px, ego_from_camera, self.distortion)

    def level_view(self, view: Camera) -> Camera:
        """`view` moved to where this camera sits, looking straight ahead and level: what its picture becomes."""
        return view.at(Rigid(FORWARD_EGO_FROM_CAMERA.copy(), self.ego_from_camera.translation_m.copy()))

    def sampling_map(
        self, target: Camera
    ) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns"]]:
        """For each pixel of `target`, the column and row in this camera's picture that shows the same direction.

        Both cameras are taken to be at the same place (the difference in position is ignored: correcting it would
        need depth). Directions behind this camera map to (-1, -1).
        """
        columns, rows = np.meshgrid(np.arange(target.width_px, dtype=np.float64), np.arange(target.height_px) * 1.0)
        rays = np.stack(
            [
                (columns - target.centre_px[0]) / target.focal_px[0],
                (rows - target.centre_px[1]) / target.focal_px[1],
                np.ones_like(columns),
            ],
            -1,
        )
        source_from_target = self.ego_from_camera.rotation.T @ target.ego_from_camera.rotation
        rays = rays @ source_from_target.T
        ahead = rays[..., 2] > 1e-3
        depth = np.where(ahead, rays[..., 2], 1.0)
        x, y = rays[..., 0] / depth, rays[..., 1] / depth
        k1, k2, p1, p2, k3 = self.distortion
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        distorted_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        distorted_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        source_columns = np.where(ahead, self.focal_px[0] * distorted_x + self.centre_px[0], -1.0)
        source_rows = np.where(ahead, self.focal_px[1] * distorted_y + self.centre_px[1], -1.0)
        return source_columns.astype(np.float32), source_rows.astype(np.float32)


MODEL_VIEW = Camera.mounted(512, 256, 455.0, (255.5, 95.5))
"""The virtual camera of every model: 512 x 256, focal length 455 px, horizon at row 95.5.

Size and focal length: openpilot common/transformations/model.py, the wide `sbigmodel` frame (59 degrees across).
Assumed: the horizon sits higher than there (row 151.8), because Dojo's model sees one camera, not a wide and a
narrow one, and needs the road from about 4 m ahead.
"""
