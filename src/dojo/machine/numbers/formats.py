"""The number formats, as data.

In: nothing, or a bias. Out: `FloatFormat`s.
Idea: Tesla's CFloat8 and CFloat16 SHP carry their bias outside the number, one for a whole tensor; here it is part of
the format, so a format with another bias is another format.

What Tesla's paper leaves open in the pages that can be read, and what is assumed here:

* CFloat8, too large, infinite or NaN: clamped to the largest magnitude. The paper says so of SHP; its table of CFloat8
  gives the top exponent to numbers, so that there is nothing else to write.
* CFloat16 UHP, infinity and NaN: kept, as in IEEE 754. Subnormal codes: flushed to zero. Negative numbers: clamped to
  zero, the nearest that it can write.

Not here: what the fields mean (`format.py`); scales shared by a block (`blocks.py`).
"""

from __future__ import annotations

from dojo.errors import ConfigError
from dojo.machine.numbers.format import FloatFormat, Specials, Subnormals

_TESLA = "A Guide to Tesla's Configurable Floating Point Formats & Arithmetic"
_OFP8 = "OCP 8-bit Floating Point Specification (OFP8), revision 1.0, 2023-06-20"
_MX = "OCP Microscaling Formats (MX) Specification, version 1.0"
_IEEE = "IEEE 754-2019"


def cfloat8_1_4_3(bias: int, *, subnormals: Subnormals = Subnormals.GRADUAL) -> FloatFormat:
    """CFloat8 with four exponent bits: weights and activations.

    Raises:
        ConfigError: the bias is not one of 0 to 63.
    """
    return _configurable("CFloat8_1_4_3", 4, 3, bias, subnormals)


def cfloat8_1_5_2(bias: int, *, subnormals: Subnormals = Subnormals.GRADUAL) -> FloatFormat:
    """CFloat8 with five exponent bits: gradients.

    Raises:
        ConfigError: the bias is not one of 0 to 63.
    """
    return _configurable("CFloat8_1_5_2", 5, 2, bias, subnormals)


def cfloat16_shp(bias: int, *, subnormals: Subnormals = Subnormals.GRADUAL) -> FloatFormat:
    """CFloat16, signed half precision.

    Raises:
        ConfigError: the bias is not one of 0 to 63.
    """
    return _configurable("CFloat16_SHP", 5, 10, bias, subnormals)


def _configurable(name: str, exponent_bits: int, mantissa_bits: int, bias: int, subnormals: Subnormals) -> FloatFormat:
    if not 0 <= bias <= 63:
        raise ConfigError(f"number format {name}: expected a bias of 0 to 63 (six bits, unsigned), got {bias}")
    return FloatFormat(
        name=f"{name}(bias={bias})",
        exponent_bits=exponent_bits,
        mantissa_bits=mantissa_bits,
        bias=bias,
        specials=Specials.NONE,
        saturate=True,
        source=_TESLA,
        subnormals=subnormals,
    )


CFLOAT16_UHP = FloatFormat(
    "CFloat16_UHP", 6, 10, 31, Specials.TOP_EXPONENT, False, _TESLA, signed=False, subnormals=Subnormals.FLUSHED
)
FP16 = FloatFormat("FP16", 5, 10, 15, Specials.TOP_EXPONENT, False, _IEEE)
BF16 = FloatFormat("BF16", 8, 7, 127, Specials.TOP_EXPONENT, False, "float32 of IEEE 754-2019 without its low half")
TF32 = FloatFormat("TF32", 8, 10, 127, Specials.TOP_EXPONENT, False, "NVIDIA A100 Tensor Core GPU Architecture, 2020")
OCP_E4M3 = FloatFormat("OCP_E4M3", 4, 3, 7, Specials.LAST_CODE, True, _OFP8)
OCP_E5M2 = FloatFormat("OCP_E5M2", 5, 2, 15, Specials.TOP_EXPONENT, True, _OFP8)
MX_E3M2 = FloatFormat("MX_E3M2", 3, 2, 3, Specials.NONE, True, _MX)
MX_E2M3 = FloatFormat("MX_E2M3", 2, 3, 1, Specials.NONE, True, _MX)
MX_E2M1 = FloatFormat("MX_E2M1", 2, 1, 1, Specials.NONE, True, _MX)

FIXED_FORMATS = (CFLOAT16_UHP, FP16, BF16, TF32, OCP_E4M3, OCP_E5M2, MX_E3M2, MX_E2M3, MX_E2M1)
"""All formats whose bias is fixed."""
