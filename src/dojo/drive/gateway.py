"""The vehicle as who drives meets it: the newest values, how old they are, and a way to send commands.

In: messages from a bus, the time. Out: `VehicleState` and `DriverInput`, or that they are unknown; messages to the bus.
Idea: whatever is waiting on the bus is taken at once and only the newest of each signal kept, so that memory does not
grow and nothing queues up. A message with a wrong checksum or a counter that stands still is as good as none: its
values go stale, and what is stale is missing. A button that was silent is not pressed before it was heard released.
Not here: bytes (`adapter.py`); what happens when something is missing (`states.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dojo.drive.adapter import Adapter
from dojo.drive.signals import BY_NAME, FAST
from dojo.records import Command, DriverInput, VehicleState


@runtime_checkable
class Bus(Protocol):
    """A bus as it is used here: `can_bus.py` makes one of any bus of python-can."""

    def receive(self) -> tuple[int, bytes] | None:
        """The oldest message that waits: identifier and bytes; None where none does."""
        ...

    def send(self, frame_id: int, data: bytes) -> bool:
        """Whether the bus took a message; never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    value: float
    time_ns: int


@dataclass
class Losses:
    """How many messages could not be used, by reason; `unsent`: that the bus did not take."""

    checksum: int = 0
    counter: int = 0
    length: int = 0
    out_of_range: int = 0
    unsent: int = 0


_NEVER = _Known(0.0, -(1 << 61))


class Gateway:
    """One vehicle on one bus."""

    def __init__(self, adapter: Adapter, bus: Bus) -> None:
        self._adapter, self._bus = adapter, bus
        self._known = dict.fromkeys(adapter.platform.file.inputs, _NEVER)
        self._counters: dict[str, int | None] = {}
        self._sent = 0
        self._released = False
        self.losses = Losses()

    def read(self, now_ns: int) -> None:
        """Take everything that waits on the bus; it is taken to have come now."""
        while (message := self._bus.receive()) is not None:
            frame_id, data = message
            self._take(frame_id, data, now_ns)

    def _take(self, frame_id: int, data: bytes, now_ns: int) -> None:
        name = self._adapter.name_of(frame_id)
        heard = None if name is None else self._adapter.hear(frame_id, data, self._counters.get(name))
        if heard is None:
            return
        if heard.refused:
            setattr(self.losses, heard.refused, getattr(self.losses, heard.refused) + 1)
            if heard.refused == "counter":
                # From there on it is counted anew, so that a sender that was restarted is heard again.
                self._counters[heard.message] = heard.counter
            return
        self._counters[heard.message] = heard.counter
        for signal, value in heard.values.items():
            if value is None:
                self.losses.out_of_range += 1
            elif signal in self._known:
                if signal == "engage":
                    # One that sticks, on a wire that comes and goes, would look like a press each time it comes.
                    self._released = not value or (self._released and self._fresh(signal, now_ns))
                self._known[signal] = _Known(value, now_ns)

    def _fresh(self, name: str, now_ns: int) -> bool:
        return 0 <= now_ns - self._known[name].time_ns <= round(BY_NAME[name].stale_after_s * 1e9)

    def missing(self, now_ns: int) -> tuple[str, ...]:
        """Signals without which nobody knows how the vehicle moves or what the driver does."""
        return tuple(name for name in FAST if not self._fresh(name, now_ns))

    def state(self, now_ns: int) -> VehicleState | None:
        """How the vehicle moves; None where a signal of it is missing."""
        names = ("speed", "steering_angle", "yaw_rate", "accepts")
        if not all(self._fresh(name, now_ns) for name in names):
            return None
        speed, wheel, yaw_rate, accepts = (self._known[name] for name in names)
        oldest = min(one.time_ns for one in (speed, wheel, yaw_rate, accepts))
        return VehicleState(oldest, speed.value, wheel.value, yaw_rate.value, bool(accepts.value))

    def driver(self, now_ns: int) -> tuple[DriverInput, int] | None:
        """What the driver does, and since when that is known; None where pedals or torque are missing.

        A monitor that is silent sees nobody; a button or a lever that is silent is not pressed.
        """
        names = ("brake_pressed", "gas_pressed", "driver_torque")
        if not all(self._fresh(name, now_ns) for name in names):
            return None
        brake, gas, torque = (self._known[name] for name in names)
        slow = {
            name: self._known[name].value if self._fresh(name, now_ns) else 0.0
            for name in ("hands_on", "eyes_on_road", "engage", "cancel", "blinker")
        }
        side = slow["blinker"]
        given = DriverInput(
            brake_pressed=bool(brake.value),
            gas_pressed=bool(gas.value),
            torque_nm=torque.value,
            hands_on=bool(slow["hands_on"]),
            eyes_on_road=bool(slow["eyes_on_road"]),
            engage_pressed=bool(slow["engage"]) and self._released,
            cancel_pressed=bool(slow["cancel"]),
            blinker=1 if side > 0 else -1 if side < 0 else 0,
        )
        return given, min(brake.time_ns, gas.time_ns, torque.time_ns)

    def send(self, command: Command, speed_mps: float) -> None:
        """Put a command on the bus."""
        values = self._adapter.command_values(command, speed_mps)
        for name in self._adapter.messages("out"):
            data = self._adapter.say(name, values, self._sent)
            if not self._bus.send(self._adapter.frame_id(name), data):
                self.losses.unsent += 1
        self._sent += 1
