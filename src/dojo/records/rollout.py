"""A rollout: what happened when a policy drove, and the scenario that it drove in.

Idea: a scenario says everything that decides a rollout, as plain values, so that its hash names the case and its seed
repeats it; a rollout holds everything that metrics and videos ask for, so that judging needs no simulator. The facts of
each moment (`Truth`) are the simulator's to state; whether they end a rollout is decided where it is driven
(`evaluate/rollout.py`).
Frames: *world* is east-north-up in metres, as the simulator has it; the ego frame is that of `dojo.geometry`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from dojo.errors import RecordError
from dojo.geometry import Camera
from dojo.records.clip import DESIRES
from dojo.records.trajectory import Plans
from dojo.records.video import Frame

CENTRE_AHEAD_M = np.arange(0.0, 101.0, 4.0)
"""Distances ahead at which a simulator says where the lane runs."""

Ended = Literal["time_over", "road_over", "left_lane", "off_road", "contact", "not_shown"]
INTERVENTIONS: tuple[Ended, ...] = ("left_lane", "off_road", "not_shown")
"""Ends at which a human would have had to take over; a contact is one where the ego was at fault."""

Contact = Literal["none", "at_fault", "not_at_fault"]


@dataclass(frozen=True)
class Request:
    """The driver asks for something and goes on asking until it is done, as with the blinker's lever.

    Args:
        desire: one of `DESIRES`.
        at_s: after the start. `kept_s`: how long at most; assumed: who has blinked for ten seconds in vain gives up.
    """

    desire: str
    at_s: float
    kept_s: float = 10.0

    def __post_init__(self) -> None:
        if self.desire not in DESIRES[1:]:
            raise RecordError(f"request: expected one of {DESIRES[1:]}, got {self.desire!r}")
        if not (self.at_s >= 0 and self.kept_s >= 0):
            raise RecordError(f"request: expected times from zero, got at_s {self.at_s}, kept_s {self.kept_s}")


@dataclass(frozen=True)
class EgoPlant:
    """In what the vehicle of one scenario differs from what its controller believes.

    Args:
        steering_delay_s: between the asked and the begun turn of the wheels.
        steering_gain: turn of the wheels per turn that the controller believes to ask for.
        curvature_bias_per_m: added to every turn: wheels out of line, a road that slopes to the side.
        wind_mps2: deviation of the lateral acceleration that gusts push with.
        length_m, width_m: of the body. `rear_overhang_m`: how far it reaches behind the rear axle.
        seed: of the gusts, and of whatever else the plant draws.
    """

    steering_delay_s: float = 0.2
    steering_gain: float = 1.0
    curvature_bias_per_m: float = 0.0
    wind_mps2: float = 0.0
    length_m: float = 4.7
    width_m: float = 1.85
    rear_overhang_m: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.steering_delay_s <= 1 and 0.5 <= self.steering_gain <= 2 and self.wind_mps2 >= 0):
            raise RecordError(
                "ego plant: expected a delay within 1 s, a gain from 0.5 to 2 and wind that is not negative, got "
                f"{self.steering_delay_s} s, {self.steering_gain} and {self.wind_mps2} m/s2"
            )
        if min(self.length_m, self.width_m) <= 0:
            raise RecordError(f"ego plant: expected a body with a size, got {self.length_m} m by {self.width_m} m")


@dataclass(frozen=True)
class Disturbance:
    """What is made harder than the scenario itself.

    Args:
        latency_s: added between a picture and the plan made from it.
        dropped_share: of the pictures that never arrive.
        camera_yaw_rad: the camera looks this much further left than its calibration says.
        weather: in place of the scenario's own; empty leaves it. A simulator refuses what it cannot show.
    """

    latency_s: float = 0.0
    dropped_share: float = 0.0
    camera_yaw_rad: float = 0.0
    weather: str = ""

    def __post_init__(self) -> None:
        if not (0 <= self.latency_s <= 2 and 0 <= self.dropped_share < 1 and abs(self.camera_yaw_rad) <= 0.35):
            raise RecordError(
                "disturbance: expected a latency within 2 s, a share of dropped pictures below 1 and a yaw within 0.35 "
                f"rad, got {self.latency_s} s, {self.dropped_share} and {self.camera_yaw_rad} rad"
            )


@dataclass(frozen=True)
class Goal:
    """What a rollout must do to count as completed, beside ending without an intervention or a contact.

    Args:
        lanes_left: where it must end, in lanes to the left of the lane it began in; negative is to the right.
        within_m, settle_s: over the last `settle_s`, it is no further than `within_m` from that lane's centre on
            average.
        stands: it comes to a stop, and drives on again.
        max_lateral_mps2: never felt more than this sideways (smoothed over half a second).
        min_pace: average speed over the reference's, so that standing still completes nothing.
    """

    lanes_left: int = 0
    within_m: float = math.inf
    settle_s: float = 3.0
    stands: bool = False
    max_lateral_mps2: float = math.inf
    min_pace: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """One case: where it plays, what is asked, what is wrong, and how long it lasts.

    Args:
        scenario_id: unique within a run. `suite`, `variant`: what it belongs to; the plain variant has no name.
        place: the simulator's own parameters, plain values that its documentation names.
        seed: decides everything else that the simulator draws.
        start_offset_m, start_yaw_rad: relative to the lane, or to the recorded line: to the left.
        start_speed_mps: None leaves it to the simulator: what a human would drive there.
    """

    scenario_id: str
    suite: str
    place: Mapping[str, str | float | int | bool]
    seed: int
    duration_s: float
    variant: str = ""
    start_offset_m: float = 0.0
    start_yaw_rad: float = 0.0
    start_speed_mps: float | None = None
    requests: tuple[Request, ...] = ()
    plant: EgoPlant = field(default_factory=EgoPlant)
    disturbance: Disturbance = field(default_factory=Disturbance)
    goal: Goal = field(default_factory=Goal)

    def __post_init__(self) -> None:
        if not self.scenario_id or not self.suite:
            raise RecordError("scenario: expected an id and a suite, got an empty one")
        if not (0 < self.duration_s < math.inf and self.seed >= 0):
            raise RecordError(
                f"scenario {self.scenario_id}: expected a finite duration and a seed from zero, got {self.duration_s} "
                f"s and seed {self.seed}"
            )


@dataclass(frozen=True)
class EgoState:
    """Where the ego is and how it moves: its rear axle in the world, yaw counter-clockwise from east."""

    time_s: float
    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float
    acceleration_mps2: float = 0.0
    yaw_rate_radps: float = 0.0


@dataclass(frozen=True)
class Start:
    """How a scenario begins.

    Args:
        ego: at time 0.
        camera: of the pictures, mounted in the ego frame: `MODEL_VIEW`, moved to where this vehicle carries it.
        traffic_right: traffic keeps right.
        recorded_camera: whose pictures `camera` shows a part of; None where nothing was resampled.
    """

    ego: EgoState
    camera: Camera
    traffic_right: bool = True
    recorded_camera: Camera | None = None


@dataclass(frozen=True)
class Observation:
    """What there is to be seen at one moment; only the frame is for the policy, the rest is for people and experts.

    Args:
        frame: the picture in `Start.camera`, YUV420 of 512 x 256.
        centre_m: the centre of the lane that the ego is in (or the recorded line), in the ego frame, at
            `CENTRE_AHEAD_M` along it from beside the ego; where `centre_valid`.
        others_m: other vehicles: x, y of the middle of the body, yaw in the ego frame, length, width.
    """

    frame: Frame
    centre_m: Float32[np.ndarray, "26 3"]
    centre_valid: Bool[np.ndarray, " 26"]
    others_m: Float32[np.ndarray, "others 5"]


@dataclass(frozen=True)
class Truth:
    """The facts of one moment.

    Args:
        offset_m: of the ego's rear axle, to the left of the centre of the lane that it is in (or of the recorded line).
        heading_error_rad: of the ego to the left of the lane's direction.
        lanes_left: which lane that is, in lanes to the left of the one it began in.
        lane_width_m: of that lane.
        progress_m: along the road since the start.
        curvature_per_m: of the lane here, left positive.
        reference_mps: speed at which a human drives here, traffic aside (or drove here).
        gap_m, closing_mps: from the front bumper to the nearest body in the path, infinite where there is none, and how
            fast it shrinks.
        contact: whether the ego touches another body, and whether that is its fault.
        off_road: a part of the body is over the edge of the pavement, or the ego is in a lane of oncoming traffic.
        shown: False where the simulator cannot show the road from: more than 4 m from a recorded line, for example.
        road_over: the road or the recording ends here, which is nobody's fault.
    """

    offset_m: float
    heading_error_rad: float
    lanes_left: int
    lane_width_m: float
    progress_m: float
    curvature_per_m: float
    reference_mps: float
    gap_m: float = math.inf
    closing_mps: float = 0.0
    contact: Contact = "none"
    off_road: bool = False
    shown: bool = True
    road_over: bool = False

    @property
    def across_m(self) -> float:
        """To the left of the centre of the lane that the ego began in."""
        return self.lanes_left * self.lane_width_m + self.offset_m


@dataclass(frozen=True)
class Rollout:
    """What happened; one row per control step ("steps"), and one per picture ("ticks").

    Args:
        ended: why it ended. `at_fault`: it ended in a contact that was the ego's fault.
        x_m ... yaw_rate_radps: the ego, as in `EgoState`; the rest as in `Truth`.
        asked_curvature_per_m, asked_acceleration_mps2: what the controller asked for, after each step's moment.
        tick_step: index of the step at which each picture was taken.
        answered: False where no plan was made from the picture: it was dropped, or is the first.
        plans: one for each picture; a straight, flat one where not `answered`.
        centre_m, centre_valid, others_m: as in `Observation`, at each tick.
        desire: index into `DESIRES` of what the driver asked for at each tick; empty where nobody asked for anything.
        frames: the pictures, empty unless they were asked to be kept.
        recorded_camera: as in `Start`.
    """

    scenario: Scenario
    camera: Camera
    ended: Ended
    at_fault: bool
    times_s: Float64[np.ndarray, " steps"]
    x_m: Float64[np.ndarray, " steps"]
    y_m: Float64[np.ndarray, " steps"]
    yaw_rad: Float64[np.ndarray, " steps"]
    speed_mps: Float64[np.ndarray, " steps"]
    acceleration_mps2: Float64[np.ndarray, " steps"]
    yaw_rate_radps: Float64[np.ndarray, " steps"]
    offset_m: Float64[np.ndarray, " steps"]
    heading_error_rad: Float64[np.ndarray, " steps"]
    lanes_left: Float64[np.ndarray, " steps"]
    lane_width_m: Float64[np.ndarray, " steps"]
    progress_m: Float64[np.ndarray, " steps"]
    curvature_per_m: Float64[np.ndarray, " steps"]
    reference_mps: Float64[np.ndarray, " steps"]
    gap_m: Float64[np.ndarray, " steps"]
    closing_mps: Float64[np.ndarray, " steps"]
    asked_curvature_per_m: Float64[np.ndarray, " steps"]
    asked_acceleration_mps2: Float64[np.ndarray, " steps"]
    tick_step: tuple[int, ...]
    answered: Bool[np.ndarray, " ticks"]
    plans: Plans
    centre_m: Float32[np.ndarray, "ticks 26 3"]
    centre_valid: Bool[np.ndarray, "ticks 26"]
    others_m: tuple[Float32[np.ndarray, "_ 5"], ...]
    frames: tuple[Frame, ...] = ()
    desire: Int64[np.ndarray, " _ticks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    recorded_camera: Camera | None = None

    def __post_init__(self) -> None:
        steps = len(self.times_s)
        uneven = [
            name
            for name in (f.name for f in fields(self))
            if name.endswith(("_m", "_mps", "_mps2", "_rad", "_radps", "_per_m", "lanes_left"))
            and name not in ("centre_m", "others_m")
            and len(getattr(self, name)) != steps
        ]
        ticks = len(self.tick_step)
        optional = {len(self.frames), len(self.desire)} - {0, ticks}
        if uneven or len(self.answered) != ticks or len(self.others_m) != ticks or optional:
            raise RecordError(
                f"rollout {self.scenario.scenario_id}: expected {steps} steps and {ticks} pictures throughout, got "
                f"another number of {', '.join(uneven) or 'pictures'}"
            )

    @property
    def intervention(self) -> bool:
        """Whether a human would have had to take over."""
        return self.ended in INTERVENTIONS or (self.ended == "contact" and self.at_fault)

    @property
    def across_m(self) -> Float64[np.ndarray, " steps"]:
        """To the left of the centre of the lane that the ego began in."""
        return self.lanes_left * self.lane_width_m + self.offset_m
