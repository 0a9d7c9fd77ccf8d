"""Messages are read as the manufacturer's tool and a strict parser read them, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dojo.fleet.readers.teslacam_sei import COLUMNS, MalformedMessageError, message_of

UUID = b"\x42" * 15 + b"\x69"


def sample(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


SLICE = b"\x65\x88\x84"
VALUES = {
    "version": st.integers(0, 2**32 - 1),
    "gear_state": st.integers(0, 3),
    "frame_seq_no": st.integers(0, 2**53),
    "vehicle_speed_mps": st.floats(-5, 90, width=32),
    "steering_wheel_angle": st.floats(-720, 720, width=32),
    "blinker_on_left": st.integers(0, 1),
    "brake_applied": st.integers(0, 1),
    "autopilot_state": st.integers(0, 3),
    "latitude_deg": st.floats(-90, 90),
    "longitude_deg": st.floats(-180, 180),
    "linear_acceleration_mps2_y": st.floats(-20, 20),
}


@given(message=st.fixed_dictionaries({}, optional=VALUES), fill=st.integers(1, 300))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_message_comes_back_whatever_the_number_of_fill_bytes(
    teslacam_files: ModuleType, message: dict[str, float], fill: int
) -> None:
    unit = teslacam_files.sei_nal(message, b"\x42" * fill + b"\x69")
    assert b"\0\0\0" not in unit
    assert message_of(sample(unit, SLICE)) == tuple(message.get(name, 0) for name in COLUMNS)


def test_an_absent_field_is_zero_and_an_absent_message_is_none(teslacam_files: ModuleType) -> None:
    assert message_of(sample(teslacam_files.sei_nal({}), SLICE)) == (0.0,) * len(COLUMNS)
    assert message_of(sample(SLICE)) is None


def test_user_data_of_somebody_else_is_not_a_message(teslacam_files: ModuleType) -> None:
    assert message_of(sample(teslacam_files.sei_nal({"version": 1}, b"\xdc" * 16), SLICE)) is None


def test_an_unknown_field_is_skipped() -> None:
    body = b"\x08\x07" + b"\xa2\x06\x03abc" + b"\x10\x01"  # version 7, field 100 as bytes, drive
    payload = UUID + body
    unit = b"\x06\x05" + bytes([len(payload)]) + payload + b"\x80"
    assert message_of(sample(unit, SLICE))[:2] == (7.0, 1.0)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"\x25\x00\x00", "breaks off"),  # a float of two bytes
        (b"\x08", "breaks off"),  # a tag without a value
        (b"\x0d\x00\x00\x80\x3f", "wire type 5, expected 0"),  # version as a float
        (b"\x25\x00\x00\xc0\x7f", "vehicle_speed_mps is nan"),
        (b"\x00\x01", "field 0"),
    ],
)
def test_a_message_that_does_not_parse_to_its_end_is_damaged(body: bytes, complaint: str) -> None:
    payload = UUID + body
    with pytest.raises(MalformedMessageError, match=complaint):
        message_of(sample(b"\x06\x05" + bytes([len(payload)]) + payload + b"\x80", SLICE))


def test_a_size_beyond_the_unit_is_damage() -> None:
    with pytest.raises(MalformedMessageError, match="SEI message of 200 bytes"):
        message_of(sample(b"\x06\x05\xc8" + UUID + b"\x80", SLICE))


def test_an_ordinary_decoder_sees_the_same_message_as_unregistered_user_data(
    teslacam_files: ModuleType, tmp_path: Path
) -> None:
    messages = teslacam_files.straight_drive(5)
    path = teslacam_files.write_clip(tmp_path / "clip.mp4", messages)
    with av.open(str(path)) as container:
        for frame, message in zip(container.decode(video=0), messages, strict=True):
            payloads = [bytes(data) for data in frame.side_data if data.type.name == "SEI_UNREGISTERED"]
            assert UUID + teslacam_files.protobuf(message) in payloads
