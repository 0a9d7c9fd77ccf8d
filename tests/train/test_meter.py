"""A rank that holds up the others is named; what a step needs is counted once."""

from __future__ import annotations

import runpy
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from dojo.train.meter import Meter, slow_rank


@pytest.mark.parametrize(
    ("ranks", "slow"),
    [
        ([(0.1, 1.0)] * 4, -1),
        ([(0.1, 1.0), (0.1, 1.0), (0.1, 1.8), (0.1, 1.1)], 2),
        ([(0.0, 1.0), (0.4, 1.0), (0.0, 1.0)], 1),
        ([(0.0, 1.0), (0.05, 1.3), (0.0, 1.0)], -1),
        ([(0.9, 7.0)], -1),
    ],
)
def test_the_rank_that_waits_or_computes_longer_than_the_others_is_named(
    ranks: list[tuple[float, float]], slow: int
) -> None:
    assert slow_rank(ranks) == slow


def test_figures_are_per_second_and_per_rank() -> None:
    batch = runpy.run_path(str(Path(__file__).with_name("training_run.py")))["made_up"](0, batch=2, anchors=5)
    meter = Meter(torch.device("cpu"), nullcontext, price_per_device_hour=3.0)
    weight = torch.ones(64, 64)
    assert not meter.counted
    meter.count(lambda batch: torch.ones(10, 64) @ weight, batch)
    assert meter.counted
    meter.waited(0.0)
    found = meter.figures(1000, lambda own: [list(own), list(own)])
    # 3 x 2 x 64 x 64 operations a sample, on two ranks
    peak = found["samples_per_s"] * 3 * 2 * 64 * 64 / 2 / found["flop_utilisation"]
    assert 1e8 < peak < 1e14
    assert found["cost_per_video_hour"] == pytest.approx(3.0 * 2 / (found["samples_per_s"] * 0.2))
    assert found["slow_rank"] == -1
