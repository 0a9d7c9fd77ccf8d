"""The heads: what is read off the state of the policy.

In: the state at each anchor, and the speed where it is told. Out: a `PolicyOutput`.
Idea: everything is predicted in units of its usual spread, so that far x does not swamp near y; a plan is a path shape
and a distance profile (`path.py`), the latter as what changes against going on at the present speed.
Not here: the loss (`train/loss.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dojo.model.config import PolicyConfig
from dojo.model.path import KNOTS, PathFollower
from dojo.records import TRAJECTORY_TIMES_S

TIMES = len(TRAJECTORY_TIMES_S)

_SPEED_SCALE_MPS = 15.0
_CURVATURE_SCALE_PER_M = 0.01
_ACCELERATION_SCALE_MPS2 = 1.0
_RATE_SCALES = (15.0, 0.3, 0.3, 0.02, 0.02, 0.1)  # forward, left, up m/s; roll, pitch, yaw rad/s


@dataclass(frozen=True)
class PolicyOutput:
    """What the policy says at each anchor; leading axes batch and anchors.

    Args:
        position_m: hypotheses of the path in the ego frame.
        log_scale: log of the Laplace scale in metres of each coordinate.
        logits: of the hypotheses.
        action, action_log_scale: curvature (1/m) and acceleration (m/s2), with their scales in the same units.
        ego_rates, ego_rates_log_scale: own motion, as in `Clip.ego_rates`.
        feature: the normalised feature of the trunk, for probes.
    """

    position_m: Float[Tensor, "batch anchors hypotheses 33 3"]
    log_scale: Float[Tensor, "batch anchors hypotheses 33 3"]
    logits: Float[Tensor, "batch anchors hypotheses"]
    action: Float[Tensor, "batch anchors 2"]
    action_log_scale: Float[Tensor, "batch anchors 2"]
    ego_rates: Float[Tensor, "batch anchors 6"]
    ego_rates_log_scale: Float[Tensor, "batch anchors 6"]
    feature: Float[Tensor, "batch anchors feature"]


class Heads(nn.Module):
    """Plan, action and own motion."""

    times_s: Tensor
    heading_scale: Tensor
    travel_scale_m: Tensor
    spread_m: Tensor
    action_scale: Tensor
    rate_scale: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.hypotheses = config.hypotheses
        self.follow = PathFollower()
        self.motion = nn.Linear(config.feature, 12)
        self.body = nn.Sequential(
            nn.Linear(config.feature + 2, config.hidden), nn.SiLU(), nn.Linear(config.hidden, config.hidden), nn.SiLU()
        )
        self.plan = nn.Linear(config.hidden, config.hypotheses * (KNOTS + 2 * TIMES + 3 * TIMES + 1))
        self.action = nn.Linear(config.hidden, 4)
        nn.init.normal_(self.plan.weight, std=0.01)
        times = torch.tensor(TRAJECTORY_TIMES_S, dtype=torch.float32)
        self.register_buffer("times_s", times, persistent=False)
        # Assumed spreads, from what a driver usually does: bends of 300 m radius, speed changes of 0.5 m/s2 that fade
        # after some seconds. They set the units of the outputs, not their bounds.
        self.register_buffer("heading_scale", 0.003 * self.follow.knots_m / (1 + self.follow.knots_m / 200), False)
        self.register_buffer("travel_scale_m", 0.25 * times**2 / (1 + times / 10), False)
        spread = torch.stack(
            [0.1 + 0.4 * times + 0.1 * times**2, 0.05 + 0.15 * times + 0.05 * times**2, 0.02 + 0.05 * times]
        )
        self.register_buffer("spread_m", spread.T.contiguous(), False)
        self.register_buffer("action_scale", torch.tensor([_CURVATURE_SCALE_PER_M, _ACCELERATION_SCALE_MPS2]), False)
        self.register_buffer("rate_scale", torch.tensor(_RATE_SCALES), False)

    def forward(
        self,
        state: Float[Tensor, "batch anchors feature"],
        feature: Float[Tensor, "batch anchors feature"],
        speed_mps: Float[Tensor, "batch anchors"],
        told: Bool[Tensor, "batch anchors"],
    ) -> PolicyOutput:
        """Everything at each anchor; where the speed is not told, the policy goes by its own estimate."""
        rates, rates_log = self.motion(state).float().chunk(2, -1)
        speed = torch.where(told, speed_mps, rates[..., 0] * _SPEED_SCALE_MPS)
        known = torch.stack([speed / _SPEED_SCALE_MPS, told.to(speed.dtype)], -1)
        hidden = self.body(torch.cat([state, known.to(state.dtype)], -1))
        raw = self.plan(hidden).float().unflatten(-1, (self.hypotheses, -1))
        heading, travel, rise, log_scale, logit = raw.split([KNOTS, TIMES, TIMES, 3 * TIMES, 1], -1)
        travelled = speed[..., None, None] * self.times_s + travel * self.travel_scale_m
        x, y = self.follow(heading * self.heading_scale, travelled)
        z = rise * self.spread_m[:, 2]
        action, action_log = self.action(hidden).float().chunk(2, -1)
        return PolicyOutput(
            position_m=torch.stack([x, y, z], -1),
            # Bounded, so that no single sample can make the likelihood explode: from 1/20 of the usual spread up.
            log_scale=log_scale.unflatten(-1, (TIMES, 3)).clamp(-3.0, 4.0) + self.spread_m.log(),
            logits=logit[..., 0],
            action=action * self.action_scale,
            action_log_scale=action_log.clamp(-4.0, 4.0) + self.action_scale.log(),
            ego_rates=rates * self.rate_scale,
            ego_rates_log_scale=rates_log.clamp(-4.0, 4.0) + self.rate_scale.log(),
            feature=feature,
        )
