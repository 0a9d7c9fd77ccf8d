"""What should have been driven: clips from rollouts, each state labelled with a careful way on from it.

In: rollouts. Out: clips of the drives that they are, their targets not what the policy did but what it should have.
Idea: a policy errs where no human ever was, and there no log says what to do. Wherever its own driving took it, the
line that it should be on is known: the recorded future in a replay, the lane's centre in the simulated world. So every
state has its label: a quintic from the present offset and heading to that line, as short as a comfortable lateral jerk
allows, driven at a speed that a careful driver would choose. It begins with the line's curvature, not the vehicle's:
driven through all delays, labels that begin with the vehicle's own swing (22 of 24 cases of lane centring and 18 of 20
lane changes completed, instead of all). Source of the idea: Ross et al. 2011,
AISTATS (DAgger); of the quintic: Werling et al. 2010, ICRA; of following: Treiber et al. 2000, Phys. Rev. E 62.
Not here: how rollouts come about (`evaluate/rollout.py`), targets of what a human drove (`targets.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.interpolate import CubicSpline

from dojo.curate.targets import MAX_CURVATURE_PER_M, MIN_SPEED_MPS
from dojo.errors import ConfigError
from dojo.records import DESIRES, TRAJECTORY_TIMES_S, Clip, Rollout

_STEP_S = 0.1
_SPANS_S = np.arange(2.0, 8.01, 0.5)
"""How long a way to the line may take. Assumed: 2 to 4 s back from an offset; a lane change takes up to twice that."""
_LEAST_MPS = 4.0
"""Assumed: slower, a way back is as long as at this speed: who stands cannot move sideways."""
_WEIGHED_S, _WEIGHED_M, _WEIGHTS = 3.0, np.array([2.0, 0.5]), (0.5, 4.0)
"""Assumed: the departure that counts as one, after so long, forward and to the left; least and greatest weight."""
_SIDES = {"lane_change_left": 1, "lane_change_right": -1}


@dataclass(frozen=True)
class CorrectConfig:
    """How a careful driver goes on from where a policy got to.

    Args:
        lateral_jerk_mps3, lateral_mps2: largest on the way to the line, beyond the line's own. Assumed: half of what
            ISO 11270 allows lane keeping, and a lane change of 3.5 m then takes 4.5 s.
        acceleration_mps2, braking_mps2, headway_s, standstill_gap_m: of the intelligent driver model, after Treiber et
            al. 2000, table I (0.73, 1.67, 1.6, 2.0). Assumed: earlier braking, more room and twice the gap, because a
            policy sees less far and stops less exactly than people do.
        jerk_mps3: how fast acceleration may change. Assumed.
        actuator_delay_s: time from a command to its effect, for the curvature and acceleration targets.
    """

    lateral_jerk_mps3: float = 2.5
    lateral_mps2: float = 1.5
    acceleration_mps2: float = 1.4
    braking_mps2: float = 1.5
    headway_s: float = 1.8
    standstill_gap_m: float = 4.0
    jerk_mps3: float = 4.0
    actuator_delay_s: float = 0.2

    def __post_init__(self) -> None:
        positive = ("lateral_jerk_mps3", "lateral_mps2", "acceleration_mps2", "braking_mps2", "headway_s", "jerk_mps3")
        wrong = [f"{name} {getattr(self, name)}" for name in positive if not getattr(self, name) > 0]
        if wrong or not 0 < self.actuator_delay_s <= 1:
            raise ConfigError(
                f"correct: expected limits above zero and an actuator_delay_s within 1 s, got {', '.join(wrong)} and "
                f"{self.actuator_delay_s} s"
            )


def corrected(rollout: Rollout, drive_id: str, anchors: int, config: CorrectConfig) -> list[Clip]:
    """Clips one after the other, of everything that the rollout showed.

    Args:
        drive_id: under which the rollout's pictures are stored, one frame for each tick, at the rollout's times.
        anchors: of each clip, as many as the clips have that these are mixed with.
    """
    ways = _ways(rollout, config)
    ticks = len(rollout.tick_step)
    return [
        _clip(rollout, drive_id, np.arange(first, first + anchors + 1), ways)
        for first in range(0, ticks - anchors, anchors)
    ]


@dataclass(frozen=True)
class _Ways:
    """The way on from each tick, in the ego frame there, at `TRAJECTORY_TIMES_S`; zero where not valid."""

    position_m: Float64[np.ndarray, "ticks 33 3"]
    yaw_rad: Float64[np.ndarray, "ticks 33"]
    speed_mps: Float64[np.ndarray, "ticks 33"]
    valid: Bool[np.ndarray, "ticks 33"]
    curvature_per_m: Float64[np.ndarray, " ticks"]
    acceleration_mps2: Float64[np.ndarray, " ticks"]


def _ways(rollout: Rollout, config: CorrectConfig) -> _Ways:
    """The careful way on from every tick."""
    step = np.array(rollout.tick_step)
    speeds, lengths = _speeds(rollout, step, config)
    times = np.arange(speeds.shape[1]) * _STEP_S
    along = np.stack([np.interp(TRAJECTORY_TIMES_S, times, row) for row in lengths])
    speed = np.stack([np.interp(TRAJECTORY_TIMES_S, times, row) for row in speeds])
    away, slope = _beside(rollout, step, along, lengths, config)
    ticks = len(step)
    position, yaw = np.zeros((ticks, 33, 3)), np.zeros((ticks, 33))
    valid = np.zeros((ticks, 33), np.bool_)
    for tick in range(ticks):
        known = rollout.centre_valid[tick]
        count = int(known.argmin()) if not known.all() else len(known)
        if count < 2:
            continue
        line, ends_m = _line(rollout.centre_m[tick, :count].astype(np.float64))
        valid[tick] = along[tick] <= ends_m
        here = np.minimum(along[tick], ends_m)
        tangent = line(here, 1)
        heading = np.arctan2(tangent[:, 1], tangent[:, 0])
        left = np.stack([-np.sin(heading), np.cos(heading), np.zeros(33)], -1)
        position[tick] = line(here) + left * away[tick][:, None]
        yaw[tick] = np.unwrap(heading + np.arctan(slope[tick]))
    # The ego is the origin: what the line's rounding leaves between is taken out.
    position -= position[:, :1]
    position, yaw = np.where(valid[..., None], position, 0.0), np.where(valid, yaw, 0.0)
    speed = np.where(valid, speed, 0.0)
    now = rollout.yaw_rate_radps[step]
    curvature, acceleration = _action(yaw, speed, now, config)
    return _Ways(position, yaw, speed, valid, curvature, acceleration)


def _line(centre_m: Float64[np.ndarray, "places 3"]) -> tuple[CubicSpline, float]:
    """The line over its own length, and how long it is."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(centre_m, axis=0), axis=1))])
    return CubicSpline(along, centre_m), float(along[-1])


# Speed.


def _speeds(
    rollout: Rollout, step: Int64[np.ndarray, " ticks"], config: CorrectConfig
) -> tuple[Float64[np.ndarray, "ticks n"], Float64[np.ndarray, "ticks n"]]:
    """Speed and distance every `_STEP_S` from each tick on, to the end of a trajectory.

    Others are taken to keep their speed; what a human would drive further on is what the rollout got to know of it.
    """
    speed = rollout.speed_mps[step].copy()
    acceleration: Float64[np.ndarray, " ticks"] | None = None
    gap, theirs = rollout.gap_m[step], np.maximum(speed - rollout.closing_mps[step], 0.0)
    progress = np.maximum.accumulate(rollout.progress_m)
    distance = np.zeros(len(step))
    speeds, distances = [speed.copy()], [distance.copy()]
    count = round(TRAJECTORY_TIMES_S[-1] / _STEP_S)
    for number in range(count):
        # A driver looks a moment ahead. Assumed: 0.8 s, as the drivers of the simulated fleet.
        reference = np.interp(rollout.progress_m[step] + distance + 0.8 * speed, progress, rollout.reference_mps)
        left_m = gap + theirs * number * _STEP_S - distance
        wish = _wished(speed, reference, left_m, theirs, config)
        most = config.jerk_mps3 * _STEP_S
        # It begins with what is wished for now, not with what the vehicle does: who learns that starts from its own
        # acceleration learns to go on with it.
        acceleration = wish if acceleration is None else np.clip(wish, acceleration - most, acceleration + most)
        after = np.maximum(speed + acceleration * _STEP_S, 0.0)
        distance = distance + (speed + after) / 2 * _STEP_S
        acceleration = np.where(after > 0, acceleration, np.maximum(acceleration, 0.0))
        speed = after
        speeds.append(speed)
        distances.append(distance)
    return np.stack(speeds, 1), np.stack(distances, 1)


def _wished(
    speed: Float64[np.ndarray, " ticks"],
    reference: Float64[np.ndarray, " ticks"],
    gap_m: Float64[np.ndarray, " ticks"],
    theirs_mps: Float64[np.ndarray, " ticks"],
    config: CorrectConfig,
) -> Float64[np.ndarray, " ticks"]:
    """Acceleration of the intelligent driver model; above the reference, its fall is followed within 0.8 s."""
    free = config.acceleration_mps2 * (1 - np.minimum(speed / np.maximum(reference, 0.1), 4.0) ** 4)
    free = np.maximum(np.minimum(free, (reference - speed) / 0.8), -1.5 * config.braking_mps2)
    closing = speed * (speed - theirs_mps) / (2 * np.sqrt(config.acceleration_mps2 * config.braking_mps2))
    wished_m = config.standstill_gap_m + np.maximum(0.0, speed * config.headway_s + closing)
    near = config.acceleration_mps2 * (wished_m / np.maximum(gap_m, 0.1)) ** 2
    # Source of the limit: ISO 15622:2018, adaptive cruise control, brakes with at most 3.5 m/s2.
    return np.maximum(free - np.where(np.isfinite(gap_m), near, 0.0), -3.5)


# Sideways.


def _beside(
    rollout: Rollout,
    step: Int64[np.ndarray, " ticks"],
    along: Float64[np.ndarray, "ticks 33"],
    lengths: Float64[np.ndarray, "ticks n"],
    config: CorrectConfig,
) -> tuple[Float64[np.ndarray, "ticks 33"], Float64[np.ndarray, "ticks 33"]]:
    """Metres to the left of the centre of the lane that the ego is in, and their slope, along the way."""
    aimed = (_aims(rollout, step) - rollout.lanes_left[step]) * rollout.lane_width_m[step]
    offset = rollout.offset_m[step] - aimed
    slope = np.tan(np.clip(rollout.heading_error_rad[step], -0.5, 0.5))
    start = (offset, slope)
    far = np.maximum(lengths[:, [round(span / _STEP_S) for span in _SPANS_S]], _LEAST_MPS * _SPANS_S)
    way = np.take_along_axis(far, _shortest(start, far, config)[:, None], 1)[:, 0]
    away, ahead = _quintic(start, way, along)[:2]
    return away + aimed[:, None], ahead


def _aims(rollout: Rollout, step: Int64[np.ndarray, " ticks"]) -> Float64[np.ndarray, " ticks"]:
    """The lane to be in at each tick, in lanes to the left of the first: a request counts until it is met or ends."""
    lanes = rollout.lanes_left[step]
    aims, home, was = np.zeros(len(step)), 0.0, 0
    for tick, desire in enumerate(rollout.desire.tolist()):
        side = _SIDES.get(DESIRES[desire], 0)
        if was and not side and lanes[tick] == home + was:
            home += was
        aims[tick], was = home + side, side
    return aims


_Start = tuple[Float64[np.ndarray, " ticks"], Float64[np.ndarray, " ticks"]]
"""Offset from the line, and its slope."""


def _quintic(
    start: _Start, way_m: Float64[np.ndarray, " ticks"], along_m: Float64[np.ndarray, "ticks n"]
) -> tuple[Float64[np.ndarray, "ticks n"], ...]:
    """Offset, slope, bend and its change along the way from a start to the line; nothing beyond its end."""
    length = way_m[:, None]
    offset, slope = start[0][:, None], start[1][:, None] * length
    u, none = np.minimum(along_m / length, 1.0), np.zeros_like(offset)
    # Coefficients of 1, u, ... u^5 that begin at the start, unbent, and end with nothing left.
    parts = (
        offset,
        slope,
        none,
        -10 * offset - 6 * slope,
        15 * offset + 8 * slope,
        -6 * offset - 3 * slope,
    )
    on_the_way = along_m < length
    found, powers = [], np.arange(6)
    for order in range(4):
        factor = np.array([np.prod(power - np.arange(order)) if power >= order else 0.0 for power in powers])
        terms = [
            part * weight * u ** max(power - order, 0)
            for part, weight, power in zip(parts, factor, powers, strict=True)
        ]
        found.append(np.where(on_the_way, sum(terms), 0.0) / length**order)
    return tuple(found)


def _shortest(
    start: _Start, far_m: Float64[np.ndarray, "ticks spans"], config: CorrectConfig
) -> Int64[np.ndarray, " ticks"]:
    """Which of the spans is the shortest whose way is comfortable at its mean speed; the last where none is."""
    comfortable = []
    for span_s, way_m in zip(_SPANS_S, far_m.T, strict=True):
        speed = way_m / span_s
        points = way_m[:, None] * np.linspace(0, 0.999, 21)
        _, _, bend, change = _quintic(start, way_m, points)
        felt = np.abs(bend).max(1) * speed**2 <= config.lateral_mps2
        jerked = np.abs(change).max(1) * speed**3 <= config.lateral_jerk_mps3
        comfortable.append(felt & jerked)
    every = np.stack([*comfortable[:-1], np.ones(len(far_m), np.bool_)], 1)
    return every.argmax(1)


# Targets.


def _action(
    yaw: Float64[np.ndarray, "ticks 33"],
    speed: Float64[np.ndarray, "ticks 33"],
    yaw_rate_radps: Float64[np.ndarray, " ticks"],
    config: CorrectConfig,
) -> tuple[Float64[np.ndarray, " ticks"], Float64[np.ndarray, " ticks"]]:
    """Curvature at the actuator delay, as `targets.py` has it, and the mean acceleration until then."""
    delay = config.actuator_delay_s
    turned = np.array([np.interp(delay, TRAJECTORY_TIMES_S, row) for row in yaw])
    then = np.array([np.interp(delay, TRAJECTORY_TIMES_S, row) for row in speed])
    guarded = np.maximum(speed[:, 0], MIN_SPEED_MPS)
    curvature = 2 * turned / (guarded * delay) - yaw_rate_radps / guarded
    return curvature, (then - speed[:, 0]) / delay


def _weight(
    ways: _Ways, anchors: Int64[np.ndarray, " anchors"], yaw_rate_radps: Float64[np.ndarray, " anchors"]
) -> float:
    """How often a clip is drawn: as far as the careful way departs from going on as it goes, within bounds.

    Most of a rollout is like the moment before. What a policy has to learn is in the seconds in which it would have to
    brake, move off or steer, which drawn by the clock are a tenth of it.
    """
    at = int(np.abs(TRAJECTORY_TIMES_S - _WEIGHED_S).argmin())
    time_s, speed = TRAJECTORY_TIMES_S[at], ways.speed_mps[anchors, 0]
    turned = yaw_rate_radps * time_s
    going_on = np.stack([speed * time_s, speed * time_s * turned / 2], -1)
    away = np.abs(ways.position_m[anchors, at, :2] - going_on) / _WEIGHED_M
    departure = np.where(ways.valid[anchors, at], np.hypot(away[:, 0], away[:, 1]), 0.0)
    return float(np.clip(departure.mean(), *_WEIGHTS))


def _clip(rollout: Rollout, drive_id: str, frames: Int64[np.ndarray, " frames"], ways: _Ways) -> Clip:
    anchors = frames[1:]
    step = np.array(rollout.tick_step)
    times_ns = np.round(rollout.times_s[step] * 1e9).astype(np.int64)
    rates = np.zeros((len(anchors), 6))
    rates[:, 0], rates[:, 5] = rollout.speed_mps[step[anchors]], rollout.yaw_rate_radps[step[anchors]]
    curvature = ways.curvature_per_m[anchors]
    identity = hashlib.sha256(f"{drive_id} {frames[0]} {frames[-1]}".encode()).hexdigest()
    return Clip(
        clip_id=identity[:32],
        drive_id=drive_id,
        vehicle_id=rollout.scenario.scenario_id,
        camera="front",
        split="train",
        tags=("on_policy",),
        tiles=(),
        weight=_weight(ways, anchors, rates[:, 5]),
        frame_indices=frames.astype(np.int64),
        anchor_timestamps_ns=times_ns[anchors],
        position_m=ways.position_m[anchors].astype(np.float32),
        yaw_rad=ways.yaw_rad[anchors].astype(np.float32),
        speed_mps=ways.speed_mps[anchors].astype(np.float32),
        valid=ways.valid[anchors],
        curvature_per_m=curvature.astype(np.float32),
        acceleration_mps2=ways.acceleration_mps2[anchors].astype(np.float32),
        action_valid=ways.valid[anchors, 1] & (np.abs(curvature) <= MAX_CURVATURE_PER_M),
        ego_rates=rates.astype(np.float32),
        desire=rollout.desire[anchors],
    )
