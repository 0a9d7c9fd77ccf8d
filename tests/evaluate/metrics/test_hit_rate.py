from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dojo.evaluate.metrics.hit_rate import HIT_RATES
from dojo.evaluate.metrics.metric import Measured
from dojo.evaluate.metrics.range_error import RANGE_ERRORS
from dojo.evaluate.samples import Samples, samples_of
from dojo.records import Clip, Plans

METRICS = {metric.name: metric for metric in (*HIT_RATES, *RANGE_ERRORS)}


def plans_of(*paths: np.ndarray, probability: tuple[float, ...] = ()) -> Plans:
    """One sample; one hypothesis per path."""
    position = np.stack(paths)[None].astype(np.float32)
    shares = np.array([probability or (1.0,)], np.float32)
    return Plans(position, np.ones_like(position), shares, np.zeros(1, np.float32), np.zeros(1, np.float32))


def shifted(samples: Samples, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    return samples.position_m[0] + np.array([x, y, z])


@pytest.fixture
def straight(make_clip: Callable[..., Clip]) -> Samples:
    """10 m/s straight on: point i lies 100 (i/32)^2 m ahead, so 11, 4, 3, 5 and 10 points lie in the five ranges."""
    return samples_of([make_clip(anchors=1)])


def measured(name: str, samples: Samples, plans: Plans) -> Measured:
    return METRICS[name].measure(samples, plans)


def test_points_fall_into_the_ranges_by_their_driven_distance(straight: Samples) -> None:
    names = ("hit_0_10m", "hit_10_20m", "hit_20_30m", "hit_30_50m", "hit_50m")
    weights = [measured(name, straight, plans_of(shifted(straight))).weight[0] for name in names]
    assert weights == [11, 4, 3, 5, 10]


def test_a_hit_is_strictly_within_the_distance_of_its_range(straight: Samples) -> None:
    off = plans_of(shifted(straight, y=0.75))
    assert [measured(n, straight, off).total[0] for n in ("hit_0_10m", "hit_10_20m", "hit_50m")] == [0, 4, 10]
    assert measured("hit_20_30m", straight, plans_of(shifted(straight, y=1.0))).total[0] == 0
    assert measured("hit_50m", straight, plans_of(shifted(straight, y=1.0))).total[0] == 10
    assert measured("hit_0_10m_within_1m", straight, off).total[0] == 11
    assert measured("hit_50m_within_0p5m", straight, off).total[0] == 0


def test_distance_is_three_dimensional(straight: Samples) -> None:
    assert measured("hit_20_30m", straight, plans_of(shifted(straight, 0.6, 0.6, 0.6))).total[0] == 0
    assert measured("hit_20_30m", straight, plans_of(shifted(straight, 0.6, 0.6, 0.0))).total[0] == 3


def test_only_the_most_probable_hypothesis_is_judged(straight: Samples) -> None:
    right, wrong = shifted(straight), shifted(straight, y=5.0)
    assert measured("hit_50m", straight, plans_of(right, wrong, probability=(0.4, 0.6))).total[0] == 0
    assert measured("hit_50m", straight, plans_of(right, wrong, probability=(0.6, 0.4))).total[0] == 10


def test_points_that_are_not_valid_neither_hit_nor_miss(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(anchors=1, valid_until_s=2.5)])
    found = measured("hit_20_30m", samples, plans_of(shifted(samples)))
    assert (found.total[0], found.weight[0]) == (2, 2)  # at 22.0 and 25.0 m; 28.2 m lies beyond 2.5 s
    nothing = measured("hit_50m", samples, plans_of(shifted(samples)))
    assert (nothing.total[0], nothing.weight[0]) == (0, 0)


def test_points_behind_the_vehicle_lie_in_no_range(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(anchors=1, speed_mps=-3.0)])
    names = ("hit_0_10m", "hit_10_20m", "hit_20_30m", "hit_30_50m", "hit_50m")
    weights = [measured(name, samples, plans_of(shifted(samples))).weight[0] for name in names]
    assert weights == [1, 0, 0, 0, 0]


def test_errors_by_range_are_means_of_absolute_differences(straight: Samples) -> None:
    off = plans_of(shifted(straight, 3.0, -4.0, 0.0))
    for name, each in (("euclidean", 5.0), ("longitudinal", 3.0), ("lateral", 4.0)):
        found = measured(f"{name}_error_30_50m_m", straight, off)
        assert found.total[0] / found.weight[0] == pytest.approx(each, rel=1e-5)


def reference_hits(pred: np.ndarray, conf: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
    """The published definition, told again with plain loops: per range, 1 or 0 for every driven point."""
    ranges = {"0_10m": (0, 10, 0.5), "10_20m": (10, 20, 1), "20_30m": (20, 30, 1), "30_50m": (30, 50, 1)}
    ranges["50m"] = (50, 1000, 2)
    found: dict[str, list[float]] = {name: [] for name in ranges}
    for n in range(len(truth)):
        chosen = pred[n, int(np.argmax(conf[n]))]
        for k in range(33):
            distance = sum((float(chosen[k, a]) - float(truth[n, k, a])) ** 2 for a in range(3)) ** 0.5
            for name, (low, high, within) in ranges.items():
                if low <= truth[n, k, 0] < high:
                    found[name].append(float(distance < within))
    return found


def test_hit_rates_equal_the_published_definition_on_random_plans(
    fleet_samples: Samples, noisy_plans: Callable[..., Plans]
) -> None:
    samples = fleet_samples.only(fleet_samples.valid.all(1))
    plans = noisy_plans(samples, spread=0.15)
    expected = reference_hits(plans.position_m, plans.probability, samples.position_m)
    for name, hits in expected.items():
        found = METRICS[f"hit_{name}"].measure(samples, plans)
        assert found.weight.sum() == len(hits)
        assert found.total.sum() == sum(hits)
        assert 0 < sum(hits) < len(hits)


def test_the_mean_of_frames_counts_a_slow_frame_as_much_as_a_fast_one(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip("a", anchors=1, speed_mps=20.0), make_clip("b", anchors=1, speed_mps=6.0)])
    position = samples.position_m[:, None].copy()
    position[1, :, :, 1] += 9.0
    ones = np.ones((2, 1), np.float32)
    plans = Plans(position, np.ones_like(position), ones, ones[:, 0], ones[:, 0])
    points, frames = (measured(name, samples, plans) for name in ("hit_50m", "hit_50m_mean_of_frames"))
    assert frames.total.sum() / frames.weight.sum() == pytest.approx(0.5)
    assert points.total.sum() / points.weight.sum() > 0.7
