"""Steps played message by message, and the closed form held against them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from dojo.machine.compile.partition import Recompute, Split, columns
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.simulate.events import Task, play, program, source
from dojo.machine.simulate.step import Simulator
from dojo.machine.simulate.trace import chrome_trace

Make = Callable[..., Simulator]
BLOCKING = Software(dtype="float16", flash=False, overlap_data=False, overlap_pipeline=False)
GPT3 = Gpt("gpt3", 12288, 96, 96, 2048, 51200)
# How far the closed form may be from what is played: sends that neither hide nor wait entirely, and pieces of unequal
# stages, are not in it.
BOUND = 0.04


@pytest.mark.parametrize(("stages", "pieces", "rounds"), [(1, 1, 3), (4, 1, 2), (4, 1, 9), (4, 3, 8), (2, 4, 6)])
def test_a_program_does_every_task_once_and_never_before_its_source(stages: int, pieces: int, rounds: int) -> None:
    for stage in range(stages):
        tasks = program(stage, stages, pieces, rounds)
        assert len(tasks) == len(set(tasks)) == 2 * pieces * rounds
        for place, task in enumerate(tasks):
            needed = source(task, stages, pieces)
            assert needed is None or needed.stage != stage or needed in tasks[:place]


def test_one_forward_and_one_backward_in_turn() -> None:
    order = [(task.micro_batch, task.forward) for task in program(2, 4, 1, 3)]
    assert order == [(0, True), (1, True), (0, False), (2, True), (1, False), (2, False)]


def test_interleaved_stages_take_pieces_in_turn() -> None:
    tasks = program(0, 2, 2, 4)
    assert tasks[:5] == [
        Task(0, 0, 0, True),
        Task(0, 1, 0, True),
        Task(0, 0, 1, True),
        Task(0, 1, 1, True),
        Task(0, 2, 0, True),
    ]


@pytest.mark.parametrize("software", [Software(), BLOCKING], ids=["overlapped", "blocking"])
@pytest.mark.parametrize(
    "split",
    [
        Split(8, 1, 1),
        Split(8, 1, 8),
        Split(8, 1, 8, zero=1),
        Split(8, 1, 8, zero=3),
        Split(8, 8, 1),
        Split(8, 8, 4, zero=1),
        Split(8, 16, 1, micro_batch=2),
        Split(8, 8, 1, interleave=3),
        Split(4, 8, 2, interleave=12),
    ],
    ids=str,
)
def test_the_closed_form_and_the_played_step_agree(simulate: Make, software: Software, split: Split) -> None:
    simulator = simulate(GPT3, software=software)
    table = columns([split], 64)
    closed = float(simulator.step(table).total[0])
    played = play(simulator.stage(table), table, 0, software).seconds
    assert closed == pytest.approx(played, rel=BOUND)


def test_a_stage_that_is_a_tenth_slower_holds_up_all_others(simulate: Make) -> None:
    simulator = simulate(GPT3)
    table = columns([Split(8, 8, 1)], 64)
    pieces = simulator.stage(table)
    usual = play(pieces, table, 0, simulator.software).seconds
    slowed = play(pieces, table, 0, simulator.software, slow={3: 1.1}).seconds
    assert 1.05 < slowed / usual < 1.1


def test_no_stage_does_two_things_at_once_and_links_carry_one_message_each_way(simulate: Make) -> None:
    simulator = simulate(GPT3)
    table = columns([Split(8, 4, 1, interleave=3)], 16)
    spans = play(simulator.stage(table), table, 0, simulator.software).spans
    for stage in range(4):
        for kind in ("forward", "backward", "send forward", "send backward"):
            on_link = kind.startswith("send")
            busy = sorted(
                (one.start_s, one.end_s)
                for one in spans
                if one.stage == stage and one.on_link is on_link and (not on_link or one.name.startswith(kind))
            )
            assert all(before[1] <= after[0] + 1e-12 for before, after in pairwise(busy))


def test_three_thousand_dies_are_played_in_seconds(simulate: Make) -> None:
    shape = Gpt("wide", 12288, 96, 120, 2048, 51200)
    simulator = simulate(shape, machine="d1")
    table = columns([Split(6, 20, 25, recompute=Recompute.FULL)], 25 * 64)
    played = play(simulator.stage(table), table, 0, simulator.software)
    assert played.seconds > 0
    assert len([one for one in played.spans if not one.on_link]) == 2 * 20 * 64 + 1


def test_a_trace_has_every_span_in_microseconds(simulate: Make) -> None:
    simulator = simulate(GPT3, software=replace(Software(), overlap_data=False))
    table = columns([Split(8, 4, 1)], 8)
    played = play(simulator.stage(table), table, 0, simulator.software)
    events = json.loads(chrome_trace(played))["traceEvents"]
    spans = [one for one in events if one["ph"] == "X"]
    assert len(spans) == len(played.spans)
    last = max(one["ts"] + one["dur"] for one in spans)
    assert last == pytest.approx(played.seconds * 1e6)
