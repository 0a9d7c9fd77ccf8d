from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

from dojo.errors import ReleaseError
from dojo.release.export import OnnxModel, Tolerance, compare, export
from dojo.release.timing import measure


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, frames: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.dense(frames.float() - 128.0)
        return torch.where(known, seen, 0.0).softmax(-1), seen.sum(-1)


EXAMPLE = {"frames": np.full((1, 4), 100, np.uint8), "known": np.ones((1, 3), np.bool_)}


def exported() -> tuple[Small, bytes]:
    torch.manual_seed(0)
    module = Small()
    return module, export(module, EXAMPLE, ("share", "total"))


@pytest.fixture(scope="module")
def small() -> tuple[Small, bytes]:
    return exported()


def test_the_file_answers_as_the_network_does(small: tuple[Small, bytes]) -> None:
    module, data = small
    model = OnnxModel(data)
    assert model.outputs == ("share", "total")
    inputs = {**EXAMPLE, "known": np.array([[True, False, True]])}
    with torch.inference_mode():
        expected = module(*(torch.from_numpy(array) for array in inputs.values()))
    for name, tensor in zip(model.outputs, expected, strict=True):
        np.testing.assert_allclose(model(inputs)[name], tensor.numpy(), rtol=1e-6)


def test_another_process_exports_the_same_bytes(small: tuple[Small, bytes]) -> None:
    program = (
        "import hashlib, importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('again', {str(Path(__file__))!r})\n"
        "again = importlib.util.module_from_spec(spec)\n"
        "sys.modules['again'] = again\n"
        "spec.loader.exec_module(again)\n"
        "print(hashlib.sha256(again.exported()[1]).hexdigest())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == hashlib.sha256(small[1]).hexdigest()


def test_nothing_of_the_machine_that_exported_is_in_the_file(small: tuple[Small, bytes]) -> None:
    assert b".py" not in small[1]
    model = onnx.load_from_string(small[1])
    assert (model.producer_name, model.producer_version) == ("dojo", "")
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


@settings(max_examples=40, deadline=None)
@given(values=arrays.arrays(np.float32, 5, elements=st.floats(-100, 100, width=32)), factor=st.floats(0, 3))
def test_agreement_holds_exactly_up_to_the_tolerance(values: np.ndarray, factor: float) -> None:
    tolerance = Tolerance(1e-3, 1e-2)
    network = values.astype(np.float64)
    other = network + factor * (tolerance.absolute + tolerance.relative * np.abs(network))
    found = compare([({"y": network}, {"y": other})], tolerance)
    assert found.worst_share == pytest.approx(factor, rel=1e-6, abs=1e-9)
    if abs(factor - 1) > 1e-6:
        assert found.holds == (factor < 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_never_agrees(bad: float) -> None:
    network = np.zeros(3)
    assert not compare([({"y": network}, {"y": np.array([0, bad, 0])})], Tolerance()).holds
    assert not compare([({"y": np.array([bad, 0, 0])}, {"y": network})], Tolerance()).holds


def test_no_samples_agree_with_nothing() -> None:
    assert not compare([], Tolerance()).holds


def test_a_missing_output_or_another_shape_is_refused() -> None:
    for other in ({}, {"y": np.zeros(2)}):
        with pytest.raises(ReleaseError, match=r"export_differs: output y: expected shape \(3,\)"):
            compare([({"y": np.zeros(3)}, other)], Tolerance())


def test_time_and_memory_are_measured_in_a_process_of_its_own(small: tuple[Small, bytes]) -> None:
    found = measure(small[1], EXAMPLE, 20)
    assert found["runs"] == 20
    assert 0 < found["median_ms"] <= found["p99_ms"] <= found["p999_ms"] <= found["longest_ms"]
    assert -1 < found["memory_mib"] < 100
    assert found["model_mib"] == pytest.approx(len(small[1]) / 2**20, abs=0.01)
