from __future__ import annotations

import io
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.draw import LINE_RGB, PLANNED_RGB, mp4_of, rgb_of
from dojo.evaluate.video import (
    Scene,
    VideoStyle,
    clip_video,
    motion_lines,
    png_of,
    scenes,
    still,
)
from dojo.geometry import MODEL_VIEW
from dojo.records import TRAJECTORY_TIMES_S, Frame, Plans

PLAIN = VideoStyle(scale=1.0, panel_px=0)
T = TRAJECTORY_TIMES_S


def grey_frame() -> Frame:
    chroma = np.full((128, 256), 128, np.uint8)
    return Frame(0, np.full((256, 512), 60, np.uint8), chroma, chroma)


def path_of(y_m: float, speed_mps: float = 10.0) -> np.ndarray:
    return np.stack([speed_mps * T, np.full(33, y_m), 0 * T], -1).astype(np.float32)


def scene(driven_y_m: float = 0.0, planned_y_m: float = 0.0, **changes: object) -> Scene:
    one = np.ones(1, np.float32)
    driven = path_of(driven_y_m)
    plain = Scene(grey_frame(), driven, np.ones(33, np.bool_), path_of(planned_y_m)[None], one)
    return replace(plain, **changes)  # type: ignore[arg-type]


def near(picture: np.ndarray, colour: tuple[int, int, int], pixel: np.ndarray, reach: int = 3) -> float:
    """The smallest distance in colour within a few pixels of a place."""
    column, row = np.round(pixel).astype(int)
    patch = picture[row - reach : row + reach + 1, column - reach : column + reach + 1].astype(float)
    return float(np.abs(patch - np.array(colour)).max(-1).min())


def test_the_paths_lie_on_the_road_where_the_camera_sees_them() -> None:
    picture = still(scene(driven_y_m=2.0, planned_y_m=-2.0), MODEL_VIEW, PLAIN)
    ground = np.array([[15.0, -2.0, 0.0], [15.0, 2.9, 0.0], [15.0, 1.1, 0.0], [15.0, 6.0, 0.0]])
    planned, left_edge, right_edge, beside = MODEL_VIEW.project(ground)[0]
    assert near(picture, PLANNED_RGB, planned) < 30
    assert near(picture, LINE_RGB, left_edge) < 30
    assert near(picture, LINE_RGB, right_edge) < 30
    assert near(picture, LINE_RGB, beside) > 60
    assert near(picture, PLANNED_RGB, beside) > 60
    # Left of the vehicle is left in the picture, and nothing is painted above the horizon.
    assert left_edge[0] < 255.5 < planned[0]
    assert np.ptp(picture[:90].reshape(-1, 3), axis=0).max() == 0


def test_the_ribbon_narrows_with_distance() -> None:
    picture = still(scene(planned_y_m=50.0), MODEL_VIEW, PLAIN).astype(int)
    widths = []
    for ahead in (8.0, 24.0):
        left, right = MODEL_VIEW.project(np.array([[ahead, 0.9, 0.0], [ahead, -0.9, 0.0]]))[0]
        row = picture[round(float(left[1]))]
        blue = np.flatnonzero((row[:, 2] - row[:, 0]) > 60)
        widths.append(float(np.ptp(blue)))
        assert widths[-1] == pytest.approx(right[0] - left[0], abs=6)  # the edge lines are 2 px wide, their dark rims 5
    assert widths[0] > 2.5 * widths[1]


def test_a_path_that_ends_is_drawn_only_so_far() -> None:
    cut = scene(driven_y_m=2.0, driven_valid=T <= 1.5, planned_y_m=-2.0)
    picture = still(cut, MODEL_VIEW, PLAIN)
    close, far = MODEL_VIEW.project(np.array([[10.0, 2.9, 0.0], [22.0, 2.9, 0.0]]))[0]
    assert near(picture, LINE_RGB, close) < 30
    assert near(picture, LINE_RGB, far) > 60


@pytest.mark.parametrize(
    "path",
    [
        np.zeros((33, 3), np.float32),
        path_of(0.0, speed_mps=-5.0),
        np.stack([8 * np.sin(T), 8 - 8 * np.cos(T), 0 * T], -1).astype(np.float32),
    ],
    ids=["standing", "backwards", "circling back behind the camera"],
)
def test_odd_paths_are_drawn_without_streaks_across_the_sky(path: np.ndarray) -> None:
    picture = still(scene(driven_m=path, planned_m=path[None]), MODEL_VIEW, PLAIN)
    assert np.ptp(picture[:90].reshape(-1, 3), axis=0).max() == 0


def test_the_stated_spread_and_other_hypotheses_are_visible() -> None:
    scale = np.full((33, 3), 1.5, np.float32)
    both = np.stack([path_of(0.0), path_of(-4.0)])
    plain = scene(driven_y_m=50.0)
    rich = replace(plain, planned_m=both, probability=np.array([0.7, 0.3], np.float32), scale_m=scale)
    spread, other = MODEL_VIEW.project(np.array([[15.0, 1.3, 0.0], [15.0, -4.0, 0.0]]))[0]
    for place in (spread, other):
        assert near(still(rich, MODEL_VIEW, PLAIN), PLANNED_RGB, place) < near(
            still(plain, MODEL_VIEW, PLAIN), PLANNED_RGB, place
        )


def test_the_panel_shows_the_same_from_above() -> None:
    picture = still(scene(driven_y_m=6.0, planned_y_m=-6.0), MODEL_VIEW, VideoStyle(scale=2.0))
    assert picture.shape == (512, 1280, 3)
    panel = picture[140:480, 1024:].astype(int)
    blue = np.argwhere((panel[..., 2] - panel[..., 0]) > 90)
    orange = np.argwhere((panel[..., 0] - panel[..., 2]) > 90)
    assert blue[:, 1].mean() < 128 < orange[:, 1].mean()


def test_the_video_plays_and_shows_what_the_stills_show() -> None:
    moments = [scene(planned_y_m=y) for y in np.linspace(-2, 2, 12)]
    data = clip_video(iter(moments), MODEL_VIEW, VideoStyle(fps=5.0))
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate or 0) == pytest.approx(5.0)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == 12
    assert pictures[0].shape == (512, 1280, 3)
    first = still(moments[0], MODEL_VIEW, VideoStyle()).astype(float)
    assert np.abs(first - pictures[0]).mean() < 4  # of 255: what the codec costs


def test_scenes_pair_frames_with_plans_in_order() -> None:
    position = np.stack([path_of(0.0), path_of(1.0)])[:, None]
    ones = np.ones((2, 1), np.float32)
    plans = Plans(position, np.ones_like(position), ones, ones[:, 0], ones[:, 0])
    frames = [grey_frame(), replace(grey_frame(), timestamp_ns=7)]
    found = list(scenes(frames, position[:, 0], np.ones((2, 33), np.bool_), plans, [("a",), ("b",)]))
    assert [one.frame.timestamp_ns for one in found] == [0, 7]
    assert found[1].planned_m[0, 0, 1] == 1.0
    assert found[1].lines == ("b",)


def test_motion_is_told_as_people_read_it() -> None:
    assert motion_lines(15.0, 0.0) == ("54 km/h", "straight")
    assert motion_lines(10.0, 0.01) == ("36 km/h", "bend 100 m left")
    assert motion_lines(10.0, -0.01) == ("36 km/h", "bend 100 m right")


def test_limited_range_becomes_full_range() -> None:
    chroma = np.full((1, 1), 128, np.uint8)
    white = rgb_of(Frame(0, np.full((2, 2), 235, np.uint8), chroma, chroma))
    black = rgb_of(Frame(0, np.full((2, 2), 16, np.uint8), chroma, chroma))
    assert white.min() >= 253
    assert black.max() <= 2


def test_a_still_can_be_kept_as_png() -> None:
    picture = still(scene(), MODEL_VIEW)
    again = cv2.imdecode(np.frombuffer(png_of(picture), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(again, picture)


def test_frames_of_another_camera_are_refused() -> None:
    chroma = np.zeros((50, 50), np.uint8)
    wrong = replace(scene(), frame=Frame(0, np.zeros((100, 100), np.uint8), chroma, chroma))
    with pytest.raises(EvaluationError, match="expected frames of 512 x 256 px, got 100 x 100"):
        still(wrong, MODEL_VIEW)


def test_a_video_of_nothing_is_refused() -> None:
    with pytest.raises(EvaluationError, match="expected at least one scene, got none"):
        clip_video([], MODEL_VIEW)


def test_impossible_styles_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"got scale 0\.0, panel 256 px"):
        VideoStyle(scale=0.0)


def test_a_film_longer_than_the_encoder_looks_ahead_keeps_its_frames_and_its_length() -> None:
    pictures = [np.full((64, 96, 3), 2 * number, np.uint8) for number in range(90)]
    with av.open(io.BytesIO(mp4_of(pictures, 5.0))) as film:
        shown = list(film.decode(video=0))
    assert len(shown) == 90
    assert [float(frame.time) for frame in shown] == pytest.approx([number / 5.0 for number in range(90)])
