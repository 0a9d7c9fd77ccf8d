"""The envelope: examples by hand, every branch; properties are in test_limits_adversary.py."""

from __future__ import annotations

import ast
import hashlib
import math
import random
import struct
from dataclasses import FrozenInstanceError, astuple, fields, replace
from pathlib import Path

import pytest

from dojo.drive import limits as module
from dojo.drive.limits import (
    CLOCK,
    CUT,
    DRIVER_ACTS,
    DRIVER_UNKNOWN,
    SPEED_UNKNOWN,
    VERSION,
    WISH_STALE,
    WISH_UNUSABLE,
    Driver,
    Given,
    Limits,
    Motion,
    Wish,
    braking_jerk_bound,
    clamp,
    crc8,
    curvature_bound,
    curvature_rate_bound,
    follows,
    fresh,
    limit,
    start,
)

MS = 1_000_000
NOW = 10_000 * MS
LIMITS = Limits()
LAST = Given(0.0, 0.0, True, 10.0, NOW - 50 * MS, 0)


def given(last=LAST, wish=(0.0, 0.0), speed=10.0, driver=(False, False, 0.0), engage=True, now=NOW, **ages):
    """What is given for values measured now, or so many milliseconds ago."""
    age = {name: now - ages.get(name, 0) * MS for name in ("wish_ms", "motion_ms", "driver_ms")}
    return limit(
        ages.get("limits", LIMITS),
        last,
        Wish(*wish, age["wish_ms"]),
        Motion(speed, ages.get("own", 0.01), age["motion_ms"]),
        Driver(*driver, age["driver_ms"]),
        engage,
        now,
    )


def test_a_modest_wish_is_given_as_it_is():
    assert given(wish=(0.001, 0.1)) == Given(0.001, 0.1, True, 10.0, NOW, 0)


def test_before_anything_is_known_nothing_is_given():
    assert start(LIMITS) == Given(0.0, 0.0, False, 70.0, 0, SPEED_UNKNOWN | DRIVER_UNKNOWN)


def test_the_turn_is_bounded_by_three_metres_per_second_squared_sideways():
    assert curvature_bound(LIMITS, 30.0) == 3.0 / 900.0
    assert curvature_bound(LIMITS, 0.0) == 0.2
    assert curvature_bound(LIMITS, math.sqrt(15.0) - 1e-6) == 0.2
    assert curvature_bound(LIMITS, 3.88) == 3.0 / 3.88**2
    tight = replace(LAST, curvature_per_m=0.029999)
    assert given(last=tight, wish=(0.5, 0.0)).curvature_per_m == 0.03
    assert given(last=replace(tight, curvature_per_m=-0.029999), wish=(-0.5, 0.0)).curvature_per_m == -0.03


def test_a_turn_tightens_by_five_metres_per_second_cubed_sideways():
    assert curvature_rate_bound(LIMITS, 10.0) == 0.05
    assert curvature_rate_bound(LIMITS, 5.0) == 0.1
    assert given(wish=(0.02, 0.0)).curvature_per_m == pytest.approx(0.05 * 0.05)
    assert given(wish=(-0.02, 0.0)).curvature_per_m == pytest.approx(-0.05 * 0.05)
    assert given(wish=(0.02, 0.0)).reasons == CUT


def test_a_turn_opens_at_once_when_the_speed_rises_above_what_it_bears():
    """Its lateral acceleration then stays what it was: no jerk."""
    assert given(last=replace(LAST, curvature_per_m=0.03), wish=(0.03, 0.0), speed=20.0).curvature_per_m == 3 / 400


def test_acceleration_is_bounded_on_both_sides():
    assert given(last=replace(LAST, acceleration_mps2=1.95), wish=(0.0, 9.0)).acceleration_mps2 == 2.0
    assert given(last=replace(LAST, acceleration_mps2=-3.45), wish=(0.0, -9.0)).acceleration_mps2 == -3.5
    assert given(last=replace(LAST, acceleration_mps2=-3.5), wish=(0.0, -3.5)).reasons == 0


def test_acceleration_changes_by_a_bounded_jerk():
    assert given(wish=(0.0, 1.0)).acceleration_mps2 == pytest.approx(2.5 * 0.05)
    assert given(last=replace(LAST, speed_mps=3.0), wish=(0.0, -1.0), speed=3.0).acceleration_mps2 == pytest.approx(
        -5.0 * 0.05
    )
    assert given(wish=(0.0, -1.0), speed=30.0).acceleration_mps2 == pytest.approx(-2.5 * 0.05)
    assert given(wish=(0.0, -1.0)).reasons == CUT


@pytest.mark.parametrize(("speed", "jerk"), [(0.0, 5.0), (5.0, 5.0), (12.5, 3.75), (20.0, 2.5), (70.0, 2.5)])
def test_the_jerk_of_braking_is_halved_from_walking_pace_to_twenty(speed, jerk):
    assert braking_jerk_bound(LIMITS, speed) == jerk


BRAKING_TURN = replace(LAST, curvature_per_m=0.01, acceleration_mps2=-1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.0001, -1.0001])
def test_an_unusable_curvature_is_not_followed_and_braking_stays(bad):
    found = given(last=BRAKING_TURN, wish=(bad, 1.0))
    assert (found.curvature_per_m, found.acceleration_mps2) == (0.01, -1.0)
    assert found.reasons == WISH_UNUSABLE
    assert found.engaged


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 20.0001, -20.0001])
def test_an_unusable_acceleration_is_not_followed_and_pushing_ends(bad):
    pushing = replace(LAST, curvature_per_m=0.01, acceleration_mps2=0.1)
    found = given(last=pushing, wish=(0.02, bad))
    assert (found.curvature_per_m, found.acceleration_mps2) == (0.01, 0.0)
    assert found.reasons == WISH_UNUSABLE
    hard = given(last=replace(LAST, acceleration_mps2=-3.5), wish=(0.0, bad))
    assert hard.acceleration_mps2 == -3.5


@pytest.mark.parametrize(("wish", "reasons"), [((1.0, 20.0), CUT), ((-1.0, -20.0), CUT)])
def test_what_is_just_not_absurd_is_cut(wish, reasons):
    assert given(wish=wish).reasons == reasons


def test_a_stale_wish_and_one_from_the_future_are_not_followed():
    assert given(wish=(0.001, 0.1), wish_ms=150).reasons == 0
    assert given(wish=(0.001, 0.1), wish_ms=151).reasons == WISH_STALE
    assert given(wish=(0.001, 0.1), wish_ms=-1).reasons == WISH_STALE
    assert given(wish=(math.nan, 0.1), wish_ms=151).reasons == WISH_STALE | WISH_UNUSABLE


def test_freshness_includes_both_ends():
    assert fresh(5, 5, 0)
    assert fresh(5, 3, 2)
    assert not fresh(5, 2, 2)
    assert not fresh(5, 6, 2)


def test_a_stale_speed_is_held_then_the_vehicle_is_let_go():
    assert given(motion_ms=100).reasons == 0
    held = given(motion_ms=101, speed=3.0)
    assert (held.speed_mps, held.reasons, held.engaged) == (10.0, SPEED_UNKNOWN, True)
    assert given(motion_ms=500).engaged
    gone = given(motion_ms=501)
    assert (gone.engaged, gone.acceleration_mps2, gone.reasons) == (False, 0.0, SPEED_UNKNOWN)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.001, 70.001])
def test_an_impossible_speed_lets_go_at_once(bad):
    found = given(speed=bad)
    assert not found.engaged
    assert (found.speed_mps, found.reasons) == (10.0, SPEED_UNKNOWN)


@pytest.mark.parametrize("speed", [0.0, 70.0])
def test_the_ends_of_the_range_of_speeds_are_speeds(speed):
    assert given(speed=speed).reasons == 0


def test_a_speed_that_collapses_does_not_widen_the_bounds():
    found = given(speed=0.0, last=replace(LAST, speed_mps=30.0), wish=(0.2, 0.0))
    assert found.speed_mps == 30.0 - 12.0 * 0.05
    assert found.curvature_per_m == pytest.approx(5.0 / found.speed_mps**2 * 0.05)
    assert given(speed=29.5, last=replace(LAST, speed_mps=30.0)).speed_mps == 29.5
    assert given(speed=31.0, last=replace(LAST, speed_mps=30.0)).speed_mps == 31.0


def test_before_it_is_engaged_the_measured_speed_is_believed():
    assert given(speed=5.0, last=start(LIMITS)).speed_mps == 5.0


@pytest.mark.parametrize(
    "driver", [(True, False, 0.0), (False, True, 0.0), (False, False, 3.01), (False, False, -3.01)]
)
def test_the_driver_wins_at_once(driver):
    found = given(driver=driver, wish=(0.001, 0.1))
    assert found == Given(0.01, 0.0, False, 10.0, NOW, DRIVER_ACTS)


def test_a_torque_that_is_no_number_counts_as_the_drivers():
    assert given(driver=(False, False, math.nan)).reasons == DRIVER_ACTS


@pytest.mark.parametrize("torque", [3.0, -3.0])
def test_a_resting_hand_changes_nothing(torque):
    assert given(driver=(False, False, torque)).engaged


def test_a_driver_of_whom_nothing_is_heard_is_left_to_drive():
    assert given(driver_ms=500).engaged
    assert given(driver_ms=501).reasons == DRIVER_UNKNOWN
    assert not given(driver_ms=501).engaged
    assert not given(driver_ms=-1).engaged


def test_what_is_not_to_be_engaged_follows_the_vehicle():
    assert given(engage=False, wish=(0.02, 1.0)) == Given(0.01, 0.0, False, 10.0, NOW, 0)
    assert given(engage=False, own=0.03).curvature_per_m == 0.03
    assert given(engage=False, own=-0.03).curvature_per_m == -0.03
    assert given(engage=False, own=0.0301).curvature_per_m == 0.0
    assert given(engage=False, own=-0.0301).curvature_per_m == 0.0
    assert given(engage=False, own=math.nan).curvature_per_m == 0.0


def test_a_clock_that_does_not_go_on_changes_nothing():
    for now in (LAST.time_ns, LAST.time_ns - 1, LAST.time_ns - 10**12):
        found = given(last=replace(BRAKING_TURN, time_ns=LAST.time_ns), wish=(0.02, -2.0), now=now)
        assert (found.curvature_per_m, found.acceleration_mps2) == (0.01, -1.0)
        assert found.reasons == CLOCK | CUT
        assert found.time_ns == now


def test_a_stall_is_not_followed_by_a_leap():
    found = given(wish=(0.03, 0.0), now=LAST.time_ns + 10_000 * MS)
    assert found.curvature_per_m == pytest.approx(0.05 * 0.1)
    assert found.reasons == CLOCK | CUT
    assert given(wish=(0.001, 0.0), now=LAST.time_ns + 100 * MS).reasons == 0
    assert given(wish=(0.001, 0.0), now=LAST.time_ns + 100 * MS + 1).reasons == CLOCK
    assert given(wish=(0.0, 0.0), now=LAST.time_ns + 1).reasons == 0


def test_a_vehicle_may_be_more_careful_and_never_less():
    tight = replace(LIMITS, max_lateral_mps2=1.0)
    assert curvature_bound(tight, 10.0) == 0.01
    for field in fields(Limits):
        more = getattr(LIMITS, field.name) + (1 if field.name.endswith("_ns") else 1e-9)
        kind = type(getattr(LIMITS, field.name))
        for bad in (more, kind(0), kind(-1)):
            with pytest.raises(ValueError, match=rf"{field.name} = .*; a vehicle may only be more careful"):
                replace(LIMITS, **{field.name: bad})
    with pytest.raises(ValueError, match="max_speed_mps = nan"):
        replace(LIMITS, max_speed_mps=math.nan)


@pytest.mark.parametrize("value", [LIMITS, LAST, Wish(0.0, 0.0, 0), Motion(0.0, 0.0, 0), Driver(False, False, 0.0, 0)])
def test_what_was_made_is_not_changed_afterwards(value):
    """Nobody widens a limit that was checked; nor do values carry anything beside what they say."""
    name = fields(value)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, 99.0)
    assert not hasattr(value, "__dict__")


def test_every_wrong_limit_is_named():
    with pytest.raises(ValueError) as caught:
        Limits(max_lateral_mps2=4.0, max_braking_mps2=9.0)
    assert str(caught.value) == (
        "limits: expected values above 0 and at most those of the envelope, got max_lateral_mps2 = 4.0, "
        "max_braking_mps2 = 9.0; a vehicle may only be more careful"
    )


def test_the_bounds_are_those_of_the_standards_and_no_others():
    assert astuple(LIMITS) == (
        *(3.0, 5.0, 2.0, 3.5, 2.5, 5.0, 0.2, 0.1, 70.0, 12.0, 3.0),
        *(100 * MS, 150 * MS, 500 * MS, 100 * MS),
    )


@pytest.mark.parametrize("bound", [curvature_bound, curvature_rate_bound])
def test_where_two_bounds_meet_the_one_on_curvature_is_taken(bound):
    """One rounding less; the twin in C does the same."""
    speed, most = 3.1, 0.03
    met = most * (speed * speed)
    assert met / (speed * speed) != most
    tight = replace(
        LIMITS,
        max_curvature_per_m=most,
        max_lateral_mps2=met,
        max_curvature_rate_per_m_s=most,
        max_lateral_jerk_mps3=met,
    )
    assert bound(tight, speed) == most


def test_what_leaves_changes_with_the_version_and_not_otherwise():
    """A bundle and a licence name the version that they need: the same number must mean the same behaviour."""
    draw, last, digest = random.Random(171), start(LIMITS), hashlib.sha256()
    now, turn, push, speed = NOW, 0.0, 0.0, 12.0

    def rarely(value, *others):
        return draw.choice(others) if draw.random() < 0.03 else value

    for _ in range(4000):
        now += rarely(50 * MS, 100 * MS, 100 * MS + 1, 200 * MS, 0, -MS)
        turn, push = 0.9 * turn + draw.uniform(-0.02, 0.02), 0.9 * push + draw.uniform(-1.0, 1.0)
        speed = abs(speed + draw.uniform(-1.0, 1.0)) % 70.0
        wish = Wish(
            rarely(turn, math.nan, 1.0, -1.0001),
            rarely(push, math.inf, 20.0, -20.1),
            now - rarely(0, 150 * MS, 151 * MS),
        )
        motion = Motion(
            rarely(speed, 0.0, 70.0, -0.1, math.nan), rarely(turn, 0.5), now - rarely(0, 100 * MS, 501 * MS)
        )
        acts = draw.random() < 0.01
        driver = Driver(
            acts, rarely(False, True), rarely(0.0, 3.0, -3.1, math.nan), now - rarely(0, 500 * MS, 501 * MS)
        )
        last = limit(LIMITS, last, wish, motion, driver, draw.random() < 0.99, now)
        digest.update(struct.pack("<dd?dqi", *astuple(last)))
    assert digest.hexdigest()[:16] == {1: "313cf383b94d55e5"}[VERSION]


def test_clamping_keeps_what_lies_between():
    assert math.copysign(1.0, clamp(-0.0, -1.0, 0.0)) == math.copysign(1.0, clamp(-0.0, 0.0, 1.0)) == -1.0
    assert [clamp(v, -1.0, 2.0) for v in (-3.0, -1.0, 0.5, 2.0, 9.0)] == [-1.0, -1.0, 0.5, 2.0, 2.0]


def test_the_checksum_is_that_of_sae_j1850():
    """The check value that every catalogue of checksums gives for the digits."""
    assert crc8(b"123456789") == 0x4B
    assert crc8(b"") == 0x00
    assert crc8(b"\x00") == 0x3B
    assert crc8(b"\x00", initial=0x00) == 0xFF


def test_a_counter_moves_on_by_one_or_a_little_more():
    assert follows(14, 15, 16, 0)
    assert follows(15, 0, 16, 0)
    assert not follows(3, 3, 16, 2)
    assert not follows(3, 5, 16, 0)
    assert follows(3, 6, 16, 2)
    assert not follows(3, 7, 16, 2)
    assert not follows(3, 2, 16, 2)


def test_the_reasons_are_bits_of_their_own():
    bits = (SPEED_UNKNOWN, WISH_UNUSABLE, WISH_STALE, CLOCK, DRIVER_ACTS, DRIVER_UNKNOWN, CUT)
    assert sorted(bits) == [1 << place for place in range(7)]


def test_the_envelope_needs_nothing_but_the_standard_library():
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
    }
    assert imported == {"dataclasses"}
