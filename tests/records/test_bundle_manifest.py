"""A manifest is read whole or refused whole."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from pydantic import TypeAdapter

from dojo.errors import RecordError
from dojo.geometry import MODEL_VIEW
from dojo.records import BundleFile, BundleManifest, TensorContract
from dojo.release import contracts

MOUNTING = {"forward_m": (1.6, 1.9), "up_m": (1.2, 1.6)}
SHA = "0" * 64


def manifest(**changes):
    """A manifest made with the contracts that a release states."""
    values = {
        "format": 1,
        "name": "demo",
        "counter": 1,
        "domains": ["simulation"],
        "made_on": "2026-11-23",
        "dojo_version": "0.1.0",
        "checkpoint_sha256": SHA,
        "step": 10,
        "minimum_limits_version": 1,
        "anchors": 2,
        "tick_s": 0.2,
        "inputs": [{"name": "frames", "dtype": "uint8", "shape": [1, 3, 6, 128, 256]}],
        "outputs": [{"name": "position_m", "dtype": "float32", "shape": [1, 5, 33, 3]}],
        "tolerance": {"absolute": 1e-4, "relative": 1e-4},
        "camera": contracts.camera_contract(MODEL_VIEW, MOUNTING, 0.2, 2, 0.1),
        "signals": contracts.SIGNALS,
        "files": {"model.onnx": {"sha256": SHA, "size_bytes": 3}},
    }
    return TypeAdapter(BundleManifest).validate_python(values | changes)


def test_what_a_release_states_is_a_manifest():
    found = manifest()
    assert found.camera.view.width_px == 512
    assert found.input("frames") == TensorContract("frames", "uint8", (1, 3, 6, 128, 256))
    assert found.input("sound") is None
    assert {signal.name for signal in found.signals} >= {"speed", "brake_pressed", "curvature"}
    assert asdict(found)["files"]["model.onnx"]["size_bytes"] == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "expected format 1, got 2; install the Dojo that reads it"),
        ({"anchors": 0}, "expected anchors of at least 1, got 0"),
        ({"anchors": 3}, "expected 4 pictures for 3 anchors, got 3"),
        ({"tick_s": 0.1}, r"expected a picture every 0\.1 s, got every 0\.2 s"),
        ({"tick_s": 0.0}, r"expected a tick_s above 0, got 0\.0"),
        ({"inputs": ()}, r"expected an input frames of shape \(1, 3, 6, 128, 256\), got None"),
        ({"files": {}}, "expected the hash of model.onnx among the files, got none"),
        ({"files": {"model.onnx": BundleFile("abc", 3)}}, "expected a SHA-256 and a size of each file, got others of"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change, says):
    with pytest.raises(RecordError, match=f"bundle 'demo': .*{says}"):
        replace(manifest(), **change)


def test_a_signal_without_a_range_is_refused():
    whole = manifest()
    with pytest.raises(RecordError, match="expected signals with a range, got none in speed"):
        replace(whole, signals=(replace(whole.signals[0], low=70.0),))
