"""The fast twin of the definition, for NumPy arrays.

In: float32 or float64 arrays, or codes. Out: codes in the smallest unsigned type, float32 values, flags.
Idea: in general, the exponent of a number says how many steps it is, floor says which code lies below, and what is
left decides. Every product and difference in it is exact in float64, so the choice is the definition's. For eight
bits and fewer, to nearest, a shorter way: fold a float32 into its upper 16 bits, setting the last of them if anything
was cut off (rounding to odd), and look the code up. With at least two bits more than the format keeps, rounding to
odd first does not change what rounding to nearest answers afterwards. For wider formats, to nearest: add a power of two
so large that float32 itself keeps no more places than the format, and the addition rounds; or, where the exponents are
float32's own, half a step as integers.
Not here: the definition (`scalar.py`), the twin for torch (`tensor.py`).
Source: Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
odd".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt, UInt8, UInt32

from dojo.machine.numbers.format import FloatFormat, Specials, Subnormals
from dojo.machine.numbers.rounding import (
    DITHER_BITS,
    GAMMA,
    LAST_SHIFT,
    MIX,
    NEAREST_EVEN,
    Flag,
    NearestEven,
    Rounding,
    Stochastic,
)

# Values handled at once: what a block needs stays in the cache.
_BLOCK = 1 << 16


def encode(
    values: Float[np.ndarray, "*shape"], fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN
) -> UInt[np.ndarray, "*shape"]:
    """The codes of an array; the index of an element is its place in C order."""
    codes = np.empty(values.size, _code_type(fmt))
    if _fits_the_table(values, fmt, rounding):
        _look_up(values, _nearest_tables(fmt)[0], codes)
    elif _rounds_in_float32(values, fmt, rounding):
        bits = np.ravel(values).view(np.uint32)
        (_upper_halves if _is_an_upper_half(fmt) else _round_in_float32)(bits, fmt, codes)
    else:
        _in_blocks(values, rounding, lambda block, dither: (_encode_block(block, fmt, dither)[0],), (codes,))
    return codes.reshape(values.shape)


def encode_with_flags(
    values: Float[np.ndarray, "*shape"], fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN
) -> tuple[UInt[np.ndarray, "*shape"], UInt8[np.ndarray, "*shape"]]:
    """The codes of an array, and for each the `Flag`s."""
    codes, flags = np.empty(values.size, _code_type(fmt)), np.empty(values.size, np.uint8)
    if _fits_the_table(values, fmt, rounding):
        tables = _nearest_tables(fmt)
        _look_up(values, tables[0], codes)
        _look_up(values, tables[1], flags)
    else:
        _in_blocks(values, rounding, lambda block, dither: _encode_block(block, fmt, dither), (codes, flags))
    return codes.reshape(values.shape), flags.reshape(values.shape)


def decode(codes: UInt[np.ndarray, "*shape"], fmt: FloatFormat) -> Float32[np.ndarray, "*shape"]:
    """The values of an array of codes, exactly; bits above the format's are ignored."""
    return np.take(_decode_table(fmt), codes, mode="wrap")


def read_flags(codes: UInt[np.ndarray, "*shape"], fmt: FloatFormat) -> UInt8[np.ndarray, "*shape"]:
    """What reading each code tells: that it is subnormal, also where such are read as zero."""
    magnitude = codes & (fmt.sign_code - 1)
    denormal = (magnitude > 0) & (magnitude < fmt.smallest_normal_code)
    return denormal.astype(np.uint8) * np.uint8(Flag.DENORMAL)


def quantise(
    values: Float[np.ndarray, "*shape"], fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN
) -> Float32[np.ndarray, "*shape"]:
    """What is left of an array after it has been stored in a format."""
    if not _fits_the_table(values, fmt, rounding):
        return decode(encode(values, fmt, rounding), fmt)
    kept = np.empty(values.size, np.float32)
    _look_up(values, _nearest_tables(fmt)[2], kept)
    return kept.reshape(values.shape)


def dithers(seed: int, first_index: int, count: int) -> Float64[np.ndarray, " count"]:
    """The dithers of consecutive elements, between 0 and 1."""
    with np.errstate(over="ignore"):
        word = np.arange(first_index + 1, first_index + 1 + count, dtype=np.uint64) * np.uint64(GAMMA)
        word += np.uint64(seed)
        for shift, factor in MIX:
            word ^= word >> np.uint64(shift)
            word *= np.uint64(factor)
        word ^= word >> np.uint64(LAST_SHIFT)
    word >>= np.uint64(64 - DITHER_BITS)
    return np.ldexp(2.0 * word.astype(np.float64) + 1.0, -1 - DITHER_BITS)


def _code_type(fmt: FloatFormat) -> type[np.unsignedinteger]:
    return np.uint8 if fmt.bits <= 8 else np.uint16 if fmt.bits <= 16 else np.uint32


Dither = Float64[np.ndarray, " n"] | None


def _in_blocks(
    values: Float[np.ndarray, "*shape"],
    rounding: Rounding,
    convert: Callable[[Float64[np.ndarray, " n"], Dither], tuple[np.ndarray, ...]],
    results: tuple[np.ndarray, ...],
) -> None:
    """Fill flat results, a block at a time."""
    flat = np.ravel(values)
    for start in range(0, flat.size, _BLOCK):
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
            block = flat[start : start + _BLOCK].astype(np.float64)
        dither = None
        if isinstance(rounding, Stochastic):
            dither = dithers(rounding.seed, rounding.first_index + start, block.size)
        for result, part in zip(results, convert(block, dither), strict=True):
            result[start : start + block.size] = part


def _encode_block(
    values: Float64[np.ndarray, " n"], fmt: FloatFormat, dither: Dither
) -> tuple[Int64[np.ndarray, " n"], UInt8[np.ndarray, " n"]]:
    """Codes and flags of a block: the magnitude first, then what is not finite, then the sign."""
    nan, infinite, negative = np.isnan(values), np.isinf(values), np.signbit(values)
    magnitude = np.where(nan | infinite, 0.0, np.abs(values))
    codes = _nearest_or_dithered(magnitude, fmt, dither)
    if fmt.subnormals is Subnormals.FLUSHED:
        codes[codes < fmt.smallest_normal_code] = 0
    overflow = (codes > fmt.largest_code) | infinite
    codes[overflow] = fmt.beyond_code
    if fmt.infinity_code is not None and not fmt.saturate:
        overflow &= ~infinite
    exact = _magnitudes_of(codes, fmt) == magnitude
    flags = np.where(overflow, int(Flag.OVERFLOW | Flag.INEXACT), 0).astype(np.uint8)
    lossy = ~(exact | overflow | infinite)
    flags[lossy] = Flag.INEXACT
    flags[lossy & (magnitude < fmt.smallest_normal)] = Flag.INEXACT | Flag.UNDERFLOW
    codes[nan] = fmt.largest_code if fmt.nan_code is None else fmt.nan_code
    flags[nan] = Flag.INVALID if fmt.nan_code is None else 0
    if fmt.signed:
        codes[negative] |= fmt.sign_code
    else:
        below = negative & ~nan
        codes[below] = 0
        flags[below] = np.where(values[below] == 0, 0, int(Flag.OVERFLOW | Flag.INEXACT))
    return codes, flags


def _nearest_or_dithered(
    magnitude: Float64[np.ndarray, " n"], fmt: FloatFormat, dither: Dither
) -> Int64[np.ndarray, " n"]:
    """Codes without sign, counted on beyond the largest."""
    lowest = 1 - fmt.bias
    exponent = np.frexp(np.maximum(magnitude, fmt.smallest_normal))[1] - 1
    steps = np.ldexp(magnitude, fmt.mantissa_bits - exponent)
    whole = np.floor(steps)
    rest = steps - whole
    codes = ((exponent - lowest).astype(np.int64) << fmt.mantissa_bits) + whole.astype(np.int64)
    gap: Float64[np.ndarray, " n"] | float = 1.0
    if fmt.subnormals is Subnormals.LITERAL:
        # Below the smallest normal number, steps are half as wide and end before it: the last gap is the hole.
        small = magnitude < fmt.smallest_normal
        last = float(fmt.smallest_normal_code - 1)
        whole = np.minimum(np.floor(2.0 * steps), last)
        codes = np.where(small, whole.astype(np.int64), codes)
        gap = np.where(small & (whole == last), last + 2.0, 1.0)
        rest = np.where(small, 2.0 * steps - whole, rest)
    if dither is not None:
        return codes + (dither * gap < rest)
    return codes + ((2.0 * rest > gap) | ((2.0 * rest == gap) & (codes % 2 == 1)))


def _magnitudes_of(codes: Int64[np.ndarray, "*shape"], fmt: FloatFormat) -> Float64[np.ndarray, "*shape"]:
    """The values of codes without sign, as if every one were finite."""
    exponent, mantissa = codes >> fmt.mantissa_bits, codes & (fmt.smallest_normal_code - 1)
    normal = exponent > 0
    shift = exponent if fmt.subnormals is Subnormals.LITERAL else exponent - 1
    steps = np.where(normal, fmt.smallest_normal_code + mantissa, mantissa)
    if fmt.subnormals is Subnormals.FLUSHED:
        steps = np.where(normal, steps, 0)
    return np.ldexp(steps.astype(np.float64), (np.where(normal, shift, 0) + fmt.step_exponent).astype(np.int32))


def _values_of(codes: Int64[np.ndarray, "*shape"], fmt: FloatFormat) -> Float32[np.ndarray, "*shape"]:
    magnitude_codes = codes & (fmt.sign_code - 1)
    magnitude = _magnitudes_of(np.minimum(magnitude_codes, fmt.largest_code), fmt)
    magnitude[magnitude_codes > fmt.largest_code] = np.nan
    if fmt.infinity_code is not None:
        magnitude[magnitude_codes == fmt.infinity_code] = np.inf
    return np.where(codes >= fmt.sign_code, -magnitude, magnitude).astype(np.float32)


@lru_cache(maxsize=256)
def _decode_table(fmt: FloatFormat) -> Float32[np.ndarray, " codes"]:
    return _values_of(np.arange(1 << fmt.bits), fmt)


def _fits_the_table(values: Float[np.ndarray, "*shape"], fmt: FloatFormat, rounding: Rounding) -> bool:
    """Whether 16 bits, rounded to odd, decide: two bits to spare, and no step finer than theirs."""
    spare = fmt.mantissa_bits <= 5 and fmt.bits <= 8
    return spare and values.dtype == np.float32 and isinstance(rounding, NearestEven)


@lru_cache(maxsize=64)
def _nearest_tables(
    fmt: FloatFormat,
) -> tuple[UInt8[np.ndarray, "65536"], UInt8[np.ndarray, "65536"], Float32[np.ndarray, "65536"]]:
    """Code, flags and value for each upper half of a float32."""
    upper = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        codes, flags = _encode_block(upper.astype(np.float64), fmt, None)
    return codes.astype(np.uint8), flags, _values_of(codes, fmt)


def _look_up(values: Float32[np.ndarray, "*shape"], table: np.ndarray, result: np.ndarray) -> None:
    """Fill a flat result from a table with one entry for each upper half of a float32."""
    bits = np.ravel(values).view(np.uint32)
    low = np.uint32(0xFFFF)
    folded, key = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.intp)
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        fold, place = folded[: block.size], key[: block.size]
        # Adding all ones to the lower half carries into the upper half's last place if anything is there.
        np.bitwise_and(block, low, out=fold)
        np.add(fold, low, out=fold)
        np.bitwise_or(fold, block, out=fold)
        np.right_shift(fold, np.uint32(16), out=fold)
        place[:] = fold
        np.take(table, place, out=result[start : start + _BLOCK], mode="wrap")


_INFINITY = 0x7F800000


def _has_float32s_exponents(fmt: FloatFormat) -> bool:
    return fmt.exponent_bits == 8 and fmt.bias == 127 and fmt.specials is Specials.TOP_EXPONENT


def _is_an_upper_half(fmt: FloatFormat) -> bool:
    return _has_float32s_exponents(fmt) and fmt.bits == 16 and not fmt.saturate


def _rounds_in_float32(values: Float[np.ndarray, "*shape"], fmt: FloatFormat, rounding: Rounding) -> bool:
    """Whether float32 arithmetic rounds as the format does: it has room for what is added, or the same exponents."""
    highest = (fmt.largest_code >> fmt.mantissa_bits) - fmt.bias
    room = highest + 24 - fmt.mantissa_bits <= 127 and fmt.step_exponent >= -124
    plain = fmt.signed and fmt.subnormals is Subnormals.GRADUAL and isinstance(rounding, NearestEven)
    return plain and values.dtype == np.float32 and (room or _has_float32s_exponents(fmt))


def _round_in_float32(bits: UInt32[np.ndarray, " n"], fmt: FloatFormat, codes: UInt[np.ndarray, " n"]) -> None:
    """Fill codes, a block at a time."""
    rounded = _codes_by_half_a_step if _has_float32s_exponents(fmt) else _codes_by_adding
    nan_code = np.uint32(fmt.largest_code if fmt.nan_code is None else fmt.nan_code)
    shift = np.uint32(32 - fmt.bits)
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        magnitude = block & np.uint32(0x7FFFFFFF)
        found = np.minimum(rounded(magnitude, fmt), np.uint32(fmt.beyond_code))
        if magnitude.max() > _INFINITY:
            found[magnitude > _INFINITY] = nan_code
        np.bitwise_or(found, (block >> shift) & np.uint32(fmt.sign_code), out=found)
        codes[start : start + _BLOCK] = found


def _upper_halves(bits: UInt32[np.ndarray, " n"], fmt: FloatFormat, codes: UInt[np.ndarray, " n"]) -> None:
    """Fill codes that are float32's upper halves, sign and all; from the largest number the carry makes infinity."""
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        total = block >> np.uint32(16)
        total &= np.uint32(1)
        total += np.uint32(0x7FFF)
        total += block
        total >>= np.uint32(16)
        if np.isnan(block.view(np.float32).max()):
            nan = np.isnan(block.view(np.float32))
            total[nan] = np.uint32(fmt.nan_code or 0) | (block[nan] >> np.uint32(16)) & np.uint32(fmt.sign_code)
        codes[start : start + _BLOCK] = total


def _codes_by_half_a_step(magnitude: UInt32[np.ndarray, " n"], fmt: FloatFormat) -> UInt32[np.ndarray, " n"]:
    """Codes without sign; half a step more for an odd code than for an even one, less the smallest part."""
    places = np.uint32(23 - fmt.mantissa_bits)
    half = np.uint32((1 << (22 - fmt.mantissa_bits)) - 1)
    odd = (magnitude >> places) & np.uint32(1)
    odd += magnitude
    odd += half
    return odd >> places


def _codes_by_adding(magnitude: UInt32[np.ndarray, " n"], fmt: FloatFormat) -> UInt32[np.ndarray, " n"]:
    """Codes without sign; what is too large counts as the power of two after the largest number."""
    highest = (fmt.largest_code >> fmt.mantissa_bits) - fmt.bias
    places = np.uint32(23 - fmt.mantissa_bits)
    held = np.minimum(magnitude, np.uint32((highest + 128) << 23))
    exponent = np.maximum(held & np.uint32(_INFINITY), np.uint32((128 - fmt.bias) << 23))
    addend = exponent + (places << np.uint32(23))
    total = (held.view(np.float32) + addend.view(np.float32)).view(np.uint32)
    total -= addend
    exponent >>= places
    total += exponent
    # Wraps while the exponent alone is below the format's zero; the sum is not.
    total -= np.uint32((128 - fmt.bias) << fmt.mantissa_bits)
    return total
