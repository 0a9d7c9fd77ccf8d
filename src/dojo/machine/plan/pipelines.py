"""How to divide a captured step into the stages of pipelines, and its samples over several of those.

In: a question about a captured step. Out: `Division`s.
Idea: the operators of one replica are cut where that makes the slowest stage fastest; nobody has to say which layers
are alike. Replicas, micro-batches, pieces of a stage and sharding are chosen as for a GPT, and so is what is not legal:
sharded gradients or weights would be gathered and scattered for each micro-batch.
Not here: samples alone (`replicas.py`), the choice (`divide.py`), time (`machine/simulate/pipeline.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dojo.machine.compile.memory import FRAMEWORK_BYTES, capacity_bytes
from dojo.machine.compile.partition import Split
from dojo.machine.compile.stages import Line, Pieces
from dojo.machine.plan.replicas import Division, Question
from dojo.machine.simulate.balance import Balance
from dojo.machine.simulate.pipeline import Pipeline, Site, balance_of, pipeline_of
from dojo.machine.simulate.vision import Kernels

MOST_STAGES, MOST_PIECES = 64, 8
"""Of what is searched: stages of a pipeline, pieces of a stage. More must be asked for."""


@dataclass
class Pipelines:
    """The ways to divide a step into stages; what several of them share is found once."""

    asked: Question
    _balances: dict[tuple[int, int], Balance] = field(default_factory=dict)
    _lines: dict[int, tuple[Line, Kernels]] = field(default_factory=dict)
    _cut: dict[tuple[int, tuple[int, ...]], tuple[Pieces, Kernels]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        asked = self.asked
        self._site = Site(asked.machine, asked.constants, asked.library, asked.feed)

    def most(self, samples: int, data: int) -> int:
        """How many pieces a step of so many samples can be cut into."""
        return self._balance(samples, data).most

    def every(self) -> list[Division]:
        """All that are legal, whether they fit or not."""
        return [self.division(split) for split in self._splits()]

    def _splits(self) -> Iterator[Split]:
        count, batch = self.asked.count, self.asked.batch
        for pipeline in _divisors(count, MOST_STAGES):
            data = count // pipeline
            if pipeline == 1 or batch % data:
                continue
            for samples in _divisors(batch // data, batch):
                rounds = batch // data // samples
                for interleave in _divisors(MOST_PIECES, MOST_PIECES) if rounds % pipeline == 0 else [1]:
                    if pipeline * interleave <= self.most(samples, data):
                        for zero in (0, 1) if data > 1 else (0,):
                            yield Split(1, pipeline, data, 1, samples, interleave, zero=zero)

    def faults(self, split: Split) -> list[str]:
        """Every reason for which a split is not legal."""
        count, batch = self.asked.count, self.asked.batch
        if min(split.pipeline, split.micro_batch, split.interleave) < 1:
            return [f"pipeline, micro_batch and interleave: expected 1 or more, got {split}"]
        if split.accelerators != count:
            return [f"pipeline: expected a divisor of {count} accelerators, got {split.pipeline}"]
        if batch % (split.data * split.micro_batch):
            return [
                f"data x micro_batch: expected a divisor of the batch {batch}, got {split.data} x {split.micro_batch}"
            ]
        found, rounds = [], batch // (split.data * split.micro_batch)
        most = self.most(split.micro_batch, split.data)
        if split.pipeline * split.interleave > most:
            found.append(
                f"pipeline x interleave: expected at most {most}, where the captured step can be cut, got "
                f"{split.pipeline} x {split.interleave}"
            )
        if split.interleave > 1 and rounds % split.pipeline:
            found.append(f"interleave: expected micro-batches in multiples of {split.pipeline} stages, got {rounds}")
        if split.zero not in (0, 1):
            found.append("zero: expected 0 or 1 with a pipeline, which would gather and scatter for each micro-batch")
        elif split.zero and split.data == 1:
            found.append("zero: expected more than one replica to shard over")
        return found

    def division(self, split: Split) -> Division:
        """A legal way."""
        found = self.pipeline(split)
        memory = found.memory() | {"framework": FRAMEWORK_BYTES}
        said = f"pipeline {split.pipeline} x data {split.data}, micro-batch {split.micro_batch}"
        said += f" x {found.rounds}" if found.rounds > 1 else ""
        said += f", {split.interleave} pieces a stage" if split.interleave > 1 else ""
        said += f", ZeRO-{split.zero}" if split.zero else ""
        return Division(said, found.step, memory, capacity_bytes(self.asked.machine), split, found)

    def pipeline(self, split: Split) -> Pipeline:
        """The stages of a legal way."""
        rounds = self.asked.batch // (split.data * split.micro_batch)
        return pipeline_of(*self._pieces(split), split, rounds, self._site)

    def _pieces(self, split: Split) -> tuple[Pieces, Kernels]:
        cuts = tuple(self._balance(split.micro_batch, split.data).cuts(split.pipeline * split.interleave))
        if (key := (split.micro_batch, cuts)) not in self._cut:
            pieces = self._line(split.micro_batch)[0].cut(cuts)
            self._cut[key] = pieces, self._site.timed(pieces.graph)
        return self._cut[key]

    def _balance(self, samples: int, data: int) -> Balance:
        if (samples, data) not in self._balances:
            self._balances[samples, data] = balance_of(*self._line(samples), self._site, data)
        return self._balances[samples, data]

    def _line(self, samples: int) -> tuple[Line, Kernels]:
        if samples not in self._lines:
            line = Line(self.asked.step.at(samples))
            self._lines[samples] = line, self._site.timed(line.cut([]).graph)
        return self._lines[samples]


def _divisors(number: int, largest: int) -> list[int]:
    return [one for one in range(1, min(number, largest) + 1) if number % one == 0]
