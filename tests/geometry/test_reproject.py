"""Pictures from beside the recorded line: what lies on the ground lands where a pinhole there would see it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW, Camera
from dojo.geometry.reproject import Reprojector, displaced, never_seen, on_both_sides, unseen


def ground_points(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where the ray of every pixel of a camera meets the ground, ego frame x and y; NaN above the horizon."""
    columns, rows = np.meshgrid(np.arange(camera.width_px) * 1.0, np.arange(camera.height_px) * 1.0)
    pixels = np.stack([columns, rows, np.ones_like(columns)], -1)
    rays = pixels @ np.linalg.inv(camera.matrix).T @ camera.ego_from_camera.rotation.T
    origin = camera.ego_from_camera.translation_m
    with np.errstate(divide="ignore"):
        reach = np.where(rays[..., 2] < -1e-9, -origin[2] / rays[..., 2], np.nan)
    return origin[0] + reach * rays[..., 0], origin[1] + reach * rays[..., 1]


def painted(camera: Camera, lines_m: tuple[float, ...], half_width_m: float = 0.1) -> np.ndarray:
    """A grey road with straight bright lines along x at these y, smooth at their edges, seen by a camera."""
    _, y = ground_points(camera)
    brightness = np.full(y.shape, 60.0)
    for line in lines_m:
        brightness += 160 * np.exp(-0.5 * ((y - line) / half_width_m) ** 2)
    return np.where(np.isnan(y), 90, np.clip(brightness, 16, 235)).astype(np.uint8)


def line_column(picture: np.ndarray, row: int, near: float, reach: int = 40) -> float:
    """Column of the bright line nearest to `near` in a row."""
    first = max(round(near) - reach, 0)
    weight = np.clip(picture[row, first : round(near) + reach + 1].astype(float) - 70, 0, None)
    return float(first + (weight @ np.arange(len(weight))) / weight.sum())


def warped(picture: np.ndarray, camera: Camera, *offset: float, **more: float) -> np.ndarray:
    chroma = np.full((camera.height_px // 2, camera.width_px // 2), 128, np.uint8)
    return Reprojector(camera, displaced(camera, *offset, **more)).apply(picture, chroma, chroma)[0]


@settings(max_examples=12, deadline=None)
@given(
    lateral=st.floats(-1.5, 1.5),
    yaw=st.floats(-0.087, 0.087),
    forward=st.floats(-1.0, 1.0),
    height=st.floats(1.0, 2.2),
    distance=st.floats(8.0, 25.0),
)
def test_a_painted_line_lands_where_a_pinhole_there_sees_it(lateral, yaw, forward, height, distance) -> None:
    camera = Camera.mounted(512, 256, 455.0, (255.5, 95.5), position_m=(1.6, 0.1, height))
    picture = warped(painted(camera, (0.3,)), camera, lateral, yaw, forward)
    other = displaced(camera, lateral, yaw, forward)
    (pixel,), _ = other.project(np.array([[distance, 0.3, 0.0]]))
    row = round(pixel[1])
    # The line crosses that row a little beside the point: follow it to the row.
    ahead, _ = other.project(np.array([[x, 0.3, 0.0] for x in np.linspace(distance - 3, distance + 3, 601)]))
    expected = ahead[np.abs(ahead[:, 1] - row).argmin(), 0]
    if 20 < expected < 490 and row < 250:
        # Columns sampled at whole pixels twice, and 1/32 px of the maps: a third of a pixel in the worst row.
        assert abs(line_column(picture, row, expected) - expected) < 0.35


def test_from_further_left_the_road_lies_further_right_and_a_turn_left_moves_everything_right() -> None:
    straight = painted(MODEL_VIEW, (0.0,))
    assert line_column(straight, 200, 255.5) == pytest.approx(255.5, abs=0.1)
    # 104.5 rows below the horizon a metre is 104.5 / 1.3 columns.
    assert line_column(warped(straight, MODEL_VIEW, 0.5, 0.0), 200, 295) == pytest.approx(255.5 + 40.19, abs=0.3)
    turned = warped(straight, MODEL_VIEW, 0.0, 0.03)
    assert line_column(turned, 120, 269) > 265
    sky = np.full((256, 512), 60, np.uint8)
    sky[40, 300] = sky[41, 300] = 220
    column, row = 300 - 255.5, 40 - 95.5
    bearing = math.atan2(column, 455.0) + 0.03
    found = warped(sky, MODEL_VIEW, 0.0, 0.03)
    place = np.unravel_index(found[:90].argmax(), found[:90].shape)
    assert place[1] == pytest.approx(255.5 + 455 * math.tan(bearing), abs=1.0)
    assert place[0] == pytest.approx(95.5 + row, abs=2.0)


def test_what_is_above_the_horizon_only_turns() -> None:
    random = np.random.default_rng(0).integers(16, 236, (256, 512), dtype=np.uint8)
    np.testing.assert_array_equal(warped(random, MODEL_VIEW, 1.3, 0.0)[:95], random[:95])
    assert not np.array_equal(warped(random, MODEL_VIEW, 1.3, 0.0)[120:], random[120:])


def test_the_picture_has_no_seam_at_the_horizon() -> None:
    # A ramp from left to right: any jump of the map would be a jump of brightness between rows.
    ramp = np.tile(np.linspace(20, 230, 512), (256, 1)).astype(np.uint8)
    shown = warped(ramp, MODEL_VIEW, 1.5, 0.03)[80:110, 120:400].astype(int)
    assert np.abs(np.diff(shown, axis=0)).max() <= 2


def test_a_displacement_of_nothing_changes_nothing() -> None:
    random = np.random.default_rng(0)
    y = random.integers(16, 236, (256, 512), dtype=np.uint8)
    u, v = (random.integers(16, 240, (128, 256), dtype=np.uint8) for _ in range(2))
    same = Reprojector(MODEL_VIEW, displaced(MODEL_VIEW, 0.0, 0.0))
    for before, after in zip((y, u, v), same.apply(y, u, v), strict=True):
        np.testing.assert_array_equal(before, after)
    assert not unseen(MODEL_VIEW, displaced(MODEL_VIEW, 0.0, 0.0)).any()


def test_there_and_back_again_is_where_it_started() -> None:
    smooth = cv2.GaussianBlur(np.random.default_rng(1).integers(16, 236, (256, 512), dtype=np.uint8), (0, 0), 4)
    there = warped(smooth, MODEL_VIEW, 0.8, 0.0)
    back = warped(there, MODEL_VIEW, -0.8, 0.0)
    middle = (slice(None), slice(150, 360))
    # Two bilinear samplings of a picture without fine detail: a few steps of 255.
    assert np.abs(back[middle].astype(int) - smooth[middle]).max() <= 4


def test_luma_and_chroma_move_together() -> None:
    luma = painted(MODEL_VIEW, (0.2,), half_width_m=0.4)
    chroma = cv2.resize(luma, (256, 128), interpolation=cv2.INTER_AREA)
    y, u, v = Reprojector(MODEL_VIEW, displaced(MODEL_VIEW, -0.6, 0.02)).apply(luma, chroma, chroma)
    small = cv2.resize(y, (256, 128), interpolation=cv2.INTER_AREA)
    middle = (slice(60, 118), slice(60, 200))  # finer lines further up alias
    assert np.abs(small[middle].astype(int) - u[middle]).max() <= 6
    np.testing.assert_array_equal(u, v)


def test_what_the_recorded_picture_does_not_show_is_black_and_said() -> None:
    grey = np.full((256, 512), 120, np.uint8)
    other = displaced(MODEL_VIEW, 1.5, 0.05)
    y, u, _ = Reprojector(MODEL_VIEW, other).apply(grey, grey[::2, ::2].copy(), grey[::2, ::2].copy())
    told = unseen(MODEL_VIEW, other)
    assert (u[~told] == 120).all()
    assert (y[~told.repeat(2, 0).repeat(2, 1)] == 120).all()
    # It says a little more than is black: one chroma pixel beside it, and those of which a part is seen.
    assert (u[cv2.erode(told.view(np.uint8), np.ones((5, 5), np.uint8), borderValue=1).view(np.bool_)] == 128).all()
    assert y[0, 0] == 16
    # From further left one sees further left than was recorded; most of all near the car.
    assert told[125, :75].all()
    assert not told[125, 150:].any()


def test_what_the_lens_did_not_see_stays_unseen_from_elsewhere() -> None:
    blank = np.zeros((128, 256), np.bool_)
    blank[:, :50] = True
    other = displaced(MODEL_VIEW, 0.0, 0.03)
    # A turn to the left by 0.03 rad moves the picture right by 455 * tan(0.03) / 2 chroma pixels, and more at the edge.
    told = unseen(MODEL_VIEW, other, blank)
    assert told[60, 50 + 6]
    assert not told[60, 50 + 12 :].any()


def test_a_narrow_lens_leaves_the_edges_of_a_wide_view_black() -> None:
    narrow = Camera.mounted(300, 256, 455.0, position_m=(1.5, 0.0, 1.3))
    blank = never_seen(narrow, MODEL_VIEW)
    assert blank[60, :53].all()
    assert not blank[20:100, 53:203].any()
    assert not never_seen(MODEL_VIEW, MODEL_VIEW).any()
    np.testing.assert_array_equal(on_both_sides(blank), on_both_sides(blank)[:, ::-1])


def test_pixels_can_be_hidden_whether_seen_or_not() -> None:
    hidden = np.zeros((128, 256), np.bool_)
    hidden[100:, :50] = True
    grey = np.full((256, 512), 120, np.uint8)
    half = grey[::2, ::2].copy()
    y, u, _ = Reprojector(MODEL_VIEW, MODEL_VIEW, hidden).apply(grey, half, half)
    np.testing.assert_array_equal(u, np.where(hidden, 128, 120))
    np.testing.assert_array_equal(y, np.where(hidden.repeat(2, 0).repeat(2, 1), 16, 120))


def test_a_camera_hung_askew_tilts_the_horizon() -> None:
    sky = np.full((256, 512), 40, np.uint8)
    sky[:96] = 200
    down = warped(sky, MODEL_VIEW, 0.0, 0.0, camera_pitch_rad=0.02)
    assert (down[:, 255] > 120).sum() == pytest.approx(96 - 455 * math.tan(0.02), abs=1)
    rolled = warped(sky, MODEL_VIEW, 0.0, 0.0, camera_roll_rad=0.02)
    # Right side down: on the right the camera looks lower, so the horizon stands higher in the picture.
    assert (rolled[:, 480] > 120).sum() < (rolled[:, 30] > 120).sum()


@pytest.mark.parametrize("offset", [4.01, -7.0, math.nan])
def test_a_picture_is_not_carried_further_than_it_bears(offset: float) -> None:
    with pytest.raises(ConfigError, match=r"within 4.0 m of the recorded line, got .* m; end the rollout"):
        displaced(MODEL_VIEW, offset, 0.0)


def test_a_lens_that_distorts_and_a_camera_below_the_ground_are_refused() -> None:
    bent = Camera(512, 256, (455.0, 455.0), (255.5, 95.5), MODEL_VIEW.ego_from_camera, (0.1, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ConfigError, match=r"expected a rectified picture and a camera above the ground, got .*0\.1"):
        Reprojector(bent, MODEL_VIEW)
    buried = Camera.mounted(512, 256, 455.0, position_m=(1.5, 0.0, -0.2))
    with pytest.raises(ConfigError, match=r"a height of -0\.2 m; resample into MODEL_VIEW first"):
        Reprojector(buried, buried)
