"""The ego motion of a drive at any moment, and where it is known.

In: `EgoMotion`, samples at the recording's own times. Out: position, rotation and speed at other times.
Idea: positions follow a cubic Hermite spline whose tangents are second-order differences at the true times, so that
a circle sampled ten times a second is off by millimetres; rotations turn at a constant rate between samples. Nothing
is interpolated across an invalid sample or a gap, and a path is known only as far as no such break lies on the way:
behind a pose jump every later position would be wrong relative to the anchor.
Not here: smoothing (`fleet/ego.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation

from dojo.records import EgoMotion


@dataclass(frozen=True)
class Motion:
    """Ego motion made ready for interpolation; values at times that are not `known` are meaningless but finite.

    Args:
        known_interval: between each sample and the next, both are valid and near enough.
        breaks_before: number of unknown intervals before each sample.
        turn_rad: rotation vector from each sample to the next, in the ego frame of the first.
    """

    timestamps_ns: Int64[np.ndarray, " n"]
    valid: Bool[np.ndarray, " n"]
    known_interval: Bool[np.ndarray, " n-1"]
    breaks_before: Int64[np.ndarray, " n"]
    translation_m: Float64[np.ndarray, "n 3"]
    velocity_mps: Float64[np.ndarray, "n 3"]
    rotation: Float64[np.ndarray, "n 3 3"]
    turn_rad: Float64[np.ndarray, "n-1 3"]
    speeds_mps: Float64[np.ndarray, " n"]

    @staticmethod
    def of(ego: EgoMotion, max_gap_s: float) -> Motion | None:
        """The motion, or None where fewer than two samples exist."""
        if len(ego.timestamps_ns) < 2:
            return None
        valid = ego.valid
        steps_s = np.diff(ego.timestamps_ns) / 1e9
        known = valid[:-1] & valid[1:] & (steps_s <= max_gap_s)
        position = np.where(valid[:, None], ego.translation_m, 0.0)
        rotation = np.where(valid[:, None, None], ego.rotation, np.eye(3))
        turn = Rotation.from_matrix(np.swapaxes(rotation[:-1], 1, 2) @ rotation[1:]).as_rotvec()
        times_s = (ego.timestamps_ns - ego.timestamps_ns[0]) / 1e9
        return Motion(
            ego.timestamps_ns,
            valid,
            known,
            np.concatenate([[0], np.cumsum(~known)]).astype(np.int64),
            position,
            _tangents(times_s, position, known),
            rotation,
            np.where(known[:, None], turn, 0.0),
            np.where(valid, ego.speed_mps, 0.0),
        )

    def known(self, from_ns: Int64[np.ndarray, "*m"], to_ns: Int64[np.ndarray, "*m"]) -> Bool[np.ndarray, "*m"]:
        """Whether the motion is known all the way between two times, in either order."""
        first, last = np.minimum(from_ns, to_ns), np.maximum(from_ns, to_ns)
        times = self.timestamps_ns
        inside = (first >= times[0]) & (last <= times[-1])
        start = np.clip(np.searchsorted(times, first, side="right") - 1, 0, len(times) - 1)
        end = np.clip(np.searchsorted(times, last, side="left"), 0, len(times) - 1)
        unbroken = self.breaks_before[np.maximum(end, start)] == self.breaks_before[start]
        return inside & unbroken & self.valid[start]

    def position_m(self, at_ns: Int64[np.ndarray, "*m"]) -> Float64[np.ndarray, "*m 3"]:
        """Position in the world frame."""
        left, f, step_s = self._place(at_ns)
        f, h = f[..., None], step_s[..., None]
        start, end = self.translation_m[left], self.translation_m[left + 1]
        return (
            (1 + 2 * f) * (1 - f) ** 2 * start
            + f * (1 - f) ** 2 * h * self.velocity_mps[left]
            + f**2 * (3 - 2 * f) * end
            + f**2 * (f - 1) * h * self.velocity_mps[left + 1]
        )

    def rotation_at(self, at_ns: Int64[np.ndarray, "*m"]) -> Float64[np.ndarray, "*m 3 3"]:
        """`world_from_ego`, turning at a constant rate between samples."""
        left, f, _ = self._place(at_ns)
        turns = Rotation.from_rotvec((f[..., None] * self.turn_rad[left]).reshape(-1, 3)).as_matrix()
        return self.rotation[left] @ turns.reshape(*at_ns.shape, 3, 3)

    def speed_mps(self, at_ns: Int64[np.ndarray, "*m"]) -> Float64[np.ndarray, "*m"]:
        """Speed, linear between samples."""
        left, f, _ = self._place(at_ns)
        return self.speeds_mps[left] + f * (self.speeds_mps[left + 1] - self.speeds_mps[left])

    def _place(
        self, at_ns: Int64[np.ndarray, "*m"]
    ) -> tuple[Int64[np.ndarray, "*m"], Float64[np.ndarray, "*m"], Float64[np.ndarray, "*m"]]:
        """Left neighbour, fraction of the way to the next, and the length of the step in seconds."""
        times = self.timestamps_ns
        left = np.clip(np.searchsorted(times, at_ns, side="right") - 1, 0, len(times) - 2).astype(np.int64)
        step_ns = times[left + 1] - times[left]
        return left, np.clip((at_ns - times[left]) / step_ns, 0.0, 1.0), step_ns / 1e9


def _tangents(
    times_s: Float64[np.ndarray, " n"], values: Float64[np.ndarray, "n 3"], known_interval: Bool[np.ndarray, " n-1"]
) -> Float64[np.ndarray, "n 3"]:
    """Derivative at each sample, from the samples of the same unbroken run only; zero where a run has one sample."""
    result = np.zeros_like(values)
    edges = np.flatnonzero(~known_interval) + 1
    for run in np.split(np.arange(len(times_s)), edges):
        if len(run) >= 2:
            order: Literal[1, 2] = 2 if len(run) >= 3 else 1
            result[run] = np.gradient(values[run], times_s[run], axis=0, edge_order=order)
    return result
