"""Pictures: they agree with the camera model, repeat bit for bit, and show what they should."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.geometry import Camera
from dojo.world.bodies import OtherVehicle
from dojo.world.render import Renderer, stand
from dojo.world.road import CrossSection, Hills, Line, Road
from dojo.world.road_design import make_road
from dojo.world.weather import Look, Weather

CAMERA = Camera.mounted(320, 200, 260.0, (159.5, 85.0), position_m=(1.9, 0.0, 1.35))
PLAIN = Look("day", noise=0.0, vignette=0.0, white_balance=(1.0, 1.0, 1.0))


def flat_road(length_m: float = 600.0) -> Road:
    """Straight and level, one lane each way, a solid white line on either side and nothing else."""
    section = CrossSection(1, 3.5, 0.0, 0.5, 0.0, False)
    lines = tuple(Line(side * 3.4, 0.12, 0.0, 0.0, "white", 0.0, length_m) for side in (-1.0, 1.0))
    return Road(
        kind="rural",
        seed=0,
        curvature_per_m=np.zeros(int(2 * length_m) + 1),
        bearing_rad=0.0,
        section=section,
        lines=lines,
        limits=((0.0, 20.0),),
        hills=Hills(np.zeros((1, 4))),
        origin_deg_m=(48.0, 9.0, 100.0),
    )


def ego_at(road: Road, s_m: float) -> tuple[float, float, float]:
    x, y, _ = road.point(s_m, road.lane_centre_m(0))
    return float(x), float(y), float(road.pose(s_m).yaw_rad)


def ahead(road: Road, s_m: float, **changes: object) -> OtherVehicle:
    x, y, yaw = ego_at(road, s_m)
    return replace(OtherVehicle(x, y, yaw), **changes)


CAMERAS = {
    "straight": CAMERA,
    "off-centre": Camera.mounted(400, 260, 300.0, (180.3, 141.7), position_m=(1.5, 0.2, 1.5)),
    "turned": Camera.mounted(
        380, 260, 320.0, (189.5, 110.0), position_m=(2.0, 0.0, 1.4), roll_rad=0.03, pitch_rad=0.05, yaw_rad=-0.06
    ),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_known_points_appear_where_the_camera_model_says(name: str) -> None:
    camera, road = CAMERAS[name], flat_road()
    with Renderer(road, camera, PLAIN, 1, supersampling=(2, 2)) as renderer:
        for distance, sideways in [(12.0, 0.0), (20.0, 3.0), (35.0, -4.0), (60.0, 2.0)]:
            # A box truck's rear is an upright rectangle, painted but for a dark seam: the pixels that change with the
            # paint span it from 30 % of its height to the top.
            truck = OtherVehicle(100 + distance + 4.5, -1.75 + sideways, 0.0, "truck", 9.0, 2.4, 3.2)
            red, blue = (
                renderer.render((100.0, -1.75, 0.0), [replace(truck, colour=colour)], 0.0)
                for colour in ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9))
            )
            painted = np.abs(red.astype(int) - blue).max(-1) > 60
            rows, columns = np.nonzero(painted)
            corners = np.array([[distance, sideways + side * 1.2, z] for side in (-1, 1) for z in (0.96, 3.2)])
            pixels, _ = camera.project(corners)
            # Edges of pixels lie half a pixel outside their centres. A truck to the left shows its right flank too, so
            # there only the left side of the region is the rear's, and the other way round.
            assert rows.min() - 0.5 == pytest.approx(pixels[:, 1].min(), abs=1.0)
            if sideways >= 0:
                assert columns.min() - 0.5 == pytest.approx(pixels[:, 0].min(), abs=1.0)
            if sideways <= 0:
                assert columns.max() + 0.5 == pytest.approx(pixels[:, 0].max(), abs=1.0)


@pytest.mark.parametrize("name", CAMERAS)
def test_edge_lines_lie_where_the_camera_model_says(name: str) -> None:
    camera, road = CAMERAS[name], flat_road()
    with Renderer(road, camera, PLAIN, 1, supersampling=(2, 2)) as renderer:
        picture = renderer.render((100.0, -1.75, 0.0), [], 0.0).astype(float).mean(-1)
    for distance in (8.0, 12.0, 20.0, 30.0):
        pixel, _ = camera.project(np.array([[distance, -1.65, 0.0]]))
        column, row = pixel[0]
        line = picture[round(row), round(column) - 12 : round(column) + 13]
        bright = np.clip(line - np.median(line) - 15, 0, None)
        # The middle of the paint along this row; half a pixel of row is up to half a pixel of column here.
        found = round(column) - 12 + (bright * np.arange(25)).sum() / bright.sum()
        assert found == pytest.approx(column, abs=1.0)


def test_a_vehicle_stands_level_with_the_ground() -> None:
    road = make_road(5, "rural", 900.0)
    x, y, yaw = ego_at(road, 400.0)
    world_from_ego = stand(road.hills, x, y, yaw)
    for offset in ([2.0, 0, 0], [0, 1.0, 0], [-1.5, -0.8, 0]):
        at = world_from_ego.apply(np.array([offset], np.float64))[0]
        assert at[2] == pytest.approx(float(road.hills.height_m(at[0], at[1])), abs=2e-3)


@pytest.mark.parametrize("weather", ["day", "night", "rain", "fog"])
def test_the_same_seed_draws_the_same_picture_whatever_came_before(weather: Weather) -> None:
    road, look = make_road(11, "suburban", 1500.0), Look.of(weather, 4)
    with Renderer(road, CAMERA, look, 9) as first, Renderer(road, CAMERA, look, 9) as second:
        for s in (200.0, 230.0, 1200.0):
            first.render(ego_at(road, s), [ahead(road, s + 15)], s)
        there = [ahead(road, 420.0, braking=True), ahead(road, 440.0, kind="truck")]
        a = first.render(ego_at(road, 400.0), there, 12.5)
        b = second.render(ego_at(road, 400.0), there, 12.5)
        other_time = second.render(ego_at(road, 400.0), there, 12.6)
    np.testing.assert_array_equal(a, b)
    assert (a != other_time).any()


def test_other_seeds_have_other_scenery() -> None:
    road = make_road(11, "rural", 900.0)
    pictures = []
    for seed in (1, 2):
        with Renderer(road, CAMERA, PLAIN, seed) as renderer:
            pictures.append(renderer.render(ego_at(road, 300.0), [], 0.0).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() > 3


def test_every_weather_looks_different() -> None:
    road = make_road(2, "rural", 900.0)
    pictures = {}
    for weather in get_args(Weather):
        with Renderer(road, CAMERA, Look.of(weather, 3), 3) as renderer:
            pictures[weather] = renderer.render(ego_at(road, 300.0), [], 0.0).astype(int)
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(pictures[one] - pictures[other]).mean() > 5, (one, other)
    assert pictures["night"].mean() < pictures["dusk"].mean() < pictures["day"].mean()


@pytest.mark.parametrize(
    ("weather", "distance_m"),
    [("day", 40.0), ("overcast", 40.0), ("dusk", 30.0), ("night", 25.0), ("rain", 25.0), ("fog", 20.0)],
)
def test_paint_can_be_made_out_in_every_weather(weather: Weather, distance_m: float) -> None:
    road, camera = flat_road(), Camera.mounted(640, 400, 520.0, (319.5, 170.0), position_m=(1.9, 0.0, 1.35))
    pixel, _ = camera.project(np.array([[distance_m, -1.65, 0.0], [distance_m, -0.6, 0.0]]))
    (line, row), asphalt = pixel[0], pixel[1, 0]
    for seed in range(3):
        with Renderer(road, camera, Look.of(weather, seed), seed) as renderer:
            # Noise differs from picture to picture: a driver, and a model, see more than one.
            pictures = [renderer.render((100.0, -1.75, 0.0), [], 0.1 * i).astype(float).mean(-1) for i in range(5)]
        grey = np.mean(pictures, axis=0)
        on_line = grey[round(row) - 1 : round(row) + 2, round(line) - 1 : round(line) + 2].max()
        beside = grey[round(row) - 1 : round(row) + 2, round(asphalt) - 2 : round(asphalt) + 3].mean()
        assert on_line > beside + 6, (seed, on_line, beside)


def test_vehicles_show_brake_lamps_and_flashing_blinkers() -> None:
    road = flat_road()
    with Renderer(road, CAMERA, PLAIN, 1) as renderer:

        def view(time_s: float, **changes: object) -> np.ndarray:
            return renderer.render(ego_at(road, 100.0), [ahead(road, 112.0, **changes)], time_s).astype(int)

        plain, braking = view(0.1), view(0.1, braking=True)
        assert ((braking - plain)[..., 0] > 60).sum() > 10
        left, right = view(0.1, blinker="left"), view(0.1, blinker="right")
        columns = [np.nonzero((np.abs(lit - plain).max(-1) > 40).any(0))[0].mean() for lit in (left, right)]
        assert columns[0] < 159.5 < columns[1]
        np.testing.assert_array_equal(view(0.4, blinker="left"), view(0.4))  # between two flashes
        empty = renderer.render(ego_at(road, 100.0), [], 0.1).astype(int)
        assert (np.abs(empty - plain).max(-1) > 20).sum() > 500


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99), kind=st.sampled_from(["rural", "suburban", "motorway"]), share=st.floats(0.1, 0.9))
def test_the_ground_has_no_holes(seed: int, kind: str, share: float) -> None:
    # What nothing covers stays as cleared, black; every real surface reflects something.
    road = make_road(seed, kind, 900.0)
    with Renderer(road, CAMERA, PLAIN, seed, supersampling=(1, 1)) as renderer:
        picture = renderer.render(ego_at(road, share * road.length_m), [], 0.0)
    assert (picture.max(-1) > 3).all()


def test_a_process_can_draw_many_drives_one_after_another() -> None:
    road, sizes = make_road(3, "rural", 600.0), []
    for i in range(7):
        with Renderer(road, CAMERA, Look.of("rain", i), i) as renderer:
            renderer.render(ego_at(road, 300.0), [ahead(road, 320.0)], 0.0)
        sizes.append(psutil.Process().memory_info().rss)
    # Each leaves under 0.2 MB behind (measured); one forgotten sky texture alone would be 8 MB.
    assert sizes[-1] - sizes[2] < 15e6


@pytest.mark.parametrize("weather", ["day", "night"])
def test_who_is_far_behind_costs_a_vehicle_nothing_and_changes_no_pixel(weather: Weather) -> None:
    road = make_road(3, "rural", 600.0)
    seen, behind = ahead(road, 330.0), [ahead(road, s_m) for s_m in (200.0, 265.0)]
    with Renderer(road, CAMERA, Look.of(weather, 1), 1) as renderer:
        alone = renderer.render(ego_at(road, 300.0), [seen], 0.0)
        np.testing.assert_array_equal(renderer.render(ego_at(road, 300.0), [*behind, seen], 0.0), alone)
        # A trailer whose middle is behind the eye reaches in front of it.
        long = ahead(road, 300.0, kind="truck", length_m=16.0, height_m=3.9)
        assert (renderer.render(ego_at(road, 300.0), [long, seen], 0.0) != alone).any()


def test_a_pose_may_be_given_whole() -> None:
    road = flat_road()
    with Renderer(road, CAMERA, PLAIN, 1) as renderer:
        level = renderer.render((100.0, -1.75, 0.0), [], 0.0)
        np.testing.assert_array_equal(renderer.render((100.0, -1.75, 0.0, 0.0, 0.0, 0.0), [], 0.0), level)
        assert (renderer.render((100.0, -1.75, 0.0, 0.0, 0.03, 0.0), [], 0.0) != level).any()
        with pytest.raises(ConfigError, match="expected a pose"):
            renderer.render((100.0, -1.75), [], 0.0)


def test_what_cannot_be_drawn_is_refused() -> None:
    road = flat_road()
    distorted = replace(CAMERA, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ConfigError, match="expected a camera without distortion"):
        Renderer(road, distorted, PLAIN, 1)
    with pytest.raises(ConfigError, match="expected a display from p3tinydisplay"):
        Renderer(road, CAMERA, PLAIN, 1, display="paper")


@pytest.mark.parametrize("weather", ["day", "fog"])
def test_opengl_draws_the_same_pictures_as_the_software_display(weather: Weather) -> None:
    road, look = make_road(7, "suburban", 600.0), replace(Look.of(weather, 7), noise=0.0)
    pictures = []
    for display in ("p3tinydisplay", "p3headlessgl"):
        try:
            renderer = Renderer(road, CAMERA, look, 7, supersampling=(2, 2), display=display)
        except ConfigError as unavailable:
            pytest.skip(str(unavailable))
        with renderer:
            pictures.append(renderer.render(ego_at(road, 250.0), [ahead(road, 270.0)], 0.0).astype(int))
    # Texture filters differ, edges by a fraction of a pixel; shapes, colours and depth do not.
    assert np.abs(pictures[0] - pictures[1]).mean() < 5
