"""The conformance test passes both platforms, and fails what is broken in each of its ways."""

from __future__ import annotations

import shutil

import pytest

from dojo.drive.conformance import conformance
from dojo.drive.platform import VEHICLES


@pytest.mark.parametrize("name", ["aurora_comet", "borealis_tern"])
def test_both_platforms_conform(name):
    failed = [check for check in conformance(name) if not check.passed]
    assert failed == []


def broken(tmp_path, platform, file, *pairs):
    folder = tmp_path / platform
    shutil.copytree(VEHICLES / platform, folder)
    path = folder / file
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return {check.name: check.came for check in conformance(folder) if not check.passed}


def test_a_sign_that_is_wrong_is_found_by_the_vectors(tmp_path):
    failed = broken(
        tmp_path,
        "borealis_tern",
        "vehicle.toml",
        ('"VD_YAW", unit = "rad/s", positive = "right"', '"VD_YAW", unit = "rad/s"'),
    )
    assert "VEH_DYN: heard" in failed["vectors are read and written as worked out"]


def test_a_wrong_scale_is_found_by_the_vectors(tmp_path):
    failed = broken(tmp_path, "aurora_comet", "aurora_comet.dbc", ("(0.005,0) [-5|5]", "(0.01,0) [-5|5]"))
    assert "ADAS_Command: heard" in failed["vectors are read and written as worked out"]


def test_a_wrong_data_id_is_found_by_the_vectors(tmp_path):
    failed = broken(tmp_path, "aurora_comet", "vehicle.toml", ("data_id = 0x0110", "data_id = 0x0111"))
    assert failed["vectors are read and written as worked out"] == "ESP_Motion: refused for its checksum"


def test_a_missing_checksum_is_found_in_several_ways(tmp_path):
    old = ', checksum = { signal = "ECM_Crc", kind = "crc8_j1850", data_id = 0x0130 }'
    failed = broken(tmp_path, "aurora_comet", "vehicle.toml", (old, ""))
    assert failed["every message carries a counter and a checksum"] == "ECM_Pedal lacks a checksum"
    assert "ECM_Pedal: bit 0 was turned and nobody noticed" in failed["every turned bit is noticed"]
    assert "ECM_Pedal spoilt: engaged" in failed["a lost message hands back to the driver"]


def test_a_missing_counter_is_found_in_several_ways(tmp_path):
    old = 'counter = { signal = "ECM_Alive", modulus = 16 }, '
    failed = broken(tmp_path, "aurora_comet", "vehicle.toml", (old, ""))
    assert failed["every message carries a counter and a checksum"] == "ECM_Pedal lacks a counter"
    assert "ECM_Pedal frozen: engaged" in failed["a lost message hands back to the driver"]


def test_a_message_that_comes_too_seldom_is_found(tmp_path):
    failed = broken(tmp_path, "borealis_tern", "vehicle.toml", ("STEER = { cycle_ms = 10", "STEER = { cycle_ms = 40"))
    assert (
        "steering_angle comes every 40 ms, expected 20 at most" in failed["signals come as often as driving needs them"]
    )


def test_a_step_that_is_too_coarse_is_found(tmp_path):
    failed = broken(tmp_path, "borealis_tern", "borealis_tern.dbc", ("(0.02,0) [-600|600]", "(0.1,0) [-600|600]"))
    assert "curvature has steps of" in failed["steps of a signal are fine enough"]


def test_vectors_that_are_missing_are_found(tmp_path):
    failed = broken(tmp_path, "aurora_comet", "vectors.toml", ('message = "ECM_Pedal"', 'message = "ESP_Motion"'))
    assert failed["every message has a vector worked out by hand"] == "ECM_Pedal has none"


def test_a_folder_that_is_none_fails_the_first_check(tmp_path):
    (check,) = conformance(tmp_path)
    assert not check.passed
    assert "expected the folder of a platform" in check.came
