"""Predictions beside measurements, and how far they are apart.

In: measured rows, machines by name, constants. Out: a prediction for each row; mean, median and worst error, rank
correlation, regret, table by table.
Idea: an error is the share by which a prediction misses. What a search needs is not small errors but the right order:
regret is what following the prediction would have cost: the measured time of the split that it likes best, beside the
best measured.
Not here: the rows (`measured.py`), bounds (`dojo.recipes.machine`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.stats import spearmanr

from dojo.machine.chip.spec import Machine
from dojo.machine.compile.memory import capacity_bytes, memory
from dojo.machine.compile.partition import columns
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.measured import Measured
from dojo.machine.simulate.step import Simulator
from dojo.machine.simulate.work import Graphs

Rows = Float64[np.ndarray, " rows"]


@dataclass(frozen=True)
class Agreement:
    """How predictions of some rows compare with what was measured; errors are shares.

    Args:
        rank_correlation: Spearman's, over splits of the same question, averaged over questions of three rows or more.
        regret: what the pick of each such question costs beyond the best, averaged; `worst_regret` the largest.
    """

    rows: int
    mean_abs_error: float
    median_abs_error: float
    worst_error: float
    bias: float
    rank_correlation: float | None
    regret: float | None
    worst_regret: float | None


@dataclass
class Predictor:
    """Predicts rows; blocks that were built once are kept, so that a fit is quick."""

    machines: Mapping[str, Machine]

    def __post_init__(self) -> None:
        self.graphs: dict[tuple[Gpt, Software], Graphs] = {}

    def seconds(self, rows: Sequence[Measured], constants: Constants) -> Rows:
        """The predicted step of each row: of the fastest of its choices that fits, or of the fastest if none does."""
        alike = defaultdict(list)
        for place, row in enumerate(rows):
            alike[row.machine, row.model, row.software].append(place)
        found = np.zeros(len(rows))
        for (name, model, software), places in alike.items():
            graphs = self.graphs.setdefault((model, software), {})
            simulator = Simulator(model, software, self.machines[name], constants, graphs)
            found[places] = _fastest(simulator, [rows[place] for place in places])
        return found


def _fastest(simulator: Simulator, rows: Sequence[Measured]) -> Rows:
    splits = columns([split for row in rows for split in row.choices], [row.batch for row in rows for _ in row.choices])
    seconds = simulator.step(splits).total
    fits = memory(simulator.model, simulator.software, splits).total <= capacity_bytes(simulator.machine)
    ends = np.cumsum([len(row.choices) for row in rows])
    best = []
    for row, end in zip(rows, ends, strict=True):
        mine = slice(end - len(row.choices), end)
        best.append(np.min(seconds[mine][fits[mine]]) if fits[mine].any() else np.min(seconds[mine]))
    return np.array(best)


def agreement(rows: Sequence[Measured], predicted: Rows) -> Agreement:
    """How far predictions and measurements of some rows are apart."""
    measured = np.array([row.seconds for row in rows])
    errors = predicted / measured - 1
    places = defaultdict(list)
    for place, row in enumerate(rows):
        places[row.question].append(place)
    asked = [np.array(same) for same in places.values() if len(same) >= 3]
    regrets = [measured[same[np.argmin(predicted[same])]] / measured[same].min() - 1 for same in asked]
    ranks = [float(spearmanr(predicted[same], measured[same]).statistic) for same in asked]
    return Agreement(
        rows=len(rows),
        mean_abs_error=float(np.mean(np.abs(errors))),
        median_abs_error=float(np.median(np.abs(errors))),
        worst_error=float(errors[np.argmax(np.abs(errors))]),
        bias=float(np.median(errors)),
        rank_correlation=float(np.mean(ranks)) if ranks else None,
        regret=float(np.mean(regrets)) if regrets else None,
        worst_regret=float(np.max(regrets)) if regrets else None,
    )
