"""A platform is read whole, or refused with everything that is wrong."""

from __future__ import annotations

import math
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.drive.checksums import checksum_of, crc8_j1850, sum8
from dojo.drive.limits import Limits
from dojo.drive.platform import VEHICLES, Body, load_platform
from dojo.drive.signals import BY_NAME, NEEDS
from dojo.errors import ConfigError
from dojo.release.contracts import SIGNALS

FEW = settings(max_examples=40, deadline=None)


@pytest.fixture
def copied(tmp_path):
    """A function that changes a copy of the first platform, and gives its folder."""

    def change(*pairs):
        folder = tmp_path / "comet"
        shutil.copytree(VEHICLES / "aurora_comet", folder)
        path = folder / "vehicle.toml"
        text = path.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return folder

    return change


def test_both_platforms_are_read():
    comet, tern = load_platform("aurora_comet"), load_platform("borealis_tern")
    assert (comet.file.carmaker, tern.file.carmaker) == ("aurora", "borealis")
    assert comet.limits == Limits()
    assert tern.limits.max_acceleration_mps2 == 1.8
    assert set(comet.specs()) == set(tern.specs()) == set(BY_NAME)


def test_the_two_platforms_have_nothing_but_the_road_in_common():
    comet, tern = (load_platform(name) for name in ("aurora_comet", "borealis_tern"))

    def ways(platform):
        signals = [signal for message in platform.bus.messages for signal in message.signals]
        specs = platform.file.messages.values()
        return (
            {signal.byte_order for signal in signals},
            {spec.checksum.kind for spec in specs},
            {spec.counter.modulus for spec in specs},
            {spec.signal for spec in platform.specs().values()},
            {platform.specs()["curvature"].unit},
            {platform.specs()["steering_angle"].positive},
        )

    assert all(not first & second for first, second in zip(ways(comet), ways(tern), strict=True))


def test_the_signals_that_a_bundle_asks_for_are_needed_and_mean_the_same():
    for signal in SIGNALS:
        need = BY_NAME[signal.name]
        assert (need.direction, need.low, need.high) == (signal.direction, signal.low, signal.high)
        assert need.stale_after_s == signal.stale_after_s
        assert need.units is None or next(iter(need.units)) in signal.unit


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ('signal = "ESP_Speed"', 'signal = "ESP_Sped"'),
            "inputs.speed: expected a signal of ESP_Motion, got 'ESP_Sped'",
        ),
        (('unit = "km/h"', 'unit = "kph"'), "inputs.speed: expected a unit from m/s, km/h, mph, got 'kph'"),
        (("[messages]\nESP_Motion", "[messages]\nESP_Moton"), "messages.ESP_Moton: expected a message of"),
        (('signal = "EPS_Alive"', 'signal = "EPS_Dead"'), "messages.EPS_Steering: expected a signal of it"),
        (
            ('"ECM_Alive", modulus = 16', '"ECM_Alive", modulus = 17'),
            "expected a modulus of 2 to 16 for ECM_Alive, got 17",
        ),
        (
            ('"BCM_Crc", kind = "crc8_j1850"', '"BCM_Crc", kind = "crc9"'),
            "checksum 'crc9': expected one of crc8_j1850, sum8",
        ),
        (
            ('signal = "ADAS_Crc"', 'signal = "ADAS_Curvature"'),
            "expected ADAS_Curvature to be a whole byte, got 16 bit",
        ),
        (("hands_on =", "hand_on ="), "inputs.hands_on: missing"),
        (("hands_on =", "hand_on ="), "inputs.hand_on: unknown; expected accepts,"),
        (("2 = -1 }", "2 = -2 }"), "inputs.blinker: expected codes from -1 to 1, got -2"),
        (
            ('"ADAS_TakeOver" }', '"ADAS_TakeOver", positive = "right" }'),
            "take_over_request: has no sides; leave positive out",
        ),
        (
            ('"BCM_Blinker", codes', '"BCM_Blinker", above = 1, codes'),
            "expected above for switches only, this is a code",
        ),
        (
            ('message = "ECM_Pedal"', 'message = "ECM_Padel"'),
            "inputs.gas_pressed: expected one of [messages], got 'ECM_Padel'",
        ),
        (
            ("[messages]", "[limits]\nmax_braking_mps2 = 9.0\n[messages]"),
            "max_braking_mps2 = 9.0; a vehicle may only be more careful",
        ),
        (("[messages]", "[limits]\nmax_fun = 9.0\n[messages]"), "max_fun"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(copied, change, says):
    with pytest.raises(ConfigError) as caught:
        load_platform(copied(change))
    assert says in str(caught.value)


def test_everything_that_is_wrong_is_named_at_once(copied):
    folder = copied(('unit = "km/h"', 'unit = "kph"'), ("2 = -1 }", "2 = -2 }"))
    with pytest.raises(ConfigError, match=r"expected a platform, got 2 fault\(s\); correct them all:\n.*\n.*"):
        load_platform(folder)


def test_a_signal_without_room_for_its_commands_is_refused(copied):
    folder = copied()
    dbc = folder / "aurora_comet.dbc"
    dbc.write_text(dbc.read_text().replace("(1e-05,0) [-0.3|0.3]", "(1e-05,0) [-0.1|0.1]"))
    with pytest.raises(ConfigError, match=r"outputs.curvature: expected room for -0.2 to 0.2, the DBC has -0.1 to 0.1"):
        load_platform(folder)


def test_a_key_that_means_nothing_is_refused(copied):
    with pytest.raises(ConfigError, match=r"expected a platform as in docs/extend/vehicle.md"):
        load_platform(copied(("[delays]", "[delays]\nhurry_s = 1")))


def test_a_folder_that_is_none_is_said_with_the_platforms_that_there_are(tmp_path):
    with pytest.raises(ConfigError, match="expected the folder of a platform or one of aurora_comet, borealis_tern"):
        load_platform(tmp_path)


@FEW
@given(st.floats(-0.19, 0.19), st.floats(0, 60), st.floats(2, 4), st.floats(10, 20), st.floats(0, 0.005))
def test_the_angle_of_the_wheel_and_the_curvature_are_inverse(curvature, speed, wheelbase, ratio, understeer):
    body = Body(wheelbase, ratio, understeer)
    assert body.curvature_per_m(body.wheel_rad(curvature, speed), speed) == pytest.approx(curvature, abs=1e-12)


def test_a_wheel_turned_by_the_ratio_turns_the_vehicle_by_its_wheelbase():
    assert Body(2.0, 10.0).wheel_rad(0.5, 30.0) == pytest.approx(10 * math.pi / 4)


def test_checksums_by_hand():
    assert crc8_j1850(b"", 0, 0x3132) == 0xFF ^ _slow_crc(b"12")
    assert sum8(bytes([1, 2, 3]), 0x102, 0x0104) == 255 - (1 + 2 + 3 + 1 + 2 + 1 + 4)
    assert sum8(bytes([255, 255]), 0, 0) == 255 - 254


def _slow_crc(data):
    """Division of polynomials bit by bit, as on paper; without the final inversion."""
    bits = int.from_bytes(bytes([data[0] ^ 0xFF]) + data[1:] + b"\0", "big")
    for place in range(8 * len(data) - 1, -1, -1):
        if bits >> (place + 8) & 1:
            bits ^= 0x11D << place
    return bits


def test_a_checksum_of_a_carmakers_own_is_found_by_its_path():
    assert checksum_of("dojo.drive.checksums:sum8") is sum8
    with pytest.raises(ConfigError, match=r"checksum 'no.such:thing': expected one of crc8_j1850, sum8 or package"):
        checksum_of("no.such:thing")


def test_every_need_has_a_range():
    assert all(need.low < need.high and need.stale_after_s > 0 for need in NEEDS)
