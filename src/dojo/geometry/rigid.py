"""Rigid transforms: a rotation and a translation that carry points from one frame to another.

In: rotation matrices or angles. Out: transforms that compose with `@` and map points.
Idea: keep the rotation as a 3 x 3 matrix; quaternions and angles appear only where somebody else's format has
them. Stacks of transforms are plain arrays with leading axes, so a whole drive is one object.
Not here: cameras (`camera.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dojo.errors import RecordError


@dataclass(frozen=True)
class Rigid:
    """`target_from_source`: maps points p of the source frame to `rotation @ p + translation_m`.

    Args:
        rotation: orthonormal, determinant +1, to 1e-6.
        translation_m: origin of the source frame, in the target frame, metres.

    Raises:
        RecordError: the matrix is not a rotation, or a value is not finite.
    """

    rotation: Float64[np.ndarray, "*stack 3 3"]
    translation_m: Float64[np.ndarray, "*stack 3"]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rotation).all() and np.isfinite(self.translation_m).all()):
            raise RecordError("rigid transform: expected finite values, got NaN or infinity")
        product = self.rotation @ np.swapaxes(self.rotation, -1, -2)
        worst = float(np.abs(product - np.eye(3)).max(initial=0.0))
        if worst > 1e-6 or (np.linalg.det(self.rotation) < 0).any():
            raise RecordError(f"rigid transform: expected a rotation matrix, R·Rᵀ differs from 1 by {worst:.2g}")

    @staticmethod
    def identity() -> Rigid:
        """The transform that changes nothing."""
        return Rigid(np.eye(3), np.zeros(3))

    @staticmethod
    def from_euler(
        roll_rad: float,
        pitch_rad: float,
        yaw_rad: float,
        translation_m: Float64[np.ndarray, "3"] | None = None,
    ) -> Rigid:
        """Rz(yaw) Ry(pitch) Rx(roll): intrinsic yaw, then pitch, then roll, right-handed about z, y, x."""
        cr, sr = np.cos(roll_rad), np.sin(roll_rad)
        cp, sp = np.cos(pitch_rad), np.sin(pitch_rad)
        cy, sy = np.cos(yaw_rad), np.sin(yaw_rad)
        rotation = np.array(
            [
                [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                [-sp, cp * sr, cp * cr],
            ]
        )
        return Rigid(rotation, np.zeros(3) if translation_m is None else np.asarray(translation_m, np.float64))

    def __matmul__(self, other: Rigid) -> Rigid:
        """`a_from_b @ b_from_c` is `a_from_c`."""
        rotation = self.rotation @ other.rotation
        translation = (self.rotation @ other.translation_m[..., None])[..., 0] + self.translation_m
        return Rigid(rotation, translation)

    def inverse(self) -> Rigid:
        """`source_from_target`."""
        transposed = np.swapaxes(self.rotation, -1, -2).copy()
        return Rigid(transposed, -(transposed @ self.translation_m[..., None])[..., 0])

    def apply(self, points_m: Float64[np.ndarray, "*points 3"]) -> Float64[np.ndarray, "*points 3"]:
        """Points of the source frame, in the target frame; only for a single transform, not a stack."""
        return points_m @ self.rotation.T + self.translation_m


def yaw_of(rotation: Float64[np.ndarray, "*stack 3 3"]) -> Float64[np.ndarray, "*stack"]:
    """Heading of the x axis, radians counter-clockwise seen from above, in (-pi, pi]."""
    return np.asarray(np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0]))


def rotation_from_quaternion(
    quaternion_wxyz: Float64[np.ndarray, "*stack 4"],
) -> Float64[np.ndarray, "*stack 3 3"]:
    """The rotation matrix of a quaternion (w, x, y, z), normalised first."""
    w, x, y, z = np.moveaxis(quaternion_wxyz / np.linalg.norm(quaternion_wxyz, axis=-1, keepdims=True), -1, 0)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )
