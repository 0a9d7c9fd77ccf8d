from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from carmakers import licence
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ReleaseError
from dojo.release.licence import read_licence

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@settings(max_examples=30, deadline=None)
@given(
    name=NAMES, features=st.lists(NAMES, min_size=1, max_size=4), days=st.integers(1, 5000), version=st.integers(1, 9)
)
def test_a_licence_comes_back_as_it_was_written(name: str, features: list[str], days: int, version: int) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    granted = licence(
        market=name,
        features=tuple(features),
        valid_from=begin,
        valid_until=begin + timedelta(days=days),
        minimum_limits_version=version,
    )
    assert read_licence(granted.to_bytes()) == granted


def test_its_path_names_the_kind_of_computer_that_it_is_for() -> None:
    assert licence().path == "dojo/adas-ecu-2/licence-l1.json"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"carmaker": "../aurora"}, "in carmaker"),
        ({"hardware_id": "a/b", "market": ""}, "in hardware_id, market"),
        ({"features": ("lane centring",)}, "features 'lane centring'"),
        ({"features": ()}, "at least one feature"),
        ({"minimum_limits_version": 0}, "limits version from 1, got 0"),
        ({"valid_until": datetime(2020, 1, 1, tzinfo=UTC)}, "beginning before its end"),
        ({"valid_until": datetime(2030, 1, 1)}, "in UTC"),
    ],
)
def test_terms_that_mean_nothing_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ReleaseError, match=says):
        replace(licence(), **change)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff"])
def test_a_file_that_is_no_licence_is_refused(data: bytes) -> None:
    with pytest.raises(ReleaseError, match="licence_unreadable"):
        read_licence(data)
