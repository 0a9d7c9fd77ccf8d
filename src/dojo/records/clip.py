"""A clip: a stretch of one drive chosen for training, with the path that was really driven from each of its moments.

Idea: a clip holds evenly spaced *anchors* (5 Hz by default). At each anchor a policy sees the frame there and the
frame one step before, and should answer with the future path; a causal temporal model learns from all anchors of
the clip in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from dojo.errors import RecordError

TRAJECTORY_TIMES_S = 10.0 * (np.arange(33) / 32) ** 2
"""Times of a trajectory after its anchor, seconds. Source: openpilot selfdrive/modeld/constants.py (T_IDXS)."""

DESIRES = (
    "none",
    "turn_left",
    "turn_right",
    "lane_change_left",
    "lane_change_right",
    "keep_left",
    "keep_right",
    "blinker",
)
"""What the driver asks for, from the moment of asking until it is done. Source: the eight slots of openpilot's
`desire`, which hands on only the moment of asking and has a memory of 5 s; told for as long as it lasts, a policy needs
no memory of it."""

SPLITS = ("train", "validation", "excluded")
"""`excluded`: clips that share a road tile or a vehicle with the other side, and so may serve neither."""


@dataclass(frozen=True)
class Clip:
    """A stretch of one drive, seen by one camera.

    Args:
        clip_id: hash of drive, camera, times and of the settings that cut it.
        frame_indices: index into the stored stream of the camera: one frame before the first anchor, then one at
            each anchor, so `anchors + 1` of them.
        anchor_timestamps_ns: true time of each anchor's frame.
        position_m: of the future path in the ego frame at the anchor, at `TRAJECTORY_TIMES_S`.
        yaw_rad, speed_mps: heading relative to the anchor, and speed, at the same times.
        valid: False where the drive ends or the pose is not to be trusted.
        curvature_per_m, acceleration_mps2: what steering and pedals should do at the actuator delay.
        ego_rates: forward, left, up velocity (m/s) and roll, pitch, yaw rate (rad/s) at the anchor.
        desire: index into `DESIRES`, at each anchor; from the blinker's coming on until its going off.
        tiles: geohash tiles touched by the clip and by its future path.
        weight: relative probability of being drawn.
    """

    clip_id: str
    drive_id: str
    vehicle_id: str
    camera: str
    split: str
    tags: tuple[str, ...]
    tiles: tuple[str, ...]
    weight: float
    frame_indices: Int64[np.ndarray, " frames"]
    anchor_timestamps_ns: Int64[np.ndarray, " anchors"]
    position_m: Float32[np.ndarray, "anchors 33 3"]
    yaw_rad: Float32[np.ndarray, "anchors 33"]
    speed_mps: Float32[np.ndarray, "anchors 33"]
    valid: Bool[np.ndarray, "anchors 33"]
    curvature_per_m: Float32[np.ndarray, " anchors"]
    acceleration_mps2: Float32[np.ndarray, " anchors"]
    action_valid: Bool[np.ndarray, " anchors"]
    ego_rates: Float32[np.ndarray, "anchors 6"]
    desire: Int64[np.ndarray, " anchors"]

    def __post_init__(self) -> None:
        anchors = len(self.anchor_timestamps_ns)
        if anchors == 0 or len(self.frame_indices) != anchors + 1:
            raise RecordError(
                f"clip {self.clip_id}: expected one frame more than anchors and at least one anchor, got "
                f"{len(self.frame_indices)} frames and {anchors} anchors"
            )
        if self.split not in SPLITS:
            raise RecordError(f"clip {self.clip_id}: split must be one of {SPLITS}, got {self.split!r}")
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise RecordError(f"clip {self.clip_id}: weight must be finite and not negative, got {self.weight}")
        if not np.isfinite(self.position_m[self.valid]).all():
            raise RecordError(f"clip {self.clip_id}: the target path is NaN or infinite where marked valid")
