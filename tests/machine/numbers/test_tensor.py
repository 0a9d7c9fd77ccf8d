"""The torch twin is the NumPy twin, which is the definition."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from dojo.errors import ConfigError
from dojo.machine.numbers import array, formats, tensor
from dojo.machine.numbers.format import FloatFormat, Subnormals
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
ROUNDINGS: list[Rounding] = [NEAREST_EVEN, Stochastic(seed=2**63 + 5, first_index=70)]


def patterns(count: int) -> np.ndarray:
    """Random float32 patterns, every upper half, and what lies next to powers of two."""
    halves = np.arange(1 << 16, dtype=np.uint32) << 16
    drawn = np.random.default_rng(3).integers(0, 1 << 32, count, dtype=np.uint32)
    near = np.concatenate([halves[::128] + 1, halves[128::128] - 1])
    return np.concatenate([halves, drawn, near]).view(np.float32)


@pytest.mark.parametrize("rounding", ROUNDINGS, ids=["nearest", "stochastic"])
@pytest.mark.parametrize("fmt", VARIED, ids=lambda fmt: f"{fmt.name}-{fmt.subnormals.value}-{fmt.saturate}")
def test_tensors_convert_as_arrays_do(fmt: FloatFormat, rounding: Rounding) -> None:
    values = patterns(20_000)
    codes, flags = tensor.encode_with_flags(torch.from_numpy(values), fmt, rounding)
    expected_codes, expected_flags = array.encode_with_flags(values, fmt, rounding)
    np.testing.assert_array_equal(codes.numpy().astype(np.uint32) & (2**fmt.bits - 1), expected_codes)
    np.testing.assert_array_equal(flags.numpy(), expected_flags)
    np.testing.assert_array_equal(tensor.encode(torch.from_numpy(values), fmt, rounding).numpy(), codes.numpy())
    np.testing.assert_array_equal(tensor.read_flags(codes, fmt).numpy(), array.read_flags(expected_codes, fmt))
    expected = array.decode(expected_codes, fmt)
    for kept in (tensor.quantise(torch.from_numpy(values), fmt, rounding), tensor.decode(codes, fmt)):
        np.testing.assert_array_equal(kept.numpy(), expected)
        np.testing.assert_array_equal(np.signbit(kept.numpy()), np.signbit(expected))


@pytest.mark.parametrize(
    ("fmt", "theirs"),
    [
        (dataclasses.replace(formats.OCP_E5M2, saturate=False), torch.float8_e5m2),
        (formats.BF16, torch.bfloat16),
        (formats.FP16, torch.float16),
    ],
    ids=lambda thing: getattr(thing, "name", ""),
)
def test_tensors_convert_as_torchs_own_casts_do(fmt: FloatFormat, theirs: torch.dtype) -> None:
    values = torch.from_numpy(patterns(100_000))
    torch.testing.assert_close(
        tensor.quantise(values, fmt), values.to(theirs).to(torch.float32), rtol=0, atol=0, equal_nan=True
    )


def test_e4m3_converts_as_torchs_own_cast_does_wherever_that_is_in_range() -> None:
    # Beyond the range torch answers NaN in one version and 448 in another; within it, all agree.
    values = torch.from_numpy(patterns(100_000))
    values = values[values.abs() <= 464.0]
    torch.testing.assert_close(
        tensor.quantise(values, formats.OCP_E4M3), values.to(torch.float8_e4m3fn).to(torch.float32), rtol=0, atol=0
    )


def test_dithers_are_the_ones_of_the_definition() -> None:
    drawn = tensor.dithers(ROUNDINGS[1], torch.Size((40, 25)), torch.device("cpu"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn.numpy().ravel(), array.dithers(2**63 + 5, 70, 1000))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_narrow_tensors_are_widened_first(kind: torch.dtype) -> None:
    values = torch.linspace(-3, 3, 101).to(kind)
    torch.testing.assert_close(
        tensor.quantise(values, formats.OCP_E4M3), tensor.quantise(values.float(), formats.OCP_E4M3), rtol=0, atol=0
    )


def test_a_tensor_with_gaps_converts_like_its_copy() -> None:
    values = torch.linspace(-9, 9, 60).reshape(6, 10).T[::2]
    rounding = Stochastic(seed=1)
    for fmt in (formats.OCP_E4M3, formats.cfloat16_shp(15)):
        torch.testing.assert_close(tensor.encode(values, fmt, rounding), tensor.encode(values.clone(), fmt, rounding))


def test_what_is_kept_lies_in_memory_as_what_was_given() -> None:
    given = torch.randn(20, 60, 9, 9, generator=torch.Generator().manual_seed(1))
    expected = array.quantise(given.numpy(), formats.OCP_E4M3)
    for laid in (given, given.to(memory_format=torch.channels_last), given.permute(1, 3, 2, 0).contiguous()):
        values = laid if laid.shape == given.shape else laid.permute(3, 0, 2, 1)
        kept = tensor.quantise(values, formats.OCP_E4M3)
        assert kept.stride() == values.stride()
        np.testing.assert_array_equal(kept.numpy(), expected)
    gaps = given[:, :, ::2]
    np.testing.assert_array_equal(tensor.quantise(gaps, formats.OCP_E4M3).numpy(), expected[:, :, ::2])


def test_float64_is_refused_rather_than_rounded_twice() -> None:
    with pytest.raises(ConfigError, match=r"expected float32 or narrower, got float64, which would be rounded twice"):
        tensor.encode(torch.zeros(3, dtype=torch.float64), formats.OCP_E4M3)


FUSED = """
import numpy as np, torch
from dojo.machine.numbers import array, tensor
from dojo.machine.numbers.formats import OCP_E5M2, cfloat8_1_4_3
from dojo.machine.numbers.rounding import NEAREST_EVEN, Stochastic

values = np.random.default_rng(3).integers(0, 1 << 32, 5000, dtype=np.uint32).view(np.float32)
encode = torch.compile(tensor.encode, fullgraph=True)
for fmt in (OCP_E5M2, cfloat8_1_4_3(11)):
    for rounding in (NEAREST_EVEN, Stochastic(2**63 + 5, 70)):
        found = encode(torch.from_numpy(values), fmt, rounding).numpy()
        assert (found == array.encode(values, fmt, rounding)).all(), (fmt.name, rounding)
"""


def test_fused_by_torch_compile_it_is_the_same() -> None:
    # In a process of its own: what checks shapes while tests run cannot be traced.
    done = subprocess.run([sys.executable, "-c", FUSED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
