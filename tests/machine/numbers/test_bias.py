"""The bias that loses least."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.machine.numbers import array
from dojo.machine.numbers.bias import BIASES, EXPONENT_FIELDS, Make, best_bias, expected_loss
from dojo.machine.numbers.formats import cfloat8_1_4_3, cfloat8_1_5_2


def counted(values: np.ndarray) -> np.ndarray:
    fields = (np.abs(values).astype(np.float32).view(np.uint32) >> 23) & 0xFF
    return np.bincount(fields, minlength=EXPONENT_FIELDS)


def lost(values: np.ndarray, make: Make, bias: int) -> float:
    kept = array.quantise(values.astype(np.float32), make(bias)).astype(np.float64)
    return float(((kept - values) ** 2).sum())


def test_numbers_of_one_exponent_get_a_bias_that_holds_them_as_well_as_any() -> None:
    # Between 1 and 2, which many biases hold equally well.
    counts = np.zeros(EXPONENT_FIELDS, np.int64)
    counts[127] = 1000
    values = np.linspace(1.0, 1.999, 1000)
    chosen = best_bias(counts, cfloat8_1_4_3)
    assert chosen is not None
    assert lost(values, cfloat8_1_4_3, chosen) <= 1.0001 * min(lost(values, cfloat8_1_4_3, b) for b in range(BIASES))


def of_binade(exponent: int) -> np.ndarray:
    """Spread evenly."""
    return np.ldexp(1 + (np.arange(1024) + 0.5) / 1024, exponent)


@pytest.mark.parametrize("make", [cfloat8_1_4_3, cfloat8_1_5_2])
@pytest.mark.parametrize("bias", [0, 20, 63])
def test_what_a_number_loses_is_the_mean_over_its_binade(make: Make, bias: int) -> None:
    expected = expected_loss(make(bias))
    highest = int(np.frexp(make(bias).largest)[1]) - 1
    for exponent in range(highest - 40, highest + 6):
        mean = lost(of_binade(exponent), make, bias) / 1024
        assert mean == pytest.approx(expected[exponent + 127], rel=1e-3), exponent


@pytest.mark.parametrize("make", [cfloat8_1_4_3, cfloat8_1_5_2])
@pytest.mark.parametrize("middle", [-50, -30, -10, 0, 5])
def test_no_bias_loses_less_than_the_chosen_one(make: Make, middle: int) -> None:
    counts = np.zeros(EXPONENT_FIELDS, np.int64)
    binades = range(middle - 12, middle + 3)
    # As many of each as tensors have: a few large numbers and a long tail of small ones.
    for exponent, count in zip(
        binades, np.random.default_rng(middle + 60).integers(1, 5000, len(binades)), strict=True
    ):
        counts[exponent + 127] = count >> max(0, 4 * (exponent - middle))
    chosen = best_bias(counts, make)
    assert chosen is not None
    totals = [
        sum(counts[exponent + 127] * lost(of_binade(exponent), make, bias) for exponent in binades)
        for bias in range(BIASES)
    ]
    assert totals[chosen] <= 1.002 * min(totals)
    assert max(totals) > 1.1 * min(totals)


def test_the_bias_follows_the_numbers_binade_by_binade() -> None:
    values = np.random.default_rng(0).standard_normal(5000)
    found = [best_bias(counted(np.ldexp(values, -shift)), cfloat8_1_5_2) for shift in range(0, 20, 5)]
    assert found == [found[0] + shift for shift in range(0, 20, 5)]  # type: ignore[operator]


def test_zeros_alone_choose_nothing() -> None:
    counts = np.zeros(EXPONENT_FIELDS, np.int64)
    counts[0] = 7
    assert best_bias(counts, cfloat8_1_4_3) is None
