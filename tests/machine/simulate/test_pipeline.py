"""Captured steps in the stages of a pipeline: by hand, and beside the model of GPT blocks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from dojo.machine.compile.graph import Graph, Kind, Operator, Phase, Weight
from dojo.machine.compile.models import gpt_step
from dojo.machine.compile.partition import Split, columns
from dojo.machine.compile.stages import Line
from dojo.machine.compile.transformer import Gpt
from dojo.machine.network.link import LinkCost
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.measured import MEGATRON_CORE
from dojo.machine.simulate.pipeline import Pipeline, Site, most_kept_bytes, pipeline_of
from dojo.machine.simulate.step import Simulator
from dojo.machine.simulate.vision import UNFED, Feed, Kernels, Library, in_rounds
from dojo.machine.specs import load_machine

CONSTANTS = load_constants()
IDEAL = replace(CONSTANTS, near_share=1.0, far_share=1.0, start_s=0.0)
TOY = load_machine("toy")
"""Ten chips in a box: cables of 10 GB/s and 1 us."""
LAYER_S = {Phase.FORWARD: 1.0, Phase.BACKWARD: 2.0, Phase.OPTIMISER: 0.5}


def chain(layers: int, handed_bytes: float = 0.0) -> Graph:
    """Layers of one weight each, all alike."""
    forward = [
        Operator("layer", Kind.MATMUL, Phase.FORWARD, 1.0, 2.0, handed_bytes, "bfloat16", after=after, weights=(at,))
        for at, after in enumerate([(), *((at,) for at in range(layers - 1))])
    ]
    backward = [
        Operator("back", Kind.MATMUL, Phase.BACKWARD, 2.0, 1.0, handed_bytes, "bfloat16", belongs_to=layers - 1 - turn)
        for turn in range(layers)
    ]
    backward = [
        replace(one, after=tuple({layers - 1 - turn, layers + max(0, turn - 1)} - {layers + turn}), weights=())
        for turn, one in enumerate(backward)
    ]
    update = Operator("update", Kind.OPTIMISER, Phase.OPTIMISER, 1.0, 1.0, 1.0, "float32")
    weights = tuple(Weight(str(at), 10) for at in range(layers))
    return Graph("chain", 1, 10 * layers, (*forward, *backward, update), weights)


def pipeline(graph: Graph, split: Split, rounds: int, site: Site | None = None) -> Pipeline:
    """Cut evenly; each layer takes a second forward and two backward, the whole update half a second."""
    line = Line(graph)
    pieces = split.pipeline * split.interleave
    found = line.cut([at * line.length // pieces for at in range(1, pieces)])
    kernels = Kernels(found.graph, tuple(LAYER_S[one.phase] for one in found.graph.operators))
    return pipeline_of(found, kernels, split, rounds, site or Site(TOY, IDEAL, Library(), UNFED))


@pytest.mark.parametrize(("stages", "rounds"), [(2, 4), (4, 8), (8, 8), (4, 400)])
def test_the_bubble_of_equal_stages_is_p_less_one_of_m(stages: int, rounds: int) -> None:
    step = pipeline(chain(stages), Split(pipeline=stages), rounds).step
    bubble, passes = step.seconds["bubble"], rounds * 3.0
    # Latencies of 1 us both ways at every border are all else.
    assert bubble / (bubble + passes) == pytest.approx((stages - 1) / (rounds + stages - 1), rel=1e-4)
    assert step.total_s == pytest.approx(3.0 * (rounds + stages - 1) + 0.5 / stages, rel=1e-5)
    assert (step.samples, step.accelerators) == (rounds, stages)


def test_interleaved_pieces_divide_the_bubble() -> None:
    whole, pieces = (pipeline(chain(8), Split(pipeline=4, interleave=one), 8).step for one in (1, 2))
    assert whole.seconds["bubble"] == pytest.approx(3 * 6.0, rel=1e-4)
    assert pieces.seconds["bubble"] == pytest.approx(whole.seconds["bubble"] / 2, rel=1e-4)


def test_a_stage_that_is_slower_sets_the_pace() -> None:
    found = pipeline(chain(4), Split(pipeline=4), 100)
    slow = replace(found.stages[2], forward=(2.0,), backward=(4.0,))
    slowed = replace(found, stages=(*found.stages[:2], slow, found.stages[3]))
    # Two seconds until the slow stage has work and four after its last; once it waits a second for the stage behind it.
    assert slowed.step.total_s == pytest.approx(2.0 + 600.0 + 1.0 + 4.0 + 0.5 / 4, rel=1e-5)


def test_messages_take_their_time_and_hide_where_they_may() -> None:
    graph = chain(2, handed_bytes=10e9)  # One second over a cable.
    hidden = pipeline(graph, Split(pipeline=2), 16).step
    shown = pipeline(graph, Split(pipeline=2), 16, Site(TOY, IDEAL, Library(overlap=False), UNFED)).step
    assert hidden.seconds["sends"] == 0.0
    # Two micro-batches are under way at most, and one takes 1 + 1 + 3 + 1 + 2 s there and back, so that two take eight
    # even where nobody waits for a send; the second is back for the first time after eleven.
    assert hidden.total_s == pytest.approx(11.0 + 7 * 8.0 + 0.5 / 2, rel=1e-5)
    assert shown.seconds["sends"] == pytest.approx(16.0, rel=1e-4)
    assert shown.total_s >= hidden.total_s
    far = pipeline(graph, Split(pipeline=2, data=10), 16, Site(TOY, IDEAL, Library(overlap=False), UNFED)).step
    assert far.seconds["sends"] > shown.seconds["sends"]  # Over the network between boxes.


def test_a_pipeline_of_one_stage_is_the_step_that_was() -> None:
    graph = gpt_line().graph
    site = Site(load_machine("a100"), CONSTANTS, Library(overlap=False, launch_s=1e-5), Feed(1e6, 100.0))
    cut = gpt_line().cut([])
    kernels = site.timed(cut.graph)
    for data, rounds, zero in ((1, 1, 0), (8, 4, 0), (8, 40, 1)):
        split = Split(data=data, zero=zero, micro_batch=graph.samples)
        staged = pipeline_of(cut, kernels, split, rounds, site).step
        before = in_rounds(kernels, site.machine, data, CONSTANTS, site.library, site.feed, rounds=rounds, zero=zero)
        assert staged.total_s == pytest.approx(before.total_s, rel=1e-9)
        assert {**before.seconds, "sends": 0.0, "bubble": 0.0} == pytest.approx(staged.seconds, abs=1e-9)
        assert (staged.samples, staged.accelerators) == (before.samples, before.accelerators)


def test_a_step_that_goes_on_in_its_beat_is_the_one_that_is_played() -> None:
    found = pipeline(chain(8, handed_bytes=3e9), Split(pipeline=4, interleave=2), 60)
    uneven = replace(found.stages[1], forward=(1.7, 0.4), backward=(2.9, 1.1))
    found = replace(found, stages=(found.stages[0], uneven, *found.stages[2:]))
    assert found.step.total_s == pytest.approx(found.played().seconds, rel=2e-3)
    names = {one.name for one in found.played().spans}
    assert {"forward 59.1", "backward 59.0", "send forward 0.0", "gradients", "optimiser"} <= names


def test_the_first_stage_keeps_as_many_micro_batches_as_there_are_stages() -> None:
    kept = [most_kept_bytes(stage, Split(pipeline=4), 8, (7.0,)) for stage in range(4)]
    assert kept == [4 * 7.0, 3 * 7.0, 2 * 7.0, 7.0]
    assert most_kept_bytes(0, Split(pipeline=4), 2, (7.0,)) == 2 * 7.0
    # Source: Narayanan et al. 2021, section 2.2: interleaved, 1 + (p - 1)/(p v) as many.
    pieces = most_kept_bytes(0, Split(pipeline=4, interleave=2), 8, (3.5, 3.5))
    assert pieces == pytest.approx(4 * 7.0 * (1 + 3 / 8))


def test_memory_falls_as_stages_grow() -> None:
    fullest = [pipeline(chain(8, 100.0), Split(pipeline=stages), 1).memory() for stages in (1, 2, 4, 8)]
    assert [one["weights"] for one in fullest] == [2 * 80.0, 2 * 40.0, 2 * 20.0, 2 * 10.0]
    assert [one["optimiser"] for one in fullest] == [12 * 80.0, 12 * 40.0, 12 * 20.0, 12 * 10.0]
    totals = [sum(one.values()) for one in fullest]
    assert totals == sorted(totals, reverse=True)
    sharded = pipeline(chain(8), Split(pipeline=4, data=2, zero=1), 1).memory()
    assert sharded["optimiser"] == 12 * 20.0 / 2


def test_weights_at_both_ends_are_summed_between_them() -> None:
    graph = chain(4)
    tied = replace(graph.operators[3], weights=(0, 3))
    both = replace(graph, operators=(*graph.operators[:3], tied, *graph.operators[4:]))
    alone = [stage.alone.seconds["exchange"] for stage in pipeline(both, Split(pipeline=4), 4).stages]
    assert alone[0] == alone[3] > 0.0 == alone[1] == alone[2]
    assert alone[0] == pytest.approx(2 * LinkCost(1e-6, 10e9).seconds(10.0))


SHAPE = Gpt("gpt", hidden=2304, heads=24, layers=8, sequence=2048, vocabulary=51200)


@cache
def gpt_line() -> Line:
    return Line(gpt_step(SHAPE, 1))


def blocks_cut(line: Line, stages: int) -> list[int]:
    """Where a GPT's blocks are divided evenly, as its own model has it."""
    names = [weight.name for weight in line.graph.weights]
    starts = range(SHAPE.layers // stages, SHAPE.layers, SHAPE.layers // stages)
    firsts = [names.index(f"blocks.{at}.attention_norm.weight") for at in starts]
    return [next(at for at, one in enumerate(line.graph.operators) if first in one.weights) for first in firsts]


# How far a whole step may be off. Blocks agree within two hundredths and messages exactly; the head, which the model of
# blocks makes a fifth longer, is the longer a part of the slowest stage the more stages there are.
BOUND = 0.12


@pytest.mark.parametrize("stages", [2, 4, 8])
def test_a_captured_gpt_and_the_model_of_its_blocks_agree(stages: int) -> None:
    machine, rounds, split = load_machine("a100"), 16, Split(pipeline=stages)
    # Both alike: the host's time is of the one's software alone.
    constants = replace(CONSTANTS, micro_batch_s=0.0, launch_s=0.0)
    site = Site(machine, constants, Library(), UNFED)
    found = gpt_line().cut(blocks_cut(gpt_line(), stages))
    captured = pipeline_of(found, site.timed(found.graph), split, rounds, site)
    simulator = Simulator(SHAPE, MEGATRON_CORE, machine, constants)
    formula = simulator.step(columns([split], rounds))
    assert captured.step.total_s == pytest.approx(float(formula.total[0]), rel=BOUND)
    own, middle = simulator.stage(columns([split], rounds)), captured.stages[(stages - 1) // 2]
    assert captured.onwards_s == captured.back_s == pytest.approx([float(own.send[0])] * (stages - 1))
    if stages > 2:  # Neither the first, with the embedding, nor the last.
        passes = float((own.forward.total + own.backward.total)[0] * own.blocks[0])
        assert middle.forward[0] + middle.backward[0] == pytest.approx(passes, rel=0.02)
