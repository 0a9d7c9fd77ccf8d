"""Fixed-point elements, against hand and gfloat."""

from __future__ import annotations

import math

import gfloat
import numpy as np
import pytest
from gfloat.formats import format_info_ocp_int8
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.numbers.fixed import MX_INT8, FixedFormat, decode, decode_array, encode, encode_array
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic, dither_numerator

INT4 = FixedFormat("INT4", 4, 1, "made up")


def test_a_few_codes_by_hand() -> None:
    # Steps of 1/64: 1.0 is 64; -1/64 is all ones; 0.5/64 is a tie that goes to 0, 1.5/64 one that goes to 2.
    assert [encode(value, MX_INT8) for value in (1.0, -1 / 64, 0.5 / 64, 1.5 / 64, -0.0)] == [64, 255, 0, 2, 0]
    assert [encode(value, MX_INT8) for value in (5.0, 127.5 / 64, -5.0)] == [127, 127, 129]
    assert (decode(128, MX_INT8), decode(129, MX_INT8), decode(127, MX_INT8)) == (-2.0, -127 / 64, 127 / 64)


def test_every_code_means_what_gfloat_says() -> None:
    theirs = [gfloat.decode_float(format_info_ocp_int8, code).fval for code in range(256)]
    assert [decode(code, MX_INT8) for code in range(256)] == theirs
    np.testing.assert_array_equal(decode_array(np.arange(256, dtype=np.uint8), MX_INT8), theirs)


def test_every_code_that_is_written_is_read_back() -> None:
    for fmt in (MX_INT8, INT4):
        for code in range(1 << fmt.bits):
            if code != 1 << (fmt.bits - 1):
                assert encode(decode(code, fmt), fmt) == code


@given(value=st.floats(-1.98, 1.98))
@settings(max_examples=100, deadline=None)
def test_numbers_are_rounded_as_gfloat_rounds_them(value: float) -> None:
    assert decode(encode(value, MX_INT8), MX_INT8) == gfloat.round_float(format_info_ocp_int8, value)


@given(
    values=st.lists(st.floats(-9, 9) | st.integers(-40, 40).map(lambda n: n / 128), min_size=1, max_size=20),
    fmt=st.sampled_from([MX_INT8, INT4]),
    rounding=st.sampled_from([NEAREST_EVEN, Stochastic(seed=3, first_index=5)]),
)
@settings(max_examples=100, deadline=None)
def test_arrays_convert_as_single_numbers_do(values: list[float], fmt: FixedFormat, rounding: Rounding) -> None:
    codes = encode_array(np.array(values), fmt, rounding)
    assert codes.tolist() == [encode(value, fmt, rounding, index) for index, value in enumerate(values)]
    assert decode_array(codes, fmt).tolist() == [decode(int(code), fmt) for code in codes]


def test_stochastic_rounding_is_right_in_the_mean() -> None:
    values = np.full(200_000, 0.3 / 64)
    # The mean's standard deviation is 0.46 / sqrt(200,000) steps; five of them.
    kept = decode_array(encode_array(values, MX_INT8, Stochastic(seed=1)), MX_INT8).mean() * 64
    assert abs(kept - 0.3) < 5 * math.sqrt(0.21 / 200_000)


@pytest.mark.parametrize("place", [0, 1, 7])
def test_a_number_is_rounded_up_by_exactly_as_many_dithers_as_it_is_above_the_step(place: int) -> None:
    dither = dither_numerator(4, place)
    rounding = Stochastic(seed=4, first_index=place)
    for above, code in ((dither, 0), (dither + 1, 1)):
        value = above / (1 << 24) / 64
        assert encode(value, MX_INT8, rounding) == encode(value, MX_INT8, rounding, 0) == code
        assert encode_array(np.array([value]), MX_INT8, rounding).tolist() == [code]


def test_the_smallest_formats_hold_one_step_either_way() -> None:
    for fraction, step in ((0, 1.0), (1, 0.5)):
        fmt = FixedFormat("INT2", 2, fraction, "made up")
        assert [decode(encode(value, fmt), fmt) for value in (-9.0, 0.0, 9.0)] == [-step, 0.0, step]


def test_a_format_can_be_looked_up_by_what_it_is() -> None:
    assert {MX_INT8: "found"}[FixedFormat("MX_INT8", 8, 6, MX_INT8.source)] == "found"


@pytest.mark.parametrize(("bits", "fraction"), [(1, 0), (9, 6), (8, 8), (4, -1)])
def test_what_could_not_be_a_format_is_refused(bits: int, fraction: int) -> None:
    with pytest.raises(ConfigError, match=rf"^number format odd: expected 2 to 8 bits .* got {bits} and {fraction}$"):
        FixedFormat("odd", bits, fraction, "nobody")


def test_the_highest_exponent_is_that_of_the_largest_number() -> None:
    for fmt in (MX_INT8, INT4):
        assert fmt.highest_exponent == math.floor(math.log2(fmt.largest_steps / 2**fmt.fraction_bits))
