"""Bytes: every message of both platforms, there and back, and every way in which one is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dojo.drive.adapter import _meaning, check_fits
from dojo.drive.bench import STAND_IN
from dojo.drive.ecus import values_of
from dojo.drive.platform import SignalSpec
from dojo.drive.signals import BY_NAME
from dojo.errors import ConfigError
from dojo.records import Command, DriverInput, SignalContract, VehicleState

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

STATES = st.builds(
    VehicleState, st.just(0), st.floats(0, 69), st.floats(-9.9, 9.9), st.floats(-1.9, 1.9), st.booleans()
)
DRIVERS = st.builds(
    DriverInput,
    brake_pressed=st.booleans(),
    gas_pressed=st.booleans(),
    torque_nm=st.floats(-19, 19),
    hands_on=st.booleans(),
    eyes_on_road=st.booleans(),
    engage_pressed=st.booleans(),
    cancel_pressed=st.booleans(),
    blinker=st.sampled_from([-1, 0, 1]),
)
STEPS = {"speed": 0.003, "steering_angle": 0.001, "yaw_rate": 6e-5, "driver_torque": 0.011}
"""Half of the coarser platform's step, and rounding."""


@FEW
@given(STATES, DRIVERS, st.integers(0, 1000))
def test_what_the_vehicle_says_comes_back(adapter, state, driver, counter):
    values = values_of(state, driver)
    for name in adapter.messages("in"):
        data = adapter.say(name, values, counter)
        heard = adapter.hear(adapter.frame_id(name), data, None)
        assert heard.refused == ""
        assert heard.counter == counter % adapter.spec(name).counter.modulus
        for signal in adapter.signals_of(name):
            assert heard.values[signal] == pytest.approx(values[signal], abs=STEPS.get(signal, 0))


@FEW
@given(
    st.floats(0, 60), st.floats(-1, 1), st.floats(-3.5, 1.8), st.booleans(), st.booleans(), st.sampled_from([0, 1, 2])
)
def test_commands_come_back(adapter, speed, share, push, engaged, request, warning):
    command = Command(share * min(0.2, 3 / max(speed, 1) ** 2), push, engaged, request, warning)
    values, heard = adapter.command_values(command, speed), {}
    for name in adapter.messages("out"):
        heard |= adapter.hear(adapter.frame_id(name), adapter.say(name, values, 1), None).values
    back = adapter.command_of(heard, speed)
    assert back.curvature_per_m == pytest.approx(command.curvature_per_m, abs=1.1e-5)
    assert back.acceleration_mps2 == pytest.approx(command.acceleration_mps2, abs=0.006)
    assert (back.engaged, back.take_over_request, back.warning) == (engaged, request, warning)


def test_a_message_that_is_cut_off_is_refused(adapter):
    for name in (*adapter.messages("in"), *adapter.messages("out")):
        data = adapter.say(name, {}, 0)
        assert adapter.hear(adapter.frame_id(name), data[:-1], None).refused == "length"


def test_a_message_in_the_place_of_another_is_refused(adapter):
    """The same bytes under another identifier carry the wrong checksum."""
    names = adapter.messages("in")
    for name, other in pairwise(names):
        assert adapter.hear(adapter.frame_id(other), adapter.say(name, {}, 0), None).refused == "checksum"


def test_a_message_that_is_nothing_to_us_is_left_alone(adapter):
    assert adapter.hear(0x7FF, b"12345678", None) is None
    assert adapter.name_of(0x7FF) is None


def test_a_counter_must_move_on_by_no_more_than_three(adapter):
    name = adapter.messages("in")[0]
    data = adapter.say(name, {}, 5)
    refused = {last: adapter.hear(adapter.frame_id(name), data, last).refused for last in range(15)}
    assert {last for last, why in refused.items() if not why} == {2, 3, 4}


def test_a_counter_beyond_its_range_is_refused(comet):
    tern = comet  # sixteen values fill the nibble of the first platform, so only the second can be wrong
    from dojo.drive.adapter import Adapter
    from dojo.drive.platform import load_platform

    tern = Adapter(load_platform("borealis_tern"))
    message = tern.platform.bus.get_message_by_name("VEH_DYN")
    data = bytearray(tern.say("VEH_DYN", {}, 0))
    data[1] |= 0x0F
    data[0] = (data[0] - 0x0F) % 256
    assert tern.hear(message.frame_id, bytes(data), None).refused == "counter"


def test_a_value_out_of_its_range_is_missing_and_the_others_are_not(adapter):
    fast = {"speed": 71.0, "yaw_rate": 0.5, "accepts": 1.0}
    name = next(name for name in adapter.messages("in") if "speed" in adapter.signals_of(name))
    heard = adapter.hear(adapter.frame_id(name), adapter.say(name, fast, 0), None)
    assert heard.values["speed"] is None
    assert heard.values["yaw_rate"] == pytest.approx(0.5, abs=1e-4)


def test_a_code_that_means_nothing_is_missing():
    from dojo.drive.adapter import Adapter
    from dojo.drive.platform import load_platform

    tern = Adapter(load_platform("borealis_tern"))
    message = tern.platform.bus.get_message_by_name("CABIN")
    raw = {signal.name: 0 for signal in message.signals} | {"CB_HANDS": 3, "CB_GAZE": 0, "CB_LEVER": 2}
    data = bytearray(message.encode(raw))
    data[0] = (0xFF - sum(data[1:]) - (message.frame_id >> 8) - (message.frame_id & 0xFF) - 0xA4) % 256
    heard = tern.hear(message.frame_id, bytes(data), None)
    assert (heard.refused, heard.values["hands_on"], heard.values["eyes_on_road"], heard.values["blinker"]) == (
        "",
        None,
        None,
        1.0,
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("name", "how"),
    [("brake_pressed", {"above": 0.5}), ("blinker", {"codes": {0: 0}}), ("speed", {"unit": "m/s"}), ("hands_on", {})],
)
def test_what_is_no_number_on_a_bus_of_floats_is_missing(name, how, bad):
    """A brake whose pressure is no number is not a brake that is not pressed."""
    assert _meaning(name, SignalSpec("M", "S", **how), bad) is None


def test_a_command_that_the_bus_cannot_carry_is_refused(comet):
    with pytest.raises(ConfigError, match="aurora_comet: ADAS_Command cannot carry"):
        comet.say("ADAS_Command", {"acceleration": 99.0}, 0)


def test_left_is_left_on_both(adapter):
    """Positive to the right on the bus of the second."""
    values = adapter.command_values(Command(0.01, 0.0, True), 10.0)
    name = next(name for name in adapter.messages("out") if "curvature" in adapter.signals_of(name))
    raw = adapter.platform.bus.decode_message(
        adapter.frame_id(name), adapter.say(name, values, 0), decode_choices=False
    )
    signal = raw[adapter.platform.specs()["curvature"].signal]
    if adapter.platform.name == "aurora_comet":
        assert signal == pytest.approx(0.01)
    else:
        body = adapter.platform.file.body
        assert signal == pytest.approx(-math.degrees(body.wheel_rad(0.01, 10.0)), abs=0.02)


def contract(**changes):
    values = {"name": "speed", "direction": "in", "unit": "m/s", "low": 0.0, "high": 70.0, "rate_hz": 50.0}
    rest = {"stale_after_s": 0.1, "protected": True, "when_missing": ""}
    return SignalContract(**(values | rest | changes))


def test_a_bundle_that_fits_passes(adapter):
    mounting = {"forward_m": (1.6, 1.9), "pitch_down_rad": (0.0, 0.1)}
    camera = replace(STAND_IN.camera, mounting=mounting)
    check_fits(replace(STAND_IN, signals=(contract(),), camera=camera), adapter, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"minimum_limits_version": 2}, "it needs limits version 2, this is 1"),
        ({"signals": (contract(name="sonar"),)}, "it needs the signal sonar, which aurora_comet does not have"),
        ({"signals": (contract(rate_hz=200.0),)}, "it needs speed at 200 Hz, it comes every 20 ms"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(comet, change, says):
    with pytest.raises(ConfigError, match=f"bundle stand-in does not fit aurora_comet:\n  - {says}"):
        check_fits(replace(STAND_IN, **change), comet, 1)


def test_a_camera_that_is_elsewhere_than_trained_is_refused(comet):
    camera = replace(STAND_IN.camera, mounting={"up_m": (2.0, 3.0)})
    with pytest.raises(ConfigError, match=r"trained with cameras at 2 to 3 for up_m, this one is at 1\.4"):
        check_fits(replace(STAND_IN, camera=camera), comet, 1)


def test_every_signal_is_in_a_message(adapter):
    heard = {signal for d in ("in", "out") for name in adapter.messages(d) for signal in adapter.signals_of(name)}
    assert heard == set(BY_NAME)
