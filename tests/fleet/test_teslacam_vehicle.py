"""The vehicle file says what clips cannot, and all its faults at once; without it, the defaults are marked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.readers.teslacam_vehicle import CAMERA_NAMES, vehicle_of

FULL = """
wheelbase_m = 2.9
steering_ratio = 12
steering_positive = "left"
utc_offset_h = 1.0
traffic = "left"
[cameras.front]
width = 1280
height = 960
focal_px = [1300.0, 1301.0]
centre_px = [640.5, 479.5]
position_m = [1.8, 0.1, 1.5]
pitch_deg = 2.0
distortion = [0.1, 0, 0, 0, 0]
"""


def test_what_the_file_says_is_what_the_vehicle_is(tmp_path: Path) -> None:
    (tmp_path / "dojo-vehicle.toml").write_text(FULL)
    vehicle = vehicle_of(tmp_path)
    assert (vehicle.vehicle_id, vehicle.wheelbase_m, vehicle.steering_ratio) == (tmp_path.name, 2.9, 12.0)
    assert (vehicle.steering_sign, vehicle.utc_offset_h, vehicle.traffic) == (1, 1.0, "left")
    camera = vehicle.camera("front", 1280, 960)
    assert camera.focal_px == (1300.0, 1301.0)
    assert camera.distortion[0] == 0.1
    # Pitched down: the optical axis points below the horizon.
    axis = camera.ego_from_camera.rotation @ np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(math.degrees(math.asin(axis[2])), -2.0)


def test_smaller_pictures_of_the_same_shape_are_the_same_camera(tmp_path: Path) -> None:
    (tmp_path / "dojo-vehicle.toml").write_text(FULL)
    whole, half = (vehicle_of(tmp_path).camera("front", 1280 // n, 960 // n) for n in (1, 2))
    points = np.array([[20.0, 3.0, 0.0], [9.0, -2.0, 1.0]])
    # Pixel centres: the middle of the picture's top left pixel is (0, 0) at both sizes.
    np.testing.assert_allclose((half.project(points)[0] + 0.5) * 2 - 0.5, whole.project(points)[0])


def test_pictures_of_another_shape_are_an_unknown_camera(tmp_path: Path) -> None:
    (tmp_path / "dojo-vehicle.toml").write_text(FULL)
    with pytest.raises(RecordingError, match="shaped like 1280 x 960, got 1280 x 720; correct") as caught:
        vehicle_of(tmp_path).camera("front", 1280, 720)
    assert caught.value.gate == "unknown_camera"


def test_without_a_file_every_camera_has_an_assumed_place(tmp_path: Path) -> None:
    vehicle = vehicle_of(tmp_path)
    assert not vehicle.described
    assert vehicle.wheelbase_m is None
    for name in CAMERA_NAMES:
        assert vehicle.camera(name, 640, 480).width_px == 640
    left = vehicle.camera("left_repeater", 640, 480)
    looks = left.ego_from_camera.rotation @ np.array([0.0, 0.0, 1.0])
    assert looks[0] < 0 < looks[1]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "dojo-vehicle.toml").write_text(
        'wheelbase = 1\nsteering_ratio = "x"\ntraffic = "up"\n[cameras.nose]\nwidth = 1\n[cameras.front]\nwidth = 3\n'
    )
    with pytest.raises(RecordingError) as caught:
        vehicle_of(tmp_path)
    for part in ("unknown key 'wheelbase'", "steering_ratio must be a number", "traffic must be", "cameras.nose"):
        assert part in caught.value.message
    assert "cameras.front: expected width, height and focal_px" in caught.value.message


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dojo-vehicle.toml").write_text("wheelbase_m = = 2")
    with pytest.raises(RecordingError, match="expected TOML"):
        vehicle_of(tmp_path)
