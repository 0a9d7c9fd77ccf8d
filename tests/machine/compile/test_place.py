"""Placing a step on D1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Kind, Operator, Phase
from dojo.machine.compile.place import activation_bytes, place
from dojo.machine.specs import load_machine

D1 = load_machine("d1")


def product(m: int, n: int, k: int, name: str = "product", dtype: str = "bfloat16") -> Operator:
    flops = 2.0 * m * n * k
    return Operator(name, Kind.MATMUL, Phase.FORWARD, flops, 2.0 * (m * k + k * n), 2.0 * m * n, dtype, (1, m, n, k))


def dense(samples: int) -> Graph:
    """A layer of 1,000 by 1,000 with its two gradients; each sample leaves 2,000 bytes for the backward pass."""
    forward = product(samples, 1000, 1000)
    back = replace(product(samples, 1000, 1000), phase=Phase.BACKWARD, after=(0,), weight_bytes=2e6)
    weight = replace(product(1000, 1000, samples, "product" + WEIGHT_GRADIENT), phase=Phase.BACKWARD, after=(0,))
    return Graph("dense", samples, 1_000_000, (forward, back, weight))


DENSE = Batches(dense(1), dense(2))


def test_what_the_backward_pass_reads_is_kept() -> None:
    assert activation_bytes(dense(10)) == 10 * 2000.0


def test_resnet50_fills_a_tile_with_a_hundred_and_some_samples(resnet: Batches) -> None:
    placed = place(resnet, D1, 128, dies=25)
    assert 60e6 < placed.sram["activations"] / 128 < 75e6
    assert not placed.streamed
    assert placed.samples == 128
    with pytest.raises(
        ConfigError,
        match=r"resnet50: expected at most 11\.06 GB of SRAM on 25 dies .* for 4096 samples; 159 samples fit here",
    ):
        place(resnet, D1, 4096, dies=25)


def test_what_a_refusal_names_fits(resnet: Batches) -> None:
    assert place(resnet, D1, 159, dies=25).samples == 159
    with pytest.raises(ConfigError, match="4096 samples a replica need 26 tiles"):
        place(resnet, D1, 4096, dies=25)


def test_weights_that_do_not_fit_are_streamed() -> None:
    large = replace(dense(1), parameters=40_000_000), replace(dense(2), parameters=40_000_000)
    placed = place(Batches(*large), D1, 8, dies=1)
    assert placed.sram["weights"] == 80e6
    assert placed.streamed == {"optimiser": 480e6}
    # A die's share of 20 processors for 150 dies: 4.3 GB at 107 GB/s.
    assert placed.streamed_limit_bytes == pytest.approx(20 * 32e9 / 150)
    assert placed.streamed_bytes_per_s == pytest.approx(20 * 800e9 / 150)


def test_what_fits_nowhere_is_refused() -> None:
    large = replace(dense(1), parameters=1_000_000_000), replace(dense(2), parameters=1_000_000_000)
    with pytest.raises(
        ConfigError, match=r"expected at most 4\.3 GB of weights.* got 18\.0 GB; use more dies a replica"
    ):
        place(Batches(*large), D1, 8, dies=1)


def test_batch_normalisation_wants_enough_samples(resnet: Batches) -> None:
    with pytest.raises(
        ConfigError, match=r"expected 32 samples or more where batch normalisation .* got 5 in each of 25"
    ):
        place(resnet, D1, 125, dies=25, replicas=25)
    with pytest.raises(ConfigError, match="expected a divisor of 25 dies and 128 samples, got 3"):
        place(resnet, D1, 128, dies=25, replicas=3)


def test_each_piece_has_a_site_of_its_own() -> None:
    placed = place(DENSE, D1, 4, dies=25)
    sites = {placed.site(D1, piece) for piece in range(placed.mesh.nodes)}
    assert len(sites) == 8850
    assert max((site.die_row, site.die_column) for site in sites) == (4, 4)
    assert max(site.row for site in sites) == 19
    with pytest.raises(ConfigError, match="piece: expected one of 8850, got 8850"):
        placed.site(D1, 8850)
