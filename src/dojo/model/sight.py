"""Sight: at which column of the picture the path runs, at fixed distances ahead.

In: the frames once more, finer about the horizon, and the trunk's two deepest maps. Out: for each distance, logits over
the columns, and what they say in plain numbers.
Idea: a road is a place in the picture before it is a number. Each column of a map is asked, with the same weights, how
likely the path passes there at each distance; the mean column is a bearing, exact to a fraction of a cell. What is
learned of one column holds for all, and the right column is told at every distance (`train/loss.py`), so the trunk sees
bends after some hundred steps. Measured on the simulated fleet, 400 steps of 80 anchors, held-out roads: lateral error
at 3 s 1.03 m with a first version of it, and 0.71 m with the finer view of the distance; without it 1.39 m after more
samples. Source of the mean over a heat map: Levine et al. 2016 (arXiv 1504.00702), the spatial softmax; of
one column per distance: Qin et al. 2020 (arXiv 2004.11757), there one column per row.
Far roads are small: a bend of 1 m at 80 m is 6 pixels of the model view, less than one patch of the trunk. So the rows
about the horizon are looked at again in patches of half the height, in the later frame of a pair alone: where the path
runs is a matter of one picture.
Not here: what a bearing is worth as a plan (`heads.py`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dojo.geometry import MODEL_VIEW
from dojo.model.config import PolicyConfig
from dojo.model.layers import Block, Patches
from dojo.records import SIGHT_RANGES_M

COLUMNS = 64
"""Cells across the picture: 8 pixels of the model view each, 1 degree at its middle."""

SIGHT_FEATURES = 3 * len(SIGHT_RANGES_M)
"""Bearing, curvature and doubt at each distance, each of order one."""

_FAR_ROWS = slice(40, 72)
"""Packed rows about the horizon: flat road from 13 m before a camera 1.4 m high on."""

_MIXED = 64  # Channels of the two deepest maps once joined. Assumed: half of what tiny has.
_READ = 32  # Channels from which columns are read.


class Sight(nn.Module):
    """Where the path is seen."""

    ranges_m: Tensor
    slope: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.first_row = config.rows[0]
        rows = config.rows[1] - config.rows[0]
        ranges = len(SIGHT_RANGES_M)
        self.from_middle = nn.Conv2d(config.widths[2], _MIXED, 1)
        self.from_deep = nn.Conv2d(config.widths[3], _MIXED, 1)
        self.read_near = nn.Sequential(
            nn.BatchNorm2d(_MIXED), nn.ReLU(), nn.Conv2d(_MIXED, _READ, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.near = nn.Linear(_READ * (rows // 16), ranges)
        first, second, third = config.far_widths
        self.far_stem = Patches(2, 4, first, pairs=False)
        self.far_stages = nn.Sequential(
            nn.Conv2d(first, second, 3, stride=(2, 1), padding=1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, third, 3, stride=(2, 1), padding=1, bias=False),
            nn.BatchNorm2d(third),
            nn.ReLU(inplace=True),
            Block(third),
        )
        self.to_far = nn.Conv2d(_MIXED, third, 1)
        self.read_far = nn.Sequential(nn.ReLU(), nn.Conv2d(third, _READ, 3, padding=1), nn.ReLU(inplace=True))
        self.far = nn.Linear(_READ * ((_FAR_ROWS.stop - _FAR_ROWS.start) // 8), ranges)
        self.register_buffer("ranges_m", torch.tensor(SIGHT_RANGES_M), persistent=False)
        self.register_buffer("slope", torch.from_numpy(MODEL_VIEW.band_slopes(COLUMNS)).float(), persistent=False)

    def forward(
        self,
        frames: UInt8[Tensor, "batch frames 6 rows columns"],
        middle: Float[Tensor, "pairs _m _mr _mc"],
        deep: Float[Tensor, "pairs _d _dr _dc"],
    ) -> tuple[Float[Tensor, "pairs sight"], Float[Tensor, "pairs ranges cells"]]:
        """Plain numbers and logits of each pair of neighbouring frames; the maps have cells of 16 and 32 rows."""
        mixed = _resized(self.from_deep(deep), middle.shape[-2:]) + self.from_middle(middle)
        near = _by_column(self.read_near(mixed), self.near)
        fine = self.far_stages(self.far_stem(frames[:, 1:, :, _FAR_ROWS]))
        # The rows of the joint map in which the rows about the horizon lie.
        top, bottom = (_FAR_ROWS.start - self.first_row) // 16, -(-(_FAR_ROWS.stop - self.first_row) // 16)
        fine = fine + _resized(self.to_far(mixed[:, :, top:bottom]), fine.shape[-2:])
        far = _by_column(self.read_far(fine), self.far)
        logits = (functional.interpolate(near, size=COLUMNS, mode="linear", align_corners=False) + far).float()
        return self._told(logits), logits

    def _told(self, logits: Float[Tensor, "pairs ranges cells"]) -> Float[Tensor, "pairs sight"]:
        """What the logits say: mean slope y / x, the curvature of the arc that ends there, and the spread."""
        share = logits.softmax(-1)
        mean = (share * self.slope).sum(-1)
        spread = (share * (self.slope - mean[..., None]) ** 2).sum(-1)
        curvature_per_m = 2 * mean / self.ranges_m
        # Assumed units: 0.1 rad, a bend of 100 m radius, a spread of one cell.
        return torch.cat([mean / 0.1, curvature_per_m / 0.01, torch.log(spread + 3e-6) + 8.0], -1)


def _by_column(seen: Float[Tensor, "pairs _c _r cells"], read: nn.Linear) -> Float[Tensor, "pairs ranges cells"]:
    """All rows of each column, read with the same weights."""
    read_off: Tensor = read(seen.permute(0, 3, 1, 2).flatten(2))
    return read_off.transpose(1, 2)


def _resized(seen: Float[Tensor, "pairs _c _r _w"], size: torch.Size) -> Float[Tensor, "pairs _c _r2 _w2"]:
    return functional.interpolate(seen, size=size, mode="bilinear", align_corners=False)
