"""Samples that cannot be are marked and told; those of a car that really drives are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.fleet.samples import PLAUSIBLE, clean
from dojo.records import Signal, Telemetry

NS = 1_000_000_000
METRES_PER_DEGREE = 111_195.0  # of latitude near 48 degrees north, to a few parts in ten thousand


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed_mps", 120.0),
        ("speed_mps", 25.0),
        ("steering_wheel_angle_rad", 2.0),
        ("heading_rad", 1.5),
        ("gear", 3.0),
        ("blinker_left", 1.0),
        ("latitude_deg", 48.01),
        ("accelerator_pedal", 140.0),
    ],
)
@pytest.mark.parametrize("index", [0, 7, 49])
def test_a_sample_that_stands_out_from_both_neighbours_is_marked(name: str, value: float, index: int) -> None:
    times_ns = np.arange(50, dtype=np.int64) * NS // 20
    usual = {"speed_mps": 15.0, "gear": 1.0, "latitude_deg": 48.0}.get(name, 0.0)
    values = np.full(50, usual)
    values[index] = value
    cleaned, rejections = clean(Telemetry(**{name: Signal.measured(times_ns, values)}), "clip.mp4")
    if index in (0, 49) and PLAUSIBLE[name].stand_out * 2 >= abs(value - usual):
        return  # the ends have one neighbour only, and twice the allowance
    np.testing.assert_array_equal(np.flatnonzero(~getattr(cleaned, name).valid), [index])
    (rejection,) = rejections
    assert (rejection.where, rejection.gate) == ("clip.mp4", "implausible_value")
    assert rejection.reason.startswith(f"{name}: expected")
    assert rejection.start_ns == rejection.end_ns == times_ns[index]


@given(
    start=st.floats(0, 30),
    acceleration=st.floats(-8, 6),
    turn=st.floats(-0.8, 0.8),
    noise=st.floats(0, 0.1),
    fps=st.sampled_from([10.0, 20.0, 36.0, 100.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_sample_of_a_car_that_really_drives_stands_out(
    start: float, acceleration: float, turn: float, noise: float, fps: float
) -> None:
    t = np.arange(0, 4, 1 / fps)
    times_ns = (t * NS).astype(np.int64)
    wobble = noise * np.random.default_rng(1).standard_normal(len(t))
    heading = math.pi - 0.1 + turn * t
    telemetry = Telemetry(
        speed_mps=Signal.measured(times_ns, np.maximum(0, start + acceleration * t) + wobble),
        heading_rad=Signal.measured(times_ns, (heading + math.pi) % (2 * math.pi) - math.pi),
        steering_wheel_angle_rad=Signal.measured(times_ns, 5 * np.sin(t) + wobble),
        gear=Signal.measured(times_ns, np.where(t < 2, 0.0, 1.0)),
        blinker_right=Signal.measured(times_ns, np.floor(t / 0.4) % 2),
        latitude_deg=Signal.measured(times_ns, 48 + np.floor(t) * 40 / METRES_PER_DEGREE),
    )
    cleaned, rejections = clean(telemetry, "clip")
    assert rejections == ()
    assert cleaned.present() == telemetry.present()


def test_two_wrong_samples_side_by_side_are_both_marked() -> None:
    times_ns = np.arange(50, dtype=np.int64) * NS // 20
    values = np.full(50, 15.0)
    values[20:22] = 70.0, 30.0
    cleaned, _ = clean(Telemetry(speed_mps=Signal.measured(times_ns, values)), "clip.mp4")
    np.testing.assert_array_equal(np.flatnonzero(~cleaned.speed_mps.valid), [20, 21])


def speeds(count: int) -> np.ndarray:
    return 15.0 + np.sin(np.arange(count) / 10)


def test_a_signal_that_freezes_is_marked_and_told() -> None:
    times_ns = np.arange(200, dtype=np.int64) * NS // 20
    values = speeds(200)
    values[120:] = values[120]
    cleaned, (rejection,) = clean(Telemetry(speed_mps=Signal.measured(times_ns, values)), "log.csv")
    np.testing.assert_array_equal(np.flatnonzero(~cleaned.speed_mps.valid), np.arange(121, 200))
    assert rejection.gate == "frozen_value"
    assert "speed_mps: expected it to change from sample to sample as elsewhere, got 14.4" in rejection.reason


def test_coarse_steady_and_standing_signals_are_not_frozen() -> None:
    times_ns = np.arange(200, dtype=np.int64) * NS // 20
    standing = speeds(200)
    standing[100:] = 0.0
    standing[80:100] = np.linspace(standing[80], 0.0, 20)
    for values in (np.full(200, 15.0), np.round(speeds(200)), standing):
        cleaned, rejections = clean(Telemetry(speed_mps=Signal.measured(times_ns, values)), "log.csv")
        assert rejections == ()
        assert cleaned.speed_mps.valid.all()
