"""A vehicle platform as its folder says: `vehicle.toml` beside a DBC file.

In: the folder. Out: `Platform`, or one error that lists everything wrong with it.
Idea: what a signal is called, scaled and protected by is data, so that a new platform needs no code; see
`docs/extend/vehicle.md`. The DBC file says where the bits are, the TOML file what they mean to whoever drives.
Not here: bytes (`adapter.py`).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cantools
from cantools.database import Database, Message
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from dojo.drive.checksums import checksum_of
from dojo.drive.limits import Limits
from dojo.drive.signals import BY_NAME, CURVATURE, NEEDS
from dojo.errors import ConfigError

VEHICLES = Path(__file__).parent / "vehicles"
_CLOSED = ConfigDict(extra="forbid")


@checked(frozen=True, config=_CLOSED)
class Body:
    """What turns a curvature into an angle of the steering wheel, and back.

    Args:
        steering_ratio: steering wheel angle over road wheel angle.
        understeer_rad_per_mps2: extra road wheel angle per lateral acceleration.
    """

    wheelbase_m: float
    steering_ratio: float
    understeer_rad_per_mps2: float = 0.0

    def wheel_rad(self, curvature_per_m: float, speed_mps: float) -> float:
        """Angle of the steering wheel that settles at a curvature.

        Source: Rajamani, Vehicle Dynamics and Control, 2nd edition, chapter 3 (delta = L / R + K a_y).
        """
        effective_m = self.wheelbase_m + self.understeer_rad_per_mps2 * speed_mps * speed_mps
        return self.steering_ratio * math.atan(curvature_per_m * effective_m)

    def curvature_per_m(self, wheel_rad: float, speed_mps: float) -> float:
        """Inverse of `wheel_rad`."""
        effective_m = self.wheelbase_m + self.understeer_rad_per_mps2 * speed_mps * speed_mps
        return math.tan(wheel_rad / self.steering_ratio) / effective_m


@checked(frozen=True, config=_CLOSED)
class Delays:
    """How late the vehicle answers: what a controller counts on."""

    steering_s: float
    acceleration_s: float


@checked(frozen=True, config=_CLOSED)
class Mounting:
    """Where the camera is: metres forward, to the left and up of the ground below the rear axle."""

    forward_m: float
    left_m: float
    up_m: float


@checked(frozen=True, config=_CLOSED)
class CounterSpec:
    """An alive counter: signal, how many values it has, how many messages in a row may be lost."""

    signal: str
    modulus: int
    most_lost: int = 2


@checked(frozen=True, config=_CLOSED)
class ChecksumSpec:
    """A checksum: the signal, a whole byte; which kind; the number that both sides know."""

    signal: str
    kind: str
    data_id: int = 0


@checked(frozen=True, config=_CLOSED)
class MessageSpec:
    """A message that is read or written, and how it is protected."""

    cycle_ms: int
    counter: CounterSpec | None = None
    checksum: ChecksumSpec | None = None


@checked(frozen=True, config=_CLOSED)
class SignalSpec:
    """Where one signal of `signals.NEEDS` is.

    Args:
        unit: one of the need's; empty for switches and codes.
        positive: the side to which the platform counts.
        codes: value on the bus -> value for who drives; any other counts as missing. None takes values as they are.
        above: a switch that is on where the value on the bus is above this: a pressure, a share of a pedal's way.
    """

    message: str
    signal: str
    unit: str = ""
    positive: Literal["left", "right"] = "left"
    codes: Mapping[int, int] | None = None
    above: float | None = None


@checked(frozen=True, config=_CLOSED)
class VehicleFile:
    """`vehicle.toml`; `limits` are in the terms of `limits.Limits`, at most those of the envelope."""

    platform: str
    carmaker: str
    dbc: str
    hardware_ids: tuple[str, ...]
    body: Body
    delays: Delays
    camera: Mounting
    messages: Mapping[str, MessageSpec]
    inputs: Mapping[str, SignalSpec]
    outputs: Mapping[str, SignalSpec]
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Platform:
    """A platform whose two files agree with each other and with what driving needs."""

    file: VehicleFile
    bus: Database
    limits: Limits

    @property
    def name(self) -> str:
        """Of the platform."""
        return self.file.platform

    def specs(self) -> dict[str, SignalSpec]:
        """Every signal, inputs first."""
        return {**self.file.inputs, **self.file.outputs}


def platform_folder(vehicle: str | Path) -> Path:
    """The folder of a platform: one of Dojo's own by name, or any folder."""
    return VEHICLES / vehicle if (VEHICLES / vehicle / "vehicle.toml").is_file() else Path(vehicle)


def load_platform(vehicle: str | Path) -> Platform:
    """The platform in a folder, or of that name.

    Raises:
        ConfigError: with everything that is wrong.
    """
    path = platform_folder(vehicle) / "vehicle.toml"
    try:
        file = TypeAdapter(VehicleFile).validate_python(tomllib.loads(path.read_text("utf-8")))
        bus = cantools.database.load_file(path.parent / file.dbc)
    except OSError as error:
        known = ", ".join(sorted(folder.parent.name for folder in VEHICLES.glob("*/vehicle.toml")))
        raise ConfigError(
            f"{path}: expected the folder of a platform or one of {known}: {error}; see docs/extend/vehicle.md"
        ) from error
    except (tomllib.TOMLDecodeError, ValidationError, cantools.Error) as error:
        raise ConfigError(f"{path}: expected a platform as in docs/extend/vehicle.md: {error}") from error
    if not isinstance(bus, Database):
        raise ConfigError(f"{path.parent / file.dbc}: expected a CAN database, got diagnostics; name a DBC file")
    faults = list(_faults(file, bus))
    try:
        tighter: dict[str, Any] = {k: int(v) if k.endswith("_ns") else v for k, v in file.limits.items()}
        limits = Limits(**tighter)
    except (TypeError, ValueError) as error:
        faults.append(str(error))
        limits = Limits()
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise ConfigError(f"{path}: expected a platform, got {len(faults)} fault(s); correct them all:\n{listed}")
    return Platform(file, bus, limits)


def _faults(file: VehicleFile, bus: Database) -> Iterator[str]:
    """Everything in which the two files disagree, or do not give what driving needs."""
    messages = {message.name: message for message in bus.messages}
    for name, message in file.messages.items():
        if name not in messages:
            yield f"messages.{name}: expected a message of {file.dbc}, which has {', '.join(sorted(messages))}"
        else:
            yield from _protection_faults(name, message, messages[name])
    for direction, specs in (("in", file.inputs), ("out", file.outputs)):
        needed = {need.name for need in NEEDS if need.direction == direction}
        for name in sorted(needed ^ specs.keys()):
            kind = "missing" if name in needed else f"unknown; expected {', '.join(sorted(needed))}"
            yield f"{direction}puts.{name}: {kind}"
        for name in sorted(needed & specs.keys()):
            yield from (
                f"{direction}puts.{name}: {fault}" for fault in _signal_faults(name, specs[name], file, messages)
            )


def _protection_faults(name: str, spec: MessageSpec, message: Message) -> Iterator[str]:
    signals = {signal.name: signal for signal in message.signals}
    for what in (spec.counter, spec.checksum):
        if what is not None and what.signal not in signals:
            yield f"messages.{name}: expected a signal of it, which has {', '.join(signals)}, got {what.signal!r}"
            return
    if spec.counter is not None:
        held = 1 << signals[spec.counter.signal].length
        if not 2 <= spec.counter.modulus <= held:
            modulus = spec.counter.modulus
            yield f"messages.{name}: expected a modulus of 2 to {held} for {spec.counter.signal}, got {modulus}"
    if spec.checksum is not None:
        found = signals[spec.checksum.signal]
        if found.length != 8 or (found.start - (7 if found.byte_order == "big_endian" else 0)) % 8:
            where = f"{found.length} bit from {found.start}"
            yield f"messages.{name}: expected {found.name} to be a whole byte, got {where}"
        try:
            checksum_of(spec.checksum.kind)
        except ConfigError as error:
            yield f"messages.{name}: {error}"


def _signal_faults(name: str, spec: SignalSpec, file: VehicleFile, messages: Mapping[str, Message]) -> Iterator[str]:
    need = BY_NAME[name]
    if spec.message not in file.messages:
        yield f"expected one of [messages], got {spec.message!r}; say how it is protected"
        return
    if spec.message not in messages:
        return  # said already
    found = next((one for one in messages[spec.message].signals if one.name == spec.signal), None)
    if found is None:
        yield f"expected a signal of {spec.message}, got {spec.signal!r}"
        return
    if spec.unit not in (need.units or {"": 1.0}):
        yield f"expected a unit from {', '.join(need.units or ['none'])}, got {spec.unit!r}"
    if spec.positive == "right" and not need.sided:
        yield "has no sides; leave positive out"
    if spec.above is not None and need.kind != "switch":
        yield f"expected above for switches only, this is a {need.kind}"
    odd = sorted(value for value in (spec.codes or {}).values() if not need.low <= value <= need.high)
    if odd:
        yield f"expected codes from {need.low:g} to {need.high:g}, got {', '.join(map(str, odd))}"
    if need.direction == "out" and spec.unit in (CURVATURE, "m/s2"):
        yield from _room_faults(need.low, need.high, found.minimum, found.maximum)


def _room_faults(low: float, high: float, minimum: int | float | None, maximum: int | float | None) -> Iterator[str]:
    """Whether the range of a command has room in the signal, whose DBC may give whole numbers or none."""
    if (minimum is not None and minimum > low) or (maximum is not None and maximum < high):
        yield f"expected room for {low:g} to {high:g}, the DBC has {minimum} to {maximum}; widen it"
