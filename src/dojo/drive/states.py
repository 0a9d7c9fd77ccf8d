"""Whether driving is allowed: off, ready, engaged, overridden, take-over requested, minimal risk.

In: the state, what is known at this cycle. Out: the next state and what follows from it; nothing is remembered
elsewhere.
Idea: a pure function of values, so that every path can be tried by a test and drawn by a person::

    off ---------- all is known ---------> ready --- engage, hands on ---> engaged <--- let go 1 s --- overridden
     ^                                       ^                             |   |  \\--- gas, steering ---^ |
     |                                       |---------- brake, cancel ----+   |                          |
     |                                       |-- brake, cancel, gas, steering  | something fails,         |
     |                                       |                              \\ v nobody looks <-----------+
     +---- vehicle or driver unknown 0.5 s --(every state)---------- take over requested
                                             |                                 | nobody answers 10 s, no plan 1.5 s
                                             +---- brake, cancel, gas, ---- minimal risk: brake to a stop, hold

The driver wins within one cycle in every state: brake, gas and steering end what is engaged at once, and the envelope
(`limits.py`) would, even if this did not. A failure hands back; it does not heal by itself: once asked to, the driver
takes over, unless it was only hands or eyes that were missed and they are there again.
Not here: how much may be asked of the vehicle (`limits.py`), what braking to a stop is (`runtime.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["off", "ready", "engaged", "overridden", "take_over", "minimal_risk"]
STATES: tuple[State, ...] = ("off", "ready", "engaged", "overridden", "take_over", "minimal_risk")
DRIVES: tuple[State, ...] = ("engaged", "take_over", "minimal_risk")
"""In these the vehicle is to follow, as far as the envelope lets it."""

_S = 1_000_000_000


@dataclass(frozen=True)
class Timing:
    """When what is done, in nanoseconds.

    Assumed throughout: of the order of UN R171's escalation (a request, a stronger one, the driver made to drive, at
    last a stop) and of the ten seconds that UN R157 gives a driver to answer; to be set for each market by whoever
    has the regulation's text.

    Args:
        hands_shown_ns, hands_sounded_ns, hands_back_ns: without hands until a warning, a loud one, the hand-back.
        eyes_shown_ns, eyes_sounded_ns, eyes_back_ns: the same with eyes off the road.
        answer_ns: from the request to take over until minimal risk.
        calm_ns: after the driver lets go of gas and wheel until it is engaged again.
        plan_old_ns: a plan older than this hands back. `plan_gone_ns`: than this, nobody knows where the road goes.
        lost_ns: vehicle or driver unknown for so long, and it is off.
        longest_cycle_ns: a longer one means that the vehicle has had no command and may have let go; one that ends
            before it began, that the clock was set back, and nobody knows how old anything is.
    """

    hands_shown_ns: int = 5 * _S
    hands_sounded_ns: int = 10 * _S
    hands_back_ns: int = 15 * _S
    eyes_shown_ns: int = 3 * _S
    eyes_sounded_ns: int = 5 * _S
    eyes_back_ns: int = 8 * _S
    answer_ns: int = 10 * _S
    calm_ns: int = 1 * _S
    plan_old_ns: int = _S // 2
    plan_gone_ns: int = 3 * _S // 2
    lost_ns: int = _S // 2
    longest_cycle_ns: int = _S // 10


@dataclass(frozen=True)
class Inputs:
    """What is known at one cycle.

    Args:
        vehicle_known, driver_known: their signals are fresh.
        acts: the driver presses gas or turns the wheel.
        brake, cancel, engage: pedal and buttons.
        accepts: the vehicle's actuators follow.
        plan_age_ns: of the newest plan since its picture; None where there never was one.
    """

    now_ns: int
    vehicle_known: bool
    driver_known: bool
    acts: bool
    brake: bool
    cancel: bool
    engage: bool
    hands_on: bool
    eyes_on_road: bool
    accepts: bool
    plan_age_ns: int | None


@dataclass(frozen=True)
class Mode:
    """The state, and the moments that it counts from.

    Args:
        since_ns: when the state began. `cycle_ns`: the last cycle.
        hands_ns, eyes_ns: when they were last where they should be.
        known_ns: when vehicle and driver were last known.
        acted_ns: when the driver last pressed gas or turned the wheel.
        held: the engage button was pressed at the last cycle already.
        inattentive: the driver is asked to take over for no other reason than missing hands or eyes.
        unanswered: the driver has been asked to take over and has not been felt since.
        why: of the last change, one word.
    """

    state: State = "off"
    since_ns: int = 0
    cycle_ns: int = 0
    hands_ns: int = 0
    eyes_ns: int = 0
    known_ns: int = 0
    acted_ns: int = 0
    held: bool = False
    inattentive: bool = False
    unanswered: bool = False
    why: str = ""


@dataclass(frozen=True)
class Duties:
    """What follows from a state.

    Args:
        engage: the vehicle is to follow. `follow_plan`: it is told what the plan wants; otherwise it brakes to a stop.
        may_accelerate: False where a plan is followed with the foot off the gas.
    """

    engage: bool
    follow_plan: bool
    may_accelerate: bool
    take_over_request: bool
    warning: Literal[0, 1, 2]


def begin(now_ns: int) -> Mode:
    """Off, with every clock at zero from now."""
    return Mode("off", now_ns, now_ns, now_ns, now_ns, now_ns, now_ns)


def step(timing: Timing, mode: Mode, seen: Inputs) -> tuple[Mode, Duties]:
    """The next state and what follows from it."""
    late = not 0 <= seen.now_ns - mode.cycle_ns <= timing.longest_cycle_ns
    felt = seen.driver_known and (seen.brake or seen.acts)
    mode = replace(
        mode,
        hands_ns=seen.now_ns if seen.hands_on or mode.state not in DRIVES else mode.hands_ns,
        eyes_ns=seen.now_ns if seen.eyes_on_road or mode.state not in DRIVES else mode.eyes_ns,
        known_ns=seen.now_ns if seen.vehicle_known and seen.driver_known else mode.known_ns,
        acted_ns=seen.now_ns if seen.acts else mode.acted_ns,
        unanswered=mode.unanswered and not felt,
    )
    state, why = _next(timing, mode, seen, late)
    pressed = seen.driver_known and seen.engage
    mode = replace(mode, cycle_ns=seen.now_ns, held=pressed)
    if state != mode.state:
        mode = replace(
            mode,
            state=state,
            since_ns=seen.now_ns,
            why=why,
            inattentive=state == "take_over" and why in ("hands", "eyes"),
            unanswered=mode.unanswered or state in ("take_over", "minimal_risk"),
        )
        if state in ("ready", "engaged"):
            mode = replace(mode, unanswered=False)
    return mode, _duties(timing, mode, seen)


def _next(timing: Timing, mode: Mode, seen: Inputs, late: bool) -> tuple[State, str]:
    """The next state, and why."""
    if seen.now_ns - mode.known_ns > timing.lost_ns:
        return "off", "lost"
    if mode.state == "off":
        return _from_off(timing, seen)
    if mode.state == "ready":
        return _from_ready(timing, mode, seen)
    if seen.driver_known and (seen.brake or seen.cancel):
        return "ready", "brake" if seen.brake else "cancel"
    if mode.state == "minimal_risk":
        return ("ready", "driver") if seen.driver_known and seen.acts else ("minimal_risk", mode.why)
    if mode.state == "take_over":
        return _from_take_over(timing, mode, seen)
    failed = _failure(timing, mode, seen, late)
    if failed:
        return "take_over", failed
    if seen.acts:
        return "overridden", "driver"
    if mode.state == "overridden" and seen.now_ns - mode.acted_ns < timing.calm_ns:
        return "overridden", mode.why
    return "engaged", "calm" if mode.state == "overridden" else mode.why


def _planned(seen: Inputs, most_ns: int) -> bool:
    """Whether there is a plan from so long ago at most; one from as far ahead is of another clock."""
    return seen.plan_age_ns is not None and abs(seen.plan_age_ns) <= most_ns


def _healthy(timing: Timing, seen: Inputs) -> bool:
    return seen.vehicle_known and seen.driver_known and seen.accepts and _planned(seen, timing.plan_old_ns)


def _from_off(timing: Timing, seen: Inputs) -> tuple[State, str]:
    return ("ready", "known") if _healthy(timing, seen) else ("off", "")


def _from_ready(timing: Timing, mode: Mode, seen: Inputs) -> tuple[State, str]:
    """Engaged only by a press that begins now, with hands on the wheel and nobody on the pedals."""
    if not _healthy(timing, seen):
        return "off", "not_ready"
    pressed = seen.engage and not mode.held
    free = seen.hands_on and not (seen.brake or seen.acts or seen.cancel)
    return ("engaged", "button") if pressed and free else ("ready", mode.why)


def _from_take_over(timing: Timing, mode: Mode, seen: Inputs) -> tuple[State, str]:
    if seen.driver_known and seen.acts:
        return "ready", "driver"
    if not _planned(seen, timing.plan_gone_ns):
        return "minimal_risk", "no_plan"
    if seen.now_ns - mode.since_ns > timing.answer_ns:
        return "minimal_risk", "no_answer"
    if mode.inattentive and seen.hands_on and seen.eyes_on_road and _healthy(timing, seen):
        return "engaged", "attentive"
    return "take_over", mode.why


def _failure(timing: Timing, mode: Mode, seen: Inputs, late: bool) -> str:
    """Why the driver must take over; empty where nothing is wrong."""
    checks = {
        "stall": late,
        "vehicle": not seen.vehicle_known,
        "driver_unknown": not seen.driver_known,
        "refused": not seen.accepts,
        "old_plan": not _planned(seen, timing.plan_old_ns),
        "hands": seen.now_ns - mode.hands_ns > timing.hands_back_ns,
        "eyes": seen.now_ns - mode.eyes_ns > timing.eyes_back_ns,
    }
    return next((why for why, is_so in checks.items() if is_so), "")


def _duties(timing: Timing, mode: Mode, seen: Inputs) -> Duties:
    asked = mode.state in ("take_over", "minimal_risk") or (mode.state == "off" and mode.unanswered)
    return Duties(
        engage=mode.state in DRIVES,
        follow_plan=mode.state != "minimal_risk",
        may_accelerate=mode.state == "engaged" or (mode.state == "take_over" and mode.inattentive),
        take_over_request=asked,
        warning=2 if asked else _warning(timing, mode, seen),
    )


def _warning(timing: Timing, mode: Mode, seen: Inputs) -> Literal[0, 1, 2]:
    if mode.state != "engaged":
        return 0
    hands, eyes = seen.now_ns - mode.hands_ns, seen.now_ns - mode.eyes_ns
    if hands > timing.hands_sounded_ns or eyes > timing.eyes_sounded_ns:
        return 2
    return 1 if hands > timing.hands_shown_ns or eyes > timing.eyes_shown_ns else 0
