"""One cycle of driving: from what a camera and a vehicle say now to one command.

In: the newest frame if there is one, the bus, the time. Out: exactly one command, and what led to it.
Idea: everything that decides is elsewhere and pure; here it is only asked in the right order, with clock, bus and
camera handed in, so that a simulated second and a real one run the same lines. Nothing is allocated that is not freed
within the cycle. In shadow the same happens, but nothing is sent and nothing is ever engaged.
Not here: when a cycle is due (`schedule.py`), which plan makes which wish (a `Follower`, handed in).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, runtime_checkable

from dojo.drive import states
from dojo.drive.gateway import Gateway
from dojo.drive.limits import Driver, Given, Limits, Motion, Wish, limit, start
from dojo.drive.platform import Body
from dojo.drive.states import Duties, Inputs, Mode, Timing
from dojo.drive.thinker import Thinker
from dojo.drive.window import Window
from dojo.records import Command, DriverInput, Frame, Plans, VehicleState

STEPS = ("bus", "picture", "network", "state", "plan", "envelope", "send")
"""Parts of a cycle, in their order."""

_NO_TIME = -(1 << 61)
_TURNS_FROM_MPS = 3.0
"""Assumed: slower, the steering wheel tells the curvature better than a yaw rate over a small speed."""


@runtime_checkable
class Follower(Protocol):
    """Turns plans into wishes."""

    def begin(self, curvature_per_m: float) -> None:
        """The vehicle is about to follow, and turns like this."""
        ...

    def follow(
        self, plans: Plans, taken_ns: int, state: VehicleState, last: tuple[float, float], now_ns: int, dt_s: float
    ) -> tuple[float, float]:
        """Curvature and acceleration to wish for now.

        Args:
            last: what was given for the `dt_s` until now.
        """
        ...


@dataclass(frozen=True)
class RuntimeConfig:
    """How cycles are run.

    Args:
        cycle_s: between commands. `frame_every_s`: between the camera's pictures.
        wait_share: of a cycle that is waited for the network at most before the command goes out on the last plan.
        stop_mps2: how hard minimal risk brakes. Assumed: firm, and far from what tyres can do.
        blind_s: minimal risk turns as the last plan says until the plan is so old; then it holds the turn.
        ahead_s: a picture stamped later than now by more than this is of another clock, and not taken: its plans would
            look fresh when they are old. Assumed: above what passes between asking the clock and the camera.
        shadow: nothing is sent.
    """

    cycle_s: float = 0.05
    frame_every_s: float = 0.05
    wait_share: float = 0.6
    stop_mps2: float = -2.0
    blind_s: float = 4.0
    ahead_s: float = 0.01
    shadow: bool = False
    timing: Timing = field(default_factory=Timing)


@dataclass
class Counts:
    """What has happened since the start.

    Args:
        late_cycles: that began so late that the vehicle may have let go.
        frames_missing: cycles at which a frame was due and none came. `frames_old`: not newer than the one before.
        frames_ahead: stamped later than now.
        frames_dropped: that came while the network was still busy. `plans_failed`: windows without an answer.
    """

    cycles: int = 0
    late_cycles: int = 0
    frames: int = 0
    frames_missing: int = 0
    frames_old: int = 0
    frames_ahead: int = 0
    frames_dropped: int = 0
    plans: int = 0
    plans_failed: int = 0


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle, as it is recorded.

    Args:
        wish: what the plan wants, before limits; None without a plan or a vehicle.
        spent_ns: on each of `STEPS`.
        changed: the state is another than a cycle ago.
    """

    now_ns: int
    mode: Mode
    duties: Duties
    command: Command
    given: Given
    wish: Wish | None
    state: VehicleState | None
    driver: DriverInput | None
    plan_age_ns: int | None
    spent_ns: tuple[int, ...]
    changed: bool


class Runtime:
    """Drives one vehicle; ask for a `cycle` every `cycle_s`."""

    def __init__(
        self,
        gateway: Gateway,
        window: Window,
        thinker: Thinker,
        follower: Follower,
        body: Body,
        limits: Limits,
        config: RuntimeConfig,
        now_ns: int,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._gateway, self._window, self._thinker, self._follower = gateway, window, thinker, follower
        self._body, self._limits, self._config, self._clock_ns = body, limits, config, clock_ns
        self._mode, self._given = states.begin(now_ns), start(limits)
        self._wished: tuple[float, float] | None = None
        self._plan: tuple[Plans, int] | None = None
        self._speed_ns = _NO_TIME
        self.counts = Counts()

    @property
    def plan(self) -> tuple[Plans, int] | None:
        """The plan in force, and when its last picture was taken."""
        return self._plan

    def cycle(self, now_ns: int, frame: Frame | None) -> Cycle:
        """One command for now, sent unless in shadow.

        Args:
            frame: the newest that has come since the last cycle.
        """
        marks = [self._clock_ns()]

        def mark() -> None:
            marks.append(self._clock_ns())

        self._count(now_ns)
        state, driver, _ = self._heard(now_ns)
        mark()
        self._take_thought(0.0)
        self._show(frame, state, driver, now_ns)
        mark()
        self._take_thought(self._config.wait_share * self._config.cycle_s)
        mark()
        # The driver may have acted while the network was waited for, and wins in this cycle, not in the next.
        state, driver, driver_ns = self._heard(now_ns)
        before = self._mode
        seen = self._seen(now_ns, state, driver)
        self._mode, duties = states.step(self._config.timing, before, seen)
        mark()
        wish = self._wish(duties, state, now_ns, begins=duties.engage and before.state not in states.DRIVES)
        mark()
        motion = self._motion(state)
        acts = Driver(False, False, 0.0, driver_ns)
        if driver is not None:
            acts = Driver(driver.brake_pressed, driver.gas_pressed, driver.torque_nm, driver_ns)
        nothing = Wish(0.0, 0.0, _NO_TIME)
        self._given = limit(self._limits, self._given, wish or nothing, motion, acts, duties.engage, now_ns)
        given = self._given
        command = Command(
            given.curvature_per_m,
            given.acceleration_mps2,
            given.engaged,
            duties.take_over_request,
            duties.warning,
        )
        mark()
        if not self._config.shadow:
            self._gateway.send(command, given.speed_mps)
        mark()
        spent = tuple(after - first for first, after in pairwise(marks))
        changed = before.state != self._mode.state
        age = seen.plan_age_ns
        return Cycle(now_ns, self._mode, duties, command, given, wish, state, driver, age, spent, changed)

    def _heard(self, now_ns: int) -> tuple[VehicleState | None, DriverInput | None, int]:
        """What the bus says now of the vehicle and of its driver, and since when that is known of the driver."""
        self._gateway.read(now_ns)
        heard = self._gateway.driver(now_ns)
        return (self._gateway.state(now_ns), *(heard if heard is not None else (None, _NO_TIME)))

    def _count(self, now_ns: int) -> None:
        self.counts.cycles += 1
        self.counts.late_cycles += now_ns - self._mode.cycle_ns > self._config.timing.longest_cycle_ns

    def _show(self, frame: Frame | None, state: VehicleState | None, driver: DriverInput | None, now_ns: int) -> None:
        """Take the frame, and have it thought about if nobody is thinking."""
        if frame is None:
            due_ns = self._window.newest_ns + round(1.5 * self._config.frame_every_s * 1e9)
            self.counts.frames_missing += now_ns > due_ns
            return
        self.counts.frames += 1
        if frame.timestamp_ns > now_ns + round(self._config.ahead_s * 1e9):
            self.counts.frames_ahead += 1
            return
        if not self._thinker.idle:
            # The ring may be written: the network reads its own copy of the window.
            self.counts.frames_dropped += 1
        speed = None if state is None else state.speed_mps
        if not self._window.show(frame, speed, 0 if driver is None else driver.blinker):
            self.counts.frames_old += 1
            return
        if self._thinker.idle and self._window.ready:
            self._thinker.offer(self._window.inputs, self._window.fill())

    def _take_thought(self, wait_s: float) -> None:
        """Put the newest plan into force, if it is there in time."""
        thought = self._thinker.take(wait_s)
        if thought is None:
            return
        if thought.plans is None:
            self.counts.plans_failed += 1
            return
        self.counts.plans += 1
        self._plan = (thought.plans, thought.taken_ns)

    def _seen(self, now_ns: int, state: VehicleState | None, driver: DriverInput | None) -> Inputs:
        one = driver or DriverInput()
        return Inputs(
            now_ns=now_ns,
            vehicle_known=state is not None,
            driver_known=driver is not None,
            acts=one.gas_pressed or abs(one.torque_nm) > self._limits.override_torque_nm,
            brake=one.brake_pressed,
            cancel=one.cancel_pressed,
            engage=one.engage_pressed and not self._config.shadow,
            hands_on=one.hands_on,
            eyes_on_road=one.eyes_on_road,
            accepts=state is not None and state.accepts,
            plan_age_ns=None if self._plan is None else now_ns - self._plan[1],
        )

    def _motion(self, state: VehicleState | None) -> Motion:
        """How the vehicle moves, for the envelope; what was last known, where it is unknown."""
        if state is None:
            return Motion(self._given.speed_mps, self._given.curvature_per_m, self._speed_ns)
        self._speed_ns = state.time_ns
        return Motion(state.speed_mps, self._curvature_of(state), state.time_ns)

    def _curvature_of(self, state: VehicleState) -> float:
        if state.speed_mps >= _TURNS_FROM_MPS:
            return state.yaw_rate_radps / state.speed_mps
        return self._body.curvature_per_m(state.steering_wheel_rad, state.speed_mps)

    def _wish(self, duties: Duties, state: VehicleState | None, now_ns: int, begins: bool) -> Wish | None:
        """What is wished for now."""
        if state is None:
            return None
        given = self._given
        follows = given.engaged or begins
        if not follows or begins:
            self._follower.begin(self._curvature_of(state))
        turn, push = given.curvature_per_m, 0.0
        if self._plan is not None and now_ns - self._plan[1] <= round(self._config.blind_s * 1e9):
            # While a driver drives, the wish goes on from the last wish: from what is driven, a follower that is held
            # to a jerk would never get far enough away to disagree.
            last = (given.curvature_per_m, given.acceleration_mps2) if follows else self._wished
            last = last or (self._curvature_of(state), 0.0)
            turn, push = self._follower.follow(*self._plan, state, last, now_ns, self._config.cycle_s)
            self._wished = (turn, push)
        elif duties.follow_plan:
            return None
        if not duties.follow_plan:
            push = self._config.stop_mps2
        elif duties.engage and not duties.may_accelerate:
            push = min(push, 0.0)
        return Wish(turn, push, now_ns)
