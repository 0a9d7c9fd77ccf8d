"""`dojo machine step | search | validate | d1 | export`: how long a step takes, and how far to trust that.

In: a model by name, a machine by name, how many accelerators. Out: time, utilisation, what limits it, memory, energy,
cost; the best split among all legal ones; predictions beside measurements, with an exit status.
Idea: an answer carries the error that the same code makes on measured rows that it was not fitted on, and `validate`
fails where that grows beyond its bounds.
Not here: the simulation (`dojo.machine.simulate`), money for a whole machine (`dojo.recipes.plan`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.table import Table
from tyro.conf import Positional

from dojo.errors import ConfigError, EvaluationError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.memory import capacity_bytes
from dojo.machine.compile.partition import Recompute, Split, columns
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.plan.assumptions import assumptions_for
from dojo.machine.plan.search import Choice, one_split, search
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.events import play
from dojo.machine.simulate.measured import (
    MEGATRON_CORE,
    MEGATRON_CORE_FP8,
    MEGATRON_DEEPSPEED,
    Measured,
    published,
    vtrain,
)
from dojo.machine.simulate.mlperf_vision import ResnetAgreement
from dojo.machine.simulate.operators import peak_flop_per_s
from dojo.machine.simulate.step import Simulator
from dojo.machine.simulate.trace import chrome_trace
from dojo.machine.simulate.validate import Agreement, Predictor, agreement
from dojo.machine.specs import load_machine
from dojo.recipes.captured import export_chakra
from dojo.recipes.predicted import d1_predictions, resnet_held_out
from dojo.recipes.run import Outcome, write_whole

MODELS: Mapping[str, Gpt] = {
    "gpt-1.7b": Gpt("gpt-1.7b", 2304, 24, 24, 2048, 51200),
    "gpt-7.5b": Gpt("gpt-7.5b", 4096, 32, 36, 2048, 51200),
    "gpt-22b": Gpt("gpt-22b", 6144, 64, 48, 2048, 51200),
    "gpt-175b": Gpt("gpt-175b", 12288, 96, 96, 2048, 51200),
    "gpt-530b": Gpt("gpt-530b", 20480, 128, 105, 2048, 51200),
    "gpt-1t": Gpt("gpt-1t", 25600, 160, 128, 2048, 51200),
    "moe-8x7b": Gpt("moe-8x7b", 4096, 32, 32, 4096, 32000, experts=8, active_experts=2),
}
"""Shapes of Narayanan et al. 2021 and Korthikanti et al. 2022, and one with experts."""
SOFTWARE: Mapping[str, Software] = {
    "plain": MEGATRON_DEEPSPEED,
    "bf16": MEGATRON_CORE,
    "fp8": MEGATRON_CORE_FP8,
}
"""`plain` is the software of 2021: attention in pieces, nothing overlapped; the others that of 2024."""

_DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "vtrain_a100"
"""vTrain's tables beside a checkout, where they usually are."""
_TRANSFERRED, _CALIBRATED = ("megatron_core_h100", "mlperf_gpt3_h100"), ("a100_multi_node", "a100_single_node")
HELD_OUT = {"a100_multi_node": ("a100_multi_node",), "a100_single_node": ("a100_single_node",), "h100": _TRANSFERRED}
"""What is reported as held out, and the tables that it is made of."""
BOUNDS = {"a100_multi_node": 0.08, "a100_single_node": 0.09, "h100": 0.10, "resnet50": 0.15}
"""Mean error on held-out rows above which `dojo machine validate` fails."""
REGRET_BOUND = 0.03
"""Of the split that is predicted fastest, beyond the fastest measured; on a single server 0.02 is not reached yet."""
CALCULON = {
    "a100_multi_node": 0.1113,
    "a100_single_node": 0.340,
    "megatron_2021": 0.095,
    "megatron_core_h100": 0.296,
    "h100": 0.296,
}
"""Mean error of Calculon (calculon-ai/calculon, 2024-02-22, `a100_80g.json` and `h100_80g_nvl8.json` unchanged) on
the rows of the same tables that it accepts: 103 of 109, 1,440, 10, 9 and 9; the best micro-batch where none is
published."""
_SPREAD_SHARE = 0.8


@dataclass(frozen=True)
class StepRun:
    """What one training step takes.

    Args:
        model: a name, see `MODELS`.
        on: a machine by name, or the path of its file.
        count: accelerators.
        batch: samples of a step; 0 takes 1.5 for each accelerator, made divisible.
        software: plain, bf16 or fp8.
        tensor, pipeline, micro_batch, interleave, sequence_parallel, zero, recompute: the split; with tensor 0 the best
            is searched.
        years: over which accelerators are paid off.
        trace: where to write the step as a timeline for Chrome or Perfetto.
    """

    model: Positional[str] = "gpt-175b"
    on: str = "a100"
    count: int = 512
    batch: int = 0
    software: str = "bf16"
    tensor: int = 0
    pipeline: int = 1
    micro_batch: int = 1
    interleave: int = 1
    sequence_parallel: bool = False
    zero: int = 0
    recompute: Recompute = Recompute.NONE
    years: float = 4.0
    trace: Path | None = None


@dataclass(frozen=True)
class SearchRun:
    """The best splits of a step among all legal ones.

    Args:
        model, on, count, batch, software: as `dojo machine step` has them.
        keep: how many to list.
    """

    model: Positional[str] = "gpt-175b"
    on: str = "a100"
    count: int = 4096
    batch: int = 0
    software: str = "bf16"
    keep: int = 10


@dataclass(frozen=True)
class ValidateRun:
    """Predictions beside measurements; fails where an error is beyond its bound.

    Args:
        vtrain: folder of vTrain's tables; without it, the place beside a checkout is tried.
        rows: list every row.
    """

    vtrain: Path | None = None
    rows: bool = False


@dataclass(frozen=True)
class D1Run:
    """What D1's published figures allow at most, beside what was said of it."""


@dataclass(frozen=True)
class ExportRun:
    """A captured training step as MLCommons Chakra traces, for ASTRA-sim.

    Args:
        model: resnet50, or a policy: tiny, small, medium, large.
        out: folder for one trace for each rank.
        samples: of one rank. `ranks`: that train together.
    """

    model: Positional[str] = "resnet50"
    out: Path = Path("runs/chakra")
    samples: int = 32
    ranks: int = 8

    def __post_init__(self) -> None:
        if self.samples < 1 or self.ranks < 1:
            raise ConfigError(f"export: expected samples and ranks from 1, got {self.samples} and {self.ranks}")


CONFIG = StepRun | SearchRun | ValidateRun | D1Run | ExportRun
CONFIGS: dict[str, type] = {
    "step": StepRun,
    "search": SearchRun,
    "validate": ValidateRun,
    "d1": D1Run,
    "export": ExportRun,
}


def run(config: CONFIG, console: Console) -> Outcome:
    """The answer to what was asked.

    Raises:
        DojoError: the question cannot be answered; or a bound is missed.
    """
    if isinstance(config, ValidateRun):
        return _validate(config, console)
    if isinstance(config, D1Run):
        return d1_predictions()
    if isinstance(config, ExportRun):
        paths = export_chakra(config.model, config.samples, config.out, ranks=config.ranks)
        return Outcome.listing("traces", {"files": [str(path) for path in paths], "bytes": paths[0].stat().st_size})
    return _step(config) if isinstance(config, StepRun) else _search(config)


def simulator_of(model: str, on: str, software: str) -> Simulator:
    """The simulator of a model on a machine, by name.

    Raises:
        ConfigError: a name is unknown.
    """
    for name, known, kind in ((model, MODELS, "model"), (software, SOFTWARE, "software")):
        if name not in known:
            raise ConfigError(f"{kind}: expected one of {', '.join(known)}, got {name!r}")
    return Simulator(MODELS[model], SOFTWARE[software], load_machine(on), load_constants())


def _batch(batch: int, count: int) -> int:
    return batch or max(1, 3 * count // 2)


def _step(config: StepRun) -> Outcome:
    simulator = simulator_of(config.model, config.on, config.software)
    batch = _batch(config.batch, config.count)
    choice = (
        one_split(simulator, _split(config), batch)
        if config.tensor
        else search(simulator, config.count, batch, keep=1).best[0]
    )
    facts = _facts(simulator, choice, batch, config.years)
    if config.trace is not None:
        table = columns([choice.split], batch)
        played = play(simulator.stage(table), table, 0, simulator.software)
        write_whole(config.trace, chrome_trace(played))
        facts |= {"trace": str(config.trace), "played_s": played.seconds}
    return Outcome.listing(f"{config.model} on {config.count} x {config.on}", facts)


def _split(config: StepRun) -> Split:
    shared = config.tensor * config.pipeline
    if config.count % shared:
        raise ConfigError(
            f"count: expected a multiple of tensor x pipeline = {shared}, got {config.count}; change one of them"
        )
    return Split(
        tensor=config.tensor,
        pipeline=config.pipeline,
        data=config.count // shared,
        micro_batch=config.micro_batch,
        interleave=config.interleave,
        sequence_parallel=config.sequence_parallel,
        zero=config.zero,
        recompute=config.recompute,
    )


def _facts(simulator: Simulator, choice: Choice, batch: int, years: float) -> dict[str, Any]:
    """What is told of a step."""
    machine, count = simulator.machine, choice.split.accelerators
    chip = machine.levels[machine.accelerator]
    dtype = simulator.software.matmul_dtype or simulator.software.dtype
    flop_per_s = simulator.model.flops(batch) / choice.seconds / count
    spread = _spread(machine)
    facts: dict[str, Any] = {
        "split": str(choice.split),
        "batch": batch,
        "step_s": choice.seconds,
        "step_s_between": [choice.seconds / (1 + spread), choice.seconds * (1 + spread)],
        "between_says": f"{_SPREAD_SHARE:.0%} of held-out measured rows lie as near to their predictions",
        "model_flop_per_s_each": flop_per_s,
        "utilisation": flop_per_s / peak_flop_per_s(chip, dtype),
        "limiter": next(iter(choice.parts)),
        "shares": {name: seconds / choice.seconds for name, seconds in choice.parts.items() if seconds},
        "memory_gb_each": choice.memory_bytes / 1e9,
        "memory_limit_gb": capacity_bytes(machine) / 1e9,
        "memory_shares_gb": {name: size / 1e9 for name, size in choice.memory_parts.items() if size},
    }
    return facts | _energy_and_cost(machine, count, choice.seconds, years)


def _spread(machine: Machine) -> float:
    """By how much measured steps differ from predictions, four times in five."""
    constants = load_constants()
    return constants.spread_calibrated if machine.name == "a100" else constants.spread_transferred


def _energy_and_cost(machine: Machine, count: int, seconds: float, years: float) -> dict[str, Any]:
    """Energy and money of a step, where power and price are known."""
    powered = [
        (level.power.power_w / machine.count(machine.accelerator, name), name)
        for name, level in machine.levels.items()
        if level.power is not None and machine.count(machine.accelerator, name)
    ]
    if not powered:
        return {}
    watts, whole = powered[-1]
    try:
        assumed = assumptions_for(machine)
    except ConfigError:
        return {"energy_j": watts * count * seconds, "energy_says": f"at the full power of a {whole}"}
    drawn_w = watts * assumed.load_share.likely * assumed.power_usage.likely * count
    dollars = assumed.price_usd.likely * count * seconds / (years * 365.25 * 86400)
    dollars += drawn_w * seconds / 3.6e6 * assumed.electricity_usd_per_kwh.likely
    return {
        "energy_j": drawn_w * seconds,
        "energy_says": f"mean draw of a {whole}, with cooling: see `dojo plan`",
        "cost_usd": dollars,
        "cost_says": f"accelerators paid off over {years:g} years, and electricity",
    }


def _search(config: SearchRun) -> Outcome:
    simulator = simulator_of(config.model, config.on, config.software)
    batch = _batch(config.batch, config.count)
    start = time.perf_counter()
    found = search(simulator, config.count, batch, keep=config.keep)
    took_s = time.perf_counter() - start
    title = f"{config.model} on {config.count} x {config.on}, batch {batch}: {found.legal} legal splits, "
    table = Table(title=f"{title}{found.fitting} fit, {took_s:.2f} s", title_justify="left")
    for name in ("split", "step s", "TFLOP/s each", "limiter", "GB"):
        table.add_column(name, justify="left" if name in ("split", "limiter") else "right")
    for choice in found.best:
        rate = simulator.model.flops(batch) / choice.seconds / config.count / 1e12
        table.add_row(
            str(choice.split),
            f"{choice.seconds:.3f}",
            f"{rate:.0f}",
            next(iter(choice.parts)),
            f"{choice.memory_bytes / 1e9:.1f}",
        )
    facts = {
        "legal": found.legal,
        "fitting": found.fitting,
        "took_s": took_s,
        "slowest_s": found.slowest_s,
        "best": [{**dataclasses.asdict(choice), "says": str(choice.split)} for choice in found.best],
    }
    return Outcome(facts, table)


def vtrain_machine() -> Machine:
    """The A100 servers of vTrain's measurements: half the network of a DGX, 800 Gb/s."""
    machine = load_machine("a100")
    server = machine.levels["server"]
    network = dataclasses.replace(server.links["network"], count=4, source="VIA-Research/vTrain, README")
    return dataclasses.replace(
        machine,
        name="a100_vtrain",
        levels={**machine.levels, "server": dataclasses.replace(server, links={"network": network})},
    )


def predictor() -> Predictor:
    """Predicts rows of every machine that has been measured."""
    machines = {name: load_machine(name) for name in ("a100", "h100")}
    return Predictor({**machines, "a100_vtrain": vtrain_machine()})


def measured_rows(folder: Path | None) -> tuple[list[Measured], list[str]]:
    """The rows at hand, and what is missing.

    Raises:
        ConfigError: a folder was asked for and is not there.
    """
    if folder is None and not _DATA.is_dir():
        return published(), [f"vTrain's A100 rows: no folder {_DATA.name} beside the checkout; give it as --vtrain"]
    return published() + vtrain(folder or _DATA), []


def _validate(config: ValidateRun, console: Console) -> Outcome:
    rows, missing = measured_rows(config.vtrain)
    predicted = predictor().seconds(rows, load_constants())
    tables = {row.table: None for row in rows}
    parts = {table: _agreement(rows, predicted, (table,), held_out=None) for table in tables}
    held_out = {
        name: _agreement(rows, predicted, of, held_out=True) for name, of in HELD_OUT.items() if of[0] in tables
    }
    resnet, pictures = resnet_held_out()
    every: dict[str, Agreement | ResnetAgreement] = {**held_out, "resnet50": resnet}
    facts: dict[str, Any] = {
        "held_out": {name: dataclasses.asdict(found) for name, found in every.items()},
        "tables": {name: dataclasses.asdict(found) for name, found in parts.items()},
        "calculon_mean_abs_error": CALCULON,
        "missing": missing,
        "misses": _misses(every, held_out),
        "rows": [
            {"table": row.table, "model": row.model.name, "measured_s": row.seconds, "predicted_s": float(guess)}
            for row, guess in zip(rows, predicted, strict=True)
        ],
    }
    if not config.rows:
        facts["rows"] = len(rows)
    shown = [_agreements("all rows", parts), _agreements("held out", held_out), pictures.table]
    outcome = Outcome(facts, Group(*([_row_table(rows, predicted)] if config.rows else []), *shown, *missing))
    if facts["misses"]:
        console.print(outcome.table)
        raise EvaluationError("; ".join(facts["misses"]))
    return outcome


def _agreement(
    rows: list[Measured], predicted: np.ndarray, tables: tuple[str, ...], held_out: bool | None
) -> Agreement:
    mine = [
        place
        for place, row in enumerate(rows)
        if row.table in tables and (held_out is None or row.fitted is not held_out)
    ]
    return agreement([rows[place] for place in mine], predicted[mine])


def _misses(every: Mapping[str, Agreement | ResnetAgreement], splits: Mapping[str, Agreement]) -> list[str]:
    """Every bound that is missed."""
    found = [
        f"{name}: expected a mean error below {BOUNDS[name]:.0%} on held-out rows, got {part.mean_abs_error:.1%}"
        for name, part in every.items()
        if part.mean_abs_error >= BOUNDS[name]
    ]
    return found + [
        f"{name}: expected a regret below {REGRET_BOUND:.0%}, got {part.regret:.1%}"
        for name, part in splits.items()
        if part.regret is not None and part.regret >= REGRET_BOUND
    ]


def _agreements(title: str, parts: Mapping[str, Agreement]) -> Table:
    table = Table("table", title=title, title_justify="left")
    for name in ("rows", "mean", "median", "worst", "bias", "rank corr.", "regret", "Calculon's mean"):
        table.add_column(name, justify="right")
    for name, part in parts.items():
        errors = (part.mean_abs_error, part.median_abs_error, part.worst_error, part.bias)
        table.add_row(
            name,
            str(part.rows),
            *(f"{error:.1%}" for error in errors),
            "" if part.rank_correlation is None else f"{part.rank_correlation:.2f}",
            "" if part.regret is None else f"{part.regret:.1%}",
            f"{CALCULON[name]:.1%}" if name in CALCULON else "",
        )
    return table


def _row_table(rows: list[Measured], predicted: np.ndarray) -> Table:
    table = Table("table", "model", "split", title="rows", title_justify="left")
    for name in ("measured s", "predicted s", "error"):
        table.add_column(name, justify="right")
    for row, guess in zip(rows, predicted, strict=True):
        split = str(row.choices[0]) if len(row.choices) == 1 else f"best of {len(row.choices)}"
        table.add_row(
            row.table, row.model.name, split, f"{row.seconds:.3f}", f"{guess:.3f}", f"{guess / row.seconds - 1:+.1%}"
        )
    return table
