"""`dojo machine step | search` for a model that is captured: ours, ResNet-50, or somebody's own PyTorch training step.

In: a model's name, a machine, accelerators, a batch. Out: the same answers as for a GPT: time, use, what limits it,
memory, energy, cost, and how to divide it.
Idea: a capture knows shapes and nothing else, so the questions are put to a graph and the answers say what could not be
known: which operators are counted by their bytes alone, and how far such predictions were off where somebody measured.
Not here: finding the model (`captured.py`), dividing it (`machine/plan/divide.py`), GPTs (`machine.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from dojo.errors import ConfigError
from dojo.machine.compile.models import IMAGE_BYTES
from dojo.machine.compile.partition import Split
from dojo.machine.plan.divide import checked, divisions, played
from dojo.machine.plan.replicas import Division, Question, is_mesh
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.operators import ARITHMETIC, peak_flop_per_s
from dojo.machine.simulate.own_training import HOST_S
from dojo.machine.simulate.vision import Feed, Library
from dojo.machine.specs import load_machine
from dojo.recipes.captured import ANCHORS, CAPTURED, FRAME_BYTES, captured_batches
from dojo.recipes.run import Outcome
from dojo.recipes.timeline import Timeline

SAMPLES_EACH = 32
"""Of an accelerator where no batch is asked for."""
LIBRARIES = {"plain": Library(overlap=False, launch_s=HOST_S), "bf16": Library()}
"""`plain`: launched from Python kernel by kernel, gradients exchanged at the end. `bf16`: a recorded graph, launched at
once, gradients exchanged meanwhile."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a captured model; the fields are those of `dojo machine step`."""

    model: str
    on: str
    count: int
    batch: int
    software: str


def question_of(asked: Asked) -> Question:
    """The question, with the model captured.

    Raises:
        ConfigError: there is no such model, machine or software.
    """
    if asked.software not in LIBRARIES:
        raise ConfigError(
            f"software: expected {' or '.join(LIBRARIES)} for a captured step, which has its own number formats, got "
            f"{asked.software!r}"
        )
    return Question(
        step=captured_batches(asked.model),
        machine=load_machine(asked.on),
        count=asked.count,
        batch=asked.batch or SAMPLES_EACH * asked.count,
        constants=load_constants(),
        library=LIBRARIES[asked.software],
        feed=_feed(asked.model),
    )


def _feed(model: str) -> Feed:
    """How large a sample is as it comes over PCIe, where that is known."""
    if model == "resnet50":
        return Feed(float(IMAGE_BYTES))
    return Feed((ANCHORS + 1.0) * FRAME_BYTES) if model in CAPTURED else Feed()


def step_facts(question: Question, given: Split | None, timeline: Timeline) -> dict[str, Any]:
    """What is told of a step.

    Args:
        given: how it is divided; None takes the fastest.
        timeline: what is wanted of it as it goes.
    """
    chosen = divisions(question)[0] if given is None else checked(question, given)
    return _facts(question, chosen) | timeline.facts(
        chosen.step.total_s,
        chosen.split.pipeline if chosen.split else 1,
        lambda slow: played(question, chosen, slow),
        starved_s=chosen.step.seconds.get("feeding", 0.0),
    )


def _facts(question: Question, chosen: Division) -> dict[str, Any]:
    graph, step = question.step.at(question.batch), chosen.step
    flop_per_s = sum(one.flops for one in graph.operators if one.kind in ARITHMETIC) / step.total_s / question.count
    dtype = max((one for one in graph.operators if one.kind in ARITHMETIC), key=lambda one: one.flops).dtype
    chip = question.machine.levels[question.machine.accelerator]
    return {
        "split": chosen.says,
        "batch": question.batch,
        "step_s": step.total_s,
        **_between(question, step.total_s),
        "samples_per_s": step.samples_per_s,
        "flop_per_s_each": flop_per_s,
        "utilisation": flop_per_s / peak_flop_per_s(chip, dtype),
        "utilisation_says": f"products as captured, of the dense {dtype} peak",
        "limiter": step.limiter,
        "shares": {name: part / step.total_s for name, part in _longest_first(step.seconds).items() if part},
        "parameters": question.step.few.parameters,
        "memory_gb_each": chosen.memory_bytes / 1e9,
        "memory_limit_gb": chosen.limit_bytes / 1e9,
        "memory_shares_gb": {name: size / 1e9 for name, size in _longest_first(dict(chosen.memory)).items() if size},
        "counted_by_bytes_alone": sorted({one.name for one in question.step.few.unknown}),
    }


def _longest_first(parts: dict[str, float]) -> dict[str, float]:
    return dict(sorted(parts.items(), key=lambda part: -part[1]))


def _between(question: Question, seconds: float) -> dict[str, Any]:
    if is_mesh(question.machine):
        return {"between_says": "no constant was fitted and no step was measured: the least that a step can take"}
    spread = question.constants.spread_captured
    return {
        "step_s_between": [seconds / (1 + spread), seconds * (1 + spread)],
        "between_says": "ResNet-50 in MLPerf, on which nothing was fitted: five of six rows lie as near",
    }


def search_outcome(question: Question, title: str, keep: int) -> Outcome:
    """The best ways to divide a step."""
    start = time.perf_counter()
    found = divisions(question)
    took_s = time.perf_counter() - start
    table = Table(title=f"{title}, batch {question.batch}: {len(found)} fit, {took_s:.2f} s", title_justify="left")
    for name in ("split", "step s", "samples/s", "limiter", "GB"):
        table.add_column(name, justify="left" if name in ("split", "limiter") else "right")
    for one in found[:keep]:
        cells = (f"{one.step.total_s:.4f}", f"{one.step.samples_per_s:,.0f}", one.step.limiter)
        table.add_row(one.says, *cells, f"{one.memory_bytes / 1e9:.1f}")
    facts = {
        "fitting": len(found),
        "took_s": took_s,
        "slowest_s": found[-1].step.total_s,
        "best": [_row(one) for one in found[:keep]],
    }
    return Outcome(facts, table)


def _row(one: Division) -> dict[str, Any]:
    return {
        "says": one.says,
        "seconds": one.step.total_s,
        "parts": _longest_first(one.step.seconds),
        "memory_bytes": one.memory_bytes,
        "memory_parts": dict(one.memory),
    }
