"""The order of draws is a pure function, and keeps to the weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.load import Order
from dojo.load.order import random_units

FEW = settings(max_examples=30, deadline=None)
GOLDEN = [0.05347202501276571, 0.9548719661958871, 0.704687936851841]
weight_lists = st.lists(st.floats(0, 20), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3)


def order_of(weights, seed=0, version="v", names=None):
    return Order(names or [f"c{i}" for i in range(len(weights))], weights, seed, version)


@FEW
@given(weight_lists, st.integers(0, 99), st.integers(0, 99))
def test_every_clip_is_drawn_its_weight_rounded_down_or_up(weights, seed, epoch):
    order = order_of(weights, seed)
    draws = order.epoch(epoch)
    assert len(draws) == len(weights)
    planned = np.array(weights) / np.mean(weights)
    counts = np.bincount(draws, minlength=len(weights))
    assert (counts >= np.floor(planned - 1e-6)).all()
    assert (counts <= np.ceil(planned + 1e-6)).all()


def test_equal_weights_draw_every_clip_exactly_once():
    assert sorted(order_of([3.0] * 57).epoch(4)) == list(range(57))


def test_over_many_epochs_the_draws_follow_the_weights():
    weights = [0.2, 0.7, 1.0, 1.4, 1.7]
    counts = sum(np.bincount(order_of(weights).epoch(epoch), minlength=5) for epoch in range(600))
    # Each count is a mean of 600 draws of 0 or 1 about its fraction: three standard deviations are 0.06.
    assert np.abs(counts / 600 - np.array(weights)).max() < 0.06


@FEW
@given(weight_lists, st.randoms(use_true_random=False))
def test_the_order_in_which_clips_are_given_does_not_matter(weights, random):
    names = [f"c{i}" for i in range(len(weights))]
    shuffled = list(range(len(weights)))
    random.shuffle(shuffled)
    first = order_of(weights, names=names)
    second = order_of([weights[i] for i in shuffled], names=[names[i] for i in shuffled])
    assert first.fingerprint == second.fingerprint
    assert [names[i] for i in first.epoch(3)] == [names[shuffled[i]] for i in second.epoch(3)]


def test_seed_version_and_weights_each_make_another_order():
    weights = [1.0] * 30
    base = order_of(weights)
    others = [order_of(weights, seed=1), order_of(weights, version="w"), order_of([*weights[:-1], 2.0])]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert all(base.epoch(0).tolist() != other.epoch(0).tolist() for other in others)
    assert base.epoch(0).tolist() != base.epoch(1).tolist()


def test_random_numbers_never_change_between_versions_of_anything():
    # Written down when this was built: a run recorded today must be drawn the same in ten years.
    assert random_units(3, "golden", 1).tolist() == pytest.approx(GOLDEN, abs=1e-15)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ConfigError, match=r"got 0 clips \(0 distinct\), 0 weights that sum to 0.0; curate the dataset"):
        order_of([])
    with pytest.raises(ConfigError, match=r"2 weights that sum to 0.0"):
        order_of([0.0, 0.0])
    with pytest.raises(ConfigError, match=r"got 2 clips \(1 distinct\)"):
        order_of([1.0, 1.0], names=["a", "a"])
