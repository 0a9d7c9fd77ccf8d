"""The best split among all, and the nearest that fits."""

from __future__ import annotations

import re
import time

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.partition import Recompute, Split
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.plan.search import nearest_that_fits, one_split, search, time_splits
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.step import Simulator
from dojo.machine.specs import load_machine

SMALL = Gpt("small", 1024, 16, 24, 1024, 51200)
GPT3 = Gpt("gpt3", 12288, 96, 96, 2048, 51200)


def simulator(model: Gpt = SMALL, machine: str = "a100") -> Simulator:
    return Simulator(model, Software(), load_machine(machine), load_constants())


def test_nothing_that_fits_is_faster_than_the_best() -> None:
    found = search(simulator(), 8, 32, keep=5)
    assert [one.seconds for one in found.best] == sorted(one.seconds for one in found.best)
    assert found.fitting <= found.legal
    assert found.best[0].seconds <= one_split(simulator(), Split(1, 1, 8), 32).seconds
    assert found.slowest_s >= found.best[-1].seconds


def test_all_splits_of_gpt3_over_4096_are_searched_in_seconds() -> None:
    start = time.perf_counter()
    found = search(simulator(GPT3), 4096, 6144)
    # Half a second on a quiet core; ten leave room for a busy one.
    assert time.perf_counter() - start < 10
    assert found.legal > 1000
    assert found.best[0].split.tensor > 1


def test_a_model_that_does_not_fit_at_all_says_what_the_smallest_split_needs() -> None:
    with pytest.raises(ConfigError, match=re.escape("gpt3 over 8 gpus: expected at most 80.0 GB each, got ")):
        search(simulator(GPT3), 8, 8)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a legal split over 7 accelerators, found none"):
        search(simulator(), 7, 5)


def test_a_split_that_does_not_fit_is_refused_with_what_is_too_large_and_the_nearest_that_fits() -> None:
    large = simulator(Gpt("gpt-22b", 6144, 64, 48, 2048, 51200))
    with pytest.raises(ConfigError) as refusal:
        one_split(large, Split(1, 1, 64), 64)
    said = str(refusal.value)
    assert "expected at most 80.0 GB on each gpu, got " in said
    assert "of which optimiser " in said
    near = nearest_that_fits(large, Split(1, 1, 64), 64)
    assert near is not None
    assert f"the nearest that fits: {near.split}" in said
    assert near.memory_bytes <= 80e9
    assert near.split.accelerators == 64


def test_where_nothing_fits_the_refusal_says_so() -> None:
    with pytest.raises(ConfigError, match="no split over as many fits; take more accelerators"):
        one_split(simulator(GPT3), Split(8), 8)


def test_an_illegal_split_lists_every_fault() -> None:
    with pytest.raises(ConfigError, match=r"got 2 fault\(s\)") as refusal:
        one_split(simulator(), Split(3, 5, 1), 32)
    assert "tensor: expected a divisor of 16 heads" in str(refusal.value)


def test_memory_and_time_are_those_of_the_same_splits() -> None:
    splits = [Split(8), Split(8, recompute=Recompute.FULL)]
    step, needed = time_splits(simulator(), splits, 8)
    assert step.total[1] > step.total[0]
    assert needed.activations[1] < needed.activations[0]
