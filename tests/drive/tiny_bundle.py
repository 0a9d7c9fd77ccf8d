"""A bundle whose network is a few operations: it plans to go straight on at the speed that it is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from pydantic_core import to_json

from dojo.geometry import MODEL_VIEW
from dojo.release import contracts

MOUNTING = {"forward_m": (1.6, 1.9), "left_m": (-0.1, 0.1), "up_m": (1.3, 1.6)}
INPUTS = {
    "frames": ("uint8", (1, 3, 6, 128, 256)),
    "speed_mps": ("float32", (1, 2)),
    "speed_valid": ("bool", (1, 2)),
    "desire": ("float32", (1, 2, 8)),
    "traffic_right": ("bool", (1,)),
}
OUTPUTS = {
    "position_m": ("float32", (1, 1, 33, 3)),
    "scale_m": ("float32", (1, 1, 33, 3)),
    "probability": ("float32", (1, 1)),
    "curvature_per_m": ("float32", (1,)),
    "acceleration_mps2": ("float32", (1,)),
}
_KINDS = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "bool": TensorProto.BOOL}


def network() -> bytes:
    """The network; every output depends on the last speed, none on the pictures."""
    times = 10.0 * (np.arange(33) / 32) ** 2
    ahead = np.zeros((1, 1, 33, 3), np.float32)
    ahead[0, 0, :, 0] = times
    constants = {
        "last": np.array([1], np.int64),
        "ahead": ahead,
        "nothing": np.zeros(1, np.float32),
        "four": np.array([1, 1, 1, 1], np.int64),
        "scale": np.ones((1, 1, 33, 3), np.float32),
        "sure": np.ones((1, 1), np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["speed_mps", "last"], ["speed"], axis=1),
        helper.make_node("Reshape", ["speed", "four"], ["speed_4"]),
        helper.make_node("Mul", ["ahead", "speed_4"], ["position_m"]),
        helper.make_node("Identity", ["scale"], ["scale_m"]),
        helper.make_node("Identity", ["sure"], ["probability"]),
        helper.make_node("Identity", ["nothing"], ["curvature_per_m"]),
        helper.make_node("Identity", ["nothing"], ["acceleration_mps2"]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, _KINDS[kind], shape) for name, (kind, shape) in end.items()]
        for end in (INPUTS, OUTPUTS)
    ]
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", *ends, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def write_bundle(folder: Path, samples: int = 2, **changes: object) -> Path:
    """The bundle in a folder; `changes` are of the manifest."""
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(network())
    rng = np.random.default_rng(1)
    golden = {name: (rng.random((samples, *shape[1:])) * 9).astype(kind) for name, (kind, shape) in INPUTS.items()}
    speed = golden["speed_mps"][:, -1]
    golden["position_m"] = np.zeros((samples, 1, 33, 3), np.float32)
    golden["position_m"][:, 0, :, 0] = speed[:, None] * (10.0 * (np.arange(33) / 32) ** 2).astype(np.float32)
    for name, value in (("scale_m", 1), ("probability", 1), ("curvature_per_m", 0), ("acceleration_mps2", 0)):
        golden[name] = np.full((samples, *OUTPUTS[name][1][1:]), value, np.float32)
    for name, array in golden.items():
        np.save(folder / "golden" / f"{name}.npy", array)
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    manifest = {
        "format": 1,
        "name": "tiny",
        "counter": 1,
        "domains": ["simulation"],
        "made_on": "2026-11-23",
        "dojo_version": "0.1.0",
        "checkpoint_sha256": "0" * 64,
        "step": 1,
        "minimum_limits_version": 1,
        "anchors": 2,
        "tick_s": 0.2,
        "inputs": [{"name": n, "dtype": kind, "shape": shape} for n, (kind, shape) in INPUTS.items()],
        "outputs": [{"name": n, "dtype": kind, "shape": shape} for n, (kind, shape) in OUTPUTS.items()],
        "tolerance": {"absolute": 1e-4, "relative": 1e-4},
        "camera": contracts.camera_contract(MODEL_VIEW, MOUNTING, 0.2, 2, 0.1),
        "signals": contracts.SIGNALS,
        "files": {
            path.relative_to(folder).as_posix(): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "size_bytes": path.stat().st_size,
            }
            for path in paths
        },
    }
    (folder / "manifest.json").write_bytes(to_json(manifest | changes))
    return folder
