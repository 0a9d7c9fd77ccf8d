"""Questions about captured models, answered: D1's speed beside what was said of it, ResNet-50 beside MLPerf.

In: nothing. Out: facts and tables.
Not here: the answers (`machine/simulate/said_of_speed.py`, `machine/simulate/mlperf_vision.py`).
"""

from __future__ import annotations

import dataclasses

from rich.table import Table

from dojo.machine.compile.models import IMAGE_BYTES
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.mlperf_vision import ResnetAgreement, predict_resnet, resnet_agreement, resnet_rows
from dojo.machine.simulate.said_of_speed import Prediction, predictions
from dojo.machine.simulate.vision import Feed
from dojo.machine.specs import load_machine
from dojo.recipes.captured import ANCHORS, FRAME_BYTES, captured_batches
from dojo.recipes.run import Outcome


def d1_predictions() -> Outcome:
    """A small all-reduce, ResNet-50 and the policy M on D1, each with what limits it and what was said."""
    resnet, policy = captured_batches("resnet50"), captured_batches("medium")
    feeds = {"resnet50": Feed(float(IMAGE_BYTES)), policy.few.model: Feed((ANCHORS + 1.0) * FRAME_BYTES)}
    found = predictions(load_machine("d1"), resnet, policy, feeds, load_machine("a100"), load_constants())
    rows = [dataclasses.asdict(one) for one in found]
    for row in rows:
        if row["told"] is not None:
            row["told"]["grade"] = row["told"]["grade"].value
    return Outcome({"predictions": rows}, _predictions_table(found))


def _predictions_table(found: tuple[Prediction, ...]) -> Table:
    table = Table("what", "where", title="D1, predicted without a fitted constant", title_justify="left")
    table.add_column("predicted", justify="right")
    for name in ("limited by", "said", "how it is made up"):
        table.add_column(name)
    for one in found:
        value = f"{one.value * 1e6:.2f} us" if one.unit == "s" else f"{one.value:,.0f} {one.unit}"
        said = "" if one.told is None else f"{one.told.text} ({one.told.grade.value}: {one.told.source})"
        table.add_row(one.what, one.where, value, one.limiter, said, one.says)
    return table


def resnet_held_out() -> tuple[ResnetAgreement, Outcome]:
    """ResNet-50 in MLPerf, every row predicted; none was fitted on."""
    step, constants, rows = captured_batches("resnet50"), load_constants(), resnet_rows()
    machines = {name: load_machine(name) for name in {row.machine for row in rows}}
    steps = [predict_resnet(row, step, machines, constants) for row in rows]
    agreement = resnet_agreement(rows, steps)
    table = Table("machine", title="ResNet-50 in MLPerf", title_justify="left")
    for name in ("accelerators", "samples each", "measured images/s", "predicted", "error"):
        table.add_column(name, justify="right")
    table.add_column("limited by")
    listed = []
    for row, one in zip(rows, steps, strict=True):
        rate = one.samples_per_s / one.accelerators
        error = rate / row.samples_per_s_each - 1
        cells = (row.accelerators, row.samples_each, f"{row.samples_per_s_each:,.0f}", f"{rate:,.0f}", f"{error:+.1%}")
        table.add_row(row.machine, *map(str, cells), one.limiter)
        listed.append({**dataclasses.asdict(row), "predicted": rate, "error": error, "seconds": one.seconds})
    return agreement, Outcome({"resnet50": dataclasses.asdict(agreement), "rows": listed}, table)
