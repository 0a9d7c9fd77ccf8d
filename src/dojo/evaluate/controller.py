"""From a planned trajectory to what the vehicle is asked for: curvature and acceleration at the actuator delay.

In: the most probable hypothesis of a plan, and how old it is. Out: curvature and acceleration to ask for now.
Idea: what is asked now takes effect one actuator delay later, so it is read off the plan there; a plan grows older
until the next one comes, and is read further along by its age. The mean rate over the second half of the delay is the
rate at its end, nearly, and averages the plan's noise where a derivative would show it.
Bends are read by way and not by time: they are where they are, however fast the plan goes through them. They are read
around the middle of that half, over as much way as the delay takes, and some metres at least, or noise would steer.
Where less of the plan is left, the wheel turns to its bend as the vehicle rolls, over the more way the less there is
to read, and stays where it is at the end and at a standstill. What is asked stays within what driver assistance may ask
for. Whether the vehicle turns as it was asked its yaw rate tells; what it lacks is slowly added (`Trim`), since a plan
that begins anew five times a second forgives, but does not learn, that the wheels are out of line.
Source: openpilot selfdrive/controls/lib/drive_helpers.py: `kappa = 2 psi(t_a) / (v t_a) - psidot0 / v` and
`a = 2 (v(t_a) - v0) / t_a - a0`. With means over half the delay for the rates now, since derivatives of the plan's
first centimetres are noise, these are the means over the other half. Why over way: Coulter, Implementation of the Pure
Pursuit Path Tracking Algorithm, CMU-RI-TR-92-01: a point y to the side at a distance L asks for `2 y / L^2`.
Not here: what the vehicle makes of it (`plant.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from dojo.errors import ConfigError
from dojo.records import TRAJECTORY_TIMES_S, EgoState

MIN_SPEED_MPS = 1.0
"""Source: openpilot drive_helpers.py (MIN_SPEED): below it, curvature is heading over metres that are not there."""

MAX_CURVATURE_PER_M = 0.2
"""Source: openpilot drive_helpers.py (MAX_CURVATURE)."""

_SHORT_M = 0.01  # Assumed: a piece of a plan shorter than a centimetre has no direction of its own
_TRIM_PER_M = 0.005  # Assumed: more than that is not a trim but a fault
_TRIM_FROM_MPS = 5.0  # Assumed: slower, a yaw rate's noise is a large curvature
_READ_M = 6.0  # Assumed: a plan's centimetres of noise over less than that are bends that nobody means
_SETTLED_M = 0.5  # Assumed: driven until a reading over half as much weighs a quarter; two plans of walking pace
_READ_AT = np.linspace(0.0, 1.0, 25)  # Assumed: shares of that way, closer than the plan's own points
_STANDING_MPS, _HOLD_MPS2 = 0.3, -0.5  # Assumed: slower is standing, which the brakes hold
_STAYS_MPS = 0.1  # Assumed: a plan that is no faster a second ahead is one that stays


@dataclass(frozen=True)
class ControllerConfig:
    """How plans are followed.

    Args:
        reads: the trajectory of the plan, or the action that the policy states itself.
        actuator_delay_s: what the controller takes the steering to need. `other_delays_s`: of everything else between a
            picture and its effect. Source of both: openpilot adds 0.2 s to the delay of the actuators.
        trim_s: how fast the trim learns; infinite switches it off. Assumed: several times the delays it waits for.
        max_lateral_mps2, max_lateral_jerk_mps3: source: ISO 11270:2014, lane keeping, as in opendbc/car/lateral.py.
        max_curvature_rate_per_m_s: as in `drive/limits.py`, which would cut it: 4 rad/s at the steering wheel.
        max_acceleration_mps2, max_braking_mps2: source: ISO 15622:2018, adaptive cruise control.
    """

    reads: Literal["trajectory", "action"] = "trajectory"
    actuator_delay_s: float = 0.2
    other_delays_s: float = 0.2
    trim_s: float = 2.0
    max_lateral_mps2: float = 3.0
    max_lateral_jerk_mps3: float = 5.0
    max_curvature_rate_per_m_s: float = 0.1
    max_acceleration_mps2: float = 2.0
    max_braking_mps2: float = 3.5

    def __post_init__(self) -> None:
        if not (0 < self.actuator_delay_s + self.other_delays_s <= 2):
            raise ConfigError(
                "controller: expected delays that add up to more than 0 and at most 2 s, got actuator_delay_s "
                f"{self.actuator_delay_s} and other_delays_s {self.other_delays_s}"
            )
        if not self.trim_s >= 0.5:
            raise ConfigError(f"controller: expected a trim_s of at least 0.5, got {self.trim_s}; use inf for none")
        for name in (field.name for field in fields(self) if field.name.startswith("max_")):
            if not getattr(self, name) > 0:
                raise ConfigError(f"controller: {name} must be above zero, got {getattr(self, name)}")


@dataclass(frozen=True)
class Asked:
    """What is asked of the vehicle; curvature left positive."""

    curvature_per_m: float
    acceleration_mps2: float


@dataclass(frozen=True)
class Trim:
    """What is added to the curvature that is asked, because the vehicle turned less or more than it was asked.

    Args:
        expected_per_m: curvature that the vehicle should by now have, after the delays.
        added_per_m: learned so far.

    Source of the need: openpilot learns steering ratio and angle offset while driving (selfdrive/locationd/paramsd.py);
    an integral over the error is the plainest estimator of both together.
    """

    expected_per_m: float
    added_per_m: float = 0.0

    def after(self, config: ControllerConfig, wish: Asked, ego: EgoState, dt_s: float) -> Trim:
        """The trim `dt_s` later, when `wish` was asked for and the vehicle moved as it did."""
        delay_s = config.actuator_delay_s + config.other_delays_s
        expected = self.expected_per_m + (wish.curvature_per_m - self.expected_per_m) * min(1.0, dt_s / delay_s)
        if ego.speed_mps < _TRIM_FROM_MPS:
            return Trim(expected, self.added_per_m)
        error = expected - ego.yaw_rate_radps / ego.speed_mps
        added = self.added_per_m + error * dt_s / config.trim_s
        return Trim(expected, max(-_TRIM_PER_M, min(_TRIM_PER_M, added)))


@dataclass(frozen=True)
class Plan:
    """A plan to follow: way and speed at each of `TRAJECTORY_TIMES_S` after its picture, its heading along the way.

    With it comes the action stated by the policy.

    Args:
        bend_m: way until each heading, rising from 0; the last is where the plan ends. `heading_rad`: relative to that
            at the picture.
    """

    taken_s: float
    along_m: Float64[np.ndarray, " 33"]
    speed_mps: Float64[np.ndarray, " 33"]
    bend_m: Float64[np.ndarray, " headings"]
    heading_rad: Float64[np.ndarray, " headings"]
    action: Asked

    @staticmethod
    def of(position_m: Float32[np.ndarray, "33 3"], action: Asked, taken_s: float) -> Plan:
        """The plan that a trajectory in the ego frame at `taken_s` stands for."""
        steps = np.diff(position_m[:, :2].astype(np.float64), axis=0)
        middle = (TRAJECTORY_TIMES_S[1:] + TRAJECTORY_TIMES_S[:-1]) / 2
        lasts = np.diff(TRAJECTORY_TIMES_S)
        length, ways, headings = np.zeros(len(steps)), [0.0], [0.0]
        gone_m = 0.0
        # A vehicle whose rear axle does not slip begins along its own axis, and keeps a direction until it has moved.
        for number, (forward, left) in enumerate(steps.tolist()):
            turned = math.remainder(math.atan2(left, forward) - headings[-1], 2 * math.pi)
            if abs(turned) >= math.pi / 2:
                continue  # a step back is the noise of a plan that stands: nothing here plans to reverse
            length[number] = math.hypot(forward, left)
            if length[number] > max(_SHORT_M, _STANDING_MPS * lasts[number]):
                ways.append(gone_m + length[number] / 2)
                headings.append(headings[-1] + turned)
            gone_m += length[number]
        return Plan(
            taken_s,
            np.concatenate([[0.0], np.cumsum(length)]),
            np.interp(TRAJECTORY_TIMES_S, middle, length / lasts),
            np.array(ways),
            np.array(headings),
            action,
        )

    def along_at(self, age_s: float) -> float:
        """Way since the picture."""
        return float(np.interp(age_s, TRAJECTORY_TIMES_S, self.along_m))

    def speed_at(self, age_s: float) -> float:
        """Planned speed."""
        return float(np.interp(age_s, TRAJECTORY_TIMES_S, self.speed_mps))


def wanted(
    config: ControllerConfig, plan: Plan, now_s: float, steered_per_m: float = 0.0, driven_m: float = math.inf
) -> Asked:
    """What the plan wants at the actuator delay from now, of a vehicle that is steered like this.

    Args:
        driven_m: since it was asked to; however much it was, what cannot be read at all stays as it is steered.
    """
    if config.reads == "action":
        return plan.action
    age, delay = now_s - plan.taken_s, config.actuator_delay_s + config.other_delays_s
    acceleration = (plan.speed_at(age + delay) - plan.speed_at(age + delay / 2)) / (delay / 2)
    here_m = plan.along_at(age)
    bend, seen = _bend(plan, here_m, plan.along_at(age + delay) - here_m)
    share = 1.0 - (1.0 - seen**2) ** (driven_m / _SETTLED_M)
    return Asked(steered_per_m + share * (bend - steered_per_m), acceleration)


def _bend(plan: Plan, here_m: float, ahead_m: float) -> tuple[float, float]:
    """The plan's curvature at three quarters of this way ahead of here, and what share of its window the plan fills.

    It is the mean over that window, as wide as the way or wider. Noise to the side is a bend over the width's square.
    """
    width, end_m = max(ahead_m, _READ_M), float(plan.bend_m[-1])
    first_m = here_m + max(0.0, min(0.75 * ahead_m - width / 2, end_m - width - here_m))
    reach = min(width, end_m - first_m)
    if reach <= _SHORT_M:
        return 0.0, 0.0
    return _slope(np.interp(first_m + reach * _READ_AT, plan.bend_m, plan.heading_rad)) / reach, reach / width


def _slope(values: Float64[np.ndarray, " n"]) -> float:
    """By least squares, over the whole of them."""
    place = np.linspace(-0.5, 0.5, len(values))
    return float(place @ values / (place @ place))


def within_limits(config: ControllerConfig, wish: Asked, last: Asked, speed_mps: float, dt_s: float) -> Asked:
    """The wish, or as near to it as the limits allow after what was asked `dt_s` ago."""
    squared = max(speed_mps, MIN_SPEED_MPS) ** 2
    most = min(config.max_lateral_mps2 / squared, MAX_CURVATURE_PER_M)
    step = min(config.max_lateral_jerk_mps3 / squared, config.max_curvature_rate_per_m_s) * dt_s
    curvature = max(last.curvature_per_m - step, min(last.curvature_per_m + step, wish.curvature_per_m))
    acceleration = max(-config.max_braking_mps2, min(config.max_acceleration_mps2, wish.acceleration_mps2))
    return Asked(max(-most, min(most, curvature)), acceleration)


def ask(
    config: ControllerConfig, plan: Plan, last: Asked, trim: Trim, ego: EgoState, dt_s: float
) -> tuple[Asked, Trim]:
    """What to ask of the vehicle for the next `dt_s`, and the trim after it."""
    steered = last.curvature_per_m - trim.added_per_m
    wish = wanted(config, plan, ego.time_s, steered, ego.speed_mps * dt_s)
    stays = plan.speed_at(ego.time_s - plan.taken_s + 1.0) < _STAYS_MPS and ego.speed_mps < _STANDING_MPS
    if stays and config.reads == "trajectory":
        # Standing, it is held: the noise of a plan that goes nowhere would creep on.
        wish = Asked(steered, min(wish.acceleration_mps2, _HOLD_MPS2))
    trim = trim.after(config, wish, ego, dt_s)
    trimmed = Asked(wish.curvature_per_m + trim.added_per_m, wish.acceleration_mps2)
    return within_limits(config, trimmed, last, ego.speed_mps, dt_s), trim
