"""The six channels hold every byte of the planes, in the documented place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import RecordError
from dojo.records import Frame
from dojo.records.pack import mirror, pack, unpack

FEW = settings(max_examples=25, deadline=None)
halves = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))


def frame_of(rows, columns, seed):
    rng = np.random.default_rng(seed)
    return Frame(
        7,
        rng.integers(0, 256, (2 * rows, 2 * columns), np.uint8),
        rng.integers(0, 256, (rows, columns), np.uint8),
        rng.integers(0, 256, (rows, columns), np.uint8),
    )


def same(first, second):
    return all(np.array_equal(getattr(first, plane), getattr(second, plane)) for plane in "yuv")


def test_the_channels_are_the_four_luma_phases_then_u_then_v():
    luma = np.array([[1, 2], [3, 4]], np.uint8)
    packed = pack(Frame(0, luma, np.array([[5]], np.uint8), np.array([[6]], np.uint8)))
    # (even, even), (odd row, even column), (even row, odd column), (odd, odd), U, V.
    assert packed[:, 0, 0].tolist() == [1, 3, 2, 4, 5, 6]


@FEW
@given(halves)
def test_unpacking_gives_the_frame_back(size):
    frame = frame_of(*size)
    assert same(unpack(pack(frame), 7), frame)


@FEW
@given(halves)
def test_the_mirror_of_the_channels_is_the_mirror_of_the_picture(size):
    frame = frame_of(*size)
    seen = unpack(mirror(pack(frame)))
    assert same(seen, Frame(0, frame.y[:, ::-1].copy(), frame.u[:, ::-1].copy(), frame.v[:, ::-1].copy()))


@FEW
@given(halves)
def test_a_mirror_twice_changes_nothing(size):
    packed = np.stack([pack(frame_of(*size))] * 2)
    assert np.array_equal(mirror(mirror(packed)), packed)


def test_odd_pictures_and_full_chroma_are_refused():
    grey = np.zeros((4, 4), np.uint8)
    with pytest.raises(RecordError, match=r"expected even luma and half-size chroma .* convert it to yuv420p"):
        pack(Frame(0, grey, grey, grey))
    with pytest.raises(RecordError, match="expected even luma"):
        pack(Frame(0, np.zeros((3, 4), np.uint8), np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8)))
