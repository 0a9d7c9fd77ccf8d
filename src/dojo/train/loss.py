"""The loss: how far a policy's answer is from what was driven.

In: an answer of the policy and the targets of a batch. Out: one number per head, and their weighted sum.
Idea: winner takes all. The hypothesis nearest to the driven path over its whole length answers for it with a Laplace
likelihood; the others learn a little, so that none dies; the first learns from every sample, so that one of them is the
middle. The logits learn how near each was, by a factor e for each unit of distance: who won is another matter, because
of several that lie close together the outermost win most. Errors are measured in units of their usual spread at that
time, so that ten metres at 10 s weigh like a decimetre at once. Nearest is decided by distance and not, as in
OP-Deepdive (arXiv 2206.08176), by the bearing of the end point, which lets x swamp y.
Not here: the answer itself (`model/heads.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW
from dojo.records import SIGHT_RANGES_M, TRAJECTORY_TIMES_S, Batch


@runtime_checkable
class Answer(Protocol):
    """What the loss reads of a policy's answer; axes as in `model.heads.PolicyOutput`."""

    @property
    def position_m(self) -> Tensor: ...  # noqa: D102
    @property
    def log_scale(self) -> Tensor: ...  # noqa: D102
    @property
    def logits(self) -> Tensor: ...  # noqa: D102
    @property
    def action(self) -> Tensor: ...  # noqa: D102
    @property
    def action_log_scale(self) -> Tensor: ...  # noqa: D102
    @property
    def ego_rates(self) -> Tensor: ...  # noqa: D102
    @property
    def ego_rates_log_scale(self) -> Tensor: ...  # noqa: D102
    @property
    def path_logits(self) -> Tensor: ...  # noqa: D102


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts.

    Args:
        plan, choice, action, ego_rates: weights of the heads' losses.
        others: weight of the mean loss of all hypotheses, whichever won. Source: the relaxed winner-takes-all of
            Rupprecht et al. 2017 (arXiv 1612.00197), with 0.05.
        together: share of the run in which the hypotheses learn together: the weight of all falls from 1 to `others`
            over it. Losers that are let go at once split the road into left, straight and right before anything has
            been seen, and then leave little to see for; losers that are let go early split the speed, of which the
            picture says little, and the choice between them is a guess. Source of the idea: evolving
            winner-takes-all, Makansi et al. 2019 (arXiv 1906.03631).
        middle: weight of the loss of the first hypothesis, whichever won, so that it becomes the middle of what may
            happen; which is then also the most probable, driven and judged, wherever the picture cannot tell more.
            Without such a one, the hypotheses part by speed, of which pictures say little, and the most probable is
            one of them by chance: on held-out simulated roads it was 2.20 m off along the road at 3 s, their mean
            1.99 m, going on at the present speed 1.97 m.
        distance: weight of the winner's plain scaled distance beside its likelihood, which alone stops pulling at
            samples that it has declared uncertain.
        bend: weight of the lateral error in units that grow with the square of the distance, in which a bend counts
            the same at any speed. It is what the trunk learns to see by: on the simulated fleet the policy was still
            going straight on after 450 steps without it, and followed bends after 220 with it.
        motion: weight of the plain error of curvature and of own motion in their usual units, to the same end.
        sight: weight of what tells the trunk at which column of the picture the path ran.
    """

    plan: float = 1.0
    choice: float = 0.2
    action: float = 0.1
    ego_rates: float = 0.1
    others: float = 0.05
    together: float = 1.0
    middle: float = 1.0
    distance: float = 0.3
    bend: float = 5.0
    motion: float = 1.0
    sight: float = 1.0

    def __post_init__(self) -> None:
        wrong = {name: value for name, value in vars(self).items() if not 0 <= value < float("inf")}
        if wrong:
            raise ConfigError(f"loss: expected weights that are finite and not negative, got {wrong}")
        if self.others > 1 or self.together > 1:
            raise ConfigError(f"loss: others and together are shares, at most 1, got {self.others} and {self.together}")

    def others_at(self, done: float) -> float:
        """The weight of all hypotheses when a share `done` of the run is behind."""
        left = 1.0 - min(done / self.together, 1.0) if self.together > 0 else 0.0
        return self.others + (1.0 - self.others) * left


Targets = dict[str, Tensor]


def targets_of(batch: Batch, device: torch.device) -> Targets:
    """The targets of a batch as tensors; what is not valid is zero and marked."""

    def on_device(name: str) -> Tensor:
        return torch.from_numpy(getattr(batch, name)).to(device)

    valid = on_device("valid")
    position = torch.where(valid[..., None], on_device("position_m"), 0.0)
    action = torch.stack([on_device("curvature_per_m"), on_device("acceleration_mps2")], -1)
    action_valid = on_device("action_valid")
    return {
        "position_m": position,
        "valid": valid,
        "action": torch.where(action_valid[..., None], action, 0.0),
        "action_valid": action_valid,
        "ego_rates": torch.nan_to_num(on_device("ego_rates")),
        "ego_valid": valid[..., 0],
    }


def usual_spread_m(device: torch.device) -> Float[Tensor, "33 3"]:
    """The unit in which errors count at each time, for x, y and z.

    Assumed: what is left to predict once speed and lane are known: a speed that changes by some 0.4 m/s2, a lateral
    position within decimetres near and some metres far, a slope of a per cent.
    """
    t = torch.tensor(TRAJECTORY_TIMES_S, dtype=torch.float32, device=device)
    return torch.stack([0.3 + 0.3 * t + 0.1 * t**2, 0.1 + 0.1 * t + 0.06 * t**2, 0.1 + 0.1 * t], -1)


Mean = Callable[[Tensor, Tensor], Tensor]
"""The mean of values where a mask is true, over all that the caller knows of: one process, or all ranks."""


def mean_of_valid(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values where the mask is true; zero where it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _laplace(error: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log likelihood of a Laplace distribution, without its constant log 2."""
    return error.abs() * torch.exp(-log_scale) + log_scale


def plan_losses(
    position_m: Float[Tensor, "batch anchors hypotheses 33 3"],
    log_scale: Float[Tensor, "batch anchors hypotheses 33 3"],
    logits: Float[Tensor, "batch anchors hypotheses"],
    target_m: Float[Tensor, "batch anchors 33 3"],
    valid: Bool[Tensor, "batch anchors 33"],
    config: LossConfig,
    done: float = 1.0,
    mean: Mean = mean_of_valid,
) -> tuple[Tensor, Tensor]:
    """Loss of the plan and of the choice between hypotheses."""
    spread = usual_spread_m(position_m.device)
    error = position_m - target_m[:, :, None]
    mask = valid[:, :, None, :, None].to(error.dtype)
    count = 3 * mask.sum((-1, -2)).clamp(min=1)
    distance = ((error.abs() / spread) * mask).sum((-1, -2)) / count
    likelihood = ((_laplace(error, log_scale) - spread.log()) * mask).sum((-1, -2)) / count
    judged = valid.any(-1)
    winner = distance.detach().argmin(-1, keepdim=True)
    both = likelihood + config.distance * distance
    won = both.gather(-1, winner)[..., 0]
    others = config.others_at(done)
    plan = (1 - others) * won + others * both.mean(-1) + config.middle * both[..., 0]
    near = torch.softmax(-distance.detach(), -1)
    choice = -(near * logits.log_softmax(-1)).sum(-1)
    return mean(plan, judged), mean(choice, judged)


def bend_loss(
    position_m: Float[Tensor, "batch anchors hypotheses 33 3"],
    target_m: Float[Tensor, "batch anchors 33 3"],
    valid: Bool[Tensor, "batch anchors 33"],
    mean: Mean = mean_of_valid,
) -> Tensor:
    """Mean lateral error of all hypotheses, in units of half a metre near by and of a bend of 100 m radius far ahead.

    Assumed: nearer than 3 m there is nothing to bend.
    """
    ahead_m = target_m[..., 0]
    unit_m = 0.5 + 0.005 * ahead_m**2
    error = (position_m[..., 1] - target_m[:, :, None, :, 1]).abs() / unit_m[:, :, None]
    mask = (valid & (ahead_m > 3.0))[:, :, None].expand_as(error)
    return mean(error, mask)


def crossings(
    position_m: Float[Tensor, "batch anchors 33 3"], valid: Bool[Tensor, "batch anchors 33"], ahead_m: Tensor
) -> tuple[Float[Tensor, "batch anchors ranges"], Bool[Tensor, "batch anchors ranges"]]:
    """y / x where the path first comes `ahead_m` forward, and whether it does; between two times it runs straight."""
    known = torch.where(valid, position_m[..., 0], -1.0)
    beyond = known[..., None, :] >= ahead_m[:, None]
    reached = beyond.any(-1)
    after = beyond.to(torch.uint8).argmax(-1).clamp(min=1)

    def at(axis: int, index: Tensor) -> Tensor:
        return position_m[..., axis].gather(-1, index)

    x0, x1, y0, y1 = at(0, after - 1), at(0, after), at(1, after - 1), at(1, after)
    share = ((ahead_m - x0) / (x1 - x0).clamp(min=1e-3)).clamp(0.0, 1.0)
    return (y0 + share * (y1 - y0)) / ahead_m, reached & valid.gather(-1, after - 1)


def sight_loss(
    path_logits: Float[Tensor, "batch anchors ranges cells"],
    position_m: Float[Tensor, "batch anchors 33 3"],
    valid: Bool[Tensor, "batch anchors 33"],
    mean: Mean = mean_of_valid,
) -> Tensor:
    """How far the columns at which the path is seen are from those where it ran, where it stays in the picture.

    The sum of the cross entropy with a bell one cell wide about the right column, which teaches at once wherever the
    logits are, and of the error of the mean, which is what the plan reads.
    """
    slopes = torch.from_numpy(MODEL_VIEW.band_slopes(path_logits.shape[-1])).float().to(path_logits.device)
    slope, reached = crossings(position_m, valid, torch.tensor(SIGHT_RANGES_M, device=position_m.device))
    cell = slopes[0] - slopes[1]
    away = (slopes - slope[..., None]) / cell
    inside = reached & (slope <= slopes[0]) & (slope >= slopes[-1])
    bell = (-0.5 * away**2).softmax(-1)
    entropy = -(bell * path_logits.log_softmax(-1)).sum(-1)
    mean_error = ((path_logits.softmax(-1) * slopes).sum(-1) - slope).abs() / 0.1  # of 0.1 rad, as the plan reads it
    return mean(entropy + mean_error, inside)


def _in_units(error: Tensor, units: tuple[float, ...]) -> Tensor:
    """The mean error in its units, of which no sample counts more than ten."""
    return (error.abs() / torch.tensor(units, device=error.device)).clamp(max=10.0).mean(-1)


def loss_of(
    answer: Answer, targets: Targets, config: LossConfig, done: float = 1.0, mean: Mean = mean_of_valid
) -> dict[str, Tensor]:
    """The loss of each head by name, and `total`, their weighted sum.

    Args:
        done: the share of the run that is behind.
        mean: over what is valid; another one where other ranks hold other rows.
    """
    plan, choice = plan_losses(
        answer.position_m.float(),
        answer.log_scale.float(),
        answer.logits.float(),
        targets["position_m"],
        targets["valid"],
        config,
        done,
        mean,
    )
    action = mean(
        _laplace(answer.action - targets["action"], answer.action_log_scale).mean(-1), targets["action_valid"]
    )
    rates_error = answer.ego_rates - targets["ego_rates"]
    rates = mean(_laplace(rates_error, answer.ego_rates_log_scale).mean(-1), targets["ego_valid"])
    bend = bend_loss(answer.position_m.float(), targets["position_m"], targets["valid"], mean)
    sight = sight_loss(answer.path_logits.float(), targets["position_m"], targets["valid"], mean)
    # Assumed units: a bend of 100 m radius, 1 m/s2; 15 m/s forward and 0.1 rad/s of turning, the rates that matter.
    acting = _in_units(answer.action - targets["action"], (0.01, 1.0))
    moving = _in_units(rates_error[..., [0, 5]], (15.0, 0.1))
    motion = mean(acting, targets["action_valid"]) + mean(moving, targets["ego_valid"])
    weighted = (
        config.plan * plan,
        config.choice * choice,
        config.action * action,
        config.ego_rates * rates,
        config.bend * bend,
        config.motion * motion,
        config.sight * sight,
    )
    parts = {
        "plan": plan,
        "choice": choice,
        "action": action,
        "ego_rates": rates,
        "bend": bend,
        "motion": motion,
        "sight": sight,
    }
    return {"total": torch.stack(weighted).sum(), **parts}
