"""The network of a bundle, as a function from a window of pictures to plans.

In: the folder of a bundle. Out: its manifest; a `Policy` that answers one window at a time.
Idea: nothing of the folder is believed before it has been checked: the network's bytes against the manifest's hash, its
inputs and outputs against what the manifest states, and its answers on this very computer against the golden vectors
that it was sealed with. A bundle that fails is not driven with.
Not here: signatures and licences (`release/`), which pictures make a window (`window.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import onnxruntime
from pydantic import TypeAdapter, ValidationError

from dojo.errors import ConfigError, RecordError
from dojo.records import BundleManifest, Plans, TensorContract

MODEL, MANIFEST = "model.onnx", "manifest.json"
_PLANS = ("position_m", "scale_m", "probability", "curvature_per_m", "acceleration_mps2")

Arrays = Mapping[str, np.ndarray]


@runtime_checkable
class Policy(Protocol):
    """Answers windows, batches of one; arrays as `BundleManifest.inputs` describes them."""

    def __call__(self, inputs: Arrays) -> Plans:
        """The plan made from the window.

        Raises:
            RecordError: the answer is not finite.
        """
        ...


def read_manifest(bundle: Path) -> BundleManifest:
    """What a bundle says of itself.

    Raises:
        ConfigError: it says nothing, or contradicts itself.
    """
    try:
        return TypeAdapter(BundleManifest).validate_json((bundle / MANIFEST).read_bytes())
    except (OSError, ValidationError, RecordError) as error:
        raise ConfigError(f"{bundle}: expected the folder of a bundle with its {MANIFEST}: {error}") from error


class OnnxPolicy:
    """The network of a bundle in ONNX Runtime, on one core and with memory that does not grow."""

    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def shapes(self) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """Of the inputs and of the outputs, by name."""
        ends = (self._session.get_inputs(), self._session.get_outputs())
        inputs, outputs = ({one.name: tuple(one.shape) for one in end} for end in ends)
        return inputs, outputs

    def answer(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Every output by name."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))

    def __call__(self, inputs: Arrays) -> Plans:
        """The plan made from the window."""
        found = self.answer(inputs)
        return Plans(*(found[name] for name in _PLANS))


def load_policy(bundle: Path, manifest: BundleManifest) -> OnnxPolicy:
    """The network of a bundle, checked.

    Raises:
        ConfigError: by what it fails, and what to do.
    """
    try:
        data = (bundle / MODEL).read_bytes()
    except OSError as error:
        raise ConfigError(f"{bundle}: expected {MODEL}: {error}; install the bundle again") from error
    if hashlib.sha256(data).hexdigest() != manifest.files[MODEL].sha256:
        raise ConfigError(f"{bundle / MODEL}: expected the file that {MANIFEST} lists; install the bundle again")
    policy = OnnxPolicy(data)
    for what, stated, found in zip(
        ("inputs", "outputs"), (manifest.inputs, manifest.outputs), policy.shapes(), strict=True
    ):
        expected = {one.name: one.shape for one in stated}
        if found != expected:
            raise ConfigError(f"{bundle / MODEL}: expected {what} {expected}, got {found}; seal the bundle again")
    check_golden(bundle, manifest, policy)
    return policy


def check_golden(bundle: Path, manifest: BundleManifest, policy: OnnxPolicy) -> int:
    """How many golden vectors this computer answers within the bundle's tolerance: all of them.

    Raises:
        ConfigError: it answers one differently, or there are none.
    """
    inputs, outputs = (_golden(bundle, manifest, ends) for ends in (manifest.inputs, manifest.outputs))
    samples = len(next(iter(inputs.values())))
    for row in range(samples):
        found = policy.answer({name: array[row : row + 1] for name, array in inputs.items()})
        for name, expected in outputs.items():
            exact = expected[row : row + 1].astype(np.float64)
            allowed = manifest.tolerance["absolute"] + manifest.tolerance["relative"] * np.abs(exact)
            if not (np.abs(exact - found[name]) <= allowed).all():
                raise ConfigError(
                    f"{bundle}: expected {name} of golden vector {row} within {manifest.tolerance['absolute']}, got "
                    "another on this computer; its ONNX Runtime computes differently, do not drive with it"
                )
    return samples


def _golden(bundle: Path, manifest: BundleManifest, ends: tuple[TensorContract, ...]) -> dict[str, np.ndarray]:
    found = {}
    for one in ends:
        name = f"golden/{one.name}.npy"
        try:
            data = (bundle / name).read_bytes()
            listed = manifest.files[name].sha256
        except (OSError, KeyError) as error:
            raise ConfigError(f"{bundle}: expected {name}: {error}; install the bundle again") from error
        if hashlib.sha256(data).hexdigest() != listed:
            raise ConfigError(f"{bundle / name}: expected the file that {MANIFEST} lists; install the bundle again")
        found[one.name] = np.load(bundle / name, allow_pickle=False)
    return found
