from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dojo.model.config import PolicyConfig
from dojo.model.trunk import Trunk

MINIATURE = PolicyConfig((8, 16, 24, 32), (1, 0, 1, 1), feature=16, width=16, heads=2, hidden=16)


def frames(batch: int = 2, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, count, 6, 128, 256), dtype=torch.uint8, generator=generator)


def test_a_trunk_gives_one_feature_for_each_pair_of_neighbouring_frames() -> None:
    assert Trunk(MINIATURE)(frames()).feature.shape == (2, 2, 16)


def test_what_a_residual_block_adds_is_nothing_at_first() -> None:
    plain, deep = Trunk(MINIATURE), Trunk(MINIATURE)
    deep.load_state_dict(plain.state_dict())
    before = deep(frames()).feature
    with torch.no_grad():
        for name, weight in deep.named_parameters():
            if name.endswith("first.weight"):
                weight.add_(1.0)
    torch.testing.assert_close(deep(frames()).feature, before)


def test_every_weight_of_the_trunk_learns_once_the_blocks_have_moved() -> None:
    trunk = Trunk(MINIATURE)
    with torch.no_grad():
        for name, weight in trunk.named_parameters():
            if name.endswith("second.weight"):
                weight.normal_(std=0.1)
    seen = trunk(frames())
    (seen.feature.square().sum() + seen.path_logits.square().sum()).backward()
    still = [name for name, weight in trunk.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


@pytest.mark.parametrize("rows", [slice(0, 16), slice(112, 128)])
def test_a_change_at_the_top_or_the_bottom_of_the_picture_is_seen(rows: slice) -> None:
    trunk, shown = Trunk(MINIATURE), frames()
    other = shown.clone()
    other[:, :, :, rows] = 255 - other[:, :, :, rows]
    assert (trunk(other).feature - trunk(shown).feature).abs().max() > 1e-3


def test_rows_that_the_trunk_does_not_look_at_change_nothing() -> None:
    trunk, shown = Trunk(replace(MINIATURE, rows=(32, 96))), frames()
    other = shown.clone()
    other[:, :, :, :32] = 255 - other[:, :, :, :32]
    other[:, :, :, 96:] = 255 - other[:, :, :, 96:]
    torch.testing.assert_close(trunk(other).feature, trunk(shown).feature)
