"""A road to drive on without drawing it: a simulator whose pictures tell everything, and policies that read them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from dojo.geometry import MODEL_VIEW
from dojo.records import (
    CENTRE_AHEAD_M,
    DESIRES,
    TRAJECTORY_TIMES_S,
    EgoState,
    Frame,
    Observation,
    Plans,
    Scenario,
    Start,
    Truth,
)

LANE_M = 3.5
CENTRE_PLACES = len(CENTRE_AHEAD_M)


def written(numbers) -> Frame:
    """A picture whose first luma pixels, every second of the first row, are the bytes of these numbers."""
    luma = np.zeros((256, 512), np.uint8)
    data = np.frombuffer(np.asarray(numbers, np.float32).tobytes(), np.uint8)
    luma[0, : 2 * len(data) : 2] = data
    return Frame(0, luma, np.full((128, 256), 128, np.uint8), np.full((128, 256), 128, np.uint8))


def read(packed, count):
    """The numbers that a packed picture was written with; (even row, even column) pixels are channel 0."""
    return np.frombuffer(packed[0, 0, : 4 * count].tobytes(), np.float32)


@dataclass(frozen=True)
class Road:
    """The state of a circle: its curvature, and where a wall stands, if anywhere."""

    curvature_per_m: float
    wall_m: float = math.inf
    start_lane: int = 0


class Circle:
    """A road of one curvature with two lanes to the left of the first; a value all the way."""

    def __init__(self) -> None:
        self.ended = 0

    def begin(self, scenario: Scenario) -> tuple[Road, Start]:
        road = Road(float(scenario.place.get("curvature", 0.0)), float(scenario.place.get("wall_m", math.inf)))
        speed = 15.0 if scenario.start_speed_mps is None else scenario.start_speed_mps
        ego = EgoState(0.0, 0.0, scenario.start_offset_m, scenario.start_yaw_rad, speed)
        return road, Start(ego, MODEL_VIEW)

    def place(self, road: Road, ego: EgoState) -> tuple[float, float, float]:
        """Along, across (left of the first lane's centre) and heading error."""
        k = road.curvature_per_m
        if k == 0:
            return ego.x_m, ego.y_m, ego.yaw_rad
        # The centre of the circle is at (0, 1/k): to the left for a positive curvature.
        side, radius = math.copysign(1.0, k), 1 / abs(k)
        away = math.hypot(ego.x_m, ego.y_m - 1 / k)
        turned = math.atan2(ego.x_m, side * (1 / k - ego.y_m))
        return turned * radius, side * (radius - away), math.remainder(ego.yaw_rad - side * turned, 2 * math.pi)

    def truth(self, road: Road, ego: EgoState) -> Truth:
        along, across, heading = self.place(road, ego)
        lane = max(0, min(1, round(across / LANE_M)))
        gap = road.wall_m - along - 3.75
        return Truth(
            offset_m=across - lane * LANE_M,
            heading_error_rad=heading,
            lanes_left=lane,
            lane_width_m=LANE_M,
            progress_m=along,
            curvature_per_m=road.curvature_per_m,
            reference_mps=15.0,
            gap_m=gap,
            closing_mps=ego.speed_mps if math.isfinite(gap) else 0.0,
            contact="at_fault" if gap < 0 else "none",
            off_road=abs(across) > 6.0,
        )

    def observe(self, road: Road, ego: EgoState) -> Observation:
        truth = self.truth(road, ego)
        k, ahead = road.curvature_per_m, CENTRE_AHEAD_M
        # The lane's centre from beside the ego, in the road's direction there, then turned into the ego frame.
        turn = k * ahead
        x = np.where(np.abs(turn) > 1e-9, np.sin(turn) / np.where(k == 0, 1, k), ahead)
        y = np.where(np.abs(turn) > 1e-9, (1 - np.cos(turn)) / np.where(k == 0, 1, k), 0.0) - truth.offset_m
        c, s = math.cos(-truth.heading_error_rad), math.sin(-truth.heading_error_rad)
        centre = np.stack([c * x - s * y, s * x + c * y, np.zeros_like(x)], -1).astype(np.float32)
        frame = written([*centre[:, :2].reshape(-1), ego.speed_mps, truth.gap_m, truth.offset_m])
        others = np.zeros((0, 5), np.float32)
        if math.isfinite(road.wall_m):
            others = np.array([[truth.gap_m + 3.75, 0.0, 0.0, 1.0, 3.0]], np.float32)
        return Observation(frame, centre, np.ones(CENTRE_PLACES, np.bool_), others)

    def step(self, road: Road, ego: EgoState, dt_s: float) -> Road:
        return replace(road)

    def end(self, road: Road) -> None:
        self.ended += 1


def path_to(centre_m, speed_mps):
    """Positions at the trajectory times: back to the line within three seconds on a quintic, at a constant speed.

    The line is given in the ego frame, from beside the ego.
    """
    along = np.minimum(speed_mps * TRAJECTORY_TIMES_S, CENTRE_AHEAD_M[-1])
    line = CubicSpline(CENTRE_AHEAD_M, centre_m)
    tangent = line(along, 1)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    offset, slope = -normal[0] @ centre_m[0], -tangent[0, 1] / tangent[0, 0]
    way = max(3.0 * speed_mps, 8.0)
    t = np.clip(along / way, 0, 1)
    fade = offset * (1 - t**3 * (10 - 15 * t + 6 * t**2)) + slope * way * (t - t**3 * (6 - 8 * t + 3 * t**2))
    points = line(along) + normal * fade[:, None]
    return np.concatenate([points, np.zeros((33, 1))], 1).astype(np.float32)


def plans_of(positions) -> Plans:
    """Plans of one hypothesis each."""
    count = len(positions)
    return Plans(
        np.stack(positions)[:, None],
        np.full((count, 1, 33, 3), 0.1, np.float32),
        np.ones((count, 1), np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
    )


class LaneKeeper:
    """Drives back to the lane's centre; stops before a wall if told to."""

    def __init__(self, *, brakes: bool = False) -> None:
        self.brakes = brakes
        self.shapes: list[tuple[int, ...]] = []
        self.desires: list[np.ndarray] = []

    def __call__(self, frames, speed_mps, speed_valid, desire, traffic_right):
        self.shapes.append(frames.shape)
        self.desires.append(desire.argmax(-1))
        positions = []
        for window in frames:
            numbers = read(window[-1], 2 * CENTRE_PLACES + 3)
            centre = numbers[: 2 * CENTRE_PLACES].reshape(-1, 2).astype(np.float64)
            speed, gap = float(numbers[-3]), float(numbers[-2])
            position = path_to(centre, max(speed, 0.1))
            if self.brakes and gap < 60:
                # Constant braking that ends five metres before the wall.
                brake = speed**2 / (2 * max(gap - 5.0, 0.5))
                when = np.minimum(TRAJECTORY_TIMES_S, speed / max(brake, 1e-3))
                position = position * 0
                position[:, 0] = speed * when - brake * when**2 / 2
            positions.append(position)
        return plans_of(positions)


class ChangesLane(LaneKeeper):
    """Aims one lane to the left from the first request on."""

    def __call__(self, frames, speed_mps, speed_valid, desire, traffic_right):
        plans = super().__call__(frames, speed_mps, speed_valid, desire, traffic_right)
        self.asked = getattr(self, "asked", False) or bool(
            (desire.argmax(-1) == DESIRES.index("lane_change_left")).any()
        )
        if not self.asked:
            return plans
        positions = []
        for window in frames:
            numbers = read(window[-1], 2 * CENTRE_PLACES + 3)
            centre = numbers[: 2 * CENTRE_PLACES].reshape(-1, 2).astype(np.float64)
            in_first = centre[0, 1] < 0 or abs(centre[0, 1]) < LANE_M / 2
            centre[:, 1] += LANE_M if self.first(numbers[-1], in_first) else 0.0
            positions.append(path_to(centre, float(numbers[-3])))
        return plans_of(positions)

    def first(self, offset_m, in_first):
        """Whether the ego is still in the first lane: the offset jumps when it enters the second."""
        previous = getattr(self, "previous", 0.0)
        self.previous = float(offset_m)
        if previous - offset_m > LANE_M / 2:
            self.arrived = True
        return not getattr(self, "arrived", False)


def straight_on(frames, speed_mps, speed_valid, desire, traffic_right):
    """A policy that sees nothing."""
    x = np.stack([np.append(speed[-1], 0)[0] * TRAJECTORY_TIMES_S for speed in speed_mps])
    return plans_of([np.stack([row, 0 * row, 0 * row], -1).astype(np.float32) for row in x])
