"""What failures leave of a machine's time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.machine.plan.failures import best_progress_share, daly_interval_s, progress_share, young_interval_s


def lived_through(interval_s: float, checkpoint_s: float, restart_s: float, mtbf_s: float, failures: int) -> float:
    """The share of time that is lasting work, by playing failures out one after the other."""
    random = np.random.default_rng(0)
    done = spent = 0.0
    for life_s in random.exponential(mtbf_s, failures):
        # A restart is itself lost if the next failure comes within it.
        left = life_s - restart_s
        if left > 0:
            done += interval_s * (left // (interval_s + checkpoint_s))
        spent += life_s
    return done / spent


def test_young_by_hand() -> None:
    assert young_interval_s(np.array([8.0]), np.array([10_000.0])) == pytest.approx(400.0)


def test_daly_and_young_agree_where_failures_are_rare() -> None:
    checkpoint_s, mtbf_s = np.array([10.0]), np.array([1e9])
    assert daly_interval_s(checkpoint_s, mtbf_s) == pytest.approx(
        float(young_interval_s(checkpoint_s, mtbf_s)[0]), rel=1e-3
    )


def test_where_a_checkpoint_takes_two_lives_the_interval_is_a_life() -> None:
    assert daly_interval_s(np.array([200.0]), np.array([100.0])) == 100.0
    assert daly_interval_s(np.array([500.0]), np.array([100.0])) == 100.0


@pytest.mark.parametrize(("interval_s", "mtbf_s"), [(600.0, 10_000.0), (300.0, 1500.0), (2000.0, 3000.0)])
def test_the_formula_is_what_a_life_of_failures_gives(interval_s: float, mtbf_s: float) -> None:
    # 200,000 failures: the share scatters by some tenths of a percent.
    found = lived_through(interval_s, 30.0, 300.0, mtbf_s, 200_000)
    said = progress_share(np.array([interval_s]), np.array([30.0]), np.array([300.0]), np.array([mtbf_s]))
    assert found == pytest.approx(float(said[0]), rel=0.01)


@given(checkpoint_s=st.floats(1, 120), mtbf_s=st.floats(600, 1e6), factor=st.sampled_from([0.4, 0.7, 1.5, 2.5]))
@settings(max_examples=60, deadline=None)
def test_no_other_interval_gets_on_much_better_than_dalys(checkpoint_s: float, mtbf_s: float, factor: float) -> None:
    one, mtbf = np.array([checkpoint_s]), np.array([mtbf_s])
    best = daly_interval_s(one, mtbf)
    at_best, elsewhere = (progress_share(every, one, np.array([60.0]), mtbf) for every in (best, factor * best))
    assert elsewhere <= at_best * 1.002


def test_twice_the_accelerators_get_on_less() -> None:
    shares = best_progress_share(np.array([100.0, 1e4, 1e6]), np.full(3, 1.8e8), np.full(3, 30.0), np.full(3, 600.0))
    assert list(shares) == sorted(shares, reverse=True)
    assert shares[-1] < 0.2


def test_it_gives_what_metas_run_had() -> None:
    # Dubey et al. 2024: more than 90 % effective training time on 16,384 H100 with 419 unexpected interruptions in 54
    # days; with their minutes for checkpoint and restart assumed.
    mtbf_each_s = 16_384 * 54 * 86_400 / 419
    share = best_progress_share(np.array([16_384.0]), np.array([mtbf_each_s]), np.array([15.0]), np.array([300.0]))
    assert 0.90 < float(share[0]) < 0.96
