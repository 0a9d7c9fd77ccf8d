"""The memory: what was seen at an anchor and before becomes the state from which the policy answers.

In: features of the anchors, what the driver asks for, the side of traffic, the speed where it is told. Out: a state at
each anchor.
Idea: a causal transformer. An anchor attends to itself and to those before it, so one pass over a clip trains the
policy on every length of history up to the clip's, as it will meet them on the road.
Not here: the picture (`trunk.py`), the answer (`heads.py`).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dojo.errors import ConfigError
from dojo.model.config import PolicyConfig
from dojo.records import DESIRES

_SPEED_SCALE_MPS = 20.0  # Assumed: between town and motorway, so that the input is of order one.


class _Layer(nn.Module):
    """Attention to the present and the past, then two dense layers; each added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, state: Float[Tensor, "batch anchors width"]) -> Float[Tensor, "batch anchors width"]:
        anchors, width = state.shape[1:]
        joint = self.query_key_value(self.attention_norm(state)).unflatten(-1, (3, self.heads, width // self.heads))
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        likeness = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        later = torch.ones(anchors, anchors, dtype=torch.bool, device=state.device).triu(1)
        weight = likeness.masked_fill(later, -torch.inf).softmax(-1)
        state = state + self.attended((weight @ value).transpose(1, 2).flatten(2))
        changed: Tensor = state + self.dense(state)
        return changed


class Memory(nn.Module):
    """A causal transformer over the anchors of a clip."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.seen = nn.Linear(config.feature, config.width)
        self.told = nn.Linear(len(DESIRES) + 2 + 2, config.width)
        self.places = nn.Parameter(torch.zeros(config.max_anchors, config.width))
        self.layers = nn.Sequential(*(_Layer(config.width, config.heads) for _ in range(config.layers)))
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self,
        feature: Float[Tensor, "batch anchors feature"],
        speed_mps: Float[Tensor, "batch anchors"],
        speed_told: Bool[Tensor, "batch anchors"],
        desire: Float[Tensor, "batch anchors desires"],
        traffic_right: Bool[Tensor, " batch"],
    ) -> Float[Tensor, "batch anchors width"]:
        """The state at each anchor; a speed that is not told leaves no trace.

        Raises:
            ConfigError: more anchors than the policy can remember.
        """
        anchors = feature.shape[1]
        if anchors > len(self.places):
            raise ConfigError(
                f"policy: expected at most max_anchors = {len(self.places)} anchors, got {anchors}; cut shorter clips"
            )
        speed = torch.where(speed_told, speed_mps / _SPEED_SCALE_MPS, 0.0)
        side = torch.stack([traffic_right, ~traffic_right], -1)[:, None].expand(-1, anchors, -1)
        known = torch.cat([desire, side.to(desire.dtype), torch.stack([speed, speed_told.to(speed.dtype)], -1)], -1)
        state = self.seen(feature) + self.told(known) + self.places[:anchors]
        remembered: Tensor = self.norm(self.layers(state))
        return remembered
