"""The trunk: a pair of packed frames becomes one feature.

In: uint8 (batch, frames, 6, rows, columns). Out: (batch, anchors, feature), one less than frames.
Idea: patches of 4 x 4, then dense 3 x 3 convolutions with residual blocks, halving three times more. On a CPU they run
several times nearer to peak than depthwise ones, and what costs is memory traffic at high resolution, so nothing
happens there but the first convolution. Groups are normalised within a sample, never across the batch, so that what
one clip yields does not depend on its neighbours, on the number of ranks, or on training or judging. The last map is
flattened, not averaged: where in the picture the road goes is what matters.
Not here: time (`temporal.py`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dojo.model.config import PolicyConfig

FRAME_ROWS, FRAME_COLUMNS = 128, 256
"""Size of the packed planes of `MODEL_VIEW`."""

_SQUEEZED = 32  # Channels of the last map before it is flattened. Source: openpilot's supercombo (driving.md 2.3).


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // 8, channels)


class _Block(nn.Module):
    """x + f(x), f starting as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = _norm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu_(self.norm(self.first(x))))


class Trunk(nn.Module):
    """Two packed frames into one feature."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        first = config.widths[0]
        # One convolution over the twelve planes of a pair is the sum of one over each frame's six. Written so, each
        # frame is read once, although it is the later of one pair and the earlier of the next.
        self.stem = nn.Conv2d(6, 2 * first, 4, stride=4)
        stages: list[nn.Module] = [nn.ReLU(inplace=True), *(_Block(first) for _ in range(config.depths[0]))]
        channels = first
        for width, depth in zip(config.widths[1:], config.depths[1:], strict=True):
            stages += [
                nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
                _norm(width),
                nn.ReLU(inplace=True),
            ]
            stages += [_Block(width) for _ in range(depth)]
            channels = width
        self.stages = nn.Sequential(*stages)
        self.squeeze = nn.Conv2d(channels, _SQUEEZED, 1)
        cells = (FRAME_ROWS // 32) * (FRAME_COLUMNS // 32)
        self.project = nn.Linear(_SQUEEZED * cells, config.feature)

    def forward(self, frames: UInt8[Tensor, "batch frames 6 rows columns"]) -> Float[Tensor, "batch anchors feature"]:
        """The feature of each pair of neighbouring frames."""
        batch, count = frames.shape[:2]
        # Limited-range video is centred near 128 with a spread of about 50.
        scaled = (frames.flatten(0, 1).to(self.stem.weight.dtype) - 128.0) / 64.0
        patches = self.stem(scaled.contiguous(memory_format=torch.channels_last)).unflatten(0, (batch, count))
        before, after = patches[:, :-1].chunk(2, 2)[0], patches[:, 1:].chunk(2, 2)[1]
        pairs = (before + after).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        mapped: Tensor = self.squeeze(self.stages(pairs))
        projected: Tensor = self.project(torch.relu(mapped).flatten(1))
        return projected.reshape(batch, count - 1, -1)
