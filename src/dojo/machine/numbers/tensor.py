"""The fast twin of the definition, for torch tensors on any device.

In: float32, bfloat16 or float16 tensors, or codes. Out: codes, float32 values, flags.
Idea: take the float32 apart with integers, so that nothing depends on how a device treats subnormals or contracts
products; only the last comparison is in floating point, and it is exact. Every step is elementwise, without branches
on values, so `torch.compile` fuses it into one pass. Rounding to nearest has shorter ways where the format leaves room
for them. Codes: torch's own cast on a CPU, where it lays codes out alike, a power of two away; else add half a step to
the bits and shift. Values: add a power of two so large that float32 itself keeps no more places than the format, and
the addition rounds, to even at ties.
Not here: the definition (`scalar.py`), the twin that needs no torch (`array.py`), when and what to store during
training (`dojo.train`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64, Shaped, UInt8
from torch import Tensor

from dojo.errors import ConfigError
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

_SIGNIFICAND = 0x7FFFFF
_INFINITY = 0x7F800000
_INDEX_MASK = (1 << 63) - 1

# Values of a tensor on a CPU that are handled at once.
_BLOCK = 1 << 16


def encode(
    values: Float[Tensor, "*shape"], fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN
) -> UInt8[Tensor, "*shape"] | Int32[Tensor, "*shape"]:
    """The codes of a tensor, in uint8 where they fit and int32 elsewhere; an element's index is its place in C order.

    Raises:
        ConfigError: the values are float64, which this twin would round twice; use `array.py`.
    """
    exact = as_float32(values)
    own = _torchs_own(fmt) if _rounds_by_adding(fmt, rounding) else None
    if own is not None and exact.device.type == "cpu" and not torch.compiler.is_compiling():
        return _encode_by_torch(exact, fmt, own)
    codes = _encode_to_nearest(exact, fmt) if _rounds_by_adding(fmt, rounding) else _encode(exact, fmt, rounding)[0]
    return _narrowed(codes, fmt)


def encode_with_flags(
    values: Float[Tensor, "*shape"], fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN
) -> tuple[UInt8[Tensor, "*shape"] | Int32[Tensor, "*shape"], UInt8[Tensor, "*shape"]]:
    """The codes of a tensor, and for each the `Flag`s.

    Raises:
        ConfigError: as `encode`.
    """
    exact = as_float32(values)
    codes, overflow = _encode(exact, fmt, rounding)
    kept = _decode(codes, fmt)
    magnitude = exact.abs()
    nan = magnitude.isnan()
    inexact = (kept != exact) & ~nan
    flags = inexact.to(torch.uint8) * int(Flag.INEXACT)
    small = inexact & ~overflow & (magnitude < fmt.smallest_normal)
    flags |= small.to(torch.uint8) * int(Flag.UNDERFLOW)
    flags |= (overflow & inexact).to(torch.uint8) * int(Flag.OVERFLOW)
    if fmt.nan_code is None:
        flags |= nan.to(torch.uint8) * int(Flag.INVALID)
    return _narrowed(codes, fmt), flags


def decode(codes: UInt8[Tensor, "*shape"] | Int32[Tensor, "*shape"], fmt: FloatFormat) -> Float32[Tensor, "*shape"]:
    """The values of a tensor of codes, exactly."""
    return _decode(codes.to(torch.int32), fmt)


def read_flags(codes: UInt8[Tensor, "*shape"] | Int32[Tensor, "*shape"], fmt: FloatFormat) -> UInt8[Tensor, "*shape"]:
    """What reading each code tells: that it is subnormal, also where such are read as zero."""
    magnitude = codes.to(torch.int32) & (fmt.sign_code - 1)
    return ((magnitude > 0) & (magnitude < fmt.smallest_normal_code)).to(torch.uint8) * int(Flag.DENORMAL)


def quantise(
    values: Float[Tensor, "*shape"], fmt: FloatFormat, rounding: Rounding = NEAREST_EVEN
) -> Float32[Tensor, "*shape"]:
    """What is left of a tensor after it has been stored in a format.

    Raises:
        ConfigError: as `encode`.
    """
    exact = as_float32(values)
    if not _rounds_by_adding(fmt, rounding):
        return _decode(_encode(exact, fmt, rounding)[0], fmt)
    if exact.device.type == "cpu" and exact.numel() > _BLOCK and not torch.compiler.is_compiling():
        # A block at a time, so that what lies between the steps stays in the cache.
        kept = torch.empty_like(exact)
        flat, into = _in_memory_order(exact, kept), _in_memory_order(kept, kept)
        for start in range(0, flat.numel(), _BLOCK):
            into[start : start + _BLOCK] = _quantise_by_adding(flat[start : start + _BLOCK], fmt)
        return kept
    return _quantise_by_adding(exact, fmt)


def _in_memory_order(values: Shaped[Tensor, "*shape"], like: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, " n"]:
    """One row of numbers as they lie in memory, if they lie there as `like` does; else in the order of `like`."""
    same = values if values.stride() == like.stride() else torch.empty_like(like, dtype=values.dtype).copy_(values)
    return same.as_strided((same.numel(),), (1,))


def dithers(rounding: Stochastic, shape: torch.Size, device: torch.device) -> Float32[Tensor, "*shape"]:
    """The dithers of a tensor's elements, between 0 and 1."""
    first = rounding.first_index + 1
    index = torch.arange(first, first + shape.numel(), dtype=torch.int64, device=device)
    # The mask changes no index. torch.compile works out products of an index as whole numbers without end, which do not
    # wrap; after a step on bits it does not.
    word = (index & _INDEX_MASK) * _signed(GAMMA)
    word += _signed(rounding.seed)
    for shift, factor in MIX:
        word = (word ^ _shift_right(word, shift)) * _signed(factor)
    word = _shift_right(word ^ _shift_right(word, LAST_SHIFT), 64 - DITHER_BITS)
    return ((2 * word + 1).to(torch.float32) * 2.0 ** (-1 - DITHER_BITS)).reshape(shape)


def _signed(word: int) -> int:
    """The same 64 bits, as torch's signed integers write them."""
    return word - (1 << 64) if word >= 1 << 63 else word


def _shift_right(word: Int64[Tensor, " n"], places: int) -> Int64[Tensor, " n"]:
    """Shift as if unsigned."""
    return (word >> places) & ((1 << (64 - places)) - 1)


def as_float32(values: Float[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """The same numbers, where no place of them is lost.

    Raises:
        ConfigError: they are float64.
    """
    if values.dtype == torch.float64:
        raise ConfigError(
            "number formats in torch: expected float32 or narrower, got float64, which would be rounded twice; "
            "use dojo.machine.numbers.array, or convert first"
        )
    return values.to(torch.float32)


def _encode(
    values: Float32[Tensor, "*shape"], fmt: FloatFormat, rounding: Rounding
) -> tuple[Int32[Tensor, "*shape"], Bool[Tensor, "*shape"]]:
    """The codes, and where a number was out of range."""
    pattern = values.contiguous().view(torch.int32)
    negative, pattern = pattern < 0, pattern & 0x7FFFFFFF
    nan, infinite = pattern > _INFINITY, pattern == _INFINITY
    if _rounds_by_adding(fmt, rounding):
        codes = _codes_by_half_a_step(pattern, fmt)
    else:
        codes = _long_way(pattern, fmt, rounding)
    if fmt.subnormals is Subnormals.FLUSHED:
        codes = torch.where(codes < fmt.smallest_normal_code, 0, codes)
    overflow = ((codes > fmt.largest_code) | infinite) & ~nan
    codes = torch.where(overflow, fmt.beyond_code, codes)
    codes = torch.where(nan, fmt.largest_code if fmt.nan_code is None else fmt.nan_code, codes)
    if fmt.signed:
        return torch.where(negative, codes | fmt.sign_code, codes), overflow
    below = negative & ~nan
    return torch.where(below, 0, codes), (overflow & ~below) | (below & (pattern > 0))


def _encode_to_nearest(values: Float32[Tensor, "*shape"], fmt: FloatFormat) -> Int32[Tensor, "*shape"]:
    """The codes of numbers that are rounded to nearest; no more steps than that takes, for a compiler to fuse."""
    pattern = values.contiguous().view(torch.int32)
    magnitude = pattern & 0x7FFFFFFF
    codes = _codes_by_half_a_step(magnitude, fmt).clamp(max=fmt.beyond_code)
    nan_code = fmt.largest_code if fmt.nan_code is None else fmt.nan_code
    if nan_code != fmt.beyond_code:
        codes = torch.where(magnitude > _INFINITY, nan_code, codes)
    return codes | ((pattern >> (32 - fmt.bits)) & fmt.sign_code)


def _codes_by_half_a_step(pattern: Int32[Tensor, "*shape"], fmt: FloatFormat) -> Int32[Tensor, "*shape"]:
    """As `_long_way`, to nearest: half a step more for an odd code than for an even one, less the smallest part.

    Numbers that are subnormal in float32 are taken for larger ones, which are still too small for the format.
    """
    field = pattern >> 23
    above = field - (128 - fmt.bias)
    # With 25 places nothing is left of 24 bits, not even by rounding up.
    places = (-above).clamp(min=0, max=2 + fmt.mantissa_bits) + (23 - fmt.mantissa_bits)
    significand = (pattern & _SIGNIFICAND) | (_SIGNIFICAND + 1)
    half = (torch.ones_like(places) << (places - 1)) - 1
    rounded = (significand + ((significand >> places) & 1) + half) >> places
    return rounded + (above.clamp(min=0) << fmt.mantissa_bits)


@dataclass(frozen=True, slots=True)
class _Own:
    """A cast of torch's that lays its codes out as a format does.

    Args:
        bias: of the cast; a format with another is a power of two away.
        suspect: the lowest code, without sign, that torch may have written for what is not finite or too large.
        limit: what is larger is beyond the largest number of any format laid out so.
    """

    kind: torch.dtype
    bias: int
    suspect: int
    limit: float
    specials: tuple[Specials, ...]


_OWN = {
    (4, 3): _Own(torch.float8_e4m3fn, 7, 0x7E, 464.0, (Specials.NONE, Specials.LAST_CODE)),
    (5, 2): _Own(torch.float8_e5m2, 15, 0x7C, 61440.0 - 2.0**-8, (Specials.TOP_EXPONENT,)),
}


def _torchs_own(fmt: FloatFormat) -> _Own | None:
    own = _OWN.get((fmt.exponent_bits, fmt.mantissa_bits))
    return own if own is not None and fmt.specials in own.specials else None


def _encode_by_torch(values: Float32[Tensor, "*shape"], fmt: FloatFormat, own: _Own) -> UInt8[Tensor, "*shape"]:
    """The codes by torch's own cast, but for what is not finite or too large, which its versions answer differently."""
    kept = torch.empty_like(values, dtype=own.kind)
    codes = kept.view(torch.uint8)
    flat, into, seen = (_in_memory_order(one, kept) for one in (values, kept, codes))
    factor = 2.0 ** (fmt.bias - own.bias)
    nan_code = fmt.largest_code if fmt.nan_code is None else fmt.nan_code
    for start in range(0, flat.numel(), _BLOCK):
        block, found = flat[start : start + _BLOCK], seen[start : start + _BLOCK]
        scaled = block if factor == 1.0 else block * factor
        into[start : start + _BLOCK].copy_(scaled)
        if int((found & 0x7F).max()) >= own.suspect:
            beyond = torch.where(scaled.isnan(), nan_code, fmt.beyond_code).to(torch.uint8)
            beyond |= scaled.signbit().to(torch.uint8) << 7
            found.copy_(torch.where(scaled.abs() <= own.limit, found, beyond))
    return codes


def _narrowed(codes: Int32[Tensor, "*shape"], fmt: FloatFormat) -> UInt8[Tensor, "*shape"] | Int32[Tensor, "*shape"]:
    """In uint8 where they fit."""
    if fmt.bits > 8:
        return codes
    # torch.compile narrows floats many at a time, and whole numbers one by one.
    return codes.to(torch.float32).to(torch.uint8) if torch.compiler.is_compiling() else codes.to(torch.uint8)


def _rounds_by_adding(fmt: FloatFormat, rounding: Rounding) -> bool:
    """Whether float32 has room above the format for what is added, and no value of the format is subnormal in it."""
    room = _highest_exponent(fmt) + 24 - fmt.mantissa_bits <= 127 and fmt.step_exponent >= -124
    return room and fmt.signed and fmt.subnormals is Subnormals.GRADUAL and isinstance(rounding, NearestEven)


def _highest_exponent(fmt: FloatFormat) -> int:
    return (fmt.largest_code >> fmt.mantissa_bits) - fmt.bias


def _sum_and_addend(
    pattern: Int32[Tensor, "*shape"], fmt: FloatFormat
) -> tuple[Float32[Tensor, "*shape"], Int32[Tensor, "*shape"], Int32[Tensor, "*shape"]]:
    """The sum that rounds, the bits of what was added, and the exponent fields; what is too large counts as the next
    power."""
    held = pattern.clamp(max=(_highest_exponent(fmt) + 1 + 127) << 23)
    exponent = (held & _INFINITY).clamp(min=(128 - fmt.bias) << 23)
    addend = exponent + ((23 - fmt.mantissa_bits) << 23)
    return held.view(torch.float32) + addend.view(torch.float32), addend, exponent


def _quantise_by_adding(values: Float32[Tensor, "*shape"], fmt: FloatFormat) -> Float32[Tensor, "*shape"]:
    """What is left of numbers that are rounded to nearest, without going through codes."""
    pattern = values.view(torch.int32) & 0x7FFFFFFF
    total, addend, _ = _sum_and_addend(pattern, fmt)
    kept = total - addend.view(torch.float32)
    if fmt.saturate:
        kept = kept.clamp(max=fmt.largest)
    else:
        kept = torch.where(kept > fmt.largest, torch.nan if fmt.infinity_code is None else torch.inf, kept)
    if fmt.nan_code is not None:
        kept = torch.where(pattern > _INFINITY, torch.nan, kept)
    return torch.copysign(kept, values)


def _long_way(pattern: Int32[Tensor, "*shape"], fmt: FloatFormat, rounding: Rounding) -> Int32[Tensor, "*shape"]:
    """Codes without sign, counted on beyond the largest, from the bits of float32 magnitudes."""
    lowest = 1 - fmt.bias
    field = pattern >> 23
    significand = (pattern & _SIGNIFICAND) | (field > 0).to(torch.int32) << 23
    exponent = field.clamp(min=1) - 127
    shift = (lowest - exponent).clamp(min=0) + (23 - fmt.mantissa_bits)
    codes = (exponent - lowest).clamp(min=0) << fmt.mantissa_bits
    if fmt.subnormals is Subnormals.LITERAL:
        small = exponent < lowest
        shift = torch.where(small, shift - 1, shift)
    # Beyond 30 places nothing is left below the dither's resolution, and a shift of 32 would wrap.
    places = shift.clamp(max=30)
    whole = significand >> places
    rest = torch.ldexp((significand & ((1 << places) - 1)).to(torch.float32), -shift.clamp(max=60))
    if fmt.subnormals is not Subnormals.LITERAL:
        codes = codes + whole
        if isinstance(rounding, Stochastic):
            return codes + (dithers(rounding, pattern.shape, pattern.device) < rest).to(torch.int32)
        return codes + ((rest > 0.5) | ((rest == 0.5) & (codes % 2 == 1))).to(torch.int32)
    # The gap after the last subnormal is wider than a step, by a number float32 cannot multiply a dither by exactly.
    last = fmt.smallest_normal_code - 1
    held = torch.where(small, whole.clamp(max=last), whole)
    way = rest.to(torch.float64) + (whole - held)
    gap = torch.where(small & (held == last), last + 2.0, 1.0).to(torch.float64)
    codes = codes + held
    if isinstance(rounding, Stochastic):
        return codes + (dithers(rounding, pattern.shape, pattern.device) * gap < way).to(torch.int32)
    return codes + ((2.0 * way > gap) | ((2.0 * way == gap) & (codes % 2 == 1))).to(torch.int32)


def _decode(codes: Int32[Tensor, "*shape"], fmt: FloatFormat) -> Float32[Tensor, "*shape"]:
    """Put a float32 together: fields for what is normal, a product for what is not."""
    magnitude = codes & (fmt.sign_code - 1)
    field, mantissa = magnitude >> fmt.mantissa_bits, magnitude & (fmt.smallest_normal_code - 1)
    pattern = ((field + (127 - fmt.bias)) << 23) | (mantissa << (23 - fmt.mantissa_bits))
    step = 0.0 if fmt.subnormals is Subnormals.FLUSHED else 2.0**fmt.step_exponent
    values = torch.where(field > 0, pattern.view(torch.float32), mantissa.to(torch.float32) * step)
    values = torch.where(magnitude > fmt.largest_code, torch.nan, values)
    if fmt.infinity_code is not None:
        values = torch.where(magnitude == fmt.infinity_code, torch.inf, values)
    if not fmt.signed:
        return values
    return torch.where((codes & fmt.sign_code) != 0, -values, values)
