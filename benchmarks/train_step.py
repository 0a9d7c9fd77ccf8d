"""Training steps per second of each size of the policy, with and without compilation, the loader feeding them.

    python benchmarks/train_step.py --json

In: nothing; clips are made (`loader_material.py`). Out: a table, `results/train_step-<device>.json`, and with `--json`
one line. Idea: a step is measured as `dojo train` makes it, `train.train` with its optimiser, averages and curves, so
whatever slows a real run slows this one. What the loader costs is the share of time that steps wait for it. Utilisation
is the policy's operations over those of one large product on the same device in the same number format.
"""

from __future__ import annotations

import json
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import tyro
from loader_material import FRAMES, Material, clips, drive, prepare, view
from rich.console import Console
from rich.table import Table

from dojo.load import LoadConfig, Loader, LoaderState, cameras_of
from dojo.model import config as sizes
from dojo.model.policy import Policy, parameters_of
from dojo.records import Batch
from dojo.store import Dataset
from dojo.train.train import PlainState, TrainConfig, train

HERE = Path(__file__).resolve().parent
SIZES = {"S": sizes.small, "M": sizes.medium, "L": sizes.large}


@dataclass(frozen=True)
class TrainStepBenchmark:
    """What is measured.

    Args:
        sizes: of the policy. batch_size: clips per step, of 7 anchors each.
        compile: each of these. steps: per measurement, after as many to warm up.
        workers, threads: that load; of torch on a CPU.
        recompute: forget and compute again what blocks of the policy computed.
        clips: one-minute clips of material.
    """

    sizes: tuple[str, ...] = ("S", "M", "L")
    batch_size: int = 16
    compile: tuple[bool, ...] = (False, True)
    steps: int = 20
    workers: int = 2
    threads: int = 2
    recompute: bool = False
    clips: int = 8
    work: Path = Path("runs/bench-loader")
    out: Path | None = None
    json: bool = False


def measured(config: TrainStepBenchmark, size: str, compiled: bool, place: Path) -> dict[str, Any]:
    """One size, in a process of its own, so that its memory is its own."""
    material = Material(clips=config.clips)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    policy = Policy(SIZES[size]()).to(device)
    load = LoadConfig(batch_size=config.batch_size, order="chunked", buffer=64, workers=config.workers)
    cameras = cameras_of([drive(material, number) for number in range(material.clips)])
    loader = Loader(clips(material), cameras, Dataset.open(str(place / "dojo")), load, "v", view=view(material))

    def batches(state: PlainState | None) -> Iterator[tuple[Batch, PlainState]]:
        first = LoaderState.from_json(state) if state else None
        return ((batch, after.as_json()) for batch, after in loader.batches(first))

    settings = TrainConfig(
        steps=2 * config.steps,
        checkpoint_every=10 * config.steps,
        log_every=config.steps,
        threads=config.threads,
        compile=compiled,
        recompute=config.recompute,
        measure=True,
    )
    folder = Path(tempfile.mkdtemp())
    try:
        train(policy, batches, settings, folder)
        *_, last = (json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 1e9
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "size": size,
        "parameters": parameters_of(policy),
        "compile": compiled,
        "samples_per_s": last["samples_per_s"],
        "steps_per_s": last["samples_per_s"] / config.batch_size / (FRAMES - 1),
        "flop_utilisation": last["flop_utilisation"],
        "data_wait_share": last["data_wait_share"],
        "memory_gb": memory,
    }


def main(config: TrainStepBenchmark) -> None:
    """Measure, keep, print."""
    console = Console(stderr=True)
    place = prepare(Material(clips=config.clips), config.work, ("dojo",), 2)
    on_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name(0) if on_gpu else f"{platform.machine()} CPU, {config.threads} threads"
    found, missing = [], []
    for size in config.sizes:
        for compiled in config.compile:
            with get_context("spawn").Pool(1) as pool:
                try:
                    found.append(pool.apply(measured, (config, size, compiled, place)))
                except Exception as error:
                    missing.append(f"{size}, compile {compiled}: {str(error).splitlines()[0][:200]}")
    names = ("size", "compile", "samples_per_s", "flop_utilisation", "data_wait_share", "memory_gb")
    table = Table(*names, title=f"training steps on {device}", title_justify="left")
    for row in found:
        table.add_row(*(f"{row[name]:.3g}" if isinstance(row[name], float) else str(row[name]) for name in names))
    console.print(table)
    for reason in missing:
        console.print(reason)
    name = torch.cuda.get_device_name(0).replace(" ", "-").lower() if on_gpu else "cpu"
    out = config.out or HERE / "results" / f"train_step-{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in asdict(config).items() if key not in ("work", "out", "json")}
    facts = {"device": device, "settings": settings, "sizes": found, "missing": missing}
    out.write_text(json.dumps(facts, indent=1) + "\n")
    if config.json:
        print(
            json.dumps(
                {
                    "device": device,
                    "sizes": {f"{r['size']}{'+compile' * r['compile']}": round(r["samples_per_s"], 1) for r in found},
                }
            )
        )


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main(tyro.cli(TrainStepBenchmark))
