"""Cameras are mounted a little differently in every car, and always see all that the model sees."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest

from dojo.geometry import MODEL_VIEW, Camera
from dojo.world.mounting import MOUNTINGS, describe_vehicle, draw_camera, turned_deg
from dojo.world.vehicle import VehicleParameters


def test_however_the_front_camera_is_mounted_its_picture_covers_the_model_view() -> None:
    for seed in range(100):
        camera = draw_camera("front", 512, 288, 392.0, seed)
        columns, rows = camera.sampling_map(camera.level_view(MODEL_VIEW))
        assert columns.min() >= 0
        assert columns.max() <= 511
        assert rows.min() >= 0
        assert rows.max() <= 287


def test_heights_and_angles_vary_from_car_to_car_within_their_ranges() -> None:
    cameras = [draw_camera("front", 512, 288, 392.0, seed) for seed in range(100)]
    heights = np.array([camera.ego_from_camera.translation_m[2] for camera in cameras])
    angles = np.array([turned_deg(camera) for camera in cameras])
    assert 1.2 <= heights.min() < 1.3
    assert 1.5 < heights.max() <= 1.6
    assert angles.std(0) == pytest.approx(np.array([0.8, 1.2, 1.5]) / math.sqrt(3), rel=0.25)  # uniform spreads


@pytest.mark.parametrize("name", MOUNTINGS)
def test_the_owners_file_describes_the_camera_exactly(name: str) -> None:
    camera = draw_camera(name, 640, 352, 500.0, 3)
    told = tomllib.loads(describe_vehicle(VehicleParameters.draw(3), {name: camera}, -7.0))
    table = told["cameras"][name]
    again = Camera.mounted(
        table["width"],
        table["height"],
        table["focal_px"][0],
        tuple(table["centre_px"]),
        position_m=tuple(table["position_m"]),
        roll_rad=math.radians(table["roll_deg"]),
        pitch_rad=math.radians(table["pitch_deg"]),
        yaw_rad=math.radians(table["yaw_deg"]),
    )
    assert again.focal_px == camera.focal_px
    assert again.ego_from_camera.rotation == pytest.approx(camera.ego_from_camera.rotation, abs=1e-12)
    assert again.ego_from_camera.translation_m == pytest.approx(camera.ego_from_camera.translation_m)
    assert told["utc_offset_h"] == -7.0
    assert told["wheelbase_m"] == VehicleParameters.draw(3).wheelbase_m
