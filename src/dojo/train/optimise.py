"""The optimiser: AdamW, for kernels Muon if asked, with warm-up and cosine decay, and a running average of the weights.

In: the parameters of a policy. Out: an optimiser, the learning rate at each step, averaged weights.
Idea: matrices decay, biases and norms do not; the learning rate is a pure function of the step, so it needs no state.
The gradient of a convolution is nearly of low rank: a few directions of its kernel take all of a step, and the many
others learn slowly. Muon takes the step in all directions alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
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
        muon: kernels of convolutions are moved by Muon, at the same rate, everything else by AdamW. Measured: the tiny
            policy's lateral error at 3 s after 1,500 steps was 0.50 m with it, 0.58 m without, in steps 1.15 times as
            long; but driving, with a round on policy, it changed lanes 3 to 9 times of 20 in seven runs with it, 11 to
            16 times in seven without.
    """

    learning_rate: float = 1e-3
    final_share: float = 0.02
    warmup_steps: int = 50
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 1.0
    average_decay: float = 0.99
    muon: bool = False

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


def optimiser_of(parameters: Iterable[Tensor], config: OptimiseConfig) -> torch.optim.AdamW:
    """AdamW over two groups, what decays and what does not; and Muon over kernels, which decay too, if asked."""
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    kernels = [p for p in learned if p.ndim == 4] if config.muon else []
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learned if p.ndim >= 2 and not (kernels and p.ndim == 4)]},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    settings: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
        "fused": True,
    }
    if not kernels:
        return torch.optim.AdamW(groups, **settings)
    return Muon([*groups, {"params": kernels, "muon": True}], **settings)


MUON_MOMENTUM = 0.95
"""Of the running mean of gradients that is made orthogonal. Source: Jordan et al. 2024, as `_orthogonal`."""


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `muon` set take Muon's step instead: the momentum, made orthogonal.

    The step has the size that AdamW's has on average, 0.2 at each weight, so that one rate serves both.
    Source: Liu et al. 2025 (arXiv 2502.16982), equation 4.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both; a closure is not called, since nobody here has one."""
        kernels = [(group, p) for group in self.param_groups if group.get("muon") for p in group["params"]]
        moving = [(group, p, p.grad) for group, p in kernels if p.grad is not None]
        for group, kernel, gradient in moving:
            self._move(kernel, gradient, group["lr"], group["weight_decay"])
            kernel.grad = None
        super().step()
        for _, kernel, gradient in moving:
            kernel.grad = gradient
        return None

    def _move(self, kernel: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[kernel]
        if not state:  # named as AdamW's, which reads them when a state is loaded
            state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(kernel)}
        state["step"] += 1
        mean = state["exp_avg"].lerp_(gradient, 1 - MUON_MOMENTUM)
        # As a matrix, a row for each output, in the order in which kernels lie in memory; Nesterov's look ahead.
        ahead = gradient.lerp(mean, MUON_MOMENTUM).permute(0, 2, 3, 1)
        moved = _orthogonal(ahead.flatten(1)).view(ahead.shape).permute(0, 3, 1, 2)
        size = 0.2 * math.sqrt(max(kernel.shape[0], kernel[0].numel()))
        kernel.mul_(1 - rate * decay).add_(moved.to(kernel.dtype), alpha=-rate * size)


def _orthogonal(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """The matrix with all its singular values near one, between 0.7 and 1.2.

    Source: Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks: five steps of a quintic in the
    manner of Newton and Schulz, whose coefficients raise small singular values the fastest.
    """
    x = matrix.to(_product_type(matrix.device.type))
    wide = x.mT if x.shape[0] > x.shape[1] else x
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = wide @ wide.mT
        change = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        wide = torch.addmm(wide, change, wide, beta=3.4445)
    return wide.mT if x.shape[0] > x.shape[1] else wide


@cache
def _product_type(device: str) -> torch.dtype:
    """What products are quick in; sixteen bits are enough, since the result only has to be near."""
    quick = device == "cuda" or torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.bfloat16 if quick else torch.float32


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
