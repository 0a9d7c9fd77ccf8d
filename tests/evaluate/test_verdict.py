from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dojo.evaluate.baselines import standard_baselines
from dojo.evaluate.metrics import METRICS
from dojo.evaluate.open_loop import OpenLoopResult, evaluate
from dojo.evaluate.samples import Samples
from dojo.evaluate.verdict import headline, sentence, verdict, word, words
from dojo.records import Estimate, Plans

LATERAL = next(metric for metric in METRICS if metric.name == "lateral_error_3s_m")
HIT = next(metric for metric in METRICS if metric.name == "hit_50m")


def difference(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 100, 10)


@pytest.mark.parametrize(
    ("low", "high", "of_error", "of_hits"),
    [
        (-0.3, -0.1, "better", "worse"),
        (0.1, 0.3, "worse", "better"),
        (-0.1, 0.3, "not distinguishable", "not distinguishable"),
        (0.0, 0.3, "not distinguishable", "not distinguishable"),
    ],
)
def test_the_word_follows_from_the_interval_alone(low: float, high: float, of_error: str, of_hits: str) -> None:
    assert word(difference(low, high), LATERAL) == of_error
    assert word(difference(low, high), HIT) == of_hits


@pytest.fixture(scope="module")
def result(fleet_samples: Samples, noisy_plans: Callable[..., Plans]) -> OpenLoopResult:
    return evaluate(fleet_samples, noisy_plans(fleet_samples), standard_baselines(fleet_samples, fleet_samples))


def told(result: OpenLoopResult, **intervals: tuple[float, float]) -> OpenLoopResult:
    """The result with the differences in the headline metrics replaced, the same for each of two baselines."""
    found = {name: difference(*ends) for name, ends in intervals.items()}
    return replace(result, versus={"constant_velocity": found, "mean_trajectory": found})


GOOD = {"lateral_error_3s_m": (-0.3, -0.1), "hit_30_50m": (0.1, 0.2), "hit_50m": (0.1, 0.2)}


def test_better_means_better_than_every_baseline_in_every_headline_metric(result: OpenLoopResult) -> None:
    good = told(result, **GOOD)
    assert verdict(good)[0] == "better"
    assert headline(good).startswith("Better than every baseline on the 720 moments judged here")
    unsure = told(result, **{**GOOD, "hit_50m": (-0.1, 0.2)})
    assert verdict(unsure)[0] == "not distinguishable"
    assert headline(unsure).startswith("Not distinguishable from every baseline")


def test_being_worse_once_is_being_worse(result: OpenLoopResult) -> None:
    bad = told(result, **{**GOOD, "hit_50m": (-0.2, -0.1)})
    assert verdict(bad)[0] == "worse"
    assert headline(bad).startswith("Worse than at least one baseline")
    assert "better" in sentence(bad, "lateral_error_3s_m")


def test_sentences_name_the_baselines(result: OpenLoopResult) -> None:
    said = sentence(told(result, **GOOD), "lateral_error_3s_m")
    assert said == (
        "In lateral error at 3 s the model is better than going straight on at constant speed and the mean training "
        "trajectory."
    )
    assert "not distinguishable from" in sentence(told(result, hit_50m=(-1.0, 1.0)), "hit_50m")


def test_a_model_that_is_the_baseline_is_not_distinguishable_from_it(fleet_samples: Samples) -> None:
    baselines = standard_baselines(fleet_samples, None)
    same = evaluate(fleet_samples, baselines["constant_velocity"], {"itself": baselines["constant_velocity"]})
    assert set(words(same, "lateral_error_3s_m").values()) == {"not distinguishable"}
    assert verdict(same)[0] == "not distinguishable"


def test_without_baselines_nothing_is_claimed(result: OpenLoopResult) -> None:
    alone = replace(result, versus={})
    assert verdict(alone) == ("not distinguishable", ("There is no baseline to compare with.",))


def test_one_drive_is_owned_up_to_in_the_first_sentence(result: OpenLoopResult) -> None:
    one = replace(told(result, **GOOD), extent=replace(result.extent, drives=1))
    assert "all from one drive" in headline(one)
