"""Measured training steps to hold predictions against: published ones, and vTrain's files.

In: `validation/published.toml`, a folder with vTrain's two tables. Out: `Measured` rows.
Idea: a row is a model, the software that ran it, the splits it may have had and the seconds it took. What a source
does not say is a choice that the fastest fitting split makes. A row of vTrain's has a fingerprint, and
`validation/fitted.txt` lists those that constants were fitted on: all others are held out, whoever brings them.
Not here: predictions (`validate.py`).
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dojo.errors import ConfigError
from dojo.machine.compile.partition import Recompute, Split, legal_splits
from dojo.machine.compile.transformer import Gpt, Software

_FOLDER = Path(__file__).with_name("validation")

MEGATRON_2021 = Software(dtype="float16", flash=False, gradient_bytes=2, overlap_data=False, overlap_pipeline=False)
"""Narayanan et al. 2021: unfused attention, nothing overlapped."""
MEGATRON_DEEPSPEED = Software(
    dtype="float16", flash=False, gradient_bytes=4, overlap_data=False, overlap_pipeline=False
)
"""As vTrain ran it. Assumed: gradients summed in 32 bits; the fitted rows say so rather than 16."""
MEGATRON_CORE = Software(dtype="bfloat16", flash=True, gradient_bytes=4, overlap_data=True, overlap_pipeline=True)
"""As the README of Megatron-LM r0.8.0 says: exchanges of gradients and of the pipeline overlapped."""
MEGATRON_CORE_FP8 = Software(
    dtype="bfloat16", matmul_dtype="float8", flash=True, gradient_bytes=4, overlap_data=True, overlap_pipeline=True
)
"""The same with Transformer Engine's FP8 products, as in NVIDIA's submission to MLPerf Training 3.0."""
SOFTWARE = {
    "megatron_2021": MEGATRON_2021,
    "megatron_2022_full": MEGATRON_2021,
    "megatron_2022_selective": MEGATRON_2021,
    "megatron_core_h100": MEGATRON_CORE,
    "mlperf_gpt3_h100": MEGATRON_CORE_FP8,
}
_FILES = {"a100_single_node": "single_node.csv", "a100_multi_node": "multi_node.csv"}


@dataclass(frozen=True)
class Measured:
    """One measured step.

    Args:
        table: where it is from.
        machine: a name in `machine/specs/`; `a100_vtrain` is an A100 with the network that vTrain had.
        choices: the splits that it may have had.
        fitted: whether constants were fitted on it.
    """

    table: str
    machine: str
    model: Gpt
    software: Software
    batch: int
    choices: tuple[Split, ...]
    seconds: float
    fitted: bool

    @property
    def question(self) -> tuple[Gpt, int, int]:
        """What was to be divided: rows with the same one differ in their split alone."""
        return self.model, self.batch, self.choices[0].accelerators


def published() -> list[Measured]:
    """The published rows that come with Dojo."""
    tables = tomllib.loads((_FOLDER / "published.toml").read_text(encoding="utf-8"))
    return [
        _published(name, table, dict(zip(table["columns"], row, strict=True)))
        for name, table in tables.items()
        for row in table["rows"]
    ]


def _published(name: str, table: dict[str, Any], row: dict[str, Any]) -> Measured:
    layers, hidden = row["layers"], row["hidden"]
    model = Gpt(
        f"GPT {12 * layers * hidden**2 / 1e9:.3g}B",
        hidden,
        row["heads"],
        layers,
        table["sequence"],
        table["vocabulary"],
    )
    seconds = row.get("seconds")
    if seconds is None:
        flops = model.flops(row["batch"])
        ends = 6.0 * row["batch"] * model.sequence * model.hidden * model.vocabulary
        counted = ends + (flops - ends) * table["passes"] / 3
        seconds = counted / (row["tflops"] * 1e12 * row["accelerators"])
    return Measured(
        table=name,
        machine=table["machine"],
        model=model,
        software=SOFTWARE[name],
        batch=row["batch"],
        choices=_choices(name, model, row),
        seconds=seconds,
        fitted=False,
    )


def _choices(name: str, model: Gpt, row: dict[str, Any]) -> tuple[Split, ...]:
    """The splits that agree with what a source says."""
    recent = name.endswith("h100")
    said: dict[str, list[Recompute]] = {
        "megatron_2022_selective": [Recompute.SELECTIVE],
        "mlperf_gpt3_h100": [Recompute.NONE],
    }
    recomputes = said.get(name, list(Recompute) if recent else [Recompute.FULL])
    wanted: dict[str, Any] = {
        "tensor": row["tensor"],
        "pipeline": row["pipeline"],
        "zero": 1 if recent else 0,
        "sequence_parallel": row["tensor"] > 1 and (recent or name.endswith("selective")),
        **{key: row[key] for key in ("micro_batch", "interleave") if key in row},
    }
    found = legal_splits(model, row["batch"], row["accelerators"], widest_tensor=8, recomputes=recomputes)
    if row["accelerators"] == row["tensor"] * row["pipeline"]:
        wanted["zero"] = 0
    return tuple(split for split in found if all(getattr(split, key) == value for key, value in wanted.items()))


def vtrain(folder: Path) -> list[Measured]:
    """The rows of vTrain's two tables.

    Raises:
        ConfigError: the folder or a table is not there, or has other columns.
    """
    fitted = set((_FOLDER / "fitted.txt").read_text(encoding="utf-8").split())
    rows: list[Measured] = []
    for table, name in _FILES.items():
        path = folder / name
        if not path.is_file():
            raise ConfigError(
                f"{path}: expected vTrain's measured iterations (VIA-Research/vTrain, data/ground_truth_*.csv), found "
                "no file; give their folder as --vtrain"
            )
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header, *body = list(csv.reader(lines))
        if header[-1] != "iteration time (ms)" or "micro batch" not in header:
            raise ConfigError(f"{path}: expected vTrain's columns, got {', '.join(header)}")
        rows += [_vtrain(table, line[-11:], fingerprint(line) in fitted) for line in body if line]
    return rows


def fingerprint(line: Iterable[str]) -> str:
    """What names a row of vTrain's without repeating it."""
    return hashlib.sha256(",".join(line).encode()).hexdigest()[:10]


def _vtrain(table: str, line: Sequence[str], fitted: bool) -> Measured:
    _, batch, micro, hidden, heads, layers, sequence, tensor, data, pipeline = (int(float(cell)) for cell in line[:-1])
    model = Gpt(f"GPT {12 * layers * hidden**2 / 1e9:.3g}B", hidden, heads, layers, sequence, 51200)
    split = Split(tensor, pipeline, data, micro_batch=micro, recompute=Recompute.FULL)
    seconds = float(line[-1]) / 1e3
    return Measured(table, "a100_vtrain", model, MEGATRON_DEEPSPEED, batch, (split,), seconds, fitted)
