"""`dojo machine step | search | validate | d1 | export`: how long a step takes, and how far to trust that.

In: a model by name, a machine by name, how many accelerators. Out: time, utilisation, what limits it, memory, energy,
cost; the best split among all legal ones; predictions beside measurements, with an exit status.
Idea: an answer carries the error that the same code makes on measured rows that it was not fitted on.
Not here: the simulation (`dojo.machine.simulate`), that error (`validated.py`), models that are captured
(`own_step.py`), money for a whole machine (`dojo.recipes.plan`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.compile.memory import capacity_bytes
from dojo.machine.compile.partition import Recompute, Split, columns
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.plan.assumptions import assumptions_for
from dojo.machine.plan.search import Choice, one_split, search
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.events import Played, play
from dojo.machine.simulate.measured import MEGATRON_CORE, MEGATRON_CORE_FP8, MEGATRON_DEEPSPEED
from dojo.machine.simulate.operators import peak_flop_per_s
from dojo.machine.simulate.step import Simulator
from dojo.machine.specs import load_machine
from dojo.recipes.captured import CAPTURED, export_chakra
from dojo.recipes.own_step import Asked, question_of, search_outcome, step_facts
from dojo.recipes.predicted import d1_predictions
from dojo.recipes.run import Outcome
from dojo.recipes.timeline import Timeline
from dojo.recipes.validated import ValidateRun, validate

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

_SPREAD_SHARE = 0.8


@dataclass(frozen=True)
class StepRun:
    """What one training step takes.

    Args:
        model: a name, see `MODELS`; `resnet50`; a policy: `tiny`, `small`, `medium`, `large`; or a training step of
            your own as `package.module:function` or `file.py:function`, see docs/extend/machine.md. All but the first
            are captured, and divided by their samples and into the stages of a pipeline.
        on: a machine by name, or the path of its file.
        count: accelerators.
        batch: samples of a step; 0 takes 1.5 for each accelerator, or 32 of a captured model.
        software: plain, bf16 or fp8. A captured step has formats of its own; with plain it is launched kernel by
            kernel.
        tensor, pipeline, micro_batch, interleave, sequence_parallel, zero, recompute: the split; with tensor 0 the best
            is searched, of a captured model unless a pipeline is given.
        years: over which accelerators are paid off.
        slow, slow_stage: what if one accelerator, of this stage, takes so many times as long for its passes.
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
    slow: float = 1.0
    slow_stage: int = 0
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
class D1Run:
    """What D1's published figures allow at most, beside what was said of it."""


@dataclass(frozen=True)
class ExportRun:
    """A captured training step as MLCommons Chakra traces, for ASTRA-sim.

    Args:
        model: resnet50, a policy: tiny, small, medium, large, or your own as `dojo machine step` has it.
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
        return validate(config, console)
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
    if config.model not in MODELS:
        return _own_step(config)
    simulator = simulator_of(config.model, config.on, config.software)
    batch = _batch(config.batch, config.count)
    choice = (
        one_split(simulator, _split(config), batch)
        if config.tensor
        else search(simulator, config.count, batch, keep=1).best[0]
    )

    def played(slow: Mapping[int, float]) -> Played:
        table = columns([choice.split], batch)
        return play(simulator.stage(table), table, 0, simulator.software, slow)

    facts = _facts(simulator, choice, batch, config.years)
    facts |= _timeline(config).facts(choice.seconds, choice.split.pipeline, played)
    return Outcome.listing(f"{config.model} on {config.count} x {config.on}", facts)


def _known(model: str) -> None:
    """Refuse a model that is neither of ours nor somebody's own."""
    if ":" not in model and model not in CAPTURED:
        raise ConfigError(
            f"model: expected one of {', '.join((*MODELS, *CAPTURED))}, or your own training step as "
            f"package.module:function or file.py:function, got {model!r}"
        )


def _own_step(config: StepRun) -> Outcome:
    """The same of a captured model.

    Raises:
        ConfigError: it is asked to be divided otherwise than by its samples and into stages.
    """
    _known(config.model)
    if config.tensor > 1 or config.sequence_parallel or config.recompute:
        raise ConfigError(
            f"{config.model}: expected no tensor groups, sequence parallelism or recomputation, since nobody says what "
            "the parts of a captured step are; divide it with pipeline, interleave, micro-batch and zero, and capture "
            "recomputation with the model"
        )
    question = question_of(Asked(config.model, config.on, config.count, config.batch, config.software))
    given = _split(config) if config.tensor or config.pipeline > 1 or config.interleave > 1 else None
    facts = step_facts(question, given, _timeline(config))
    facts |= _energy_and_cost(question.machine, config.count, facts["step_s"], config.years)
    return Outcome.listing(f"{config.model} on {config.count} x {config.on}", facts)


def _timeline(config: StepRun) -> Timeline:
    return Timeline(config.slow, config.slow_stage, config.trace)


def _split(config: StepRun) -> Split:
    shared = max(1, config.tensor) * config.pipeline
    if shared < 1 or config.count % shared:
        raise ConfigError(
            f"count: expected a multiple of tensor x pipeline = {shared}, got {config.count}; change one of them"
        )
    return Split(
        tensor=max(1, config.tensor),
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
    if config.model not in MODELS:
        _known(config.model)
        asked = Asked(config.model, config.on, config.count, config.batch, config.software)
        return search_outcome(question_of(asked), f"{config.model} on {config.count} x {config.on}", config.keep)
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
