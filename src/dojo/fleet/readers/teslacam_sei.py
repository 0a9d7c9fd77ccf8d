"""The telemetry that a TeslaCam car writes in front of each frame, from the bytes of that frame.

In: one MP4 sample. Out: the `SeiMetadata` message as a row of numbers, nothing where the car wrote none, or
`MalformedMessageError`.
Idea: read it as both parsers do that must accept it: the strict H.264 one, in which a SEI message has a type and a size
and its user data starts with a UUID, and the manufacturer's, which skips any number of bytes 0x42 up to one 0x69. A
message is all or nothing: one that does not parse to its last byte is damaged, because a flipped bit in a tag turns a
speed into an unknown field, and proto3 then says zero.
Not here: units, signs and plausibility (`teslacam.py`, `fleet/gates.py`).
Source: teslamotors/dashcam, `dashcam.proto` and `dashcam-mp4.js`; ITU-T H.264, 7.3.2.3.1 (SEI message) and D.1.7;
the wire format of protocol buffers, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import math
import struct
from typing import TypeAlias

from dojo.fleet.readers import h264

# Field number: (name, wire type), in the order of `COLUMNS`. Source: dashcam.proto.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIELDS = {
    1: ("version", _VARINT),
    2: ("gear_state", _VARINT),
    3: ("frame_seq_no", _VARINT),
    4: ("vehicle_speed_mps", _FIXED32),
    5: ("accelerator_pedal_position", _FIXED32),
    6: ("steering_wheel_angle", _FIXED32),
    7: ("blinker_on_left", _VARINT),
    8: ("blinker_on_right", _VARINT),
    9: ("brake_applied", _VARINT),
    10: ("autopilot_state", _VARINT),
    11: ("latitude_deg", _FIXED64),
    12: ("longitude_deg", _FIXED64),
    13: ("heading_deg", _FIXED64),
    14: ("linear_acceleration_mps2_x", _FIXED64),
    15: ("linear_acceleration_mps2_y", _FIXED64),
    16: ("linear_acceleration_mps2_z", _FIXED64),
}
COLUMNS = tuple(name for name, _ in _FIELDS.values())
"""Names of a message's numbers, in order."""

Message: TypeAlias = tuple[float, ...]

_USER_DATA_UNREGISTERED = 5
_FILL, _MARK = 0x42, 0x69


class MalformedMessageError(ValueError):
    """A frame carries the car's mark, but what follows is not a whole message."""


def message_of(sample: bytes, length_bytes: int = 4) -> Message | None:
    """The message in front of a frame, one number for each of `COLUMNS` (an absent field is zero), or None.

    Raises:
        MalformedMessageError: a message is there, but damaged.
    """
    found: Message | None = None
    for unit in h264.nal_units(sample, length_bytes) or ():
        if unit[0] & 0x1F != h264.SEI:
            continue
        for data in _user_data(h264.without_emulation_prevention(unit[1:])):
            body = _after_mark(data)
            if body is not None:
                found = _numbers(body)
    return found


def _user_data(payload: bytes) -> list[bytes]:
    """Payloads of type 5 in a SEI unit.

    Raises:
        MalformedMessageError: a size points beyond the unit, or no stop bit ends it.
    """
    found, at = [], 0
    while at < len(payload) and payload[at:] != b"\x80":
        kind, at = _extended_number(payload, at)
        size, at = _extended_number(payload, at)
        if at + size >= len(payload):
            raise MalformedMessageError(f"SEI message of {size} bytes in a unit with {len(payload) - at} left")
        if kind == _USER_DATA_UNREGISTERED:
            found.append(payload[at : at + size])
        at += size
    return found


def _extended_number(payload: bytes, at: int) -> tuple[int, int]:
    """A type or size: bytes 255 add up until one that is smaller; and where the next thing starts."""
    total = 0
    while at < len(payload) and payload[at] == 0xFF:
        total, at = total + 255, at + 1
    if at == len(payload):
        raise MalformedMessageError("SEI message breaks off in its header")
    return total + payload[at], at + 1


def _after_mark(data: bytes) -> bytes | None:
    """What follows one or more bytes 0x42 and one 0x69; None for somebody else's user data."""
    fill = len(data) - len(data.lstrip(bytes([_FILL])))
    if fill == 0 or data[fill : fill + 1] != bytes([_MARK]):
        return None
    return data[fill + 1 :]


def _numbers(body: bytes) -> Message:
    values = dict.fromkeys(COLUMNS, 0.0)
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        name, expected = _FIELDS.get(tag >> 3, ("", tag & 7))
        if tag >> 3 == 0 or tag & 7 != expected:
            raise MalformedMessageError(f"field {tag >> 3} has wire type {tag & 7}, expected {expected}")
        value, at = _value(body, at, tag & 7)
        if not math.isfinite(value):
            raise MalformedMessageError(f"{name or tag >> 3} is {value}")
        if name:
            values[name] = value
    return tuple(values.values())


def _value(body: bytes, at: int, kind: int) -> tuple[float, int]:
    if kind == _VARINT:
        number, at = _varint(body, at)
        return float(number), at
    size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
    if kind == _BYTES:
        size, at = _varint(body, at)
    if size is None or at + size > len(body):
        raise MalformedMessageError(f"a value of wire type {kind} breaks off at byte {at} of {len(body)}")
    if kind == _BYTES:
        return 0.0, at + size
    (real,) = struct.unpack_from("<f" if kind == _FIXED32 else "<d", body, at)
    return float(real), at + size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at == len(body):
            break
        byte, at = body[at], at + 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise MalformedMessageError(f"a number breaks off or never ends at byte {at} of {len(body)}")
