"""A training step as a graph of operators: what each computes, reads and writes, and what it waits for.

In: whoever knows the work: a capture of a PyTorch step, or formulae of a known model.
Out: `Graph`, the only thing that partitioning, placing and timing know about a model.
Idea: an operator is its shape, not its code. Flops and bytes follow from shapes alone, so neither weights nor a GPU are
needed, and a model of a trillion parameters is a few thousand records.
Not here: where the operators come from (`capture.py`), who computes which (`partition.py`), how long it takes
(`machine/simulate/`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dojo.errors import ConfigError

WEIGHT_GRADIENT = ", gradient of weight"
"""How the name of a product ends that sums over the samples: its result is as large as a weight, whatever the batch."""


class Kind(enum.StrEnum):
    """What limits an operator: arithmetic kinds have a matrix shape, the others move bytes."""

    MATMUL = "matmul"
    CONVOLUTION = "convolution"
    ATTENTION = "attention"
    ELEMENTWISE = "elementwise"
    REDUCTION = "reduction"
    NORMALISATION = "normalisation"
    COPY = "copy"
    LOOKUP = "lookup"
    OPTIMISER = "optimiser"
    UNKNOWN = "unknown"


class Phase(enum.StrEnum):
    """Which part of a training step."""

    FORWARD = "forward"
    BACKWARD = "backward"
    OPTIMISER = "optimiser"


@dataclass(frozen=True)
class Operator:
    """One operator of a step.

    Args:
        name: as its source calls it, for example `aten.mm`.
        flops: a multiplication and an addition count two.
        read_bytes, written_bytes: of its operands and results, each counted once.
        dtype: of its arithmetic: a name of `machine/numbers/formats.py` or torch's (`bfloat16`, `float32`).
        matrix: (batch, m, n, k) of the product that it computes, convolutions as the implicit product; empty for kinds
            that move bytes.
        weight_bytes: how many of `read_bytes` are parameters: the same for every sample of the batch.
        after: places in `Graph.operators` of those whose results it reads.
        weights: places in `Graph.weights` of those that it reads, or copies of them.
        belongs_to: place of the forward operator whose gradient it computes, or which it computes again; known of the
            backward pass as it was captured.
    """

    name: str
    kind: Kind
    phase: Phase
    flops: float
    read_bytes: float
    written_bytes: float
    dtype: str
    matrix: tuple[int, ...] = ()
    weight_bytes: float = 0.0
    after: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    belongs_to: int | None = None


@dataclass(frozen=True)
class Weight:
    """A tensor that is learned: its name in the model, and how many numbers it has."""

    name: str
    numbers: int


@dataclass(frozen=True)
class Graph:
    """A step's operators in an order in which they can run.

    Args:
        model: what was captured, for people.
        samples: how many one step takes.
        parameters: how many numbers it learns.
        operators: each after those that it waits for.
        weights: what it learns, one by one, where that is known.

    Raises:
        ConfigError: an operator waits for one that comes later.
    """

    model: str
    samples: int
    parameters: int
    operators: tuple[Operator, ...]
    weights: tuple[Weight, ...] = ()

    def __post_init__(self) -> None:
        late = [place for place, operator in enumerate(self.operators) if any(at >= place for at in operator.after)]
        if late:
            raise ConfigError(
                f"graph of {self.model}: expected operators after those that they wait for, got "
                f"{self.operators[late[0]].name} at place {late[0]} waiting for {self.operators[late[0]].after}"
            )

    @property
    def flops(self) -> float:
        """Of the whole step."""
        return sum(operator.flops for operator in self.operators)

    @property
    def unknown(self) -> tuple[Operator, ...]:
        """Operators that are counted by their bytes alone."""
        return tuple(operator for operator in self.operators if operator.kind is Kind.UNKNOWN)
