"""The work of GPT training by formula: operators of one accelerator's share of a block, and of both ends of the model.

In: a model's shape, how the software computes it, how many accelerators share a product. Out: `Graph`s.
Idea: all blocks are alike, so one block and the head are the whole model. What is written here is what a capture of
the same block finds (the tests hold the two together), but for any size at once and without building anything.
Not here: capture (`capture.py`), how many blocks an accelerator has (`partition.py`), what they take
(`machine/simulate/`).
Source: Narayanan et al. 2021, "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM"
(flops); Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models" (what is kept, and
what sequence parallelism divides).
"""

from __future__ import annotations

from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.compile.graph import Graph, Kind, Operator, Phase

_HALF = 2
"""Bytes of an activation or a weight in sixteen bits."""


@dataclass(frozen=True)
class Gpt:
    """The shape of a decoder-only transformer with learned positions and an output tied to its input embedding.

    Args:
        experts: feed-forward networks of each block; with more than one, each token goes through `active_experts`.

    Raises:
        ConfigError: heads do not divide the hidden size, or a number is not positive.
    """

    name: str
    hidden: int
    heads: int
    layers: int
    sequence: int
    vocabulary: int
    experts: int = 1
    active_experts: int = 1

    def __post_init__(self) -> None:
        numbers = (self.hidden, self.heads, self.layers, self.sequence, self.vocabulary, self.experts)
        if min(numbers) < 1 or self.hidden % self.heads or not 1 <= self.active_experts <= self.experts:
            raise ConfigError(
                f"model {self.name}: expected positive sizes, heads that divide the hidden size and no more active "
                f"experts than there are, got hidden {self.hidden}, heads {self.heads}, layers {self.layers}, sequence "
                f"{self.sequence}, vocabulary {self.vocabulary}, {self.active_experts} of {self.experts} experts"
            )

    @property
    def attention_parameters(self) -> int:
        """Of one block, with both norms."""
        return 4 * self.hidden**2 + 9 * self.hidden

    @property
    def expert_parameters(self) -> int:
        """Of one feed-forward network."""
        return 8 * self.hidden**2 + 5 * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """Of the embedding of words, which is the output layer too."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All numbers that it learns."""
        block = self.attention_parameters + self.experts * self.expert_parameters
        return self.layers * block + self.embedding_parameters + (self.sequence + 2) * self.hidden

    def flops(self, batch: int) -> float:
        """Of one step that recomputes nothing: the numerator of model flops utilisation.

        Source: Narayanan et al. 2021, equation 3, with three passes instead of four.
        """
        tokens = batch * self.sequence
        block = 8 * self.hidden**2 + 16 * self.active_experts * self.hidden**2 + 4 * self.sequence * self.hidden
        return 3.0 * tokens * (self.layers * block + 2 * self.hidden * self.vocabulary)


@dataclass(frozen=True)
class Software:
    """How the training software computes and what it hides behind what.

    Args:
        dtype: of activations and weights.
        matmul_dtype: of the operands of products with weights; casting to it is work of its own.
        flash: attention in one kernel that never writes scores and skips what the causal mask hides.
        gradient_bytes: of one gradient as it is summed over replicas.
        overlap_data: gradients are reduced during the last backward pass, weights gathered during the first forward.
        overlap_pipeline: a stage computes while it sends.
    """

    dtype: str = "bfloat16"
    matmul_dtype: str = ""
    flash: bool = True
    gradient_bytes: int = 4
    overlap_data: bool = True
    overlap_pipeline: bool = True

    @property
    def casts(self) -> bool:
        """Whether operands are cast for products."""
        return self.matmul_dtype not in ("", self.dtype)


class _Tape:
    """Operators in the order in which they run, each after the one before."""

    def __init__(self, software: Software) -> None:
        self.software = software
        self.operators: list[Operator] = []

    def _add(self, operator: Operator) -> None:
        self.operators.append(operator)

    def product(self, name: str, phase: Phase, batch: int, m: int, n: int, k: int, weight: bool = True) -> None:
        """A matrix product; with a weight it may run in a narrower format."""
        dtype = (self.software.matmul_dtype if weight else "") or self.software.dtype
        size = 1 if self.software.casts and weight else _HALF
        self._add(
            Operator(
                name=name,
                kind=Kind.MATMUL,
                phase=phase,
                flops=2.0 * batch * m * n * k,
                read_bytes=float(size * batch * (m * k + k * n)),
                written_bytes=float(_HALF * batch * m * n),
                dtype=dtype,
                matrix=(batch, m, n, k),
                weight_bytes=float(size * k * n) if weight and phase is Phase.FORWARD else 0.0,
                after=(len(self.operators) - 1,) if self.operators else (),
            )
        )

    def move(self, name: str, phase: Phase, read_bytes: float, written_bytes: float, kind: Kind) -> None:
        """An operator that is as long as its bytes."""
        self._add(
            Operator(
                name=name,
                kind=kind,
                phase=phase,
                flops=read_bytes / _HALF,
                read_bytes=read_bytes,
                written_bytes=written_bytes,
                dtype=self.software.dtype,
                after=(len(self.operators) - 1,) if self.operators else (),
            )
        )

    def flash(self, phase: Phase, batch: int, sequence: int, width: int) -> None:
        """Attention as one kernel, half of it hidden by the mask; backward does two and a half times as much.

        Source: Dao 2023, "FlashAttention-2", section 4.1.
        """
        flops = 2.0 * batch * sequence**2 * width * (1.0 if phase is Phase.FORWARD else 2.5)
        rows = float(_HALF * batch * sequence * width)
        self._add(
            Operator(
                name="attention",
                kind=Kind.ATTENTION,
                phase=phase,
                flops=flops,
                read_bytes=rows * (3 if phase is Phase.FORWARD else 5),
                written_bytes=rows * (1 if phase is Phase.FORWARD else 3),
                dtype=self.software.dtype,
                matrix=(batch, sequence, sequence, width),
                after=(len(self.operators) - 1,) if self.operators else (),
            )
        )


def block(
    model: Gpt, software: Software, *, tensor: int = 1, micro_batch: int = 1, sequence_parallel: bool = False
) -> Graph:
    """One accelerator's share of one block's forward and backward pass over a micro-batch."""
    tape = _Tape(software)
    _attention_forward(tape, model, tensor, micro_batch, sequence_parallel)
    _feed_forward(tape, model, tensor, micro_batch, sequence_parallel)
    _feed_backward(tape, model, tensor, micro_batch, sequence_parallel)
    _attention_backward(tape, model, tensor, micro_batch, sequence_parallel)
    parameters = (model.attention_parameters + model.experts * model.expert_parameters) // tensor
    return Graph(f"a block of {model.name}", micro_batch, parameters, tuple(tape.operators))


def _rows(model: Gpt, micro_batch: int, tensor: int, sequence_parallel: bool) -> tuple[int, float, float]:
    """Tokens; bytes of a hidden state where it is whole; bytes of it where sequence parallelism divides it."""
    tokens = micro_batch * model.sequence
    whole = float(_HALF * tokens * model.hidden)
    return tokens, whole, whole / tensor if sequence_parallel else whole


def _cast(tape: _Tape, phase: Phase, numbers: int) -> None:
    if tape.software.casts:  # Read in sixteen bits, written twice in eight: as it is, and transposed for the gradient.
        tape.move("cast", phase, float(_HALF * numbers), 2.0 * numbers, Kind.COPY)


def _attention_forward(tape: _Tape, model: Gpt, tensor: int, micro_batch: int, sequence_parallel: bool) -> None:
    tokens, whole, own = _rows(model, micro_batch, tensor, sequence_parallel)
    share, heads, width = model.hidden // tensor, max(1, model.heads // tensor), model.hidden // model.heads
    tape.move("norm", Phase.FORWARD, own, own, Kind.NORMALISATION)
    _cast(tape, Phase.FORWARD, tokens * model.hidden)
    tape.product("queries, keys, values", Phase.FORWARD, 1, tokens, 3 * share, model.hidden)
    if tape.software.flash:
        tape.flash(Phase.FORWARD, micro_batch * heads, model.sequence, width)
    else:
        scores = float(_HALF * micro_batch * heads * model.sequence**2)
        tape.product("scores", Phase.FORWARD, micro_batch * heads, model.sequence, model.sequence, width, weight=False)
        tape.move("masked softmax", Phase.FORWARD, scores, scores, Kind.REDUCTION)
        tape.move("dropout of scores", Phase.FORWARD, scores, 1.5 * scores, Kind.ELEMENTWISE)
        tape.product("context", Phase.FORWARD, micro_batch * heads, model.sequence, width, model.sequence, weight=False)
        tape.move("heads side by side", Phase.FORWARD, whole / tensor, whole / tensor, Kind.COPY)
    _cast(tape, Phase.FORWARD, tokens * share)
    tape.product("projection", Phase.FORWARD, 1, tokens, model.hidden, share)
    tape.move("bias, dropout, residual", Phase.FORWARD, 2 * own, 1.5 * own, Kind.ELEMENTWISE)


def _feed_forward(tape: _Tape, model: Gpt, tensor: int, micro_batch: int, sequence_parallel: bool) -> None:
    tokens, whole, own = _rows(model, micro_batch, tensor, sequence_parallel)
    routed, inner = tokens * model.active_experts, 4 * model.hidden // tensor
    tape.move("norm", Phase.FORWARD, own, own, Kind.NORMALISATION)
    if model.experts > 1:
        tape.move("tokens to experts", Phase.FORWARD, whole, whole * model.active_experts, Kind.LOOKUP)
    _cast(tape, Phase.FORWARD, routed * model.hidden)
    tape.product("widen", Phase.FORWARD, 1, routed, inner, model.hidden)
    wide = float(_HALF * routed * inner)
    tape.move("bias, GELU", Phase.FORWARD, wide, wide, Kind.ELEMENTWISE)
    _cast(tape, Phase.FORWARD, routed * inner)
    tape.product("narrow", Phase.FORWARD, 1, routed, model.hidden, inner)
    tape.move("bias, dropout, residual", Phase.FORWARD, 2 * own, 1.5 * own, Kind.ELEMENTWISE)


def _product_backward(tape: _Tape, name: str, m: int, n: int, k: int) -> None:
    """The two products that give the gradients of the input and of the weight of an (m, k) by (k, n) product."""
    _cast(tape, Phase.BACKWARD, m * n)
    tape.product(f"{name}, gradient of input", Phase.BACKWARD, 1, m, k, n)
    tape.product(f"{name}, gradient of weight", Phase.BACKWARD, 1, k, n, m)


def _feed_backward(tape: _Tape, model: Gpt, tensor: int, micro_batch: int, sequence_parallel: bool) -> None:
    tokens, _, own = _rows(model, micro_batch, tensor, sequence_parallel)
    routed, inner = tokens * model.active_experts, 4 * model.hidden // tensor
    wide = float(_HALF * routed * inner)
    tape.move("dropout", Phase.BACKWARD, 1.5 * own, own, Kind.ELEMENTWISE)
    _product_backward(tape, "narrow", routed, model.hidden, inner)
    tape.move("GELU", Phase.BACKWARD, 2 * wide, wide, Kind.ELEMENTWISE)
    _product_backward(tape, "widen", routed, inner, model.hidden)
    tape.move("norm", Phase.BACKWARD, 2 * own, own, Kind.NORMALISATION)
    tape.move("residual", Phase.BACKWARD, 2 * own, own, Kind.ELEMENTWISE)


def _attention_backward(tape: _Tape, model: Gpt, tensor: int, micro_batch: int, sequence_parallel: bool) -> None:
    tokens, whole, own = _rows(model, micro_batch, tensor, sequence_parallel)
    share, heads, width = model.hidden // tensor, max(1, model.heads // tensor), model.hidden // model.heads
    batch, length = micro_batch * heads, model.sequence
    tape.move("dropout", Phase.BACKWARD, 1.5 * own, own, Kind.ELEMENTWISE)
    _product_backward(tape, "projection", tokens, model.hidden, share)
    if tape.software.flash:
        tape.flash(Phase.BACKWARD, batch, length, width)
    else:
        scores = float(_HALF * batch * length**2)
        tape.move("heads apart", Phase.BACKWARD, whole / tensor, whole / tensor, Kind.COPY)
        tape.product("context, gradient of scores", Phase.BACKWARD, batch, length, length, width, weight=False)
        tape.product("context, gradient of values", Phase.BACKWARD, batch, length, width, length, weight=False)
        tape.move("dropout of scores", Phase.BACKWARD, 1.5 * scores, scores, Kind.ELEMENTWISE)
        tape.move("masked softmax", Phase.BACKWARD, 2 * scores, scores, Kind.REDUCTION)
        tape.product("scores, gradient of queries", Phase.BACKWARD, batch, length, width, length, weight=False)
        tape.product("scores, gradient of keys", Phase.BACKWARD, batch, length, width, length, weight=False)
        tape.move("gradients side by side", Phase.BACKWARD, 3 * whole / tensor, 3 * whole / tensor, Kind.COPY)
    _product_backward(tape, "queries, keys, values", tokens, 3 * share, model.hidden)
    tape.move("norm", Phase.BACKWARD, 2 * own, own, Kind.NORMALISATION)
    tape.move("residual", Phase.BACKWARD, 2 * own, own, Kind.ELEMENTWISE)


def head(model: Gpt, software: Software, *, tensor: int = 1, micro_batch: int = 1) -> Graph:
    """One accelerator's share of the output layer and its loss, forward and backward, and of the embedding.

    The loss is computed in 32 bits over a vocabulary that tensor parallelism divides, operator by operator: maximum,
    difference, exponential, sum, quotient, then back.
    """
    tokens, whole, _ = _rows(model, micro_batch, tensor, sequence_parallel=False)
    words = -(-model.vocabulary // tensor)
    logits = float(tokens * words)
    tape = _Tape(Software(dtype=software.dtype))
    tape.move("embedding", Phase.FORWARD, whole, 2 * whole, Kind.LOOKUP)
    tape.move("last norm", Phase.FORWARD, whole, whole, Kind.NORMALISATION)
    tape.product("logits", Phase.FORWARD, 1, tokens, words, model.hidden)
    tape.move("logits in 32 bits", Phase.FORWARD, 2 * logits, 4 * logits, Kind.COPY)
    tape.move("maximum", Phase.FORWARD, 4 * logits, 0.0, Kind.REDUCTION)
    tape.move("less the maximum", Phase.FORWARD, 4 * logits, 4 * logits, Kind.ELEMENTWISE)
    tape.move("exponential", Phase.FORWARD, 4 * logits, 4 * logits, Kind.ELEMENTWISE)
    tape.move("sum", Phase.FORWARD, 4 * logits, 0.0, Kind.REDUCTION)
    tape.move("softmax", Phase.FORWARD, 4 * logits, 4 * logits, Kind.ELEMENTWISE)
    tape.move("times the loss's gradient", Phase.BACKWARD, 4 * logits, 4 * logits, Kind.ELEMENTWISE)
    tape.move("gradient in 16 bits", Phase.BACKWARD, 4 * logits, 2 * logits, Kind.COPY)
    _product_backward(tape, "logits", tokens, words, model.hidden)
    tape.move("last norm", Phase.BACKWARD, 2 * whole, whole, Kind.NORMALISATION)
    tape.move("embedding", Phase.BACKWARD, whole, whole, Kind.LOOKUP)
    return Graph(f"the ends of {model.name}", micro_batch, model.embedding_parameters // tensor, tuple(tape.operators))
