"""The other side of the bus: a platform's control units, simulated.

In: how the vehicle moves and what its driver does, the time. Out: messages at their own rates; what the vehicle is
asked for, as long as it is asked validly.
Idea: the vehicle's side is written from what a carmaker's units must do, not from what the runtime hopes for: they
check counter and checksum, they let go when no valid command has come for a while, and they can be made to fail in
every way that a wire can. Bus and clock are handed in, so the same units stand on a virtual bus in a test and on a real
one on a bench.
Not here: the vehicle's motion (`recipes/drive_sim.py` puts the simulated world behind it).
"""

from __future__ import annotations

from collections.abc import Mapping

from dojo.drive.adapter import Adapter
from dojo.drive.gateway import Bus
from dojo.records import Command, DriverInput, VehicleState

LETS_GO_AFTER_NS = 100_000_000
"""Two commands in a row may be lost, and nothing engaged lives longer than a blink. Source: both platforms' README."""


def values_of(state: VehicleState, driver: DriverInput) -> dict[str, float]:
    """State and driver as signals."""
    return {
        "speed": state.speed_mps,
        "steering_angle": state.steering_wheel_rad,
        "yaw_rate": state.yaw_rate_radps,
        "accepts": float(state.accepts),
        "driver_torque": driver.torque_nm,
        "brake_pressed": float(driver.brake_pressed),
        "gas_pressed": float(driver.gas_pressed),
        "hands_on": float(driver.hands_on),
        "eyes_on_road": float(driver.eyes_on_road),
        "blinker": float(driver.blinker),
        "engage": float(driver.engage_pressed),
        "cancel": float(driver.cancel_pressed),
    }


class Ecus:
    """All units of one vehicle.

    `muted` messages are not sent, `frozen` ones are sent with a counter that stands still, `spoilt` ones with a bit
    turned; while `deaf`, nothing is received.
    """

    def __init__(self, adapter: Adapter, bus: Bus) -> None:
        self._adapter, self._bus = adapter, bus
        self._due_ns = dict.fromkeys(adapter.messages("in"), -(1 << 61))
        self._counters = dict.fromkeys(adapter.messages("in"), 0)
        self._heard: dict[str, tuple[Mapping[str, float], int]] = {}
        self._last: dict[str, int | None] = {}
        self.muted: set[str] = set()
        self.frozen: set[str] = set()
        self.spoilt: set[str] = set()
        self.deaf = False
        self.refused = 0

    def mute_all(self) -> None:
        """The wire is cut: nothing goes out or comes in."""
        self.muted, self.deaf = set(self._counters), True

    def heal(self) -> None:
        """Nothing fails any more."""
        self.muted, self.frozen, self.spoilt, self.deaf = set(), set(), set(), False

    def broadcast(self, now_ns: int, values: Mapping[str, float]) -> None:
        """Send every message that is due."""
        for name, due_ns in self._due_ns.items():
            if now_ns < due_ns:
                continue
            period_ns = self._adapter.spec(name).cycle_ms * 1_000_000
            # On a grid, so that a late tick does not make all later ones late; anew after a long silence.
            self._due_ns[name] = due_ns + period_ns if now_ns - due_ns < period_ns else now_ns + period_ns
            if name not in self.frozen:
                self._counters[name] += 1
            data = bytearray(self._adapter.say(name, values, self._counters[name]))
            if name in self.spoilt:
                data[2] ^= 0x10
            if name not in self.muted:
                self._bus.send(self._adapter.frame_id(name), bytes(data))

    def listen(self, now_ns: int) -> None:
        """Take every command that waits."""
        while (message := self._bus.receive()) is not None:
            frame_id, data = message
            name = self._adapter.name_of(frame_id)
            if name is None or self.deaf:
                continue
            heard = self._adapter.hear(frame_id, data, self._last.get(name))
            if heard is None:
                continue
            known = {signal: value for signal, value in heard.values.items() if value is not None}
            if heard.refused or len(known) < len(heard.values):
                self.refused += 1
                self._last[name] = heard.counter if heard.refused == "counter" else self._last.get(name)
                continue
            self._last[name] = heard.counter
            self._heard[name] = known, now_ns

    def asked(self, now_ns: int, speed_mps: float) -> Command | None:
        """What the vehicle is asked for; None where a command is missing: it lets go, and tells its driver."""
        needed = self._adapter.messages("out")
        if any(now_ns - self._heard.get(name, ({}, -(1 << 61)))[1] > LETS_GO_AFTER_NS for name in needed):
            return None
        values: dict[str, float] = {}
        for name in needed:
            values |= self._heard[name][0]
        return self._adapter.command_of(values, speed_mps)
