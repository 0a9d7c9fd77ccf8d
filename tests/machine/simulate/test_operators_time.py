"""Single operators against what was measured of them on an A100."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.graph import Kind, Operator, Phase
from dojo.machine.simulate.operators import (
    Efficiency,
    memory_bytes_per_s,
    operator_seconds,
    peak_flop_per_s,
    units,
)
from dojo.machine.specs import load_machine

A100 = load_machine("a100")


def product(m: int, n: int, k: int, dtype: str = "float16") -> Operator:
    read, written = 2.0 * (m * k + k * n), 2.0 * m * n
    return Operator("product", Kind.MATMUL, Phase.FORWARD, 2.0 * m * n * k, read, written, dtype, matrix=(1, m, n, k))


@pytest.mark.parametrize(
    ("m", "n", "k", "measured_s"),
    [
        # LLMCompass, ae/figure5/matmul/real_hardware/matmul_A100.csv.
        (1024, 12288, 12288, 1.1990e-3),
        (4096, 12288, 12288, 4.4576e-3),
        (16384, 12288, 12288, 17.0307e-3),
        (8192, 4096, 4096, 1.0210e-3),
        (8192, 16384, 16384, 15.0087e-3),
    ],
)
def test_measured_products_are_met_within_a_tenth(m: int, n: int, k: int, measured_s: float) -> None:
    assert operator_seconds(product(m, n, k), A100, Efficiency()) == pytest.approx(measured_s, rel=0.1)


def test_a_thin_product_takes_as_long_as_its_bytes() -> None:
    thin = product(1, 12288, 12288)
    moving = (thin.read_bytes + thin.written_bytes) / (2.039e12 * Efficiency().memory)
    assert operator_seconds(thin, A100, Efficiency()) == pytest.approx(moving, rel=0.1)


def test_one_tile_more_than_the_units_costs_a_second_round() -> None:
    assert units(A100) == 108
    full, more = (operator_seconds(product(256 * rows, 512, 65536), A100, Efficiency()) for rows in (27, 28))
    assert more > 1.2 * full


def test_what_power_sustains_slows_products_and_not_copies() -> None:
    copy = Operator("copy", Kind.COPY, Phase.FORWARD, 0.0, 1e9, 1e9, "float16")
    large = product(8192, 8192, 8192)
    slowed = [operator_seconds(one, A100, Efficiency(), sustained=0.5) for one in (copy, large)]
    usual = [operator_seconds(one, A100, Efficiency()) for one in (copy, large)]
    assert slowed[0] == usual[0]
    assert slowed[1] == pytest.approx(2 * usual[1], rel=0.05)


def test_formats_have_their_own_peaks() -> None:
    chip = load_machine("h100").levels["gpu"]
    assert peak_flop_per_s(chip, "float8") == pytest.approx(2 * peak_flop_per_s(chip, "bfloat16"), rel=1e-3)
    assert peak_flop_per_s(A100.levels["gpu"], "float8") == 312e12
    with pytest.raises(ConfigError, match=re.escape("level gpu: expected a published peak for bfloat16")):
        peak_flop_per_s(replace(chip, peak=None), "bfloat16")


def test_a_die_works_from_its_srams() -> None:
    assert memory_bytes_per_s(load_machine("d1")) == 354 * 400e9
