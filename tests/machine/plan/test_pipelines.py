"""A captured step in stages and replicas: what is legal, what fits, what is faster."""

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
from dojo.machine.compile.partition import Split
from dojo.machine.plan.divide import checked, divisions, played
from dojo.machine.plan.pipelines import Pipelines
from dojo.machine.plan.replicas import Question
from dojo.machine.simulate.constants import load_constants
from dojo.machine.specs import load_machine

WIDTH, LAYERS = 8192, 8


def dense(samples: int) -> Graph:
    with torch.device("meta"):
        layers = [nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=False), nn.ReLU()) for _ in range(LAYERS)]
        model = nn.Sequential(*layers)
    return capture("dense", model, lambda twin: twin(torch.empty(samples, WIDTH)).square().mean(), samples)


@cache
def step() -> Batches:
    return Batches(dense(4), dense(8))


def asked(count: int = 8, batch: int = 512, **changed: object) -> Question:
    question = Question(step(), load_machine("a100"), count, batch, load_constants())
    return replace(question, **changed)  # type: ignore[arg-type]


def test_alike_layers_are_cut_evenly_without_being_told() -> None:
    one = Pipelines(asked(count=4)).division(Split(pipeline=4, micro_batch=64))
    assert one.pipeline is not None
    assert [stage.kernels.graph.parameters for stage in one.pipeline.stages] == [2 * WIDTH**2] * 4
    assert one.says == "pipeline 4 x data 1, micro-batch 64 x 8"
    ideal = 3 / (8 + 3)
    assert one.step.seconds["bubble"] / one.step.total_s == pytest.approx(ideal, abs=0.06)


def test_a_search_finds_stages_where_weights_are_many_and_samples_few() -> None:
    many = Batches(*(replace(graph, parameters=10 * graph.parameters) for graph in (step().few, step().more)))
    few = divisions(asked(batch=8))
    assert "pipeline" in few[0].says
    assert [one.step.total_s for one in few] == sorted(one.step.total_s for one in few)
    assert all(one.fits for one in few)
    assert {one.split.pipeline for one in few if one.split} == {1, 2, 4, 8}
    assert "data 8" in divisions(asked(batch=8 * 1021))[0].says
    assert few[0].step.total_s < divisions(asked(batch=8, step=many))[-1].step.total_s


def test_a_batch_that_accelerators_cannot_share_goes_through_a_pipeline() -> None:
    found = divisions(asked(count=8, batch=12))
    assert {one.split.data for one in found if one.split} == {1, 2, 4}
    assert all(one.pipeline is not None for one in found)


def test_an_illegal_split_lists_every_fault_and_the_nearest_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"got 2 fault\(s\)") as refusal:
        checked(asked(batch=16), Split(pipeline=8, data=1, micro_batch=4, interleave=2, zero=2))
    said = str(refusal.value)
    assert "interleave: expected micro-batches in multiples of 8 stages, got 4" in said
    assert "zero: expected 0 or 1 with a pipeline" in said
    assert "the nearest that fits: pipeline 8 x data 1, micro-batch " in said
    with pytest.raises(ConfigError, match="expected more than one replica to shard over"):
        checked(asked(batch=16), Split(pipeline=8, zero=1))
    with pytest.raises(ConfigError, match="expected a divisor of 8 accelerators, got 3"):
        checked(asked(batch=16), Split(pipeline=3, data=2))
    with pytest.raises(ConfigError, match="expected a divisor of the batch 16, got 2 x 3"):
        checked(asked(batch=16), Split(pipeline=4, data=2, micro_batch=3))
    with pytest.raises(ConfigError, match=r"expected at most \d+, where the captured step can be cut, got 8 x 64"):
        checked(asked(batch=16), Split(pipeline=8, micro_batch=1, interleave=64))


def test_what_does_not_fit_is_refused_with_what_does() -> None:
    many = asked(count=1, batch=1 << 20)
    with pytest.raises(
        ConfigError, match=r"of which activations .* GB; the nearest that fits: data 1, micro-batch \d+ x"
    ):
        checked(many, Split(micro_batch=1 << 20))
    prime = (1 << 19) - 1
    wide = asked(count=8, batch=2 * prime)
    with pytest.raises(ConfigError, match=r"of which activations .* the nearest that fits: pipeline 4 x data 2, micro"):
        checked(wide, Split(pipeline=4, data=2, micro_batch=prime))
    large = Batches(*(replace(graph, parameters=10**10, weights=()) for graph in (step().few, step().more)))
    with pytest.raises(ConfigError, match=r"of which optimiser 120\.0 GB; take more accelerators"):
        divisions(asked(count=1, batch=2, step=large))
    assert "ZeRO" in divisions(asked(count=16, batch=32, step=large))[0].says


def test_a_step_is_played_with_and_without_stages() -> None:
    for split in (Split(pipeline=4, data=2, micro_batch=32, interleave=2), Split(data=8, micro_batch=16, zero=2)):
        one = checked(asked(), split)
        assert played(asked(), one).seconds == pytest.approx(one.step.total_s, rel=1e-6)


def test_on_dies_there_is_nothing_to_split() -> None:
    on_dies = Question(step(), load_machine("d1"), 25, 50, load_constants())
    with pytest.raises(ConfigError, match="dense on d1: expected no split"):
        checked(on_dies, Split(pipeline=5, data=5))
    with pytest.raises(ConfigError, match="trace and slow: expected accelerators with stages"):
        played(on_dies, divisions(on_dies)[0])
