"""What was erased is known again, and only by who asks for it by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.errors import StoreError
from dojo.store import Dataset
from dojo.store.tombstones import Tombstones


@pytest.fixture
def uri(tmp_path: Path) -> str:
    Dataset.create(str(tmp_path / "data"))
    return str(tmp_path / "data")


def test_files_and_vehicles_that_were_erased_are_known_again_and_others_are_not(uri: str) -> None:
    Tombstones(uri).add("e1", "car-1", ["a" * 64, "b" * 64])
    graves = Tombstones(uri)
    assert graves.files(["a" * 64, "c" * 64]) == {"a" * 64}
    assert graves.vehicles(["car-1", "car-2"]) == {"car-1"}


def test_neither_names_nor_hashes_are_written_down(uri: str) -> None:
    Tombstones(uri).add("e1", "vehicle-of-somebody", ["a" * 64])
    written = b"".join(path.read_bytes() for path in Path(uri).rglob("*") if path.is_file())
    assert b"vehicle-of-somebody" not in written
    assert b"a" * 64 not in written


def test_adding_the_same_again_adds_nothing(uri: str) -> None:
    Tombstones(uri).add("e1", "car-1", ["a" * 64])
    before = len(Tombstones(uri))
    Tombstones(uri).add("e1", "car-1", ["a" * 64])
    assert len(Tombstones(uri)) == before == 2


def test_a_dataset_without_erasures_has_none(uri: str) -> None:
    assert len(Tombstones(uri)) == 0
    Tombstones(uri).require_none(["a" * 64], ["car-1"])


def test_what_was_erased_is_refused_with_the_way_out(uri: str) -> None:
    Tombstones(uri).add("e1", "car-1", [])
    with pytest.raises(StoreError, match="leave it out, or ask for it with --even-erased"):
        Tombstones(uri).require_none([], ["car-1"])
