"""How long one operator takes on an accelerator: its products, its bytes, and how many pieces of silicon share them.

In: an operator, a machine, the efficiency of its kernels. Out: seconds, with nothing else in the way.
Idea: a roofline with two corrections that A100 measurements of single products show. A product is cut into tiles that
the units take in rounds, so a last round with few tiles costs as much as a full one; and a tile's result is written
when its products are done, which hides behind nothing. The rate itself is what the board's power sustains.
Not here: launching (`step.py`), which operators there are (`machine/compile/`).
Source: Williams, Waterman and Patterson 2009, "Roofline"; the rounds of tiles are described in NVIDIA's "Matrix
Multiplication Background User's Guide".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Level, Machine
from dojo.machine.compile.graph import Kind, Operator

ARITHMETIC = (Kind.MATMUL, Kind.CONVOLUTION, Kind.ATTENTION)
"""Kinds that are limited by products where their shape allows it."""

_TILES = ((256, 128, 1.0), (128, 256, 1.0), (128, 128, 0.95), (128, 64, 0.8), (64, 64, 0.6))
"""Rows and columns of a tile, and its rate beside the largest's: smaller tiles load more for each product.

Assumed: the shares; the sizes are those that NVIDIA's guide names.
"""


@dataclass(frozen=True)
class Efficiency:
    """What kernels reach of a data sheet, frozen on single A100 operators.

    Args:
        matmul: of the peak that power sustains, full rounds of the largest tiles.
        attention: the same for attention in one kernel.
        memory: of memory bandwidth.
        kernel_s: between the start of a kernel and its first byte, with its end.
    """

    matmul: float = 0.94
    """LLMCompass, measured A100 products: 293 of 312 TFLOPS at 8192 x 16384 x 16384, before clocks fall."""
    attention: float = 0.6
    """Dao 2023, "FlashAttention-2": 50 to 73 % of an A100's peak, both passes."""
    memory: float = 0.78
    """Assumed: a copy through an A100's memory reaches four fifths of the data sheet."""
    kernel_s: float = 3.0e-6
    """LLMCompass, measured A100 products: what is left of those of middling size once tiles are counted."""


def operator_seconds(operator: Operator, machine: Machine, efficiency: Efficiency, sustained: float = 1.0) -> float:
    """The time of one operator; `sustained` is the share of peak at which the board's power lets it run.

    Raises:
        ConfigError: the machine's accelerator has no peak or no memory bandwidth.
    """
    chip = machine.levels[machine.accelerator]
    bandwidth = memory_bytes_per_s(machine) * efficiency.memory
    moving = (operator.read_bytes + operator.written_bytes) / bandwidth
    if operator.kind not in ARITHMETIC or not operator.matrix:
        return moving + efficiency.kernel_s
    peak = peak_flop_per_s(chip, operator.dtype) * sustained
    if operator.kind is Kind.ATTENTION:
        return max(operator.flops / (peak * efficiency.attention), moving) + efficiency.kernel_s
    computing = _rounds_s(operator, peak * efficiency.matmul, units(machine))
    return max(computing + operator.written_bytes / bandwidth, moving) + efficiency.kernel_s


def _rounds_s(operator: Operator, flop_per_s: float, count: int) -> float:
    """Rounds of tiles over the units, for the best size of tile."""
    batch, m, n, _ = operator.matrix
    each_s = operator.flops / (batch * m * n) / (flop_per_s / count)  # Of one result.
    best = math.inf
    for rows, columns, share in _TILES:
        tiles = batch * -(-m // rows) * -(-n // columns)
        best = min(best, -(-tiles // count) * rows * columns * each_s / share)
    return best


def units(machine: Machine) -> int:
    """How many units that multiply share an accelerator's work."""
    names = list(machine.levels)
    below = [name for name in names[: names.index(machine.accelerator)] if machine.levels[name].matrix]
    return machine.count(below[0], machine.accelerator) if below else 1


def peak_flop_per_s(chip: Level, dtype: str) -> float:
    """The published dense peak of a number format; of sixteen bits where the format has none of its own.

    Raises:
        ConfigError: nothing is published.
    """
    peak = chip.peak
    if peak is not None:
        narrow = peak.fp8_flop_per_s or peak.cfloat8_flop_per_s
        wide = peak.bf16_flop_per_s or peak.fp16_flop_per_s
        found = {"float8": narrow or wide, "float32": peak.tf32_flop_per_s or peak.fp32_flop_per_s}.get(dtype, wide)
        if found is not None:
            return found
    raise ConfigError(f"level {chip.name}: expected a published peak for {dtype}, found none; add one to its file")


def memory_bytes_per_s(machine: Machine) -> float:
    """Of the memory that an accelerator works from: its own, or its SRAM where it has no other.

    Raises:
        ConfigError: neither is published.
    """
    chip = machine.levels[machine.accelerator]
    if chip.memory is not None and chip.memory.bandwidth_bytes_per_s is not None:
        return chip.memory.bandwidth_bytes_per_s
    for name, level in machine.levels.items():
        if level.sram is not None and level.sram.load_bytes_per_s is not None:
            return level.sram.load_bytes_per_s * machine.count(name, machine.accelerator)
    raise ConfigError(f"machine {machine.name}: expected a memory bandwidth of {chip.name}, found none")
