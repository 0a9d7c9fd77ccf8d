"""The policy as it drives: one window of frames in, one plan out, in operations that other runtimes know.

In: a trained `Policy`. Out: a module with fixed shapes whose answer is that of the policy at the last anchor.
Idea: training reads a row of a patch as one word of memory, which is fast and which no exchange format can say. The
same products are a convolution whose windows do not overlap; only the order in which they are summed differs, so the
twin is equal up to rounding, and is proved so by test and again at each release.
Not here: the exchange format (`release/export.py`).
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dojo.model.layers import Patches
from dojo.model.policy import Policy

INPUTS = ("frames", "speed_mps", "speed_valid", "desire", "traffic_right")
OUTPUTS = ("position_m", "scale_m", "probability", "curvature_per_m", "acceleration_mps2")
"""The fields of `Plans`, in their order."""


class PlainPatches(nn.Module):
    """`Patches` as a convolution, for batches of one."""

    def __init__(self, patches: Patches) -> None:
        super().__init__()
        self.rows, self.columns, self.seen_at_once = patches.rows, patches.columns, patches.seen_at_once
        at_once, _, channels = patches.weight.shape
        # `Patches` orders what it sees by frame, plane, row and column; its unit of 64 steps goes into the weights.
        weight = patches.weight.detach().view(at_once, 6, self.rows, self.columns, channels) / 64.0
        self.weight = nn.Parameter(weight.permute(4, 0, 1, 2, 3).flatten(1, 2).contiguous())
        self.bias = nn.Parameter(patches.bias.detach().clone())

    def forward(self, frames: UInt8[Tensor, "1 frames 6 rows columns"]) -> Float[Tensor, "n out _rows _columns"]:
        """What `Patches` answers."""
        centred = frames.to(self.weight.dtype) - 128.0
        answers = frames.shape[1] - self.seen_at_once + 1
        seen = torch.cat([centred[:, place : place + answers] for place in range(self.seen_at_once)], 2)
        shown = functional.conv2d(seen.flatten(0, 1), self.weight, self.bias, stride=(self.rows, self.columns))
        return torch.relu(shown)


class Inference(nn.Module):
    """A policy that answers one window at a time, at its last anchor."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = copy.deepcopy(policy).eval()
        for module in list(self.policy.modules()):
            for name, child in module.named_children():
                if isinstance(child, Patches):
                    setattr(module, name, PlainPatches(child))
        self.requires_grad_(False)

    def forward(
        self,
        frames: UInt8[Tensor, "1 frames 6 rows columns"],
        speed_mps: Float[Tensor, "1 anchors"],
        speed_valid: Bool[Tensor, "1 anchors"],
        desire: Float[Tensor, "1 anchors 8"],
        traffic_right: Bool[Tensor, " 1"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The fields of `Plans` of one plan, leading axis 1; see `OUTPUTS`."""
        answer = self.policy(frames, speed_mps, speed_valid, desire, traffic_right)
        return (
            answer.position_m[:, -1],
            answer.log_scale[:, -1].exp(),
            answer.logits[:, -1].softmax(-1),
            answer.action[:, -1, 0],
            answer.action[:, -1, 1],
        )
