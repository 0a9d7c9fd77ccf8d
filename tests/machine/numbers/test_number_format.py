"""What follows from the theory of a format."""

from __future__ import annotations

import dataclasses
import math

import pytest

from dojo.errors import ConfigError
from dojo.machine.numbers import formats
from dojo.machine.numbers.format import FloatFormat, Specials, Subnormals, ladder

BIASED = (formats.cfloat8_1_4_3, formats.cfloat8_1_5_2, formats.cfloat16_shp)


# OFP8 revision 1.0; MX 1.0, section 5; IEEE 754-2019, table 3.5 (binary16).
@pytest.mark.parametrize(
    ("fmt", "bits", "largest", "smallest_normal", "smallest"),
    [
        (formats.OCP_E4M3, 8, 448.0, 2.0**-6, 2.0**-9),
        (formats.OCP_E5M2, 8, 57344.0, 2.0**-14, 2.0**-16),
        (formats.MX_E3M2, 6, 28.0, 0.25, 0.0625),
        (formats.MX_E2M3, 6, 7.5, 1.0, 0.125),
        (formats.MX_E2M1, 4, 6.0, 1.0, 0.5),
        (formats.FP16, 16, 65504.0, 2.0**-14, 2.0**-24),
        (formats.BF16, 16, (2 - 2.0**-7) * 2.0**127, 2.0**-126, 2.0**-133),
        (formats.TF32, 19, (2 - 2.0**-10) * 2.0**127, 2.0**-126, 2.0**-136),
    ],
)
def test_the_range_is_the_one_the_standard_prints(
    fmt: FloatFormat, bits: int, largest: float, smallest_normal: float, smallest: float
) -> None:
    assert (fmt.bits, fmt.largest, fmt.smallest_normal, fmt.smallest) == (bits, largest, smallest_normal, smallest)


# Tesla's paper: exponents of 1 - b to 15 - b and 31 - b, over all biases -62 to 15 and -62 to 31.
@pytest.mark.parametrize(
    ("make", "top", "significand"),
    [
        (formats.cfloat8_1_4_3, 15, 1.875),
        (formats.cfloat8_1_5_2, 31, 1.75),
        (formats.cfloat16_shp, 31, 2 - 2.0**-10),
    ],
)
def test_a_bias_moves_the_range_of_a_configurable_format_as_the_paper_prints(
    make: type, top: int, significand: float
) -> None:
    for bias in range(64):
        fmt = make(bias)
        assert fmt.largest == significand * 2.0 ** (top - bias)
        assert fmt.smallest_normal == 2.0 ** (1 - bias)
        assert fmt.smallest == 2.0 ** (1 - bias - fmt.mantissa_bits)
        assert fmt.infinity_code is None
        assert fmt.nan_code is None
    assert math.log2(make(63).smallest_normal) == -62


@pytest.mark.parametrize("make", BIASED)
@pytest.mark.parametrize("bias", [-1, 64])
def test_a_bias_of_more_than_six_bits_is_refused(make: type, bias: int) -> None:
    with pytest.raises(ConfigError, match=rf"expected a bias of 0 to 63 \(six bits, unsigned\), got {bias}$"):
        make(bias)


def test_the_literal_reading_leaves_a_hole_below_the_normal_numbers_and_the_default_does_not() -> None:
    gradual = formats.cfloat8_1_4_3(7)
    literal = formats.cfloat8_1_4_3(7, subnormals=Subnormals.LITERAL)
    for fmt, last_subnormal in ((gradual, 0.875 * 2.0**-6), (literal, 0.875 * 2.0**-7)):
        assert ladder(fmt)[7] * 2.0**fmt.step_exponent == last_subnormal
        assert ladder(fmt)[8] * 2.0**fmt.step_exponent == 2.0**-6
        assert fmt.largest == 1.875 * 2.0**8
    assert ladder(gradual)[8] - ladder(gradual)[7] == 1
    assert ladder(literal)[8] - ladder(literal)[7] == 9


# What follows 448, 57344, 6 and 1.875 * 2^8 if the exponent goes on: from there on nothing rounds to the largest.
@pytest.mark.parametrize(
    ("fmt", "follows"),
    [(formats.OCP_E4M3, 480.0), (formats.OCP_E5M2, 65536.0), (formats.MX_E2M1, 8.0), (formats.cfloat8_1_4_3(7), 512.0)],
)
def test_the_ladder_ends_with_what_would_follow_the_largest(fmt: FloatFormat, follows: float) -> None:
    steps = ladder(fmt)
    assert len(steps) == fmt.largest_code + 2
    assert math.ldexp(steps[-1], fmt.step_exponent) == follows
    assert math.ldexp(steps[fmt.smallest_normal_code], fmt.step_exponent) == fmt.smallest_normal


def test_uhp_has_no_sign_and_reads_no_subnormals() -> None:
    fmt = formats.CFLOAT16_UHP
    assert fmt.bits == 16
    assert fmt.sign_code == 1 << 16
    assert fmt.largest == (2 - 2.0**-10) * 2.0**31
    assert fmt.smallest == fmt.smallest_normal == 2.0**-30
    assert fmt.infinity_code == 0xFC00
    assert fmt.nan_code == 0xFE00


def test_what_is_too_large_gets_the_code_its_format_has_for_it() -> None:
    assert formats.OCP_E4M3.beyond_code == 0x7E
    assert formats.OCP_E4M3.nan_code == 0x7F
    assert dataclasses.replace(formats.OCP_E4M3, saturate=False).beyond_code == 0x7F
    assert formats.OCP_E5M2.beyond_code == 0x7B
    assert dataclasses.replace(formats.OCP_E5M2, saturate=False).beyond_code == 0x7C
    assert formats.OCP_E5M2.nan_code == 0x7E
    assert formats.BF16.beyond_code == 0x7F80


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent_bits": 1}, "expected 2 or more exponent bits, .* got 1 and 3"),
        ({"mantissa_bits": 0}, "got 4 and 0"),
        ({"exponent_bits": 8, "mantissa_bits": 11, "bias": 127}, "at most 19 in all, got 8 and 11"),
        ({"bias": 128}, "expected a bias that keeps every value within float32, got 128$"),
        ({"bias": -113}, "within float32, got -113$"),
        ({"exponent_bits": 8, "mantissa_bits": 10, "bias": 127, "specials": Specials.NONE}, "within float32, got 127$"),
        ({"specials": Specials.NONE, "saturate": False}, "can only saturate: set saturate=True$"),
    ],
)
def test_a_format_that_could_not_work_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(formats.OCP_E4M3, **changes)  # type: ignore[arg-type]


def test_the_widest_biases_that_float32_holds_are_accepted() -> None:
    assert dataclasses.replace(formats.OCP_E4M3, bias=-112).largest == 1.75 * 2.0**127
    assert dataclasses.replace(formats.OCP_E4M3, bias=127).smallest == 2.0**-129


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"^number format OCP_E4M3: expected 2 or more .*; without infinity or NaN"):
        dataclasses.replace(formats.OCP_E4M3, exponent_bits=1, specials=Specials.NONE, saturate=False)


def test_the_formats_with_a_fixed_bias_are_listed() -> None:
    assert set(formats.FIXED_FORMATS) == {fmt for fmt in vars(formats).values() if isinstance(fmt, FloatFormat)}
