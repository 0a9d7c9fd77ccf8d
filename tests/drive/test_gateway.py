"""The newest values, how old they are, and what is lost on the way."""

from __future__ import annotations

import pytest

from dojo.drive.can_bus import CanBus
from dojo.drive.ecus import values_of
from dojo.drive.gateway import Gateway
from dojo.drive.signals import FAST
from dojo.errors import ConfigError
from dojo.records import Command, DriverInput, VehicleState

S = 1_000_000_000
STATE = VehicleState(0, 12.0, 0.1, 0.05)
DRIVER = DriverInput(hands_on=True, eyes_on_road=True, blinker=-1, torque_nm=1.0)


class Wire:
    """A bus of two lists."""

    def __init__(self, full=False):
        self.coming, self.gone, self.full = [], [], full

    def receive(self):
        return self.coming.pop(0) if self.coming else None

    def send(self, frame_id, data):
        self.gone.append((frame_id, data))
        return not self.full


def say_all(adapter, wire, counter, names=None, **changes):
    values = values_of(STATE, DRIVER) | changes
    for name in names or adapter.messages("in"):
        wire.coming.append((adapter.frame_id(name), adapter.say(name, values, counter)))


def test_before_anything_is_heard_everything_is_unknown(adapter):
    gateway = Gateway(adapter, Wire())
    gateway.read(S)
    assert gateway.state(S) is None
    assert gateway.driver(S) is None
    assert gateway.missing(S) == FAST


def test_what_is_heard_is_known_until_it_is_stale(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    say_all(adapter, wire, 1)
    gateway.read(S)
    state = gateway.state(S)
    assert (state.time_ns, state.speed_mps, state.accepts) == (S, pytest.approx(12.0, abs=0.01), True)
    driver, since = gateway.driver(S)
    assert (driver.hands_on, driver.blinker, since) == (True, -1, S)
    assert gateway.state(S + 100_000_000) is not None
    assert gateway.state(S + 100_000_001) is None
    assert gateway.driver(S + 100_000_001) is None


def test_a_silent_monitor_sees_nobody(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    say_all(adapter, wire, 1)
    gateway.read(S)
    fast = [name for name in adapter.messages("in") if "hands_on" not in adapter.signals_of(name)]
    for number in range(2, 10):
        say_all(adapter, wire, number, fast)
        gateway.read(S + number * 60_000_000)
    driver, _ = gateway.driver(S + 9 * 60_000_000)
    assert (driver.hands_on, driver.eyes_on_road, driver.blinker) == (False, False, 0)


def test_a_message_with_a_turned_bit_is_counted_and_forgotten(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    say_all(adapter, wire, 1)
    frame_id, data = wire.coming[0]
    wire.coming[0] = (frame_id, bytes([data[0] ^ 1]) + data[1:])
    gateway.read(S)
    assert gateway.losses.checksum == 1
    assert gateway.missing(S) != ()


def test_a_counter_that_stands_still_lets_values_go_stale(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    for number in range(5):
        say_all(adapter, wire, 1)
        gateway.read(S + number * 50_000_000)
    assert gateway.losses.counter == 4 * len(adapter.messages("in"))
    assert gateway.missing(S + 200_000_000) == FAST


def test_a_sender_that_was_restarted_is_heard_again(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    say_all(adapter, wire, 9)
    gateway.read(S)
    for number, counter in enumerate((1, 2, 3)):
        say_all(adapter, wire, counter)
        gateway.read(S + number * 20_000_000)
    assert gateway.losses.counter == len(adapter.messages("in"))
    assert gateway.state(S + 120_000_000) is not None


def test_a_value_from_the_future_is_not_known(adapter):
    """The clock was set back: nobody knows how old anything is."""
    wire = Wire()
    gateway = Gateway(adapter, wire)
    say_all(adapter, wire, 1)
    gateway.read(S)
    assert gateway.state(S - 1) is None
    assert gateway.driver(S - 1) is None
    assert gateway.missing(S - 1) == FAST


def test_a_button_that_sticks_is_no_press_when_its_message_comes_back(adapter):
    """Nor when it is heard for the first time."""
    wire = Wire()
    gateway = Gateway(adapter, wire)
    counter, now = 0, S

    def pressed(value, seconds=0.02):
        nonlocal counter, now
        counter, now = counter + 1, now + round(seconds * S)
        say_all(adapter, wire, counter, engage=float(value))
        gateway.read(now)
        return gateway.driver(now)[0].engage_pressed

    assert [pressed(value) for value in (1, 1, 0, 1, 1)] == [False, False, False, True, True]
    assert [pressed(1, 0.6), pressed(1), pressed(0), pressed(1)] == [False, False, False, True]


def test_a_value_out_of_range_is_counted(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    say_all(adapter, wire, 1, speed=71.0)
    gateway.read(S)
    assert gateway.losses.out_of_range == 1
    assert gateway.missing(S) == ("speed",)


def test_commands_go_out_with_a_counter_that_moves(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    for _ in range(20):
        gateway.send(Command(0.001, 0.5, True), 12.0)
    counters = {}
    for frame_id, data in wire.gone:
        heard = adapter.hear(frame_id, data, counters.get(frame_id))
        assert heard.refused == ""
        counters[frame_id] = heard.counter
    assert len(counters) == len(adapter.messages("out"))


def test_a_bus_that_takes_nothing_is_counted(adapter):
    gateway = Gateway(adapter, Wire(full=True))
    gateway.send(Command(0.0, 0.0, False), 0.0)
    assert gateway.losses.unsent == len(adapter.messages("out"))


def test_messages_of_others_are_left_alone(adapter):
    wire = Wire()
    gateway = Gateway(adapter, wire)
    wire.coming.append((0x7FE, b"whatever"))
    gateway.read(S)
    assert gateway.losses == type(gateway.losses)()


def test_a_bus_that_is_none_is_said():
    with pytest.raises(ConfigError, match="bus no-such:can0: expected an interface of python-can"):
        CanBus.open("no-such", "can0")


def test_a_bus_that_is_closed_is_one_from_which_nothing_comes():
    bus = CanBus.open("virtual", "closed")
    bus.close()
    assert bus.receive() is None
    assert not bus.send(1, b"1")
