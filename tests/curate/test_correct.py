"""From wherever a rollout got to, a careful way on: to the line, at a speed that suits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dojo.curate.correct import CorrectConfig, corrected
from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW
from dojo.records import CENTRE_AHEAD_M, DESIRES, TRAJECTORY_TIMES_S, Plans, Rollout, Scenario

STEPS_PER_TICK = 4
LANE_M = 3.5
THREE_S = int(np.argmin(abs(TRAJECTORY_TIMES_S - 3.0)))


def rollout(ticks: int = 11, **changes) -> Rollout:
    """A rollout along a straight lane at 15 m/s, in its centre; every figure may be given anew, per step or for all."""
    steps = (ticks - 1) * STEPS_PER_TICK + 2
    times = np.arange(steps) * 0.05

    def every(value: float) -> np.ndarray:
        return np.full(steps, float(value))

    figures = {
        "x_m": 15 * times,
        "y_m": every(0),
        "yaw_rad": every(0),
        "speed_mps": every(15),
        "acceleration_mps2": every(0),
        "yaw_rate_radps": every(0),
        "offset_m": every(0),
        "heading_error_rad": every(0),
        "lanes_left": every(0),
        "lane_width_m": every(LANE_M),
        "progress_m": 15 * times,
        "curvature_per_m": every(0),
        "reference_mps": every(15),
        "gap_m": every(np.inf),
        "closing_mps": every(0),
        "asked_curvature_per_m": every(0),
        "asked_acceleration_mps2": every(0),
    }
    desire = changes.pop("desire", np.zeros(ticks, np.int64))
    for name, value in changes.items():
        figures[name] = np.broadcast_to(np.asarray(value, np.float64), steps).copy()
    step = tuple(range(0, ticks * STEPS_PER_TICK, STEPS_PER_TICK))
    centre = np.stack([centre_from(figures["offset_m"][at], figures["heading_error_rad"][at]) for at in step])
    none = Plans(
        np.zeros((ticks, 1, 33, 3), np.float32),
        np.ones((ticks, 1, 33, 3), np.float32),
        np.ones((ticks, 1), np.float32),
        np.zeros(ticks, np.float32),
        np.zeros(ticks, np.float32),
    )
    return Rollout(
        scenario=Scenario("case", "suite", {}, 0, 10.0),
        camera=MODEL_VIEW,
        ended="time_over",
        at_fault=False,
        times_s=times,
        **figures,
        tick_step=step,
        answered=np.ones(ticks, np.bool_),
        plans=none,
        centre_m=centre.astype(np.float32),
        centre_valid=np.ones((ticks, len(CENTRE_AHEAD_M)), np.bool_),
        others_m=tuple(np.zeros((0, 5), np.float32) for _ in range(ticks)),
        desire=desire,
    )


def centre_from(offset_m: float, heading_rad: float) -> np.ndarray:
    """The straight centre of the lane as an ego sees it that is beside it and heads away from it."""
    cosine, sine = np.cos(heading_rad), np.sin(heading_rad)
    along = CENTRE_AHEAD_M
    return np.stack([along * cosine - offset_m * sine, -along * sine - offset_m * cosine, 0 * along], -1)


def clips(found: Rollout, config: CorrectConfig | None = None):
    return corrected(found, "drive", 2, config or CorrectConfig())


def test_every_tick_but_the_first_is_an_anchor_of_one_clip():
    found = clips(rollout(ticks=11))
    assert [clip.frame_indices.tolist() for clip in found] == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8], [8, 9, 10]]
    assert found[1].anchor_timestamps_ns.tolist() == [600_000_000, 800_000_000]
    assert len({clip.clip_id for clip in found}) == 5
    assert {clip.drive_id for clip in found} == {"drive"}


def test_in_the_middle_of_the_lane_at_the_right_speed_it_goes_straight_on():
    (clip, *_) = clips(rollout())
    expected = np.stack([15 * TRAJECTORY_TIMES_S, 0 * TRAJECTORY_TIMES_S, 0 * TRAJECTORY_TIMES_S], -1)
    known = clip.valid[0]
    # The speed creeps by the intelligent driver model's fourth power, which never quite reaches the wish.
    np.testing.assert_allclose(clip.position_m[0][known], expected[known], atol=0.05)
    assert abs(clip.curvature_per_m).max() < 1e-6
    assert clip.speed_mps[0][known] == pytest.approx(15.0, abs=0.05)


def test_the_way_is_known_as_far_as_the_line_is():
    (clip, *_) = clips(rollout())
    assert clip.valid[0].tolist() == (15 * TRAJECTORY_TIMES_S <= 100.0).tolist()


@pytest.mark.parametrize(("offset_m", "heading_rad"), [(0.8, 0.0), (-0.5, 0.02), (0.0, -0.03), (1.5, 0.04)])
def test_from_beside_the_line_it_comes_back_to_it_gently(offset_m, heading_rad):
    (clip, *_) = clips(rollout(offset_m=offset_m, heading_error_rad=heading_rad))
    position, yaw, known = clip.position_m[0].astype(float), clip.yaw_rad[0], clip.valid[0]
    np.testing.assert_allclose(position[0], 0, atol=1e-6)
    assert yaw[0] == pytest.approx(0, abs=1e-5)
    # In the lane's own frame: turned by the heading, moved by the offset.
    across = offset_m + position[:, 0] * np.sin(heading_rad) + position[:, 1] * np.cos(heading_rad)
    late = known & (TRAJECTORY_TIMES_S >= 5.0)
    assert abs(across[late]).max() < 0.02
    assert yaw[late] == pytest.approx(-heading_rad, abs=5e-3)
    even = np.arange(0, 6, 0.2)
    felt = np.gradient(np.gradient(np.interp(even, TRAJECTORY_TIMES_S, across), even), even)
    assert abs(felt[3:-3]).max() < 2.0


def test_it_turns_back_more_the_further_off_it_is():
    turns = [float(clips(rollout(offset_m=offset))[0].curvature_per_m[0]) for offset in (-1.0, -0.3, 0.0, 0.3, 1.0)]
    assert turns == sorted(turns, reverse=True)
    assert turns[2] == pytest.approx(0, abs=1e-6)
    assert turns[0] == pytest.approx(-turns[-1], rel=1e-3)


def test_a_request_moves_the_line_one_lane_over_until_it_ends():
    left = DESIRES.index("lane_change_left")
    desire = np.array([0, 0, 0, left, left, left, left, 0, 0, 0, 0])
    found = clips(rollout(desire=desire))
    ends = [clip.position_m[at][clip.valid[at]][-1, 1] for clip in found for at in range(2)]
    assert ends[:2] == pytest.approx([0, 0], abs=0.02)  # anchors are ticks 1, 2, 3 ...
    assert ends[2:6] == pytest.approx([LANE_M] * 4, abs=0.02)
    assert ends[6:] == pytest.approx([0] * 4, abs=0.02)  # given up: back to where it was


def test_a_request_that_was_met_makes_the_next_lane_the_one_to_stay_in():
    right = DESIRES.index("lane_change_right")
    desire = np.array([0, 0, right, right, right, right, 0, 0, 0, 0, 0])
    steps = 10 * STEPS_PER_TICK + 2
    crossed = np.arange(steps) >= 4 * STEPS_PER_TICK
    found = clips(rollout(desire=desire, lanes_left=-1.0 * crossed, offset_m=np.where(crossed, 0.4, 0.0)))
    ends = [clip.position_m[at][clip.valid[at]][-1, 1] for clip in found for at in range(2)]
    assert ends[2] == pytest.approx(-LANE_M, abs=0.02)  # still in the first lane
    assert ends[3:] == pytest.approx([-0.4] * 7, abs=0.02)


def test_it_slows_for_a_leader_and_stops_behind_one_that_stands():
    (clip, *_) = clips(rollout(gap_m=40.0, closing_mps=15.0))
    speed = clip.speed_mps[0][clip.valid[0]]
    assert speed[-1] < 0.5
    assert 34.0 < clip.position_m[0][clip.valid[0]][-1, 0] < 39.0
    assert clip.acceleration_mps2[0] < 0


def test_it_moves_off_when_the_leader_does_and_not_before():
    waits, goes = (clips(rollout(speed_mps=0.0, progress_m=0.0, gap_m=4.0, closing_mps=-mps))[0] for mps in (0.0, 4.0))
    assert waits.position_m[0][waits.valid[0]][-1, 0] < 0.1
    assert goes.position_m[0][THREE_S, 0] > 2.0


def test_how_it_begins_is_told_by_what_is_ahead_and_not_by_how_the_vehicle_accelerates():
    braking, gliding = (
        clips(rollout(gap_m=20.0, closing_mps=5.0, acceleration_mps2=mps2))[0].acceleration_mps2 for mps2 in (-3.0, 0.0)
    )
    assert braking[0] < -1.5
    np.testing.assert_array_equal(braking, gliding)


def test_what_departs_from_going_on_is_drawn_more_often():
    going_on, back_to_the_line, brakes = (
        clips(found)[0].weight for found in (rollout(), rollout(offset_m=0.5), rollout(gap_m=25.0, closing_mps=10.0))
    )
    assert 0 < going_on < back_to_the_line < brakes


def test_it_takes_the_speed_that_the_rollout_met_further_on():
    steps = 10 * STEPS_PER_TICK + 2
    progress = 15 * np.arange(steps) * 0.05
    (clip, *_) = clips(rollout(reference_mps=np.maximum(15 - progress / 3, 8.0)))
    assert clip.speed_mps[0][THREE_S] == pytest.approx(8.0, abs=1.5)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"expected limits above zero .* got headway_s -1.0"):
        replace(CorrectConfig(), headway_s=-1.0)
