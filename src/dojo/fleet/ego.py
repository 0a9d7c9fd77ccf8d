"""Where a vehicle went, from what it said about itself: an extended Kalman filter and a Rauch-Tung-Striebel smoother.

In: telemetry with speed, a source of turning (yaw rate, else heading, else steering), and GNSS fixes where there are
any. Out: poses 25 times a second, with the covariance of (east, north, yaw).
Idea: what a policy learns is the shape of the next ten seconds, which speed and turn rate give to centimetres; GNSS
only says where on earth it was, and its errors wander slowly, so a fix weighs as little as its correlation time asks.
Sensors are wrong in ways that stay (tyre radius, gyroscope offset, understeer, compass offset), so these are states
too: without a reference their uncertainty shows in the covariance, with one they are learned.
The motion is planar: z, roll and pitch are zero. That is what a path drawn on the road ahead needs, as long as the
grade does not change within view; a receiver's altitude would bend the path away from the road.
Source: Särkkä, Bayesian Filtering and Smoothing (2013), algorithms 5.4 (extended Kalman filter) and 9.1 (smoother).
Not here: which signals are used and how they meet the clock (`measurements.py`), poses that the recording already has
(`readers/`), checks of speed against GNSS (`gates.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from dojo.fleet.measurements import STEP_S, UNDERSTEER_RAD_PER_MPS2, Measurements, clock, measure
from dojo.fleet.start import find_start
from dojo.records import EgoMotion, Telemetry

# Layout of the state. Speed, yaw rate and acceleration are what the sensors show; the last four, constants of the
# sensors, say what that means. A constant inside a measurement equation would seem to be measured whenever the vehicle
# accelerates, because smaller speeds are smoother ones; here nothing but the path can tell it.
EAST, NORTH, YAW, SPEED, YAW_RATE, ACCELERATION, SPEED_SCALE, TURN_OFFSET, TURN_SCALE, HEADING_OFFSET = range(10)
STATES = 10

# Process noise, standard deviation per square root of a second. Assumed: ordinary driving, in which a firm brake builds
# up 3 m/s² and a turn into a side street 0.2 rad/s, each in about a second; constants of sensors hardly wander.
_WANDER = {
    YAW_RATE: 0.2,
    ACCELERATION: 3.0,
    SPEED_SCALE: 1e-4,
    TURN_OFFSET: 1e-5,
    TURN_SCALE: 1e-4,
    HEADING_OFFSET: 3e-3,
}
_NEVER_CERTAIN = 1e-6  # per step: keeps every predicted covariance invertible

# Measurement noise. Assumed, and checked against recorded poses in tests/fleet/test_ego.py.
_SPEED_NOISE_MPS, _SPEED_SCALE_SIGMA = 0.1, 0.01  # scale: tyre wear and pressure
_TURN_NOISE_SHARE = 0.03  # tyre slip: part of the turn rate itself
_HEADING_OFFSET_SIGMA_RAD = 0.02
# 2.5 m circular error of a good single-frequency receiver (u-blox NEO-M8 data sheet, table 1) is 2.1 m per axis.
_FIX_NOISE_M = 2.1
# Assumed: atmosphere and the receiver's own filter move its error over this time; fixes in between repeat each other.
_FIX_CORRELATION_S = 10.0

# Squared Mahalanobis distance that one good measurement in 10 000 exceeds (chi-squared, 1 and 2 degrees of freedom).
_GATE_1, _GATE_2 = 15.1, 18.4
_MAX_REFUSED = 25  # Assumed: after a second of refusals in a row it is the filter that is wrong

_STANDSTILL_RADPS = 1e-4
_LOST_M = 1000.0
_BLOCK = 4096  # steps whose smoother gains are computed together: few enough not to need memory, many enough to be fast
_EXACT = 1e-4  # standard deviation (m, rad) of what is so by definition: a first pose that nothing else fixes


@dataclass(frozen=True)
class _States:
    """The state and its covariance over a stretch of steps."""

    mean: Float64[np.ndarray, "n state"]
    covariance: Float64[np.ndarray, "n state state"]


def smooth(
    telemetry: Telemetry,
    wheelbase_m: float | None,
    steering_ratio: float | None,
    understeer_rad_per_mps2: float = UNDERSTEER_RAD_PER_MPS2,
) -> EgoMotion:
    """Poses at 25 Hz from the first to the last speed sample, invalid where speed is missing for over a second, or a
    second away from anything that says how the vehicle turned.

    Speed is negative in reverse; heading freezes at standstill. Without GNSS the world is the first pose (the first
    heading, where there is one), and covariance counts from there.

    Args:
        wheelbase_m, steering_ratio: needed only where steering is all there is to say how the vehicle turned.

    Raises:
        RecordingError: gate `no_speed` or `no_turn_rate`.
    """
    clock_ns, covered = clock(telemetry.speed_mps)
    seen = measure(telemetry, clock_ns[covered], wheelbase_m, steering_ratio, understeer_rad_per_mps2)
    smoothed: list[_States] = []
    for run in seen.runs():
        smoothed.append(
            _backward(_forward(run, *_begin(run, smoothed[-1] if smoothed else None, seen.fix_rate_hz > 0)))
        )
    states = np.concatenate([run.mean for run in smoothed])
    covariances = np.concatenate([run.covariance for run in smoothed])
    valid = covered.copy()
    valid[covered] = seen.turning_known()
    last_known = np.clip(np.cumsum(covered) - 1, 0, None)
    states, covariances = states[last_known], covariances[last_known]
    return EgoMotion(
        clock_ns,
        _turned(states[:, YAW]),
        np.column_stack([states[:, EAST], states[:, NORTH], np.zeros(len(states))]),
        states[:, SPEED] * (1 + states[:, SPEED_SCALE]),
        states[:, YAW_RATE] * (1 + states[:, TURN_SCALE]) + seen.turn_gain[last_known] * states[:, TURN_OFFSET],
        covariances[:, :3, :3].copy(),
        valid,
        valid.copy(),
        seen.origin_deg_m,
        "smoothed:" + ",".join(seen.signals),
    )


def _turned(yaw_rad: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3 3"]:
    rotation = np.zeros((len(yaw_rad), 3, 3))
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(yaw_rad)
    rotation[:, 1, 0] = np.sin(yaw_rad)
    rotation[:, 0, 1] = -rotation[:, 1, 0]
    rotation[:, 2, 2] = 1.0
    return rotation


def _begin(
    run: Measurements, before: _States | None, on_map: bool
) -> tuple[Float64[np.ndarray, " state"], Float64[np.ndarray, "state state"]]:
    """Mean and covariance of the state before anything has been measured."""
    mean = np.zeros(STATES)
    sigma = np.zeros(STATES)
    mean[SPEED] = run.speed_mps[0]
    sigma[[SPEED, YAW_RATE, ACCELERATION, SPEED_SCALE]] = 1.0, 0.5, 5.0, _SPEED_SCALE_SIGMA
    if run.turn is not None:
        mean[YAW_RATE] = run.turn.measured.value[0]
        sigma[[TURN_OFFSET, TURN_SCALE]] = run.turn.offset_sigma, run.turn.scale_sigma
    sigma[HEADING_OFFSET] = _HEADING_OFFSET_SIGMA_RAD
    found = find_start(run)
    if found is not None:
        mean[:3] = found.east_m, found.north_m, found.yaw_rad
        sigma[:3] = found.position_sigma_m, found.position_sigma_m, found.yaw_sigma_rad
    elif before is not None or on_map:
        # Where the vehicle went while nothing was recorded is not known; the last pose is as good a guess as any.
        mean[:3] = before.mean[-1, :3] if before is not None else 0.0
        sigma[:3] = _LOST_M, _LOST_M, math.pi
    else:
        sigma[:3] = _EXACT
    if not on_map and run.heading.there.any():
        # Headings know north, this world does not: x is the first heading.
        mean[HEADING_OFFSET] = run.heading.value[np.argmax(run.heading.there)]
        sigma[HEADING_OFFSET] = math.pi
    return mean, np.diag((sigma + _NEVER_CERTAIN) ** 2)


@dataclass(frozen=True)
class _Filtered:
    """Result of the forward pass; `transition[k]` leads from step k - 1 to step k."""

    mean: Float64[np.ndarray, "n state"]
    covariance: Float64[np.ndarray, "n state state"]
    predicted_mean: Float64[np.ndarray, "n state"]
    predicted_covariance: Float64[np.ndarray, "n state state"]
    transition: Float64[np.ndarray, "n state state"]


class _Filter:
    """Mean and covariance of the state, changed in place by every prediction and measurement."""

    def __init__(
        self, seen: Measurements, mean: Float64[np.ndarray, " state"], covariance: Float64[np.ndarray, "state state"]
    ) -> None:
        self.mean, self.covariance = mean, covariance
        self._seen = seen
        self._gain = seen.turn_gain.tolist()
        self._fix_repeats = max(seen.fix_rate_hz * _FIX_CORRELATION_S, 1.0)
        self._refused = {"speed": 0, "turn": 0, "heading": 0}

    def predict(self, step: int, standing: bool) -> Float64[np.ndarray, "state state"]:
        """From the step before to this one; returns the transition matrix. A standing vehicle keeps its pose."""
        mean = self.mean
        transition = np.eye(STATES)
        transition[SPEED, ACCELERATION] = STEP_S
        if not standing:
            rate, rate_row = self._yaw_rate(step - 1)
            indicated, scale = mean[SPEED] + 0.5 * STEP_S * mean[ACCELERATION], 1 + mean[SPEED_SCALE]
            along = STEP_S * scale * indicated
            yaw = mean[YAW] + 0.5 * STEP_S * rate
            cosine, sine = math.cos(yaw), math.sin(yaw)
            along_row = STEP_S * scale * _AHEAD_ROW
            along_row[SPEED_SCALE] = STEP_S * indicated
            yaw_row = 0.5 * STEP_S * rate_row
            yaw_row[YAW] = 1.0
            transition[EAST] += cosine * along_row - (along * sine) * yaw_row
            transition[NORTH] += sine * along_row + (along * cosine) * yaw_row
            transition[YAW] += STEP_S * rate_row
            mean[EAST] += along * cosine
            mean[NORTH] += along * sine
            mean[YAW] += STEP_S * rate
        mean[SPEED] += STEP_S * mean[ACCELERATION]
        self.covariance = transition @ self.covariance @ transition.T
        self.covariance.ravel()[:: STATES + 1] += _PROCESS_VARIANCE
        return transition

    def update(self, step: int) -> None:
        """Everything that was measured at this step."""
        seen = self._seen
        if seen.standstill[step]:
            rate, row = self._yaw_rate(step)
            self._take(row, -rate, _STANDSTILL_RADPS**2)
        if seen.speed.there[step]:
            row = np.zeros(STATES)
            row[SPEED], row[ACCELERATION] = 1.0, seen.speed.late_s[step]
            self._gated("speed", row, seen.speed.value[step] - row @ self.mean, _SPEED_NOISE_MPS**2)
        if seen.turn is not None and seen.turn.measured.there[step]:
            shown = self.mean[YAW_RATE]
            variance = seen.turn.noise_radps**2 + (_TURN_NOISE_SHARE * shown) ** 2
            self._gated("turn", _YAW_RATE_ROW, seen.turn.measured.value[step] - shown, variance)
        if seen.heading.there[step]:
            self._heading(step)
        if seen.east.there[step]:
            self._fix(step)

    def _yaw_rate(self, step: int) -> tuple[float, Float64[np.ndarray, " state"]]:
        """True yaw rate, and its derivative by the state."""
        shown, scale, gain = self.mean[YAW_RATE], 1 + self.mean[TURN_SCALE], self._gain[step]
        row = np.zeros(STATES)
        row[YAW_RATE], row[TURN_SCALE], row[TURN_OFFSET] = scale, shown, gain
        return shown * scale + gain * self.mean[TURN_OFFSET], row

    def _heading(self, step: int) -> None:
        late_s = self._seen.heading.late_s[step]
        rate, row = self._yaw_rate(step)
        row *= late_s
        row[YAW] = row[HEADING_OFFSET] = 1.0
        expected = self.mean[YAW] + self.mean[HEADING_OFFSET] + late_s * rate
        residual = self._seen.heading.value[step] - expected
        wrapped = (residual + math.pi) % (2 * math.pi) - math.pi
        self._gated("heading", row, wrapped, self._seen.heading_noise_rad**2)

    def _fix(self, step: int) -> None:
        """Both coordinates or neither; judged by the error of one fix, weighed by how many share that error."""
        late_s, yaw, scale = self._seen.east.late_s[step], self.mean[YAW], 1 + self.mean[SPEED_SCALE]
        ahead = late_s * np.array([math.cos(yaw), math.sin(yaw)])
        aside = np.array([-ahead[1], ahead[0]])
        rows = np.zeros((2, STATES))
        rows[0, EAST] = rows[1, NORTH] = 1.0
        rows[:, SPEED], rows[:, SPEED_SCALE] = scale * ahead, self.mean[SPEED] * ahead
        rows[:, YAW] = scale * self.mean[SPEED] * aside
        measured = np.array([self._seen.east.value[step], self._seen.north.value[step]])
        residual = measured - self.mean[:2] - scale * self.mean[SPEED] * ahead
        spread = rows @ self.covariance @ rows.T + _FIX_NOISE_M**2 * np.eye(2)
        if residual @ np.linalg.solve(spread, residual) > _GATE_2:
            return
        variance = _FIX_NOISE_M**2 * self._fix_repeats
        before = self.mean.copy()
        self._take(rows[0], residual[0], variance)
        self._take(rows[1], residual[1] - rows[1] @ (self.mean - before), variance)

    def _gated(self, kind: str, row: Float64[np.ndarray, " state"], residual: float, variance: float) -> None:
        spread = float(row @ self.covariance @ row) + variance
        if residual * residual > _GATE_1 * spread and self._refused[kind] < _MAX_REFUSED:
            self._refused[kind] += 1
            return
        self._refused[kind] = 0
        self._take(row, residual, variance)

    def _take(self, row: Float64[np.ndarray, " state"], residual: float, variance: float) -> None:
        """The Kalman update for one number."""
        shared = self.covariance @ row
        spread = float(row @ shared) + variance
        self.mean += shared * (residual / spread)
        self.covariance -= shared[:, None] * (shared / spread)


_AHEAD_ROW = np.zeros(STATES)
_AHEAD_ROW[[SPEED, ACCELERATION]] = 1.0, 0.5 * STEP_S
_YAW_RATE_ROW = np.zeros(STATES)
_YAW_RATE_ROW[YAW_RATE] = 1.0
_PROCESS_VARIANCE = np.array([_WANDER.get(state, 0.0) ** 2 * STEP_S + _NEVER_CERTAIN**2 for state in range(STATES)])


def _forward(
    seen: Measurements, mean: Float64[np.ndarray, " state"], covariance: Float64[np.ndarray, "state state"]
) -> _Filtered:
    """The extended Kalman filter over all steps."""
    count = len(seen.timestamps_ns)
    stacks = [np.empty((count, STATES, STATES)) for _ in range(3)]
    result = _Filtered(np.empty((count, STATES)), stacks[0], np.empty((count, STATES)), stacks[1], stacks[2])
    now = _Filter(seen, mean, covariance)
    standing = seen.standstill.tolist()
    for step in range(count):
        result.transition[step] = now.predict(step, standing[step]) if step else np.eye(STATES)
        result.predicted_mean[step], result.predicted_covariance[step] = now.mean, now.covariance
        now.update(step)
        result.mean[step], result.covariance[step] = now.mean, now.covariance
    return result


def _backward(passed: _Filtered) -> _States:
    """The Rauch-Tung-Striebel smoother: the states given everything measured before and after."""
    mean, covariance = passed.mean, passed.covariance
    last = len(mean) - 1
    for first in range((last - 1) // _BLOCK * _BLOCK if last else 0, -1, -_BLOCK):
        steps = np.arange(first, min(first + _BLOCK, last))
        gains = _gains(passed, steps)
        for step, gain in zip(steps[::-1].tolist(), gains[::-1], strict=True):
            mean[step] += gain @ (mean[step + 1] - passed.predicted_mean[step + 1])
            covariance[step] += gain @ (covariance[step + 1] - passed.predicted_covariance[step + 1]) @ gain.T
    return _States(mean, 0.5 * (covariance + np.swapaxes(covariance, 1, 2)))


def _gains(passed: _Filtered, steps: Int64[np.ndarray, " m"]) -> Float64[np.ndarray, "m state state"]:
    """G = P Fᵀ (P⁻)⁻¹ of many steps at once; P⁻ is scaled to unit diagonal, for metres and radians differ so much."""
    predicted = passed.predicted_covariance[steps + 1]
    sigma = np.sqrt(np.diagonal(predicted, axis1=1, axis2=2))
    scaled = predicted / (sigma[:, :, None] * sigma[:, None, :])
    right = (passed.transition[steps + 1] @ passed.covariance[steps]) / sigma[:, :, None]
    return np.swapaxes(np.linalg.solve(scaled, right), 1, 2) / sigma[:, None, :]
