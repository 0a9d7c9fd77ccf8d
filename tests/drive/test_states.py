"""The states: each way from one to another, and what must hold on every way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.drive.states import DRIVES, STATES, Inputs, Timing, begin, step

TIMING = Timing()
CYCLE = 50_000_000
S = 1_000_000_000
GOOD = Inputs(
    now_ns=0,
    vehicle_known=True,
    driver_known=True,
    acts=False,
    brake=False,
    cancel=False,
    engage=False,
    hands_on=True,
    eyes_on_road=True,
    accepts=True,
    plan_age_ns=10_000_000,
)


def run(mode, seconds, **seen):
    """The mode after so long of the same inputs, and the duties of the last cycle."""
    for _ in range(max(1, round(seconds * S) // CYCLE)):
        mode, duties = step(TIMING, mode, replace(GOOD, now_ns=mode.cycle_ns + CYCLE, **seen))
    return mode, duties


def engaged():
    mode, _ = run(begin(0), 0.1)
    mode, _ = run(mode, 0.05, engage=True)
    assert mode.state == "engaged"
    return run(mode, 0.05)[0]


def taking_over(**seen):
    mode, _ = run(engaged(), 0.05, **seen)
    assert mode.state == "take_over"
    return mode


def test_it_is_off_until_all_is_known_then_ready():
    for missing in (
        {"vehicle_known": False},
        {"driver_known": False},
        {"accepts": False},
        {"plan_age_ns": None},
        {"plan_age_ns": TIMING.plan_old_ns + 1},
    ):
        assert run(begin(0), 0.3, **missing)[0].state == "off"
    mode, duties = run(begin(0), 0.05)
    assert mode.state == "ready"
    assert not duties.engage


def test_it_engages_by_a_press_that_begins_while_it_is_ready():
    assert engaged().why == "button"
    held, _ = run(begin(0), 5.0, engage=True)
    assert held.state == "ready"


@pytest.mark.parametrize("busy", [{"hands_on": False}, {"brake": True}, {"acts": True}, {"cancel": True}])
def test_it_does_not_engage_a_driver_who_is_busy_or_has_no_hand_on_the_wheel(busy):
    mode, _ = run(begin(0), 0.1)
    assert run(mode, 0.05, engage=True, **busy)[0].state == "ready"


def test_ready_ends_when_something_is_missing_and_begins_again():
    mode, _ = run(begin(0), 0.1)
    mode, _ = run(mode, 0.05, accepts=False)
    assert (mode.state, mode.why) == ("off", "not_ready")
    assert run(mode, 0.05)[0].state == "ready"


def test_brake_and_cancel_end_it_until_the_button_is_pressed_again():
    for way in ("brake", "cancel"):
        mode, duties = run(engaged(), 0.05, **{way: True})
        assert (mode.state, mode.why, duties.engage) == ("ready", way, False)
        assert run(mode, 30.0)[0].state == "ready"


def test_gas_or_steering_overrides_and_a_second_after_it_goes_on():
    mode, duties = run(engaged(), 0.05, acts=True)
    assert (mode.state, duties.engage) == ("overridden", False)
    mode, _ = run(mode, 0.95)
    assert mode.state == "overridden"
    mode, duties = run(mode, 0.1)
    assert (mode.state, mode.why, duties.engage) == ("engaged", "calm", True)


def test_an_override_ends_by_the_brake():
    mode, _ = run(engaged(), 0.05, acts=True)
    assert run(mode, 0.05, brake=True)[0].state == "ready"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"vehicle_known": False}, "vehicle"),
        ({"driver_known": False}, "driver_unknown"),
        ({"accepts": False}, "refused"),
        ({"plan_age_ns": TIMING.plan_old_ns + 1}, "old_plan"),
    ],
)
def test_what_fails_is_handed_back_without_accelerating(seen, why):
    mode, duties = run(engaged(), 0.05, **seen)
    assert (mode.state, mode.why) == ("take_over", why)
    assert duties.take_over_request
    assert duties.engage
    assert not duties.may_accelerate
    assert duties.warning == 2


def test_a_cycle_that_comes_too_late_is_handed_back():
    mode = engaged()
    late = replace(GOOD, now_ns=mode.cycle_ns + TIMING.longest_cycle_ns + 1)
    assert step(TIMING, mode, late)[0].why == "stall"
    just = replace(GOOD, now_ns=mode.cycle_ns + TIMING.longest_cycle_ns)
    assert step(TIMING, mode, just)[0].state == "engaged"


def test_a_clock_that_was_set_back_is_handed_back():
    mode = engaged()
    back = replace(GOOD, now_ns=mode.cycle_ns - 1)
    assert step(TIMING, mode, back)[0].why == "stall"
    assert step(TIMING, mode, replace(GOOD, now_ns=mode.cycle_ns))[0].state == "engaged"


def test_a_plan_from_the_future_is_no_plan():
    assert run(begin(0), 0.3, plan_age_ns=-TIMING.plan_old_ns - 1)[0].state == "off"
    mode, _ = run(engaged(), 0.05, plan_age_ns=-TIMING.plan_old_ns - 1)
    assert (mode.state, mode.why) == ("take_over", "old_plan")
    assert run(mode, 0.05, plan_age_ns=-TIMING.plan_gone_ns)[0].state == "take_over"
    assert run(mode, 0.05, plan_age_ns=-TIMING.plan_gone_ns - 1)[0].state == "minimal_risk"


def test_a_failure_does_not_heal_by_itself():
    mode = taking_over(accepts=False)
    assert run(mode, 9.0)[0].state == "take_over"


@pytest.mark.parametrize("answer", [{"brake": True}, {"cancel": True}, {"acts": True}])
def test_the_driver_answers_a_request_and_has_the_vehicle(answer):
    mode, duties = run(taking_over(accepts=False), 0.05, **answer)
    assert mode.state == "ready"
    assert (duties.engage, duties.take_over_request) == (False, False)


def test_a_request_that_nobody_answers_ends_in_minimal_risk_and_stays_there():
    mode = taking_over(accepts=False)
    assert run(mode, 10.0)[0].state == "take_over"
    mode, duties = run(mode, 10.1)
    assert (mode.state, mode.why) == ("minimal_risk", "no_answer")
    assert duties.engage
    assert not duties.follow_plan
    assert duties.take_over_request
    assert run(mode, 60.0)[0].state == "minimal_risk"


def test_without_any_plan_minimal_risk_begins_at_once():
    mode, _ = run(taking_over(plan_age_ns=TIMING.plan_old_ns + 1), 0.05, plan_age_ns=TIMING.plan_gone_ns + 1)
    assert (mode.state, mode.why) == ("minimal_risk", "no_plan")


@pytest.mark.parametrize("answer", [{"brake": True}, {"cancel": True}, {"acts": True}])
def test_minimal_risk_ends_by_the_driver(answer):
    mode, _ = run(taking_over(accepts=False), 11.0)
    assert run(mode, 0.05, **answer)[0].state == "ready"


def test_a_vehicle_that_is_lost_is_asked_for_nothing_and_its_driver_goes_on_being_asked():
    mode, duties = run(engaged(), 0.5, vehicle_known=False)
    assert mode.state == "take_over"
    mode, duties = run(mode, 0.1, vehicle_known=False)
    assert (mode.state, mode.why) == ("off", "lost")
    assert (duties.engage, duties.take_over_request) == (False, True)
    mode, duties = run(mode, 0.05, acts=True, accepts=False)
    assert not duties.take_over_request


@pytest.mark.parametrize(("what", "times"), [("hands_on", (5, 10, 15)), ("eyes_on_road", (3, 5, 8))])
def test_missing_hands_or_eyes_are_shown_then_sounded_then_handed_back(what, times):
    mode, seen = engaged(), {what: False}
    shown, sounded, back = times
    warnings = []
    for _ in range(20 * (back + 2)):
        mode, duties = run(mode, 0.05, **seen)
        warnings.append((mode.state, duties.warning))
    assert warnings[20 * shown - 5] == ("engaged", 0)
    assert warnings[20 * shown + 5] == ("engaged", 1)
    assert warnings[20 * sounded + 5] == ("engaged", 2)
    assert warnings[20 * back + 5] == ("take_over", 2)


def test_a_driver_who_is_there_again_gets_it_back():
    mode, duties = run(engaged(), 8.2, eyes_on_road=False)
    assert (mode.state, mode.why) == ("take_over", "eyes")
    assert duties.may_accelerate
    assert run(mode, 0.05)[0].state == "engaged"


def test_hands_are_not_missed_while_the_driver_drives():
    mode, _ = run(begin(0), 60.0, hands_on=False)
    mode, _ = run(mode, 0.05, engage=True)
    assert mode.state == "engaged"
    assert run(mode, 4.0, hands_on=False)[1].warning == 0


SEEN = st.builds(
    Inputs,
    now_ns=st.integers(-100_000_000, 200_000_000),
    vehicle_known=st.booleans(),
    driver_known=st.booleans(),
    acts=st.booleans(),
    brake=st.booleans(),
    cancel=st.booleans(),
    engage=st.booleans(),
    hands_on=st.booleans(),
    eyes_on_road=st.booleans(),
    accepts=st.booleans(),
    plan_age_ns=st.none() | st.integers(-2 * S, 2 * S),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        SEEN | st.just(replace(GOOD, now_ns=CYCLE)) | st.just(replace(GOOD, now_ns=CYCLE, engage=True)), max_size=40
    )
)
def test_on_every_way_the_driver_wins_and_only_the_button_engages(seen):
    """`now_ns` of the inputs is the time since the cycle before."""
    mode = begin(0)
    for one in seen:
        before, one = mode, replace(one, now_ns=mode.cycle_ns + one.now_ns)
        mode, duties = step(TIMING, before, one)
        assert mode.state in STATES
        assert duties.engage == (mode.state in DRIVES)
        if one.driver_known and (one.brake or one.acts or one.cancel):
            # What fails in the very cycle is handed back; the envelope lets go of a driver who acts all the same.
            assert mode.state not in ("engaged", "minimal_risk") or (
                before.state == "minimal_risk" and not one.driver_known
            )
        if one.driver_known and (one.brake or one.cancel):
            assert not duties.engage
        if before.state in ("off", "ready") and mode.state in DRIVES:
            assert before.state == "ready"
            assert mode.state == "engaged"
            assert one.engage
            assert one.hands_on
        assert duties.take_over_request or mode.state not in ("take_over", "minimal_risk")
