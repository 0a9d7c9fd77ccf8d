"""The optimiser: AdamW with warm-up and cosine decay, and a running average of the weights.

In: a policy. Out: an optimiser, the learning rate at each step, averaged weights.
Idea: matrices decay, biases and norms do not; the learning rate is a pure function of the step, so it needs no state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dojo.errors import ConfigError


@dataclass(frozen=True)
class OptimiseConfig:
    """How weights change.

    Args:
        learning_rate: at the top, after warm-up.
        final_share: of it that is left at the last step.
        warmup_steps: of linear rise.
        weight_decay: of matrices; AdamW, Loshchilov and Hutter 2019 (arXiv 1711.05101).
        betas: of Adam. Assumed: 0.98 instead of 0.999, because runs are short.
        clip_norm: largest norm of the gradient.
        average_decay: of the running average of weights, at most; early on (1 + step) / (10 + step). Assumed: 0.99, a
            window of 100 steps, for runs of some hundred; longer runs take a longer one.
    """

    learning_rate: float = 1e-3
    final_share: float = 0.02
    warmup_steps: int = 50
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 1.0
    average_decay: float = 0.99

    def __post_init__(self) -> None:
        rules = (
            ("learning_rate", 0 < self.learning_rate < 1, "between 0 and 1"),
            ("final_share", 0 <= self.final_share <= 1, "from 0 to 1"),
            ("warmup_steps", self.warmup_steps >= 0, "not negative"),
            ("weight_decay", self.weight_decay >= 0, "not negative"),
            ("betas", all(0 <= b < 1 for b in self.betas), "in [0, 1)"),
            ("clip_norm", self.clip_norm > 0, "positive"),
            ("average_decay", 0 <= self.average_decay < 1, "in [0, 1)"),
        )
        wrong = [f"{name} must be {rule}, got {getattr(self, name)}" for name, ok, rule in rules if not ok]
        if wrong:
            raise ConfigError("optimise: " + "; ".join(wrong))


def learning_rate(config: OptimiseConfig, step: int, steps: int) -> float:
    """The rate for step `step` (from 0) of `steps`: linear rise, then half a cosine."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    share = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.learning_rate * share


def optimiser_of(policy: nn.Module, config: OptimiseConfig) -> torch.optim.AdamW:
    """AdamW over two groups: what decays and what does not."""
    learned = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def averages_of(policy: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights to start the running average from."""
    return {name: parameter.detach().clone() for name, parameter in policy.named_parameters()}


@torch.no_grad()
def average_in(
    averages: dict[str, Tensor], parameters: Iterable[tuple[str, Tensor]], config: OptimiseConfig, step: int
) -> None:
    """Move the running average towards the weights after step `step`."""
    decay = min(config.average_decay, (1 + step) / (10 + step))
    names, values = zip(*parameters, strict=True)
    torch._foreach_lerp_([averages[name] for name in names], list(values), 1 - decay)
