"""Blocks that share a scale."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.numbers import blocks, formats
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic

FORMATS = [
    blocks.MXFP8_E4M3,
    blocks.MXFP8_E5M2,
    blocks.MXFP6_E3M2,
    blocks.MXFP6_E2M3,
    blocks.MXFP4_E2M1,
    blocks.MXINT8,
]


def padded(values: list[float]) -> list[float]:
    return (values + [0.0] * blocks.BLOCK_SIZE)[: blocks.BLOCK_SIZE]


def test_a_block_worked_by_hand() -> None:
    # The largest, 20, has exponent 4; the highest exponent of E2M1 is 2; so the scale is 2^2, and 20/4 = 5 is a tie
    # between 4 and 6 that goes to the even code, 4. 3/4 = 0.75 is a tie between 0.5 and 1, and goes to 1.
    scale, codes = blocks.encode_block(padded([20.0, 3.0, -8.0, 0.9]), blocks.MXFP4_E2M1)
    assert scale == 127 + 2
    assert blocks.decode_block(scale, codes, blocks.MXFP4_E2M1)[:5] == [16.0, 4.0, -8.0, 0.0, 0.0]


# MX 1.0, section 5: emax of the elements.
@pytest.mark.parametrize(("fmt", "exponent"), zip(FORMATS, [8, 15, 4, 2, 2, 0], strict=True), ids=lambda x: str(x)[:30])
def test_the_largest_exponent_of_an_element_is_the_standards(fmt: blocks.BlockFormat, exponent: int) -> None:
    assert fmt.highest_exponent == exponent


def test_scales_mean_what_ml_dtypes_says() -> None:
    theirs = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    ones = np.full((256, blocks.BLOCK_SIZE), 0x38, np.uint8)  # 1.0 in E4M3
    ours = blocks.decode_blocks(np.arange(256, dtype=np.uint8)[:, None], ones, blocks.MXFP8_E4M3)
    np.testing.assert_array_equal(ours[:, 0], theirs)
    assert math.isnan(theirs[blocks.SCALE_NAN])


@given(
    values=st.lists(st.floats() | st.floats(-3, 3) | st.floats(-1e-40, 1e-40), max_size=32),
    fmt=st.sampled_from(FORMATS),
    rounding=st.sampled_from([NEAREST_EVEN, Stochastic(seed=3)]),
)
@settings(max_examples=200, deadline=None)
def test_arrays_of_blocks_convert_as_single_blocks_do(
    values: list[float], fmt: blocks.BlockFormat, rounding: Rounding
) -> None:
    first, second = padded(values), [1.0] * 32
    scales, codes = blocks.encode_blocks(np.array([first + second]), fmt, rounding)
    assert scales.shape == (1, 2)
    for place, block in enumerate((first, second)):
        scale, expected = blocks.encode_block(block, fmt, rounding, first_index=32 * place)
        assert scales[0, place] == scale
        np.testing.assert_array_equal(codes[0, 32 * place :][:32], expected)
        kept = blocks.decode_blocks(scales[:, place : place + 1], codes[:, 32 * place :][:, :32], fmt)
        np.testing.assert_array_equal(kept[0], blocks.decode_block(scale, expected, fmt))


def test_the_ends_of_the_scale_are_reached_and_not_passed() -> None:
    for value, scale in ((1e308, 254), (1e-300, 0), (0.0, 0), (math.inf, 255), (math.nan, 255)):
        assert blocks.encode_block(padded([value]), blocks.MXFP8_E4M3)[0] == scale
        assert blocks.encode_blocks(np.array(padded([value])), blocks.MXFP8_E4M3)[0][0] == scale


def test_a_block_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^MXFP4_E2M1: expected a block of 32 values, got 31$"):
        blocks.encode_block([0.0] * 31, blocks.MXFP4_E2M1)
    with pytest.raises(ConfigError, match=r"^MXFP4_E2M1: expected a last axis of whole blocks of 32, got 33; pad"):
        blocks.encode_blocks(np.zeros((2, 33)), blocks.MXFP4_E2M1)


def test_elements_that_do_not_saturate_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^block format odd: expected elements that saturate, got FP16$"):
        blocks.BlockFormat("odd", formats.FP16)
