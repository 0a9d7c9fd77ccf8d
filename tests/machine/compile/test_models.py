"""Models that others have measured, as others have counted them."""

from __future__ import annotations

import time

import pytest

from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import Graph, Phase
from dojo.machine.compile.models import gpt_block_step, gpt_step
from dojo.machine.compile.transformer import Gpt, Software, block


def products(graph: Graph, phase: Phase) -> float:
    return sum(one.flops for one in graph.operators if one.matrix and one.phase is phase)


def test_resnet50_has_25_6_million_parameters(resnet: Batches) -> None:
    # Source: torchvision's and NVIDIA's ResNet-50 v1.5 alike.
    assert resnet.few.parameters == 25_557_032
    assert not resnet.few.unknown


def test_resnet50_takes_4_1_g_products_and_sums_a_picture(resnet: Batches) -> None:
    # Source: torchvision, ResNet50_Weights: 4.089 GFLOPS, which counts a product and a sum as one.
    assert products(resnet.few, Phase.FORWARD) / 2 / 2 == pytest.approx(4.089e9, rel=1e-3)
    # Backward twice that, but for the picture, which learns nothing.
    stem = 2 * 112 * 112 * 64 * 147
    assert products(resnet.few, Phase.BACKWARD) / 2 == pytest.approx(2 * 2 * 4.089e9 - stem, rel=1e-3)


def test_a_captured_gpt_block_is_the_one_of_the_formula() -> None:
    shape = Gpt("gpt", hidden=2048, heads=16, layers=1, sequence=1024, vocabulary=51200)
    found, formula = gpt_block_step(shape, 2), block(shape, Software(), micro_batch=2)
    flops = sum(one.flops for one in found.operators if one.phase is not Phase.OPTIMISER)
    assert flops == pytest.approx(formula.flops, rel=0.01)
    both = (Phase.FORWARD, Phase.BACKWARD)
    assert [products(found, phase) for phase in both] == [products(formula, phase) for phase in both]
    assert found.parameters == pytest.approx(formula.parameters, rel=1e-3)


def test_a_trillion_parameters_are_captured_without_memory() -> None:
    shape = Gpt("gpt-1t", hidden=25600, heads=160, layers=4, sequence=2048, vocabulary=51200)
    began = time.perf_counter()
    graph = gpt_step(shape, 1)
    assert graph.parameters == pytest.approx(shape.parameters, rel=1e-3)
    assert graph.parameters * 2 > 64e9, "more than this machine could hold: 32 layers of 128 are like these 4"
    assert time.perf_counter() - began < 30
    arithmetic = sum(products(graph, phase) for phase in (Phase.FORWARD, Phase.BACKWARD))
    # The formula counts all of the scores, the kernel what the mask leaves, and backward five halves of them.
    scores = 4.0 * shape.layers * shape.sequence**2 * shape.hidden
    assert arithmetic == pytest.approx(shape.flops(1) - 3 * scores + 0.5 * 3.5 * scores, rel=1e-3)
