"""Laws that made the data are found again, with intervals that cover them as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import EvaluationError
from dojo.train.scaling import fit

SIZES_H = np.repeat(2.0 ** np.arange(7), 3)


def made(scale: float, exponent: float, floor: float, noise: float, seed: int) -> np.ndarray:
    scatter = np.random.default_rng(seed).normal(0, noise, len(SIZES_H))
    return (floor + scale * SIZES_H**-exponent) * np.exp(scatter)


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.2, 5),
    exponent=st.floats(0.05, 1.2),
    floor=st.floats(0, 1),
    unit_h=st.sampled_from([0.01, 1, 900]),
)
def test_without_noise_both_laws_are_recovered(scale: float, exponent: float, floor: float, unit_h: float) -> None:
    hours = SIZES_H * unit_h
    plain = fit(hours, scale * hours**-exponent, floor=False, resamples=10).best
    # The finest step of the grid of exponents is 0.00125; half of it over the half range of ln(8) makes 0.0013.
    assert plain.exponent[0] == pytest.approx(exponent, abs=1e-3)
    assert plain.at(float(hours[-1]))[0] == pytest.approx(scale * hours[-1] ** -exponent, rel=2e-3)
    wanted = floor + scale * (hours / unit_h) ** -exponent
    floored = fit(hours, wanted, floor=True, resamples=10).best
    predicted = floor + scale * (2 * hours[-1] / unit_h) ** -exponent
    # What a law is for: one doubling beyond the data, within a hundredth.
    assert floored.at(2 * float(hours[-1]))[0] == pytest.approx(predicted, rel=0.01)


@pytest.mark.parametrize(("floor", "noise"), [(False, 0.03), (False, 0.15), (True, 0.03)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(floor: bool, noise: float) -> None:
    worlds, exponent, bottom = 120, 0.4, 0.3 if floor else 0.0
    covered = predicted = 0
    for seed in range(worlds):
        errors = made(1.0, exponent, bottom, noise, seed)
        found = fit(SIZES_H, errors, floor=floor, resamples=200, seed=seed)
        interval = found.estimate("exponent")
        covered += interval.low <= exponent <= interval.high
        new = (bottom + 128.0**-exponent) * np.exp(np.random.default_rng((seed, 9)).normal(0, noise, 3))
        mean = float(np.exp(np.log(new).mean()))
        ahead = found.predicted(128.0, 3, seed)
        predicted += ahead.low <= mean <= ahead.high
    # 95 % nominal; of 120 worlds, 108 or fewer happen to a true 95 % once in 70 such tests. The floor law has a corner
    # at zero floor, where no resampling interval is exact.
    assert covered / worlds >= 0.89
    assert predicted / worlds >= 0.89


def test_more_data_that_does_not_help_is_not_taken_for_help() -> None:
    found = fit(SIZES_H, made(1.0, 0.0, 0.0, 0.05, 1), floor=False).estimate("exponent")
    assert found.low < 0 < found.high


def test_hours_for_a_target_follow_the_law_and_are_infinite_below_its_floor() -> None:
    found = fit(SIZES_H, made(1.0, 0.5, 0.2, 0.01, 3), floor=True)
    needed = found.needed(0.25)
    assert needed.low < (0.05) ** (-1 / 0.5) < needed.high
    assert needed.unreachable < 0.01
    never = found.needed(0.1)
    assert (never.value, never.high, never.unreachable) == (np.inf, np.inf, 1.0)


def test_a_target_that_is_passed_already_takes_no_more_than_there_is() -> None:
    found = fit(SIZES_H, made(1.0, 0.5, 0.0, 0.01, 3), floor=False)
    assert found.needed(0.9).high < 2.0


def test_the_same_seed_gives_the_same_interval() -> None:
    errors = made(1.0, 0.3, 0.0, 0.05, 5)
    one, other = (fit(SIZES_H, errors, floor=True, resamples=50, seed=4).estimate("exponent") for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("hours", "errors"),
    [
        (np.array([1.0, 1.0, 2.0, 2.0]), np.ones(4)),
        (2.0 ** np.arange(6), np.ones(6)),
        (SIZES_H, np.zeros(len(SIZES_H))),
    ],
)
def test_what_cannot_be_fitted_is_refused(hours: np.ndarray, errors: np.ndarray) -> None:
    with pytest.raises(EvaluationError, match="train at more sizes or with more seeds"):
        fit(hours, errors, floor=True)
