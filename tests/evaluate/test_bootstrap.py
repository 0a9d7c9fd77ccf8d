from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.evaluate.bootstrap import Groups, differences, estimates, groups_of
from dojo.records import Estimate

NO_SHARE = np.zeros(1, np.bool_)


def estimate_of(values: np.ndarray, drive: np.ndarray, seed: int = 0, share: bool = False) -> Estimate:
    groups = groups_of(drive, np.arange(len(values), dtype=np.int64) * 200_000_000)
    found = estimates(
        values[:, None].astype(np.float64), np.ones((len(values), 1)), groups, np.array([share]), 1000, seed
    )[0]
    assert found is not None
    return found


@pytest.mark.parametrize(("drives", "at_least"), [(5, 0.87), (12, 0.90), (40, 0.91)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(drives: int, at_least: float) -> None:
    """Drives with a mean of their own, anchors within them alike: 300 worlds, nominal 95 %.

    The bounds leave room for 300 worlds (two standard errors: 2.5 %) and for what five drives cannot tell.
    """
    random = np.random.default_rng(drives)
    covered = 0
    for world in range(300):
        of_drive = random.normal(1.0, 0.5, drives)
        drive = np.repeat(np.arange(drives), 20)
        found = estimate_of(of_drive[drive] + random.normal(0, 0.2, len(drive)), drive, seed=world)
        covered += found.low <= 1.0 <= found.high
    assert at_least <= covered / 300 <= 0.995


def test_alike_anchors_do_not_narrow_the_interval() -> None:
    of_drive = np.random.default_rng(0).normal(size=10)
    few = estimate_of(of_drive.repeat(2), np.arange(10).repeat(2))
    many = estimate_of(of_drive.repeat(200), np.arange(10).repeat(200))
    assert (many.low, many.high) == pytest.approx((few.low, few.high))
    assert (few.samples, few.groups, many.samples) == (20, 10, 2000)


def test_an_estimate_is_the_ratio_of_sums() -> None:
    total, weight = np.array([[3.0], [1.0], [0.0]]), np.array([[4.0], [1.0], [0.0]])
    groups = groups_of(np.arange(3), np.zeros(3, np.int64))
    found = estimates(total, weight, groups, NO_SHARE, 1000, 0)[0]
    assert found is not None
    assert found.value == pytest.approx(0.8)
    assert (found.samples, found.groups) == (2, 2)


def test_a_metric_without_weight_has_no_estimate() -> None:
    groups = groups_of(np.arange(3), np.zeros(3, np.int64))
    zeros = np.zeros((3, 1))
    assert estimates(zeros, zeros, groups, NO_SHARE, 1000, 0) == [None]
    assert differences(zeros, zeros, zeros, zeros, groups, 1000, 0) == [None]


def test_a_single_drive_is_drawn_by_blocks_and_owns_up_to_one_group() -> None:
    values = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], 100)
    found = estimate_of(values, np.zeros(600, np.int64))
    assert found.groups == 1
    assert found.low < 0.3 < 0.7 < found.high


def test_blocks_are_no_longer_than_twenty_seconds_and_at_least_six() -> None:
    short = groups_of(np.zeros(50, np.int64), np.arange(50, dtype=np.int64) * 200_000_000)
    assert short.block.max() + 1 in (6, 7)
    long = groups_of(np.zeros(3000, np.int64), np.arange(3000, dtype=np.int64) * 200_000_000)
    assert long.block.max() + 1 == 30


def test_a_single_anchor_has_no_interval_to_offer() -> None:
    found = estimate_of(np.array([2.0]), np.zeros(1, np.int64))
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_never_having_missed_is_no_proof_of_never_missing() -> None:
    found = estimate_of(np.ones(50), np.arange(50) % 5, share=True)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 5))
    assert estimate_of(np.zeros(50), np.arange(50) % 5, share=True).high == pytest.approx(1 - 0.025 ** (1 / 5))


def test_a_paired_difference_sees_what_two_intervals_cannot() -> None:
    random = np.random.default_rng(1)
    drive = np.repeat(np.arange(15), 10)
    hard = random.normal(2.0, 1.0, 15)[drive]
    groups = groups_of(drive, np.arange(150, dtype=np.int64))
    one, weight = (hard + random.normal(0, 0.02, 150))[:, None], np.ones((150, 1))
    other = hard[:, None] + 0.1
    found = differences(one, weight, other, weight, groups, 1000, 0)[0]
    assert found is not None
    assert found.value == pytest.approx(-0.1, abs=0.01)
    assert found.high < 0
    first, second = (estimates(v, weight, groups, NO_SHARE, 1000, 0)[0] for v in (one, other))
    assert first is not None
    assert second is not None
    assert first.high > second.low


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**31), st.booleans())
def test_the_value_lies_in_its_interval_and_the_seed_decides_all(drives: int, seed: int, share: bool) -> None:
    random = np.random.default_rng(seed)
    drive = random.integers(0, drives, 40)
    values = (random.random(40) < 0.3).astype(np.float64) if share else random.normal(size=40)
    found = estimate_of(values, drive, seed, share)
    assert found.low <= found.value <= found.high
    assert found == estimate_of(values, drive, seed, share)


def test_groups_do_not_mind_gaps_in_the_numbering() -> None:
    groups: Groups = groups_of(np.array([7, 7, 3]), np.array([0, 1, 2], np.int64))
    assert groups.drive.tolist() == [1, 1, 0]
