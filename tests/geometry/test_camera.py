from __future__ import annotations

import cv2
import numpy as np
import pytest

from dojo.errors import RecordError
from dojo.geometry import MODEL_VIEW, Camera, Resampler


def test_a_point_straight_ahead_at_camera_height_lands_on_the_principal_point() -> None:
    camera = Camera.mounted(640, 480, 500.0, position_m=(1.5, 0.0, 1.2))
    pixels, visible = camera.project(np.array([[20.0, 0.0, 1.2], [-5.0, 0.0, 1.2]]))
    np.testing.assert_allclose(pixels[0], [319.5, 239.5])
    assert visible.tolist() == [True, False]


def test_left_of_the_vehicle_is_left_in_the_picture_and_the_ground_is_below() -> None:
    pixels, _ = MODEL_VIEW.project(np.array([[20.0, 1.0, 0.0]]))
    assert pixels[0, 0] < MODEL_VIEW.centre_px[0]
    # 1.3 m below the camera and 18.5 m in front of it: 455 * 1.3 / 18.5 rows below the horizon.
    assert pixels[0, 1] == pytest.approx(95.5 + 455.0 * 1.3 / 18.5)


def test_a_camera_turned_left_and_down_sees_the_horizon_higher_and_objects_to_the_right() -> None:
    turned = Camera.mounted(640, 480, 500.0, yaw_rad=0.1, pitch_rad=0.05)
    pixels, _ = turned.project(np.array([[1000.0, 0.0, 1.3]]))
    assert pixels[0, 0] > 319.5
    assert pixels[0, 1] < 239.5


def test_the_sampling_map_follows_the_projection() -> None:
    source = Camera.mounted(1280, 960, 900.0, pitch_rad=0.02, yaw_rad=-0.03, roll_rad=0.01)
    target = source.level_view(MODEL_VIEW)
    columns, rows = source.sampling_map(target)
    points = np.array([[30.0, 2.0, 0.0], [15.0, -3.0, 0.5], [60.0, 0.0, 1.0]])
    in_target, _ = target.project(points)
    in_source, _ = source.project(points)
    for (column, row), expected in zip(np.round(in_target).astype(int), in_source, strict=True):
        sampled = np.array([columns[row, column], rows[row, column]])
        assert np.abs(sampled - expected).max() < 1.2, "half a target pixel is about one source pixel here"


def test_the_distortion_of_the_sampling_map_is_that_of_opencv() -> None:
    k = (-0.3, 0.1, 0.001, -0.002, 0.01)
    flat = Camera.mounted(640, 480, 400.0)
    bent = Camera(640, 480, (400.0, 400.0), flat.centre_px, flat.ego_from_camera, k)
    columns, rows = bent.sampling_map(flat)
    theirs = cv2.initUndistortRectifyMap(bent.matrix, np.array(k), None, flat.matrix, (640, 480), cv2.CV_32FC1)
    np.testing.assert_allclose(columns, theirs[0], atol=1e-2)
    np.testing.assert_allclose(rows, theirs[1], atol=1e-2)


def test_resampling_into_the_same_camera_changes_nothing() -> None:
    random = np.random.default_rng(0)
    y = random.integers(16, 236, (256, 512), dtype=np.uint8)
    u, v = (random.integers(16, 240, (128, 256), dtype=np.uint8) for _ in range(2))
    same = Resampler(MODEL_VIEW, MODEL_VIEW).apply(y, u, v)
    for before, after in zip((y, u, v), same, strict=True):
        np.testing.assert_array_equal(before, after)


def test_luma_and_chroma_stay_together_when_resampled() -> None:
    source = Camera.mounted(1024, 768, 700.0, pitch_rad=0.03)
    target = source.level_view(MODEL_VIEW)
    spot, _ = source.project(np.array([[25.0, 1.0, 0.3]]))
    column, row = spot[0]
    columns, rows = np.meshgrid(np.arange(1024), np.arange(768))
    blob = 200.0 * np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * 8.0**2)) + 16
    y = blob.astype(np.uint8)
    chroma = cv2.resize(y, (512, 384), interpolation=cv2.INTER_AREA)
    out_y, out_u, _ = Resampler(source, target).apply(y, chroma, chroma)
    expected, _ = target.project(np.array([[25.0, 1.0, 0.3]]))

    def centre(plane: np.ndarray, background: int) -> np.ndarray:
        weight = np.clip(plane.astype(float) - background, 0, None)
        weight[weight < 20] = 0
        return np.array([(weight.sum(0) @ np.arange(plane.shape[1])), (weight.sum(1) @ np.arange(plane.shape[0]))]) / (
            weight.sum()
        )

    np.testing.assert_allclose(centre(out_y, 16), expected[0], atol=0.3)
    outside = np.where(out_u == 128, 16, out_u).astype(np.uint8)
    np.testing.assert_allclose(centre(outside, 16) * 2 + 0.5, expected[0], atol=0.8)


def test_what_the_source_does_not_see_is_black() -> None:
    narrow = Camera.mounted(256, 128, 900.0)
    grey = np.full((128, 256), 120, np.uint8)
    y, u, _ = Resampler(narrow, narrow.level_view(MODEL_VIEW)).apply(grey, grey[::2, ::2].copy(), grey[::2, ::2].copy())
    assert (y[0, 0], u[0, 0]) == (16, 128)
    assert y[95, 255] == 120


def test_an_absurd_camera_is_refused() -> None:
    with pytest.raises(RecordError, match=r"expected positive size and focal length, got 640 x 0 px"):
        Camera.mounted(640, 0, 500.0)


def test_the_slope_of_a_band_is_that_of_what_is_seen_in_its_middle() -> None:
    slopes = MODEL_VIEW.band_slopes(64)
    ahead_m = 40.0
    points = np.stack([np.full(64, 1.5 + ahead_m), slopes * ahead_m, np.full(64, 1.3)], -1)
    pixels, _ = MODEL_VIEW.project(points)
    np.testing.assert_allclose(pixels[:, 0], np.arange(64) * 8 + 3.5, atol=1e-9)
