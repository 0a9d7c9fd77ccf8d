"""Targets on paths whose every point is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.curate import CurateConfig, cut
from dojo.curate.motion import Motion
from dojo.curate.targets import targets
from dojo.geometry import Rigid
from dojo.records import TRAJECTORY_TIMES_S

START_NS = 1_700_000_000_000_000_000
FEW = settings(max_examples=12, deadline=None)


def found_at(drive, seconds, config=None):
    config = config or CurateConfig()
    motion = Motion.of(drive.ego, config.max_pose_gap_s)
    return targets(motion, START_NS + np.round(np.atleast_1d(seconds) * 1e9).astype(np.int64), config)


@FEW
@given(
    speed=st.floats(5, 35),
    lateral_mps2=st.floats(-3, 3).filter(lambda a: abs(a) > 0.01),
    pose_hz=st.sampled_from([10.0, 20.0, 36.6, 100.0]),
    seed=st.integers(0, 99),
)
def test_a_circle_is_met_to_a_centimetre_at_jittered_times(make_drive, made, paths, speed, lateral_mps2, pose_hz, seed):
    curvature = lateral_mps2 / speed**2
    drive = make_drive(made(paths["circle"](speed, curvature), pose_hz=pose_hz, jitter=0.3, seed=seed))
    found = found_at(drive, [3.21, 7.77])
    turned = speed * curvature * TRAJECTORY_TIMES_S
    expected = np.stack([np.sin(turned), 1 - np.cos(turned), 0 * turned], -1) / curvature
    assert found.valid.all()
    # A cubic through samples 0.1 s apart (jittered to 0.16 s): the fourth derivative leaves under a centimetre.
    assert np.abs(found.position_m - expected).max() < 0.01
    assert np.abs(found.yaw_rad - turned).max() < 1e-4
    assert np.allclose(found.speed_mps, speed, atol=1e-4)
    assert np.allclose(found.curvature_per_m, curvature, atol=1e-5)
    assert np.allclose(found.acceleration_mps2, 0, atol=1e-3)
    assert np.allclose(found.ego_rates[:, 5], speed * curvature, atol=1e-3)
    assert np.allclose(found.ego_rates[:, 0], speed, atol=0.02)


@FEW
@given(rate=st.floats(-0.02, 0.02), speed=st.floats(5, 25), seed=st.integers(0, 99))
def test_on_a_clothoid_the_curvature_target_is_that_of_the_actuator_delay(make_drive, made, paths, rate, speed, seed):
    drive = make_drive(made(paths["from_heading"](speed, lambda t: rate * t**2 / 2), jitter=0.2, seed=seed))
    found = found_at(drive, 4.0)
    # Heading is quadratic, for which the formula is exact.
    assert found.curvature_per_m[0] == pytest.approx(rate * 4.2 / speed, abs=2e-5)
    heading = rate * ((4 + TRAJECTORY_TIMES_S) ** 2 - 16) / 2
    assert np.abs(found.yaw_rad[0] - heading).max() < 1e-3


@FEW
@given(speed=st.floats(15, 30), acceleration=st.floats(-1.2, 2.0), t=st.floats(1, 8))
def test_constant_acceleration_is_its_own_target(make_drive, made, paths, speed, acceleration, t):
    found = found_at(make_drive(made(paths["straight"](speed, acceleration))), t)
    assert found.acceleration_mps2[0] == pytest.approx(acceleration, abs=1e-3)
    travelled = (speed + acceleration * t) * TRAJECTORY_TIMES_S + acceleration * TRAJECTORY_TIMES_S**2 / 2
    assert np.abs(found.position_m[0, :, 0] - travelled).max() < 1e-3
    assert found.speed_mps[0, -1] == pytest.approx(speed + acceleration * (t + 10), abs=1e-3)


def test_a_hill_does_not_bend_the_path(make_drive, made, paths):
    tilt = Rigid.from_euler(0.05, -0.15, 2.0).rotation
    flat, steep = (make_drive(made(paths["circle"](12.0, 0.01), tilt=turn)) for turn in (np.eye(3), tilt))
    assert np.allclose(found_at(flat, 3.0).position_m, found_at(steep, 3.0).position_m, atol=1e-3)
    assert np.allclose(found_at(flat, 3.0).yaw_rad, found_at(steep, 3.0).yaw_rad, atol=1e-5)


def test_a_roundabout_keeps_turning_past_half_a_circle(make_drive, made, paths):
    found = found_at(make_drive(made(paths["circle"](8.0, 1 / 15))), 2.0)
    assert found.yaw_rad[0, -1] == pytest.approx(80 / 15, abs=1e-3)


def test_the_path_is_invalid_past_the_end_and_from_the_first_break_on(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](10.0), length_s=20, invalid_poses_s=(14.95, 15.05)))
    found = found_at(drive, [1.0, 8.0, 15.5])
    assert found.valid[0].all()
    assert np.array_equal(found.valid[1], TRAJECTORY_TIMES_S <= 6.92)
    assert np.array_equal(found.valid[2], TRAJECTORY_TIMES_S <= 4.5)
    assert (found.position_m[~found.valid] == 0).all()


def test_future_s_cuts_the_path_short(make_drive, made, paths):
    found = found_at(make_drive(made(paths["straight"](10.0))), 1.0, CurateConfig(future_s=5.0))
    assert np.array_equal(found.valid[0], TRAJECTORY_TIMES_S <= 5.0)


def test_a_gap_between_poses_is_not_bridged(make_drive, made, paths):
    found = found_at(make_drive(made(paths["straight"](10.0), pose_hz=1.0)), 3.0)
    assert not found.valid[0, 1:].any()


def test_an_action_that_no_car_can_take_is_not_a_target(make_drive, made, paths):
    found = found_at(make_drive(made(paths["straight"](10.0, 15.0))), 3.0)
    assert not found.action_valid[0]
    assert found.acceleration_mps2[0] == 0


def test_standing_still_asks_for_no_curvature(make_drive, made, paths):
    found = found_at(make_drive(made(paths["straight"](0.0))), 3.0)
    assert found.action_valid[0]
    assert found.curvature_per_m[0] == 0


def test_anchors_are_the_frames_nearest_to_an_even_grid_at_their_true_times(make_drive, made, paths):
    drive = make_drive(made(paths["straight"](10.0), fps=36.6, jitter=0.2, seed=3))
    clips = cut(drive, CurateConfig())
    anchors = np.concatenate([clip.anchor_timestamps_ns for clip in clips])
    stream = drive.cameras[0]
    assert np.array_equal(anchors, stream.timestamps_ns[np.concatenate([clip.frame_indices[1:] for clip in clips])])
    offsets = (anchors - stream.timestamps_ns[0]) / 1e9 / 0.2
    assert np.abs(offsets - np.round(offsets)).max() <= 0.1
    assert np.array_equal(np.round(offsets), np.arange(1, len(anchors) + 1))
