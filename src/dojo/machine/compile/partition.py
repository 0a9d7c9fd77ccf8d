"""Who computes what: a step divided over accelerators by data, tensor, sequence, pipeline and expert.

In: a model, a batch, so many accelerators. Out: `Split`s, each legal or refused with every reason.
Idea: a split is seven small numbers and two choices. Ranks are numbered tensor first, then data, then pipeline:
tensor groups lie inside a server and stages far apart. `Columns` holds many splits at once, one array for each field,
so that a search takes one pass.
Not here: whether it fits into memory (`memory.py`), how long it takes (`machine/simulate/step.py`).
Source: Narayanan et al. 2021 (pipeline and tensor parallelism, interleaving); Rajbhandari et al. 2020, "ZeRO"
(stages of sharding); Korthikanti et al. 2022 (sequence parallelism, selective recomputation).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Int64

from dojo.errors import ConfigError
from dojo.machine.compile.transformer import Gpt


class Recompute(enum.IntEnum):
    """Which activations are thrown away after the forward pass and computed again."""

    NONE = 0
    SELECTIVE = 1
    """Those of attention's core: large, and quick to make again."""
    FULL = 2
    """All but what enters each block."""


@dataclass(frozen=True)
class Split:
    """How a step is divided.

    Args:
        tensor, pipeline, data: over how many accelerators products, layers and samples are divided.
        expert: over how many of the data-parallel replicas the experts are divided.
        micro_batch: samples that go through a stage together.
        interleave: pieces of consecutive layers that each stage has.
        sequence_parallel: whether what tensor parallelism leaves whole is divided along the sequence.
        zero: 0 nothing is sharded over replicas, 1 the optimiser's state, 2 gradients too, 3 weights too.
        recompute: which activations are computed again.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    micro_batch: int = 1
    interleave: int = 1
    sequence_parallel: bool = False
    zero: int = 0
    recompute: Recompute = Recompute.NONE

    @property
    def accelerators(self) -> int:
        """How many it needs."""
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        said = f"tensor {self.tensor} x pipeline {self.pipeline} x data {self.data}, micro-batch {self.micro_batch}"
        said += f", experts over {self.expert}" if self.expert > 1 else ""
        said += f", {self.interleave} pieces a stage" if self.interleave > 1 else ""
        said += ", sequence parallel" if self.sequence_parallel else ""
        said += f", ZeRO-{self.zero}" if self.zero else ""
        return said + f", {self.recompute.name.lower()} recomputation"


def faults(model: Gpt, split: Split, batch: int, accelerators: int | None = None) -> list[str]:
    """Every reason for which a split of a batch is not legal."""
    found = []
    if accelerators is not None and split.accelerators != accelerators:
        found.append(f"expected tensor x pipeline x data = {accelerators}, got {split.accelerators}")
    for name in ("tensor", "pipeline", "data", "expert", "micro_batch", "interleave"):
        if getattr(split, name) < 1:
            found.append(f"{name}: expected 1 or more, got {getattr(split, name)}")
    if found:
        return found
    if model.heads % split.tensor or model.hidden % split.tensor:
        found.append(f"tensor: expected a divisor of {model.heads} heads, got {split.tensor}")
    if model.layers % (split.pipeline * split.interleave):
        found.append(
            f"pipeline x interleave: expected a divisor of {model.layers} layers, got "
            f"{split.pipeline} x {split.interleave}"
        )
    if batch % (split.data * split.micro_batch):
        found.append(
            f"data x micro_batch: expected a divisor of the batch {batch}, got {split.data} x {split.micro_batch}"
        )
    elif split.interleave > 1 and (split.pipeline == 1 or batch // (split.data * split.micro_batch) % split.pipeline):
        found.append(
            "interleave: expected a pipeline, and micro-batches in multiples of its stages, got "
            f"{batch // (split.data * split.micro_batch)} micro-batches for {split.pipeline} stages"
        )
    if split.sequence_parallel and (split.tensor == 1 or model.sequence % split.tensor):
        found.append(f"sequence_parallel: expected tensor > 1, a divisor of {model.sequence}, got {split.tensor}")
    if split.zero not in range(4):
        found.append(f"zero: expected 0, 1, 2 or 3, got {split.zero}")
    elif split.zero >= 2 and split.pipeline > 1:
        found.append("zero: expected 0 or 1 with a pipeline, which would gather and scatter for each micro-batch")
    elif split.zero and split.data == 1:
        found.append("zero: expected more than one replica to shard over")
    if model.experts % split.expert or split.data % split.expert:
        found.append(
            f"expert: expected a divisor of {model.experts} experts and {split.data} replicas, got {split.expert}"
        )
    return found


def legal_splits(
    model: Gpt,
    batch: int,
    accelerators: int,
    *,
    widest_tensor: int,
    widest_micro_batch: int = 16,
    recomputes: Sequence[Recompute] = tuple(Recompute),
) -> list[Split]:
    """Every legal split; tensor parallelism no wider than the fast network reaches."""
    found = []
    for tensor in _divisors(accelerators, widest_tensor):
        for pipeline in _divisors(accelerators // tensor, model.layers):
            data = accelerators // tensor // pipeline
            if model.heads % tensor or model.layers % pipeline or batch % data:
                continue
            for part in _parts(model, batch // data, tensor, pipeline, data, widest_micro_batch):
                found += [
                    Split(tensor, pipeline, data, *part, sequence, zero, recompute)
                    for sequence in ((False, True) if tensor > 1 and model.sequence % tensor == 0 else (False,))
                    for zero in ((0,) if data == 1 else (0, 1) if pipeline > 1 else (0, 1, 2, 3))
                    for recompute in recomputes
                ]
    return found


def _parts(model: Gpt, samples: int, tensor: int, pipeline: int, data: int, widest: int) -> list[tuple[int, int, int]]:
    """What is left to choose: experts, micro-batch, pieces of a stage."""
    parts = []
    for expert in [n for n in _divisors(model.experts, data) if data % n == 0]:
        for micro_batch in _divisors(samples, widest):
            rounds = samples // micro_batch
            pieces = (
                _divisors(model.layers // pipeline, model.layers) if pipeline > 1 and rounds % pipeline == 0 else [1]
            )
            parts += [(expert, micro_batch, interleave) for interleave in pieces]
    return parts


def _divisors(number: int, largest: int) -> list[int]:
    return [n for n in range(1, min(number, largest) + 1) if number % n == 0]


Numbers = Int64[np.ndarray, " splits"]


@dataclass(frozen=True)
class Columns:
    """Many splits of a batch at once."""

    batch: Numbers
    tensor: Numbers
    pipeline: Numbers
    data: Numbers
    expert: Numbers
    micro_batch: Numbers
    interleave: Numbers
    sequence_parallel: Numbers
    zero: Numbers
    recompute: Numbers

    @property
    def micro_batches(self) -> Numbers:
        """How many go through each pipeline in a step."""
        return self.batch // (self.data * self.micro_batch)


def columns(splits: Sequence[Split], batch: int | Sequence[int]) -> Columns:
    """Splits as columns; of one batch, or each of its own.

    Raises:
        ConfigError: there is none.
    """
    if not splits:
        raise ConfigError("splits: expected one or more, got none")
    table = np.array(
        [
            [
                s.tensor,
                s.pipeline,
                s.data,
                s.expert,
                s.micro_batch,
                s.interleave,
                s.sequence_parallel,
                s.zero,
                s.recompute,
            ]
            for s in splits
        ],
        dtype=np.int64,
    )
    names = [field.name for field in fields(Columns)][1:]
    batches = np.broadcast_to(np.asarray(batch, dtype=np.int64), (len(splits),)).copy()
    return Columns(batch=batches, **{name: table[:, place].copy() for place, name in enumerate(names)})
