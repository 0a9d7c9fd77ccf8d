"""A captured step on Dojo's mesh."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.simulate.vision_mesh import best_on_mesh, largest_that_fits
from dojo.machine.specs import load_machine

D1 = load_machine("d1")


def test_no_step_on_d1_is_faster_than_its_products(resnet: Batches) -> None:
    for dies in (5, 25):
        samples = largest_that_fits(resnet, D1, dies)
        placed, timed = best_on_mesh(resnet, D1, samples, dies)
        products = sum(one.flops for one in placed.graph.operators if one.matrix)
        assert timed.total_s > products / (placed.mesh.nodes * 1.024e12)


def test_a_step_that_fits_nowhere_says_why(resnet: Batches) -> None:
    with pytest.raises(ConfigError, match=r"expected at most 11\.06 GB of SRAM .* 159 samples fit here"):
        best_on_mesh(resnet, D1, 1024, 25)
