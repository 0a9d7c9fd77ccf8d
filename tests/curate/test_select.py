"""A balanced choice takes each clip once, and rare kinds as well as common ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.curate.select import balanced
from dojo.errors import ConfigError


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.integers(0, 4), min_size=0, max_size=120),
    share=st.floats(0, 1),
    tempering=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_as_many_as_wanted_and_each_once(kinds: list[int], share: float, tempering: float, seed: int) -> None:
    count = int(share * len(kinds))
    chosen = balanced(np.array(kinds, np.int64), count, tempering, seed)
    assert len(np.unique(chosen)) == count


def test_a_rare_kind_is_taken_whole_before_the_rest_is_shared() -> None:
    kind = np.repeat(np.arange(3), [9000, 900, 10]).astype(np.int64)
    flat = np.bincount(kind[balanced(kind, 1000, 1.0)])
    assert flat[2] == 10
    assert abs(flat[0] - flat[1]) <= 1
    natural = np.bincount(kind[balanced(kind, 1000, 0.0)], minlength=3)
    assert natural.tolist() == pytest.approx([908, 91, 1], abs=1)


def test_the_seed_decides_which_and_not_how_many() -> None:
    kind = np.repeat(np.arange(2), [500, 50]).astype(np.int64)
    one, other = balanced(kind, 100, seed=1), balanced(kind, 100, seed=2)
    assert np.abs(np.bincount(kind[one]) - np.bincount(kind[other])).max() <= 1
    assert set(one) != set(other)


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="a count from 0 to the 3 clips there are, got 4"):
        balanced(np.zeros(3, np.int64), 4)
