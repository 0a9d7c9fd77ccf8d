from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from dojo.errors import ConfigError
from dojo.train.optimise import OptimiseConfig, average_in, averages_of, learning_rate, optimiser_of


def test_the_learning_rate_rises_linearly_and_falls_by_half_a_cosine() -> None:
    config = OptimiseConfig(learning_rate=1.0 / 2, warmup_steps=10, final_share=0.1)
    assert learning_rate(config, 0, 110) == pytest.approx(0.05)
    assert learning_rate(config, 9, 110) == pytest.approx(0.5)
    assert learning_rate(config, 60, 110) == pytest.approx(0.5 * (0.1 + 0.9 * 0.5))
    assert learning_rate(config, 110, 110) == pytest.approx(0.05)


def test_biases_and_norms_do_not_decay() -> None:
    groups = optimiser_of(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)).parameters(), OptimiseConfig()).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.05), (3, 0.0)]


def kernel(layout: torch.memory_format) -> nn.Parameter:
    made = torch.randn(24, 12, 3, 3, generator=torch.Generator().manual_seed(0))
    return nn.Parameter(made.contiguous(memory_format=layout))


def gradient(rank: int) -> Tensor:
    """Of a kernel, whose directions beyond the first `rank` are thirty times weaker."""
    u, size, v = torch.linalg.svd(torch.randn(24, 108, generator=torch.Generator().manual_seed(1)), full_matrices=False)
    size[rank:] *= 0.03
    return (u * size @ v).view(24, 12, 3, 3)


def test_muon_moves_kernels_in_all_directions_alike_and_leaves_the_rest_to_adamw() -> None:
    layers = nn.Sequential(nn.Conv2d(12, 24, 3), nn.BatchNorm2d(24), nn.Flatten(), nn.Linear(24, 5))
    twins = copy.deepcopy(layers)
    config = OptimiseConfig(learning_rate=0.01, weight_decay=0.5, muon=True)
    optimiser, plain = optimiser_of(layers.parameters(), config), optimiser_of(twins.parameters(), OptimiseConfig(0.01))
    before = [parameter.detach().clone() for parameter in layers.parameters()]
    for theirs, parameter in zip(twins.parameters(), layers.parameters(), strict=True):
        parameter.grad = gradient(3) if parameter.ndim == 4 else torch.ones_like(parameter)
        theirs.grad = parameter.grad.clone()
    optimiser.step()
    plain.step()
    moved = (before[0] * (1 - 0.01 * 0.5) - layers[0].weight.detach()).flatten(1) / 0.01
    spread = torch.linalg.svdvals(moved)
    assert spread.min() > 0.5 * spread.max()  # of the gradient it is a fiftieth
    assert moved.square().mean().sqrt() == pytest.approx(0.2, rel=0.2)
    assert torch.equal(layers[0].weight.grad, gradient(3))
    for theirs, parameter in zip(twins[0:2].parameters(), layers[0:2].parameters(), strict=True):
        assert parameter.ndim == 4 or torch.equal(theirs, parameter)
    assert not torch.equal(layers[3].weight.detach(), before[4])


def test_how_a_kernel_lies_in_memory_changes_nothing() -> None:
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = kernel(layout)
        optimiser = optimiser_of([parameter], OptimiseConfig(0.01, muon=True))
        for rank in (2, 7):
            parameter.grad = gradient(rank).contiguous(memory_format=layout)
            optimiser.step()
        assert parameter.is_contiguous(memory_format=layout)
        moved.append(parameter.detach())
    assert torch.equal(*moved)


def test_muon_goes_on_from_its_state_as_if_it_had_not_stopped() -> None:
    config, ways = OptimiseConfig(0.01, muon=True), []
    for stops in (False, True):
        parameter = kernel(torch.channels_last)
        optimiser = optimiser_of([parameter], config)
        for rank in (2, 7, 5):
            parameter.grad = gradient(rank)
            optimiser.step()
            if stops:
                state = copy.deepcopy(optimiser.state_dict())
                optimiser = optimiser_of([parameter], config)
                optimiser.load_state_dict(state)
        ways.append(parameter.detach())
    assert torch.equal(*ways)


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
