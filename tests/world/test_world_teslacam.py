"""What the simulated car writes is what the format's table says, to every parser at hand."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.fleet.readers.teslacam_sei import COLUMNS, message_of
from dojo.world.teslacam import (
    UUID,
    CarFrame,
    SeiMetadata,
    encode_message,
    file_stem,
    sei_nal,
    write_event,
    write_minutes,
    write_video,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
MESSAGES = st.builds(
    SeiMetadata,
    version=st.integers(0, 2**32 - 1),
    gear_state=st.integers(0, 3),
    frame_seq_no=st.integers(0, 2**64 - 1),
    vehicle_speed_mps=FLOATS,
    accelerator_pedal_position=FLOATS,
    steering_wheel_angle=FLOATS,
    blinker_on_left=st.booleans(),
    blinker_on_right=st.booleans(),
    brake_applied=st.booleans(),
    autopilot_state=st.integers(0, 3),
    latitude_deg=DOUBLES,
    longitude_deg=DOUBLES,
    heading_deg=DOUBLES,
    linear_acceleration_mps2_x=DOUBLES,
    linear_acceleration_mps2_y=DOUBLES,
    linear_acceleration_mps2_z=DOUBLES,
)


def official_message() -> Any:
    """The message class that Google's protobuf library builds from the reference sheet's table."""
    kinds = {"uint32": 13, "enum": 5, "uint64": 4, "float": 2, "bool": 8, "double": 1}  # an enum travels as an int32
    table = [("version", "uint32"), ("gear_state", "enum"), ("frame_seq_no", "uint64"), ("vehicle_speed_mps", "float"),
             ("accelerator_pedal_position", "float"), ("steering_wheel_angle", "float"), ("blinker_on_left", "bool"),
             ("blinker_on_right", "bool"), ("brake_applied", "bool"), ("autopilot_state", "enum"),
             ("latitude_deg", "double"), ("longitude_deg", "double"), ("heading_deg", "double"),
             ("linear_acceleration_mps2_x", "double"), ("linear_acceleration_mps2_y", "double"),
             ("linear_acceleration_mps2_z", "double")]  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(name="sheet.proto", package="sheet", syntax="proto3")
    message = file.message_type.add(name="SeiMetadata")
    for number, (name, kind) in enumerate(table, 1):
        message.field.add(name=name, number=number, type=kinds[kind], label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sheet.SeiMetadata"))


OFFICIAL = official_message()


def without_emulation_prevention(data: bytes) -> bytes:
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def by_the_manufacturers_rule(nal: bytes) -> bytes:
    """The message as the manufacturer's tool finds it: after the size, some 0x42, one 0x69, all but the last byte."""
    assert nal[0] & 0x1F == 6
    assert nal[1] == 5
    at = 2
    while nal[at] == 0xFF:
        at += 1
    at += 1
    start = at
    while nal[at] == 0x42:
        at += 1
    assert at > start
    assert nal[at] == 0x69
    return without_emulation_prevention(nal[at + 1 : -1])


def picture(seed: int, rows: int = 64, columns: int = 96) -> np.ndarray:
    grid = np.add.outer(np.arange(rows) * 2, np.arange(columns)) + 7 * seed
    return np.repeat((grid % 200).astype(np.uint8)[..., None], 3, 2)


def car_frames(times_ns: list[int], messages: list[SeiMetadata | None] | None = None) -> list[CarFrame]:
    """One frame per time; the last time only ends the last frame."""
    messages = messages or [SeiMetadata(frame_seq_no=i) for i in range(len(times_ns) - 1)]
    return [
        CarFrame(start, end, picture(i), message)
        for i, (start, end, message) in enumerate(zip(times_ns, times_ns[1:], messages, strict=False))
    ]


def side_data(path: Path) -> list[list[bytes]]:
    """The user data of every frame, as FFmpeg's strict parser hands it out."""
    with av.open(str(path)) as container:
        return [[bytes(d) for d in f.side_data if "SEI" in d.type.name] for f in container.decode(video=0)]


@settings(max_examples=200, deadline=None)
@given(message=MESSAGES)
def test_the_bytes_of_a_message_are_those_of_googles_library(message: SeiMetadata) -> None:
    values = {f.name: getattr(message, f.name) for f in fields(message)}
    assert encode_message(message) == OFFICIAL(**values).SerializeToString(deterministic=True)


def test_a_message_of_defaults_is_empty_and_a_minus_zero_is_not_a_default() -> None:
    assert encode_message(SeiMetadata()) == b""
    assert encode_message(SeiMetadata(latitude_deg=-0.0)) == b"\x59" + struct.pack("<d", -0.0)


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=600) | st.lists(st.sampled_from([0, 1, 2, 3, 255]), max_size=600).map(bytes))
def test_no_start_code_can_show_inside_an_sei_and_its_payload_comes_back(payload: bytes) -> None:
    nal = sei_nal(payload)
    for code in (b"\x00\x00\x00", b"\x00\x00\x01", b"\x00\x00\x02"):
        assert code not in nal
    assert nal[-1] == 0x80
    size = b"\xff" * ((16 + len(payload)) // 255) + bytes([(16 + len(payload)) % 255])
    assert without_emulation_prevention(nal[1:]) == b"\x05" + size + UUID + payload + b"\x80"


@settings(max_examples=100, deadline=None)
@given(message=MESSAGES)
def test_the_manufacturers_rule_finds_the_message(message: SeiMetadata) -> None:
    assert by_the_manufacturers_rule(sei_nal(encode_message(message))) == encode_message(message)


def test_a_payload_longer_than_254_bytes_has_its_size_in_several_bytes() -> None:
    assert sei_nal(bytes([7]) * 239)[:4] == b"\x06\x05\xff\x00"  # 16 + 239 = 255 = 0xff + 0
    assert sei_nal(bytes([7]) * 494)[:5] == b"\x06\x05\xff\xff\x00"
    assert sei_nal(bytes([7]) * 238)[:3] == b"\x06\x05\xfe"


@settings(max_examples=10, deadline=None)
@given(messages=st.lists(MESSAGES | st.none(), min_size=1, max_size=12))
def test_a_strict_parser_finds_one_message_on_each_frame_and_none_where_there_is_none(
    tmp_path_factory: pytest.TempPathFactory, messages: list[SeiMetadata | None]
) -> None:
    path = tmp_path_factory.mktemp("sei") / "a.mp4"
    times = [100_000_000 * i for i in range(len(messages) + 1)]
    assert write_video(path, car_frames(times, messages)) == len(messages)
    expected = [[] if m is None else [UUID + encode_message(m)] for m in messages]
    assert side_data(path) == expected


@settings(max_examples=15, deadline=None)
@given(messages=st.lists(MESSAGES | st.none(), min_size=1, max_size=12))
def test_the_reader_of_the_fleet_reads_back_every_field_of_every_frame(
    tmp_path_factory: pytest.TempPathFactory, messages: list[SeiMetadata | None]
) -> None:
    # Frame numbers up to 2^53 survive as the reader's 64-bit floats.
    messages = [m and replace(m, frame_seq_no=m.frame_seq_no % 2**53) for m in messages]
    path = tmp_path_factory.mktemp("read") / "a.mp4"
    write_video(path, car_frames([100_000_000 * i for i in range(len(messages) + 1)], messages))
    with av.open(str(path)) as container:
        read = [message_of(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    expected = [m and tuple(float(getattr(m, name)) for name in COLUMNS) for m in messages]
    assert read == expected


def test_a_player_shows_every_frame_at_its_own_time(tmp_path: Path) -> None:
    times = list(np.cumsum([5_000_000_000, *np.random.default_rng(1).integers(80_000_000, 130_000_000, 40)]).tolist())
    write_video(tmp_path / "a.mp4", car_frames(times))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_tag == "avc1"
        assert stream.codec_context.extradata is not None
        assert stream.codec_context.extradata[0] == 1  # avcC version
        assert stream.codec_context.extradata[4] & 3 == 3  # lengths of four bytes
        shown = [(float(f.pts * f.time_base), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    assert len(shown) == 40
    for i, (time_s, gray) in enumerate(shown):
        assert time_s == pytest.approx((times[i] - times[0]) / 1e9, abs=0.5 / 90_000 + 1e-12)  # half a tick
        assert np.abs(gray.astype(int) - picture(i)[..., 0]).mean() < 6  # it is this picture, not its neighbour


def test_every_sample_starts_with_the_sei_and_has_four_byte_lengths(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", car_frames([i * 100_000_000 for i in range(36)]))
    with av.open(str(tmp_path / "a.mp4")) as container:
        samples = [bytes(p) for p in container.demux(video=0) if p.size]
    assert len(samples) == 35
    for sample in samples:
        kinds, at = [], 0
        while at < len(sample):
            size = int.from_bytes(sample[at : at + 4], "big")
            kinds.append(sample[at + 4] & 0x1F)
            at += 4 + size
        assert at == len(sample)
        assert kinds in ([6, 5], [6, 1])


def test_a_drive_becomes_one_file_a_minute_and_the_minutes_join_without_a_seam(tmp_path: Path) -> None:
    times = list(np.cumsum([0, *np.random.default_rng(2).integers(900_000_000, 1_100_000_000, 130)]).tolist())
    folder = tmp_path / "TeslaCam" / "RecentClips"
    paths = write_minutes(folder, "front", datetime(2026, 3, 29, 23, 58, 30), iter(car_frames(times)))
    assert [str(p.relative_to(tmp_path)) for p in paths] == [
        "TeslaCam/RecentClips/2026-03-29_23-58-30-front.mp4",
        "TeslaCam/RecentClips/2026-03-29_23-59-30-front.mp4",
        "TeslaCam/RecentClips/2026-03-30_00-00-30-front.mp4",
    ]
    offset_s, seen_s = 0.0, []
    for path in paths:
        with av.open(str(path)) as container:
            packets = [p for p in container.demux(video=0) if p.size]
            base = packets[0].time_base
            seen_s += [offset_s + float(p.pts * base) for p in packets]
            offset_s += float((packets[-1].pts + packets[-1].duration) * base)
    assert seen_s == pytest.approx([t / 1e9 for t in times[:-1]], abs=1e-4)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = car_frames([i * 100_000_000 for i in range(40)])
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("a.mp4", "b.mp4")}
    assert len(digests) == 1


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    def torn() -> Any:
        yield from car_frames([0, 1, 2])[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", torn())
    assert not (tmp_path / "a.mp4").exists()


def test_pictures_of_changing_size_and_empty_videos_are_refused(tmp_path: Path) -> None:
    first, second = car_frames([0, 100_000_000, 200_000_000])
    with pytest.raises(ConfigError, match=r"expected every picture to be \(64, 96, 3\), got \(32, 96, 3\)"):
        write_video(tmp_path / "a.mp4", [first, replace(second, rgb=second.rgb[:32])])
    with pytest.raises(ConfigError, match=r"b\.mp4: expected at least one frame to write, got none"):
        write_video(tmp_path / "b.mp4", [])


def test_an_event_file_holds_strings_only(tmp_path: Path) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5)
    path = write_event(
        tmp_path / "SavedClips" / file_stem(when),
        local_time=when,
        city="Region 3",
        latitude_deg=48.123456,
        longitude_deg=11.5,
        reason="user_interaction_honk",
    )
    assert json.loads(path.read_text()) == {
        "timestamp": "2026-01-02T03:04:05",
        "city": "Region 3",
        "est_lat": "48.1235",
        "est_lon": "11.5000",
        "reason": "user_interaction_honk",
        "camera": "0",
    }
