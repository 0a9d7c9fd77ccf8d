"""The processor that this runs on, as a machine: what it does of large products, large copies and small operators.

In: how many threads. Out: a `Processor`.
Idea: a data sheet says little of one core of a shared virtual machine; three short measurements say enough for a
roofline.
Not here: what a step takes on it (`vision.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from dojo.machine.chip.spec import Grade, Level, Machine, Memory, Peak

_SIDE = 1024
"""Of the matrices of a large product; fits no cache of a core and takes milliseconds."""
_NUMBERS = 1 << 24
"""Of the large copy: 64 MB."""


@dataclass(frozen=True)
class Processor:
    """A machine of one processor, and how long it takes over an operator that has nothing to do."""

    machine: Machine
    operator_s: float


def processor(name: str, flop_per_s: float, bytes_per_s: float, operator_s: float, source: str) -> Processor:
    """A processor by its three rates."""
    # What it can hold is not asked.
    memory = Memory(capacity_bytes=0.0, bandwidth_bytes_per_s=bytes_per_s, source=source, grade=Grade.DERIVED)
    peak = Peak(fp32_flop_per_s=flop_per_s, source=source, grade=Grade.DERIVED)
    level = Level(name="processor", peak=peak, memory=memory)
    return Processor(Machine(name=name, title=name, accelerator="processor", levels={"processor": level}), operator_s)


def measure_here(threads: int) -> Processor:
    """This processor with so many threads; takes about a second."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        matrix = torch.ones(_SIDE, _SIDE)
        product_s = _best(lambda: matrix @ matrix, 8)
        source, target = torch.ones(_NUMBERS), torch.empty(_NUMBERS)
        copy_s = _best(lambda: target.copy_(source), 8)
        small = torch.ones(8, requires_grad=True)

        def chain() -> None:
            value = small
            for _ in range(100):
                value = value + 1
            value.sum().backward()  # type: ignore[no-untyped-call]

        chain_s = _best(chain, 8)
    finally:
        torch.set_num_threads(before)
    # A hundred operators; going back, an addition passes its gradient on and runs nothing.
    return processor(
        "here", 2.0 * _SIDE**3 / product_s, 8.0 * _NUMBERS / copy_s, chain_s / 100, f"measured, {threads} thread(s)"
    )


def _best(work: Callable[[], object], times: int) -> float:
    """The shortest of some runs, the first not counted."""
    work()
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
