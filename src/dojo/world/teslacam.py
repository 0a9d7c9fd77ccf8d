"""Recordings as a TeslaCam car writes them: minutes of H.264 in MP4 with telemetry in front of every frame.

In: RGB pictures with their times and what the car knew at each. Out: `TeslaCam/RecentClips/*.mp4`, or a folder of
`SavedClips` with its `event.json`.
Idea: the simulated fleet must enter by the door that a customer's clips use, so it writes what a car writes, bit by
bit from the format's own table, and shares no code with the reader: an error in one of the two shows up as a
difference instead of cancelling out. Per frame there is one SEI NAL unit (H.264 annex D, `user_data_unregistered`);
its UUID of fifteen bytes 0x42 and one 0x69 satisfies both a strict H.264 parser, which wants 16 bytes, and the
manufacturer's tool, which skips any number of 0x42 up to 0x69. Frame times are real: a container's last sample lasts
until the first of the next file, so minutes of one drive join without a seam.
Not here: what the telemetry says (`sensors.py`), which drives are made (`fleet.py`), the reader (`dojo.fleet`).

Source of the format: the manufacturer's public repository teslamotors/dashcam (`dashcam.proto`, `dashcam-mp4.js`).
Source of the bit stream: ITU-T H.264, clauses 7.3.1 (NAL unit), 7.3.2.3 (SEI message), 7.4.1.1 (emulation
prevention), D.1.7 (user data unregistered).
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream
from jaxtyping import UInt8

from dojo.errors import ConfigError

UUID = b"\x42" * 15 + b"\x69"
GEAR_PARK, GEAR_DRIVE, GEAR_REVERSE, GEAR_NEUTRAL = range(4)
TICKS_PER_S = 90_000
"""Time scale of the video track. Source: the 90 kHz clock of MPEG systems, ISO/IEC 13818-1."""
MINUTE_NS = 60_000_000_000
_SEI_NAL, _USER_DATA_UNREGISTERED = 6, 5


@dataclass(frozen=True)
class SeiMetadata:
    """One frame's message, named, ordered and measured as in the manufacturer's table (degrees, m/s, m/s²)."""

    version: int = 0
    gear_state: int = 0
    frame_seq_no: int = 0
    vehicle_speed_mps: float = 0.0
    accelerator_pedal_position: float = 0.0
    steering_wheel_angle: float = 0.0
    blinker_on_left: bool = False
    blinker_on_right: bool = False
    brake_applied: bool = False
    autopilot_state: int = 0
    latitude_deg: float = 0.0
    longitude_deg: float = 0.0
    heading_deg: float = 0.0
    linear_acceleration_mps2_x: float = 0.0
    linear_acceleration_mps2_y: float = 0.0
    linear_acceleration_mps2_z: float = 0.0


# Field number and kind of every field, in the order of `SeiMetadata`. Source: dashcam.proto.
_FIELDS: Mapping[str, tuple[int, str]] = {
    "version": (1, "varint"),
    "gear_state": (2, "varint"),
    "frame_seq_no": (3, "varint"),
    "vehicle_speed_mps": (4, "float"),
    "accelerator_pedal_position": (5, "float"),
    "steering_wheel_angle": (6, "float"),
    "blinker_on_left": (7, "varint"),
    "blinker_on_right": (8, "varint"),
    "brake_applied": (9, "varint"),
    "autopilot_state": (10, "varint"),
    "latitude_deg": (11, "double"),
    "longitude_deg": (12, "double"),
    "heading_deg": (13, "double"),
    "linear_acceleration_mps2_x": (14, "double"),
    "linear_acceleration_mps2_y": (15, "double"),
    "linear_acceleration_mps2_z": (16, "double"),
}


@dataclass(frozen=True)
class CarFrame:
    """One picture and what the car knew when it was taken; no message where the car has none to give.

    It is shown from `time_ns` until `end_ns`, when the next is taken; any zero, the same for all frames of a drive.
    """

    time_ns: int
    end_ns: int
    rgb: UInt8[np.ndarray, "rows columns 3"]
    message: SeiMetadata | None


def encode_message(message: SeiMetadata) -> bytes:
    """The protobuf bytes of a message; fields equal to their default are left out, as proto3 does.

    Source: Protocol Buffers encoding: key = number * 8 + wire type; 0 varint, 1 eight bytes, 5 four bytes.
    """
    out = bytearray()
    for name, (number, kind) in _FIELDS.items():
        value = getattr(message, name)
        if kind == "varint":
            body, wire_type, default = _varint(int(value)), 0, b"\x00"
        else:
            layout = "<f" if kind == "float" else "<d"
            # Compared as bytes: minus zero is not the default and must be written.
            body, wire_type, default = struct.pack(layout, value), 5 if kind == "float" else 1, struct.pack(layout, 0)
        if body != default:
            out += _varint(number << 3 | wire_type) + body
    return bytes(out)


def _varint(value: int) -> bytes:
    """Seven bits per byte, least significant first, the top bit set on all but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sei_nal(message: bytes) -> bytes:
    """The SEI NAL unit, without start code or length, that carries protobuf bytes."""
    payload = UUID + message
    size = b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
    rbsp = bytes([_USER_DATA_UNREGISTERED]) + size + payload + b"\x80"
    return bytes([_SEI_NAL]) + _with_emulation_prevention(rbsp)


def _with_emulation_prevention(rbsp: bytes) -> bytes:
    """The bytes with 0x03 put in where two zeros precede a byte of at most 3, so that no start code can show."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def write_video(path: Path, frames: Iterable[CarFrame], *, crf: int = 23) -> int:
    """The number of frames written to one MP4 file, which appears under its name only when it is whole.

    Args:
        frames: in order of time; sizes equal and even.
        crf: x264's constant rate factor. Assumed 23: no visible loss; a car's own rate is several times higher.

    Raises:
        ConfigError: no frames, or a picture of another size than the first.
    """
    partial = path.with_name(path.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with av.open(str(partial), "w", format="mp4", options={"video_track_timescale": str(TICKS_PER_S)}) as container:
        writer: _Track | None = None
        for frame in frames:
            writer = writer or _Track(container, frame, crf)
            writer.add(frame)
            count += 1
        if writer is None:
            raise ConfigError(f"{path.name}: expected at least one frame to write, got none")
        writer.close()
    _make_durable(partial, path)
    return count


class _Track:
    """Encodes frames and hands them, each behind its SEI, to the container."""

    def __init__(self, container: av.container.OutputContainer, first: CarFrame, crf: int) -> None:
        rows, columns, _ = first.rgb.shape
        self._container, self._shape, self._zero_ns = container, first.rgb.shape, first.time_ns
        stream = container.add_stream("libx264", options={
            "preset": "ultrafast", "crf": str(crf), "bf": "0", "g": "30", "sc_threshold": "0", "tune": "zerolatency",
            # More threads cut the picture into other slices: the bytes would depend on the machine.
            "threads": "1", "x264-params": "threads=1:sliced-threads=0",
        })  # fmt: skip
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        # OpenCV's matrix is BT.601 in limited range, for which H.264 table E-3 has 6 (SMPTE 170M).
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 6
        stream.codec_context.color_range = 1
        self._stream = stream
        # x264 signs its first picture with an SEI of its own, which a car does not have.
        self._drop_sei = BitStreamFilterContext("filter_units=remove_types=6", stream)
        self._waiting: dict[int, CarFrame] = {}

    def add(self, frame: CarFrame) -> None:
        """Encode a frame."""
        if frame.rgb.shape != self._shape:
            raise ConfigError(f"expected every picture to be {self._shape}, got {frame.rgb.shape}")
        picture = av.VideoFrame.from_ndarray(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
        picture.pts, picture.time_base = self._ticks(frame.time_ns), Fraction(1, TICKS_PER_S)
        self._waiting[picture.pts] = frame
        self._encode(picture)

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._encode(None)

    def _ticks(self, time_ns: int) -> int:
        return round((time_ns - self._zero_ns) * TICKS_PER_S / 1_000_000_000)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        for encoded in self._stream.encode(picture):
            pts, is_keyframe = encoded.pts, encoded.is_keyframe
            assert pts is not None
            (bare,) = self._drop_sei.filter(encoded)
            frame = self._waiting.pop(pts)
            sei = b"" if frame.message is None else b"\x00\x00\x00\x01" + sei_nal(encode_message(frame.message))
            packet = av.Packet(sei + bytes(bare))
            packet.stream, packet.time_base = self._stream, Fraction(1, TICKS_PER_S)
            packet.pts = packet.dts = pts
            packet.duration = self._ticks(frame.end_ns) - pts
            packet.is_keyframe = is_keyframe
            self._container.mux(packet)


def _make_durable(partial: Path, path: Path) -> None:
    """Give a finished file its name; before that, its bytes are on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def file_stem(start_local: datetime) -> str:
    """The car's name for a file that starts at this local time, without camera and ending."""
    return start_local.strftime("%Y-%m-%d_%H-%M-%S")


def write_minutes(
    folder: Path, camera: str, start_local: datetime, frames: Iterable[CarFrame], *, crf: int = 23
) -> list[Path]:
    """The files of one camera's drive in a clip folder (`RecentClips` or an event's), one per minute.

    Args:
        start_local: local time of the first frame; the car's names keep only its whole seconds.
    """
    paths = []
    for minute, group in _minutes(frames):
        name = f"{file_stem(start_local + timedelta(minutes=minute))}-{camera}.mp4"
        path = folder / name
        write_video(path, group, crf=crf)
        paths.append(path)
    return paths


def _minutes(frames: Iterable[CarFrame]) -> Iterator[tuple[int, Iterator[CarFrame]]]:
    """Frames in runs of one minute since the first of them."""
    zero: list[int] = []

    def minute_of(frame: CarFrame) -> int:
        if not zero:
            zero.append(frame.time_ns)
        return (frame.time_ns - zero[0]) // MINUTE_NS

    return groupby(frames, minute_of)


def write_event(
    folder: Path,
    *,
    local_time: datetime,
    city: str,
    latitude_deg: float,
    longitude_deg: float,
    reason: str,
    camera: int = 0,
) -> Path:
    """The `event.json` of a saved clip; all its values are strings, as the car writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    event = {
        "timestamp": local_time.strftime("%Y-%m-%dT%H:%M:%S"),
        "city": city,
        "est_lat": f"{latitude_deg:.4f}",
        "est_lon": f"{longitude_deg:.4f}",
        "reason": reason,
        "camera": str(camera),
    }
    path = folder / "event.json"
    partial = path.with_name("event.json.partial")
    partial.write_text(json.dumps(event, indent=2))
    _make_durable(partial, path)
    return path
