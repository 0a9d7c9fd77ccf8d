"""A captured step at any batch size, from captures at two.

In: the same step captured with few samples and with some more. Out: its `Graph` with as many as asked.
Idea: what an operator computes, reads and writes grows with the batch along a straight line: what belongs to weights
stays, the rest is proportional. Two points make the line, so a search over batch sizes captures twice.
Not here: capture (`capture.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dojo.errors import ConfigError
from dojo.machine.compile.graph import Graph, Operator


@dataclass(frozen=True)
class Batches:
    """The same step with two numbers of samples.

    Raises:
        ConfigError: they are not the same step, or have the same number of samples.
    """

    few: Graph
    more: Graph

    def __post_init__(self) -> None:
        names = [[operator.name for operator in graph.operators] for graph in (self.few, self.more)]
        if names[0] != names[1] or self.few.samples == self.more.samples:
            raise ConfigError(
                f"batches of {self.few.model}: expected the same operators for two different numbers of samples, got "
                f"{len(names[0])} for {self.few.samples} and {len(names[1])} for {self.more.samples}; capture the same "
                "step twice"
            )

    def at(self, samples: int) -> Graph:
        """The step with this many samples.

        Raises:
            ConfigError: fewer than one.
        """
        if samples < 1:
            raise ConfigError(f"batches of {self.few.model}: expected one sample or more, got {samples}")
        share = (samples - self.few.samples) / (self.more.samples - self.few.samples)
        operators = tuple(
            _between(few, more, share) for few, more in zip(self.few.operators, self.more.operators, strict=True)
        )
        return replace(self.few, samples=samples, operators=operators)


def _between(few: Operator, more: Operator, share: float) -> Operator:
    def line(a: float, b: float) -> float:
        return a + (b - a) * share

    return replace(
        few,
        flops=line(few.flops, more.flops),
        read_bytes=line(few.read_bytes, more.read_bytes),
        written_bytes=line(few.written_bytes, more.written_bytes),
        weight_bytes=line(few.weight_bytes, more.weight_bytes),
        matrix=tuple(round(line(float(a), float(b))) for a, b in zip(few.matrix, more.matrix, strict=True)),
    )
