"""The model of a bundle, as rollouts ask a policy.

In: the folder of a bundle. Out: plans.
Idea: an exported model has one length of window, that of training; a rollout begins with shorter ones. Until enough
pictures have come, the oldest stands in for those before it, as if the vehicle had just stood there.
Not here: the model's runtime in a vehicle (`drive/`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dojo.model.inference import INPUTS, OUTPUTS
from dojo.records import Plans
from dojo.release.bundle import MANIFEST
from dojo.release.export import OnnxModel


class BundleDriver:
    """One plan for the last anchor of each window."""

    def __init__(self, folder: Path) -> None:
        self._model = OnnxModel((folder / "model.onnx").read_bytes())
        self.anchors = int(json.loads((folder / MANIFEST).read_bytes())["anchors"])

    def __call__(
        self,
        frames: UInt8[np.ndarray, "batch frames 6 128 256"],
        speed_mps: Float32[np.ndarray, "batch anchors"],
        speed_valid: Bool[np.ndarray, "batch anchors"],
        desire: Float32[np.ndarray, "batch anchors 8"],
        traffic_right: Bool[np.ndarray, " batch"],
    ) -> Plans:
        """The plan at the last anchor of each row."""
        windows = [self._whole(array) for array in (frames, speed_mps, speed_valid, desire)]
        answers = [
            self._model(dict(zip(INPUTS, (array[row : row + 1] for array in (*windows, traffic_right)), strict=True)))
            for row in range(len(frames))
        ]
        return Plans(*(np.concatenate([answer[name] for answer in answers]) for name in OUTPUTS))

    def _whole(self, window: np.ndarray) -> np.ndarray:
        """The window at its full length; frames are one more than anchors."""
        wanted = self.anchors + 1 if window.ndim == 5 else self.anchors
        missing = wanted - window.shape[1]
        return np.concatenate([window[:, :1]] * missing + [window], 1)
