from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.baselines import standard_baselines
from dojo.evaluate.metrics import METRICS
from dojo.evaluate.open_loop import EvaluateConfig, OpenLoopResult, evaluate
from dojo.evaluate.samples import Samples, samples_of
from dojo.records import Clip, Plans


@pytest.fixture(scope="module")
def result(fleet_samples: Samples, noisy_plans: Callable[..., Plans]) -> OpenLoopResult:
    baselines = standard_baselines(fleet_samples, fleet_samples)
    return evaluate(fleet_samples, noisy_plans(fleet_samples), baselines, warnings=("first",))


def test_the_report_has_the_names_that_readers_rely_on(result: OpenLoopResult) -> None:
    report = json.loads(json.dumps(result.to_json({"seed": 0}), allow_nan=False))
    for who in ("model", "constant_velocity", "constant_turn_rate", "mean_trajectory"):
        for name in ("lateral_error_3s_m", "hit_0_10m", "hit_10_20m", "hit_20_30m", "hit_30_50m", "hit_50m"):
            figure = report["open_loop"][who][name]
            assert set(figure) == {"value", "low", "high", "samples", "groups"}
            assert figure["low"] <= figure["value"] <= figure["high"]
    assert set(report["open_loop_by_tag"]) == {"curve", "straight"}
    assert report["provenance"] == {"seed": 0}
    assert report["warnings"][0] == "first"


def test_metric_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_only_the_model_is_asked_about_its_spread(result: OpenLoopResult) -> None:
    assert "coverage_lateral_80" in result.figures["model"]
    assert "coverage_lateral_80" not in result.figures["constant_velocity"]


def test_a_model_that_knows_the_bends_beats_going_straight_in_bends_only(result: OpenLoopResult) -> None:
    bends, straights = result.by_tag["curve"], result.by_tag["straight"]
    name = "lateral_error_3s_m"
    assert bends["model"][name].high < bends["constant_velocity"][name].low
    assert straights["constant_velocity"][name].high < straights["model"][name].low


def test_differences_are_model_minus_baseline_on_the_same_ground(result: OpenLoopResult) -> None:
    name = "lateral_error_3s_m"
    difference = result.versus["constant_velocity"][name]
    apart = result.figures["model"][name].value - result.figures["constant_velocity"][name].value
    assert difference.value == pytest.approx(apart)
    assert difference.high < 0


def test_the_driven_paths_own_jerk_stands_beside(result: OpenLoopResult) -> None:
    assert set(result.figures["driven"]) == {"jerk_mps3"}
    assert result.figures["driven"]["jerk_mps3"].value < result.figures["model"]["jerk_mps3"].value


def test_evaluating_twice_gives_the_same_figures(
    fleet_samples: Samples, noisy_plans: Callable[..., Plans], result: OpenLoopResult
) -> None:
    again = evaluate(fleet_samples, noisy_plans(fleet_samples), standard_baselines(fleet_samples, fleet_samples))
    assert again.figures == result.figures


def test_a_metric_without_samples_is_absent_rather_than_zero(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(speed_mps=2.0, drive="a"), make_clip(speed_mps=2.0, drive="b")])
    found = evaluate(samples, standard_baselines(samples, None)["constant_velocity"], {}).figures["model"]
    assert "hit_0_10m" in found
    assert "hit_50m" not in found


def test_few_drives_are_said_to_be_few(make_clip: Callable[..., Clip]) -> None:
    one = samples_of([make_clip(anchors=40)])
    plans = standard_baselines(one, None)["constant_velocity"]
    assert "one drive" in evaluate(one, plans, {}).warnings[0]
    assert evaluate(one, plans, {}).figures["model"]["lateral_error_3s_m"].groups == 1


def test_plans_for_other_samples_are_refused(make_clip: Callable[..., Clip]) -> None:
    samples, other = samples_of([make_clip()]), samples_of([make_clip(anchors=6)])
    plans = standard_baselines(other, None)["constant_velocity"]
    with pytest.raises(EvaluationError, match="expected one plan per sample, got 6 plans for 5 samples"):
        evaluate(samples, plans, {})


def test_samples_without_any_driven_path_are_refused(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(valid_until_s=0.0)])
    with pytest.raises(EvaluationError, match="no sample of 5 has a valid driven path"):
        evaluate(samples, standard_baselines(samples, None)["constant_velocity"], {})


def test_too_few_resamples_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 1000, got 10"):
        EvaluateConfig(resamples=10)


def test_extents_count_shared_moments_once(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip("a", anchors=11), make_clip("b", anchors=11, start_s=1.0)])
    extent = samples.extent()
    assert extent.hours * 3600 == pytest.approx(3.0)
    assert extent.kilometres * 1000 == pytest.approx(30.0)
    assert (extent.anchors, extent.clips, extent.drives, extent.vehicles) == (22, 2, 1, 1)
    assert np.array_equal(samples.drive, np.zeros(22))
