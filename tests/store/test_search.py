"""A search finds every place, whatever block it falls into, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.store import search as search_module
from dojo.store.search import Hit, search


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=200),
    patterns=st.lists(st.binary(min_size=1, max_size=14), min_size=1, max_size=4),
    block=st.integers(1, 64),
)
def test_every_place_is_found_once_whatever_the_block(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, patterns: list[bytes], block: int
) -> None:
    # Words of two letters, so that matches and near matches are common.
    data, patterns = bytes(b % 2 + 97 for b in data), [bytes(b % 2 + 97 for b in pattern) for pattern in patterns]
    long = [pattern for pattern in patterns if len(pattern) >= 8]
    folder = tmp_path_factory.mktemp("files")
    (folder / "a").write_bytes(data)
    before, search_module._BLOCK_BYTES = search_module._BLOCK_BYTES, block
    try:
        found = search(str(folder), long)
    finally:
        search_module._BLOCK_BYTES = before
    expected = {Hit("a", at, pattern) for pattern in long for at in range(len(data)) if data.startswith(pattern, at)}
    assert set(found.hits) == expected
    assert len(found.hits) == len(expected)


def test_short_words_are_found_too_in_folders_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b").write_bytes(b"xxcar-7xxcar-70")
    (tmp_path / "c").write_bytes(b"nothing")
    found = search(str(tmp_path), [b"car-7"])
    assert [(hit.path, hit.offset) for hit in found.hits] == [("below/b", 2), ("below/b", 9)]
    assert (found.files, found.size_bytes) == (2, 22)


def test_nothing_to_look_for_still_counts_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert search(str(tmp_path), []) == search_module.Searched(1, 5, ())
