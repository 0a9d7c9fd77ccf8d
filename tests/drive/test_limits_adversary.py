"""Whatever the model says, what leaves is inside, none is missing, and the C twin says the same."""

from __future__ import annotations

import ctypes
from dataclasses import astuple, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.drive import adversary, twin
from dojo.drive.adversary import answers, draw, outside
from dojo.drive.limits import CLOCK, CUT, Driver, Given, Limits, Motion, Wish, crc8, follows, limit, start
from dojo.errors import ConfigError

LIMITS = Limits()
FEW = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    try:
        return twin.Twin.build(tmp_path_factory.mktemp("twin"))
    except ConfigError as error:
        pytest.skip(f"limits.c is not compared here: {error}")


def judged(limits, given):
    last, wrong = start(limits), []
    for one in given:
        wrong += outside(limits, last, one)
        last = one
    return wrong


@pytest.mark.parametrize("faults", [0.0, 0.05, 0.5])
def test_no_output_is_outside_and_none_is_missing(faults):
    for seed in range(3):
        steps = draw(seed, 2_000, faults)
        given = answers(LIMITS, steps)
        assert len(given) == len(steps)
        assert judged(LIMITS, given) == []


def test_the_opponent_gets_through_to_every_reason_and_engages_often():
    given = answers(LIMITS, draw(1, 10_000))
    reasons = np.array([one.reasons for one in given])
    assert all((reasons & bit).any() for bit in (1 << place for place in range(7)))
    assert 0.5 < np.mean([one.engaged for one in given]) < 0.99


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"curvature_per_m": 0.031}, "m/s2 sideways"),
        ({"curvature_per_m": float("nan")}, "not a number"),
        ({"acceleration_mps2": 2.1}, "2.1 m/s2"),
        ({"acceleration_mps2": -3.6}, "-3.6 m/s2"),
        ({"curvature_per_m": 0.003}, "in 0.05 s"),
        ({"acceleration_mps2": 0.2}, "0.2 m/s2 in 0.05 s"),
        ({"acceleration_mps2": -0.3}, "-0.3 m/s2 in 0.05 s"),
        ({"curvature_per_m": 0.0, "acceleration_mps2": 0.1, "engaged": False}, "a push without being engaged"),
    ],
)
def test_the_judge_sees_what_is_outside(change, says):
    """A judge that sees nothing would make the tests above pass."""
    last = Given(0.0, 0.0, True, 10.0, 0, 0)
    assert any(says in what for what in outside(LIMITS, last, replace(last, time_ns=50_000_000, **change)))


numbers = st.floats(allow_nan=True, allow_infinity=True)
times = st.integers(-(2**61), 2**61)
sane = st.builds(
    Given,
    st.floats(-0.2, 0.2),
    st.floats(-3.5, 2.0),
    st.booleans(),
    st.floats(0, 70),
    times,
    st.just(0),
)


@FEW
@given(sane, st.builds(Wish, numbers, numbers, times), st.builds(Motion, numbers, numbers, times),
       st.builds(Driver, st.booleans(), st.booleans(), numbers, times), st.booleans(), times)  # fmt: skip
def test_any_step_from_any_inside_state_is_inside(last, wish, motion, driver, engage, now):
    assert outside(LIMITS, last, limit(LIMITS, last, wish, motion, driver, engage, now)) == []


@FEW
@given(sane, numbers, numbers, st.integers(1, 100_000_000), st.floats(0, 70))
def test_an_engaged_step_of_any_wish_is_inside(last, curvature, acceleration, elapsed, speed):
    """The same with everything fresh, so that most of what is drawn is followed."""
    now = last.time_ns + elapsed
    found = limit(
        LIMITS,
        last,
        Wish(curvature, acceleration, now),
        Motion(speed, 0.0, now),
        Driver(False, False, 0.0, now),
        True,
        now,
    )
    assert found.engaged
    assert not found.reasons & CLOCK
    assert outside(LIMITS, last, found) == []


@FEW
@given(sane, st.floats(-1, 1), st.floats(-20, 20), st.floats(0, 70))
def test_a_wish_that_is_granted_is_granted_again(last, curvature, acceleration, speed):
    """From where it is, what was given is no change: it passes as it is."""
    now = last.time_ns + 50_000_000
    motion, driver = Motion(speed, 0.0, now), Driver(False, False, 0.0, now)
    first = limit(LIMITS, replace(last, engaged=False), Wish(curvature, acceleration, now), motion, driver, True, now)
    again = Wish(first.curvature_per_m, first.acceleration_mps2, now)
    second = limit(LIMITS, first, again, motion, driver, True, now + 1)
    assert (second.curvature_per_m, second.acceleration_mps2) == (first.curvature_per_m, first.acceleration_mps2)
    assert not second.reasons & CUT


@FEW
@given(sane, st.floats(-0.2, 0.2), st.floats(-3.5, 2.0), st.floats(0, 70))
def test_left_and_right_are_treated_alike(last, curvature, acceleration, speed):
    now = last.time_ns + 50_000_000
    driver = Driver(False, False, 0.0, now)

    def turned(sign):
        was = replace(last, curvature_per_m=sign * last.curvature_per_m)
        wish = Wish(sign * curvature, acceleration, now)
        return limit(LIMITS, was, wish, Motion(speed, 0.0, now), driver, True, now)

    left, right = turned(1.0), turned(-1.0)
    assert left.curvature_per_m == -right.curvature_per_m
    assert left.acceleration_mps2 == right.acceleration_mps2


# The C twin.


def test_the_c_twin_gives_the_same_bits(built):
    for seed, faults in ((1, 0.05), (2, 0.5), (3, 0.0)):
        steps = draw(seed, 33_000, faults)
        assert twin.differing(twin.table(answers(LIMITS, steps)), built.answers(LIMITS, steps)) == []


def test_the_comparison_sees_one_bit(built):
    steps = draw(1, 100)
    theirs = built.answers(LIMITS, steps)
    theirs["curvature_per_m"][70] = np.nextafter(theirs["curvature_per_m"][70], 1.0)
    assert twin.differing(twin.table(answers(LIMITS, steps)), theirs) == [70]


def test_the_c_twin_has_the_same_limits_and_allows_only_tighter_ones(built):
    constants = np.frombuffer(
        ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(built._library, "DOJO_LIMITS")), 15 * 8), "<f8"
    )
    values = list(astuple(LIMITS))
    assert constants[:11].tolist() == values[:11]
    assert constants[11:].view("<i8").tolist() == values[11:]
    assert built.hold(values)
    for place in range(len(values)):
        for bad in (values[place] + 1, 0, -1):
            assert not built.hold([*values[:place], bad, *values[place + 1 :]])
        assert built.hold(
            [*values[:place], values[place] / 2 if place < 11 else values[place] // 2, *values[place + 1 :]]
        )


def test_the_header_names_the_version_and_every_field():
    header = twin.SOURCE.with_suffix(".h").read_text()
    from dojo.drive import limits

    assert f"DOJO_LIMITS_VERSION {limits.VERSION}\n" in header
    names = [field.name for field in fields(Limits)]
    declared = header[header.index("typedef struct") : header.index("} dojo_limits;")]
    assert [name for name in declared.replace(",", " ").replace(";", " ").split() if name in names] == names


@FEW
@given(st.binary(max_size=16), st.integers(0, 255))
def test_the_checksums_agree(built, data, initial):
    assert built.crc8(data, initial) == crc8(data, initial)


def test_the_counters_agree(built):
    for modulus in (2, 15, 16):
        for last in range(modulus):
            for counter in range(modulus):
                for lost in range(3):
                    assert built.follows(last, counter, modulus, lost) == follows(last, counter, modulus, lost)


def test_a_missing_compiler_is_said(tmp_path):
    with pytest.raises(ConfigError, match="expected the compiler 'no-such-cc' to build it, found none; install one"):
        twin.Twin.build(tmp_path, "no-such-cc")


def test_the_opponent_repeats_itself():
    first, again, other = draw(5, 200), draw(5, 200), draw(6, 200)
    names = adversary.Steps.__dataclass_fields__
    assert all(np.array_equal(getattr(first, n), getattr(again, n), equal_nan=n[-3:] != "_ns") for n in names)
    assert not np.array_equal(first.now_ns, other.now_ns)
