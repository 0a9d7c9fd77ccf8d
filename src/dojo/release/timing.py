"""How long an exported model takes, and how much memory: a report that is measured once and kept.

In: the model's bytes and inputs. Out: plain figures with units in their names.
Idea: no two measurements are equal, and a bundle's bytes must be; so a measurement is a stored report that goes into
the bundle, like any other, and is not made again for the same model. It is made in a process of its own, on one core,
as the runtime runs it, so that the memory is the model's.
Not here: the whole way from frame to command (`drive/`).
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np

_WARM_UP = 20  # Assumed: allocations and caches have settled after that many runs.


def measure(model: bytes, inputs: dict[str, np.ndarray], runs: int) -> dict[str, float | int | str]:
    """Time and memory of the model, measured in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (model, inputs, runs))


def _measured(model: bytes, inputs: dict[str, np.ndarray], runs: int) -> dict[str, float | int | str]:
    from dojo.release.export import OnnxModel  # the libraries are loaded before memory is counted

    before_mib, began = _resident_mib(), time.perf_counter()
    network = OnnxModel(model)
    loaded_s = time.perf_counter() - began
    for _ in range(_WARM_UP):
        network(inputs)
    warm_mib = _resident_mib()
    taken_ms = np.empty(runs)
    for run in range(runs):
        began = time.perf_counter()
        network(inputs)
        taken_ms[run] = 1e3 * (time.perf_counter() - began)
    median, p99, p999 = np.percentile(taken_ms, [50, 99, 99.9])
    return {
        "runs": runs,
        "threads": 1,
        "median_ms": round(float(median), 3),
        "p99_ms": round(float(p99), 3),
        "p999_ms": round(float(p999), 3),
        "longest_ms": round(float(taken_ms.max()), 3),
        "loading_s": round(loaded_s, 3),
        "memory_mib": round(warm_mib - before_mib, 1),
        "memory_growth_after_warm_up_mib": round(_resident_mib() - warm_mib, 1),
        "model_mib": round(len(model) / 2**20, 2),
        "processor": _processor(),
    }


def _resident_mib() -> float:
    """Of this process now. Its peak would not do: a new process begins with that of the one which started it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _processor() -> str:
    """The kind of processor, as Linux names it; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
