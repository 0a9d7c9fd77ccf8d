"""The NumPy twin is the definition."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.machine.numbers import array, formats, scalar
from dojo.machine.numbers.format import FloatFormat, Subnormals, ladder
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic

VARIED = [
    formats.cfloat8_1_4_3(0),
    formats.cfloat8_1_4_3(63, subnormals=Subnormals.LITERAL),
    formats.cfloat8_1_5_2(31),
    formats.cfloat8_1_5_2(9, subnormals=Subnormals.LITERAL),
    formats.cfloat16_shp(17),
    formats.cfloat16_shp(40, subnormals=Subnormals.LITERAL),
    *formats.FIXED_FORMATS,
    dataclasses.replace(formats.OCP_E4M3, saturate=False),
    dataclasses.replace(formats.OCP_E5M2, saturate=False),
]
ROUNDINGS: list[Rounding] = [NEAREST_EVEN, Stochastic(seed=5, first_index=1000)]
HALVES = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)


def by_definition(values: np.ndarray, fmt: FloatFormat, rounding: Rounding) -> tuple[np.ndarray, np.ndarray]:
    pairs = [scalar.encode(float(value), fmt, rounding, index) for index, value in enumerate(values.tolist())]
    return np.array([code for code, _ in pairs]), np.array([int(flags) for _, flags in pairs])


def named(fmt: FloatFormat) -> str:
    return f"{fmt.name}-{fmt.subnormals.value}-{'saturating' if fmt.saturate else 'open'}"


def edges(fmt: FloatFormat) -> np.ndarray:
    """Codes' values, the middles between them, and the doubles on either side of both."""
    last = min(fmt.largest_code, 1 << 10)
    codes = np.unique(np.concatenate([np.arange(40), np.linspace(0, last, 40).astype(int)]))
    codes = np.concatenate([codes[codes <= fmt.largest_code], [fmt.largest_code - 1, fmt.largest_code]])
    at = np.array([ladder(fmt)[int(code)] * 2.0**fmt.step_exponent for code in codes])
    middle = np.array(
        [(ladder(fmt)[int(code)] + ladder(fmt)[int(code) + 1]) / 2 * 2.0**fmt.step_exponent for code in codes]
    )
    points = np.concatenate([at, middle])
    points = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, 0)])
    ends = [0.0, 5e-324, 1e-300, 1e300, np.inf, np.nan, np.finfo(np.float32).max, 2.0**-149]
    points = np.concatenate([points, ends])
    return np.concatenate([points, -points])


@pytest.mark.parametrize("rounding", ROUNDINGS, ids=["nearest", "stochastic"])
@pytest.mark.parametrize("fmt", VARIED, ids=named)
def test_edges_of_every_format_convert_as_defined(fmt: FloatFormat, rounding: Rounding) -> None:
    values = edges(fmt)
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    for given_values in (values, narrow):
        codes, flags = array.encode_with_flags(given_values, fmt, rounding)
        expected_codes, expected_flags = by_definition(given_values, fmt, rounding)
        np.testing.assert_array_equal(codes, expected_codes)
        np.testing.assert_array_equal(flags, expected_flags)
        np.testing.assert_array_equal(array.encode(given_values, fmt, rounding), codes)
        np.testing.assert_array_equal(array.quantise(given_values, fmt, rounding), array.decode(codes, fmt))


@pytest.mark.parametrize("fmt", VARIED, ids=named)
def test_codes_are_read_as_defined(fmt: FloatFormat) -> None:
    if fmt.bits <= 8:
        codes = np.arange(1 << fmt.bits)
    else:
        # Every field, with the mantissas at its ends, both signs.
        fields = np.arange(1 << (fmt.bits - fmt.mantissa_bits)) << fmt.mantissa_bits
        codes = (
            fields[:, None] + np.array([0, 1, fmt.smallest_normal_code // 2, fmt.smallest_normal_code - 1])
        ).ravel()
    expected = np.array([scalar.decode(int(code), fmt) for code in codes], np.float32)
    values = array.decode(codes.astype(np.uint32), fmt)
    np.testing.assert_array_equal(values.view(np.uint32) << 1, expected.view(np.uint32) << 1, strict=True)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(values[finite]), np.signbit(expected[finite]))
    told = [int(scalar.read_flags(int(code), fmt)) for code in codes]
    np.testing.assert_array_equal(array.read_flags(codes.astype(np.uint32), fmt), told)


@pytest.mark.parametrize("fmt", [formats.cfloat8_1_4_3(11)], ids=named)
def test_every_pattern_of_sixteen_bits_converts_as_defined(fmt: FloatFormat) -> None:
    codes, flags = array.encode_with_flags(HALVES, fmt)
    expected_codes, expected_flags = by_definition(HALVES, fmt, NEAREST_EVEN)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(flags, expected_flags)


@pytest.mark.parametrize("fmt", [fmt for fmt in VARIED if fmt.bits <= 8], ids=named)
def test_the_table_and_the_long_way_agree_on_every_half_and_what_lies_just_above_it(fmt: FloatFormat) -> None:
    # float64 takes the long way; one bit more than the half holds is what rounding to odd must not lose.
    for low in (0, 1, 0x8000, 0xFFFF):
        values = (HALVES.view(np.uint32) | np.uint32(low)).view(np.float32)
        with np.errstate(invalid="ignore"):
            wide = values.astype(np.float64)
        for short, long in zip(array.encode_with_flags(values, fmt), array.encode_with_flags(wide, fmt), strict=True):
            np.testing.assert_array_equal(short, long)


WIDE = [fmt for fmt in VARIED if fmt.bits > 8 and fmt.signed]


@pytest.mark.parametrize("fmt", [*WIDE, dataclasses.replace(formats.BF16, saturate=True)], ids=named)
def test_float32_arithmetic_and_the_long_way_agree_on_a_million_patterns_and_all_halves(fmt: FloatFormat) -> None:
    # float64 takes the long way. Random patterns seldom lie at the middle of two codes; halves of wide formats do.
    drawn = np.random.default_rng(7).integers(0, 1 << 32, 1_000_000, dtype=np.uint32)
    middles = (drawn[:200_000] >> (23 - fmt.mantissa_bits) << (23 - fmt.mantissa_bits)) | (
        np.uint32(1) << np.uint32(22 - fmt.mantissa_bits)
    )
    values = np.concatenate([drawn, middles, middles + np.uint32(1), middles - np.uint32(1), HALVES.view(np.uint32)])
    values = values.view(np.float32)
    with np.errstate(invalid="ignore"):
        wide = values.astype(np.float64)
    np.testing.assert_array_equal(array.encode(values, fmt), array.encode(wide, fmt))


@pytest.mark.parametrize(
    ("fmt", "theirs"),
    [
        (dataclasses.replace(formats.OCP_E4M3, saturate=False), ml_dtypes.float8_e4m3fn),
        (dataclasses.replace(formats.OCP_E5M2, saturate=False), ml_dtypes.float8_e5m2),
        (formats.BF16, ml_dtypes.bfloat16),
        (formats.FP16, np.float16),
    ],
    ids=lambda thing: getattr(thing, "name", ""),
)
def test_a_million_random_patterns_convert_as_ml_dtypes_and_numpy_do(fmt: FloatFormat, theirs: type) -> None:
    patterns = np.random.default_rng(1).integers(0, 1 << 32, 1_000_000, dtype=np.uint32)
    values = patterns.view(np.float32)
    with np.errstate(all="ignore"):
        kept, expected = array.quantise(values, fmt), values.astype(theirs).astype(np.float32)
    np.testing.assert_array_equal(kept, expected)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.signbit(kept[finite]), np.signbit(expected[finite]))


@given(
    values=st.lists(st.floats(width=64) | st.floats(-4, 4), min_size=1, max_size=20),
    fmt=st.sampled_from(VARIED),
    rounding=st.sampled_from(ROUNDINGS),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_numbers_they_convert_as_defined(
    values: list[float], fmt: FloatFormat, rounding: Rounding
) -> None:
    codes, flags = array.encode_with_flags(np.array(values), fmt, rounding)
    expected_codes, expected_flags = by_definition(np.array(values), fmt, rounding)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(flags, expected_flags)


def test_a_tensor_cut_in_pieces_is_rounded_as_a_whole() -> None:
    values = np.random.default_rng(2).standard_normal((300, 150)).astype(np.float32)
    fmt = formats.cfloat8_1_4_3(11)
    whole = array.encode(values, fmt, Stochastic(seed=9))
    later = array.encode(values[100:], fmt, Stochastic(seed=9, first_index=100 * 150))
    np.testing.assert_array_equal(whole[100:], later)
    assert (whole != array.encode(values, fmt, Stochastic(seed=10))).any()
    assert (whole != array.encode(values, fmt)).any()


def test_stochastic_rounding_of_an_array_is_right_in_the_mean_and_rounding_to_nearest_is_not() -> None:
    fmt = formats.cfloat8_1_5_2(15)
    values = np.full(1_000_000, 1.07, np.float32)
    # A quarter of a step at a chance of 0.28: the mean's standard deviation is 1.1e-4; five of them.
    assert abs(array.quantise(values, fmt, Stochastic(seed=4)).mean(dtype=np.float64) - 1.07) < 5.7e-4
    assert abs(array.quantise(values, fmt).mean(dtype=np.float64) - 1.07) > 0.05


def test_codes_take_as_little_room_as_they_can_and_keep_the_shape() -> None:
    for fmt, kind in ((formats.MX_E2M1, np.uint8), (formats.BF16, np.uint16), (formats.TF32, np.uint32)):
        codes = array.encode(np.zeros((2, 0, 3), np.float32), fmt)
        assert codes.dtype == kind
        assert codes.shape == (2, 0, 3)


def test_a_view_with_gaps_converts_like_its_copy() -> None:
    values = np.linspace(-9, 9, 60, dtype=np.float32).reshape(6, 10)[::2, ::-3]
    np.testing.assert_array_equal(array.encode(values, formats.OCP_E4M3), array.encode(values.copy(), formats.OCP_E4M3))
