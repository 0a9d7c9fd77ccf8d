"""Operators that run as one kernel."""

from __future__ import annotations

from dojo.machine.compile.batches import Batches
from dojo.machine.compile.fuse import fuse
from dojo.machine.compile.graph import Graph, Kind, Operator, Phase


def graph_of(*kinds_and_after: tuple[Kind, tuple[int, ...]], phase: Phase = Phase.FORWARD) -> Graph:
    """Operators that read 10 bytes from each that they wait for, or 10 from outside, and write 10."""
    operators = tuple(
        Operator(str(at), kind, phase, 1.0, 10.0 * max(1, len(after)), 10.0, "bfloat16", after=after)
        for at, (kind, after) in enumerate(kinds_and_after)
    )
    return Graph("made up", 1, 1, operators)


def test_a_chain_reads_its_input_and_writes_its_result() -> None:
    chain = graph_of((Kind.NORMALISATION, ()), (Kind.ELEMENTWISE, (0,)), (Kind.ELEMENTWISE, (1,)))
    (one,) = fuse(chain).operators
    assert (one.kind, one.flops, one.read_bytes, one.written_bytes) == (Kind.NORMALISATION, 3.0, 10.0, 10.0)


def test_what_somebody_else_reads_is_written_all_the_same() -> None:
    fork = graph_of((Kind.NORMALISATION, ()), (Kind.ELEMENTWISE, (0,)), (Kind.MATMUL, (0,)))
    one, product = fuse(fork).operators
    assert (one.read_bytes, one.written_bytes) == (10.0, 20.0)
    assert product.after == (0,)


def test_products_stay_by_themselves() -> None:
    assert len(fuse(graph_of((Kind.MATMUL, ()), (Kind.ELEMENTWISE, (0,)), (Kind.CONVOLUTION, (1,)))).operators) == 3


def test_nothing_joins_across_somebody_who_waits() -> None:
    # The sum would be made where the first was made, but the product in between needs the first.
    around = graph_of((Kind.ELEMENTWISE, ()), (Kind.MATMUL, (0,)), (Kind.ELEMENTWISE, (0,)))
    assert len(fuse(around).operators) == 3


def test_two_normalisations_are_two_kernels() -> None:
    both = graph_of((Kind.NORMALISATION, ()), (Kind.ELEMENTWISE, (0,)), (Kind.NORMALISATION, (1,)))
    assert [one.kind for one in fuse(both).operators] == [Kind.NORMALISATION, Kind.NORMALISATION]


def test_fused_resnet50_computes_the_same_and_moves_less(resnet: Batches) -> None:
    graph = resnet.at(8)
    fused = fuse(graph)
    assert fused.flops == graph.flops
    assert sum(one.kind is Kind.NORMALISATION for one in fused.operators) == 2 * 53
    moved = [sum(one.read_bytes + one.written_bytes for one in each.operators) for each in (graph, fused)]
    assert 0.7 < moved[1] / moved[0] < 0.85
