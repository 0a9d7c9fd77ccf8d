"""A captured step, divided: what fits, what is faster, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.capture import capture
from dojo.machine.compile.graph import Graph
from dojo.machine.plan.divide import divisions
from dojo.machine.plan.replicas import Question, by_samples, division
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.vision import Library
from dojo.machine.specs import load_machine

WIDTH = 8192


def dense(samples: int) -> Graph:
    with torch.device("meta"):
        model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)))
    return capture("dense", model, lambda twin: twin(torch.empty(samples, WIDTH)).square().mean(), samples)


@cache
def step() -> Batches:
    return Batches(dense(4), dense(8))


def asked(count: int = 8, batch: int = 512, **changed: object) -> Question:
    question = Question(step(), load_machine("h100"), count, batch, load_constants())
    return replace(question, **changed)  # type: ignore[arg-type]


def test_pieces_of_a_share_take_as_many_passes_and_one_update() -> None:
    whole, pieces = (division(asked(count=1, batch=64), samples, 0).step.seconds for samples in (64, 16))
    assert pieces["optimiser"] == pytest.approx(whole["optimiser"])
    assert pieces["products"] > 2 * whole["products"]  # Weights are read four times.


def test_what_is_sharded_is_divided_and_costs_its_exchange() -> None:
    ways = [division(asked(), 64, zero) for zero in range(4)]
    weights = step().few.parameters
    assert [way.memory["optimiser"] for way in ways] == [12.0 * weights] + [1.5 * weights] * 3
    assert [way.memory["gradients"] for way in ways] == [4.0 * weights] * 2 + [0.5 * weights] * 2
    assert [way.memory["weights"] for way in ways] == [2.0 * weights] * 3 + [0.25 * weights]
    assert ways[1].step.seconds["optimiser"] == pytest.approx(ways[0].step.seconds["optimiser"] / 8)
    exchanges = [way.step.seconds["exchange"] for way in ways]
    # A sum hides behind the backward pass, a scattering and a gathering behind both; weights are gathered twice.
    assert exchanges[0] > exchanges[1] == exchanges[2] < exchanges[3]


def test_nothing_hides_an_exchange_that_overlaps_nothing() -> None:
    hidden = division(asked(), 64, 1).step.seconds["exchange"]
    waited = division(asked(library=Library(overlap=False)), 64, 1).step.seconds["exchange"]
    assert waited > hidden > 0
    twice = division(asked(library=Library(overlap=False)), 32, 2).step.seconds["exchange"]
    assert twice == pytest.approx(1.5 * waited)  # Two scatterings and a gathering; a sum is one of each.


def test_divisions_come_fastest_first_and_all_fit() -> None:
    found = by_samples(asked(count=2, batch=24))
    assert len(found) == 6 * 4
    found = divisions(asked(count=2, batch=24))
    assert len(found) > 6 * 4
    assert [one.step.total_s for one in found] == sorted(one.step.total_s for one in found)
    assert all(one.memory_bytes <= one.limit_bytes == 80e9 for one in found)


def test_a_batch_that_cannot_be_shared_is_refused_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"multiple of 8 accelerators, .* got 100; the nearest are 96 and 104"):
        division(asked(batch=100), 1, 0)
    with pytest.raises(ConfigError, match="a micro-batch that divides 64 samples"):
        division(asked(), 48, 0)


def test_on_dies_a_division_is_a_placement() -> None:
    (found,) = divisions(Question(step(), load_machine("d1"), 25, 50, load_constants()))
    assert "dies, all nodes on one operator" in found.says
    assert found.memory_bytes <= found.limit_bytes
