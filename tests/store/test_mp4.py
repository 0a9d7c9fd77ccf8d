"""The tables of a stored chunk say where its packets lie, as FFmpeg reads them; anything else is refused."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import StoreError
from dojo.records import Frame
from dojo.store import encode_chunks
from dojo.store.mp4 import packets


def chunk(count: int, **options: int) -> bytes:
    planes = np.full((32, 64), 90, np.uint8), np.full((16, 32), 120, np.uint8)
    frames = (Frame(number, planes[0] + number, planes[1], planes[1]) for number in range(count))
    (made,) = encode_chunks(frames, 64, 32, 20.0, **options)
    return made.data


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 40), gop=st.integers(1, 30), layer=st.integers(1, 6))
def test_the_tables_are_read_as_ffmpeg_reads_them(count: int, gop: int, layer: int) -> None:
    data = chunk(count, gop=gop, layer=layer)
    found = packets(data)
    with av.open(io.BytesIO(data)) as container:
        theirs = [packet for packet in container.demux(video=0) if packet.size]
        head = bytes(container.streams.video[0].codec_context.extradata or b"")
    mine = [data[start : start + size] for start, size in zip(found.starts, found.sizes, strict=True)]
    assert mine == [bytes(packet) for packet in theirs]
    assert found.places.tolist() == np.argsort(np.argsort([packet.pts for packet in theirs])).tolist()
    assert found.keys.tolist() == [packet.is_keyframe for packet in theirs]
    assert found.head == head


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_tables_are_refused_and_never_crash(data: st.DataObject) -> None:
    whole = bytearray(chunk(8))
    tables = whole.index(b"moov")
    for place in data.draw(st.lists(st.integers(tables, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    with suppress(StoreError):  # any other error would be a crash
        found = packets(bytes(whole))
        assert int((found.starts + found.sizes).max()) <= len(whole)


def test_a_packet_beyond_the_end_is_refused() -> None:
    data = chunk(3)
    place = data.index(b"stsz") + 16
    sizes = struct.unpack_from(">I", data, place)[0]
    longer = data[:place] + struct.pack(">I", sizes + len(data)) + data[place + 4 :]
    with pytest.raises(StoreError, match=r"reading its tables failed at a packet beyond the end; ingest"):
        packets(longer)
