"""Displaced clips begin where the displaced vehicle stands, lead back to the line, and do not tell on themselves."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW, Camera
from dojo.load import NO_AUGMENT, LoadConfig, Loader, beside
from dojo.load.augment import mirrored
from dojo.load.recover import (
    MAX_EXTRA_CURVATURE_PER_M,
    MAX_LATERAL_JERK_MPS3,
    Offset,
    Recover,
    RecoverConfig,
    draw,
    recovering,
)
from dojo.records import TRAJECTORY_TIMES_S, Clip

ALL = RecoverConfig(share=1.0)
DELAY_S = float(TRAJECTORY_TIMES_S[5])
FIELDS = ("position_m", "yaw_rad", "speed_mps", "curvature_per_m", "ego_rates")

offsets = st.builds(Offset, st.floats(-1.5, 1.5), st.floats(-0.087, 0.087))
bends = st.floats(-0.02, 0.02)


def driven(curvature_per_m: float, speed_mps: float, anchors: int = 2, last: int = 33) -> Clip:
    """A clip along a circle at a constant speed; a straight line where the curvature is nearly zero."""
    turned = curvature_per_m * speed_mps * TRAJECTORY_TIMES_S
    ahead = speed_mps * TRAJECTORY_TIMES_S * np.sinc(turned / (2 * np.pi))
    path = np.stack([ahead * np.cos(turned / 2), ahead * np.sin(turned / 2), np.zeros(33)], -1)
    rates = [speed_mps, 0.0, 0.0, 0.0, 0.0, curvature_per_m * speed_mps]
    known = np.arange(33) < last

    def alike(values: object, dtype: type = np.float32) -> np.ndarray:
        return np.stack([np.asarray(values)] * anchors).astype(dtype)

    return Clip(
        clip_id="c",
        drive_id="d0",
        vehicle_id="v",
        camera="front",
        split="train",
        tags=(),
        tiles=(),
        weight=1.0,
        frame_indices=np.arange(anchors + 1, dtype=np.int64),
        anchor_timestamps_ns=np.arange(anchors, dtype=np.int64),
        position_m=alike(np.where(known[:, None], path, 0.0)),
        yaw_rad=alike(np.where(known, turned, 0.0)),
        speed_mps=alike(np.where(known, speed_mps, 0.0)),
        valid=alike(known, np.bool_),
        curvature_per_m=alike(curvature_per_m),
        acceleration_mps2=alike(0.0),
        action_valid=alike(True, np.bool_),
        ego_rates=alike(rates),
        desire=np.zeros(anchors, np.int64),
    )


def in_recorded_frame(clip: Clip, offset: Offset) -> np.ndarray:
    """The targets of a displaced clip, seen from the recorded vehicle."""
    cosine, sine = math.cos(offset.yaw_rad), math.sin(offset.yaw_rad)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return clip.position_m @ turn.T + np.array([0.0, offset.lateral_m, 0.0])


def drivable(offset: Offset, speed_mps: float) -> Offset:
    """The offset with no more yaw than can be driven back in four seconds, as `draw` allows it."""
    left = MAX_LATERAL_JERK_MPS3 - 60 * abs(offset.lateral_m) / 4.0**3
    slope = left * 4.0**2 / 36 / max(speed_mps, 1.0)
    return replace(offset, yaw_rad=float(np.clip(offset.yaw_rad, -math.atan(slope), math.atan(slope))))


@settings(max_examples=40, deadline=None)
@given(offset=offsets, bend=bends, speed=st.floats(3.0, 33.0))
def test_the_way_back_starts_where_the_vehicle_stands_and_ends_on_the_human_line(offset, bend, speed) -> None:
    offset = drivable(offset, speed)
    human = driven(bend, speed)
    way = recovering(human, offset, ALL)
    assert np.abs(way.position_m[:, 0]).max() < 1e-6
    assert np.abs(way.yaw_rad[:, 0]).max() < 1e-6
    # At first it goes where the vehicle heads: sideways only as much as bends within a few metres.
    first = np.searchsorted(TRAJECTORY_TIMES_S * speed, 0.3)
    bearing = np.arctan2(way.position_m[0, first, 1], way.position_m[0, first, 0])
    assert abs(bearing) < 0.3 * (0.02 + MAX_EXTRA_CURVATURE_PER_M)
    # Below 4 m/s the limit of curvature makes it longer than four seconds.
    after = max(4.0, 14.0 / speed) <= TRAJECTORY_TIMES_S
    seen = in_recorded_frame(way, offset)
    np.testing.assert_allclose(seen[:, after], human.position_m[:, after], atol=2e-4)
    np.testing.assert_allclose(way.yaw_rad[:, after], human.yaw_rad[:, after] - offset.yaw_rad, atol=2e-4)
    np.testing.assert_allclose(way.speed_mps[:, after], speed, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(offset=offsets, speed=st.floats(0.0, 33.0))
def test_the_way_back_keeps_to_its_limits_of_jerk_and_curvature(offset, speed) -> None:
    offset = drivable(offset, speed)
    human = driven(0.0, speed)
    # The same line asked at even steps: third differences of its sideways position are the jerk.
    steps_s = np.linspace(0.0, 5.0, 33)
    even = replace(
        human,
        position_m=np.stack([speed * steps_s, 0 * steps_s, 0 * steps_s], -1)[None].repeat(2, 0).astype(np.float32),
    )
    side = in_recorded_frame(recovering(even, offset, ALL), offset)[0, :, 1]
    jerk = np.diff(side, 3) / (steps_s[1] ** 3)
    assert np.abs(jerk).max() < MAX_LATERAL_JERK_MPS3 * 1.02 + 0.1  # positions are float32
    along = speed * steps_s[1]
    if along > 0.1:
        assert np.abs(np.diff(side, 2) / along**2).max() < MAX_EXTRA_CURVATURE_PER_M + 1e-4
    # A heading away from the line carries it further: at most a fifth of its speed sideways times the four seconds.
    assert np.abs(side).max() <= abs(offset.lateral_m) + 0.2 * speed * abs(math.tan(offset.yaw_rad)) * 4.0 + 0.3


@settings(max_examples=30, deadline=None)
@given(offset=offsets, bend=bends, speed=st.floats(5.0, 33.0))
def test_heading_and_speed_are_those_of_the_path(offset, bend, speed) -> None:
    offset = drivable(offset, speed)
    way = recovering(driven(bend, speed), offset, ALL)
    steps = np.diff(way.position_m[0, :, :2].astype(float), axis=0)
    soon = slice(8, 22)  # steps of 0.16 to 0.44 s: chords near enough to the arc, long enough for float32
    chord_yaw = np.arctan2(steps[soon, 1], steps[soon, 0])
    mean_yaw = (way.yaw_rad[0, :-1] + way.yaw_rad[0, 1:])[soon] / 2
    assert np.abs(chord_yaw - mean_yaw).max() < 0.012
    chord_mps = np.hypot(*steps.T)[soon] / np.diff(TRAJECTORY_TIMES_S)[soon]
    mean_mps = (way.speed_mps[0, :-1] + way.speed_mps[0, 1:])[soon] / 2
    np.testing.assert_allclose(chord_mps, mean_mps, rtol=0.01)


@settings(max_examples=30, deadline=None)
@given(offset=offsets, bend=bends, speed=st.floats(3.0, 33.0))
def test_the_action_is_the_one_that_follows_from_the_path(offset, bend, speed) -> None:
    offset = drivable(offset, speed)
    way = recovering(driven(bend, speed), offset, replace(ALL, actuator_delay_s=DELAY_S))
    now_mps = speed * (1 - bend * offset.lateral_m)
    expected = 2 * way.yaw_rad[0, 5] / (now_mps * DELAY_S) - way.ego_rates[0, 5] / now_mps
    assert way.curvature_per_m[0] == pytest.approx(expected, abs=2e-4)


@settings(max_examples=30, deadline=None)
@given(offset=offsets, bend=bends, speed=st.floats(0.0, 33.0))
def test_own_motion_is_that_of_a_vehicle_held_beside_the_recorded_one(offset, bend, speed) -> None:
    way = recovering(driven(bend, speed), offset, ALL)
    step_s, rate = 1e-4, bend * speed

    def world(time_s: float) -> tuple[np.ndarray, float]:
        heading = rate * time_s
        beside = offset.lateral_m * np.array([-math.sin(heading), math.cos(heading)])
        return np.array([speed * time_s, speed * time_s * heading / 2]) + beside, heading + offset.yaw_rad

    (before, _), (after, _) = world(-step_s), world(step_s)
    moving, heading = (after - before) / (2 * step_s), offset.yaw_rad
    ahead = np.array([math.cos(heading), math.sin(heading)])
    assert way.ego_rates[0, 0] == pytest.approx(moving @ ahead, abs=2e-4)
    assert way.ego_rates[0, 1] == pytest.approx(moving @ [-ahead[1], ahead[0]], abs=2e-4)
    assert way.ego_rates[0, 5] == pytest.approx(rate, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(offset=offsets, bend=bends, speed=st.floats(0.0, 33.0))
def test_left_and_right_are_treated_alike(offset, bend, speed) -> None:
    clip = driven(bend, speed)
    there = mirrored(recovering(clip, offset, ALL))
    here = recovering(mirrored(clip), Offset(-offset.lateral_m, -offset.yaw_rad), ALL)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(there, field), getattr(here, field), atol=1e-5, err_msg=field)


def test_a_vehicle_left_of_the_line_turns_right_and_one_that_heads_left_too() -> None:
    clip = driven(0.0, 15.0)
    for offset in (Offset(1.0, 0.0), Offset(0.0, 0.05)):
        way = recovering(clip, offset, ALL)
        assert (way.curvature_per_m < -1e-3).all()
        assert (way.position_m[:, 12:, 1] < 0).all()
    # It stands a metre to the left: after the way back the line is a metre to its right.
    assert recovering(clip, Offset(1.0, 0.0), ALL).position_m[0, -1] == pytest.approx([150.0, -1.0, 0.0], abs=1e-4)


def test_a_larger_offset_takes_longer_and_a_small_one_two_seconds() -> None:
    clip = driven(0.0, 20.0)

    def seconds(lateral_m: float) -> float:
        side = in_recorded_frame(recovering(clip, Offset(lateral_m, 0.0), ALL), Offset(lateral_m, 0.0))[0, :, 1]
        return float(TRAJECTORY_TIMES_S[np.abs(side) > 1e-5].max())

    assert 1.7 < seconds(0.2) <= 2.0
    # 60 d / T^3 = 5: T = 2.62 s for 1.5 m.
    assert 2.2 < seconds(1.5) <= 2.62


def test_no_offset_is_the_human_s_own_clip() -> None:
    clip = driven(0.01, 12.0)
    same = recovering(clip, Offset(0.0, 0.0), ALL)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(same, field), getattr(clip, field), atol=1e-5, err_msg=field)


def test_what_is_not_known_stays_so_and_a_standing_vehicle_stays_where_it_is() -> None:
    cut = recovering(driven(0.01, 12.0, last=9), Offset(1.0, 0.03), ALL)
    assert (cut.valid[:, :9].all(), cut.valid[:, 9:].any()) == (True, False)
    for field in ("position_m", "yaw_rad", "speed_mps"):
        assert not getattr(cut, field)[:, 9:].any()
    standing = recovering(driven(0.0, 0.0), Offset(1.0, 0.03), ALL)
    assert np.abs(standing.position_m).max() < 1e-6
    assert np.abs(standing.yaw_rad).max() < 1e-6
    assert not standing.speed_mps.any()


def test_offsets_are_a_pure_function_of_the_key_within_their_bounds() -> None:
    clip = driven(0.0, 15.0)
    drawn = [draw(replace(ALL, share=0.4), clip, 3, number) for number in range(500)]
    assert drawn == [draw(replace(ALL, share=0.4), clip, 3, number) for number in range(500)]
    moved = [offset for offset in drawn if offset != Offset(0.0, 0.0)]
    assert 156 <= len(moved) <= 244  # four standard deviations of 500 draws at 0.4
    laterals, yaws = np.array([[offset.lateral_m, offset.yaw_rad] for offset in moved]).T
    assert 1.3 < np.abs(laterals).max() <= 1.5
    assert 0.07 < np.abs(yaws).max() <= ALL.max_yaw_rad
    # Four standard errors of the mean of a uniform draw, and of a correlation, over some 200.
    assert abs(laterals.mean()) < 4 * 0.87 / math.sqrt(len(moved))
    assert abs(np.corrcoef(laterals, yaws)[0, 1]) < 4 / math.sqrt(len(moved))


def test_at_speed_no_more_yaw_is_drawn_than_can_be_driven_back() -> None:
    fast = driven(0.0, 33.0)
    for number in range(200):
        offset = draw(ALL, fast, number)
        assert drivable(offset, 33.0).yaw_rad == pytest.approx(offset.yaw_rad, abs=1e-9)
    assert max(abs(draw(ALL, fast, number).yaw_rad) for number in range(200)) < 0.07


def grey_through(config: RecoverConfig, number: int, blank: np.ndarray | None = None) -> tuple[Clip, np.ndarray] | None:
    grey = np.full((256, 512), 120, np.uint8)
    if blank is not None:
        grey[blank.repeat(2, 0).repeat(2, 1)] = 16
    clip, warp = Recover(config, 0).apply(driven(0.0, 15.0), MODEL_VIEW, blank, number)
    return None if warp is None else (clip, warp.apply(grey, grey[::2, ::2].copy(), grey[::2, ::2].copy())[0])


def test_what_is_hidden_does_not_tell_the_side_nor_whether_there_is_one() -> None:
    hidden: dict[bool, list[float]] = {True: [], False: []}
    for number in range(60):
        seen = grey_through(replace(ALL, share=0.5), number)
        assert seen is not None, "undisplaced clips pass through the same resampler"
        clip, picture = seen
        np.testing.assert_array_equal(picture, picture[:, ::-1])
        hidden[bool(clip.position_m[0, -1, 1])].append((picture == 16).mean())
    assert min(map(len, hidden.values())) > 15
    # Displaced ones hide the more of two draws, the others one: more, but each as much as some of the other.
    assert min(hidden[True]) < np.mean(hidden[False])
    assert max(hidden[False]) > np.mean(hidden[True])


def test_the_edge_of_a_narrow_recording_does_not_tell_either() -> None:
    blank = np.zeros((128, 256), np.bool_)
    blank[:, :50] = blank[:, 220:] = blank[100:] = True
    for number in range(20):
        seen = grey_through(ALL, number, blank)
        assert seen is not None
        picture = seen[1]
        np.testing.assert_array_equal(picture, picture[:, ::-1])
        assert (picture[150, [60, 450]] == 16).all()
        assert picture[100, 256] == 120


def test_the_loader_finds_out_what_the_recording_camera_did_not_see(make_clips, cameras, numbers) -> None:
    narrow = Camera.mounted(640, 320, 910.0)  # half as wide as the model's view, 9 degrees up and down
    recorded = dict.fromkeys(cameras, narrow)
    config = LoadConfig(batch_size=4, workers=0, augment=NO_AUGMENT, recover=RecoverConfig(share=0.5))

    def first_batch(recorded: dict | None) -> np.ndarray:
        made = Loader(make_clips(4), cameras, numbers(), config, "v", recorded).batches()
        batch, _ = next(made)
        made.close()
        return batch.frames

    told, untold = first_batch(recorded), first_batch(None)
    assert (told[:, :, 0, 20, :20] == 16).all()
    assert not (untold[:, :, 0, 20, 60:] == 16).all()
    middle = (slice(None), slice(None), slice(None), slice(45, 55), slice(110, 140))
    np.testing.assert_array_equal(told[middle], untold[middle])


def test_without_disguise_the_edges_tell_and_undisplaced_clips_are_left_alone() -> None:
    config = replace(ALL, share=0.5, disguised=False)
    seen = [grey_through(config, number) for number in range(40)]
    assert 8 <= sum(each is None for each in seen) <= 32
    lopsided = [not np.array_equal(each[1], each[1][:, ::-1]) for each in seen if each is not None]
    assert all(lopsided)


def same(first: object, second: object) -> bool:
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))  # type: ignore[arg-type]


def test_the_loader_shows_displaced_clips_the_same_for_any_number_of_ranks(make_clips, cameras, numbers) -> None:
    clips = make_clips(6)
    config = LoadConfig(batch_size=4, workers=0, augment=NO_AUGMENT, recover=RecoverConfig(share=0.5))

    def batches(config: LoadConfig) -> list:
        made = Loader(clips, cameras, numbers(), config, "v").batches()
        found = [batch for batch, _ in islice(made, 2)]
        made.close()
        return found

    whole, again, plain = batches(config), batches(config), batches(replace(config, recover=RecoverConfig()))
    assert all(same(a, b) for a, b in zip(whole, again, strict=True))
    parts = [batches(replace(config, rank=rank, ranks=2)) for rank in range(2)]
    for step, batch in enumerate(whole):
        for rank in range(2):
            assert np.array_equal(parts[rank][step].frames, batch.frames[rank::2])
            assert np.array_equal(parts[rank][step].position_m, batch.position_m[rank::2])
    moved = [
        not np.array_equal(a, b)
        for x, y in zip(whole, plain, strict=True)
        for a, b in zip(x.position_m, y.position_m, strict=True)
    ]
    assert 0 < sum(moved) < len(moved)
    assert not np.array_equal(whole[0].frames, plain[0].frames)


def test_every_clip_once_with_its_offset_for_the_probe(make_clips, cameras, numbers) -> None:
    clips = make_clips(5)
    shown = list(beside(clips, cameras, numbers(), ALL, 7, 2, workers=0))
    assert [name for batch, _ in shown for name in batch.clip_ids] == [clip.clip_id for clip in clips]
    for clip, offset in zip(clips, [offset for _, offsets in shown for offset in offsets], strict=True):
        assert offset == draw(ALL, clip, 7, clip.clip_id)
    first, (offset, _) = shown[0]
    assert np.array_equal(first.position_m[0], recovering(clips[0], offset, ALL).position_m)


def test_impossible_settings_are_refused_all_at_once() -> None:
    with pytest.raises(
        ConfigError, match=r"share must be in \[0, 1\], got 2.0; max_yaw_rad must be in \[0, 0.35\], got"
    ):
        RecoverConfig(share=2.0, max_yaw_rad=1.0)
    with pytest.raises(ConfigError, match=r"max_lateral_m must be in \[0, 4\], and in reach of max_s, got 1.5"):
        RecoverConfig(min_s=1.0, max_s=2.0)
    with pytest.raises(ConfigError, match=r"min_s must be positive and not above max_s, got 5.0"):
        RecoverConfig(min_s=5.0)
