"""Rollouts: a policy drives through scenarios, many at once, and everything that happened is written down.

In: scenarios, a simulator, a plant, a policy. Out: a `Rollout` for each scenario, in their order.
Idea: one car in one scenario is a value (`_Car`) that is folded over time: at each tick a picture is taken and perhaps
a plan made from it, at each step the plan in force becomes what is asked, the plant moves, the simulator moves, and the
facts decide whether it goes on. Cars that are out at the same time share the policy's batches. Nothing is drawn at
random but from the scenario's seed, so that the same scenarios in the same order with the same policy repeat to the
last bit; in another order a policy on floats may differ in its last bits with the size of its batches.
Not here: where to drive (`suites/`), how well it was driven (`driving/`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from dojo.errors import ConfigError
from dojo.evaluate.controller import Asked, ControllerConfig, Plan, Trim, ask
from dojo.evaluate.plant import Plant
from dojo.evaluate.simulator import Simulator
from dojo.records import (
    DESIRES,
    EgoState,
    Ended,
    Observation,
    Plans,
    Rollout,
    Scenario,
    Start,
    Truth,
)
from dojo.records.pack import pack

_SIDES = {"lane_change_left": 1, "lane_change_right": -1}
_ARRIVED_M = 0.5
"""Assumed: so near to the next lane's centre, the blinker goes off; the simulated fleet's drivers do it there too."""

_SPARED_M = 1.0  # Assumed: what a guard leaves free
_HARDEST_MPS2 = 8.0  # Assumed: full braking on a dry road


@runtime_checkable
class DrivingPolicy(Protocol):
    """Answers the last anchor of each window; arrays as in `Batch`, one frame more than anchors."""

    def __call__(
        self,
        frames: UInt8[np.ndarray, "batch frames 6 128 256"],
        speed_mps: Float32[np.ndarray, "batch anchors"],
        speed_valid: Bool[np.ndarray, "batch anchors"],
        desire: Float32[np.ndarray, "batch anchors 8"],
        traffic_right: Bool[np.ndarray, " batch"],
    ) -> Plans:
        """One plan for each row of the batch."""
        ...


@dataclass(frozen=True)
class RolloutConfig:
    """How scenarios are driven.

    Args:
        anchors: the longest window that the policy is given: what it was trained with.
        tick_s: between pictures, as between the anchors of training. `step_s`: of plant, controller and simulator.
        tell_speed: whether the policy is told its speed.
        margin_m: how far the rear axle may leave the lanes it may drive in. Assumed: 0.3 m, then half the vehicle and
            more is in the neighbouring lane.
        keep_frames: pictures are kept in the rollouts, about 200 kB each.
        together: how many cars are out at once; memory for each simulator, and the size of the policy's batches.
        guard_mps2: where not to hit who is ahead takes harder braking than this, it is braked so, whatever the policy
            wants; None: never, as for every figure about a policy. What is driven to be learned from goes on behind
            a leader instead of ending in it.
    """

    anchors: int = 5
    tick_s: float = 0.2
    step_s: float = 0.05
    tell_speed: bool = True
    margin_m: float = 0.3
    keep_frames: bool = False
    together: int = 16
    guard_mps2: float | None = None
    controller: ControllerConfig = field(default_factory=ControllerConfig)

    def __post_init__(self) -> None:
        steps = self.tick_s / self.step_s if self.step_s > 0 else 0.0
        if self.guard_mps2 is not None and not self.guard_mps2 > 0:
            raise ConfigError(f"rollout: expected a guard_mps2 above zero, or None for none, got {self.guard_mps2}")
        if self.anchors < 1 or self.together < 1 or self.margin_m < 0:
            raise ConfigError(
                "rollout: expected anchors and together of at least 1 and a margin_m that is not negative, got "
                f"{self.anchors}, {self.together} and {self.margin_m}"
            )
        if steps < 1 or abs(steps - round(steps)) > 1e-6:
            raise ConfigError(
                f"rollout: expected a tick_s of whole steps, got {self.tick_s} s in steps of {self.step_s} s; choose "
                "step_s so that it divides tick_s"
            )

    @property
    def steps_per_tick(self) -> int:
        """How many steps lie between two pictures."""
        return round(self.tick_s / self.step_s)


@dataclass(frozen=True)
class _Seen:
    """One picture in a policy's window: packed, the speed when it was taken, what the driver asked for then."""

    packed: UInt8[np.ndarray, "6 128 256"]
    speed_mps: float
    desire: int


@dataclass(frozen=True)
class _Wish:
    """The request in force: its number, the lane it was made in, and whether it has been met."""

    number: int
    from_lane: int
    met: bool = False


@dataclass(frozen=True)
class _Car:
    """One scenario on its way.

    Args:
        place: the simulator's state. `vehicle`: the plant's.
        window: the pictures that the policy remembers, oldest first.
        coming: plans that latency still keeps back, each with the time at which it comes into force.
        ended: None while it drives.
    """

    scenario: Scenario
    start: Start
    place: Any
    vehicle: Any
    ego: EgoState
    truth: Truth
    asked: Asked
    trim: Trim
    step: int = 0
    window: tuple[_Seen, ...] = ()
    plan: Plan | None = None
    coming: tuple[tuple[float, Plan], ...] = ()
    wish: _Wish | None = None
    ended: Ended | None = None


class _Log:
    """What is written down of one car."""

    def __init__(self) -> None:
        self.rows: list[tuple[EgoState, Truth, Asked]] = []
        self.ticks: list[tuple[int, Observation]] = []
        self.desires: list[int] = []
        self.plans: dict[int, Plans] = {}
        """By number of the tick."""


def drive(
    scenarios: Sequence[Scenario],
    simulator: Simulator[Any],
    plant: Plant[Any],
    policy: DrivingPolicy,
    config: RolloutConfig,
    progress: Callable[[Rollout], None] = lambda _rollout: None,
) -> Iterator[Rollout]:
    """One rollout for each scenario, in their order; `config.together` of them are driven at once.

    Args:
        progress: told of each rollout as it ends.
    """
    for first in range(0, len(scenarios), config.together):
        yield from _drive_together(
            scenarios[first : first + config.together], simulator, plant, policy, config, progress
        )


def _drive_together(
    scenarios: Sequence[Scenario],
    simulator: Simulator[Any],
    plant: Plant[Any],
    policy: DrivingPolicy,
    config: RolloutConfig,
    progress: Callable[[Rollout], None],
) -> list[Rollout]:
    cars, done = [_begin(scenario, simulator, plant) for scenario in scenarios], dict[int, Rollout]()
    logs = [_Log() for _ in scenarios]
    try:
        for step in range(max((_steps(scenario, config) for scenario in scenarios), default=0) + 1):
            out = [number for number in range(len(cars)) if number not in done]
            if step % config.steps_per_tick == 0:
                _look(cars, logs, out, simulator, policy, config)
            for number in out:
                cars[number] = _controlled(cars[number], config)
                logs[number].rows.append((cars[number].ego, cars[number].truth, cars[number].asked))
                cars[number] = _moved(cars[number], simulator, plant, config)
                if cars[number].ended is not None:
                    logs[number].rows.append((cars[number].ego, cars[number].truth, cars[number].asked))
                    done[number] = _rollout(cars[number], logs[number], config)
                    simulator.end(cars[number].place)
                    progress(done[number])
            if len(done) == len(cars):
                break
    finally:
        for number, car in enumerate(cars):
            if number not in done:
                simulator.end(car.place)
    return [done[number] for number in range(len(cars))]


def _steps(scenario: Scenario, config: RolloutConfig) -> int:
    return max(1, round(scenario.duration_s / config.step_s))


def _begin(scenario: Scenario, simulator: Simulator[Any], plant: Plant[Any]) -> _Car:
    """A car that has been following its lane, at time 0."""
    place, start = simulator.begin(scenario)
    truth = simulator.truth(place, start.ego)
    vehicle = plant.begin(scenario.plant, start.ego, truth.curvature_per_m)
    asked, trim = Asked(truth.curvature_per_m, 0.0), Trim(truth.curvature_per_m)
    return _Car(scenario, start, place, vehicle, plant.ego(vehicle), truth, asked, trim)


# Looking.


def _look(
    cars: list[_Car],
    logs: list[_Log],
    out: Sequence[int],
    simulator: Simulator[Any],
    policy: DrivingPolicy,
    config: RolloutConfig,
) -> None:
    """Take a picture from each car; the policy answers those that arrive, one batch for each length of window."""
    asking = []
    for number in out:
        log = logs[number]
        cars[number] = car = replace(cars[number], wish=_wish(cars[number]))
        log.desires.append(_desire(car))
        observation = simulator.observe(car.place, car.ego)
        log.ticks.append((len(log.rows), observation if config.keep_frames else _without_frame(observation)))
        if not _is_dropped(car.scenario, len(log.ticks) - 1):
            cars[number] = car = _shown(car, observation, config)
            if len(car.window) >= 2:
                asking.append(number)
    asking.sort(key=lambda number: len(cars[number].window))
    for _, same_length in groupby(asking, key=lambda number: len(cars[number].window)):
        some = list(same_length)
        plans = _answers([cars[number] for number in some], policy, config)
        for row, number in enumerate(some):
            logs[number].plans[len(logs[number].ticks) - 1] = _row(plans, row)
            cars[number] = _answered(cars[number], plans, row)


def _without_frame(observation: Observation) -> Observation:
    """Everything but the picture, which is most of the memory."""
    frame = observation.frame
    empty = replace(frame, y=frame.y[:0, :0], u=frame.u[:0, :0], v=frame.v[:0, :0])
    return replace(observation, frame=empty)


def _is_dropped(scenario: Scenario, tick: int) -> bool:
    share = scenario.disturbance.dropped_share
    return share > 0 and tick > 0 and float(np.random.default_rng((scenario.seed, 0xD509, tick)).random()) < share


def _wish(car: _Car) -> _Wish | None:
    """The newest request that has been made; once met it stays met, as a lever springs back."""
    made = [number for number, request in enumerate(car.scenario.requests) if request.at_s <= car.ego.time_s + 1e-9]
    if not made:
        return None
    old, lane = car.wish, car.truth.lanes_left
    wish = old if old is not None and old.number == made[-1] else _Wish(made[-1], lane)
    side = _SIDES.get(car.scenario.requests[wish.number].desire, 0)
    there = side != 0 and lane == wish.from_lane + side and abs(car.truth.offset_m) < _ARRIVED_M
    return replace(wish, met=wish.met or there)


def _desire(car: _Car) -> int:
    """What the driver asks for now, as an index into `DESIRES`."""
    if car.wish is None or car.wish.met:
        return 0
    request = car.scenario.requests[car.wish.number]
    return DESIRES.index(request.desire) if car.ego.time_s <= request.at_s + request.kept_s + 1e-9 else 0


def _shown(car: _Car, observation: Observation, config: RolloutConfig) -> _Car:
    """The car with one more picture in its window."""
    seen = _Seen(pack(observation.frame), car.ego.speed_mps, _desire(car))
    return replace(car, window=(*car.window, seen)[-(config.anchors + 1) :])


def _answers(cars: Sequence[_Car], policy: DrivingPolicy, config: RolloutConfig) -> Plans:
    """The policy's answers to windows of one length."""
    windows = [car.window for car in cars]
    desires = np.array([[seen.desire for seen in window[1:]] for window in windows], np.int64)
    speed = np.array([[seen.speed_mps for seen in window[1:]] for window in windows], np.float32)
    return policy(
        frames=np.stack([np.stack([seen.packed for seen in window]) for window in windows]),
        speed_mps=speed if config.tell_speed else np.zeros_like(speed),
        speed_valid=np.full(speed.shape, config.tell_speed, np.bool_),
        desire=np.eye(len(DESIRES), dtype=np.float32)[desires],
        traffic_right=np.array([car.start.traffic_right for car in cars], np.bool_),
    )


def _row(plans: Plans, row: int) -> Plans:
    rows = slice(row, row + 1)
    return Plans(
        plans.position_m[rows],
        plans.scale_m[rows],
        plans.probability[rows],
        plans.curvature_per_m[rows],
        plans.acceleration_mps2[rows],
    )


def _answered(car: _Car, plans: Plans, row: int) -> _Car:
    """The car with a plan on its way; a plan without latency is in force at once."""
    best = plans.position_m[row, int(plans.probability[row].argmax())]
    action = Asked(float(plans.curvature_per_m[row]), float(plans.acceleration_mps2[row]))
    plan = Plan.of(best, action, car.ego.time_s)
    return replace(car, coming=(*car.coming, (car.ego.time_s + car.scenario.disturbance.latency_s, plan)))


# Moving.


def _controlled(car: _Car, config: RolloutConfig) -> _Car:
    """The car with what is asked of it now; until the first plan it goes on as it began."""
    now_s = car.ego.time_s
    due = [plan for due_s, plan in car.coming if due_s <= now_s + 1e-9]
    plan = due[-1] if due else car.plan
    coming = car.coming[len(due) :]
    if plan is None:
        return replace(car, coming=coming)
    asked, trim = ask(config.controller, plan, car.asked, car.trim, car.ego, config.step_s)
    return replace(car, plan=plan, coming=coming, asked=_guarded(asked, car.truth, config.guard_mps2), trim=trim)


def _guarded(asked: Asked, truth: Truth, guard_mps2: float | None) -> Asked:
    """What is asked, or the braking that it takes to be as slow as who is ahead before a metre is left."""
    if guard_mps2 is None or truth.closing_mps <= 0:
        return asked
    left_m = truth.gap_m - _SPARED_M
    needed_mps2 = truth.closing_mps**2 / (2 * left_m) if left_m > 0 else math.inf
    if needed_mps2 <= guard_mps2:
        return asked
    return replace(asked, acceleration_mps2=min(asked.acceleration_mps2, -min(needed_mps2, _HARDEST_MPS2)))


def _moved(car: _Car, simulator: Simulator[Any], plant: Plant[Any], config: RolloutConfig) -> _Car:
    """The car one step later, and whether that is the end."""
    vehicle = plant.step(car.vehicle, car.asked.curvature_per_m, car.asked.acceleration_mps2, config.step_s)
    # Steps are counted, not added up: the clock of a long drive stays on its grid.
    ego = replace(plant.ego(vehicle), time_s=(car.step + 1) * config.step_s)
    place = simulator.step(car.place, ego, config.step_s)
    truth = simulator.truth(place, ego)
    over = car.step + 1 >= _steps(car.scenario, config)
    return replace(
        car,
        vehicle=vehicle,
        ego=ego,
        place=place,
        truth=truth,
        step=car.step + 1,
        ended=_end(truth, car.scenario, config.margin_m) or ("time_over" if over else None),
    )


def _end(truth: Truth, scenario: Scenario, margin_m: float) -> Ended | None:
    """Why a rollout ends here, the gravest reason first; None where it goes on."""
    if truth.contact != "none":
        return "contact"
    if truth.off_road:
        return "off_road"
    if not truth.shown:
        return "not_shown"
    right, left = sorted((0, scenario.goal.lanes_left))
    reach_m = truth.lane_width_m / 2 + margin_m
    if not right * truth.lane_width_m - reach_m <= truth.across_m <= left * truth.lane_width_m + reach_m:
        return "left_lane"
    return "road_over" if truth.road_over else None


# Writing down.


def _rollout(car: _Car, log: _Log, config: RolloutConfig) -> Rollout:
    assert car.ended is not None
    egos, truths, asked = zip(*log.rows, strict=True)

    def column(records: Sequence[object], name: str) -> np.ndarray:
        return np.array([getattr(record, name) for record in records], np.float64)

    observations = [observation for _, observation in log.ticks]
    return Rollout(
        scenario=car.scenario,
        camera=car.start.camera,
        ended=car.ended,
        at_fault=car.truth.contact == "at_fault",
        times_s=column(egos, "time_s"),
        **{
            name: column(egos, name)
            for name in ("x_m", "y_m", "yaw_rad", "speed_mps", "acceleration_mps2", "yaw_rate_radps")
        },
        **{
            name: column(truths, name)
            for name in (
                *("offset_m", "heading_error_rad", "lanes_left", "lane_width_m", "progress_m", "curvature_per_m"),
                *("reference_mps", "gap_m", "closing_mps"),
            )
        },
        asked_curvature_per_m=column(asked, "curvature_per_m"),
        asked_acceleration_mps2=column(asked, "acceleration_mps2"),
        tick_step=tuple(step for step, _ in log.ticks),
        answered=np.array([tick in log.plans for tick in range(len(log.ticks))], np.bool_),
        plans=_joined(log.plans, len(log.ticks)),
        centre_m=np.stack([observation.centre_m for observation in observations]),
        centre_valid=np.stack([observation.centre_valid for observation in observations]),
        others_m=tuple(observation.others_m for observation in observations),
        frames=tuple(observation.frame for observation in observations) if config.keep_frames else (),
        desire=np.array(log.desires, np.int64),
        recorded_camera=car.start.recorded_camera,
    )


def _joined(plans: dict[int, Plans], ticks: int) -> Plans:
    """The plans of all ticks; where nothing was answered, one that goes nowhere."""
    hypotheses = next(iter(plans.values())).probability.shape[1] if plans else 1
    none = Plans(
        np.zeros((1, hypotheses, 33, 3), np.float32),
        np.ones((1, hypotheses, 33, 3), np.float32),
        np.full((1, hypotheses), 1 / hypotheses, np.float32),
        np.zeros(1, np.float32),
        np.zeros(1, np.float32),
    )
    rows = [plans.get(tick, none) for tick in range(ticks)]
    return Plans(
        np.concatenate([row.position_m for row in rows]),
        np.concatenate([row.scale_m for row in rows]),
        np.concatenate([row.probability for row in rows]),
        np.concatenate([row.curvature_per_m for row in rows]),
        np.concatenate([row.acceleration_mps2 for row in rows]),
    )
