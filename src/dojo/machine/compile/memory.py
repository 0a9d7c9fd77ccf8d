"""What a split keeps in each accelerator's memory, by category, at the fullest stage.

In: a model, splits. Out: bytes of weights, gradients, optimiser, activations and the head's work, for all of them.
Idea: the first stage of a pipeline holds the activations of as many micro-batches as there are stages, so it is the
fullest; where there is one stage, it holds the logits too. Nothing is estimated but what the framework itself takes.
Not here: what to do where it does not fit (`machine/plan/search.py`).
Source: Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", equations 2 to 6 and
section 4.2.3; Rajbhandari et al. 2020, "ZeRO", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.partition import Columns, Recompute
from dojo.machine.compile.transformer import Gpt, Software

Bytes = Float64[np.ndarray, " splits"]

FRAMEWORK_BYTES = 2.5e9
"""Assumed: context, communication buffers and fragments; about what an idle process of this kind shows."""
_WEIGHT_BYTES = 2
_OPTIMISER_BYTES = 12
"""A copy of the weight and two moments, 32 bits each: ZeRO, section 3.1."""


@dataclass(frozen=True)
class Memory:
    """Bytes in the memory of the fullest accelerator, by what they are."""

    weights: Bytes
    gradients: Bytes
    optimiser: Bytes
    activations: Bytes
    head: Bytes
    framework: Bytes

    @property
    def total(self) -> Bytes:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.head + self.framework

    def at(self, place: int) -> dict[str, float]:
        """The categories of one split, largest first."""
        parts = {name: float(value[place]) for name, value in vars(self).items()}
        return dict(sorted(parts.items(), key=lambda part: -part[1]))


def parameters_per_accelerator(model: Gpt, splits: Columns) -> Bytes:
    """How many numbers the fullest accelerator learns: its layers, and the embedding at the first stage."""
    block = model.attention_parameters + model.expert_parameters * model.experts / splits.expert
    return (block * model.layers / splits.pipeline + model.embedding_parameters) / splits.tensor


def memory(model: Gpt, software: Software, splits: Columns) -> Memory:
    """What each of the splits keeps."""
    parameters = parameters_per_accelerator(model, splits)

    def sharded(stage: int) -> Bytes:
        return parameters / np.where(splits.zero >= stage, splits.data, 1)

    tokens = splits.micro_batch * model.sequence
    # Logits in 16 bits, in 32 bits, and their gradient, on the stage that has both ends.
    logits = np.where(splits.pipeline == 1, 8.0 * tokens * model.vocabulary / splits.tensor, 0.0)
    return Memory(
        weights=_WEIGHT_BYTES * sharded(3),
        gradients=software.gradient_bytes * sharded(2),
        optimiser=_OPTIMISER_BYTES * sharded(1),
        activations=_activations(model, software, splits),
        head=logits,
        framework=np.full(len(parameters), FRAMEWORK_BYTES),
    )


def _activations(model: Gpt, software: Software, splits: Columns) -> Bytes:
    """Those kept for the backward pass: a block's, times the blocks whose backward pass is still to come."""
    row = float(model.hidden) * model.sequence * splits.micro_batch
    wide = 1 + (model.active_experts - 1) * 19 / 24  # The feed-forward's part of what is divided grows with experts.
    divided = np.where(splits.sequence_parallel == 1, 34.0 * wide / splits.tensor, 10 + 24.0 * wide / splits.tensor)
    scores = 0.0 if software.flash else 5.0 * model.heads * model.sequence / (model.hidden * splits.tensor)
    entering = np.where(splits.sequence_parallel == 1, 2.0 / splits.tensor, 2.0)
    kept = np.select(
        [splits.recompute == Recompute.FULL, splits.recompute == Recompute.SELECTIVE],
        [entering, divided],
        divided + scores,
    )
    layers = model.layers / splits.pipeline
    waiting = np.minimum(splits.pipeline, splits.micro_batches).astype(np.float64)
    deeper = (splits.pipeline - 1) / (splits.pipeline * splits.interleave)
    waiting = np.where(splits.interleave > 1, waiting * (1 + deeper), waiting)
    # A block that is computed again is whole while it is.
    again = np.where(splits.recompute == Recompute.FULL, row * (divided + scores), 0.0)
    return row * kept * layers * waiting + again


def capacity_bytes(machine: Machine) -> float:
    """What one accelerator has: its own memory, or its SRAM and its share of the memory that feeds it.

    Raises:
        ConfigError: no memory is known.
    """
    chip = machine.levels[machine.accelerator]
    if chip.memory is not None:
        return chip.memory.capacity_bytes
    shares = [
        level.memory.capacity_bytes / machine.count(machine.accelerator, name)
        for name, level in machine.levels.items()
        if level.memory is not None and machine.count(machine.accelerator, name)
    ]
    if chip.sram is None and not shares:
        raise ConfigError(f"machine {machine.name}: expected memory at its {machine.accelerator}s, found none")
    return (chip.sram.capacity_bytes if chip.sram is not None else 0.0) + (shares[0] if shares else 0.0)
