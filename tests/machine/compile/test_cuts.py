"""How one operator is divided over the nodes of D1."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.machine.compile.cuts import cut
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Kind, Operator, Phase
from dojo.machine.network.mesh import mesh_of
from dojo.machine.specs import load_machine

D1 = load_machine("d1")


def product(m: int, n: int, k: int, name: str = "product", dtype: str = "bfloat16") -> Operator:
    flops = 2.0 * m * n * k
    return Operator(name, Kind.MATMUL, Phase.FORWARD, flops, 2.0 * (m * k + k * n), 2.0 * m * n, dtype, (1, m, n, k))


def test_rows_enough_for_all_nodes_are_cut_by_rows_alone() -> None:
    die = mesh_of(D1, 1)
    one = cut(product(8 * 354, 64, 1000), D1, die)
    assert (one.rows, one.columns, one.depth) == (354, 1, 1)
    # Each node: one block of rows, eight of columns, 250 of depth, a cycle each.
    assert one.cycles == pytest.approx(8 * 250)
    # Activations lie where they are; the weight of 1000 x 64 x 2 bytes comes to everybody.
    assert (one.inbound_bytes, one.moves_activations) == (128_000.0, False)


def test_few_rows_are_cut_by_columns_too() -> None:
    one = cut(product(8, 4096, 4096), D1, mesh_of(D1, 1))
    assert one.columns * one.depth > 64
    assert one.moves_activations


def test_a_gradient_of_a_weight_is_cut_along_the_samples() -> None:
    one = cut(product(64, 64, 354 * 400, "product" + WEIGHT_GRADIENT), D1, mesh_of(D1, 1))
    assert one.depth > one.rows * one.columns
    assert one.inbound_bytes >= 4.0 * 64 * 64 * (one.depth - 1) / one.depth / (one.rows * one.columns)


def test_numbers_of_32_bits_run_on_the_vector_unit() -> None:
    narrow, wide = (
        cut(product(8 * 354, 64, 1000, dtype=dtype), D1, mesh_of(D1, 1)) for dtype in ("bfloat16", "float32")
    )
    # 256 products a cycle against 16.
    assert wide.cycles / narrow.cycles == pytest.approx(16, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(m=st.integers(1, 100_000), n=st.integers(1, 5000), k=st.integers(1, 5000), dies=st.sampled_from([1, 5, 25]))
def test_a_cut_uses_no_more_nodes_than_there_are_and_beats_no_peak(m: int, n: int, k: int, dies: int) -> None:
    mesh = mesh_of(D1, dies)
    one = cut(product(m, n, k), D1, mesh)
    assert 1 <= one.pieces <= mesh.nodes
    assert one.rows <= m
    assert one.columns <= n
    assert one.depth <= k
    assert one.cycles * mesh.nodes * 256 >= m * n * k * 0.999
