"""Does the tiny policy learn in eight bits?

In: a curated dataset. Out: a table, JSON and a drawing: the curve of the loss and the open-loop error with its
interval, of one run computed in float32, in bfloat16, stored in CFloat8 with learned biases, and with a bad one that is
not learned.
Idea: same weights to start from, same batches, same steps; only the numbers differ. The last has to fail: all classes
are stored with one bias whose window lies above nearly all weights and gradients, and an emulation that learned all the
same would not be one. All are judged alike, in float32 with the averaged weights that the optimiser keeps wide.
A run that was cut off goes on, and one that is judged is not repeated.
Not measured here: speed; emulating a narrow memory makes training slower, not faster.

    python benchmarks/numerics.py --dataset runs/demo/dataset --out runs/numerics
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from dojo.errors import DojoError
from dojo.load.source import FrameSource
from dojo.recipes import evaluate, train
from dojo.recipes.run import write_whole
from dojo.recipes.train import TrainRun, decoded
from dojo.store.dataset import Dataset

POINTS = 8
"""Of each curve in the table; the JSON has all."""


@dataclass(frozen=True)
class Config:
    """What is trained, on what.

    Args:
        dataset: curated, with validation clips.
        out: folder for the runs, `numerics.json` and `numerics.png`.
        model: recipe of `dojo train`.
        steps: of each run; the recipe's own if not given.
        seed: of the weights and the batches.
        bad_bias: for all classes. With 0 nothing below an eighth in magnitude is left of weights and activations.
        metric: of the report.
        threads: of torch.
    """

    dataset: str = "runs/demo/dataset"
    out: Path = Path("runs/numerics")
    model: str = "tiny"
    steps: int | None = None
    seed: int = 0
    bad_bias: int = 0
    metric: str = "lateral_error_3s_m"
    threads: int = 1


def kinds_of(config: Config) -> dict[str, dict[str, Any]]:
    """What differs between the runs, by name."""
    return {
        "fp32": {"numerics": "fp32"},
        "bf16": {"numerics": "bf16"},
        "cfloat8, learned bias": {"numerics": "cfloat8"},
        f"cfloat8, bias {config.bad_bias}": {"numerics": "cfloat8", "cfloat8_bias": config.bad_bias},
    }


def run_of(config: Config, name: str, fields: dict[str, Any]) -> TrainRun:
    """The training run of one kind."""
    recipe = train.CONFIGS[config.model]()
    steps = config.steps or recipe.train.steps
    optimise = replace(recipe.train.optimise, warmup_steps=min(recipe.train.optimise.warmup_steps, max(1, steps // 10)))
    wanted = replace(
        recipe.train,
        steps=steps,
        seed=config.seed,
        threads=config.threads,
        optimise=optimise,
        log_every=10,
        checkpoint_every=min(recipe.train.checkpoint_every, 100),
        **fields,
    )
    folder = config.out / "".join(letter if letter.isalnum() else "-" for letter in name)
    return replace(
        recipe.into(dataset=config.dataset, out=folder),
        train=wanted,
        cache_gb=0.0,
        load=replace(recipe.load, seed=config.seed),
    )


def curve_of(folder: Path) -> list[dict[str, float]]:
    """The points that a run left."""
    path = folder / "curves.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def judged(config: Config, name: str, fields: dict[str, Any], frames: Callable[[], FrameSource]) -> dict[str, Any]:
    """What came of one kind, trained and judged as far as it was not yet."""
    wanted, console = run_of(config, name, fields), Console()
    row: dict[str, Any] = {"kind": name, "stopped": ""}
    report = wanted.out / "report.json"
    try:
        if not report.exists():
            train.run(wanted, console, frames())
            judging = evaluate.EvaluateRun(run=wanted.out, videos_of_each=0, threads=config.threads)
            evaluate.run(judging, console)
        found = json.loads(report.read_text())["open_loop"]
        known = {who: figures[config.metric] for who, figures in found.items() if config.metric in figures}
        row |= {"error": known.pop("model"), "baselines": known}
    except DojoError as error:
        row["stopped"] = str(error)
    return row | {"curve": curve_of(wanted.out)}


def main(config: Config) -> None:
    """Train every kind on the same decoded clips, judge it, print, draw, and write down."""
    config.out.mkdir(parents=True, exist_ok=True)

    @cache
    def frames() -> FrameSource:
        dataset = Dataset.open(config.dataset)
        return decoded(dataset, dataset.clips(split="train"), 4.0, config.out, Console())

    rows = [judged(config, name, fields, frames) for name, fields in kinds_of(config).items()]
    write_whole(config.out / "numerics.json", json.dumps({"config": _plain(config), "runs": rows}, indent=1) + "\n")
    drawn(config, rows).savefig(config.out / "numerics.png", dpi=100)
    Console(width=150).print(table_of(config, rows))


def _plain(config: Config) -> dict[str, Any]:
    return asdict(config) | {"out": str(config.out)}


def drawn(config: Config, rows: list[dict[str, Any]]) -> Figure:
    """Curves, and errors with their intervals beside the baselines."""
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set_title("loss")
    left.set_xlabel("step")
    for row in rows:
        points = row["curve"]
        left.plot([point["step"] for point in points], [point["total"] for point in points], label=row["kind"])
    left.legend(frameon=False)
    _draw_errors(right, [row for row in rows if "error" in row])
    right.set_title("error with 95 % interval over drives")
    right.set_xlabel(config.metric)
    return figure


def _draw_errors(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """The kinds in the colours of their curves, and below them the baselines in grey."""
    named = [(row["kind"], row["error"]) for row in rows]
    named += [(name.replace("_", " "), error) for name, error in (rows[0]["baselines"] if rows else {}).items()]
    for place, (_, error) in enumerate(named):
        reach = [[error["value"] - error["low"]], [error["high"] - error["value"]]]
        colour = f"C{place}" if place < len(rows) else "grey"
        axes.errorbar([error["value"]], [place], xerr=reach, fmt="o", capsize=3, color=colour)
    axes.set_yticks(range(len(named)), [name for name, _ in named])
    axes.invert_yaxis()
    axes.set_xlim(left=0)


def table_of(config: Config, rows: list[dict[str, Any]]) -> Table:
    """Curves at a few steps, error with interval, and what storage lost at the last look."""
    longest = max((row["curve"] for row in rows), key=len)
    chosen = longest[:: max(1, len(longest) // POINTS)][:POINTS]
    steps = [int(point["step"]) for point in chosen] + ([int(longest[-1]["step"])] if longest else [])
    table = Table("kind", *(f"loss at {step}" for step in steps), config.metric, "clamped, vanished: w / a / g")
    for row in rows:
        by_step = {int(point["step"]): point for point in row["curve"]}
        losses = [f"{by_step[step]['total']:.2f}" if step in by_step else "" for step in steps]
        error = row.get("error")
        said = f"{error['value']:.3f} [{error['low']:.3f}, {error['high']:.3f}]" if error else row["stopped"][:60]
        last = row["curve"][-1] if row["curve"] else {}
        lost = [
            f"{100 * last[f'{name}_clamped']:.2g} %, {100 * last[f'{name}_vanished']:.2g} %"
            for name in ("weights", "activations", "gradients")
            if f"{name}_clamped" in last
        ]
        table.add_row(row["kind"], *losses, said, " / ".join(lost))
    return table


if __name__ == "__main__":
    main(tyro.cli(Config))
