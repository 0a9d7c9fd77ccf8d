"""Where a step is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.simulate.balance import Balance


def balance(work: list[float], send: list[float] | None = None, *, overlap: bool = True) -> Balance:
    sends = np.array(send or [0.0] * len(work))
    return Balance(np.array(work), sends, np.arange(1, len(work), dtype=np.int64), overlap)


def test_pieces_are_as_alike_as_they_can_be() -> None:
    assert balance([1.0, 1.0, 1.0, 1.0]).cuts(2) == [2]
    assert balance([1.0, 1.0, 1.0, 1.0, 4.0]).cuts(2) == [4]
    # The last place alone sets the pace; the rest is still cut in the middle.
    assert balance([1.0, 1.0, 1.0, 1.0, 9.0]).cuts(3) == [2, 4]
    assert balance([1.0, 2.0]).cuts(1) == []


def test_a_cut_that_sends_much_is_avoided_where_sending_takes_time() -> None:
    sends = [0.0, 0.0, 5.0, 0.0]
    assert balance([1.0] * 4, sends, overlap=False).cuts(2) in ([1], [3])
    assert balance([9.0] * 4, sends, overlap=True).cuts(2) == [2]  # Hides behind computing.


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=8),
    st.integers(1, 4),
    st.booleans(),
)
def test_no_other_cuts_make_a_faster_slowest_piece(places: list[tuple[int, int]], pieces: int, overlap: bool) -> None:
    work, send = ([float(one[at]) for one in places] for at in (0, 1))
    pieces = min(pieces, len(work))

    def slowest(cuts: list[int]) -> float:
        edges = [0, *cuts, len(work)]
        times = []
        for low, high in itertools.pairwise(edges):
            sending = (send[low] if low else 0.0) + (send[high] if high < len(work) else 0.0)
            computing = sum(work[low:high])
            times.append(max(computing, sending) if overlap else computing + sending)
        return max(times)

    found = balance(work, send, overlap=overlap).cuts(pieces)
    assert len(found) == pieces - 1
    every = itertools.combinations(range(1, len(work)), pieces - 1)
    assert slowest(found) == pytest.approx(min(slowest(list(cuts)) for cuts in every))


def test_more_pieces_than_places_are_refused() -> None:
    with pytest.raises(ConfigError, match="pieces: expected 1 to 3, got 4"):
        balance([1.0, 1.0, 1.0]).cuts(4)
