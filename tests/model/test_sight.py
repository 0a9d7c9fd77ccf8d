from __future__ import annotations

import torch

from dojo.geometry import MODEL_VIEW
from dojo.model.config import PolicyConfig
from dojo.model.sight import COLUMNS, SIGHT_FEATURES, Sight
from dojo.records import SIGHT_RANGES_M

CONFIG = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), rows=(32, 96), far_widths=(8, 8, 8), feature=16, width=16, heads=2)


def look(sight: Sight) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (2, 2, 6, 128, 256), dtype=torch.uint8)
    told, logits = sight(frames, middle=torch.randn(2, 8, 4, 16), deep=torch.randn(2, 8, 2, 8))
    return told, logits


def test_every_distance_has_a_logit_for_each_column_and_three_numbers() -> None:
    told, logits = look(Sight(CONFIG))
    assert logits.shape == (2, len(SIGHT_RANGES_M), COLUMNS)
    assert told.shape == (2, SIGHT_FEATURES)
    assert torch.isfinite(told).all()


def test_one_column_alone_is_told_as_the_slope_of_its_ray_and_the_arc_that_ends_there() -> None:
    sight = Sight(CONFIG)
    logits = torch.full((1, len(SIGHT_RANGES_M), COLUMNS), -1e4)
    logits[:, :, 10] = 1e4
    slope, curvature, _ = sight._told(logits).chunk(3, -1)
    # Column 10 of 64 cells, 8 pixels each, has its middle at pixel 83.5.
    expected = (MODEL_VIEW.centre_px[0] - 83.5) / MODEL_VIEW.focal_px[0]
    torch.testing.assert_close(slope * 0.1, torch.full_like(slope, expected))
    torch.testing.assert_close(curvature[0] * 0.01, 2 * expected / torch.tensor(SIGHT_RANGES_M))


def test_doubt_grows_with_the_spread_over_columns() -> None:
    sight = Sight(CONFIG)
    columns = torch.arange(COLUMNS, dtype=torch.float32)
    doubts = [
        sight._told((-0.5 * ((columns - 31.5) / width) ** 2).expand(1, len(SIGHT_RANGES_M), -1))[0, -1].item()
        for width in (0.5, 2.0, 8.0)
    ]
    assert doubts == sorted(doubts)
    assert doubts[2] - doubts[0] > 2.0


def test_the_far_view_sees_the_rows_about_the_horizon_and_no_others() -> None:
    sight = Sight(CONFIG).eval()
    maps = {"middle": torch.zeros(1, 8, 4, 16), "deep": torch.zeros(1, 8, 2, 8)}
    frames = torch.full((1, 2, 6, 128, 256), 100, dtype=torch.uint8)
    for rows, seen in ((slice(0, 40), False), (slice(40, 72), True), (slice(72, 128), False)):
        other = frames.clone()
        other[:, :, :, rows, 100:140] = 200
        changed = (sight(other, **maps)[1] - sight(frames, **maps)[1]).abs().max().item() > 1e-4
        assert changed == seen, rows
