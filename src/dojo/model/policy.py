"""The policy: camera frames in, plans out.

In: the arrays of a `Batch`. Out: a `PolicyOutput` at each anchor.
Idea: a convolutional trunk sees each pair of frames; a causal transformer remembers the pairs before; heads answer. The
policy is never given its past path, and its speed only in some of the training clips: what it may copy it will not
learn to see. Plain and single-device.
Not here: the loss and the optimiser (`train/`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from dojo.errors import ConfigError
from dojo.model.config import PolicyConfig
from dojo.model.heads import Heads, PolicyOutput
from dojo.model.temporal import Memory
from dojo.model.trunk import FRAME_COLUMNS, FRAME_ROWS, Seen, Trunk
from dojo.records import Batch


class Policy(nn.Module):
    """Trunk, memory and heads."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config)
        self.norm = nn.LayerNorm(config.feature, elementwise_affine=False)
        self.memory = Memory(config)
        self.heads = Heads(config)

    def forward(
        self,
        frames: UInt8[Tensor, "batch frames 6 rows columns"],
        speed_mps: Float[Tensor, "batch anchors"],
        speed_valid: Bool[Tensor, "batch anchors"],
        desire: Float[Tensor, "batch anchors 8"],
        traffic_right: Bool[Tensor, " batch"],
    ) -> PolicyOutput:
        """The answer at each anchor; anchor t sees frames t and t + 1 and the anchors before it.

        Raises:
            ConfigError: frames of another size or number, or more anchors than the policy can remember.
        """
        batch, anchors = speed_mps.shape
        expected = (batch, anchors + 1, 6, FRAME_ROWS, FRAME_COLUMNS)
        if frames.shape != expected:
            raise ConfigError(
                f"policy: expected packed frames {expected} for {anchors} anchors, got {tuple(frames.shape)}; resample "
                "them into MODEL_VIEW and hand in one frame more than anchors"
            )
        seen: Seen = self.trunk(frames)
        seen = replace(seen, feature=self.norm(seen.feature.float()))
        noisy = seen.feature
        told = base = speed_valid
        if self.training:
            told = told & (torch.rand(batch, 1, device=told.device) >= self.config.speed_dropout)
            if self.config.feature_noise_std > 0:
                noisy = noisy + self.config.feature_noise_std * torch.randn_like(noisy)
        elif self.config.speed_dropout >= 1:
            told = base = torch.zeros_like(told)
        state = self.memory(noisy, speed_mps, told, desire, traffic_right)
        # In training the plan always starts from the true speed, also where the network is not told it: an error of the
        # estimated speed, ten times larger than any other at first, would drown what the path has to teach.
        answer: PolicyOutput = self.heads(state, seen, speed_mps, base)
        return answer

    def answer(self, batch: Batch) -> PolicyOutput:
        """The answer to a batch as it comes from the loader."""
        device = self.memory.places.device
        return self(
            torch.from_numpy(batch.frames).to(device, non_blocking=True),
            torch.from_numpy(batch.speed_now_mps).to(device),
            torch.from_numpy(batch.speed_now_valid).to(device),
            torch.from_numpy(batch.desire).to(device),
            torch.from_numpy(batch.traffic_right).to(device),
        )


def parameters_of(policy: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in policy.parameters())
