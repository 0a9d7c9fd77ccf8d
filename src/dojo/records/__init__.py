"""The nouns that stages exchange: frozen, with no behaviour beyond checking themselves.

In the order of the sentence: a `Drive` is cut into `Clip`s, loaded as a `Batch`, turned by a policy into
`Plans`, judged by the `Rollout` of a `Scenario`, each figure an `Estimate`, sealed in a bundle with a
`BundleManifest`, and driven as a `Command`.
"""

from dojo.records.batch import Batch
from dojo.records.bundle import (
    BundleFile,
    BundleManifest,
    CameraContract,
    SignalContract,
    TensorContract,
    ViewContract,
)
from dojo.records.clip import DESIRES, SPLITS, TRAJECTORY_TIMES_S, Clip
from dojo.records.command import Command, DriverInput, VehicleState
from dojo.records.drive import CameraStream, Drive, EgoMotion, Provenance, Rejection, Signal, Telemetry
from dojo.records.report import Estimate
from dojo.records.rollout import (
    CENTRE_AHEAD_M,
    INTERVENTIONS,
    Contact,
    Disturbance,
    EgoPlant,
    EgoState,
    Ended,
    Goal,
    Observation,
    Request,
    Rollout,
    Scenario,
    Start,
    Truth,
)
from dojo.records.trajectory import SIGHT_RANGES_M, Plans
from dojo.records.video import Frame, VideoChunk

__all__ = [
    "CENTRE_AHEAD_M",
    "DESIRES",
    "INTERVENTIONS",
    "SIGHT_RANGES_M",
    "SPLITS",
    "TRAJECTORY_TIMES_S",
    "Batch",
    "BundleFile",
    "BundleManifest",
    "CameraContract",
    "CameraStream",
    "Clip",
    "Command",
    "Contact",
    "Disturbance",
    "Drive",
    "DriverInput",
    "EgoMotion",
    "EgoPlant",
    "EgoState",
    "Ended",
    "Estimate",
    "Frame",
    "Goal",
    "Observation",
    "Plans",
    "Provenance",
    "Rejection",
    "Request",
    "Rollout",
    "Scenario",
    "Signal",
    "SignalContract",
    "Start",
    "Telemetry",
    "TensorContract",
    "Truth",
    "VehicleState",
    "VideoChunk",
    "ViewContract",
]
