"""Augmentation is a pure function of its key, mild, and mirrors everything that has a side."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW
from dojo.load.augment import NO_AUGMENT, Augment, AugmentConfig, mirrored
from dojo.records import DESIRES, TRAJECTORY_TIMES_S

ONLY_MIRROR = AugmentConfig(mirror=1.0, brightness=0.0, contrast=0.0, saturation=0.0, noise=0.0, blind=0.0)


def same(first, second):
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


def frames_of(seed=0):
    return np.random.default_rng(seed).integers(16, 236, (3, 6, 128, 64), np.uint8)


def test_a_clip_mirrored_twice_is_the_clip(make_clips):
    for clip in make_clips(6):
        assert same(mirrored(mirrored(clip)), clip)


def test_a_mirror_turns_what_has_a_side_and_nothing_else(make_clips):
    clip = make_clips(1)[0]
    seen = mirrored(clip)
    assert np.array_equal(seen.position_m, clip.position_m * np.float32([1, -1, 1]))
    assert np.array_equal(seen.yaw_rad, -clip.yaw_rad)
    assert np.array_equal(seen.curvature_per_m, -clip.curvature_per_m)
    assert np.array_equal(seen.ego_rates, clip.ego_rates * np.float32([1, -1, 1, -1, 1, -1]))
    assert np.array_equal(seen.acceleration_mps2, clip.acceleration_mps2)
    assert "traffic_left" in seen.tags
    swapped = [
        DESIRES[code].replace("left", "#").replace("right", "left").replace("#", "right") for code in clip.desire
    ]
    assert [DESIRES[code] for code in seen.desire] == swapped


def test_who_is_shown_nothing_is_taught_to_go_straight_on(make_clips):
    clip = make_clips(1)[0]
    taught, seen = Augment(replace(NO_AUGMENT, blind=1.0), 0).apply(clip, frames_of(), "key")
    horizon = round(MODEL_VIEW.centre_px[1] / 2)
    for part in (seen[:, :, :horizon], seen[:, :, horizon:]):
        assert (part == part[:, :, :1, :1]).all()  # nothing to steer by
    assert (seen[:, :4] == seen[:, :1]).sum() == seen[:, :4].size
    assert np.allclose(taught.position_m[..., 0], clip.speed_mps[:, :1] * TRAJECTORY_TIMES_S)
    assert not taught.position_m[..., 1:].any()
    assert not np.any([taught.yaw_rad.any(), taught.curvature_per_m.any(), taught.ego_rates[:, 3:].any()])
    assert same(Augment(replace(NO_AUGMENT, blind=0.0, mirror=0.0), 0).apply(clip, frames_of(), "key")[0], clip)


def test_where_only_some_rows_are_made_the_ground_still_ends_at_the_horizon(make_clips):
    frames = np.zeros((3, 6, 64, 256), np.uint8)
    frames[:, :, 20:] = 100
    _, seen = Augment(replace(NO_AUGMENT, blind=1.0), 0, horizon=20).apply(make_clips(1)[0], frames, "key")
    assert np.array_equal(seen, frames)


def test_about_one_clip_in_fifty_is_shown_nothing(make_clips):
    clip, augment = make_clips(1)[0], Augment(replace(NO_AUGMENT, blind=0.02), 0)
    blind = sum(not augment.apply(clip, frames_of(), key)[0].yaw_rad.any() for key in range(1000))
    assert clip.yaw_rad.any()
    assert 4 <= blind <= 40


def test_the_same_key_gives_the_same_picture_and_another_key_another(make_clips):
    clip, frames = make_clips(1)[0], frames_of()
    augment = Augment(AugmentConfig(), 5)
    first, again, other = (augment.apply(clip, frames, *key) for key in ((1, "c"), (1, "c"), (2, "c")))
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    assert np.array_equal(frames, frames_of())


def test_about_half_of_the_clips_are_mirrored(make_clips):
    clip, frames = make_clips(1)[0], frames_of()
    augment = Augment(AugmentConfig(brightness=0.0, contrast=0.0, saturation=0.0, noise=0.0), 0)
    flipped = sum("traffic_left" in augment.apply(clip, frames, number)[0].tags for number in range(400))
    assert 160 <= flipped <= 240  # four standard deviations of a fair coin


def test_light_changes_alike_in_all_frames_of_a_clip_and_grain_does_not(make_clips):
    clip = make_clips(1)[0]
    grey = np.full((3, 6, 128, 64), 120, np.uint8)
    lit = Augment(AugmentConfig(mirror=0.0, noise=0.0), 0).apply(clip, grey, 3)[1]
    assert np.array_equal(lit[0], lit[1])
    assert (lit[:, 4:] == lit[0, 4, 0, 0]).all()
    grain = Augment(AugmentConfig(0.0, 0.0, 0.0, 0.0, noise=8.0), 0)
    made = grain.apply(clip, grey, 3)[1].astype(int) - 120
    assert not np.array_equal(made[0], made[1])
    assert abs(made.mean()) < 0.3
    deviations = [(grain.apply(clip, grey, key)[1].astype(int) - 120).std() for key in range(20)]
    assert 6 < max(deviations) <= 8.6


def test_pictures_stay_near_the_recorded_ones(make_clips):
    frames = np.clip(frames_of(), 60, 180)
    augment = Augment(AugmentConfig(mirror=0.0), 0)
    for key in range(10):
        change = augment.apply(make_clips(1)[0], frames, key)[1].astype(int) - frames
        # 16 of brightness, 20 % of at most 68 from grey, and grain of 3 that reaches four deviations.
        assert np.abs(change).max() <= 16 + 14 + 12 + 1


def test_only_the_mirror_leaves_the_light_alone(make_clips):
    frames = frames_of()
    made = Augment(ONLY_MIRROR, 0).apply(make_clips(1)[0], frames, 0)[1]
    assert np.array_equal(np.sort(made, axis=None), np.sort(frames, axis=None))


def test_settings_beyond_reason_are_refused():
    with pytest.raises(ConfigError, match=r"mirror and saturation must be in \[0, 1\].* got 2.0, 0.2 and 0.2"):
        AugmentConfig(mirror=2.0)
    with pytest.raises(ConfigError, match=r"noise in \[0, 32\], got 16.0 and 99.0"):
        AugmentConfig(noise=99.0)
