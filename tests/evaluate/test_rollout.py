"""Rollouts: a policy that sees the lane keeps it, one that does not loses it, and all of it can be repeated."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from driven import LANE_M, ChangesLane, Circle, LaneKeeper, straight_on

from dojo.errors import ConfigError, RecordError
from dojo.evaluate.controller import ControllerConfig
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.records import DESIRES, Disturbance, Goal, Request, Rollout, Scenario
from dojo.world.car import Car

CONFIG = RolloutConfig()


def case(number=0, curvature=0.0, **changes):
    defaults = {"scenario_id": f"case-{number}", "suite": "lane_centring", "seed": number, "duration_s": 6.0}
    return Scenario(place={"curvature": curvature}, **{**defaults, **changes})


def driven(scenarios, policy, config=CONFIG, plant=None, simulator=None):
    return list(drive(scenarios, simulator or Circle(), plant or IdealCar(), policy, config))


def lane_centring():
    """24 cases: three curvatures, both sides, two offsets and two yaws."""
    return [
        case(number, curvature, start_offset_m=side * offset, start_yaw_rad=side * yaw)
        for number, (curvature, side, offset, yaw) in enumerate(
            (k, side, offset, yaw)
            for k in (0.0, 0.004, -0.004)
            for side in (1, -1)
            for offset in (0.4, 0.8)
            for yaw in (0.0, math.radians(1.5))
        )
    ]


def same(one: Rollout, other: Rollout) -> bool:
    arrays = [f.name for f in fields(one) if isinstance(getattr(one, f.name), np.ndarray)]
    plans = np.array_equal(one.plans.position_m, other.plans.position_m)
    return (
        plans
        and (one.ended, one.tick_step) == (other.ended, other.tick_step)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )


@pytest.mark.parametrize("plant", [IdealCar(), Car()], ids=["ideal", "car"])
def test_who_sees_the_lane_comes_back_to_its_centre_from_every_start(plant):
    rollouts = driven(lane_centring(), LaneKeeper(), RolloutConfig(together=24), plant)
    assert [rollout.ended for rollout in rollouts] == ["time_over"] * 24
    assert max(np.abs(rollout.offset_m[-20:]).max() for rollout in rollouts) < 0.2


def test_who_goes_straight_on_leaves_the_lane_in_every_bend_and_keeps_it_on_the_straight():
    rollouts = driven([case(0), case(1, 0.004), case(2, -0.004)], straight_on)
    assert [rollout.ended for rollout in rollouts] == ["time_over", "left_lane", "left_lane"]
    assert [rollout.intervention for rollout in rollouts] == [False, True, True]
    # Out of the bend: to the right in a left one, by half a lane and the margin, not much later.
    assert -LANE_M / 2 - 0.6 < rollouts[1].offset_m[-1] + LANE_M * rollouts[1].lanes_left[-1] < -LANE_M / 2 - 0.3
    assert rollouts[2].across_m[-1] > LANE_M / 2 + 0.3


def test_the_margin_decides_how_far_out_of_its_lane_a_car_is_let():
    (narrow,) = driven([case(1, 0.004)], straight_on, RolloutConfig(margin_m=0.0))
    (wide,) = driven([case(1, 0.004)], straight_on, RolloutConfig(margin_m=0.5))
    assert narrow.times_s[-1] < wide.times_s[-1]


def test_a_contact_at_fault_is_an_intervention_and_braking_prevents_it():
    wall = replace(case(), place={"wall_m": 120.0}, duration_s=15.0)
    (hit,), (stopped,) = driven([wall], LaneKeeper()), driven([wall], LaneKeeper(brakes=True))
    assert (hit.ended, hit.at_fault, hit.intervention) == ("contact", True, True)
    assert (stopped.ended, stopped.intervention) == ("time_over", False)
    assert stopped.speed_mps[-1] < 0.3
    assert 0.5 < stopped.gap_m[-1] < 12.0


@pytest.mark.parametrize("plant", [IdealCar(), Car()], ids=["ideal", "car"])
def test_a_guard_brakes_for_whom_the_policy_does_not_see_and_for_nobody_else(plant):
    wall = replace(case(), place={"wall_m": 120.0}, duration_s=15.0)
    (guarded,) = driven([wall], LaneKeeper(), RolloutConfig(guard_mps2=2.5), plant)
    assert (guarded.ended, guarded.intervention) == ("time_over", False)
    assert 0 < guarded.gap_m[-1] < 2.0
    braked = guarded.asked_acceleration_mps2 < -2.5
    assert braked.any()
    assert not braked[guarded.gap_m > 50.0].any()
    careful = [driven([wall], LaneKeeper(brakes=True), RolloutConfig(guard_mps2=g), plant)[0] for g in (5.0, None)]
    assert same(*careful)
    with pytest.raises(ConfigError, match="expected a guard_mps2 above zero, or None for none, got 0"):
        RolloutConfig(guard_mps2=0.0)


def test_the_same_scenarios_repeat_to_the_last_bit_and_seeds_matter():
    cases = [
        case(number, 0.003, start_offset_m=0.5, disturbance=Disturbance(dropped_share=0.3), seed=7)
        for number in range(3)
    ]
    cases[2] = replace(cases[2], seed=8)
    first, again = (driven(cases, LaneKeeper(), plant=Car()) for _ in range(2))
    assert all(same(one, other) for one, other in zip(first, again, strict=True))
    assert np.array_equal(first[0].x_m, first[1].x_m)
    assert not np.array_equal(first[0].answered, first[2].answered)


def test_driving_together_changes_nothing_but_the_batches():
    cases = lane_centring()[:7]
    policy = LaneKeeper()
    together, apart = (
        driven(cases, policy, RolloutConfig(together=7)),
        driven(cases, LaneKeeper(), RolloutConfig(together=1)),
    )
    assert all(same(one, other) for one, other in zip(together, apart, strict=True))
    assert {shape[0] for shape in policy.shapes} == {7}
    assert [rollout.scenario.scenario_id for rollout in together] == [scenario.scenario_id for scenario in cases]


def test_the_window_grows_to_its_full_length_and_is_one_frame_longer_than_its_anchors():
    policy = LaneKeeper()
    driven([case()], policy, RolloutConfig(anchors=3))
    assert [shape[1] for shape in policy.shapes[:4]] == [2, 3, 4, 4]
    assert policy.shapes[0][2:] == (6, 128, 256)


def test_the_first_picture_and_the_dropped_ones_bring_no_plan():
    (rollout,) = driven([case(disturbance=Disturbance(dropped_share=0.25), duration_s=40.0)], LaneKeeper())
    assert not rollout.answered[0]
    assert 0.65 < rollout.answered[1:].mean() < 0.85
    assert rollout.tick_step[:3] == (0, 4, 8)
    assert np.abs(rollout.plans.position_m[~rollout.answered]).max() == 0


def test_latency_delays_what_is_asked_by_as_much():
    def first_asked(latency_s):
        scenario = case(start_offset_m=0.8, disturbance=Disturbance(latency_s=latency_s))
        (rollout,) = driven([scenario], LaneKeeper())
        return rollout.times_s[np.flatnonzero(rollout.asked_curvature_per_m)[0]]

    assert first_asked(0.0) == pytest.approx(0.2)
    assert first_asked(0.1) == pytest.approx(0.3)


def test_a_request_is_told_from_when_it_is_made_until_the_car_is_in_the_next_lane():
    policy = ChangesLane()
    scenario = case(
        requests=(Request("lane_change_left", at_s=1.0),), goal=Goal(lanes_left=1, within_m=0.5), duration_s=10.0
    )
    (rollout,) = driven([scenario], policy, RolloutConfig(anchors=3))
    left = DESIRES.index("lane_change_left")
    told = np.flatnonzero(rollout.desire)
    assert set(rollout.desire) == {0, left}
    assert (np.diff(told) == 1).all()
    assert rollout.times_s[rollout.tick_step[told[0]]] == pytest.approx(1.0)
    steps = np.array(rollout.tick_step)
    there = (rollout.lanes_left[steps] == 1) & (abs(rollout.offset_m[steps]) < 0.5)
    assert np.argmax(there) == told[-1] + 1
    assert rollout.desire[told[-1] + 1 :].sum() == 0
    # The window of the policy holds what was asked at each of its anchors.
    assert policy.desires[told[0] - 1][0].tolist() == [0, 0, left]
    assert (rollout.ended, rollout.lanes_left[-1]) == ("time_over", 1)
    assert abs(rollout.offset_m[-20:]).max() < 0.3


def test_a_request_that_is_not_met_is_given_up():
    scenario = case(requests=(Request("lane_change_left", at_s=1.0, kept_s=1.5),), duration_s=4.0)
    (rollout,) = driven([scenario], LaneKeeper())
    times_s = rollout.times_s[list(rollout.tick_step)][rollout.desire > 0]
    assert times_s[[0, -1]] == pytest.approx([1.0, 2.4], abs=0.11)


def test_a_lane_change_that_nobody_asked_for_is_an_intervention():
    scenario = case(requests=(Request("lane_change_left", at_s=1.0),), duration_s=10.0)
    (rollout,) = driven([scenario], ChangesLane())
    assert rollout.ended == "left_lane"


def test_every_place_is_given_back_also_when_the_policy_fails():
    def fails(frames, **_):
        raise RuntimeError("no more memory")

    simulator = Circle()
    driven([case(0), case(1, 0.004)], straight_on, simulator=simulator)
    assert simulator.ended == 2
    with pytest.raises(RuntimeError, match="no more memory"):
        driven([case(0), case(1)], fails, simulator=simulator)
    assert simulator.ended == 4


def test_frames_are_kept_only_where_that_is_asked_for():
    (without,) = driven([case(duration_s=1.0)], LaneKeeper())
    (kept,) = driven([case(duration_s=1.0)], LaneKeeper(), RolloutConfig(keep_frames=True))
    assert without.frames == ()
    assert len(kept.frames) == len(kept.tick_step) == 5
    assert kept.frames[0].y.shape == (256, 512)


def test_progress_is_told_of_each_rollout_as_it_ends():
    told = []
    list(drive([case(0), case(1, 0.004)], Circle(), IdealCar(), straight_on, CONFIG, told.append))
    assert [rollout.scenario.scenario_id for rollout in told] == ["case-1", "case-0"]


def test_speed_is_told_or_withheld():
    seen = []

    def policy(frames, speed_mps, speed_valid, desire, traffic_right):
        seen.append((float(speed_mps[0, -1]), bool(speed_valid.all())))
        return straight_on(frames, speed_mps + 15.0, speed_valid, desire, traffic_right)

    driven([case(duration_s=0.5)], policy, RolloutConfig(tell_speed=False))
    driven([case(duration_s=0.5)], policy)
    assert seen[0] == (0.0, False)
    assert seen[-1] == (pytest.approx(15.0, abs=1.0), True)


def test_configurations_and_scenarios_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"expected a tick_s of whole steps, got 0.2 s in steps of 0.03 s"):
        RolloutConfig(step_s=0.03)
    with pytest.raises(ConfigError, match="expected anchors and together of at least 1"):
        RolloutConfig(anchors=0)
    with pytest.raises(RecordError, match="expected a finite duration and a seed from zero"):
        case(duration_s=math.inf)
    with pytest.raises(RecordError, match="request: expected one of"):
        Request("none", 0.0)
    assert RolloutConfig(controller=ControllerConfig(reads="action")).steps_per_tick == 4
