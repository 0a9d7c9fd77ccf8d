"""Intervals are those that were published, and never leave what they are intervals of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import EvaluationError
from dojo.evaluate.intervals import poisson_rate, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_newcombe_1998_table_1_method_3(successes, trials, low, high):
    found = wilson(successes, trials)
    assert found == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390)],
)
def test_poisson_intervals_are_those_of_garwood_1936(events, low, high):
    assert poisson_rate(events, 1.0) == pytest.approx((low, high), abs=6e-4)


def test_a_rate_is_per_unit_of_exposure():
    low, high = poisson_rate(5, 20.0)
    assert (20 * low, 20 * high) == pytest.approx((1.623, 11.668), abs=6e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_wilson_interval_holds_its_proportion_and_mirrors_with_it(case):
    successes, trials = case
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert (1 - high, 1 - low) == pytest.approx(wilson(trials - successes, trials), abs=1e-12)


def test_all_of_24_does_not_mean_always():
    low, high = wilson(24, 24)
    assert high == 1.0
    assert 0.85 < low < 0.87


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(EvaluationError, match="expected 0 to 3 successes in at least one trial, got 4"):
        wilson(4, 3)
    with pytest.raises(EvaluationError, match="in at least one trial, got 0"):
        wilson(0, 0)
    with pytest.raises(EvaluationError, match=r"expected events from zero in some exposure, got 1 in 0.0"):
        poisson_rate(1, 0.0)
