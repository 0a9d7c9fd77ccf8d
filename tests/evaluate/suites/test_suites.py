"""Suites are values: the same for the same seed, named by their hash, of the size that they promise."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dojo.errors import ConfigError
from dojo.evaluate.suites import SUITES, VARIANTS, draw_plant, manifest, manifest_hash, under
from dojo.evaluate.suites.free_drive import free_drive

SIZES = {
    "lane_centring": 24,
    "lane_change": 20,
    "leader": 12,
    "cut_in": 12,
    "curve_speed": 10,
    "dense_traffic": 10,
    "free_drive": 10,
}


def test_every_suite_has_as_many_cases_as_it_says():
    assert {name: len(suite(0)) for name, suite in SUITES.items()} == SIZES


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_the_same_for_the_same_seed_and_another_for_another(name):
    suite = SUITES[name]
    assert suite(3) == suite(3)
    assert manifest_hash(suite(3)) == manifest_hash(suite(3))
    assert manifest_hash(suite(3)) != manifest_hash(suite(4))
    assert {scenario.suite for scenario in suite(0)} == {name}


def test_no_two_cases_share_an_id_or_a_seed():
    everything = [scenario for seed in (0, 1) for suite in SUITES.values() for scenario in suite(seed)]
    assert len({scenario.seed for scenario in everything}) == len(everything)
    once = [scenario.scenario_id for suite in SUITES.values() for scenario in suite(0)]
    assert len(set(once)) == len(once)


def test_lane_centring_starts_to_both_sides_and_askew_on_every_stretch():
    cases = SUITES["lane_centring"](0)
    assert sum(scenario.start_offset_m for scenario in cases) == pytest.approx(0.0)
    assert {str(scenario.place["stretch"]) for scenario in cases} == {"straight", "left", "right"}
    assert sum(scenario.start_yaw_rad != 0 for scenario in cases) == 12
    assert all(scenario.start_yaw_rad * scenario.start_offset_m >= 0 for scenario in cases), "askew is outwards"


def test_lane_changes_ask_for_the_side_on_which_they_end():
    for scenario in SUITES["lane_change"](0):
        (request,) = scenario.requests
        assert request.desire == f"lane_change_{'left' if scenario.goal.lanes_left > 0 else 'right'}"
        assert scenario.place["lane"] == (0 if scenario.goal.lanes_left > 0 else 1)


def test_a_manifest_is_json_and_every_value_in_it_counts():
    cases = SUITES["leader"](0)
    text = json.dumps(manifest(cases), allow_nan=False)
    assert '"gap_s": 1.5' in text
    changed = (replace(cases[0], start_offset_m=0.01), *cases[1:])
    assert manifest_hash(changed) != manifest_hash(cases)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_the_disturbance_and_nothing_else(variant):
    plain = SUITES["lane_change"](0)
    harder = under(variant, plain)
    assert [scenario.variant for scenario in harder] == [variant] * 20
    assert all(one.disturbance != other.disturbance for one, other in zip(plain, harder, strict=True))
    back = [
        replace(h, scenario_id=p.scenario_id, variant="", disturbance=p.disturbance)
        for h, p in zip(harder, plain, strict=True)
    ]
    assert tuple(back) == plain


def test_the_camera_looks_askew_to_both_sides():
    yaws = [scenario.disturbance.camera_yaw_rad for scenario in under("camera_yaw", SUITES["leader"](0))]
    assert sum(yaws) == pytest.approx(0.0)
    assert min(map(abs, yaws)) == pytest.approx(0.01745, abs=1e-5)


def test_variants_that_do_not_exist_or_come_twice_are_refused():
    with pytest.raises(ConfigError, match=r"expected a variant from latency, .*, got 'snow'"):
        under("snow", SUITES["leader"](0))
    with pytest.raises(
        ConfigError, match=r"expected scenarios without a variant, got leader-00-night, .*; use the plain"
    ):
        under("rain", under("night", SUITES["leader"](0)))


def test_vehicles_differ_within_what_is_stated():
    plants = [draw_plant(seed) for seed in range(200)]
    assert 0.1 <= min(p.steering_delay_s for p in plants) < 0.12
    assert 0.38 < max(p.steering_delay_s for p in plants) <= 0.4
    assert 0.9 <= min(p.steering_gain for p in plants) < 0.92
    assert max(p.steering_gain for p in plants) <= 1.1
    assert draw_plant(5) == draw_plant(5)


def test_a_free_drive_is_about_as_long_as_asked_for():
    metres = sum(
        scenario.duration_s * {"rural": 21, "suburban": 11, "motorway": 27}[str(scenario.place["road"])]
        for scenario in free_drive(0, 60.0)
    )
    assert metres == pytest.approx(60_000, rel=0.02)
