"""What is wanted."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.machine.plan.target import DataLaw, Target


def test_an_error_is_hours_is_work() -> None:
    # 0.5 = 0.1 + 0.8 * (hours / 10) ** -0.5 takes 40 hours; seen twice at 1e15 flop: 8e16.
    target = Target(error=0.5, law=DataLaw(0.8, 0.5, 0.1, pivot_hours=10.0), passes=2.0, flop_per_hour=1e15)
    assert target.video_hours() == pytest.approx(40.0)
    assert target.work_flop() == pytest.approx(8e16)


def test_a_law_written_without_pivot_is_the_plain_power() -> None:
    assert DataLaw(2.0, 0.25).hours_for(0.5) == pytest.approx(256.0)


def test_a_steeper_law_needs_less_and_the_interval_reaches_the_answer() -> None:
    law = DataLaw(1.0, 0.3, pivot_hours=100.0, exponent_low=0.2, exponent_high=0.4)
    hours = law.hours_for(0.5, np.array([0.2, 0.3, 0.4]))
    assert list(hours) == sorted(hours, reverse=True)  # type: ignore[arg-type]
    assert (law.exponent_range.low, law.exponent_range.high) == (0.2, 0.4)
    # At the pivot itself the exponent does not matter.
    np.testing.assert_allclose(law.hours_for(1.0, np.array([0.2, 0.4])), 100.0)


def test_no_data_reach_the_floor() -> None:
    with pytest.raises(ConfigError, match=r"^data law: expected an error above its floor of 0.3, got 0.3; no amount"):
        DataLaw(1.0, 0.5, 0.3).hours_for(0.3)


def test_flop_and_exaflops_are_what_they_say() -> None:
    assert Target(flop=1e20).work_flop() == 1e20
    assert Target(exaflops=2.0).peak_flop_per_s == 2e18
    assert Target(flop=1e20).peak_flop_per_s is None
    with pytest.raises(ConfigError, match=r"^target: expected work to be done, got exaflops"):
        Target(exaflops=2.0).work_flop()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, r"^target: expected exactly one of exaflops, flop, hours, error, got none$"),
        ({"flop": 1.0, "hours": 1.0}, r"got flop, hours$"),
        ({"flop": 0.0}, r"^target.flop: expected a positive number, got 0.0$"),
        ({"hours": 1.0}, r"^target: expected flop_per_hour"),
        ({"error": 1.0}, r"^target.error: expected the parameters of a fitted law"),
        ({"flop": 1.0, "days": 0.0}, r"^target.days: expected a positive number"),
    ],
)
def test_targets_that_cannot_be_meant_are_refused(fields: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Target(**fields)  # type: ignore[arg-type]


def test_a_law_that_does_not_fall_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data law: expected a positive scale"):
        DataLaw(1.0, -0.1)
