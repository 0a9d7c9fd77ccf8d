"""The hash of a record: equal for equal contents, different for any difference that counts."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.records import Provenance, Rejection
from dojo.store.fingerprint import fingerprint

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(plain, plain)
def test_values_have_the_same_hash_only_if_they_are_the_same(one: object, other: object) -> None:
    def exact(value: object) -> str:
        """As text, with -0.0 and True apart from 0.0 and 1, and keys in order."""
        if isinstance(value, dict):
            return repr(sorted((key, exact(item)) for key, item in value.items()))
        return repr([exact(item) for item in value]) if isinstance(value, list) else repr(value)

    if not (isinstance(one, dict) or isinstance(other, dict)):  # a mapping hashes as the list of its items, on purpose
        assert (fingerprint(one) == fingerprint(other)) == (exact(one) == exact(other))
    assert fingerprint(one) == fingerprint(one)


def test_the_type_and_shape_of_an_array_count() -> None:
    zeros = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(4, np.int64), np.zeros(5)]
    assert len({fingerprint(value) for value in zeros}) == len(zeros)


def test_the_layout_of_an_array_in_memory_does_not_count() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert fingerprint(np.asfortranarray(array)) == fingerprint(array) == fingerprint(np.repeat(array, 2, 0)[::2])


def test_order_of_keys_does_not_count() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2, "b": 1})


def test_where_a_file_lies_does_not_count_but_its_bytes_do() -> None:
    def provenance(path: str, sha: str) -> str:
        return fingerprint(Provenance("teslacam", ((path, sha, 5),)))

    assert provenance("/here/a.mp4", "0a") == provenance("/there/b.mp4", "0a") != provenance("/here/a.mp4", "0b")


def test_the_wording_of_a_rejection_does_not_count_but_its_gate_span_and_figures_do() -> None:
    rejection = Rejection("/here/a.mp4", "truncated", "no moov in /here", (("bytes", 5.0),), 1, 2)
    same = dataclasses.replace(rejection, where="/there/a.mp4", reason="no moov in /there")
    assert fingerprint(rejection) == fingerprint(same)
    for change in ({"gate": "empty"}, {"figures": (("bytes", 6.0),)}, {"start_ns": None}, {"end_ns": 3}):
        assert fingerprint(dataclasses.replace(rejection, **change)) != fingerprint(rejection)


def test_any_field_of_a_drive_counts(small: SimpleNamespace) -> None:
    drive = small.drive()
    changes = {"vehicle_id": "other", "route": "other", "cameras": (), "wheelbase_m": 3.0, "tags": (), "rejections": ()}
    hashes = {fingerprint(dataclasses.replace(drive, **{name: value})) for name, value in changes.items()}
    assert len(hashes | {fingerprint(drive)}) == len(changes) + 1


def test_a_value_that_records_do_not_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a record or what records hold, got set"):
        fingerprint({1, 2})
