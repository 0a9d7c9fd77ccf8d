"""Training as it would be if weights, activations and gradients were stored in CFloat8 and summed in something wider.

In: a network, step by step. Out: the same steps with every operand of a product narrowed; what was clamped and what
vanished; a bias for each of the three classes.
Idea: what a machine with narrow memory stores are the operands of its products, so those are narrowed where they come
in: the weights for as long as a step lasts, the input of each layer that multiplies, the gradient that arrives at its
output, and the gradients of its weights. Sums stay wide, and so do the weights that the optimiser keeps. A bias is a
factor that is a power of two, so learning it changes no code: `x · 2^(b - 31)` is rounded in the format with bias 31.
The first step is watched and not narrowed, because a bias has to come from somewhere.
Not here: which bias loses least (`bias.py`), rounding (`tensor.py`), the loop of training, which knows this by a
protocol of its own (`dojo.train.numerics`).
Source: "A Guide to Tesla's Configurable Floating Point Formats & Arithmetic": biases by class of tensors, learnt during
training; arithmetic that expands to a wider format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from dojo.errors import ConfigError
from dojo.machine.numbers import tensor
from dojo.machine.numbers.bias import BIASES, EXPONENT_FIELDS, Make, best_bias
from dojo.machine.numbers.formats import cfloat8_1_4_3, cfloat8_1_5_2

CLASSES: Mapping[str, Make] = {"weights": cfloat8_1_4_3, "activations": cfloat8_1_4_3, "gradients": cfloat8_1_5_2}
"""The classes of tensors, each with its format: more places for what is used, more range for what is learned from."""

_REFERENCE_BIAS = 31
_SEEN, _CLAMPED, _VANISHED = EXPONENT_FIELDS, EXPONENT_FIELDS + 1, EXPONENT_FIELDS + 2
_FORMATS = tuple(make(_REFERENCE_BIAS) for make in CLASSES.values())


def narrowed(values: Float[Tensor, "*shape"], factor: Float32[Tensor, ""], kind: int) -> Float[Tensor, "*shape"]:
    """What is left of numbers stored in a class's format with bias 31 + log2(factor)."""
    return (tensor.quantise(values.float() * factor, _FORMATS[kind]) / factor).to(values.dtype)


@torch.library.custom_op(
    "dojo::narrow",
    mutates_args={"tally"},
    schema="(Tensor values, Tensor factor, Tensor(a!) tally, int kind, bool watch, bool store) -> Tensor",
)
def _narrow(values: Tensor, factor: Tensor, tally: Tensor, kind: int, watch: bool, store: bool) -> Tensor:
    """One step for torch.compile, which does not look inside."""
    kept = narrowed(values, factor, kind)
    if watch:
        tally += _tally(values, kept, factor, kind)
    return kept if store else values.clone()


@_narrow.register_fake
def _(values: Tensor, factor: Tensor, tally: Tensor, kind: int, watch: bool, store: bool) -> Tensor:
    return torch.empty_like(values)


def _tally(
    values: Float[Tensor, "*shape"], kept: Float[Tensor, "*shape"], factor: Float32[Tensor, ""], kind: int
) -> Int64[Tensor, "259"]:
    """How many numbers have each exponent field; how many there are, are clamped, and vanish."""
    exact = values.float().contiguous()
    fields = (exact.view(torch.int32) >> 23) & 0xFF
    counts = torch.bincount(fields.view(-1), minlength=EXPONENT_FIELDS)
    clamped = (exact.abs() * factor > _FORMATS[kind].largest).sum()
    vanished = ((kept == 0) & (exact != 0)).sum()
    return torch.cat([counts, torch.stack([torch.full_like(clamped, exact.numel()), clamped, vanished])])


class _Forward(torch.autograd.Function):
    """Narrow on the way forward; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, owner: Storage) -> Tensor:
        return owner.narrow(values, "activations")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Backward(torch.autograd.Function):
    """Narrow the gradient on the way back; values pass, copied, because what follows may change them in place."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, owner: Storage) -> Tensor:
        ctx.owner = owner
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.owner.narrow(gradients[0], "gradients"), None


class Storage:
    """The narrow memory of one run of training.

    Args:
        bias: for all three classes, throughout; None learns one for each.
        learn_every: steps between looks at what is stored; a look costs a pass over it.
        memory: share of what was counted that the next look still counts.

    Raises:
        ConfigError: no such bias.
    """

    def __init__(self, bias: int | None = None, learn_every: int = 10, memory: float = 0.5) -> None:
        if bias is not None and not 0 <= bias < BIASES:
            raise ConfigError(f"CFloat8: expected a bias of 0 to {BIASES - 1}, got {bias}")
        self._learns, self._learn_every, self._memory = bias is None, learn_every, memory
        start = _REFERENCE_BIAS if bias is None else bias
        self._biases = dict.fromkeys(CLASSES, start)
        self._shares = {f"{name}_{what}": 0.0 for name in CLASSES for what in ("clamped", "vanished")}
        self._steps = 0
        self._watching = self._storing = False
        self._weights: list[nn.Parameter] = []
        self._factors: dict[str, Tensor] = {}
        self._tallies: dict[str, Tensor] = {}

    def attach(self, policy: nn.Module) -> None:
        """Take hold of a network: every layer without parts of its own that has a matrix of weights."""
        device = next(policy.parameters()).device
        for name, bias in self._biases.items():
            self._factors[name] = torch.tensor(2.0 ** (bias - _REFERENCE_BIAS), device=device)
            self._tallies[name] = torch.zeros(_VANISHED + 1, dtype=torch.int64, device=device)
        self._weights = [weight for weight in policy.parameters() if weight.ndim >= 2]
        for layer in policy.modules():
            if not list(layer.children()) and any(weight.ndim >= 2 for weight in layer.parameters()):
                layer.register_forward_pre_hook(self._narrow_inputs)
                layer.register_forward_hook(self._narrow_gradient)

    @contextmanager
    def stored(self) -> Iterator[None]:
        """Around forward and backward of a step: weights, and their gradients after, are what storage leaves."""
        self._watching = self._steps % self._learn_every == 0
        self._storing = not self._learns or self._steps > 0
        wide = [weight.detach().clone() for weight in self._weights]
        self._replace([self.narrow(weight.detach(), "weights") for weight in self._weights])
        try:
            yield
        finally:
            self._replace(wide)
            for weight in self._weights:
                if weight.grad is not None:
                    # In place: an optimiser in one kernel takes a gradient to lie in memory as its weight does.
                    weight.grad.copy_(self.narrow(weight.grad, "gradients"))
            if self._watching:
                self._learn()
            self._watching = self._storing = False
            self._steps += 1

    def narrow(self, values: Float[Tensor, "*shape"], name: str) -> Float[Tensor, "*shape"]:
        """What is left of numbers of a class once they have been stored; the numbers themselves outside of a step."""
        if not (self._storing or self._watching):
            return values
        kind = list(CLASSES).index(name)
        kept: Tensor = _narrow(values, self._factors[name], self._tallies[name], kind, self._watching, self._storing)
        return kept

    def figures(self) -> dict[str, float]:
        """Bias of each class, and the shares that were clamped and that vanished at the last look."""
        biases = {f"{name}_bias": float(bias) for name, bias in self._biases.items()}
        return biases | self._shares

    def state(self) -> dict[str, Any]:
        """All that a checkpoint must hold, as plain values."""
        return {
            "steps": self._steps,
            "biases": dict(self._biases),
            "shares": dict(self._shares),
            "tallies": {name: tally.tolist() for name, tally in self._tallies.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._steps, self._shares = state["steps"], dict(state["shares"])
        for name, tally in self._tallies.items():
            self._set_bias(name, state["biases"][name])
            tally.copy_(torch.tensor(state["tallies"][name]))

    def _narrow_inputs(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Bytes, which are narrow already, pass."""
        if not (self._storing or self._watching):
            return inputs
        return tuple(self._narrow_input(value) for value in inputs)

    def _narrow_input(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return _Forward.apply(value, self)  # type: ignore[no-untyped-call]
        return value

    def _narrow_gradient(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if not (self._storing or self._watching):
            return output
        passed: Tensor = _Backward.apply(output, self)  # type: ignore[no-untyped-call]
        return passed

    @torch.no_grad()
    def _replace(self, values: list[Tensor]) -> None:
        for weight, value in zip(self._weights, values, strict=True):
            weight.copy_(value)

    def _set_bias(self, name: str, bias: int) -> None:
        self._biases[name] = bias
        self._factors[name].fill_(2.0 ** (bias - _REFERENCE_BIAS))

    def _learn(self) -> None:
        """Choose the biases by what was counted, and forget a part of it."""
        for name, make in CLASSES.items():
            found = self._tallies[name].cpu().numpy()
            seen = max(int(found[_SEEN]), 1)
            self._shares[f"{name}_clamped"] = int(found[_CLAMPED]) / seen
            self._shares[f"{name}_vanished"] = int(found[_VANISHED]) / seen
            chosen = best_bias(found[:EXPONENT_FIELDS], make) if self._learns else None
            if chosen is not None:
                self._set_bias(name, chosen)
            kept = np.zeros_like(found)
            kept[:EXPONENT_FIELDS] = (found[:EXPONENT_FIELDS] * self._memory).astype(np.int64)
            self._tallies[name].copy_(torch.from_numpy(kept))
