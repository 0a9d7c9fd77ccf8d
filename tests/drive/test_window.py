"""Which pictures a network sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.drive.bench import STAND_IN
from dojo.drive.window import Window
from dojo.records import DESIRES, Frame
from dojo.records.pack import pack

TICK = 200_000_000


def frame(time_ns, luma):
    grey = np.full((128, 256), 128, np.uint8)
    return Frame(time_ns, np.full((256, 512), luma, np.uint8), grey, grey)


def shown(window, *, every_ns, count, start=0):
    for number in range(count):
        assert window.show(frame(start + number * every_ns, number + 1), float(number), 0)


def test_from_a_fast_camera_pictures_a_step_apart_are_taken():
    window = Window(STAND_IN, 0.05)
    shown(window, every_ns=50_000_000, count=40)
    assert window.fill() == 39 * 50_000_000
    assert window.inputs["frames"][0, :, 0, 0, 0].tolist() == [36, 40]
    assert window.inputs["speed_mps"].tolist() == [[39.0]]


def test_from_a_camera_at_the_networks_pace_all_are_taken():
    window = Window(STAND_IN, 0.2)
    shown(window, every_ns=TICK, count=7)
    window.fill()
    assert window.inputs["frames"][0, :, 0, 0, 0].tolist() == [6, 7]


def test_it_is_ready_once_pictures_a_step_apart_are_there():
    window = Window(STAND_IN, 0.05)
    shown(window, every_ns=50_000_000, count=4)
    assert not window.ready
    window.show(frame(TICK, 9), 1.0, 0)
    assert window.ready


def test_an_old_or_repeated_picture_is_not_taken():
    window = Window(STAND_IN, 0.05)
    assert window.show(frame(TICK, 1), 1.0, 0)
    assert not window.show(frame(TICK, 2), 1.0, 0)
    assert not window.show(frame(TICK - 1, 2), 1.0, 0)
    assert window.newest_ns == TICK


def test_a_missing_picture_is_stood_in_for_by_its_neighbour():
    window = Window(STAND_IN, 0.05)
    for time_ns, luma in ((0, 1), (50_000_000, 2), (100_000_000, 3), (350_000_000, 4)):
        window.show(frame(time_ns, luma), 1.0, 0)
    window.fill()
    assert window.inputs["frames"][0, :, 0, 0, 0].tolist() == [3, 4]


def test_the_picture_is_packed_as_training_packs_it():
    window, rng = Window(STAND_IN, 0.2), np.random.default_rng(0)
    picture = Frame(
        TICK,
        rng.integers(16, 236, (256, 512), np.uint8),
        rng.integers(16, 240, (128, 256), np.uint8),
        rng.integers(16, 240, (128, 256), np.uint8),
    )
    window.show(picture, 1.0, 0)
    window.fill()
    assert np.array_equal(window.inputs["frames"][0, -1], pack(picture))


def test_an_unknown_speed_is_told_as_unknown():
    window = Window(STAND_IN, 0.2)
    window.show(frame(TICK, 1), None, 0)
    window.fill()
    assert window.inputs["speed_valid"].tolist() == [[False]]


@pytest.mark.parametrize(("blinker", "desire"), [(0, "none"), (1, "lane_change_left"), (-1, "lane_change_right")])
def test_the_lever_is_the_drivers_wish(blinker, desire):
    window = Window(STAND_IN, 0.2)
    window.show(frame(TICK, 1), 1.0, blinker)
    window.fill()
    assert window.inputs["desire"][0, 0].tolist() == [float(name == desire) for name in DESIRES]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30))
def test_the_inputs_are_the_same_arrays_at_all_times(count):
    window = Window(STAND_IN, 0.05)
    before = {name: id(array) for name, array in window.inputs.items()}
    shown(window, every_ns=50_000_000, count=count)
    window.fill()
    assert {name: id(array) for name, array in window.inputs.items()} == before
