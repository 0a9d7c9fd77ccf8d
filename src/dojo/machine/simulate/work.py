"""What one micro-batch costs one accelerator in one block, and at both ends of the model: seconds of its operators.

In: a model, a machine, constants. Out: `Costs`, one array for each part, over many splits.
Idea: a search over thousands of splits meets a few hundred different blocks; each is built and timed once.
Not here: one operator (`operators.py`), what is sent meanwhile (`step.py`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from dojo.machine.chip.spec import Machine
from dojo.machine.compile.graph import Graph, Operator, Phase
from dojo.machine.compile.partition import Columns
from dojo.machine.compile.transformer import Gpt, Software, block, head
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.operators import ARITHMETIC, Efficiency, operator_seconds

_CORE = {"scores", "masked softmax", "dropout of scores", "context"}
"""Of the forward pass: what selective recomputation repeats; attention in one kernel repeats it by itself."""
_SCORES = {"masked softmax", "dropout of scores"}
Seconds = Float64[np.ndarray, " splits"]
Graphs = dict[tuple[str, int, int, int], Graph]


@dataclass(frozen=True)
class Costs:
    """Of a graph on each of some splits: seconds of arithmetic and of all else, and how many operators."""

    products_forward: Seconds
    products_backward: Seconds
    products_core: Seconds
    others_forward: Seconds
    others_backward: Seconds
    others_core: Seconds
    count_forward: Seconds
    count_backward: Seconds
    count_core: Seconds


_PARTS = [part.name for part in dataclasses.fields(Costs)]


@dataclass
class Work:
    """Costs of a model's parts on a machine, each timed once."""

    model: Gpt
    software: Software
    machine: Machine
    constants: Constants
    graphs: Graphs = field(default_factory=dict)
    efficiency: Efficiency = field(default_factory=Efficiency)

    def blocks(self, splits: Columns) -> Costs:
        """Of one block, for a micro-batch."""
        return self._costs(splits, "block", splits.sequence_parallel)

    def heads(self, splits: Columns) -> Costs:
        """Of the embedding, the output layer and the loss, for a micro-batch."""
        return self._costs(splits, "head", np.zeros_like(splits.tensor))

    def _costs(self, splits: Columns, kind: str, sequence_parallel: np.ndarray) -> Costs:
        keys = np.stack([splits.tensor, splits.micro_batch, sequence_parallel], axis=1)
        different, places = np.unique(keys, axis=0, return_inverse=True)
        table = np.array([self._timed(self._graph(kind, *map(int, key))) for key in different])
        return Costs(**{part: table[places.ravel(), at] for at, part in enumerate(_PARTS)})

    def _graph(self, kind: str, tensor: int, micro_batch: int, sequence_parallel: int) -> Graph:
        key = (kind, tensor, micro_batch, sequence_parallel)
        if key not in self.graphs:
            shared = {"tensor": tensor, "micro_batch": micro_batch}
            self.graphs[key] = (
                head(self.model, self.software, **shared)
                if kind == "head"
                else block(self.model, self.software, **shared, sequence_parallel=bool(sequence_parallel))
            )
        return self.graphs[key]

    def _timed(self, graph: Graph) -> list[float]:
        sums = dict.fromkeys(_PARTS, 0.0)
        for operator in graph.operators:
            forward = operator.phase is Phase.FORWARD
            seconds = self.seconds(operator)
            for place in ["forward" if forward else "backward"] + ["core"] * (forward and operator.name in _CORE):
                sums[f"{'products' if operator.kind in ARITHMETIC else 'others'}_{place}"] += seconds
                sums[f"count_{place}"] += 1
        return list(sums.values())

    def seconds(self, operator: Operator) -> float:
        """Of one operator inside a step, where the host is never in its way."""
        seconds = operator_seconds(
            operator, self.machine, self.efficiency, self.constants.sustained_share(self.machine)
        )
        return seconds / self.constants.scores_share if operator.name in _SCORES else seconds
