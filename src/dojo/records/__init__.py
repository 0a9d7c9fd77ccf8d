"""The nouns that stages exchange: frozen, with no behaviour beyond checking themselves.

In the order of the sentence: a `Drive` is cut into `Clip`s, loaded as a `Batch`, turned by a policy into
`Plans`, judged in a `Report`.
"""

from dojo.records.batch import Batch
from dojo.records.clip import DESIRES, SPLITS, TRAJECTORY_TIMES_S, Clip
from dojo.records.drive import CameraStream, Drive, EgoMotion, Provenance, Rejection, Signal, Telemetry
from dojo.records.report import Estimate
from dojo.records.trajectory import SIGHT_RANGES_M, Plans
from dojo.records.video import Frame, VideoChunk

__all__ = [
    "DESIRES",
    "SIGHT_RANGES_M",
    "SPLITS",
    "TRAJECTORY_TIMES_S",
    "Batch",
    "CameraStream",
    "Clip",
    "Drive",
    "EgoMotion",
    "Estimate",
    "Frame",
    "Plans",
    "Provenance",
    "Rejection",
    "Signal",
    "Telemetry",
    "VideoChunk",
]
