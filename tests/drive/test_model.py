"""Nothing of a bundle is believed before it has been checked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dojo.drive.model import load_policy, read_manifest
from dojo.errors import ConfigError, RecordError


@pytest.fixture
def bundle(write_bundle, tmp_path):
    return write_bundle(tmp_path / "bundle")


def test_a_whole_bundle_answers(bundle):
    manifest = read_manifest(bundle)
    policy = load_policy(bundle, manifest)
    inputs = {one.name: np.zeros(one.shape, {"bool": np.bool_}.get(one.dtype, one.dtype)) for one in manifest.inputs}
    inputs["speed_mps"][0, -1] = 20.0
    plans = policy(inputs)
    assert plans.position_m[0, 0, -1].tolist() == [200.0, 0.0, 0.0]


def test_a_turned_byte_of_the_network_is_refused(bundle):
    path = bundle / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ConfigError, match=r"model\.onnx: expected the file that manifest\.json lists; install"):
        load_policy(bundle, read_manifest(bundle))


def test_a_missing_network_is_refused(bundle):
    manifest = read_manifest(bundle)
    (bundle / "model.onnx").unlink()
    with pytest.raises(ConfigError, match=r"expected model\.onnx: .*; install the bundle again"):
        load_policy(bundle, manifest)


def test_a_network_with_other_inputs_than_stated_is_refused(write_bundle, tmp_path):
    folder = write_bundle(tmp_path)
    said = json.loads((folder / "manifest.json").read_text())
    said["inputs"][1]["shape"] = [1, 5]
    (folder / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=r"model\.onnx: expected inputs .*\(1, 5\).*; seal the bundle again"):
        load_policy(folder, read_manifest(folder))


def test_a_golden_vector_that_this_computer_answers_otherwise_is_refused(write_bundle, tmp_path, monkeypatch):
    folder = write_bundle(tmp_path)
    said = json.loads((folder / "manifest.json").read_text())
    array = np.load(folder / "golden" / "position_m.npy")
    array[1, 0, 5, 0] += 0.01
    np.save(folder / "golden" / "position_m.npy", array)
    import hashlib

    data = (folder / "golden" / "position_m.npy").read_bytes()
    said["files"]["golden/position_m.npy"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=r"expected position_m of golden vector 1 within 0\.0001, got another"):
        load_policy(folder, read_manifest(folder))


def test_golden_vectors_that_were_changed_or_lost_are_refused(bundle):
    path = bundle / "golden" / "speed_mps.npy"
    np.save(path, np.zeros((2, 2), np.float32))
    with pytest.raises(ConfigError, match=r"speed_mps\.npy: expected the file that manifest\.json lists"):
        load_policy(bundle, read_manifest(bundle))
    path.unlink()
    with pytest.raises(ConfigError, match=r"expected golden/speed_mps\.npy"):
        load_policy(bundle, read_manifest(bundle))


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(ConfigError, match=r"expected the folder of a bundle with its manifest\.json"):
        read_manifest(tmp_path)


def test_a_manifest_of_another_format_is_refused(write_bundle, tmp_path):
    with pytest.raises(ConfigError, match="expected format 1, got 7; install the Dojo that reads it"):
        read_manifest(write_bundle(tmp_path, format=7))


def test_an_answer_that_is_not_finite_is_refused(bundle):
    manifest = read_manifest(bundle)
    policy = load_policy(bundle, manifest)
    inputs = {one.name: np.zeros(one.shape, {"bool": np.bool_}.get(one.dtype, one.dtype)) for one in manifest.inputs}
    inputs["speed_mps"][0, -1] = np.nan
    with pytest.raises(RecordError, match="the model has diverged"):
        policy(inputs)
