"""The definition, against hand, standards and other people's implementations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

import gfloat
import ml_dtypes
import numpy as np
import pytest
from gfloat.formats import format_info_binary16, format_info_ocp_e5m2
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.numbers import formats
from dojo.machine.numbers.format import FloatFormat, Subnormals
from dojo.machine.numbers.rounding import Flag, Stochastic
from dojo.machine.numbers.scalar import decode, encode, quantise, read_flags

E4M3 = formats.OCP_E4M3
LITERAL = formats.cfloat8_1_4_3(7, subnormals=Subnormals.LITERAL)
EIGHT_BITS = [
    *(make(bias) for make in (formats.cfloat8_1_4_3, formats.cfloat8_1_5_2) for bias in range(64)),
    *(make(7, subnormals=Subnormals.LITERAL) for make in (formats.cfloat8_1_4_3, formats.cfloat8_1_5_2)),
    *(fmt for fmt in formats.FIXED_FORMATS if fmt.bits <= 8),
]
MAKERS: list[Callable[[int], FloatFormat]] = [formats.cfloat8_1_4_3, formats.cfloat8_1_5_2, formats.cfloat16_shp]


def as_gfloat(fmt: FloatFormat) -> gfloat.FormatInfo:
    """A format without special codes, in the words of gfloat."""
    return gfloat.FormatInfo(
        fmt.name,
        fmt.bits,
        fmt.mantissa_bits + 1,
        bias=fmt.bias,
        is_signed=True,
        domain=gfloat.Domain.Finite,
        has_nz=True,
        num_high_nans=0,
        has_subnormals=True,
        is_twos_complement=False,
    )


def same(one: float, other: float) -> bool:
    """Equal, with the sign of zero, and NaN equal to NaN."""
    return (math.isnan(one) and math.isnan(other)) or (
        one == other and math.copysign(1, one) == math.copysign(1, other)
    )


@pytest.mark.parametrize("fmt", EIGHT_BITS, ids=lambda fmt: f"{fmt.name}-{fmt.subnormals.value}")
def test_every_finite_code_of_every_small_format_is_read_and_written_back(fmt: FloatFormat) -> None:
    for code in range(1 << fmt.bits):
        value = decode(code, fmt)
        if math.isnan(value):
            assert math.isnan(quantise(value, fmt))
        elif math.isinf(value):
            assert encode(value, dataclasses.replace(fmt, saturate=False)) == (code, Flag(0))
        else:
            assert encode(value, fmt) == (code, Flag(0))


@pytest.mark.parametrize("make", MAKERS[:2])
def test_every_code_of_cfloat8_with_every_bias_means_what_gfloat_says(make: Callable[[int], FloatFormat]) -> None:
    for bias in range(64):
        other = as_gfloat(make(bias))
        assert all(same(decode(code, make(bias)), gfloat.decode_float(other, code).fval) for code in range(256))


@pytest.mark.parametrize("make", MAKERS)
@given(value=st.builds(math.ldexp, st.floats(-1, 1), st.integers(-80, 40)) | st.just(math.inf), bias=st.integers(0, 63))
@settings(max_examples=60, deadline=None)
def test_configurable_formats_round_and_clamp_as_gfloat_does(
    make: Callable[[int], FloatFormat], value: float, bias: int
) -> None:
    fmt = make(bias)
    expected = gfloat.round_float(as_gfloat(fmt), value, gfloat.RoundMode.TiesToEven, sat=True)
    assert same(quantise(value, fmt), expected)


@pytest.mark.parametrize(
    ("fmt", "theirs"),
    [
        (E4M3, ml_dtypes.float8_e4m3fn),
        (formats.OCP_E5M2, ml_dtypes.float8_e5m2),
        (formats.MX_E3M2, ml_dtypes.float6_e3m2fn),
        (formats.MX_E2M3, ml_dtypes.float6_e2m3fn),
        (formats.MX_E2M1, ml_dtypes.float4_e2m1fn),
        (formats.BF16, ml_dtypes.bfloat16),
        (formats.FP16, np.float16),
    ],
    ids=lambda thing: getattr(thing, "name", ""),
)
def test_every_code_of_the_published_formats_means_what_ml_dtypes_says(fmt: FloatFormat, theirs: type) -> None:
    codes = np.arange(1 << fmt.bits)
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        values = codes.astype(np.uint8 if fmt.bits <= 8 else np.uint16).view(theirs).astype(np.float64)
    assert all(same(decode(int(code), fmt), value) for code, value in zip(codes, values.tolist(), strict=True))


# OFP8 revision 1.0: 448 is the largest, 464 lies half way to the 480 that is NaN, and a tie goes to the even 448.
@pytest.mark.parametrize(
    ("value", "saturating", "not_saturating"),
    [
        (448.0, 448.0, 448.0),
        (464.0, 448.0, 448.0),
        (464.0001, 448.0, math.nan),
        (-1e30, -448.0, math.nan),
        (math.inf, 448.0, math.nan),
        (math.nan, math.nan, math.nan),
        (-0.0, -0.0, -0.0),
        (2.0**-10, 0.0, 0.0),
        (2.0**-10 * 1.0001, 2.0**-9, 2.0**-9),
    ],
)
def test_e4m3_converts_at_its_edges_as_ofp8_says(value: float, saturating: float, not_saturating: float) -> None:
    assert same(quantise(value, E4M3), saturating)
    assert same(quantise(value, dataclasses.replace(E4M3, saturate=False)), not_saturating)


def test_e5m2_keeps_infinity_only_where_it_does_not_saturate() -> None:
    open_ended = dataclasses.replace(formats.OCP_E5M2, saturate=False)
    assert encode(math.inf, open_ended) == (0x7C, Flag(0))
    assert encode(61440.0, open_ended) == (0x7C, Flag.OVERFLOW | Flag.INEXACT)
    assert encode(61439.0, open_ended) == (0x7B, Flag.INEXACT)
    assert encode(-math.inf, formats.OCP_E5M2) == (0xFB, Flag.OVERFLOW | Flag.INEXACT)


@pytest.mark.parametrize("make", MAKERS)
def test_a_configurable_format_clamps_what_it_cannot_hold(make: Callable[[int], FloatFormat]) -> None:
    fmt = make(20)
    for value in (math.inf, 1e30, math.nan):
        flags = Flag.INVALID if math.isnan(value) else Flag.OVERFLOW | Flag.INEXACT
        assert encode(value, fmt) == (fmt.largest_code, flags)
        assert encode(-value, fmt) == (fmt.largest_code | fmt.sign_code, flags)
        assert quantise(value, fmt) == fmt.largest


def test_flags_say_what_was_lost() -> None:
    assert encode(1.0, E4M3).flags == Flag(0)
    assert encode(1.01, E4M3).flags == Flag.INEXACT
    assert encode(2.0**-9, E4M3).flags == Flag(0)  # subnormal and exact is no underflow
    assert encode(2.0**-9 * 1.5, E4M3).flags == Flag.INEXACT | Flag.UNDERFLOW
    assert encode(2.0**-6 * 0.999, E4M3) == (8, Flag.INEXACT | Flag.UNDERFLOW)  # rounded up to a normal number
    assert encode(2.0**-6 * 1.001, E4M3) == (8, Flag.INEXACT)
    assert encode(1e-300, E4M3) == (0, Flag.INEXACT | Flag.UNDERFLOW)
    assert encode(-1e9, E4M3).flags == Flag.OVERFLOW | Flag.INEXACT
    assert encode(math.nan, E4M3).flags == Flag(0)


def test_reading_a_subnormal_code_is_told_also_where_it_is_flushed() -> None:
    assert [read_flags(code, E4M3) for code in (0, 1, 7, 8, 0x80, 0x81, 0x88, 0x7F)] == [
        *(Flag(0), Flag.DENORMAL, Flag.DENORMAL, Flag(0)),
        *(Flag(0), Flag.DENORMAL, Flag(0), Flag(0)),
    ]
    assert read_flags(0x3FF, formats.CFLOAT16_UHP) == Flag.DENORMAL
    assert read_flags(0x400, formats.CFLOAT16_UHP) == Flag(0)


def test_the_hole_of_the_literal_reading_rounds_to_its_nearer_edge() -> None:
    unit = 2.0**-7
    assert decode(7, LITERAL) == 0.875 * unit
    assert decode(8, LITERAL) == 2.0 * unit
    assert quantise(1.43 * unit, LITERAL) == 0.875 * unit
    assert quantise(1.44 * unit, LITERAL) == 2.0 * unit
    assert encode(1.4375 * unit, LITERAL).code == 8  # the middle goes to the even code
    assert encode(0.0625 * unit, LITERAL).code == 0
    assert encode(0.1875 * unit, LITERAL).code == 2


def test_uhp_flushes_subnormals_keeps_what_is_not_finite_and_clamps_what_is_negative() -> None:
    fmt = formats.CFLOAT16_UHP
    assert decode(1, fmt) == 0.0
    assert decode(0x3FF, fmt) == 0.0
    assert encode(2.0**-30, fmt) == (0x400, Flag(0))
    assert encode(2.0**-30 * 0.6, fmt) == (0, Flag.INEXACT | Flag.UNDERFLOW)
    assert encode(2.0**-30 * 0.99999, fmt) == (0x400, Flag.INEXACT | Flag.UNDERFLOW)
    assert encode(1e30, fmt) == (0xFC00, Flag.OVERFLOW | Flag.INEXACT)
    assert encode(math.inf, fmt) == (0xFC00, Flag(0))
    assert encode(-math.nan, fmt) == (0xFE00, Flag(0))
    assert encode(-1.0, fmt) == (0, Flag.OVERFLOW | Flag.INEXACT)
    assert encode(-math.inf, fmt) == (0, Flag.OVERFLOW | Flag.INEXACT)
    assert encode(-0.0, fmt) == (0, Flag(0))


def test_a_code_that_a_format_does_not_have_is_refused() -> None:
    for code in (-1, 256):
        with pytest.raises(ConfigError, match=rf"^OCP_E4M3: expected a code of 0 to 255, got {code}$"):
            decode(code, E4M3)


@given(value=st.floats(-500, 500))
@settings(max_examples=80, deadline=None)
def test_nothing_is_nearer_than_what_rounding_answers(value: float) -> None:
    kept = Fraction(quantise(value, LITERAL)) - Fraction(value)
    assert all(abs(kept) <= abs(Fraction(decode(code, LITERAL)) - Fraction(value)) for code in range(256))


def test_other_implementations_agree_on_ties_in_wider_formats() -> None:
    for value in (1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-25, 3 * 2.0**-25, 65519.99, 65520.0):
        expected = gfloat.round_float(format_info_binary16, value)
        assert same(quantise(value, formats.FP16), expected)
    assert gfloat.round_float(format_info_ocp_e5m2, 1.125) == quantise(1.125, formats.OCP_E5M2) == 1.0


@pytest.mark.parametrize(
    ("fmt", "value"),
    [
        (E4M3, 1.03125),  # a quarter of the way from 1 to 1.125
        (E4M3, -(2.0**-9) * 5.75),  # among the subnormals
        (LITERAL, 2.0**-7),  # in the hole: 1/9 of the way
        (formats.cfloat8_1_5_2(20), 2.0**-25),
        (formats.BF16, 1 + 2.0**-9),
    ],
)
def test_stochastic_rounding_is_right_in_the_mean(fmt: FloatFormat, value: float) -> None:
    count = 4000
    kept = [quantise(value, fmt, Stochastic(seed=11), index) for index in range(count)]
    below, above = min(kept), max(kept)
    assert len(set(kept)) == 2
    assert below < value < above
    share = (value - below) / (above - below)
    # Five standard deviations of the mean: passes by chance in all but one of a million seeds, and the seed is fixed.
    tolerance = 5 * (above - below) * math.sqrt(share * (1 - share) / count)
    assert abs(sum(kept) / count - value) < tolerance


def test_stochastic_rounding_leaves_exact_numbers_alone_and_repeats_itself() -> None:
    again = Stochastic(seed=2**64 - 1, first_index=5)
    assert all(quantise(1.125, E4M3, again, index) == 1.125 for index in range(50))
    first = [quantise(1.05, E4M3, again, index) for index in range(50)]
    assert first == [quantise(1.05, E4M3, again, index) for index in range(50)]
    assert first[3:] == [quantise(1.05, E4M3, Stochastic(2**64 - 1, 8), index) for index in range(47)]
    assert first != [quantise(1.05, E4M3, Stochastic(seed=1), index) for index in range(50)]
