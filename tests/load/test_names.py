"""Names become rows of bytes and an order of their own, however they are given."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.load import names as module
from dojo.load.names import bytes_of, places_in_order, sorted_places

FEW = settings(max_examples=40, deadline=None)
name_lists = st.lists(st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=20), max_size=30)


@FEW
@given(name_lists)
def test_every_name_is_in_its_row_and_zeros_behind_it(names):
    rows = bytes_of(names)
    assert rows.shape[1] % 8 == 0
    assert [bytes(row).rstrip(b"\x00").decode() for row in rows] == names


@FEW
@given(name_lists, st.integers(0, 30))
def test_a_column_in_chunks_gives_the_rows_that_a_list_gives(names, cut):
    column = pa.chunked_array([pa.array(names[:cut], pa.string()), pa.array(names, pa.string()).slice(cut)])
    assert np.array_equal(bytes_of(column), bytes_of(names))


@FEW
@given(name_lists, st.randoms(use_true_random=False))
def test_the_order_follows_from_the_names_and_repeated_ones_are_counted_once(names, random):
    shuffled = random.sample(names, len(names))
    found = [places_in_order(bytes_of(some)) for some in (names, shuffled)]
    assert [names[i] for i in found[0][0]] == [shuffled[i] for i in found[1][0]]
    assert found[0][1] == found[1][1] == len(set(names))


def test_names_with_the_same_number_are_told_apart_by_their_bytes(monkeypatch):
    monkeypatch.setattr(module, "numbers_of", lambda rows: np.zeros(len(rows), np.uint64))
    order, distinct = places_in_order(bytes_of(["b", "a-long-name-with-more-than-16-bytes", "a", "b"]))
    assert distinct == 3
    assert order.tolist() == [2, 1, 0, 3]


def test_equal_bits_stay_in_the_order_in_which_they_came():
    bits = np.array([3, 1, 3, 1, 2], np.uint64)
    assert sorted_places(bits).tolist() == [1, 3, 4, 0, 2]
