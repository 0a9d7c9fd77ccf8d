"""The twin of blocks that share a scale, for torch tensors on any device.

In: float32, bfloat16 or float16 tensors, 32 numbers to a block. Out: scale codes and element codes, and back.
Idea: as `blocks.py`, with powers of two put together from their bits, because a device's own power function need not be
exact. A number is multiplied in two halves, since float32 cannot hold the largest scale's inverse as a normal number;
what becomes too small for float32 on the way is far below what any element could hold.
Not here: the definition and the twin that needs no torch (`blocks.py`), elements (`tensor.py`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32, Float64, Int32, Shaped, UInt8
from torch import Tensor

from dojo.machine.numbers import tensor
from dojo.machine.numbers.blocks import BLOCK_SIZE, SCALE_BIAS, SCALE_NAN, BlockFormat, refuse_parts
from dojo.machine.numbers.fixed import FixedFormat
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic


def encode_blocks(
    values: Float[Tensor, "*batch n"], fmt: BlockFormat, rounding: Rounding = NEAREST_EVEN
) -> tuple[UInt8[Tensor, "*batch blocks"], UInt8[Tensor, "*batch n"]]:
    """The scale codes and element codes of a tensor, blocks along its last axis.

    Raises:
        ConfigError: the last axis is not a whole number of blocks, or the values are float64.
    """
    refuse_parts(values.shape[-1], fmt)
    blocks = _in_blocks(tensor.as_float32(values))
    finite = blocks.isfinite().all(-1)
    blocks = torch.where(finite[..., None], blocks, 0.0)
    # As float64, no float32 is subnormal: the exponent is a field. That of zero is below any.
    field = blocks.abs().amax(-1).to(torch.float64).view(torch.int64) >> 52
    exponent = (field - 1023 - fmt.highest_exponent).clamp(-SCALE_BIAS, SCALE_BIAS).to(torch.int32)
    scaled = blocks * _power(-(exponent >> 1))[..., None] * _power((exponent >> 1) - exponent)[..., None]
    if isinstance(fmt.element, FixedFormat):
        codes = _encode_fixed(scaled, fmt.element, rounding)
    else:
        codes = tensor.encode(scaled, fmt.element, rounding)
    scales = torch.where(finite, exponent + SCALE_BIAS, SCALE_NAN).to(torch.uint8)
    return scales, torch.where(finite[..., None], codes, 0).flatten(-2)


def decode_blocks(
    scales: UInt8[Tensor, "*batch blocks"], codes: UInt8[Tensor, "*batch n"], fmt: BlockFormat
) -> Float64[Tensor, "*batch n"]:
    """The values of a tensor of blocks; in float64, because scale times element leaves float32."""
    blocks = _in_blocks(codes)
    if isinstance(fmt.element, FixedFormat):
        steps = blocks.to(torch.int32)
        steps = steps - ((steps >> (fmt.element.bits - 1)) << fmt.element.bits)
        values = steps.to(torch.float64) * 2.0**-fmt.element.fraction_bits
    else:
        values = tensor.decode(blocks, fmt.element).to(torch.float64)
    powers = ((scales.to(torch.int64) - SCALE_BIAS + 1023) << 52).view(torch.float64)
    return torch.where((scales == SCALE_NAN)[..., None], torch.nan, values * powers[..., None]).flatten(-2)


def _in_blocks(values: Shaped[Tensor, "*batch n"]) -> Shaped[Tensor, "*batch blocks 32"]:
    return values.reshape(*values.shape[:-1], values.shape[-1] // BLOCK_SIZE, BLOCK_SIZE)


def _power(exponent: Int32[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
    """Two to an exponent of -126 to 127, exactly."""
    return ((exponent + 127) << 23).view(torch.float32)


def _encode_fixed(values: Float32[Tensor, "*shape"], fmt: FixedFormat, rounding: Rounding) -> UInt8[Tensor, "*shape"]:
    steps = values.abs() * 2.0**fmt.fraction_bits
    if isinstance(rounding, Stochastic):
        below = steps.floor()
        rounded = below + (tensor.dithers(rounding, values.shape, values.device) < steps - below)
    else:
        rounded = steps.round()
    held = rounded.clamp(max=fmt.largest_steps).to(torch.int32)
    return (torch.where(values < 0, -held, held) & ((1 << fmt.bits) - 1)).to(torch.uint8)
