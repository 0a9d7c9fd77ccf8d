"""Whether a platform's folder is fit to drive with: what a carmaker runs on its own adapter.

In: the folder. Out: named checks, each passed or with what came instead.
Idea: everything that a bench can find out without a car: bytes against vectors that somebody worked out by hand, every
single turned bit of every message refused, counters that stand still noticed, resolution fine enough, and then the
runtime itself against the platform's simulated units: it engages, gives way to the driver within one cycle, and ends in
the documented state when a message is lost.
Not here: the vehicle (`docs/integrate.md` says what is tested in one).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from dojo.drive.adapter import Adapter
from dojo.drive.bench import Bench
from dojo.drive.platform import load_platform, platform_folder
from dojo.drive.signals import BY_NAME
from dojo.errors import ConfigError
from dojo.records import Command, DriverInput

_FINE = {"curvature": 2e-5, "acceleration": 0.05, "speed": 0.05, "yaw_rate": 0.002, "driver_torque": 0.2}
"""Coarsest step of a signal. Assumed: 2e-5 1/m is 2 cm/s² sideways at 30 m/s; the rest is what a driver cannot feel."""


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Vector:
    """One message worked out by hand: its bytes, what they mean; `heard_only`: others mean the same."""

    message: str
    hex: str
    counter: int
    values: dict[str, float]
    heard_only: bool = False


@dataclass(frozen=True)
class Check:
    """One check; `came` says what came instead where it failed."""

    name: str
    passed: bool
    came: str = ""


def conformance(vehicle: str | Path) -> list[Check]:
    """Every check of a platform, in an order in which the first that fails explains most."""
    try:
        adapter = Adapter(load_platform(vehicle))
        vectors = read_vectors(platform_folder(vehicle) / "vectors.toml")
    except ConfigError as error:
        return [Check("the folder describes a platform", False, str(error))]
    parts: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _unprotected(adapter),
        lambda: _slow(adapter),
        lambda: _coarse(adapter),
        lambda: _without_vector(adapter, vectors),
        lambda: _vectors(adapter, vectors),
        lambda: _round_trips(adapter),
        lambda: _turned_bits(adapter, vectors),
        lambda: _standing_counters(adapter, vectors),
        lambda: _engages(adapter),
        lambda: _gives_way(adapter),
        lambda: _lost_messages(adapter),
        lambda: _lost_commands(adapter),
    )
    names = (
        "every message carries a counter and a checksum",
        "signals come as often as driving needs them",
        "steps of a signal are fine enough",
        "every message has a vector worked out by hand",
        "vectors are read and written as worked out",
        "commands and signals survive the way to bytes and back",
        "every turned bit is noticed",
        "a counter that stands still is noticed",
        "it engages and follows on simulated units",
        "brake, gas, steering and cancel win within one cycle",
        "a lost message hands back to the driver",
        "lost commands let the vehicle go",
    )
    checks = [Check("the folder describes a platform", True)]
    for name, part in zip(names, parts, strict=True):
        faults = list(part())
        checks.append(Check(name, not faults, "; ".join(faults)))
    return checks


def read_vectors(path: Path) -> list[Vector]:
    """The vectors of a platform.

    Raises:
        ConfigError: there are none.
    """
    try:
        return TypeAdapter(list[Vector]).validate_python(tomllib.loads(path.read_text("utf-8"))["vector"])
    except (OSError, KeyError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: expected messages worked out by hand, got: {error}") from error


# The table.


def _unprotected(adapter: Adapter) -> Iterator[str]:
    for name in (*adapter.messages("in"), *adapter.messages("out")):
        spec = adapter.spec(name)
        if spec.counter is None or spec.checksum is None:
            yield f"{name} lacks {'a counter' if spec.counter is None else 'a checksum'}"


def _slow(adapter: Adapter) -> Iterator[str]:
    for name, spec in adapter.platform.specs().items():
        most_ms = round(BY_NAME[name].stale_after_s * 1000) // (2 if BY_NAME[name].direction == "out" else 5)
        if adapter.spec(spec.message).cycle_ms > most_ms:
            yield f"{name} comes every {adapter.spec(spec.message).cycle_ms} ms, expected {most_ms} at most"


def _coarse(adapter: Adapter) -> Iterator[str]:
    for name, most in _FINE.items():
        spec = adapter.platform.specs()[name]
        signal = adapter.platform.bus.get_message_by_name(spec.message).get_signal_by_name(spec.signal)
        step = abs(float(signal.scale)) * (BY_NAME[name].units or {}).get(spec.unit, 1.0)
        if name == "curvature" and "wheel" in spec.unit:
            wheel_rad = math.radians(step) if spec.unit.startswith("deg") else step
            step = adapter.platform.file.body.curvature_per_m(wheel_rad, 0.0)
        if step > most:
            yield f"{name} has steps of {step:.2g} {spec.unit}, expected {most:g} at most"


# Bytes.


def _without_vector(adapter: Adapter, vectors: list[Vector]) -> Iterator[str]:
    missing = {*adapter.messages("in"), *adapter.messages("out")} - {vector.message for vector in vectors}
    yield from (f"{name} has none" for name in sorted(missing))


def _vectors(adapter: Adapter, vectors: list[Vector]) -> Iterator[str]:
    for vector in vectors:
        try:
            data = bytes.fromhex(vector.hex)
            heard = adapter.hear(adapter.frame_id(vector.message), data, None)
        except (KeyError, ValueError) as error:
            yield f"{vector.message}: {error!r}"
            continue
        assert heard is not None
        if heard.refused or heard.counter != vector.counter:
            yield f"{vector.message}: refused for its {heard.refused or 'counter'}"
            continue
        apart = [
            name
            for name in vector.values.keys() | heard.values.keys()
            if not _close(vector.values.get(name), heard.values.get(name))
        ]
        if apart:
            yield f"{vector.message}: heard {dict(heard.values)}, expected {vector.values}"
        elif not vector.heard_only and (said := adapter.say(vector.message, vector.values, vector.counter)) != data:
            yield f"{vector.message}: said {said.hex(' ')}, expected {data.hex(' ')}"


def _close(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)


def _round_trips(adapter: Adapter) -> Iterator[str]:
    """Random commands and signals come back within half a step."""
    rng = np.random.default_rng(0xC0F0)
    for number in range(200):
        speed = float(rng.uniform(0, 60))
        most = min(0.19, 3.0 / max(speed, 1.0) ** 2)
        turn, push = float(rng.uniform(-most, most)), float(rng.uniform(-3.5, 2.0))
        command = Command(turn, push, bool(number % 2), bool(number % 3), (0, 1, 2)[number % 3])
        values = adapter.command_values(command, speed)
        heard: dict[str, float] = {}
        for name in adapter.messages("out"):
            found = adapter.hear(adapter.frame_id(name), adapter.say(name, values, number), None)
            heard |= {} if found is None else {k: v for k, v in found.values.items() if v is not None}
        back = adapter.command_of(heard, speed)
        near = abs(back.curvature_per_m - turn) <= _FINE["curvature"] and abs(back.acceleration_mps2 - push) <= 0.026
        said = (command.engaged, command.take_over_request, command.warning)
        if not near or said != (back.engaged, back.take_over_request, back.warning):
            yield f"{command} came back as {back}"
            return


def _turned_bits(adapter: Adapter, vectors: list[Vector]) -> Iterator[str]:
    for vector in vectors:
        whole, frame_id = bytes.fromhex(vector.hex), adapter.frame_id(vector.message)
        for bit in range(8 * len(whole)):
            data = bytearray(whole)
            data[bit // 8] ^= 1 << bit % 8
            heard = adapter.hear(frame_id, bytes(data), None)
            if heard is not None and not heard.refused:
                yield f"{vector.message}: bit {bit} was turned and nobody noticed"
                break


def _standing_counters(adapter: Adapter, vectors: list[Vector]) -> Iterator[str]:
    for vector in vectors:
        spec = adapter.spec(vector.message).counter
        if spec is None:
            continue
        frame_id, data = adapter.frame_id(vector.message), bytes.fromhex(vector.hex)
        again = adapter.hear(frame_id, data, vector.counter)
        following = adapter.hear(frame_id, data, (vector.counter - 1) % spec.modulus)
        if again is None or again.refused != "counter":
            yield f"{vector.message}: the same counter twice was taken for news"
        if following is None or following.refused:
            yield f"{vector.message}: the counter that follows was refused"


# The runtime on simulated units.


def _engages(adapter: Adapter) -> Iterator[str]:
    with Bench(adapter) as bench:
        if not bench.engage():
            yield f"it stays {bench.mode.state} ({bench.mode.why}), losses {bench.losses}"
            return
        bench.run(1.0)
        asked = bench.asked()
        if asked is None or not asked.engaged:
            yield f"the units were asked for {asked}"
        elif abs(asked.curvature_per_m - bench.wished_per_m) > _FINE["curvature"]:
            yield f"the units were asked for {asked.curvature_per_m:.5f} 1/m, {bench.wished_per_m:.5f} was wished"


def _gives_way(adapter: Adapter) -> Iterator[str]:
    ways = {
        "brake": DriverInput(brake_pressed=True, hands_on=True, eyes_on_road=True),
        "gas": DriverInput(gas_pressed=True, hands_on=True, eyes_on_road=True),
        "steering to the left": DriverInput(torque_nm=5.0, hands_on=True, eyes_on_road=True),
        "steering to the right": DriverInput(torque_nm=-5.0, hands_on=True, eyes_on_road=True),
        "cancel": DriverInput(cancel_pressed=True, hands_on=True, eyes_on_road=True),
    }
    for name, driver in ways.items():
        with Bench(adapter) as bench:
            bench.engage()
            bench.driver = driver
            # Until the message that says so is on the bus, and then one cycle.
            bench.run(bench.slowest_s(("engage", "cancel") if name == "cancel" else ("brake_pressed", "driver_torque")))
            bench.run(bench.cycle_s)
            asked = bench.asked()
            if asked is not None and asked.engaged:
                yield f"{name}: still engaged a cycle later"


def _lost_messages(adapter: Adapter) -> Iterator[str]:
    for name in adapter.messages("in"):
        fast = any(BY_NAME[signal].stale_after_s <= 0.1 for signal in adapter.signals_of(name))
        for way in ("muted", "frozen", "spoilt"):
            with Bench(adapter) as bench:
                bench.engage()
                getattr(bench.ecus, way).add(name)
                bench.run(0.3)
                first = bench.mode.state
                bench.run(0.7)
                expected = ("take_over", "off") if fast else ("engaged", "engaged")
                if (first, bench.mode.state) != expected:
                    yield f"{name} {way}: {first}, then {bench.mode.state}; expected {', then '.join(expected)}"


def _lost_commands(adapter: Adapter) -> Iterator[str]:
    with Bench(adapter) as bench:
        bench.engage()
        bench.ecus.deaf = True
        bench.run(0.2)
        if bench.asked() is not None:
            yield "the units still follow 0.2 s after the last command"
