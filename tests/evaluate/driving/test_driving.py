"""Metrics of driving on made-up rollouts whose answers are known, and the report made of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from driven import LANE_M, Circle, LaneKeeper, straight_on

from dojo.errors import EvaluationError, RecordError
from dojo.evaluate.closed_loop import judge
from dojo.evaluate.driving import DRIVING_METRICS, completed, kilometres_per_intervention, missed
from dojo.evaluate.driving.time_to_collision import times_to_collision_s
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.geometry import MODEL_VIEW
from dojo.records import EgoPlant, Goal, Plans, Rollout, Scenario

NAMES = [metric.name for metric in DRIVING_METRICS]


def made(number=0, seconds=10.0, goal=None, suite="s", variant="", **changes) -> Rollout:
    """A rollout at 20 m/s in the middle of its lane."""
    steps = round(seconds / 0.05) + 1
    times = np.arange(steps) * 0.05
    zero = np.zeros(steps)
    columns = {
        "times_s": times,
        "x_m": 20 * times,
        "speed_mps": zero + 20.0,
        "lane_width_m": zero + LANE_M,
        "progress_m": 20 * times,
        "reference_mps": zero + 20.0,
        "gap_m": zero + math.inf,
    }
    rest = (
        *("y_m", "yaw_rad", "acceleration_mps2", "yaw_rate_radps", "offset_m", "heading_error_rad", "lanes_left"),
        *("curvature_per_m", "closing_mps", "asked_curvature_per_m", "asked_acceleration_mps2"),
    )
    scenario = Scenario(
        f"{suite}{variant}-{number}",
        suite,
        {},
        number,
        seconds,
        variant,
        goal=goal or Goal(),
        plant=EgoPlant(width_m=1.9),
    )
    plans = Plans(
        np.zeros((1, 1, 33, 3), np.float32),
        np.ones((1, 1, 33, 3), np.float32),
        np.ones((1, 1), np.float32),
        np.zeros(1, np.float32),
        np.zeros(1, np.float32),
    )
    rollout = Rollout(
        scenario=scenario,
        camera=MODEL_VIEW,
        ended="time_over",
        at_fault=False,
        **columns,
        **dict.fromkeys(rest, zero),
        tick_step=(0,),
        answered=np.array([False]),
        plans=plans,
        centre_m=np.zeros((1, 26, 3), np.float32),
        centre_valid=np.ones((1, 26), np.bool_),
        others_m=(np.zeros((0, 5), np.float32),),
    )
    return replace(rollout, **changes)


def figure(name, *rollouts):
    """The value of one metric, or None where it judges none of the rollouts."""
    (suite,) = judge(rollouts).suites
    return suite.figures[name].value if name in suite.figures else None


def steps_of(rollout):
    return len(rollout.times_s)


def test_names_are_unique_and_say_their_unit():
    assert len(set(NAMES)) == len(NAMES)
    endings = {"m": "_m", "s": "_s", "m/s²": "_mps2", "m/s³": "_mps3", "1/km": "_per_km"}
    assert all(metric.name.endswith(endings.get(metric.unit, "")) for metric in DRIVING_METRICS)


def test_a_rollout_without_fault_completes_and_each_goal_can_be_missed():
    plain = made()
    n = steps_of(plain)
    zero = np.zeros(n)
    assert completed(plain)
    assert missed(replace(plain, ended="left_lane")) == ("left lane",)
    off = made(goal=Goal(within_m=0.5), offset_m=np.where(np.arange(n) > n - 70, 0.6, 0.0))
    assert missed(off) == ("0.60 m from the lane's centre",)
    early = made(goal=Goal(within_m=0.5), offset_m=np.where(np.arange(n) < n - 70, 0.6, 0.0))
    assert completed(early)
    assert missed(made(goal=Goal(lanes_left=1))) == ("in another lane",)
    assert completed(made(goal=Goal(lanes_left=1, within_m=0.5), lanes_left=zero + 1))
    assert missed(made(goal=Goal(stands=True))) == ("did not stop and drive on",)
    stood = np.where((np.arange(n) > 60) & (np.arange(n) < 100), 0.0, 20.0)
    assert completed(made(goal=Goal(stands=True), speed_mps=stood))
    assert missed(made(goal=Goal(stands=True), speed_mps=np.where(np.arange(n) > 60, 0.0, 20.0))) != ()
    assert missed(made(goal=Goal(max_lateral_mps2=3.0), yaw_rate_radps=zero + 0.2)) == ("4.0 m/s2 sideways",)
    assert missed(made(goal=Goal(min_pace=0.8), progress_m=zero)) == ("too slow",)


def test_lateral_error_is_a_mean_over_time_and_its_worst_moment():
    n = steps_of(made())
    wave = 0.4 * np.sign(np.sin(np.arange(n)))
    assert figure("lateral_error_m", made(offset_m=wave)) == pytest.approx(
        0.4 * np.abs(np.sign(np.sin(np.arange(n)))).mean()
    )
    assert figure("lateral_error_worst_m", made(offset_m=wave), made(1)) == pytest.approx(0.2)
    long, short = made(0, 30.0), made(1, 10.0, offset_m=np.full(201, 0.8))
    assert figure("lateral_error_m", long, short) == pytest.approx(0.2, rel=0.01)


def test_of_a_lane_change_only_the_lane_that_it_ends_in_is_judged():
    n = steps_of(made())
    arrived = np.arange(n) > 100
    change = made(goal=Goal(lanes_left=1), lanes_left=arrived * 1.0, offset_m=np.where(arrived, 0.1, 1.7))
    assert figure("lateral_error_m", change) == pytest.approx(0.1)
    assert figure("out_of_lane", change) is None


def test_time_out_of_lane_counts_from_where_the_body_is_over_the_line():
    n = steps_of(made())
    room = (LANE_M - 1.9) / 2
    assert figure("out_of_lane", made(offset_m=np.full(n, room - 0.01))) == 0.0
    assert figure("out_of_lane", made(offset_m=np.where(np.arange(n) < 101, room + 0.01, 0.0))) == pytest.approx(0.5)


def test_collisions_are_told_apart_by_fault():
    rollouts = [made(0), made(1, ended="contact", at_fault=True), made(2, ended="contact"), made(3)]
    assert figure("collided_at_fault", *rollouts) == 0.25
    assert figure("collided_not_at_fault", *rollouts) == 0.25
    assert [rollout.intervention for rollout in rollouts] == [False, True, False, False]


def test_a_steady_bend_has_acceleration_and_no_jerk():
    bend = made(yaw_rate_radps=np.full(201, 0.1))
    assert figure("lateral_acceleration_95_mps2", bend) == pytest.approx(2.0)
    assert figure("lateral_jerk_mps3", bend) == pytest.approx(0.0, abs=1e-9)
    growing = made(yaw_rate_radps=0.05 * np.arange(201) * 0.05)
    assert figure("lateral_jerk_mps3", growing) == pytest.approx(1.0)


def test_time_to_collision_is_gap_over_closing_speed_and_nobody_ahead_is_not_judged():
    near = made(gap_m=np.full(201, 12.0), closing_mps=np.full(201, 10.0))
    assert times_to_collision_s(near) == pytest.approx(np.full(201, 1.2))
    assert figure("time_to_collision_s", near) == pytest.approx(1.2)
    assert figure("critical_time", near) == pytest.approx(1.0)
    assert figure("time_to_collision_s", made()) is None
    parting = made(gap_m=np.full(201, 12.0), closing_mps=np.full(201, -3.0))
    assert figure("time_to_collision_s", parting) == 10.0


def test_pace_is_distance_over_what_a_human_would_have_driven():
    assert figure("pace", made()) == pytest.approx(1.0)
    assert figure("pace", made(progress_m=10 * made().times_s)) == pytest.approx(0.5)


def test_kilometres_per_intervention_have_exact_intervals_and_may_be_infinite():
    ten = [made(number, 50.0) for number in range(10)]
    none = kilometres_per_intervention(ten)
    assert (none["value"], none["high"], none["kilometres"]) == (None, None, pytest.approx(10.0))
    assert none["low"] == pytest.approx(10 / 3.689, rel=1e-3)
    one = kilometres_per_intervention([replace(ten[0], ended="off_road"), *ten[1:]])
    assert one["value"] == pytest.approx(10.0)
    assert (one["low"], one["high"]) == (pytest.approx(10 / 5.572, rel=1e-3), pytest.approx(10 / 0.0253, rel=2e-3))
    assert figure("interventions_per_km", replace(ten[0], ended="off_road"), *ten[1:]) == pytest.approx(0.1)


def test_the_report_has_each_suite_and_variant_by_itself_with_wilsons_interval():
    rollouts = [made(number) for number in range(23)] + [made(23, ended="left_lane")]
    rollouts += [made(number, variant="night") for number in range(4)]
    result = judge(rollouts)
    told = result.to_json()
    json.dumps(told, allow_nan=False)
    assert list(told) == ["s", "s_night"]
    assert (told["s"]["completed"], told["s"]["cases"]) == (23, 24)
    assert (told["s"]["low"], told["s"]["high"]) == (pytest.approx(0.798, abs=1e-3), pytest.approx(0.993, abs=1e-3))
    assert told["s"]["failures"] == {"s-23": ["left lane"]}
    assert told["s_night"]["completed"] == 4
    assert told["s"]["manifest"] != told["s_night"]["manifest"]


def test_rollouts_that_cannot_be_judged_are_refused():
    with pytest.raises(EvaluationError, match="expected rollouts of different scenarios, got none"):
        judge([])
    with pytest.raises(EvaluationError, match="got s-0 more than once; judge one policy at a time"):
        judge([made(), made()])
    with pytest.raises(RecordError, match="201 steps and 1 pictures throughout, got another number of pictures"):
        made(others_m=())


def test_the_policy_that_sees_is_told_from_the_one_that_does_not():
    cases = [Scenario(f"c-{i}", "bends", {"curvature": k}, i, 8.0) for i, k in enumerate((0.004, -0.004, 0.006))]
    for policy, interventions in ((LaneKeeper(), 0), (straight_on, 3)):
        (suite,) = judge(list(drive(cases, Circle(), IdealCar(), policy, RolloutConfig()))).suites
        assert (suite.per_intervention["interventions"], len(suite.failures)) == (interventions, interventions)
