"""Light and weather: fog by its law, night by headlights, a camera's own character."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from dojo.geometry import Camera
from dojo.world.weather import DEPTH_OF_CODE_M, Finish, Glow, Look, Weather, depth_code

CAMERA = Camera.mounted(200, 120, 160.0, (99.5, 50.0), position_m=(1.9, 0.0, 1.35))
NEUTRAL = Look("day", noise=0.0, vignette=0.0)


def grey(value: int) -> np.ndarray:
    return np.full((120, 200, 3), value, np.uint8)


def codes(depth_m: float) -> np.ndarray:
    return np.full((120, 200), int(depth_code(np.array(depth_m))), np.uint8)


def test_depth_survives_its_code_to_two_per_cent() -> None:
    depth = np.geomspace(3.0, 590.0, 500)
    back = DEPTH_OF_CODE_M[depth_code(depth)]
    np.testing.assert_allclose(back, depth, rtol=0.02)
    assert (np.diff(depth_code(depth).astype(int)) >= 0).all()


def test_fog_leaves_two_per_cent_of_contrast_at_its_visibility() -> None:
    # Source: Koschmieder's law with the 2 % threshold; 8-bit arithmetic rounds to about 1 of 255.
    look = replace(NEUTRAL, weather="fog", visibility_m=100.0, haze=(0.5, 0.5, 0.5))
    finish = Finish(look, CAMERA, 1)
    for depth, through in ((100.0, 0.02), (50.0, 0.02**0.5), (25.0, 0.02**0.25)):
        light, dark = (finish.apply(grey(v), codes(depth), [], 0.0)[60, 100, 1] for v in (180, 20))
        assert int(light) - int(dark) == pytest.approx(160 * through, abs=4)


def test_headlights_reach_the_road_and_not_the_sky() -> None:
    look = replace(NEUTRAL, weather="night", headlights=1.0, light=(0.1, 0.1, 0.1))
    finish = Finish(look, CAMERA, 1)
    near, far = (finish.apply(grey(150), codes(d), [], 0.0) for d in (8.0, 80.0))
    assert near[70, 100].mean() > 3 * far[70, 100].mean()
    assert near[70, 100].mean() > 3 * near[10, 100].mean()  # far above the cut-off
    assert near[70, 100].mean() > 1.5 * near[70, 3].mean()  # aside


def test_a_wet_road_mirrors_what_stands_above_it() -> None:
    look = replace(NEUTRAL, weather="rain", wet=1.0)
    picture, code = grey(60), codes(600.0)
    picture[20:45, 80:120] = 250  # something bright just above the horizon
    finish = Finish(look, CAMERA, 1)
    row_m = 1.35 * 160.0 / (np.arange(51, 120) - 50.0)
    code[51:] = depth_code(row_m)[:, None]
    wet = finish.apply(picture, code, [], 0.0)
    assert wet[58, 100].mean() > wet[58, 20].mean() + 10


def test_glows_are_hidden_by_what_is_nearer() -> None:
    look = replace(NEUTRAL, weather="night", headlights=1.0, light=(0.1, 0.1, 0.1))
    finish = Finish(look, CAMERA, 1)
    lamp = Glow(100.0, 48.0, 50.0, 1.5, (1.0, 1.0, 1.0))
    dark = finish.apply(grey(20), codes(50.0), [], 0.0)
    assert finish.apply(grey(20), codes(50.0), [lamp], 0.0)[48, 100].mean() > dark[48, 100].mean() + 100
    hidden = finish.apply(grey(20), codes(20.0), [lamp], 0.0)
    np.testing.assert_array_equal(hidden, finish.apply(grey(20), codes(20.0), [], 0.0))
    outside = replace(lamp, column=-5.0)
    np.testing.assert_array_equal(finish.apply(grey(20), codes(50.0), [outside], 0.0), dark)


def test_noise_has_the_strength_asked_for_and_follows_time_and_seed() -> None:
    look = replace(NEUTRAL, noise=3.0)
    first, again, later = (Finish(look, CAMERA, 5).apply(grey(120), None, [], t) for t in (1.0, 1.0, 1.1))
    other = Finish(look, CAMERA, 6).apply(grey(120), None, [], 1.0)
    assert first.astype(float).std() == pytest.approx(3.0, rel=0.1)
    np.testing.assert_array_equal(first, again)
    assert (first != later).any()
    assert (first != other).any()


def test_a_camera_keeps_its_character_in_all_weathers() -> None:
    looks = [Look.of(weather, 7) for weather in get_args(Weather)]
    assert len({look.white_balance for look in looks}) == 1
    assert len({look.vignette for look in looks}) == 1
    assert Look.of("day", 7) != Look.of("day", 8)


def test_fleets_meet_every_weather() -> None:
    met = Counter(Look.draw(seed).weather for seed in range(300))
    assert set(met) == set(get_args(Weather))
    assert met["day"] > met["fog"]
    assert Look.draw(12) == Look.draw(12)


def test_exposure_and_white_balance_scale_the_colours() -> None:
    look = replace(NEUTRAL, exposure=0.8, white_balance=(1.1, 1.0, 0.9))
    pixel = Finish(look, CAMERA, 1).apply(grey(100), None, [], 0.0)[60, 100]
    np.testing.assert_allclose(pixel, [88, 80, 72], atol=1)
