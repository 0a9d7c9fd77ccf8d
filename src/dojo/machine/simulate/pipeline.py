"""How long a captured training step takes in the stages of a pipeline, and what each keeps.

In: a captured step cut into pieces, a split, how many micro-batches. Out: seconds by what they are spent on, bytes of
the fullest stage, and the step as it went.
Idea: a stage alone is a step whose samples come in rounds (`vision.py`): its kernels, its launches, its exchange of
gradients. The pipeline adds who waits for whom, and that is played task by task, as it is for GPTs (`events.py`).
Played long enough a pipeline has a beat, so a step of many micro-batches is played for a few and goes on in that beat.
Stages of a replica lie as far apart as there are replicas, as in `machine/compile/partition.py`; what several stages
learn together, such as an embedding that is also the output, they sum once a step.
Not here: where to cut (`balance.py`), which splits there are (`machine/plan/pipelines.py`).
Source: Narayanan et al. 2021, section 2.2 (one forward, one backward; interleaved).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dojo.machine.chip.spec import Machine
from dojo.machine.compile.graph import Graph, Phase
from dojo.machine.compile.partition import Split
from dojo.machine.compile.place import GRADIENT_BYTES, STATE_BYTES, WEIGHT_BYTES, working_bytes
from dojo.machine.compile.stages import UPDATE, Line, Pieces
from dojo.machine.simulate.balance import Balance, PerPlace
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.events import NOBODY, Played, Span, Task, play_stages, program
from dojo.machine.simulate.fabric import Fabric
from dojo.machine.simulate.vision import UNFED, Feed, Kernels, Library, VisionStep, feeding_s, in_rounds, timed


@dataclass(frozen=True)
class Site:
    """Where a step runs, and how."""

    machine: Machine
    constants: Constants
    library: Library
    feed: Feed

    @cached_property
    def fabric(self) -> Fabric:
        """The networks between accelerators."""
        return Fabric.of(self.machine, self.constants.wires)

    def timed(self, fused: Graph) -> Kernels:
        """Kernels with their seconds."""
        return timed(fused, self.machine, self.constants, self.library.fusion)


@dataclass(frozen=True)
class Stage:
    """What one accelerator of a replica does.

    Args:
        kernels: of both passes of all its pieces, and its share of the optimiser's.
        forward, backward: seconds of each of its pieces, with what launching adds.
        kept_bytes: of a micro-batch in each of its pieces.
        alone: its step if it had to wait for nobody.
    """

    kernels: Kernels
    forward: tuple[float, ...]
    backward: tuple[float, ...]
    kept_bytes: tuple[float, ...]
    alone: VisionStep


@dataclass(frozen=True)
class Pipeline:
    """A step in stages.

    Args:
        stages: from the first on.
        onwards_s, back_s: of a micro-batch over each cut.
        rounds: micro-batches that go through.
    """

    split: Split
    rounds: int
    stages: tuple[Stage, ...]
    onwards_s: tuple[float, ...]
    back_s: tuple[float, ...]
    site: Site

    @cached_property
    def step(self) -> VisionStep:
        """Seconds of the stage that is done last, by what they are spent on."""
        ends = self._ends()
        total, last = max(
            (end + _after(stage), at) for at, (end, stage) in enumerate(zip(ends, self.stages, strict=True))
        )
        alone = self.stages[last].alone
        seconds = dict(alone.seconds) | {
            "sends": 0.0 if self.site.library.overlap else self.rounds * self._sends_s(last)
        }
        seconds["bubble"] = max(0.0, total - sum(seconds.values()))
        feed = self.site.feed
        if feed.decoded_per_s is not None:  # The hosts of all stages decode.
            feed = replace(feed, decoded_per_s=feed.decoded_per_s * self.split.pipeline)
        seconds["feeding"] = max(0.0, feeding_s(alone.samples // self.split.data, self.site.machine, feed) - total)
        return VisionStep(alone.samples, self.split.accelerators, seconds)

    def _ends(self) -> list[float]:
        """When each stage has done its last backward pass; what comes after many rounds follows from the beat."""
        few, more = 4 * self.split.pipeline, 8 * self.split.pipeline
        if self.rounds <= more:
            return self._play(self.rounds)[0]
        early, late = (np.array(self._play(rounds)[0]) for rounds in (few, more))
        ends: list[float] = (late + (self.rounds - more) * (late - early) / (more - few)).tolist()
        return ends

    def _play(self, rounds: int, slow: Mapping[int, float] = NOBODY) -> tuple[list[float], list[Span]]:
        def taken(task: Task) -> float:
            stage = self.stages[task.stage]
            return (stage.forward if task.forward else stage.backward)[task.piece] * slow.get(task.stage, 1.0)

        return play_stages(
            self.split.pipeline,
            self.split.interleave,
            rounds,
            taken,
            self._send_s,
            blocking=not self.site.library.overlap,
        )

    def _send_s(self, task: Task) -> float:
        at = task.piece * self.split.pipeline + task.stage
        return self.onwards_s[at] if task.forward else self.back_s[at - 1]

    def _sends_s(self, stage: int) -> float:
        """Of one micro-batch, all that a stage sends."""
        own = range(stage, len(self.onwards_s) + 1, self.split.pipeline)
        onwards = sum((self.onwards_s[at] for at in own if at < len(self.onwards_s)), 0.0)
        return onwards + sum((self.back_s[at - 1] for at in own if at), 0.0)

    def played(self, slow: Mapping[int, float] = NOBODY) -> Played:
        """The whole step as it went.

        Args:
            slow: how many times as long some stages take for their passes, by stage: stragglers.
        """
        ends, spans = self._play(self.rounds, slow)
        for at, (end, stage) in enumerate(zip(ends, self.stages, strict=True)):
            summed = end + stage.alone.seconds["exchange"]
            spans.append(Span(at, "gradients", end, summed, on_link=True))
            spans.append(Span(at, "optimiser", summed, end + _after(stage)))
        return Played(max(end + _after(stage) for end, stage in zip(ends, self.stages, strict=True)), tuple(spans))

    def memory(self) -> dict[str, float]:
        """Bytes of the fullest stage, by what they are; what the framework takes is not counted."""
        every = [self._kept(at) for at in range(len(self.stages))]
        return max(every, key=lambda parts: sum(parts.values()))

    def _kept(self, at: int) -> dict[str, float]:
        stage, split = self.stages[at], self.split
        numbers, sharded = float(stage.kernels.graph.parameters), split.data if split.zero else 1
        return {
            "activations": most_kept_bytes(at, split, min(self.rounds, 2 * split.pipeline), stage.kept_bytes),
            "working": working_bytes(stage.kernels.graph),
            "weights": WEIGHT_BYTES * numbers,
            "gradients": GRADIENT_BYTES * numbers,
            "optimiser": STATE_BYTES * numbers / sharded,
        }


def _after(stage: Stage) -> float:
    """After its last backward pass: the sum of gradients and the update, with what launching adds."""
    parts = stage.alone.seconds
    return parts["exchange"] + parts["optimiser"] * _stretched(stage.alone)


def _stretched(alone: VisionStep) -> float:
    """By how much launching makes everything longer."""
    busy = sum(alone.seconds[name] for name in ("products", "memory", "optimiser"))
    return 1 + alone.seconds["launching"] / busy if busy else 1.0


def most_kept_bytes(stage: int, split: Split, rounds: int, kept_bytes: Sequence[float]) -> float:
    """The most that lies there for backward passes to come, as the schedule goes."""
    kept = most = 0.0
    for task in program(stage, split.pipeline, split.interleave, rounds):
        kept += kept_bytes[task.piece] if task.forward else -kept_bytes[task.piece]
        most = max(most, kept)
    return most


def balance_of(line: Line, whole: Kernels, site: Site, data: int) -> Balance:
    """Where a step can be cut, from the kernels of the whole."""
    sends = _sends(line.onwards_bytes, site, data) + _sends(line.back_bytes, site, data)
    return Balance(line.beside(whole.seconds), sends, line.candidates, site.library.overlap)


def _sends(sizes: PerPlace, site: Site, data: int) -> PerPlace:
    return np.array([site.fabric.send_s(data, size) if size else 0.0 for size in sizes.tolist()])


def pipeline_of(pieces: Pieces, kernels: Kernels, split: Split, rounds: int, site: Site) -> Pipeline:
    """A step in stages: of its pieces each stage takes every so manieth.

    Args:
        kernels: of `pieces.graph`.
    """
    stages = tuple(_stage(pieces, kernels, split, rounds, site, at) for at in range(split.pipeline))
    sends = [
        tuple(site.fabric.send_s(split.data, size) if size else 0.0 for size in sizes)
        for sizes in (pieces.onwards_bytes, pieces.back_bytes)
    ]
    return Pipeline(split, rounds, stages, sends[0], sends[1], site)


def _stage(pieces: Pieces, kernels: Kernels, split: Split, rounds: int, site: Site, at: int) -> Stage:
    own = range(at, len(pieces.weights), split.pipeline)
    held = frozenset[int]().union(*(pieces.weights[piece] for piece in own))
    mine = _part(pieces, kernels, frozenset(own), held)
    alone = in_rounds(
        mine, site.machine, split.data, site.constants, site.library, UNFED, rounds=rounds, zero=split.zero
    )
    summed = alone.seconds["exchange"] + _tied_s(pieces, held, split, site)
    alone = replace(alone, seconds=alone.seconds | {"exchange": summed})
    stretched = _stretched(alone)
    passes = {
        (piece, phase): stretched * sum(_of(pieces, kernels, piece, phase))
        for piece in own
        for phase in (Phase.FORWARD, Phase.BACKWARD)
    }
    return Stage(
        kernels=mine,
        forward=tuple(passes[piece, Phase.FORWARD] for piece in own),
        backward=tuple(passes[piece, Phase.BACKWARD] for piece in own),
        kept_bytes=tuple(pieces.kept_bytes[piece] for piece in own),
        alone=alone,
    )


def _of(pieces: Pieces, kernels: Kernels, piece: int, phase: Phase) -> list[float]:
    every = zip(pieces.graph.operators, pieces.piece, kernels.seconds, strict=True)
    return [time for one, at, time in every if at == piece and one.phase is phase]


def _part(pieces: Pieces, kernels: Kernels, own: frozenset[int], held: frozenset[int]) -> Kernels:
    """A stage's kernels: those of its pieces, and of the optimiser's the share that its weights have of all."""
    weights = pieces.graph.weights
    numbers = sum(weights[at].numbers for at in held)
    share = numbers / max(1, sum(one.numbers for one in weights))
    operators, seconds = [], []
    for one, piece, time in zip(pieces.graph.operators, pieces.piece, kernels.seconds, strict=True):
        if piece in own or piece == UPDATE:
            operators.append(replace(one, after=()))  # They stand in order; what they wait for may be elsewhere.
            seconds.append(time * share if piece == UPDATE else time)
    return Kernels(replace(pieces.graph, parameters=numbers, operators=tuple(operators)), tuple(seconds))


def _tied_s(pieces: Pieces, held: frozenset[int], split: Split, site: Site) -> float:
    """Until gradients of weights that several stages have are summed between them, in 16 bits."""
    seconds = 0.0
    for at in held:
        stages = {piece % split.pipeline for piece, weights in enumerate(pieces.weights) if at in weights}
        if len(stages) > 1:
            size = 2.0 * pieces.graph.weights[at].numbers
            seconds += site.fabric.all_reduce_s(len(stages), split.data, size)
    return seconds
