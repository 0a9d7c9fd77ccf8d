"""Are the fast twins of 16-bit formats the definition, on ten million numbers and at every edge?

In: a count. Out: a table: numbers tried and codes that differ, by format and rounding, for NumPy and torch; exit code 1
if any does.
Idea: the definition chooses between two rungs of the format's ladder. Here the same choice is made for whole arrays,
with searching and comparing instead of the twins' tricks, exact in float64; a sample of it is held against the
definition itself. Edges are every code, every middle between two, and the float32 numbers next to all of them.
Not here: eight bits, which the tests try whole.

    python benchmarks/sixteen_bits.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from dojo.machine.numbers import array, scalar, tensor
from dojo.machine.numbers.format import FloatFormat, Subnormals, ladder
from dojo.machine.numbers.formats import BF16, CFLOAT16_UHP, FP16, cfloat16_shp
from dojo.machine.numbers.rounding import NEAREST_EVEN, Rounding, Stochastic

PIECE = 1 << 20


@dataclass(frozen=True)
class Config:
    """How much is tried.

    Args:
        values: random patterns of float32 for each format and rounding, besides the edges.
        by_definition: of each format and rounding, numbers that the definition itself is asked for.
    """

    values: int = 10_000_000
    by_definition: int = 2_000


FORMATS = (
    cfloat16_shp(0),
    cfloat16_shp(31),
    cfloat16_shp(63),
    cfloat16_shp(31, subnormals=Subnormals.LITERAL),
    CFLOAT16_UHP,
    FP16,
    BF16,
)


def rungs_of(fmt: FloatFormat) -> np.ndarray:
    """The values of all codes without sign, and the one after the largest."""
    return np.ldexp(np.array(ladder(fmt), np.float64), fmt.step_exponent)


def edges(fmt: FloatFormat) -> np.ndarray:
    """Every code, every middle, their neighbours, and what is not finite; both signs."""
    rungs = rungs_of(fmt)
    with np.errstate(over="ignore"):
        points = np.concatenate([rungs, (rungs[:-1] + rungs[1:]) / 2]).astype(np.float32)
        points = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, 0)])
    points = np.concatenate([points, np.array([np.inf, np.nan, 1e-45], np.float32)])
    return np.concatenate([points, -points]).astype(np.float32)


def expected(values: np.ndarray, fmt: FloatFormat, rounding: Rounding, rungs: np.ndarray) -> np.ndarray:
    """The codes of float32 numbers by choosing between the rungs on either side."""
    nan, negative = np.isnan(values), np.signbit(values)
    size = np.abs(np.where(nan, 0, values)).astype(np.float64)
    code = np.minimum(np.searchsorted(rungs, size, side="right") - 1, fmt.largest_code)
    gap, way = rungs[code + 1] - rungs[code], size - rungs[code]
    if isinstance(rounding, Stochastic):
        up = array.dithers(rounding.seed, rounding.first_index, len(values)) * gap < way
    else:
        up = (2 * way > gap) | ((2 * way == gap) & (code % 2 == 1))
    code += up | (way >= gap)
    if fmt.subnormals is Subnormals.FLUSHED:
        code[code < fmt.smallest_normal_code] = 0
    code[(code > fmt.largest_code) | np.isinf(size)] = fmt.beyond_code
    code[nan] = fmt.largest_code if fmt.nan_code is None else fmt.nan_code
    if fmt.signed:
        return code | np.where(negative, fmt.sign_code, 0)
    code[negative & ~nan] = 0
    return code


def pieces(config: Config, fmt: FloatFormat) -> Iterator[np.ndarray]:
    """The edges, and then random patterns."""
    at_edges = edges(fmt)
    yield from (at_edges[start : start + PIECE] for start in range(0, len(at_edges), PIECE))
    random = np.random.default_rng(16)
    for start in range(0, config.values, PIECE):
        yield random.integers(0, 1 << 32, min(PIECE, config.values - start), dtype=np.uint32).view(np.float32)


def differing(config: Config, fmt: FloatFormat, seed: int | None) -> tuple[int, int, int, int]:
    """Numbers tried, and codes of the definition, NumPy and torch that are not the expected ones."""
    rungs, first = rungs_of(fmt), 0
    wrong = np.zeros(3, int)
    for values in pieces(config, fmt):
        rounding: Rounding = NEAREST_EVEN if seed is None else Stochastic(seed, first)
        wanted = expected(values, fmt, rounding, rungs)
        wrong[1] += (array.encode(values, fmt, rounding) != wanted).sum()
        wrong[2] += (tensor.encode(torch.from_numpy(values), fmt, rounding).numpy() != wanted).sum()
        if first == 0:
            some = np.random.default_rng(0).choice(len(values), min(config.by_definition, len(values)), replace=False)
            told = [scalar.encode(float(values[place]), fmt, rounding, int(place)).code for place in some]
            wrong[0] += (np.array(told) != wanted[some]).sum()
        first += len(values)
    return first, int(wrong[0]), int(wrong[1]), int(wrong[2])


def main(config: Config) -> None:
    """Try every format with both roundings, and print."""
    torch.set_num_threads(1)
    table = Table("format", "rounding", "numbers", "definition differs", "NumPy differs", "torch differs")
    wrong = 0
    for fmt in FORMATS:
        for name, seed in (("to nearest", None), ("stochastic", 2**63 + 7)):
            tried, *counts = differing(config, fmt, seed)
            wrong += sum(counts)
            table.add_row(f"{fmt.name}, {fmt.subnormals.value}", name, f"{tried:,}", *map(str, counts))
    Console(width=120).print(table)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(tyro.cli(Config))
