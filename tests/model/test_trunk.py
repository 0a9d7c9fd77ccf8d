from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dojo.model.config import PolicyConfig
from dojo.model.trunk import Trunk

MINIATURE = PolicyConfig((8, 16, 24, 32), (1, 0, 1, 1), feature=16, width=16, heads=2, hidden=16)


def frames(batch: int = 2, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, count, 6, 128, 256), dtype=torch.uint8, generator=generator)


def test_a_trunk_gives_one_feature_for_each_pair_of_neighbouring_frames() -> None:
    assert Trunk(MINIATURE)(frames()).shape == (2, 2, 16)


def test_the_product_over_patches_is_a_convolution_of_the_twelve_planes_of_a_pair() -> None:
    stem = Trunk(MINIATURE).stem
    shown = frames()
    kernel = stem.weight.view(12, 4, 4, 8).permute(3, 0, 1, 2)
    for anchor in range(2):
        pair = shown[:, anchor : anchor + 2].flatten(1, 2).float()
        expected = functional.conv2d((pair - 128) / 64, kernel, stem.bias, stride=4)
        actual = stem(shown).unflatten(0, (2, 2))[:, anchor]
        # Sums of 192 products of order one: float32 in another order.
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_what_a_residual_block_adds_is_nothing_at_first() -> None:
    plain, deep = Trunk(MINIATURE), Trunk(MINIATURE)
    deep.load_state_dict(plain.state_dict())
    before = deep(frames())
    with torch.no_grad():
        for name, weight in deep.named_parameters():
            if name.endswith("first.weight"):
                weight.add_(1.0)
    torch.testing.assert_close(deep(frames()), before)


def test_every_weight_of_the_trunk_learns_once_the_blocks_have_moved() -> None:
    trunk = Trunk(MINIATURE)
    with torch.no_grad():
        for name, weight in trunk.named_parameters():
            if name.endswith("second.weight"):
                weight.normal_(std=0.1)
    trunk(frames()).square().sum().backward()
    still = [name for name, weight in trunk.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


@pytest.mark.parametrize("rows", [slice(0, 16), slice(112, 128)])
def test_a_change_at_the_top_or_the_bottom_of_the_picture_is_seen(rows: slice) -> None:
    trunk, shown = Trunk(MINIATURE), frames()
    other = shown.clone()
    other[:, :, :, rows] = 255 - other[:, :, :, rows]
    assert (trunk(other) - trunk(shown)).abs().max() > 1e-3
