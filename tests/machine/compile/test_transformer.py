"""The work of GPT blocks by formula."""

from __future__ import annotations

import re

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.graph import Graph, Kind, Phase
from dojo.machine.compile.transformer import Gpt, Software, block, head

GPT3 = Gpt("gpt3", 12288, 96, 96, 2048, 51200)
UNFUSED = Software(dtype="float16", flash=False)


def products(graph: Graph) -> float:
    return sum(operator.flops for operator in graph.operators if operator.kind is Kind.MATMUL)


def test_gpt3_has_its_175_billion_parameters() -> None:
    assert GPT3.parameters == pytest.approx(175e9, rel=0.01)


def test_products_of_all_blocks_and_the_head_are_the_published_formula() -> None:
    graphs = block(GPT3, UNFUSED, micro_batch=2), head(GPT3, UNFUSED, micro_batch=2)
    whole = GPT3.layers * products(graphs[0]) + products(graphs[1])
    assert whole == pytest.approx(GPT3.flops(2), rel=1e-9)


def test_the_flops_of_a_step_are_those_of_megatrons_equation_3() -> None:
    # Narayanan et al. 2021, equation 3: 96 B s l h^2 (1 + s / 6h + V / 16lh) with four passes of the blocks.
    b, s, layers, h, v = 1536, 2048, 96, 12288, 51200
    four_passes = 96 * b * s * layers * h**2 * (1 + s / (6 * h) + v / (16 * layers * h))
    logits = 6 * b * s * h * v
    assert GPT3.flops(b) == pytest.approx((four_passes - logits) * 3 / 4 + logits, rel=1e-9)


@pytest.mark.parametrize("tensor", [1, 2, 4, 8])
def test_tensor_parallelism_divides_products_and_nothing_is_lost(tensor: int) -> None:
    share = block(GPT3, UNFUSED, tensor=tensor, micro_batch=2)
    assert products(share) * tensor == pytest.approx(products(block(GPT3, UNFUSED, micro_batch=2)))


def test_sequence_parallelism_divides_what_tensor_parallelism_leaves_whole() -> None:
    def norms(sequence_parallel: bool) -> float:
        graph = block(GPT3, UNFUSED, tensor=8, sequence_parallel=sequence_parallel)
        return sum(one.read_bytes for one in graph.operators if one.kind is Kind.NORMALISATION)

    assert norms(True) * 8 == pytest.approx(norms(False))


def test_attention_in_one_kernel_never_writes_scores_and_skips_what_the_mask_hides() -> None:
    fused, apart = block(GPT3, Software(flash=True)), block(GPT3, UNFUSED)
    assert not any("scores" in operator.name for operator in fused.operators)
    forward = [one for one in fused.operators if one.kind is Kind.ATTENTION and one.phase is Phase.FORWARD]
    core = [one for one in apart.operators if one.name in ("scores", "context")]
    assert sum(one.flops for one in forward) * 2 == pytest.approx(sum(one.flops for one in core))


def test_products_in_eight_bits_read_half_and_pay_for_casts() -> None:
    wide, narrow = block(GPT3, Software()), block(GPT3, Software(matmul_dtype="float8"))
    name = "widen"
    read = {graph: next(one.read_bytes for one in graph.operators if one.name == name) for graph in (wide, narrow)}
    assert read[narrow] * 2 == read[wide]
    assert {"cast"} == {one.name for one in narrow.operators} - {one.name for one in wide.operators}
    logits = next(one for one in head(GPT3, Software(matmul_dtype="float8")).operators if one.name == "logits")
    assert logits.dtype == "bfloat16"


def test_two_of_eight_experts_do_the_work_of_two_networks() -> None:
    dense = Gpt("dense", 1024, 16, 4, 512, 1024)
    routed = Gpt("routed", 1024, 16, 4, 512, 1024, experts=8, active_experts=2)
    extra = products(block(routed, UNFUSED)) - products(block(dense, UNFUSED))
    assert extra == pytest.approx(3 * 16 * 512 * 1024**2)


def test_a_model_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("heads that divide the hidden size")):
        Gpt("odd", 100, 7, 1, 8, 8)
