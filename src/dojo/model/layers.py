"""Layers that several parts of the policy are built from."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

_WORDS = {2: torch.int16, 4: torch.int32}


class Block(nn.Module):
    """x + f(x), f starting as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The input and what is added to it."""
        return x + self.second(torch.relu_(self.norm(self.first(x))))


class Patches(nn.Module):
    """One projection of each patch of a frame, or of a pair, rectified: a convolution whose windows do not overlap.

    Written as a product of matrices, so that pixels are rearranged while they are one byte each, a row of a patch
    moving as one word, and once, although a frame is the later of one pair and the earlier of the next. Frames are
    ordered by time before they are by row of the batch, so that the earlier and the later frames of all pairs are two
    stretches of memory and need no copy. The output lies channels last in memory, where the convolutions that follow
    want it.

    Args:
        rows, columns: of a patch, packed pixels; 2 or 4 columns.
        channels: that come out.
        pairs: whether each output sees a frame and the one before it, or one frame alone.
    """

    def __init__(self, rows: int, columns: int, channels: int, *, pairs: bool) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.seen_at_once = 2 if pairs else 1
        inputs = 6 * rows * columns
        self.weight = nn.Parameter(torch.empty(self.seen_at_once, inputs, channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        # Source: He et al. 2015 (arXiv 1502.01852)
        nn.init.normal_(self.weight, std=(2 / (self.seen_at_once * inputs)) ** 0.5)

    def forward(self, frames: UInt8[Tensor, "batch frames 6 rows columns"]) -> Float[Tensor, "n out _rows _columns"]:
        """What each frame's, or each pair of neighbouring frames', patches project to where it is positive.

        Ordered by time first: the first of every row of the batch, then the second of every row.
        """
        batch, count, planes, rows, columns = frames.shape
        down, across = rows // self.rows, columns // self.columns
        words = frames.reshape(batch, count, planes, down, self.rows, columns).view(_WORDS[self.columns])
        pixels = words.permute(1, 0, 3, 5, 2, 4).contiguous().view(torch.uint8).view(count, batch * down * across, -1)
        # Limited-range video is centred on 128. Bytes become numbers several times faster unsigned than signed.
        centred = pixels.to(_compute_type(self.weight)).sub_(128)
        # Assumed: a spread of about 64 steps; dividing the few weights spares a pass over the many pixels.
        weights = (self.weight / 64.0).to(centred.dtype)
        seen = self.bias.to(centred.dtype)
        for place, weight in enumerate(weights):
            shown = centred[place : count - self.seen_at_once + 1 + place]
            seen = torch.addmm(seen, shown.flatten(0, 1), weight)
        # Before the view: changing a view in place would bring its gradient back in another order of memory.
        return torch.relu_(seen).view(-1, down, across, seen.shape[-1]).permute(0, 3, 1, 2)


def _compute_type(weight: Tensor) -> torch.dtype:
    """What products are computed in here: autocast's type where it is on."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
