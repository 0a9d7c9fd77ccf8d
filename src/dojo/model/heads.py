"""The heads: what is read off the state of the policy.

In: the state at each anchor, what the trunk saw there, and the speed where it is told. Out: a `PolicyOutput`.
Idea: everything is predicted in units of its usual spread, so that far x does not swamp near y. A plan is the shape of
a path and a profile of distance travelled (`path.py`); the profile starts from going on at the present speed, told or
estimated, so that only the change of speed is left to learn; the shape starts from where in the picture the path is
seen, which a linear layer turns into headings.
Not here: the loss (`train/loss.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dojo.model.config import PolicyConfig
from dojo.model.path import KNOTS, PathFollower
from dojo.model.sight import SIGHT_FEATURES
from dojo.model.trunk import Seen
from dojo.records import TRAJECTORY_TIMES_S

TIMES = len(TRAJECTORY_TIMES_S)

# Assumed units of the outputs, not their bounds: a bend of 100 m radius, an ordinary pedal, speeds between town and
# motorway, the slip, pitch and roll of a passenger car.
_ACTION_UNITS = (0.01, 1.0)  # curvature 1/m, acceleration m/s2
_RATE_UNITS = (15.0, 0.3, 0.3, 0.02, 0.02, 0.1)  # forward, left, up m/s; roll, pitch, yaw rad/s


@dataclass(frozen=True)
class PolicyOutput:
    """What the policy says at each anchor; leading axes batch and anchors.

    Args:
        position_m: hypotheses of the path in the ego frame at `TRAJECTORY_TIMES_S`.
        log_scale: log of the Laplace scale in metres of each coordinate.
        logits: of the hypotheses.
        action, action_log_scale: curvature (1/m) and acceleration (m/s2), and the logs of their scales.
        ego_rates, ego_rates_log_scale: own motion, as in `Clip.ego_rates`, and the logs of its scales.
        feature: the normalised feature of the trunk without noise, for probes.
        path_logits: where in the picture the path is seen, over columns, at each of `SIGHT_RANGES_M`.
    """

    position_m: Float[Tensor, "batch anchors hypotheses 33 3"]
    log_scale: Float[Tensor, "batch anchors hypotheses 33 3"]
    logits: Float[Tensor, "batch anchors hypotheses"]
    action: Float[Tensor, "batch anchors 2"]
    action_log_scale: Float[Tensor, "batch anchors 2"]
    ego_rates: Float[Tensor, "batch anchors 6"]
    ego_rates_log_scale: Float[Tensor, "batch anchors 6"]
    feature: Float[Tensor, "batch anchors feature"]
    path_logits: Float[Tensor, "batch anchors ranges cells"]


def _usual_spread_m(times_s: Float[Tensor, " times"]) -> Float[Tensor, "times 3"]:
    """How far paths differ from going straight on at the present speed, by coordinate x, y, z.

    Assumed: standard deviations of ordinary driving, speed changes of some 0.5 m/s2 and bends of some 300 m, which grow
    like t^2 at first and like t where the driver lets go; centimetres of noise at t = 0.
    """
    return torch.stack(
        [
            0.1 + 0.4 * times_s + 0.1 * times_s**2,
            0.05 + 0.15 * times_s + 0.05 * times_s**2,
            0.02 + 0.05 * times_s,
        ],
        -1,
    )


class Heads(nn.Module):
    """Plan, action and own motion."""

    times_s: Tensor
    heading_unit: Tensor
    travel_unit_m: Tensor
    spread_m: Tensor
    action_unit: Tensor
    rate_unit: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.hypotheses = config.hypotheses
        self.follow = PathFollower()
        self.body = nn.Sequential(
            nn.Linear(config.width, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.SiLU(),
            nn.LayerNorm(config.hidden),
        )
        shape = KNOTS + 2 * TIMES
        self.shared = nn.Linear(config.hidden, shape + 3 * TIMES)
        self.in_sight = nn.Linear(SIGHT_FEATURES, shape + 3 * TIMES, bias=False)
        nn.init.zeros_(self.in_sight.weight)
        self.plan = nn.Linear(config.hidden, config.hypotheses * (shape + 3 * TIMES + 1))
        nn.init.normal_(self.plan.weight, std=0.01)
        self.action = nn.Linear(config.hidden, 4)
        self.motion = nn.Linear(config.width, 12)
        times = torch.tensor(TRAJECTORY_TIMES_S, dtype=torch.float32)
        knots = self.follow.knots_m
        units = {
            "times_s": times,
            # Assumed: bends of some 100 m. Three times smaller, and bends take several times longer to be learnt.
            "heading_unit": 0.01 * knots / (1 + knots / 200),
            "travel_unit_m": 0.25 * times**2 / (1 + times / 10),
            "spread_m": _usual_spread_m(times),
            "action_unit": torch.tensor(_ACTION_UNITS),
            "rate_unit": torch.tensor(_RATE_UNITS),
        }
        for name, value in units.items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self,
        state: Float[Tensor, "batch anchors width"],
        seen: Seen,
        speed_mps: Float[Tensor, "batch anchors"],
        speed_known: Bool[Tensor, "batch anchors"],
    ) -> PolicyOutput:
        """Everything at each anchor; where the speed is not known, plan and scale go by the policy's own estimate."""
        hidden = self.body(state)
        rates, rates_log = self.motion(state).float().chunk(2, -1)
        action, action_log = self.action(hidden).float().chunk(2, -1)
        raw = self.plan(hidden).float().unflatten(-1, (self.hypotheses, -1))
        common = (self.shared(hidden) + self.in_sight(seen.sight)).float()[..., None, :]
        answered, logit = common + raw[..., :-1], raw[..., -1:]
        heading, travel, rise, log_scale = answered.split([KNOTS, TIMES, TIMES, 3 * TIMES], -1)
        rates = rates * self.rate_unit
        rates_log = rates_log.clamp(-4.0, 4.0) + self.rate_unit.log()
        speed = torch.where(speed_known, speed_mps, rates[..., 0].detach())
        doubt_mps = torch.where(speed_known, 0.0, rates_log[..., 0].detach().exp())
        travelled = speed[..., None, None] * self.times_s + travel * self.travel_unit_m
        x, y = self.follow(heading * self.heading_unit, travelled)
        z = rise * self.spread_m[:, 2]
        # Bounded, so that no sample can make the likelihood explode: from 1/20 of the usual spread up.
        log_scale = log_scale.unflatten(-1, (TIMES, 3)).clamp(-3.0, 4.0) + self.spread_m.log()
        along, across = log_scale.split([1, 2], -1)
        doubt_m = doubt_mps[..., None, None, None] * self.times_s[:, None]
        along = torch.where(doubt_m > 0, 0.5 * torch.log(torch.exp(2 * along) + doubt_m**2), along)
        return PolicyOutput(
            position_m=torch.stack([x, y, z], -1),
            log_scale=torch.cat([along, across], -1),
            logits=logit[..., 0],
            action=action * self.action_unit,
            action_log_scale=action_log.clamp(-4.0, 4.0) + self.action_unit.log(),
            ego_rates=rates,
            ego_rates_log_scale=rates_log,
            feature=seen.feature,
            path_logits=seen.path_logits,
        )
