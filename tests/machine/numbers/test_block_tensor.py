"""The torch twin of blocks is the NumPy twin, which is the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.numbers import block_tensor, blocks
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic

FORMATS = [
    blocks.MXFP8_E4M3,
    blocks.MXFP8_E5M2,
    blocks.MXFP6_E3M2,
    blocks.MXFP6_E2M3,
    blocks.MXFP4_E2M1,
    blocks.MXINT8,
]


def agree(values: np.ndarray, fmt: blocks.BlockFormat, rounding: Rounding) -> None:
    scales, codes = block_tensor.encode_blocks(torch.from_numpy(values), fmt, rounding)
    expected_scales, expected_codes = blocks.encode_blocks(values, fmt, rounding)
    np.testing.assert_array_equal(scales.numpy(), expected_scales)
    np.testing.assert_array_equal(codes.numpy(), expected_codes)
    kept = block_tensor.decode_blocks(scales, codes, fmt).numpy()
    expected = blocks.decode_blocks(expected_scales, expected_codes, fmt)
    np.testing.assert_array_equal(kept, expected)
    assert (np.signbit(kept) == np.signbit(expected))[~np.isnan(expected)].all()


@pytest.mark.parametrize("rounding", [NEAREST_EVEN, Stochastic(seed=2**63 + 1, first_index=9)], ids=["near", "dither"])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_blocks_of_every_size_of_number_convert_as_arrays_do(fmt: blocks.BlockFormat, rounding: Rounding) -> None:
    random = np.random.default_rng(4)
    # Blocks from below float32's normal numbers to its largest, each of numbers that lie up to 2^40 apart.
    around = random.integers(-149, 128, (600, 1)) - random.integers(0, 40, (600, 64))
    with np.errstate(over="ignore", under="ignore"):
        values = np.ldexp(random.uniform(-2, 2, (600, 64)), around).astype(np.float32)
    values[3, 5], values[4, 40], values[5, 0] = np.nan, np.inf, -np.inf
    values[6] = 0.0
    agree(values, fmt, rounding)


@given(
    values=st.lists(st.floats(width=32) | st.integers(-40, 40).map(lambda n: n / 128), min_size=1, max_size=32),
    fmt=st.sampled_from(FORMATS),
    rounding=st.sampled_from([NEAREST_EVEN, Stochastic(seed=3)]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_numbers_blocks_convert_as_arrays_do(
    values: list[float], fmt: blocks.BlockFormat, rounding: Rounding
) -> None:
    agree(np.array((values + [0.0] * 32)[:32] + [1.0] * 32, np.float32)[None], fmt, rounding)


def test_parts_of_a_block_and_float64_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^MXINT8: expected a last axis of whole blocks of 32, got 33; pad"):
        block_tensor.encode_blocks(torch.zeros(2, 33), blocks.MXINT8)
    with pytest.raises(ConfigError, match=r"got float64, which would be rounded twice"):
        block_tensor.encode_blocks(torch.zeros(32, dtype=torch.float64), blocks.MXINT8)
