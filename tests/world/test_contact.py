"""Bodies touch where they overlap, and fault follows who ran into whom."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.world.contact import Rectangle, fault, overlap


def car(x, y=0.0, yaw=0.0):
    return Rectangle(x, y, yaw, 4.7, 1.85)


@pytest.mark.parametrize(
    ("other", "touches"),
    [
        (car(4.69), True),
        (car(4.71), False),
        (car(0.0, 1.84), True),
        (car(0.0, 1.86), False),
        # Beside it and turned by a right angle, its length reaches over.
        (car(0.0, 3.2, math.pi / 2), True),
        (car(0.0, 3.3, math.pi / 2), False),
        # Corner towards corner: the boxes around them overlap, they do not.
        (car(4.4, 1.9, math.pi / 4), True),
        (car(4.3, 2.9, math.pi / 4), False),
    ],
)
def test_bodies_touch_where_they_overlap(other, touches):
    assert overlap(car(0.0), other) is touches


@settings(max_examples=60, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-3, 3), st.floats(-3, 3), st.floats(-50, 50))
def test_who_touches_whom_is_mutual_and_does_not_depend_on_where_the_world_has_its_origin(x, y, yaw, turn, shift):
    one, other = car(0.0), car(x, y, yaw)
    c, s = math.cos(turn), math.sin(turn)
    moved_one = Rectangle(shift, -shift, turn, 4.7, 1.85)
    moved_other = Rectangle(shift + c * x - s * y, -shift + s * x + c * y, yaw + turn, 4.7, 1.85)
    apart = min(abs(math.hypot(x, y) - edge) for edge in (1.85, 4.7, 5.05))
    if apart > 1e-6:
        assert overlap(one, other) == overlap(other, one) == overlap(moved_one, moved_other)


def test_who_runs_into_something_ahead_is_at_fault():
    assert fault(car(0.0), car(4.5), 10.0, in_one_lane=True) == "at_fault"
    assert fault(car(0.0, yaw=math.pi), car(-4.5), 10.0, in_one_lane=True) == "at_fault"


def test_who_is_run_into_from_behind_or_stands_is_not():
    assert fault(car(0.0), car(-4.5), 10.0, in_one_lane=False) == "not_at_fault"
    assert fault(car(0.0), car(4.5), 0.0, in_one_lane=True) == "not_at_fault"


def test_side_by_side_it_is_who_was_not_within_its_lane():
    assert fault(car(0.0), car(0.5, 1.8), 10.0, in_one_lane=True) == "not_at_fault"
    assert fault(car(0.0), car(0.5, 1.8), 10.0, in_one_lane=False) == "at_fault"
