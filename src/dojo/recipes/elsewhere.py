"""What a training run takes elsewhere, for the end of the demo and for whoever asks about their own.

In: the configuration of a run, how many steps it made and in how many seconds. Out: facts and a table.
Idea: the run was measured here, so its prediction for here stands beside the measurement, and who reads the rows for
other machines knows what to think of them.
Not here: the rows (`machine/simulate/own_training.py`), the captured step (`captured.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from dojo.machine.chip.spec import Machine
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.here import Processor, measure_here
from dojo.machine.simulate.own_training import Elsewhere, OwnStep, training_on
from dojo.machine.simulate.vision import Feed
from dojo.machine.specs import load_machine
from dojo.recipes.captured import FRAME_BYTES, policy_batches, policy_step
from dojo.recipes.run import Outcome
from dojo.recipes.train import TrainRun


def training_elsewhere(run: TrainRun, *, anchors: int, steps: int, seconds: float) -> Outcome:
    """The rows of a run on a CPU that made so many steps in so many seconds.

    Args:
        anchors: of each clip.

    Raises:
        ConfigError: no steps were made.
    """
    clips = run.load.batch_size
    own = OwnStep(
        policy_step(run.policy, clips, anchors, loss=run.train.loss, optimise=run.train.optimise),
        policy_batches(run.policy, anchors, optimise=run.train.optimise),
        Feed(sample_bytes=(anchors + 1.0) * FRAME_BYTES),
    )
    here = measure_here(run.train.threads)
    rows = training_on(
        own,
        steps,
        here=here,
        measured_s=seconds / max(steps, 1),
        laptop=laptop(here),
        gpu=load_machine("h100"),
        dojo=load_machine("d1"),
        constants=load_constants(),
    )
    facts: dict[str, Any] = {"training_elsewhere": [dataclasses.asdict(row) for row in rows]}
    return Outcome(facts, _table(rows))


def laptop(here: Processor) -> Processor:
    """The laptop of the specs, which is as long over an operator that has nothing to do as this processor."""
    machine: Machine = load_machine("laptop")
    return Processor(machine, here.operator_s)


def _table(rows: Sequence[Elsewhere]) -> Table:
    table = Table("this training on", title="The same training elsewhere", title_justify="left")
    for name in ("predicted", "measured"):
        table.add_column(name, justify="right")
    table.add_column("limited by")
    table.add_column("")
    for row in rows:
        measured = "" if row.measured_s is None else _span(row.measured_s / row.step_s * row.training_s)
        table.add_row(row.where, _span(row.training_s), measured, row.limiter, row.says)
    return table


def _span(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
