"""Stored video: frame k goes in, frame k comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import StoreError
from dojo.records import Frame, VideoChunk
from dojo.store.mp4 import packets
from dojo.store.video import decode_chunk, decode_each, encode_chunks

WIDTH, HEIGHT = 64, 32


def numbered(index: int, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    """A frame that shows its own number as ten black or white columns, so that a mix-up cannot hide."""
    bits = np.array([(index >> bit) & 1 for bit in range(8)], np.uint8)
    y = np.repeat(np.repeat(40 + 170 * bits, width // 8)[None], height, 0).astype(np.uint8)
    chroma = (height // 2, width // 2)
    return Frame(index * 50_000_000, y, np.full(chroma, 100, np.uint8), np.full(chroma, 160, np.uint8))


def number_of(frame: Frame) -> int:
    columns = frame.y.reshape(frame.y.shape[0], 8, -1).mean((0, 2)) > 125
    return int(sum(1 << bit for bit in range(8) if columns[bit]))


def encoded(count: int, fps: float = 20.0, **options: int) -> list[VideoChunk]:
    return list(encode_chunks((numbered(i) for i in range(count)), WIDTH, HEIGHT, fps, **options))


def read(chunk: VideoChunk, offsets: list[int]) -> list[Frame]:
    places = np.array(offsets, np.int64)
    return decode_chunk(chunk.data, places, (places + chunk.first_frame) * 50_000_000)


def test_chunks_cover_the_stream_once_in_order_and_the_last_may_be_shorter() -> None:
    chunks = encoded(130)
    assert [(c.first_frame, c.frame_count) for c in chunks] == [(0, 60), (60, 60), (120, 10)]
    assert [number_of(f) for c in chunks for f in read(c, list(range(c.frame_count)))] == list(range(130))


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(1, 25),
    gop=st.integers(1, 12),
    chunk_frames=st.integers(1, 12),
    data=st.data(),
)
def test_any_frame_comes_back_as_itself_whatever_was_asked_beside_it(
    count: int, gop: int, chunk_frames: int, data: st.DataObject
) -> None:
    for chunk in encoded(count, gop=gop, chunk_frames=chunk_frames):
        offsets = data.draw(st.lists(st.integers(0, chunk.frame_count - 1), max_size=6))
        frames = read(chunk, offsets)
        assert [number_of(frame) for frame in frames] == [chunk.first_frame + offset for offset in offsets]
        assert [frame.timestamp_ns for frame in frames] == [(chunk.first_frame + o) * 50_000_000 for o in offsets]


def test_planes_come_back_almost_as_they_went_in() -> None:
    rng = np.random.default_rng(0)
    smooth = np.linspace(20, 230, 128)[None] + rng.normal(0, 2, (64, 128))
    y = np.clip(smooth, 16, 235).astype(np.uint8)
    u = np.linspace(60, 200, 64)[None].repeat(32, 0).astype(np.uint8)
    (chunk,) = encode_chunks([Frame(0, y, u, 255 - u)], 128, 64, 10.0)
    (frame,) = read(chunk, [0])
    for sent, got in ((y, frame.y), (u, frame.u), (255 - u, frame.v)):
        # The encoder quantises by a few levels; a swap of planes or a conversion of range would be tens of levels out.
        assert np.abs(sent.astype(int) - got).mean() < 2.5


def test_the_same_frames_give_the_same_bytes() -> None:
    first = encoded(45)
    for filling in range(40):  # an encoder that reads memory it never wrote would see something else each time
        junk = [bytes([filling]) * size for size in range(1000, 200_000, 10_000)]
        assert encoded(45) == first
        del junk


def test_a_stream_without_frames_has_no_chunks() -> None:
    assert encoded(0) == []


def test_nothing_asked_is_nothing_decoded() -> None:
    assert decode_chunk(b"", np.zeros(0, np.int64), np.zeros(0, np.int64)) == []


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(StoreError, match=r"expected planes of 32 x 64 and 16 x 32, got \(16, 32\).*resample"):
        list(encode_chunks([numbered(0, 32, 16)], WIDTH, HEIGHT, 20.0))


@pytest.mark.parametrize("damaged", [b"", b"not a video", encoded(20)[0].data[:300]])
def test_bytes_that_are_no_video_are_named(damaged: bytes) -> None:
    with pytest.raises(StoreError, match=r"video chunk of \d+ bytes does not decode.*ingest its drive again"):
        decode_chunk(damaged, np.array([3]), np.array([0]))


@pytest.mark.parametrize("offset", [20, -1])
def test_a_frame_that_the_chunk_does_not_hold_is_named(offset: int) -> None:
    with pytest.raises(StoreError, match=rf"frames \[{offset}\] are missing"):
        read(encoded(20)[0], [offset])


def test_in_two_layers_only_every_fourth_frame_is_referred_to_and_the_others_are_skipped_undecoded() -> None:
    (chunk,) = encoded(60)
    table = packets(chunk.data)
    nothing = bytes(64)  # in place of the frames between, which a reader that does not want them must not touch
    data = bytearray(chunk.data)
    for start, size, place in zip(table.starts, table.sizes, table.places, strict=True):
        if place % 4 and place < 56:
            data[start : start + size] = (nothing * size)[:size]
            data[start + 4] = 1  # a slice that nothing refers to
    spoilt = VideoChunk(0, 60, bytes(data))
    assert [number_of(frame) for frame in read(spoilt, list(range(0, 60, 4)))] == list(range(0, 60, 4))


def test_a_stream_at_five_frames_a_second_has_one_layer() -> None:
    (chunk,) = encoded(15, fps=5.0)
    assert packets(chunk.data).places.tolist() == list(range(15))


@settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 30), layer=st.integers(1, 5), data=st.data())
def test_frames_come_one_by_one_as_they_come_together(count: int, layer: int, data: st.DataObject) -> None:
    (chunk,) = encoded(count, layer=layer, chunk_frames=count)
    wanted = sorted(data.draw(st.sets(st.integers(0, count - 1))))
    came = [(place, number_of(frame)) for place, frame in decode_each(chunk.data, dict.fromkeys(wanted, 0))]
    assert came == [(place, place) for place in wanted]
