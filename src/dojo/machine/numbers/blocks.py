"""Blocks of numbers that share a scale: the microscaling formats MXFP8, MXFP6, MXFP4 and MXINT8.

In: numbers, 32 to a block. Out: one scale code and 32 element codes for each block, and back.
Idea: the scale is a power of two (E8M0: eight bits of exponent and nothing else), chosen so that the largest element
has the highest exponent that its format can write. Elements then saturate: the largest may lie up to a quarter above
what the format holds. The plain definition takes one block with fractions; the twin takes arrays.
Not here: the element formats (`formats.py`, and `fixed.py` for MXINT8), the twin for torch (`block_tensor.py`).
Source: OCP Microscaling Formats (MX) Specification 1.0, sections 5 and 6.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Float64, UInt, UInt8

from dojo.errors import ConfigError
from dojo.machine.numbers import array, fixed, scalar
from dojo.machine.numbers.fixed import MX_INT8, FixedFormat
from dojo.machine.numbers.format import FloatFormat
from dojo.machine.numbers.formats import MX_E2M1, MX_E2M3, MX_E3M2, OCP_E4M3, OCP_E5M2
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding

BLOCK_SIZE = 32
SCALE_BIAS = 127
SCALE_NAN = 255


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """Elements of one format that share a scale, 32 by 32.

    Raises:
        ConfigError: the elements do not saturate.
    """

    name: str
    element: FloatFormat | FixedFormat

    def __post_init__(self) -> None:
        if isinstance(self.element, FloatFormat) and not self.element.saturate:
            raise ConfigError(f"block format {self.name}: expected elements that saturate, got {self.element.name}")

    @property
    def highest_exponent(self) -> int:
        """The exponent of the largest element."""
        if isinstance(self.element, FixedFormat):
            return self.element.highest_exponent
        return (self.element.largest_code >> self.element.mantissa_bits) - self.element.bias


MXFP8_E4M3 = BlockFormat("MXFP8_E4M3", OCP_E4M3)
MXFP8_E5M2 = BlockFormat("MXFP8_E5M2", OCP_E5M2)
MXFP6_E3M2 = BlockFormat("MXFP6_E3M2", MX_E3M2)
MXFP6_E2M3 = BlockFormat("MXFP6_E2M3", MX_E2M3)
MXFP4_E2M1 = BlockFormat("MXFP4_E2M1", MX_E2M1)
MXINT8 = BlockFormat("MXINT8", MX_INT8)


def encode_block(
    values: Sequence[float], fmt: BlockFormat, rounding: Rounding = NEAREST_EVEN, first_index: int = 0
) -> tuple[int, list[int]]:
    """The scale code and element codes of one block, by definition.

    A block with NaN or infinity becomes NaN as a whole, which the specification allows and which loses no warning. A
    block of zeros gets the smallest scale.
    """
    if len(values) != BLOCK_SIZE:
        raise ConfigError(f"{fmt.name}: expected a block of {BLOCK_SIZE} values, got {len(values)}")
    if not all(math.isfinite(value) for value in values):
        return SCALE_NAN, [0] * BLOCK_SIZE
    largest = max(abs(value) for value in values)
    exponent = math.frexp(largest)[1] - 1 - fmt.highest_exponent if largest else -SCALE_BIAS
    exponent = min(max(exponent, -SCALE_BIAS), SCALE_BIAS)
    codes = []
    for place, value in enumerate(values):
        scaled = float(Fraction(value) / Fraction(2) ** exponent)
        codes.append(_encode_element(math.copysign(scaled, value), fmt.element, rounding, first_index + place))
    return exponent + SCALE_BIAS, codes


def decode_block(scale: int, codes: Sequence[int], fmt: BlockFormat) -> list[float]:
    """The values of one block."""
    if scale == SCALE_NAN:
        return [math.nan] * len(codes)
    return [math.ldexp(_decode_element(code, fmt.element), scale - SCALE_BIAS) for code in codes]


def _encode_element(value: float, element: FloatFormat | FixedFormat, rounding: Rounding, index: int) -> int:
    if isinstance(element, FixedFormat):
        return fixed.encode(value, element, rounding, index)
    return scalar.encode(value, element, rounding, index).code


def _decode_element(code: int, element: FloatFormat | FixedFormat) -> float:
    return fixed.decode(code, element) if isinstance(element, FixedFormat) else scalar.decode(code, element)


def refuse_parts(length: int, fmt: BlockFormat) -> None:
    """Refuse an axis that is not a whole number of blocks."""
    if length % BLOCK_SIZE:
        raise ConfigError(
            f"{fmt.name}: expected a last axis of whole blocks of {BLOCK_SIZE}, got {length}; pad with zeros"
        )


def encode_blocks(
    values: Float[np.ndarray, "*batch n"], fmt: BlockFormat, rounding: Rounding = NEAREST_EVEN
) -> tuple[UInt8[np.ndarray, "*batch blocks"], UInt[np.ndarray, "*batch n"]]:
    """The scale codes and element codes of an array, blocks along its last axis.

    Raises:
        ConfigError: the last axis is not a whole number of blocks.
    """
    refuse_parts(values.shape[-1], fmt)
    blocks = values.reshape(*values.shape[:-1], -1, BLOCK_SIZE)
    finite = np.isfinite(blocks).all(-1)
    blocks = np.where(finite[..., None], blocks, 0.0).astype(np.float64)
    largest = np.abs(blocks).max(-1)
    exponent = np.where(largest > 0, np.frexp(largest)[1] - 1 - fmt.highest_exponent, -SCALE_BIAS)
    exponent = np.clip(exponent, -SCALE_BIAS, SCALE_BIAS)
    scaled = np.ldexp(blocks, -exponent[..., None])
    codes: UInt[np.ndarray, "*batch blocks 32"]
    if isinstance(fmt.element, FixedFormat):
        codes = fixed.encode_array(scaled, fmt.element, rounding)
    else:
        codes = array.encode(scaled, fmt.element, rounding)
    codes[~finite] = 0
    scales = np.where(finite, exponent + SCALE_BIAS, SCALE_NAN).astype(np.uint8)
    return scales, codes.reshape(values.shape)


def decode_blocks(
    scales: UInt8[np.ndarray, "*batch blocks"], codes: UInt[np.ndarray, "*batch n"], fmt: BlockFormat
) -> Float64[np.ndarray, "*batch n"]:
    """The values of an array of blocks; in float64, because scale times element leaves float32."""
    blocks = codes.reshape(*codes.shape[:-1], -1, BLOCK_SIZE)
    if isinstance(fmt.element, FixedFormat):
        values = fixed.decode_array(blocks.astype(np.uint8), fmt.element)
    else:
        values = array.decode(blocks, fmt.element).astype(np.float64)
    values = np.ldexp(values, scales.astype(np.int64)[..., None] - SCALE_BIAS)
    values[scales == SCALE_NAN] = np.nan
    return values.reshape(codes.shape)
