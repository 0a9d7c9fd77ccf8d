"""The pictures that a network sees at once, from those that a camera delivers.

In: frames as they come, with the speed and the driver's wish of their moment. Out: the inputs of the network.
Idea: the camera may be faster than the network's steps; from a ring of packed pictures those are taken that lie nearest
to whole steps before the newest. All memory is made once.
Not here: the network (`model.py`).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from dojo.records import DESIRES, BundleManifest, Frame
from dojo.records.pack import pack

_DESIRES = {1: DESIRES.index("lane_change_left"), -1: DESIRES.index("lane_change_right"), 0: 0}
_NO_TIME = -(1 << 61)


class Window:
    """The newest pictures, and the network's inputs made of them; `inputs` are the same arrays at all times.

    Args:
        frame_every_s: how fast the camera is.
        traffic_right: traffic keeps right where this vehicle drives.
    """

    def __init__(self, manifest: BundleManifest, frame_every_s: float, traffic_right: bool = True) -> None:
        self._anchors, self._tick_ns = manifest.anchors, round(manifest.tick_s * 1e9)
        slots = math.ceil(manifest.anchors * manifest.tick_s / frame_every_s) + 2
        view = manifest.camera.view
        half = (view.height_px // 2, view.width_px // 2)
        self._ring: UInt8[np.ndarray, "slots 6 rows columns"] = np.zeros((slots, 6, *half), np.uint8)
        self._times: Int64[np.ndarray, " slots"] = np.full(slots, _NO_TIME, np.int64)
        self._speeds: Float32[np.ndarray, " slots"] = np.zeros(slots, np.float32)
        self._known: Bool[np.ndarray, " slots"] = np.zeros(slots, np.bool_)
        self._wishes = np.zeros(slots, np.int64)
        self._newest = 0
        self.inputs: dict[str, np.ndarray] = {
            "frames": np.zeros((1, self._anchors + 1, 6, *half), np.uint8),
            "speed_mps": np.zeros((1, self._anchors), np.float32),
            "speed_valid": np.zeros((1, self._anchors), np.bool_),
            "desire": np.zeros((1, self._anchors, len(DESIRES)), np.float32),
            "traffic_right": np.full(1, traffic_right, np.bool_),
        }

    @property
    def newest_ns(self) -> int:
        """When the newest picture was taken; long ago where there is none."""
        return int(self._times[self._newest])

    @property
    def ready(self) -> bool:
        """Whether pictures a step apart are there: one alone shows no motion."""
        oldest_ns = int(self._times[self._times > _NO_TIME].min(initial=self.newest_ns))
        return self.newest_ns - oldest_ns >= 0.9 * self._tick_ns

    def show(self, frame: Frame, speed_mps: float | None, blinker: int) -> bool:
        """Whether the frame is newer than those before; then it is kept.

        Args:
            speed_mps: None where it is unknown. `blinker`: 1 left, -1 right, 0 none.
        """
        if frame.timestamp_ns <= self.newest_ns:
            return False
        self._newest = (self._newest + 1) % len(self._times)
        pack(frame, self._ring[self._newest])
        self._times[self._newest] = frame.timestamp_ns
        self._speeds[self._newest] = 0.0 if speed_mps is None else speed_mps
        self._known[self._newest] = speed_mps is not None
        self._wishes[self._newest] = _DESIRES[blinker]
        return True

    def fill(self) -> int:
        """Put the newest window into `inputs`; when its last picture was taken.

        A picture that is missing is stood in for by its nearest neighbour in time.
        """
        newest, inputs = self.newest_ns, self.inputs
        for place in range(self._anchors + 1):
            wanted = newest - (self._anchors - place) * self._tick_ns
            # What was never filled is so long ago that anything is nearer.
            slot = int(np.abs(self._times - wanted).argmin())
            inputs["frames"][0, place] = self._ring[slot]
            if place > 0:
                inputs["speed_mps"][0, place - 1] = self._speeds[slot]
                inputs["speed_valid"][0, place - 1] = self._known[slot]
                inputs["desire"][0, place - 1] = 0.0
                inputs["desire"][0, place - 1, self._wishes[slot]] = 1.0
        return newest
