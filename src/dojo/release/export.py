"""A network as an ONNX file, and how closely the file answers as the network does.

In: a module with fixed shapes and the inputs it takes. Out: the bytes of an ONNX model; differences over samples.
Idea: the exporter writes down where in the source each operation came from, paths of the machine included; all of that
is taken out, so that the same network gives the same bytes wherever it is exported with the same versions of the
libraries. And a file is only worth what it answers: it is run by ONNX Runtime beside the network on the same samples.
Not here: which samples (`recipes/release.py`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from dojo.errors import ReleaseError

OPSET = 18
"""Assumed: old enough for the runtimes of control units, young enough for layer norms as one operation."""

Arrays = Mapping[str, np.ndarray]


def export(module: nn.Module, example: Arrays, outputs: Sequence[str]) -> bytes:
    """The module as ONNX, its shapes fixed to those of the example."""
    inputs = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in example.values())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of torchvision, which nothing here uses
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_origins(model)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _forget_origins(model: onnx.ModelProto) -> None:
    """Take out all that does not change the answer: names of source files, versions, comments."""
    graph = model.graph
    model.producer_name, model.producer_version, graph.name = "dojo", "", "policy"
    described: list[Any] = [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output]
    for part in (*described, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


class OnnxModel:
    """An ONNX file as a function, on one core."""

    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """What it answers, by name."""
        return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))


@dataclass(frozen=True)
class Tolerance:
    """How far the exported model may answer from the network.

    Assumed: floats of 24 bits, summed in another order some thousand times, differ by some 1e-6 of what they are; that
    leaves room for a hundred times more before anything is refused, and a millimetre at 10 m is nothing to a driver.

    Args:
        absolute, relative: |difference| <= absolute + relative * |network|, for every number of every answer.
    """

    absolute: float = 1e-4
    relative: float = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How closely two models agree.

    Args:
        worst: name of an output -> largest absolute difference, in its unit.
        worst_share: largest difference over what the tolerance allows; agreement is 1 or less.
    """

    samples: int
    tolerance: Tolerance
    worst: Mapping[str, float]
    worst_share: float

    @property
    def holds(self) -> bool:
        """Whether every number lies within the tolerance; false without samples, and where anything is not a number."""
        return self.samples > 0 and self.worst_share <= 1.0


def compare(pairs: Iterable[tuple[Arrays, Arrays]], tolerance: Tolerance) -> Agreement:
    """How closely pairs of answers, network's first, agree.

    Raises:
        ReleaseError: `export_differs`: an output is missing, or has another shape.
    """
    worst: dict[str, float] = {}
    share, samples = 0.0, 0
    for network, exported in pairs:
        samples += 1
        for name, expected in network.items():
            got = exported.get(name)
            if got is None or got.shape != expected.shape:
                raise ReleaseError(
                    "export_differs",
                    f"output {name}: expected shape {expected.shape}, got {None if got is None else got.shape}",
                )
            exact = expected.astype(np.float64)
            with np.errstate(invalid="ignore"):  # what is not a number counts as infinitely far apart
                apart = np.abs(exact - got)
                allowed = tolerance.absolute + tolerance.relative * np.abs(exact)
                worst[name] = max(worst.get(name, 0.0), _largest(apart))
                share = max(share, _largest(apart / allowed))
    return Agreement(samples, tolerance, worst, share)


def _largest(values: np.ndarray) -> float:
    """The largest, infinite as soon as one of them is not a number."""
    return float(np.where(np.isfinite(values), values, np.inf).max(initial=0.0))
