"""A tiny writer of TeslaCam clips for tests: deterministic pictures, telemetry as SEI NAL units, faults on demand.

Written from the format's reference alone and sharing no code with the reader. Messages come from plain dictionaries,
so a test says exactly which fields are on the wire.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TIME_SCALE = 12_800
VARINT, FIXED64, FIXED32 = 0, 1, 5
FIELDS = {  # name: (number, wire type)
    "version": (1, VARINT),
    "gear_state": (2, VARINT),
    "frame_seq_no": (3, VARINT),
    "vehicle_speed_mps": (4, FIXED32),
    "accelerator_pedal_position": (5, FIXED32),
    "steering_wheel_angle": (6, FIXED32),
    "blinker_on_left": (7, VARINT),
    "blinker_on_right": (8, VARINT),
    "brake_applied": (9, VARINT),
    "autopilot_state": (10, VARINT),
    "latitude_deg": (11, FIXED64),
    "longitude_deg": (12, FIXED64),
    "heading_deg": (13, FIXED64),
    "linear_acceleration_mps2_x": (14, FIXED64),
    "linear_acceleration_mps2_y": (15, FIXED64),
    "linear_acceleration_mps2_z": (16, FIXED64),
}
Message = Mapping[str, float]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def protobuf(message: Message) -> bytes:
    """The message on the wire; proto3 leaves out what is zero."""
    out = b""
    for name, value in message.items():
        number, kind = FIELDS[name]
        if value == 0:
            continue
        out += varint(number << 3 | kind)
        out += varint(int(value)) if kind == VARINT else struct.pack("<f" if kind == FIXED32 else "<d", value)
    return out


def sei_nal(message: Message, marker: bytes = b"\x42" * 15 + b"\x69") -> bytes:
    """NAL unit of type 6 with one user-data message, emulation prevention included."""
    payload = marker + protobuf(message)
    size = len(payload)
    raw = b"\x05" + b"\xff" * (size // 255) + bytes([size % 255]) + payload + b"\x80"
    safe, zeros = bytearray(), 0
    for byte in raw:
        if zeros >= 2 and byte <= 3:
            safe.append(3)
            zeros = 0
        safe.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\x06" + bytes(safe)


def picture(index: int, width: int, height: int) -> np.ndarray:
    """YUV420 planes as one array: a textured scene that slides and carries a bright bar, so that frames differ."""
    rows, columns = np.mgrid[0:height, 0:width]
    shifted = columns + 2 * index
    luma = 90 + 40 * np.sin(shifted / 7.0) * np.cos(rows / 5.0) + 25 * np.sin((shifted * rows) / 160.0)
    luma[:, (7 * index) % width : (7 * index) % width + 4] = 220
    chroma = np.full((height // 2, width), 128.0)
    chroma[:, : width // 2] += 20 * np.sin(index / 5.0)
    return np.clip(np.concatenate([luma, chroma]), 16, 235).astype(np.uint8)


def straight_drive(
    count: int, *, fps: float = 10.0, first_seq: int = 1000, speed_mps: float = 15.0, start_s: float = 0.0
) -> list[dict[str, float]]:
    """Messages of a car that drives north-east at a nearly steady speed, with a left blinker in the second half."""
    messages = []
    metres_per_degree = 111_320.0
    for i in range(count):
        t = start_s + i / fps
        # Integral of the speed below, so that position and speed agree.
        distance = speed_mps * t + 2.0 * (1 - np.cos(t / 2.0))
        messages.append(
            {
                "version": 1,
                "gear_state": 1,
                "frame_seq_no": first_seq + i,
                "vehicle_speed_mps": float(speed_mps + np.sin(t / 2.0)),
                "accelerator_pedal_position": 12.5,
                "steering_wheel_angle": float(3.0 * np.sin(t / 3.0)),
                "blinker_on_left": int(i > count // 2),
                "brake_applied": 0,
                "autopilot_state": 0,
                "latitude_deg": 48.0 + distance * np.cos(np.pi / 4) / metres_per_degree,
                "longitude_deg": 11.0 + distance * np.sin(np.pi / 4) / (metres_per_degree * np.cos(np.radians(48.0))),
                "heading_deg": 45.0,
                "linear_acceleration_mps2_x": float(0.5 * np.cos(t / 2.0)),
                "linear_acceleration_mps2_z": 0.02,
            }
        )
    return messages


def write_clip(
    path: Path,
    messages: Sequence[Message | None],
    *,
    width: int = 160,
    height: int = 96,
    fps: float = 10.0,
    durations_s: Sequence[float] | None = None,
    gop: int = 10,
    marker: bytes = b"\x42" * 15 + b"\x69",
    picture_offset: int = 0,
    codec: str = "libx264",
    stamps_reversed: bool = False,
) -> Path:
    """One MP4 with a frame for each message; None writes a frame without telemetry.

    `stamps_reversed` shows the pictures in the opposite order of their coding, as a broken clock would.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = durations_s or [1 / fps] * len(messages)
    starts = np.round(np.concatenate([[0.0], np.cumsum(steps)]) * TIME_SCALE).astype(int)
    options = {"video_track_timescale": str(TIME_SCALE)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TIME_SCALE)
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "20", "preset": "veryfast", "bf": "0", "g": str(gop), "sc_threshold": "0"}
        packets = []
        for i in range(len(messages)):
            frame = av.VideoFrame.from_ndarray(picture(i + picture_offset, width, height), format="yuv420p")
            frame.pts, frame.time_base = int(starts[i]), Fraction(1, TIME_SCALE)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for i, (packet, message) in enumerate(zip(packets, messages, strict=True)):
            front = b"" if message is None else b"\x00\x00\x00\x01" + sei_nal(message, marker)
            joined = av.Packet(front + bytes(packet))
            joined.pts, joined.dts, joined.time_base = packet.pts, packet.dts, packet.time_base
            if stamps_reversed:
                joined.pts = int(2 * starts[-1] - starts[i])
            joined.duration = int(starts[i + 1] - starts[i])
            joined.is_keyframe = packet.is_keyframe
            joined.stream = stream
            container.mux(joined)
    return path


def write_event(folder: Path, **values: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "event.json").write_text(json.dumps(values))
