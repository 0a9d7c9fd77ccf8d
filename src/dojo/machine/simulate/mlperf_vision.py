"""ResNet-50 in MLPerf, predicted beside measured.

In: ResNet-50's step, machines, constants. Out: rows, and how far off they are.
Idea: nothing was fitted on these rows, so all of them are held out. The constants come from GPT steps and single
kernels on A100s; what software fused and overlapped is read from the configurations that were submitted.
Not here: GPT (`validate.py`), the model (`machine/compile/models.py`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dojo.machine.chip.spec import Machine
from dojo.machine.compile.batches import Batches
from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.vision import Feed, Fusion, Library, VisionStep, on_gpus

_FILE = Path(__file__).parent / "validation" / "mlperf_resnet50.toml"
_PICTURE_BYTES = 3.0 * 224 * 224


@dataclass(frozen=True)
class ResnetRow:
    """One measured entry."""

    machine: str
    accelerators: int
    samples_each: int
    fusion: str
    samples_per_s_each: float

    @property
    def step_s(self) -> float:
        """Of one step, as it was measured."""
        return self.samples_each / self.samples_per_s_each


@dataclass(frozen=True)
class ResnetAgreement:
    """Errors are shares of the measured rate."""

    rows: int
    mean_abs_error: float
    median_abs_error: float
    worst_error: float
    bias: float


def resnet_rows() -> list[ResnetRow]:
    """All entries at hand."""
    return [ResnetRow(**row) for row in tomllib.loads(_FILE.read_text(encoding="utf-8"))["row"]]


def predict_resnet(row: ResnetRow, step: Batches, machines: Mapping[str, Machine], constants: Constants) -> VisionStep:
    """What an entry should have taken. NVIDIA's launches are recorded graphs, and its exchange overlaps nothing."""
    library = Library(Fusion(row.fusion), overlap=False)
    graph = step.at(row.samples_each)
    return on_gpus(graph, machines[row.machine], row.accelerators, constants, library, Feed(_PICTURE_BYTES))


def resnet_agreement(rows: Sequence[ResnetRow], predicted: Sequence[VisionStep]) -> ResnetAgreement:
    """Predicted rates against measured ones."""
    measured = np.array([row.samples_per_s_each for row in rows])
    guessed = np.array([step.samples_per_s / step.accelerators for step in predicted])
    errors = guessed / measured - 1
    return ResnetAgreement(
        rows=len(rows),
        mean_abs_error=float(np.abs(errors).mean()),
        median_abs_error=float(np.median(np.abs(errors))),
        worst_error=float(errors[np.abs(errors).argmax()]),
        bias=float(errors.mean()),
    )
