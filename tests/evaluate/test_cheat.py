"""The probe finds an offset that was planted, finds none in noise, and is not fooled by what drives have in common."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dojo.errors import EvaluationError
from dojo.evaluate.cheat import (
    CheatReport,
    WithoutRoad,
    cheat_report,
    explained_variance,
    furthest_aside_m,
    nowhere,
    without_road,
)
from dojo.geometry import MODEL_VIEW
from dojo.load import RecoverConfig, beside
from dojo.records import TRAJECTORY_TIMES_S, Batch, Clip, Estimate, Frame

RNG = np.random.default_rng(0)
COUNT, WIDTH = 400, 32
DRIVE = np.repeat(np.arange(40), 10)
OFFSET = np.random.default_rng(1).uniform(-1.5, 1.5, COUNT)
STRAIGHT = np.zeros((4, 33, 3), np.float32)


def noise(seed: int = 2, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((COUNT, width))


def test_a_planted_offset_is_found_in_the_share_that_was_planted() -> None:
    feature = noise()
    assert explained_variance(feature + 10 * np.outer(OFFSET, RNG.standard_normal(WIDTH)), OFFSET, DRIVE).value > 0.95
    # One direction with half signal, half noise: half of the variance can be explained, by theory.
    half = noise(width=1) * OFFSET.std() + OFFSET[:, None]
    found = explained_variance(half, OFFSET, DRIVE)
    assert found.low < 0.5 < found.high
    assert found.value == pytest.approx(0.5, abs=0.08)
    assert (found.samples, found.groups) == (COUNT, 40)


@pytest.mark.parametrize("width", [8, 128, 450])
def test_nothing_is_found_in_noise_even_with_more_features_than_samples(width: int) -> None:
    for seed in range(3):
        assert abs(explained_variance(noise(10 + seed, width), OFFSET, DRIVE).value) < 0.06


def test_what_tells_the_drives_apart_does_not_pass_for_the_offset() -> None:
    # Offsets alike within a drive, and a feature that only names the drive: nothing carries over to other drives.
    of_drive = np.random.default_rng(3).uniform(-1.5, 1.5, 40)[DRIVE]
    named = np.eye(40)[DRIVE] + 0.01 * noise(width=40)
    assert explained_variance(named, of_drive, DRIVE).value < 0.05
    shuffled = np.random.default_rng(4).permutation(COUNT)
    assert explained_variance(named, of_drive, shuffled).value > 0.9, "samples left out one by one would be fooled"


def test_the_bottleneck_drowns_a_weak_trace() -> None:
    feature = noise() * 1e-3
    feature[:, 0] += 0.05 * OFFSET
    offset = np.stack([OFFSET, OFFSET[::-1]], -1)
    clear = cheat_report(feature.astype(np.float32), offset, DRIVE, STRAIGHT, noise_std=0.0)
    drowned = cheat_report(feature.astype(np.float32), offset, DRIVE, STRAIGHT, noise_std=0.42)
    assert clear.lateral.value > 0.9
    assert drowned.lateral.value < 0.1
    assert abs(clear.yaw.value) < 0.05
    assert (clear.passed, drowned.passed) == (False, True)


def test_the_same_seed_gives_the_same_report() -> None:
    offset = np.stack([OFFSET, OFFSET], -1)
    one, other = (cheat_report(noise(), offset, DRIVE, STRAIGHT, noise_std=0.4, seed=5) for _ in range(2))
    assert one == other


def test_a_plan_that_turns_where_there_is_no_road_fails() -> None:
    plans = STRAIGHT.copy()
    plans[2, :, 1] = 0.2 * TRAJECTORY_TIMES_S
    assert furthest_aside_m(plans) == pytest.approx(0.6)
    plans[3, :, 1] = -0.4 * np.minimum(TRAJECTORY_TIMES_S, 4 - TRAJECTORY_TIMES_S)
    assert furthest_aside_m(plans) == pytest.approx(0.8, abs=0.05), "also where it comes back in time"
    clean = Estimate(0.0, -0.1, 0.1, 10, 10)
    assert CheatReport(clean, clean, furthest_aside_m(plans[:2])).passed
    assert not CheatReport(clean, clean, furthest_aside_m(plans[:3])).passed
    assert not CheatReport(clean, Estimate(0.11, 0.05, 0.2, 10, 10), 0.0).passed


def test_too_few_drives_and_an_offset_that_never_changes_are_refused() -> None:
    with pytest.raises(
        EvaluationError, match=r"from at least 5 drives, got 4 drives and offsets from -1\.\d+ to 1\.\d+"
    ):
        explained_variance(noise(), OFFSET, DRIVE // 10)
    with pytest.raises(EvaluationError, match=r"got 40 drives and offsets from 0\.000 to 0\.000; take more drives, or"):
        explained_variance(noise(), np.zeros(COUNT), DRIVE)


def frame(seed: int = 0) -> Frame:
    random = np.random.default_rng(seed)
    y = random.integers(16, 236, (256, 512), dtype=np.uint8)
    u, v = (random.integers(16, 240, (128, 256), dtype=np.uint8) for _ in range(2))
    return Frame(seed, y, u, v)


def test_a_blanked_road_is_flat_and_the_rest_is_left_alone() -> None:
    before = frame()
    after = without_road(before)
    np.testing.assert_array_equal(after.y[:96], before.y[:96])
    np.testing.assert_array_equal(after.u[:48], before.u[:48])
    assert np.ptp(after.y[96:]) == np.ptp(after.u[48:]) == np.ptp(after.v[48:]) == 0
    assert np.ptp(before.y[96:]) > 0
    with pytest.raises(EvaluationError, match=r"expected the model's view, 256 x 512, got \(330, 526\)"):
        without_road(Frame(0, np.zeros((330, 526), np.uint8), after.u, after.v))


def test_a_source_without_road_hands_out_blanked_frames() -> None:
    class Two:
        def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> list[Frame]:
            return [frame(int(index)) for index in indices]

    found = WithoutRoad(Two()).frames("d", "front", np.array([3, 1]))
    assert [each.timestamp_ns for each in found] == [3, 1]
    np.testing.assert_array_equal(found[1].y, without_road(frame(1)).y)


def test_nowhere_shows_the_same_flat_picture_everywhere() -> None:
    shape = (2, 3, 6, 128, 256)
    batch = Batch(
        frames=np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8),
        camera_height_m=np.ones(2, np.float32),
        position_m=np.zeros((2, 2, 33, 3), np.float32),
        yaw_rad=np.zeros((2, 2, 33), np.float32),
        speed_mps=np.zeros((2, 2, 33), np.float32),
        valid=np.ones((2, 2, 33), np.bool_),
        curvature_per_m=np.zeros((2, 2), np.float32),
        acceleration_mps2=np.zeros((2, 2), np.float32),
        action_valid=np.ones((2, 2), np.bool_),
        ego_rates=np.zeros((2, 2, 6), np.float32),
        speed_now_mps=np.full((2, 2), 15.0, np.float32),
        speed_now_valid=np.ones((2, 2), np.bool_),
        desire=np.zeros((2, 2, 8), np.float32),
        traffic_right=np.ones(2, np.bool_),
        anchor_timestamps_ns=np.zeros((2, 2), np.int64),
        clip_ids=("a", "b"),
    )
    shown = nowhere(batch)
    assert (shown.frames == shown.frames[0, 0]).all()
    np.testing.assert_array_equal(shown.frames[0, 0], shown.frames[0, 0][:, :, ::-1])
    assert shown.frames[0, 0, 0, 47, 0] != shown.frames[0, 0, 0, 48, 0], "ground below, sky above"
    assert shown.speed_now_mps is batch.speed_now_mps


class Skies:
    """Smooth pictures, different for each drive and frame; what they show goes with no offset."""

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> list[Frame]:
        made = []
        for index in indices:
            random = np.random.default_rng([int(drive_id), int(index)])
            y = cv2.resize(random.integers(60, 200, (9, 17), dtype=np.uint8), (512, 256), interpolation=cv2.INTER_CUBIC)
            made.append(Frame(int(index), y, y[::2, ::2].copy(), y[1::2, 1::2].copy()))
        return made


def clip_of(number: int) -> Clip:
    ahead = np.zeros((1, 33, 3), np.float32)
    ahead[0, :, 0] = 12 * TRAJECTORY_TIMES_S
    return Clip(
        clip_id=str(number),
        drive_id=str(number // 10),
        vehicle_id="v",
        camera="front",
        split="train",
        tags=(),
        tiles=(),
        weight=1.0,
        frame_indices=np.array([2, 3]) + 7 * number,
        anchor_timestamps_ns=np.array([number]),
        position_m=ahead,
        yaw_rad=np.zeros((1, 33), np.float32),
        speed_mps=np.full((1, 33), 12.0, np.float32),
        valid=np.ones((1, 33), np.bool_),
        curvature_per_m=np.zeros(1, np.float32),
        acceleration_mps2=np.zeros(1, np.float32),
        action_valid=np.ones(1, np.bool_),
        ego_rates=np.array([[12, 0, 0, 0, 0, 0]], np.float32),
        desire=np.zeros(1, np.int64),
    )


def explained_by_pixels(disguised: bool) -> tuple[Estimate, Estimate]:
    """What a probe finds in the pixels themselves of displaced pictures without a road: the worst any policy could."""
    clips = [clip_of(number) for number in range(200)]
    cameras = {(clip.drive_id, "front"): MODEL_VIEW for clip in clips}
    config = RecoverConfig(share=1.0, disguised=disguised)
    feature, offset = [], []
    for batch, offsets in beside(clips, cameras, WithoutRoad(Skies()), config, 0, 20, workers=0):
        offset += [(each.lateral_m, each.yaw_rad) for each in offsets]
        feature += [cv2.resize(shown[1, 0], (32, 16), interpolation=cv2.INTER_AREA).ravel() for shown in batch.frames]
    drive = np.array([int(clip.drive_id) for clip in clips])
    found = [explained_variance(np.array(feature, np.float64), np.array(offset)[:, axis], drive) for axis in range(2)]
    return found[0], found[1]


def test_edges_give_the_offset_away_and_the_disguise_hides_it() -> None:
    bare, disguised = explained_by_pixels(False), explained_by_pixels(True)
    # Black triangles at the foot of the picture name the lateral offset almost exactly.
    assert bare[0].value > 0.8
    assert bare[1].value > 0.5
    assert max(found.value for found in disguised) < 0.1
