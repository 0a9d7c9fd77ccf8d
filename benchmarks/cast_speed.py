"""How fast are our casts to eight bits beside ml_dtypes, gfloat and torch, and beside copying the memory?

In: a number of values. Out: a table, and JSON: for each cast GB/s of float32 read, and its share of a memory copy.
Idea: one process, one thread, the same values, the shortest of several runs; what is compared does the same work,
float32 in and codes out, and is checked to agree before it is timed. A copy of the bytes is what no cast beats by much.
Not measured here: other machines. Quote shares and ratios.

    python benchmarks/cast_speed.py --out benchmarks/results/cast_speed.json
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from dojo.machine.numbers import array, tensor
from dojo.machine.numbers.formats import BF16, OCP_E4M3, OCP_E5M2, cfloat8_1_4_3
from dojo.machine.numbers.rounding import Stochastic


@dataclass(frozen=True)
class Config:
    """How much is cast.

    Args:
        values: in the array.
        repeats: of each cast; the shortest counts.
        compiled: whether to let torch.compile fuse our cast, which takes a C++ compiler and some seconds.
        out: file for the JSON; printed alone if not given.
    """

    values: int = 1 << 24
    repeats: int = 7
    compiled: bool = True
    out: Path | None = None


Cast = Callable[[], Any]


def shortest_s(cast: Cast, repeats: int) -> float:
    """The shortest of some runs, after one that does not count."""
    cast()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        cast()
        taken.append(time.perf_counter() - began)
    return min(taken)


def casts(values: np.ndarray, compiled: bool) -> dict[str, dict[str, Cast]]:
    """Every cast by what it makes and who makes it; those of one kind give the same codes."""
    few, given = values[: len(values) // 64], torch.from_numpy(values)
    open_e4m3, open_e5m2 = replace(OCP_E4M3, saturate=False), replace(OCP_E5M2, saturate=False)
    ours = torch.compile(tensor.encode, fullgraph=True) if compiled else tensor.encode
    named = "tensor, compiled" if compiled else "tensor, again"
    found: dict[str, dict[str, Cast]] = {
        "OCP E4M3": {
            "array": lambda: array.encode(values, open_e4m3),
            "tensor": lambda: tensor.encode(given, open_e4m3),
            named: lambda: ours(given, open_e4m3),
            "ml_dtypes": lambda: values.astype(ml_dtypes.float8_e4m3fn),
            "torch": lambda: given.to(torch.float8_e4m3fn),
        },
        "OCP E5M2": {
            "array": lambda: array.encode(values, open_e5m2),
            "tensor": lambda: tensor.encode(given, open_e5m2),
            named: lambda: ours(given, open_e5m2),
            "ml_dtypes": lambda: values.astype(ml_dtypes.float8_e5m2),
            "torch": lambda: given.to(torch.float8_e5m2),
        },
        "CFloat8_1_4_3, bias 11": {
            "array": lambda: array.encode(values, cfloat8_1_4_3(11)),
            "tensor": lambda: tensor.encode(given, cfloat8_1_4_3(11)),
            named: lambda: ours(given, cfloat8_1_4_3(11)),
            "gfloat, 1/64 of the values": lambda: gfloat.encode_ndarray(_cfloat8(11), _rounded(few, 11)),
        },
        "BF16": {
            "array": lambda: array.encode(values, BF16),
            "ml_dtypes": lambda: values.astype(ml_dtypes.bfloat16),
            "torch": lambda: given.to(torch.bfloat16),
        },
        "CFloat8_1_4_3, bias 11, stochastic": {
            "array": lambda: array.encode(values, cfloat8_1_4_3(11), Stochastic(1)),
            named: lambda: ours(given, cfloat8_1_4_3(11), Stochastic(1)),
        },
    }
    return found


def _cfloat8(bias: int) -> gfloat.FormatInfo:
    """CFloat8_1_4_3 in the words of gfloat."""
    return gfloat.FormatInfo(
        "cfloat8",
        8,
        4,
        bias=bias,
        is_signed=True,
        domain=gfloat.Domain.Finite,
        has_nz=True,
        num_high_nans=0,
        has_subnormals=True,
        is_twos_complement=False,
    )


def _rounded(values: np.ndarray, bias: int) -> np.ndarray:
    rounded: np.ndarray = gfloat.round_ndarray(_cfloat8(bias), values, gfloat.RoundMode.TiesToEven, sat=True)
    return rounded


def codes_of(made: Any) -> np.ndarray:
    """What a cast made, as whole numbers."""
    if isinstance(made, torch.Tensor):
        made = made.view(torch.uint8 if made.element_size() == 1 else torch.int16).numpy()
    size = made.dtype.itemsize
    return np.asarray(made).view(np.dtype(f"u{size}")) if made.dtype.kind != "u" else made


def checked(kind: str, makers: dict[str, Cast]) -> None:
    """Stop if two casts of one kind disagree."""
    reference = codes_of(makers["array"]())
    for name, cast in makers.items():
        made = codes_of(cast())
        if not (made == reference[: len(made)]).all():
            raise SystemExit(f"{kind}: {name} and array disagree in {(made != reference[: len(made)]).sum()} codes")


def measure(config: Config) -> list[dict[str, Any]]:
    """Every cast: seconds, GB/s of float32 read, and the share of a copy of the same float32."""
    torch.set_num_threads(1)
    values = np.random.default_rng(0).standard_normal(config.values).astype(np.float32)
    copy = np.empty_like(values)
    copied_s = shortest_s(lambda: np.copyto(copy, values), config.repeats)
    rows = [{"kind": "copy", "by": "numpy", "gb_per_s": values.nbytes / copied_s / 1e9, "share_of_copy": 1.0}]
    for kind, makers in casts(values, config.compiled).items():
        checked(kind, makers)
        for name, cast in makers.items():
            size = values.nbytes / (64 if "1/64" in name else 1)
            rate = size / shortest_s(cast, 1 if "gfloat" in name else config.repeats) / 1e9
            rows.append({"kind": kind, "by": name, "gb_per_s": rate, "share_of_copy": rate / rows[0]["gb_per_s"]})
    return rows


def main(config: Config) -> None:
    """Measure, print, and write down."""
    rows = measure(config)
    table = Table("cast", "by", "GB/s of float32", "share of a copy", title=f"{config.values:,} values, one thread")
    for row in rows:
        table.add_row(row["kind"], row["by"], f"{row['gb_per_s']:.3f}", f"{row['share_of_copy']:.3f}")
    Console().print(table)
    if config.out is not None:
        versions = {"numpy": np.__version__, "torch": torch.__version__, "ml_dtypes": ml_dtypes.__version__}
        found = {
            "values": config.values,
            "machine": platform.processor() or platform.machine(),
            **versions,
            "rows": rows,
        }
        config.out.parent.mkdir(parents=True, exist_ok=True)
        config.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
