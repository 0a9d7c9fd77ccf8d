"""Where clips begin and end, and what they are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.curate import CurateConfig, cut
from dojo.errors import ConfigError
from dojo.records import DESIRES

START_NS = 1_700_000_000_000_000_000


def lane_change(t, start=8.0, length=5.0, width=3.5, speed=20.0):
    """Heading of a lane change to the left: a smooth hump."""
    phase = np.clip((t - start) / length, 0, 1)
    return (1 - np.cos(2 * np.pi * phase)) * width / (speed * length)


def turn(t, start=9.0, length=4.0, angle=np.pi / 2):
    phase = np.clip((t - start) / length, 0, 1)
    return angle * (phase - np.sin(2 * np.pi * phase) / (2 * np.pi))


def between(first, last):
    return lambda t: (t >= first) & (t < last)


def test_clips_follow_each_other_and_stop_about_a_second_before_the_end(make_drive, made, paths):
    clips = cut(make_drive(made(paths["straight"](10.0), length_s=20.0)), CurateConfig())
    starts = [(clip.anchor_timestamps_ns[0] - START_NS) / 1e9 for clip in clips]
    assert np.allclose(starts, 0.2 + np.arange(19), atol=1e-6)
    assert all(clip.valid[:, :11].all() for clip in clips)
    assert len({clip.clip_id for clip in clips}) == len(clips)


@settings(max_examples=15, deadline=None)
@given(fps=st.sampled_from([10.0, 20.0, 24.0, 36.6]), start=st.floats(2, 15), length=st.floats(0.2, 3.0))
def test_no_clip_contains_a_frame_that_was_not_valid(make_drive, made, paths, fps, start, length):
    drive = make_drive(made(paths["straight"](10.0), fps=fps, jitter=0.2, invalid_frames_s=(start, start + length)))
    clips = cut(drive, CurateConfig())
    for clip in clips:
        assert drive.cameras[0].valid[clip.frame_indices].all()
        steps = np.diff(drive.cameras[0].timestamps_ns[clip.frame_indices]) / 1e9
        assert np.abs(steps - 0.2).max() <= 2 * 0.06 + 1e-6  # a tolerance either side
    assert len(clips) >= 12


def test_a_camera_slower_than_the_anchors_gives_no_clips(make_drive, made, paths):
    assert cut(make_drive(made(paths["straight"](10.0), fps=2.0)), CurateConfig()) == []


def test_a_drive_without_the_camera_gives_no_clips(make_drive, made, paths):
    assert cut(make_drive(made(paths["straight"](10.0))), CurateConfig(camera="back")) == []


def test_a_shorter_stride_lets_clips_overlap(make_drive, made, paths):
    clips = cut(make_drive(made(paths["straight"](10.0))), CurateConfig(stride_anchors=2))
    starts = np.array([clip.anchor_timestamps_ns[0] for clip in clips])
    assert np.allclose(np.diff(starts) / 1e9, 0.4)


def test_cutting_again_gives_the_same_ids_and_other_targets_give_others(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](10.0)))
    ids = [
        [clip.clip_id for clip in cut(drive, config)]
        for config in (CurateConfig(), CurateConfig(seed=5, standstill_share=0.3), CurateConfig(actuator_delay_s=0.3))
    ]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_tiles_are_those_of_the_clip_and_of_its_future(make_drive, made, paths):
    # 30 m/s eastwards from 11.0 deg: a tile of precision 6 is 0.011 deg wide, about 817 m at 48 deg north.
    clips = cut(make_drive(made(paths["straight"](30.0), length_s=60)), CurateConfig())
    assert all(1 <= len(clip.tiles) <= 2 for clip in clips)
    assert len({tile for clip in clips for tile in clip.tiles}) == 3
    assert any(len(clip.tiles) == 2 for clip in clips)


def test_a_drive_without_gnss_is_a_place_of_its_own(make_drive, made, paths):
    clips = cut(make_drive(made(paths["straight"](10.0), origin=None)), CurateConfig())
    assert {clip.tiles for clip in clips} == {("drive:d0",)}


def test_a_vehicle_that_backs_up_gives_no_clips(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](2.0), signals={"gear": lambda t: np.full_like(t, 2.0)}))
    assert cut(drive, CurateConfig()) == []


def tags_of(clips):
    return [set(clip.tags) for clip in clips]


def test_steady_straight_driving_is_straight_and_nothing_else(make_drive, made, paths):
    assert all(tags == {"straight"} for tags in tags_of(cut(make_drive(made(paths["straight"](10.0))), CurateConfig())))


def test_a_circle_is_a_curve(make_drive, made, paths):
    drive = make_drive(made(paths["circle"](10.0, 0.01)))
    assert all(tags == {"curve"} for tags in tags_of(cut(drive, CurateConfig())))


def test_standing_braking_and_starting_have_their_tags(make_drive, made, paths):
    def motion(t):
        """20 m/s, from 5 s on braking at 4 m/s2 to a stop at 10 s, standing, from 18 s on driving off at 2 m/s2."""
        speed = np.interp(t, [5, 10, 18, 28], [20, 0, 0, 20])
        fine = np.linspace(0, 30, 30_001)
        s = np.concatenate([[0], np.cumsum(np.interp(fine, [5, 10, 18, 28], [20, 0, 0, 20])[:-1] * 1e-3)])
        zero = np.zeros_like(t)
        return np.stack([np.interp(t, fine, s), zero, zero], -1), zero, speed, zero

    found = tags_of(cut(make_drive(made(motion, length_s=30.0)), CurateConfig()))
    assert "hard_brake" in found[4]
    assert "stop" in found[7]
    assert found[12] == {"standstill"}
    assert "start" in found[16]
    assert "hard_brake" not in found[16]


def test_a_signalled_lane_change_is_desired_while_the_blinker_is_on_and_has_a_tag(make_drive, made, paths):
    drive = make_drive(
        made(paths["from_heading"](20.0, lane_change), length_s=30.0, signals={"blinker_left": between(7.05, 12.0)})
    )
    clips = cut(drive, CurateConfig())
    desire = np.concatenate([clip.desire for clip in clips])
    times = (np.concatenate([clip.anchor_timestamps_ns for clip in clips]) - START_NS) / 1e9
    assert {DESIRES[code] for code in desire[desire > 0]} == {"lane_change_left"}
    assert times[desire > 0][[0, -1]] == pytest.approx([7.2, 12.0], abs=0.21)
    assert (np.diff(np.flatnonzero(desire)) == 1).all()
    assert all("lane_change" in clip.tags for clip in clips[7:12])
    assert "lane_change" not in clips[1].tags


def test_a_turn_is_told_from_a_lane_change_by_its_heading(make_drive, made, paths):
    drive = make_drive(
        made(
            paths["from_heading"](6.0, lambda t: -turn(t)),
            length_s=30.0,
            signals={"blinker_right": between(5.0, 13.0), "blinker_left": lambda t: 0 * t},
        )
    )
    desire = np.concatenate([clip.desire for clip in cut(drive, CurateConfig())])
    assert {DESIRES[code] for code in desire[desire > 0]} == {"turn_right"}


def test_a_blinker_without_a_manoeuvre_is_only_a_blinker(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](20.0), signals={"blinker_right": between(5.0, 8.0)}))
    clips = cut(drive, CurateConfig())
    assert sorted(set(np.concatenate([clip.desire for clip in clips]))) == [0, DESIRES.index("blinker")]


def test_a_blinking_lamp_counts_once_and_hazard_lights_not_at_all(make_drive, made, paths):
    blinking = lambda t: ((t >= 5) & (t < 9) & ((t * 1.4) % 1 < 0.5)).astype(float)  # noqa: E731
    once = cut(make_drive(made(paths["straight"](20.0), fps=20.0, signals={"blinker_left": blinking})), CurateConfig())
    both = {"blinker_left": between(5.0, 9.0), "blinker_right": between(5.0, 9.0)}
    none = cut(make_drive(made(paths["straight"](20.0), signals=both)), CurateConfig())
    desire = np.concatenate([clip.desire for clip in once])
    assert (np.diff(np.flatnonzero(desire)) == 1).all()
    assert (desire > 0).sum() == pytest.approx(20, abs=2)
    assert sum((clip.desire > 0).sum() for clip in none) == 0


def test_a_blinker_that_is_on_when_the_recording_begins_asks_for_nothing_that_is_known(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](20.0), signals={"blinker_left": between(-1.0, 4.0)}))
    assert sum((clip.desire > 0).sum() for clip in cut(drive, CurateConfig())) == 0


def test_a_lane_change_without_a_blinker_is_still_tagged(make_drive, made, paths):
    drive = make_drive(made(paths["from_heading"](20.0, lane_change), length_s=30.0))
    clips = cut(drive, CurateConfig())
    assert "lane_change" in clips[8].tags
    assert "lane_change" not in clips[20].tags
    assert all((clip.desire == 0).all() for clip in clips)


def test_switching_assistance_off_is_a_takeover(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](20.0), signals={"assist_state": lambda t: 2.0 * (t < 10)}))
    clips = cut(drive, CurateConfig())
    assert "takeover" in clips[9].tags
    assert "takeover" not in clips[2].tags
    assert "takeover" not in clips[12].tags


def test_the_side_of_traffic_is_a_tag(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](10.0)))
    assert "traffic_left" in cut(drive, CurateConfig(traffic_right=False))[0].tags
    assert "traffic_left" in cut(replace(drive, tags=("traffic_left", "rain")), CurateConfig())[0].tags
    assert "rain" in cut(replace(drive, tags=("rain",)), CurateConfig())[0].tags


def test_a_configuration_that_cannot_work_lists_everything_that_is_wrong():
    with pytest.raises(ConfigError, match=r"anchors_per_clip must be at least 1, got 0; validation_share must be"):
        CurateConfig(anchors_per_clip=0, validation_share=1.0)


def test_the_tag_of_a_drive_outweighs_the_default_side(make_drive, made, paths):
    drive = replace(make_drive(made(paths["straight"](10.0))), tags=("traffic_right",))
    tags = cut(drive, CurateConfig(traffic_right=False))[0].tags
    assert not {"traffic_left", "traffic_right"} & set(tags)
