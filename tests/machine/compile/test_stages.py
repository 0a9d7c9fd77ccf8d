"""A captured step cut into pieces: who computes what, and what travels."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.capture import capture
from dojo.machine.compile.fuse import fuse
from dojo.machine.compile.graph import Graph, Kind, Operator, Phase
from dojo.machine.compile.models import gpt_step
from dojo.machine.compile.place import activation_bytes
from dojo.machine.compile.stages import UPDATE, Line, Pieces
from dojo.machine.compile.transformer import Gpt

SHAPE = Gpt("small", hidden=64, heads=4, layers=4, sequence=32, vocabulary=256)
STATE_BYTES = 2.0 * 3 * SHAPE.sequence * SHAPE.hidden  # Of three samples, in bfloat16.


@cache
def gpt() -> Line:
    return Line(gpt_step(SHAPE, 3))


def block_starts(line: Line) -> list[int]:
    """Where each block but the first begins."""
    names = [weight.name for weight in line.graph.weights]
    firsts = [names.index(f"blocks.{at}.attention_norm.weight") for at in range(1, SHAPE.layers)]
    return [next(at for at, one in enumerate(line.graph.operators) if first in one.weights) for first in firsts]


def test_between_blocks_one_hidden_state_goes_on_and_its_gradient_comes_back() -> None:
    found = gpt().cut(block_starts(gpt()))
    assert found.onwards_bytes == found.back_bytes == (STATE_BYTES,) * 3
    assert set(block_starts(gpt())) <= set(gpt().candidates.tolist())
    within = block_starts(gpt())[0] + 1  # Behind a normalisation: what it made, and what goes past it.
    assert gpt().onwards_bytes[within] > 2 * STATE_BYTES
    assert within not in gpt().candidates


def test_blocks_that_are_alike_make_pieces_that_are_alike() -> None:
    found = gpt().cut(block_starts(gpt()))
    each = list(zip(found.graph.operators, found.piece, strict=True))
    second, third = ([(one.name, one.flops) for one, at in each if at == piece] for piece in (1, 2))
    assert second == third
    assert found.kept_bytes[1] == found.kept_bytes[2] > STATE_BYTES


def test_an_embedding_that_is_also_the_output_lies_at_both_ends() -> None:
    found = gpt().cut(block_starts(gpt()))
    words = [weight.name for weight in gpt().graph.weights].index("words.weight")
    assert [words in held for held in found.weights] == [True, False, False, True]
    numbers = [sum(gpt().graph.weights[at].numbers for at in held) for held in found.weights]
    assert sum(numbers) == gpt().graph.parameters + gpt().graph.weights[words].numbers


def test_one_piece_is_the_whole_step_as_it_was() -> None:
    found = gpt().cut([])
    assert found.graph == fuse(gpt().graph)
    assert found.kept_bytes == pytest.approx((activation_bytes(found.graph),))
    assert (found.onwards_bytes, found.back_bytes) == ((), ())
    assert found.weights == (frozenset(range(len(gpt().graph.weights))),)


def moved(graph: Graph) -> float:
    return sum(one.read_bytes + one.written_bytes for one in graph.operators)


def is_in_order(found: Pieces) -> bool:
    """Whether nothing waits for a later piece's forward pass, nor for an earlier piece's backward pass."""
    pairs = [
        (one, piece, found.graph.operators[at], found.piece[at])
        for one, piece in zip(found.graph.operators, found.piece, strict=True)
        for at in one.after
        if piece != UPDATE
    ]
    onwards = all(before <= piece for _, piece, source, before in pairs if source.phase is Phase.FORWARD)
    back = all(
        before >= piece
        for _, piece, source, before in pairs
        if source.phase is Phase.BACKWARD and "gradient of weight" not in source.name
    )
    return onwards and back


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_pieces_together_are_the_whole(resnet: Batches, data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([gpt(), Line(resnet.few)]))
    cuts = sorted(data.draw(st.sets(st.integers(1, line.length - 1), max_size=6)))
    found = line.cut(cuts)
    assert found.graph.flops == pytest.approx(line.graph.flops)
    # A kernel that a cut goes through is two, which hand over what one would have kept to itself.
    assert moved(fuse(line.graph)) - 1 <= moved(found.graph) <= moved(line.graph) + 1
    assert {at for at in found.piece if at != UPDATE} <= set(range(len(cuts) + 1))
    assert [at == UPDATE for at in found.piece] == [one.phase is Phase.OPTIMISER for one in found.graph.operators]
    assert is_in_order(found)
    assert frozenset().union(*found.weights) == frozenset(range(len(line.graph.weights)))


class Again(nn.Module):
    """Two layers, the first computed again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(checkpoint(lambda at: self.first(at).sin(), x, use_reentrant=False))


def test_what_is_computed_again_is_so_where_it_was_computed() -> None:
    def loss(model: Any) -> Tensor:
        return model(torch.ones(4, 8, requires_grad=True)).sum()

    line = Line(capture("again", Again(), loss, 4))
    second = [at for at, one in enumerate(line.graph.operators) if one.name == "aten.mm"][1]
    found = line.cut([second])
    products = [at for one, at in zip(found.graph.operators, found.piece, strict=True) if one.matrix]
    assert (products.count(0), products.count(1)) == (4, 3)


def test_what_nobody_captured_or_nobody_can_cut_is_refused() -> None:
    made_up = Operator("one", Kind.MATMUL, Phase.FORWARD, 1.0, 1.0, 1.0, "float32")
    with pytest.raises(ConfigError, match="pipeline of made up: expected a graph that `capture` made"):
        Line(Graph("made up", 1, 1, (made_up,)))
    with pytest.raises(ConfigError, match=r"cuts: expected rising places from 1 to \d+, got \[5, 5\]"):
        gpt().cut([5, 5])
