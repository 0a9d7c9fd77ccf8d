"""A training step played message by message: pipeline stages that compute, send and wait.

In: the pieces of a step (`Stage`) and one split, or what each task takes. Out: when every task and message began and
ended.
Idea: tensor groups and replicas do the same at the same time, so one accelerator of each stage stands for all of them
and the cost does not grow with the machine. Stages run their tasks in the order that the schedule gives, each when its
input has arrived; a stage's messages follow each other on its link. The exchange of gradients starts with the last
backward pass, block by block.
Not here: the closed form (`step.py`), which the tests hold against this; a picture of it (`trace.py`).
Source: Narayanan et al. 2021, figures 3 and 4 (one forward, one backward; interleaved).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dojo.machine.compile.partition import Columns
from dojo.machine.compile.transformer import Software
from dojo.machine.simulate.step import Stage

NOBODY: Mapping[int, float] = {}
"""No stage is slow."""


@dataclass(frozen=True, order=True)
class Task:
    """A piece of work of one stage: a micro-batch through one of its pieces, forward or backward."""

    stage: int
    micro_batch: int
    piece: int
    forward: bool


@dataclass(frozen=True)
class Span:
    """From when to when something took a stage, or its link."""

    stage: int
    name: str
    start_s: float
    end_s: float
    on_link: bool = False


def program(stage: int, stages: int, pieces: int, rounds: int) -> list[Task]:
    """The tasks of a stage in its order: a few forward, then one forward and one backward in turn, then backward."""
    if pieces == 1:
        ahead = min(rounds, stages - stage - 1)
    else:
        ahead = min(rounds * pieces, 2 * (stages - stage - 1) + (pieces - 1) * stages)
    forward = [_task(stage, stages, pieces, turn, True) for turn in range(rounds * pieces)]
    backward = [_task(stage, stages, pieces, turn, False) for turn in range(rounds * pieces)]
    turns = [task for pair in zip(forward[ahead:], backward, strict=False) for task in pair]
    return forward[:ahead] + turns + backward[rounds * pieces - ahead :]


def _task(stage: int, stages: int, pieces: int, turn: int, forward: bool) -> Task:
    group, place = divmod(turn, stages * pieces) if pieces > 1 else (turn, 0)
    if pieces == 1:
        return Task(stage, turn, 0, forward)
    piece = place // stages
    return Task(stage, group * stages + place % stages, piece if forward else pieces - 1 - piece, forward)


def source(task: Task, stages: int, pieces: int) -> Task | None:
    """The task whose result a task needs, or nothing at the entrance of the model."""
    stage, piece = task.stage, task.piece
    last = (stages - 1, pieces - 1)
    if task.forward:
        if (stage, piece) == (0, 0):
            return None
        before = (stage - 1, piece) if stage else (stages - 1, piece - 1)
        return Task(before[0], task.micro_batch, before[1], True)
    if (stage, piece) == last:
        return Task(stage, task.micro_batch, piece, True)
    after = (stage + 1, piece) if stage < stages - 1 else (0, piece + 1)
    return Task(after[0], task.micro_batch, after[1], False)


@dataclass
class _Play:
    """The state of a simulation: what waits, what has arrived, who is busy until when."""

    stages: int
    pieces: int
    rounds: int
    seconds: Callable[[Task], float]
    send_s: Callable[[Task], float]
    blocking: bool
    spans: list[Span] = field(default_factory=list)

    def run(self) -> list[float]:
        """Play all tasks; when the last backward pass of each stage ends."""
        programs = [program(stage, self.stages, self.pieces, self.rounds) for stage in range(self.stages)]
        position = [0] * self.stages
        free = [0.0] * self.stages
        link = [[0.0, 0.0] for _ in range(self.stages)]
        arrived: dict[Task, float] = {}
        queue: list[tuple[float, int]] = [(0.0, stage) for stage in range(self.stages)]
        while queue:
            now, stage = heapq.heappop(queue)
            if position[stage] == len(programs[stage]) or free[stage] > now:
                continue
            task = programs[stage][position[stage]]
            needed = source(task, self.stages, self.pieces)
            if needed is not None and arrived.get(task, np.inf) > now:
                continue
            position[stage] += 1
            free[stage] = self._do(task, now, arrived, link[stage], queue)
            heapq.heappush(queue, (free[stage], stage))
        return free

    def _do(
        self, task: Task, now: float, arrived: dict[Task, float], link: list[float], queue: list[tuple[float, int]]
    ) -> float:
        """Do a task and send its result to whoever needs it; when the stage is free again."""
        end = now + self.seconds(task)
        name = f"{'forward' if task.forward else 'backward'} {task.micro_batch}" + f".{task.piece}" * (self.pieces > 1)
        self.spans.append(Span(task.stage, name, now, end))
        target = self._target(task)
        if target is None:
            return end
        free = end
        if target.stage != task.stage:
            start = max(end, link[task.forward])
            link[task.forward] = arrival = start + self.send_s(task)
            self.spans.append(Span(task.stage, f"send {name}", start, arrival, on_link=True))
            free = arrival if self.blocking else end
        else:
            arrival = end
        arrived[target] = arrival
        heapq.heappush(queue, (arrival, target.stage))
        return free

    def _target(self, task: Task) -> Task | None:
        """The task that needs this one's result."""
        stage, piece, stages = task.stage, task.piece, self.stages
        if task.forward:
            if (stage, piece) == (stages - 1, self.pieces - 1):
                return Task(stage, task.micro_batch, piece, False)
            after = (stage + 1, piece) if stage < stages - 1 else (0, piece + 1)
            return Task(after[0], task.micro_batch, after[1], True)
        if (stage, piece) == (0, 0):
            return None
        before = (stage - 1, piece) if stage else (stages - 1, piece - 1)
        return Task(before[0], task.micro_batch, before[1], False)


def play_stages(
    stages: int,
    pieces: int,
    rounds: int,
    seconds: Callable[[Task], float],
    send_s: Callable[[Task], float],
    *,
    blocking: bool,
) -> tuple[list[float], list[Span]]:
    """When each stage has done its last backward pass, and all until then, where stages are not alike.

    Args:
        seconds: of a task. `send_s`: of its result to the stage that needs it.
        blocking: a stage waits for its sends.
    """
    game = _Play(stages, pieces, rounds, seconds, send_s, blocking)
    return game.run(), game.spans


@dataclass(frozen=True)
class Played:
    """A step as it went."""

    seconds: float
    spans: tuple[Span, ...]


def play(stage: Stage, splits: Columns, place: int, software: Software, slow: Mapping[int, float] = NOBODY) -> Played:
    """The step of one of the splits, played.

    Args:
        slow: how many times as long some stages take for their passes, by stage: stragglers.
    """
    stages, pieces = int(splits.pipeline[place]), int(splits.interleave[place])
    blocks = float(stage.blocks[place])
    passes = {True: float(stage.forward.total[place]) * blocks, False: float(stage.backward.total[place]) * blocks}
    at_end = {True: float(stage.ends_forward[place]), False: float(stage.ends_backward[place])}
    host = float(stage.launch[place]) / 2
    gathering = _weights_exposed(stage, place, software, passes)
    seconds = {
        (forward, last): (passes[forward] + host + gathering[forward]) / pieces + (at_end[forward] if last else 0.0)
        for forward in (True, False)
        for last in (True, False)
    }

    def taken(task: Task) -> float:
        last = (task.stage, task.piece) == (stages - 1, pieces - 1)
        return seconds[task.forward, last] * slow.get(task.stage, 1.0)

    ends, spans = play_stages(
        stages,
        pieces,
        int(splits.micro_batches[place]),
        taken,
        lambda task: float(stage.send[place]),
        blocking=not software.overlap_pipeline,
    )
    return Played(_finish(stage, place, software, passes, max(ends), spans), tuple(spans))


def _weights_exposed(stage: Stage, place: int, software: Software, passes: Mapping[bool, float]) -> dict[bool, float]:
    """What a pass waits for weights that are sharded: they come block by block, the next while one computes."""
    each, blocks = float(stage.weights_each_pass[place]), round(float(stage.blocks[place]))
    if not software.overlap_data or not each:
        return {True: each, False: each}
    waits = {}
    for forward, computing in passes.items():
        ready = free = 0.0
        for _ in range(blocks):
            ready += each / blocks
            free = max(ready, free) + computing / blocks
        waits[forward] = free - computing
    return waits


def _finish(
    stage: Stage, place: int, software: Software, passes: Mapping[bool, float], computed: float, spans: list[Span]
) -> float:
    """Gradients, the update and the weights for the next step, after the last backward pass."""
    scatter, gather = float(stage.scatter[place]), float(stage.gather[place])
    blocks = max(1, round(float(stage.blocks[place])))
    if software.overlap_data:
        network = computed - passes[False]
        for block in range(blocks):  # A block's gradients leave when its last backward pass is done.
            ready = computed - passes[False] * (1 - (block + 1) / blocks)
            network = max(network, ready) + scatter / blocks
    else:
        network = computed + scatter
    spans.append(Span(0, "gradients", network - scatter, network, on_link=True))
    update = network + float(stage.optimiser[place])
    spans.append(Span(0, "optimiser", network, update))
    if not software.overlap_data:
        end = update + gather
    else:  # Block by block under the next forward pass; what that waits for belongs to this step.
        ready = free = update
        for _ in range(blocks):
            ready += gather / blocks
            free = max(ready, free) + passes[True] / blocks
        end = free - passes[True]
    if gather:
        spans.append(Span(0, "weights", update, update + gather, on_link=True))
    return end
