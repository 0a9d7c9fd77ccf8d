"""Near-duplicates are the exact ones, the first of them is kept, and borders cost only misses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.curate import similar
from dojo.curate.similar import kept, near_duplicates
from dojo.errors import ConfigError


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.5, 0.999))
def test_kept_clips_are_unlike_one_another_and_the_others_like_the_one_that_stands_for_them(
    seed: int, count: int, above: float
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    stands_for = near_duplicates(vectors, above)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T
    keep = kept(stands_for)
    assert keep[stands_for].all()
    for row in range(count):
        if keep[row]:
            assert not (alike[row, :row] * keep[:row] > above + 1e-5).any()
        else:
            assert stands_for[row] < row
            assert alike[row, stands_for[row]] >= above - 1e-5


def test_copies_are_found_among_many_gatherings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "_TOGETHER", 50)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    both = np.concatenate([vectors, 2.5 * vectors])
    stands_for = near_duplicates(both, 0.999)
    # A copy points the same way exactly, so it is gathered about the same centre.
    assert (stands_for[300:] == np.arange(300)).mean() > 0.9
    assert (stands_for[:300] == np.arange(300)).all()


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a cosine similarity in \(0, 1\], got 1.5"):
        near_duplicates(np.ones((2, 2), np.float32), 1.5)
    with pytest.raises(ConfigError, match="got a zero vector"):
        near_duplicates(np.zeros((2, 2), np.float32), 0.9)
