from __future__ import annotations

import pytest
import torch
from torch import nn

from dojo.errors import ConfigError
from dojo.train.optimise import OptimiseConfig, average_in, averages_of, learning_rate, optimiser_of


def test_the_learning_rate_rises_linearly_and_falls_by_half_a_cosine() -> None:
    config = OptimiseConfig(learning_rate=1.0 / 2, warmup_steps=10, final_share=0.1)
    assert learning_rate(config, 0, 110) == pytest.approx(0.05)
    assert learning_rate(config, 9, 110) == pytest.approx(0.5)
    assert learning_rate(config, 60, 110) == pytest.approx(0.5 * (0.1 + 0.9 * 0.5))
    assert learning_rate(config, 110, 110) == pytest.approx(0.05)


def test_biases_and_norms_do_not_decay() -> None:
    groups = optimiser_of(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), OptimiseConfig()).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.05), (3, 0.0)]


def test_the_average_follows_fast_at_first_and_slowly_later() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.0)
        averages = averages_of(layer)
        layer.weight.fill_(1.0)
    average_in(averages, layer.named_parameters(), OptimiseConfig(average_decay=0.99), step=0)
    assert averages["weight"].item() == pytest.approx(0.9)
    averages["weight"].fill_(0.0)
    average_in(averages, layer.named_parameters(), OptimiseConfig(average_decay=0.99), step=10_000)
    assert averages["weight"].item() == pytest.approx(0.01)


def test_an_absurd_configuration_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"learning_rate must be between 0 and 1, got 2.0; clip_norm must be positive"
    ):
        OptimiseConfig(learning_rate=2.0, clip_norm=0.0)
