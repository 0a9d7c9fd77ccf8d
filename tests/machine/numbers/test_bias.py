"""The bias that loses least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.machine.numbers import array
from dojo.machine.numbers.bias import BIASES, EXPONENT_FIELDS, Make, best_bias
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


@pytest.mark.parametrize("make", [cfloat8_1_4_3, cfloat8_1_5_2])
@given(scale=st.integers(-40, 8), spread=st.floats(0.1, 3.0), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_no_bias_loses_much_less_than_the_chosen_one(make: Make, scale: int, spread: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.ldexp(random.standard_normal(2000) * np.exp(spread * random.standard_normal(2000)), scale)
    values = np.clip(values, -1e30, 1e30).astype(np.float32).astype(np.float64)
    chosen = best_bias(counted(values), make)
    assert chosen is not None
    # Counts know exponents, not mantissas: where most of the loss is in a few large numbers, a neighbour may do better.
    assert lost(values, make, chosen) <= 2.0 * min(lost(values, make, bias) for bias in range(BIASES)) + 1e-300


def test_the_bias_follows_the_numbers_binade_by_binade() -> None:
    values = np.random.default_rng(0).standard_normal(5000)
    found = [best_bias(counted(np.ldexp(values, -shift)), cfloat8_1_5_2) for shift in range(0, 20, 5)]
    assert found == [found[0] + shift for shift in range(0, 20, 5)]  # type: ignore[operator]


def test_zeros_alone_choose_nothing() -> None:
    counts = np.zeros(EXPONENT_FIELDS, np.int64)
    counts[0] = 7
    assert best_bias(counts, cfloat8_1_4_3) is None
