"""How long does it take to answer how long a training step takes?

In: nothing. Out: a table, and JSON: seconds for one configuration, for all splits of GPT-175B over 4,096 GPUs, and for
the played step of 3,000 D1 dies.
Idea: the best of several runs in one process, on one core, everything built anew in each.
Not measured here: how far the answers can be trusted (`dojo machine validate`); other tools.

    python benchmarks/machine_speed.py --out benchmarks/results/machine_speed.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from dojo.machine.compile.partition import Recompute, Split, columns
from dojo.machine.compile.transformer import Gpt
from dojo.machine.plan.search import one_split, search
from dojo.machine.simulate.events import play
from dojo.recipes.machine import simulator_of


@dataclass(frozen=True)
class Config:
    """What is asked.

    Args:
        runs: of each question; the quickest counts.
        out: where to write the figures.
    """

    runs: int = 3
    out: Path | None = None


def best_s(ask: Callable[[], object], runs: int) -> float:
    """The quickest of some runs."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - start)
    return min(taken)


def play_dies() -> None:
    """One step of a GPT with 120 blocks over 3,000 dies, message by message."""
    simulator = simulator_of("gpt-175b", "d1", "bf16")
    simulator.model = Gpt("gpt-120-blocks", 12288, 96, 120, 2048, 51200)
    simulator.work.model = simulator.model
    table = columns([Split(6, 20, 25, recompute=Recompute.FULL)], 25 * 64)
    play(simulator.stage(table), table, 0, simulator.software)


def main(config: Config) -> None:
    """Ask, print, write."""
    split = Split(8, 8, 64, zero=1, sequence_parallel=True)
    figures = {
        "one configuration": best_s(
            lambda: one_split(simulator_of("gpt-175b", "a100", "bf16"), split, 6144), config.runs
        ),
        "all splits of GPT-175B over 4,096": best_s(
            lambda: search(simulator_of("gpt-175b", "a100", "bf16"), 4096, 6144), config.runs
        ),
        "a played step of 3,000 dies": best_s(play_dies, config.runs),
    }
    table = Table("question", title="seconds to an answer, one core")
    table.add_column("s", justify="right")
    for question, seconds in figures.items():
        table.add_row(question, f"{seconds:.4f}")
    Console().print(table)
    if config.out is not None:
        config.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Config))
