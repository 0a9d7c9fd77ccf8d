"""How a machine grows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.plan.build_up import BuildUp, month_number, month_of


def test_months_are_numbers_and_back() -> None:
    assert month_of(month_number(date(2024, 2, 29))) == date(2024, 2, 1)
    assert month_number(date(2024, 1, 1)) - month_number(date(2023, 12, 1)) == 1


def test_production_rises_evenly_and_then_holds() -> None:
    plan = BuildUp(date(2023, 7, 1), date(2024, 1, 1), ramp_months=3)
    shares = plan.shares(month_number(date(2023, 6, 1)), 9)
    # Rates 1, 2, 3, 3, 3, 3 of 15, after a month in which nothing arrives.
    np.testing.assert_allclose(shares * 15, [0, 1, 2, 3, 3, 3, 3, 0, 0])


@given(months=st.integers(1, 40), ramp=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_all_of_it_is_there_by_the_date_and_nothing_after(months: int, ramp: int) -> None:
    start = date(2020, 1, 1)
    plan = BuildUp(start, month_of(month_number(start) + months), ramp_months=ramp)
    shares = plan.shares(month_number(start), months + 5)
    assert shares[:months].sum() == pytest.approx(1.0)
    assert (shares[months:] == 0).all()


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^build-up: expected at least a month from the first parts to all of them"):
        BuildUp(date(2024, 1, 1), date(2024, 1, 31))
    with pytest.raises(ConfigError, match=r"^build-up: expected a ramp of 1 month or more"):
        BuildUp(date(2024, 1, 1), date(2024, 3, 1), ramp_months=0)
