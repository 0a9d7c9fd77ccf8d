"""Figures known within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade
from dojo.machine.plan.ranges import Range, Spread, drawn, one_at_a_time


def around(low: float, likely: float, high: float) -> Range:
    return Range(low, likely, high, "made up", Grade.ASSUMPTION)


def test_draws_lie_within_the_bounds_and_their_mean_is_the_triangles() -> None:
    found = around(1.0, 2.0, 6.0).draw(100_000, np.random.default_rng(0))
    assert found.min() >= 1.0
    assert found.max() <= 6.0
    # (1 + 2 + 6) / 3; the standard deviation of the mean is 0.0034.
    assert abs(found.mean() - 3.0) < 0.02


def test_a_figure_without_bounds_is_one_number() -> None:
    assert set(around(4.0, 4.0, 4.0).draw(10, np.random.default_rng(0))) == {4.0}


def test_bounds_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^range: expected low <= likely <= high, all finite, got 3.0, 2.0, 4.0$"):
        around(3.0, 2.0, 4.0)


def test_one_more_range_leaves_the_draws_of_the_others() -> None:
    one = drawn({"a": around(0.0, 1.0, 2.0)}, 5, seed=3)
    two = drawn({"b": around(0.0, 1.0, 2.0), "a": around(0.0, 1.0, 2.0)}, 5, seed=3)
    np.testing.assert_array_equal(one["a"], two["a"])
    assert (two["a"] != two["b"]).all()
    assert (drawn({"a": around(0.0, 1.0, 2.0)}, 5, seed=4)["a"] != one["a"]).all()


def test_one_at_a_time_moves_one_at_a_time() -> None:
    columns = one_at_a_time({"a": around(0.0, 1.0, 2.0), "b": around(5.0, 6.0, 9.0)})
    np.testing.assert_array_equal(columns["a"], [1, 0, 2, 1, 1])
    np.testing.assert_array_equal(columns["b"], [6, 6, 6, 5, 9])


def test_a_spread_is_the_median_and_the_outer_tenths() -> None:
    assert Spread.of(np.arange(11.0)) == Spread(1.0, 5.0, 9.0)
    assert Spread(1.0, 5.0, 9.0).scaled(2.0) == Spread(2.0, 10.0, 18.0)
