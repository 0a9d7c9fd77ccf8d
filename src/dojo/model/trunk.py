"""The trunk: a pair of packed frames becomes one feature, and where ahead the path is seen.

In: uint8 (batch, frames, 6, rows, columns). Out: a `Seen` at each anchor, one less than frames.
Idea: patches of 4 x 4, then dense 3 x 3 convolutions with residual blocks, halving three times more. On a CPU they run
several times nearer to peak than depthwise ones, and what costs is memory traffic at high resolution, so nothing
happens there but the first projection. Channels are normalised over the batch: road pictures look much alike, and
taking away what they share leaves how they differ. Measured on drawn roads, 100 steps of 40 pairs: the error of the
curvature falls to 0.39 of its first value, with norms within a sample not at all. The last map is flattened, not
averaged: where in the picture the road goes is what matters.
Not here: how the path is read off the maps (`sight.py`), time (`temporal.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dojo.model.config import PolicyConfig
from dojo.model.layers import Block, Patches
from dojo.model.sight import SIGHT_FEATURES, Sight

FRAME_ROWS, FRAME_COLUMNS = 128, 256
"""Size of the packed planes of `MODEL_VIEW`."""

_SQUEEZED = 32  # Channels of the last map before it is flattened. Source: openpilot's supercombo (1x1 conv 32).


@dataclass(frozen=True)
class Seen:
    """What the trunk makes of the pair of frames at each anchor.

    Args:
        feature: the whole picture.
        sight: where the path is seen, in plain numbers; see `Sight`.
        path_logits: over the columns of the picture, at each of `SIGHT_RANGES_M`.
    """

    feature: Float[Tensor, "batch anchors feature"]
    sight: Float[Tensor, "batch anchors sight"]
    path_logits: Float[Tensor, "batch anchors ranges cells"]


class Trunk(nn.Module):
    """Two packed frames into one feature."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.first_row, self.last_row = config.rows
        channels = config.widths[0]
        self.stem = Patches(4, 4, channels, pairs=True)
        stages = [nn.Sequential(*(Block(channels) for _ in range(config.depths[0])))]
        for width, depth in zip(config.widths[1:], config.depths[1:], strict=True):
            stage = (
                nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                *(Block(width) for _ in range(depth)),
            )
            stages.append(nn.Sequential(*stage))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.squeeze = nn.Conv2d(channels, _SQUEEZED, 1)
        cells = (self.last_row - self.first_row) // 32 * (FRAME_COLUMNS // 32)
        self.project = nn.Linear(_SQUEEZED * cells, config.feature)
        self.sight = Sight(config)
        self.point_out = nn.Linear(SIGHT_FEATURES, config.feature)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as `Patches` lays its output

    def forward(self, frames: UInt8[Tensor, "batch frames 6 rows columns"]) -> Seen:
        """What is seen in each pair of neighbouring frames."""
        batch, count = frames.shape[:2]
        maps = [self.stem(frames[:, :, :, self.first_row : self.last_row])]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        sight, logits = self.sight(frames, middle=maps[-2], deep=maps[-1])
        flat = torch.relu(self.squeeze(maps[-1])).flatten(1)
        feature: Tensor = self.project(flat) + self.point_out(sight)

        def by_anchor(tensor: Tensor) -> Tensor:  # `Patches` orders by time first
            return tensor.view(count - 1, batch, *tensor.shape[1:]).transpose(0, 1)

        return Seen(by_anchor(feature), by_anchor(sight), by_anchor(logits))
