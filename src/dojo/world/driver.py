"""A human-like driver: eyes on the road ahead, hands that wander, a style of its own.

In: the vehicle's state, the road, who is around. Out: a command for the plant, and the levers (blinkers, pedals).
Idea: a policy that imitates needs what makes human driving hard to imitate: nobody tracks the lane centre (the aim
wanders slowly, correlated over seconds), speeds are chosen and drift, braking begins before the curve, blinkers come
before the lane change. Steering aims at a point one preview time ahead, which damps itself and cuts corners a
little, as people do; the driver knows its own car only roughly and feels its delay.
Not here: the formulas of following and lane changing (`following.py`), the plant (`vehicle.py`).

Source of preview steering: MacAdam, Application of an optimal preview control for simulation of closed-loop
automobile driving, IEEE Trans. Systems, Man, and Cybernetics 11 (1981); its one-point form is Coulter,
Implementation of the pure pursuit path tracking algorithm, CMU-RI-TR-92-01.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from dojo.world.following import FAR_M, Following, idm_acceleration_mps2, lane_change_pays, speed_profile_mps
from dojo.world.road import Road
from dojo.world.vehicle import Command, VehicleParameters, VehicleState

PROFILE_SPACING_M = 4.0


@dataclass(frozen=True)
class Style:
    """How one person drives.

    Args:
        speed_factor: of the speed limit. `speed_wander`: relative spread of the wish over `speed_wander_s`.
        lateral_mps2: comfortable in curves. Source of the range: Bosetti, Da Lio, Saroldi, On the human control of
            vehicles: an experimental study of acceleration, Eur. Transp. Res. Rev. 6 (2014): mostly 1 to 3 m/s².
        curve_braking_mps2: with which speed is reduced before a curve.
        preview_s: how far ahead the eyes aim.
        wander_m, wander_s: spread and correlation time of the aim about the driver's own line; `bias_m` is that
            line's offset from the lane centre, left positive.
        gain_error: relative error of what the driver believes about the steering.
        signal_s: blinker before a lane change begins. `change_s`: how long the change takes.
        whims_per_s: lane changes for reasons of the driver's own (an exit, a mood).
    """

    following: Following = field(default_factory=Following)
    speed_factor: float = 1.0
    speed_wander: float = 0.05
    speed_wander_s: float = 12.0
    lateral_mps2: float = 2.0
    curve_braking_mps2: float = 1.2
    preview_s: float = 1.4
    wander_m: float = 0.2
    wander_s: float = 6.0
    bias_m: float = 0.0
    gain_error: float = 0.0
    signal_s: float = 2.0
    change_s: float = 4.5
    whims_per_s: float = 0.02

    @staticmethod
    def draw(seed: int) -> Style:
        """A driver drawn at random.

        Source of the wander: standard deviations of lane position of 0.15 to 0.3 m are what on-road studies of
        attentive drivers report (Verster, Roth, Standard operation procedures for conducting the on-the-road
        driving test, 2011). Source of change durations: Toledo, Zohar, Modeling duration of lane changes,
        Transportation Research Record 1999 (2007): 1 to 13 s, mean about 4.6 s.
        Assumed: the remaining ranges, chosen around the defaults of `Following`.
        """
        rng = np.random.default_rng((seed, 0xD417))
        return Style(
            following=Following(
                headway_s=float(rng.uniform(1.0, 2.0)),
                standstill_gap_m=float(rng.uniform(1.8, 3.5)),
                acceleration_mps2=float(rng.uniform(1.1, 2.2)),
                braking_mps2=float(rng.uniform(1.5, 2.5)),
                politeness=float(rng.uniform(0.05, 0.4)),
            ),
            speed_factor=float(np.clip(rng.normal(0.98, 0.07), 0.82, 1.12)),
            speed_wander=float(rng.uniform(0.04, 0.09)),
            speed_wander_s=float(rng.uniform(8.0, 16.0)),
            lateral_mps2=float(rng.uniform(1.5, 2.5)),
            curve_braking_mps2=float(rng.uniform(0.9, 1.6)),
            preview_s=float(rng.uniform(1.2, 1.6)),
            wander_m=float(rng.uniform(0.15, 0.25)),
            wander_s=float(rng.uniform(4.0, 8.0)),
            bias_m=float(np.clip(rng.normal(0.0, 0.1), -0.2, 0.2)),
            gain_error=float(rng.uniform(-0.04, 0.04)),
            signal_s=float(rng.uniform(1.0, 3.0)),
            change_s=float(rng.uniform(3.5, 6.0)),
            whims_per_s=float(rng.uniform(0.01, 0.03)),
        )


@dataclass(frozen=True)
class Neighbour:
    """Another vehicle in some lane: bumper-to-bumper gap and speed along the road."""

    gap_m: float = FAR_M
    speed_mps: float = 0.0


NOBODY = Neighbour()


@runtime_checkable
class Surroundings(Protocol):
    """Who is around, by lane."""

    def leader(self, lane: int) -> Neighbour:
        """The next vehicle ahead of the ego in a lane."""

    def follower(self, lane: int) -> Neighbour:
        """The next vehicle behind the ego in a lane."""


@dataclass(frozen=True)
class Action:
    """What the driver does with hands, feet and lever; `accelerator` from 0 to 1."""

    command: Command
    blinker_left: bool
    blinker_right: bool
    brake: bool
    accelerator: float


@dataclass(frozen=True)
class Stop:
    """A place where this driver stops, and for how long (a red light, a stop line)."""

    s_m: float
    wait_s: float


@dataclass(frozen=True)
class _Change:
    """A lane change under way; `begun_s` is None while only the blinker is on."""

    origin: int
    target: int
    signalled_s: float
    begun_s: float | None = None


def profile_of(road: Road, style: Style, *, against: bool = False) -> Float64[np.ndarray, " n"]:
    """Speed that somebody of this style wishes for every `PROFILE_SPACING_M` along a road, in either direction."""
    s_m = np.arange(0.0, road.length_m, PROFILE_SPACING_M)
    turn = -1 if against else 1
    return speed_profile_mps(
        road.pose(s_m).curvature_per_m[::turn],
        road.speed_limit_mps(s_m)[::turn] * style.speed_factor,
        PROFILE_SPACING_M,
        lateral_mps2=style.lateral_mps2,
        braking_mps2=style.curve_braking_mps2,
    )[::turn]


def plan_stops(road: Road, seed: int) -> tuple[Stop, ...]:
    """Where the lights are red this time. Assumed: 1.2 per km in suburbs, 0.25 in the country, none on motorways."""
    rng = np.random.default_rng((seed, 0x57A9))
    per_m = {"suburban": 1.2e-3, "rural": 0.25e-3}.get(road.kind, 0.0)
    stops, s_m = [], 0.0
    while per_m and (s_m := s_m + 150.0 + float(rng.exponential(1 / per_m))) < road.length_m - 200.0:
        stops.append(Stop(s_m, float(rng.uniform(2.0, 7.0))))
    return tuple(stops)


class Wander:
    """An Ornstein-Uhlenbeck process: noise of a given spread that forgets itself over a given time.

    Source: Uhlenbeck, Ornstein, On the theory of the Brownian motion, Physical Review 36 (1930), in its exact
    discrete form.
    """

    def __init__(self, spread: float, time_s: float, rng: np.random.Generator) -> None:
        self._spread, self._time_s, self._rng = spread, time_s, rng
        self.value = spread * float(rng.standard_normal())

    def step(self, dt_s: float) -> float:
        """The value after `dt_s`."""
        keep = math.exp(-dt_s / self._time_s)
        self.value = keep * self.value + self._spread * math.sqrt(1 - keep * keep) * float(self._rng.standard_normal())
        return self.value


class Driver:
    """Drives one vehicle along one road; keeps what a person would keep in mind.

    Args:
        lane: index of the lane to begin in.
        stops: in order of distance.
    """

    def __init__(
        self,
        style: Style,
        parameters: VehicleParameters,
        road: Road,
        *,
        lane: int,
        s_m: float,
        stops: tuple[Stop, ...],
        seed: int,
    ) -> None:
        self._style, self._car, self._road = style, parameters, road
        self._rng = np.random.default_rng((seed, 0xAC7))
        self._aim = Wander(style.wander_m, style.wander_s, self._rng)
        self._mood = Wander(style.speed_wander, style.speed_wander_s, self._rng)
        self._profile = profile_of(road, style)
        self._stops = list(stops)
        self._change: _Change | None = None
        self._rested_s = 0.0
        self._next_look_s = 3.0
        self._asked_mps2 = 0.0
        self._braking = False
        self.lane = lane
        self.s_m = s_m
        self.lateral_m = 0.0

    @property
    def red_light_m(self) -> float | None:
        """Where the others must stop too: the stop that this driver is about to make."""
        return self._stops[0].s_m if self._stops and self._stops[0].s_m - self.s_m < 120.0 else None

    @property
    def lanes(self) -> tuple[int, ...]:
        """The lanes that this vehicle takes up: two while it changes."""
        change = self._change
        return (change.origin, change.target) if change and change.begun_s is not None else (self.lane,)

    def act(self, state: VehicleState, around: Surroundings, dt_s: float) -> Action:
        """What to do for the next `dt_s`."""
        self.s_m, self.lateral_m = self._road.locate(state.x_m, state.y_m, self.s_m, within_m=10.0)
        self._aim.step(dt_s)
        self._mood.step(dt_s)
        self._mind_lanes(state, around)
        wheel_rad = self._steer(state)
        wished_mps2 = self._accelerate(state, around, dt_s)
        # Feet are not switches: a pedal takes about 0.4 s to move, in an emergency 0.15 s (assumed).
        slow_s = 0.4 if wished_mps2 > -3.0 else 0.15
        self._asked_mps2 += (wished_mps2 - self._asked_mps2) * -math.expm1(-dt_s / slow_s)
        left, right = self._blinkers()
        coasting_mps2 = -0.1 - 0.0004 * state.speed_mps**2  # rolling resistance and drag of a passenger car (assumed)
        asked = self._asked_mps2
        # A foot that has left the accelerator's reach is on the brake, and does not flutter between the two.
        threshold_mps2 = coasting_mps2 - (0.05 if self._braking else 0.25)
        self._braking = asked < threshold_mps2 or (state.speed_mps < 0.3 and asked <= 0)
        return Action(
            command=Command(wheel_rad, asked),
            blinker_left=left,
            blinker_right=right,
            brake=self._braking,
            accelerator=min(1.0, max(0.0, (asked - coasting_mps2) / self._car.acceleration_limit_mps2)),
        )

    # Steering.

    def _steer(self, state: VehicleState) -> float:
        """Steering wheel angle that leads to the point aimed at."""
        if state.speed_mps < 0.3:
            return state.steering_wheel_rad
        style, car, speed = self._style, self._car, state.speed_mps
        delay_s = car.steering_delay_s + car.steering_lag_s + car.yaw_lag_s
        yaw = state.yaw_rad + state.yaw_rate_radps * delay_s
        middle = state.yaw_rad + state.yaw_rate_radps * delay_s / 2
        x = state.x_m + speed * delay_s * math.cos(middle)
        y = state.y_m + speed * delay_s * math.sin(middle)
        ahead_m = max(6.0, speed * style.preview_s)
        line_m = self._line_m(state.time_s + 0.7 * style.preview_s)
        aim = self._road.point_on_plane(self.s_m + speed * delay_s + ahead_m, line_m)
        aim_x, aim_y = float(aim[0]), float(aim[1])
        left_m = -math.sin(yaw) * (aim_x - x) + math.cos(yaw) * (aim_y - y)
        curvature = 2 * left_m / ((aim_x - x) ** 2 + (aim_y - y) ** 2)
        return car.steering_wheel_rad(curvature * (1 + style.gain_error), speed)

    def _line_m(self, time_s: float) -> float:
        """Lateral position aimed at for a time: the lane, or between two, with this driver's offset and wander."""
        lane_m = self._road.lane_centre_m(self.lane)
        if self._change and self._change.begun_s is not None:
            u = min(1.0, max(0.0, (time_s - self._change.begun_s) / self._style.change_s))
            # Fifth-order blend: the smoothest sideways motion that starts and ends at rest.
            share = u * u * u * (10 - 15 * u + 6 * u * u)
            lane_m += share * (self._road.lane_centre_m(self._change.target) - lane_m)
        return lane_m + self._style.bias_m + self._aim.value

    # Speed.

    def _accelerate(self, state: VehicleState, around: Surroundings, dt_s: float) -> float:
        """Acceleration wished for: the most cautious of road, leaders and stops."""
        style, speed = self._style, state.speed_mps
        wished = self._wished_mps(speed)
        # Above the wished speed, follow its fall: a lag of 0.8 s, which the look ahead of the same size makes good.
        asked = idm_acceleration_mps2(style.following, speed, wished)
        asked = min(asked, max((wished - speed) / 0.8, -1.5 * style.following.braking_mps2))
        for lane in self.lanes:
            other = around.leader(lane)
            asked = min(asked, idm_acceleration_mps2(style.following, speed, wished, other.gap_m, other.speed_mps))
        return min(asked, self._for_stop(speed, wished, dt_s))

    def _wished_mps(self, speed_mps: float) -> float:
        """Speed wished for here: limit and curves a moment ahead, in today's mood."""
        index = int((self.s_m + 0.8 * speed_mps) / PROFILE_SPACING_M)
        return float(self._profile[min(max(index, 0), len(self._profile) - 1)]) * (1 + self._mood.value)

    def _for_stop(self, speed_mps: float, wished_mps: float, dt_s: float) -> float:
        """Acceleration that the next stop asks for; forgets the stop when it has been waited out."""
        if not self._stops:
            return math.inf
        following = self._style.following
        gap_m = self._stops[0].s_m - (self.s_m + self._car.length_m - self._car.rear_overhang_m)
        if gap_m < -2.0:
            self._stops.pop(0)
            return math.inf
        if gap_m > 20.0 + speed_mps**2 / following.braking_mps2:
            return math.inf
        if speed_mps < 0.1:  # at the line, or in the queue before it
            self._rested_s += dt_s
            if self._rested_s >= self._stops[0].wait_s:
                self._stops.pop(0)
                self._rested_s = 0.0
            return -1.0
        if speed_mps < 1.0 and gap_m < 1.0:
            return -1.0  # the last metre is rolled out, not calculated
        return idm_acceleration_mps2(following, speed_mps, wished_mps, gap_m + following.standstill_gap_m, 0.0)

    # Lanes.

    def _blinkers(self) -> tuple[bool, bool]:
        if self._change is None:
            return False, False
        leftwards = self._road.lane_centre_m(self._change.target) > self._road.lane_centre_m(self._change.origin)
        return leftwards, not leftwards

    def _mind_lanes(self, state: VehicleState, around: Surroundings) -> None:
        """Begin, carry on or finish a lane change."""
        change, now_s = self._change, state.time_s
        if change is None:
            if now_s >= self._next_look_s and state.speed_mps > 6.0:
                self._next_look_s = now_s + 0.5
                self._consider_lanes(state, around)
        elif change.begun_s is None:
            if now_s - change.signalled_s > 4 * self._style.signal_s:
                self._change, self._next_look_s = None, now_s + 5.0
            elif now_s - change.signalled_s >= self._style.signal_s and self._is_free(state, around, change.target):
                self._change = replace(change, begun_s=now_s)
        elif now_s - change.begun_s > self._style.change_s and self._has_arrived(change.target):
            self.lane, self._change = change.target, None
            self._next_look_s = now_s + 6.0  # nobody changes twice in a breath (assumed)

    def _consider_lanes(self, state: VehicleState, around: Surroundings) -> None:
        whim = float(self._rng.random()) < self._style.whims_per_s * 0.5
        for lane in self._road.lanes_beside(self.lane):
            if not self._is_free(state, around, lane):
                continue
            if whim or self._pays(state, around, lane):
                self._change = _Change(self.lane, lane, state.time_s)
                return

    def _has_arrived(self, lane: int) -> bool:
        """True within half a metre of the lane's centre (assumed: then the old lane is free again)."""
        return abs(self.lateral_m - self._road.lane_centre_m(lane) - self._style.bias_m - self._aim.value) < 0.5

    def _is_free(self, state: VehicleState, around: Surroundings, lane: int) -> bool:
        """True where a change into the lane endangers and hinders nobody."""
        ahead, behind = around.leader(lane), around.follower(lane)
        own, theirs = self._accelerations(state, lane, ahead, behind)
        return min(ahead.gap_m, behind.gap_m) > 5.0 and own > -1.5 and theirs > -2.0

    def _accelerations(
        self, state: VehicleState, lane: int, ahead: Neighbour, behind: Neighbour
    ) -> tuple[float, float]:
        """Own acceleration in a lane, and that of the one who would then follow."""
        following, speed = self._style.following, state.speed_mps
        own = idm_acceleration_mps2(following, speed, self._wished_mps(speed), ahead.gap_m, ahead.speed_mps)
        theirs = idm_acceleration_mps2(Following(), behind.speed_mps, behind.speed_mps + 2.0, behind.gap_m, speed)
        return own, theirs if behind.gap_m < FAR_M else 0.0

    def _pays(self, state: VehicleState, around: Surroundings, lane: int) -> bool:
        now, _ = self._accelerations(state, self.lane, around.leader(self.lane), NOBODY)
        then, theirs = self._accelerations(state, lane, around.leader(lane), around.follower(lane))
        rightwards = self._road.lane_centre_m(lane) < self._road.lane_centre_m(self.lane)
        return lane_change_pays(
            self._style.following,
            own_now_mps2=now,
            own_then_mps2=then,
            follower_now_mps2=0.0,
            follower_then_mps2=theirs,
            # Assumed: the rule to keep right weighs 0.25 m/s² (Kesting 2007 uses 0.3 for European rules).
            bias_mps2=0.25 if rightwards else -0.25,
        )
