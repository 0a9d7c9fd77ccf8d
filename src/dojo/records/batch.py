"""A batch: what a policy learns from in one step, as plain arrays.

Idea: NumPy arrays, not tensors, so that loading needs no torch and `torch.from_numpy` shares their memory.
Frames stay packed YUV420 until the model has them: a third fewer bytes than RGB and no colour conversion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8


@dataclass(frozen=True)
class Batch:
    """Clips side by side; axis names as in `Clip`.

    Args:
        frames: packed YUV420 of the model view: channels 0-3 the luma of pixels (even row, even column), (odd row,
            even column), (even row, odd column), (odd row, odd column); 4 and 5 the two chroma planes.
            Source of the layout: openpilot selfdrive/modeld (loadyuv). `frames[:, t]` and `frames[:, t + 1]` are the
            pair that anchor t sees.
        camera_height_m: height of the camera over the ground; the only part of the mounting left in the picture.
        position_m ... ego_rates: targets, as in `Clip`.
        speed_now_mps: speed at each anchor, a possible input; `speed_now_valid` where known.
        desire: one-hot over `DESIRES`.
        traffic_right: True where traffic keeps right.
        clip_ids: which clips these are, for the ledger and for reports.
    """

    frames: UInt8[np.ndarray, "batch frames 6 rows columns"]
    camera_height_m: Float32[np.ndarray, " batch"]
    position_m: Float32[np.ndarray, "batch anchors 33 3"]
    yaw_rad: Float32[np.ndarray, "batch anchors 33"]
    speed_mps: Float32[np.ndarray, "batch anchors 33"]
    valid: Bool[np.ndarray, "batch anchors 33"]
    curvature_per_m: Float32[np.ndarray, "batch anchors"]
    acceleration_mps2: Float32[np.ndarray, "batch anchors"]
    action_valid: Bool[np.ndarray, "batch anchors"]
    ego_rates: Float32[np.ndarray, "batch anchors 6"]
    speed_now_mps: Float32[np.ndarray, "batch anchors"]
    speed_now_valid: Bool[np.ndarray, "batch anchors"]
    desire: Float32[np.ndarray, "batch anchors 8"]
    traffic_right: Bool[np.ndarray, " batch"]
    anchor_timestamps_ns: Int64[np.ndarray, "batch anchors"]
    clip_ids: tuple[str, ...]
