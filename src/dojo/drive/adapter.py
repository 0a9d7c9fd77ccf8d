"""Between signals and the bytes of one platform's bus.

In: messages as bytes; values by name. Out: values by name, or why a message is refused; messages as bytes.
Idea: both directions are one table read two ways, so the same adapter serves who drives (it reads the inputs and writes
the command) and who plays the vehicle (`ecus.py`). Because a mistake in the table would then cancel out, each platform
keeps vectors worked out by hand, which `conformance.py` asks.
Not here: the table (`platform.py`), times and losses (`gateway.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cantools
from cantools.database import Message

from dojo.drive.checksums import checksum_of
from dojo.drive.limits import follows
from dojo.drive.platform import MessageSpec, Platform, SignalSpec
from dojo.drive.signals import BY_NAME, WHEEL_DEG, WHEEL_RAD
from dojo.errors import ConfigError
from dojo.records import BundleManifest, Command

_NEAR_M = 0.05
"""Assumed: tolerance of building a camera into a car."""

Values = Mapping[str, float]
"""Signals by their name in `signals.NEEDS`, in the first unit there."""


@dataclass(frozen=True)
class Heard:
    """What a message said.

    Args:
        values: None for a signal that is out of its range or has a code that means nothing.
        refused: why nothing of it may be used: `checksum`, `counter`, `length`; empty where it may.
        counter: of the message, None where it has none or where it could not be read.
    """

    message: str
    values: Mapping[str, float | None]
    refused: str = ""
    counter: int | None = None


class Adapter:
    """Reads and writes the messages of a platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        used = {spec.message for spec in platform.specs().values()}
        self._messages: dict[str, Message] = {m.name: m for m in platform.bus.messages if m.name in used}
        self._names = {message.frame_id: name for name, message in self._messages.items()}
        self._signals: dict[str, dict[str, SignalSpec]] = {name: {} for name in used}
        for name, spec in platform.specs().items():
            self._signals[spec.message][name] = spec

    def messages(self, direction: str) -> tuple[str, ...]:
        """Names of the messages with signals of that direction, `in` or `out`, in the order of the table."""
        specs = self.platform.file.inputs if direction == "in" else self.platform.file.outputs
        return tuple(dict.fromkeys(spec.message for spec in specs.values()))

    def spec(self, message: str) -> MessageSpec:
        """How a message is protected."""
        return self.platform.file.messages[message]

    def signals_of(self, message: str) -> tuple[str, ...]:
        """Names of the signals in a message."""
        return tuple(self._signals[message])

    def frame_id(self, message: str) -> int:
        """Its identifier on the bus."""
        found: int = self._messages[message].frame_id
        return found

    def name_of(self, frame_id: int) -> str | None:
        """The message with that identifier; None where it is nothing to this adapter."""
        return self._names.get(frame_id)

    def hear(self, frame_id: int, data: bytes, last_counter: int | None) -> Heard | None:
        """What a message says; None for one that is nothing to this adapter.

        Args:
            last_counter: of the last message of this kind that was accepted, None before the first.
        """
        name = self._names.get(frame_id)
        if name is None:
            return None
        message, spec = self._messages[name], self.spec(name)
        if len(data) != message.length:
            return Heard(name, {}, "length")
        if spec.checksum is not None and data[self._place(name)] != self._checksum(name, data):
            return Heard(name, {}, "checksum")
        try:
            raw = message.decode(bytes(data), decode_choices=False)
        except cantools.Error:
            return Heard(name, {}, "length")
        counter = int(raw[spec.counter.signal]) if spec.counter else None
        if spec.counter is not None and counter is not None:
            inside = counter < spec.counter.modulus
            if not inside or (last_counter is not None and not self._moved(spec, last_counter, counter)):
                return Heard(name, {}, "counter", counter if inside else None)
        values = {signal: _meaning(signal, one, float(raw[one.signal])) for signal, one in self._signals[name].items()}
        return Heard(name, values, counter=counter)

    @staticmethod
    def _moved(spec: MessageSpec, last: int, counter: int) -> bool:
        assert spec.counter is not None
        return follows(last, counter, spec.counter.modulus, spec.counter.most_lost)

    def say(self, message: str, values: Values, counter: int) -> bytes:
        """The bytes of a message; signals of it that nobody names are zero.

        Raises:
            ConfigError: a value does not fit the signal.
        """
        found, spec = self._messages[message], self.spec(message)
        raw: dict[str, float] = {signal.name: _nothing(signal) for signal in found.signals}
        for name, one in self._signals[message].items():
            if name in values:
                raw[one.signal] = _on_the_bus(name, one, values[name])
        if spec.counter is not None:
            raw[spec.counter.signal] = counter % spec.counter.modulus
        try:
            data = bytearray(found.encode(raw, scaling=True, strict=True))
        except (cantools.Error, OverflowError) as error:
            raise ConfigError(f"{self.platform.name}: {message} cannot carry {dict(values)}: {error}") from error
        if spec.checksum is not None:
            data[self._place(message)] = self._checksum(message, bytes(data))
        return bytes(data)

    def command_values(self, command: Command, speed_mps: float) -> dict[str, float]:
        """A command as signals; a curvature as the angle that the platform wants, where it wants one."""
        curvature, unit = command.curvature_per_m, self.platform.file.outputs["curvature"].unit
        if unit in (WHEEL_RAD, WHEEL_DEG):
            curvature = self.platform.file.body.wheel_rad(curvature, speed_mps)
            curvature = math.degrees(curvature) if unit == WHEEL_DEG else curvature
        return {
            "curvature": curvature,
            "acceleration": command.acceleration_mps2,
            "engaged": float(command.engaged),
            "take_over_request": float(command.take_over_request),
            "warning": float(command.warning),
        }

    def command_of(self, values: Values, speed_mps: float) -> Command:
        """Inverse of `command_values`."""
        curvature, unit = values["curvature"], self.platform.file.outputs["curvature"].unit
        if unit in (WHEEL_RAD, WHEEL_DEG):
            wheel_rad = math.radians(curvature) if unit == WHEEL_DEG else curvature
            curvature = self.platform.file.body.curvature_per_m(wheel_rad, speed_mps)
        return Command(
            curvature,
            values["acceleration"],
            bool(values["engaged"]),
            bool(values["take_over_request"]),
            (0, 1, 2)[int(values["warning"])],
        )

    def _place(self, message: str) -> int:
        """Which byte of a message holds its checksum."""
        spec = self.spec(message).checksum
        assert spec is not None
        place: int = self._messages[message].get_signal_by_name(spec.signal).start // 8
        return place

    def _checksum(self, message: str, data: bytes) -> int:
        spec, place = self.spec(message).checksum, self._place(message)
        assert spec is not None
        return checksum_of(spec.kind)(data[:place] + data[place + 1 :], self.frame_id(message), spec.data_id)


def _meaning(name: str, spec: SignalSpec, value: float) -> float | None:
    """What a value on the bus means; None where it is no number, out of range or means nothing."""
    need = BY_NAME[name]
    if not math.isfinite(value):  # a bus may carry floats; below a threshold is not what "no number" is
        return None
    if spec.codes is not None:
        code = spec.codes.get(int(value)) if value == int(value) else None
        return None if code is None else float(code)
    if spec.above is not None:
        return float(value > spec.above)
    factor = (need.units or {}).get(spec.unit, 1.0)
    meant = value * factor * (-1.0 if spec.positive == "right" else 1.0)
    # The angle of a steering wheel that stands for a curvature has no range of its own: the envelope bounds it.
    inside = spec.unit in (WHEEL_RAD, WHEEL_DEG) or need.low <= meant <= need.high
    return meant if inside else None


def _on_the_bus(name: str, spec: SignalSpec, value: float) -> float:
    """Inverse of `_meaning`, for a switch with a threshold a value well beyond it."""
    need = BY_NAME[name]
    if spec.codes is not None:
        return float(next((code for code, meant in spec.codes.items() if meant == value), 0))
    if spec.above is not None:
        return 2 * spec.above + 1 if value else 0.0
    factor = (need.units or {}).get(spec.unit, 1.0)
    return value / factor * (-1.0 if spec.positive == "right" else 1.0)


def _nothing(signal: cantools.database.Signal) -> float:
    """The value of a signal that nobody sets: raw zero."""
    return float(signal.conversion.raw_to_scaled(0, decode_choices=False))


def check_fits(manifest: BundleManifest, adapter: Adapter, limits_version: int) -> None:
    """Whether a bundle may drive this platform.

    Raises:
        ConfigError: with everything that does not fit.
    """
    specs, faults = adapter.platform.specs(), []
    if manifest.minimum_limits_version > limits_version:
        faults.append(f"it needs limits version {manifest.minimum_limits_version}, this is {limits_version}")
    for signal in manifest.signals:
        if signal.name not in specs:
            faults.append(f"it needs the signal {signal.name}, which {adapter.platform.name} does not have")
            continue
        message = adapter.spec(specs[signal.name].message)
        if signal.protected and (message.counter is None or message.checksum is None):
            faults.append(f"it needs {signal.name} with a counter and a checksum")
        if message.cycle_ms > 1000 / signal.rate_hz:
            faults.append(f"it needs {signal.name} at {signal.rate_hz:g} Hz, it comes every {message.cycle_ms} ms")
    mounting = adapter.platform.file.camera
    for name, (low, high) in manifest.camera.mounting.items():
        where = getattr(mounting, name, None)  # the camera's angles are taken out before its picture is shown
        if where is not None and not low - _NEAR_M <= where <= high + _NEAR_M:
            faults.append(f"it was trained with cameras at {low:g} to {high:g} for {name}, this one is at {where:g}")
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise ConfigError(f"bundle {manifest.name} does not fit {adapter.platform.name}:\n{listed}")
