from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dojo.model.layers import Patches


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (2, 2), (2, 4)])
def test_the_product_over_patches_is_a_rectified_convolution_of_the_twelve_planes_of_a_pair(
    rows: int, columns: int
) -> None:
    torch.manual_seed(0)
    stem = Patches(rows, columns, 8, pairs=True)
    shown = torch.randint(0, 256, (2, 3, 6, 16, 32), dtype=torch.uint8)
    kernel = stem.weight.view(2, 6, rows, columns, 8).permute(4, 0, 1, 2, 3).flatten(1, 2)
    stem.bias.data.normal_()
    by_time = stem(shown).unflatten(0, (2, 2))
    for anchor, actual in enumerate(by_time):
        pair = shown[:, anchor : anchor + 2].flatten(1, 2).float()
        expected = functional.conv2d((pair - 128) / 64, kernel, stem.bias, stride=(rows, columns)).relu()
        # Sums of up to 192 products of order one: float32 in another order.
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_a_band_of_rows_is_projected_as_if_it_were_the_picture() -> None:
    stem = Patches(4, 4, 8, pairs=True)
    shown = torch.randint(0, 256, (2, 2, 6, 16, 32), dtype=torch.uint8)
    torch.testing.assert_close(stem(shown[:, :, :, 4:12]), stem(shown[:, :, :, 4:12].contiguous()))
    torch.testing.assert_close(stem(shown)[:, :, 1:3], stem(shown[:, :, :, 4:12]))


def test_frames_alone_are_projected_each_by_itself() -> None:
    stem = Patches(2, 4, 8, pairs=False)
    shown = torch.randint(0, 256, (2, 3, 6, 16, 32), dtype=torch.uint8)
    together = stem(shown).unflatten(0, (3, 2))
    torch.testing.assert_close(together[1], stem(shown[:, 1:2]))
