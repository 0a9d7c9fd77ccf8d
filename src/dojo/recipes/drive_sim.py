"""A simulated vehicle of a platform: its control units on a virtual bus, the simulated world around it.

In: a scenario, a platform, the folder of a bundle. Out: what happened, as a `Rollout` that the evaluation judges.
Idea: what drives is the runtime as it runs in a car: pictures go in, and everything else passes as bytes over a bus,
through the envelope and back through the units' own checks. Scenarios, world, plant and judgement are those of the
evaluation, so that its report and this drive can be held against each other. Time is counted, not waited for: a
hundredth of a second at a time for bus and plant, the runtime's cycle for everything else.
Not here: the runtime (`drive/`), rollouts without a bus (`evaluate/rollout.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dojo.drive.adapter import Adapter, check_fits
from dojo.drive.can_bus import CanBus
from dojo.drive.ecus import Ecus, values_of
from dojo.drive.gateway import Bus, Gateway
from dojo.drive.limits import VERSION
from dojo.drive.model import OnnxPolicy, Policy, load_policy, read_manifest
from dojo.drive.platform import load_platform
from dojo.drive.runtime import Cycle, Runtime, RuntimeConfig
from dojo.drive.thinker import AtOnce, Thinker
from dojo.drive.window import Window
from dojo.evaluate.closed_loop import judge
from dojo.evaluate.controller import Asked, ControllerConfig
from dojo.evaluate.rollout import RolloutConfig
from dojo.evaluate.suites import SUITES
from dojo.recipes.follow import PlanFollower
from dojo.recipes.spread import spread
from dojo.records import (
    BundleManifest,
    Command,
    DriverInput,
    EgoState,
    Ended,
    Frame,
    Observation,
    Plans,
    Rollout,
    Scenario,
    Truth,
    VehicleState,
)
from dojo.world.car import BELIEVED, Car
from dojo.world.simulator import WorldConfig, WorldSimulator

_TICK_S = 0.01
_numbers = itertools.count()
_SIDES = {"lane_change_left": 1, "lane_change_right": -1}


@dataclass(frozen=True)
class SimulatedDrive:
    """How simulated vehicles are driven.

    Args:
        frame_every_s: of the camera; a whole number of cycles. Every cycle is what a car has; drawing is what
            simulation costs, and the network looks no closer than `BundleManifest.tick_s`.
        margin_m: as in `RolloutConfig`.
    """

    frame_every_s: float = 0.2
    margin_m: float = RolloutConfig().margin_m
    world: WorldConfig = field(default_factory=WorldConfig)
    controller: ControllerConfig = field(default_factory=ControllerConfig)


@dataclass(frozen=True)
class Brain:
    """What drives: a checked bundle and the adapter of a platform that it fits."""

    manifest: BundleManifest
    policy: Policy
    adapter: Adapter

    @staticmethod
    def load(bundle: Path, vehicle: str) -> Brain:
        """The brain for a platform.

        Raises:
            ConfigError: the bundle is not whole, answers otherwise than sealed, or does not fit.
        """
        manifest, adapter = read_manifest(bundle), Adapter(load_platform(vehicle))
        check_fits(manifest, adapter, VERSION)
        policy: OnnxPolicy = load_policy(bundle, manifest)
        return Brain(manifest, policy, adapter)

    def runtime(
        self, bus: Bus, thinker: Thinker, config: RuntimeConfig, controller: ControllerConfig, now_ns: int
    ) -> tuple[Runtime, Gateway]:
        """A runtime on a bus; the controller counts on the platform's delays."""
        file = self.adapter.platform.file
        gateway = Gateway(self.adapter, bus)
        runtime = Runtime(
            gateway,
            Window(self.manifest, config.frame_every_s),
            thinker,
            PlanFollower(replace(controller, actuator_delay_s=file.delays.steering_s)),
            file.body,
            self.adapter.platform.limits,
            config,
            now_ns,
        )
        return runtime, gateway


class SimulatedVehicle:
    """One scenario on its way: the world, the plant, the units on their end of the bus, a driver who lets it drive.

    While nothing is engaged, the driver goes on along the lane's bend; a `human` one steers to its middle and minds
    speed and traffic as well. `cycle` moves everything on to the runtime's next cycle; `frame` is the camera's newest
    picture, once.
    """

    def __init__(
        self,
        scenario: Scenario,
        adapter: Adapter,
        bus: Bus,
        config: SimulatedDrive,
        cycle_s: float,
        human: bool = False,
    ) -> None:
        self._human = human
        self._scenario, self._adapter, self._config, self._cycle_s = scenario, adapter, config, cycle_s
        self._world, self._car = WorldSimulator(config.world), Car()
        self._place, self.start = self._world.begin(scenario)
        self.truth = self._world.truth(self._place, self.start.ego)
        self._vehicle = self._car.begin(scenario.plant, self.start.ego, self.truth.curvature_per_m)
        self.ego: EgoState = self._car.ego(self._vehicle)
        self.ecus = Ecus(adapter, bus)
        self.asked = Asked(self.truth.curvature_per_m, 0.0)
        self.steps = 0
        self._ticks = 0
        self.press: Callable[[float], DriverInput] = self._patient
        self.observed: Observation | None = None

    @property
    def now_ns(self) -> int:
        """Counted time; a second after zero, as the world's begins at zero."""
        return 1_000_000_000 + self._ticks * round(_TICK_S * 1e9)

    def _patient(self, time_s: float) -> DriverInput:
        """Hands on, eyes on the road, asking for what the scenario asks, pressing the button in turns until engaged."""
        side = 0
        for request in self._scenario.requests:
            if request.at_s <= time_s <= request.at_s + request.kept_s:
                side = _SIDES.get(request.desire, 0)
        return DriverInput(
            hands_on=True,
            eyes_on_road=True,
            engage_pressed=round(time_s / _TICK_S) // 10 % 2 == 1,
            blinker=1 if side > 0 else -1 if side < 0 else 0,
        )

    def frame(self) -> Frame | None:
        """The picture that is due at this cycle, on the clock of the runtime; None between pictures."""
        every = max(1, round(self._config.frame_every_s / self._cycle_s))
        if self.steps % every:
            return None
        self.observed = self._world.observe(self._place, self.ego)
        return replace(self.observed.frame, timestamp_ns=self.now_ns)

    def broadcast(self) -> None:
        """The units say what is so now."""
        self.ecus.broadcast(self.now_ns, values_of(self._state(), self.press(self.ego.time_s)))

    def _state(self) -> VehicleState:
        ego, motion = self.ego, self._vehicle.motion
        # The wheel of this platform's body, were it to turn as the believed car does.
        turn = BELIEVED.curvature_per_m(motion.steering_wheel_rad, ego.speed_mps)
        wheel = self._adapter.platform.file.body.wheel_rad(turn, ego.speed_mps)
        return VehicleState(self.now_ns, ego.speed_mps, wheel, ego.yaw_rate_radps)

    def cycle(self) -> None:
        """One cycle of the runtime later: units and plant in hundredths of a second, then the world."""
        for _ in range(round(self._cycle_s / _TICK_S)):
            self.ecus.listen(self.now_ns)
            command = self.ecus.asked(self.now_ns, self.ego.speed_mps)
            self.asked = self._obeyed(command)
            self._vehicle = self._car.step(
                self._vehicle, self.asked.curvature_per_m, self.asked.acceleration_mps2, _TICK_S
            )
            self._ticks += 1
            # Ticks are counted, not added up: the clock of a long drive stays on its grid.
            self.ego = replace(self._car.ego(self._vehicle), time_s=self._ticks * _TICK_S)
            self.broadcast()
        self.steps += 1
        self._place = self._world.step(self._place, self.ego, self._cycle_s)
        self.truth = self._world.truth(self._place, self.ego)

    def _obeyed(self, command: Command | None) -> Asked:
        """What the units do: what they are asked for while engaged; otherwise what the driver does."""
        if command is None or not command.engaged:
            return human_driver(self.truth, self.ego) if self._human else Asked(self.truth.curvature_per_m, 0.0)
        return Asked(command.curvature_per_m, command.acceleration_mps2)

    def close(self) -> None:
        """Give the window back."""
        self._world.end(self._place)


_PULL_RADPS, _HEADWAY_S, _GAP_M = 0.6, 1.6, 4.0
"""Assumed: how a calm driver returns to the middle of the lane, and keeps away from who is ahead."""


def human_driver(truth: Truth, ego: EgoState) -> Asked:
    """What a calm driver does who sees everything: a damped return to the middle, the speed of the road, the gap."""
    metres_per_s = max(ego.speed_mps, 3.0)
    pull = _PULL_RADPS**2 / metres_per_s**2 * truth.offset_m + 2 * _PULL_RADPS / metres_per_s * truth.heading_error_rad
    push = (truth.reference_mps - ego.speed_mps) / 3.0
    if math.isfinite(truth.gap_m):
        room_m = truth.gap_m - _GAP_M - _HEADWAY_S * ego.speed_mps
        push = min(push, 0.15 * room_m - 0.8 * truth.closing_mps)
    return Asked(truth.curvature_per_m - pull, max(-3.5, min(1.5, push)))


def drive_scenario(brain: Brain, scenario: Scenario, config: SimulatedDrive) -> tuple[Rollout, list[Cycle]]:
    """What happened when the runtime drove a scenario, and every cycle of it."""
    channel = f"simulated-{next(_numbers)}"
    ends = (CanBus.open("virtual", channel), CanBus.open("virtual", channel))
    run = RuntimeConfig(frame_every_s=config.frame_every_s)
    vehicle = SimulatedVehicle(scenario, brain.adapter, ends[1], config, run.cycle_s)
    runtime, _ = brain.runtime(ends[0], AtOnce(brain.policy), run, config.controller, vehicle.now_ns)
    log = _Log()
    try:
        vehicle.broadcast()
        while True:
            frame = vehicle.frame()
            cycle = runtime.cycle(vehicle.now_ns, frame)
            log.note(vehicle, runtime, cycle, frame is not None)
            vehicle.cycle()
            ended = _ended(vehicle.truth, scenario, config.margin_m)
            over = vehicle.ego.time_s >= scenario.duration_s - 1e-9
            if ended or over:
                log.row(vehicle)
                return log.rollout(vehicle, scenario, ended or "time_over"), log.cycles
    finally:
        vehicle.close()
        for end in ends:
            end.close()


def _ended(truth: Truth, scenario: Scenario, margin_m: float) -> Ended | None:
    """Why a drive ends here; the rules of the evaluation's rollouts."""
    if truth.contact != "none":
        return "contact"
    if truth.off_road:
        return "off_road"
    right, left = sorted((0, scenario.goal.lanes_left))
    reach_m = truth.lane_width_m / 2 + margin_m
    if not right * truth.lane_width_m - reach_m <= truth.across_m <= left * truth.lane_width_m + reach_m:
        return "left_lane"
    return "road_over" if truth.road_over else None


_NOWHERE = Plans(
    np.zeros((1, 1, 33, 3), np.float32),
    np.ones((1, 1, 33, 3), np.float32),
    np.ones((1, 1), np.float32),
    np.zeros(1, np.float32),
    np.zeros(1, np.float32),
)


class _Log:
    """What is written down of one drive."""

    def __init__(self) -> None:
        self.cycles: list[Cycle] = []
        self._rows: list[tuple[EgoState, Truth, Asked]] = []
        self._ticks: list[tuple[int, Observation]] = []
        self._plans: list[Plans | None] = []

    def note(self, vehicle: SimulatedVehicle, runtime: Runtime, cycle: Cycle, pictured: bool) -> None:
        """One cycle, and its picture without the pixels."""
        self.cycles.append(cycle)
        if pictured:
            assert vehicle.observed is not None
            frame = vehicle.observed.frame
            empty = replace(frame, y=frame.y[:0, :0], u=frame.u[:0, :0], v=frame.v[:0, :0])
            self._ticks.append((len(self._rows), replace(vehicle.observed, frame=empty)))
            self._plans.append(runtime.plan[0] if runtime.plan is not None else None)
        self.row(vehicle)

    def row(self, vehicle: SimulatedVehicle) -> None:
        """Where the vehicle is."""
        self._rows.append((vehicle.ego, vehicle.truth, vehicle.asked))

    def rollout(self, vehicle: SimulatedVehicle, scenario: Scenario, ended: Ended) -> Rollout:
        """All of it as a rollout."""
        egos, truths, asked = zip(*self._rows, strict=True)

        def columns(records: Sequence[object], *names: str) -> dict[str, Any]:
            return {name: np.array([getattr(record, name) for record in records], np.float64) for name in names}

        observations = [observation for _, observation in self._ticks]
        asked_for = columns(asked, "curvature_per_m", "acceleration_mps2")
        return Rollout(
            scenario=scenario,
            camera=vehicle.start.camera,
            ended=ended,
            at_fault=vehicle.truth.contact == "at_fault",
            times_s=np.array([ego.time_s for ego in egos], np.float64),
            **columns(egos, "x_m", "y_m", "yaw_rad", "speed_mps", "acceleration_mps2", "yaw_rate_radps"),
            **columns(truths, "offset_m", "heading_error_rad", "lanes_left", "lane_width_m", "progress_m"),
            **columns(truths, "curvature_per_m", "reference_mps", "gap_m", "closing_mps"),
            asked_curvature_per_m=asked_for["curvature_per_m"],
            asked_acceleration_mps2=asked_for["acceleration_mps2"],
            tick_step=tuple(step for step, _ in self._ticks),
            answered=np.array([plan is not None for plan in self._plans], np.bool_),
            plans=_joined(self._plans),
            centre_m=np.stack([observation.centre_m for observation in observations]),
            centre_valid=np.stack([observation.centre_valid for observation in observations]),
            others_m=tuple(observation.others_m for observation in observations),
            recorded_camera=vehicle.start.recorded_camera,
        )


def _joined(plans: Sequence[Plans | None]) -> Plans:
    """The most probable hypothesis of each; where there is none, one that goes nowhere."""

    def rows(name: str) -> np.ndarray:
        return np.concatenate([getattr(plan, name) for plan in chosen])

    chosen = [_NOWHERE if plan is None else _best(plan) for plan in plans]
    return Plans(*(rows(name) for name in Plans.__dataclass_fields__))


def _best(plan: Plans) -> Plans:
    return Plans(
        plan.best()[:, None],
        plan.best_scale()[:, None],
        np.ones((1, 1), np.float32),
        plan.curvature_per_m,
        plan.acceleration_mps2,
    )


# Suites.


@dataclass(frozen=True)
class _Case:
    """One unit of work."""

    bundle: Path
    vehicle: str
    scenario: Scenario
    config: SimulatedDrive


def _driven(case: _Case) -> Rollout:
    """The rollout of one case, in a process of its own."""
    return drive_scenario(Brain.load(case.bundle, case.vehicle), case.scenario, case.config)[0]


def drive_suites(
    bundle: Path,
    vehicle: str,
    suites: Sequence[str] = ("lane_centring", "leader"),
    cases: int = 0,
    processes: int = 1,
    config: SimulatedDrive | None = None,
) -> dict[str, Any]:
    """How a bundle drives suites on a platform, over its bus: each suite as `closed_loop.SuiteResult.to_json` says it.

    Args:
        vehicle: a platform of Dojo's by name, or its folder.
        cases: of each suite at most so many, the first; 0: all.
        processes: how many at once; 0: one per core. Changes nothing in the result.
    """
    Brain.load(bundle, vehicle)  # refused here, rather than in every process
    return judge(list(rollouts_of(bundle, vehicle, suites, cases, processes, config or SimulatedDrive()))).to_json()


def rollouts_of(
    bundle: Path, vehicle: str, suites: Sequence[str], cases: int, processes: int, config: SimulatedDrive
) -> Iterator[Rollout]:
    """The rollouts of the suites, in their order."""
    scenarios = [scenario for suite in suites for scenario in SUITES[suite](0)[: cases or None]]
    yield from spread(_driven, [_Case(bundle, vehicle, one, config) for one in scenarios], processes, None)
