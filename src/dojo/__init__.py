"""A fleet's drives are cut into clips, loaded as batches, learned by a policy, judged by rollouts, sealed in a
bundle, and driven as commands. And the machine that trains it: number formats make a chip, chips and links make a
pod, a compiler partitions work across it, a simulator times it, and a planner chooses.
"""

from dojo.errors import DojoError
from dojo.geometry import MODEL_VIEW, Camera, Rigid
from dojo.records import (
    TRAJECTORY_TIMES_S,
    Batch,
    CameraStream,
    Clip,
    Drive,
    EgoMotion,
    Estimate,
    Frame,
    Plans,
    Provenance,
    Rejection,
    Signal,
    Telemetry,
    VideoChunk,
)

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022  # in the order of the sentence, not of the alphabet
    "Drive",
    "CameraStream",
    "Telemetry",
    "Signal",
    "EgoMotion",
    "Provenance",
    "Rejection",
    "Frame",
    "VideoChunk",
    "Clip",
    "TRAJECTORY_TIMES_S",
    "Batch",
    "Plans",
    "Estimate",
    "MODEL_VIEW",
    "Camera",
    "Rigid",
    "DojoError",
]
