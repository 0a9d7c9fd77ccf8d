"""`dojo scale`: does more data help, and what would more of it bring?

In: a curated dataset. Out: `report.json` and `report.html`: errors at nested sizes, the laws they follow, what these
predict, and when the data cannot say.
Idea: the same recipe on parts of the routes that lie within one another, each part twice the one before, under several
seeds, which draw the part as well as the weights. A run of fixed length would compare sizes at different shares of what
they can learn; so a run is repeated with twice the steps until the error on vehicles that belong to no part stops
falling, and the best of these runs is the point. Validation clips are looked at once per point, at its end. Every point
is an ordinary run with an ordinary report, kept when the command is interrupted and given again.
Not here: the laws (`train/scaling.py`), what follows from them (`scale_findings.py`), the page (`scale_page.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from rich.console import Console

from dojo.curate.nested import Part, held_back, part_of, routes_of, sequence_of
from dojo.errors import ConfigError
from dojo.evaluate.metrics import METRICS
from dojo.evaluate.open_loop import EvaluateConfig
from dojo.evaluate.samples import samples_of
from dojo.evaluate.suites import SUITES
from dojo.load.loader import in_order
from dojo.load.source import FrameSource, cameras_of
from dojo.recipes import evaluate, rollout, train
from dojo.recipes.run import Outcome, read_record, record, write_record, write_whole
from dojo.recipes.scale_findings import Point, findings
from dojo.recipes.scale_page import page_of
from dojo.recipes.train import TrainRun, decoded, load_policy
from dojo.records import Clip, Drive
from dojo.store.dataset import Dataset


@dataclass(frozen=True)
class Plateau:
    """When a run has learned what its data can teach it.

    Args:
        first_steps: of the shortest run; each further one has twice as many.
        runs_at_most: how many, after which the point is marked as not yet flat.
        gain: the least relative fall of the error on the vehicles held back that justifies a longer run.
        held_back: share of the training vehicles that no run learns from.
    """

    first_steps: int = 200
    runs_at_most: int = 4
    gain: float = 0.02
    held_back: float = 0.1

    def __post_init__(self) -> None:
        if self.first_steps < 1 or self.runs_at_most < 1 or not 0 <= self.gain < 1 or not 0 < self.held_back < 1:
            raise ConfigError(
                "scale.plateau: expected first_steps and runs_at_most of at least 1, gain in [0, 1) and held_back in "
                f"(0, 1), got {self.first_steps}, {self.runs_at_most}, {self.gain} and {self.held_back}"
            )


@dataclass(frozen=True)
class ScaleRun:
    """Train at nested sizes, fit laws to the errors, say what they say.

    Args:
        dataset: folder or object-store URI of a curated dataset with validation clips.
        out: folder for the runs and the report.
        models: recipes of `dojo train`, each a curve of its own.
        doublings: how often the data double; one size more than that.
        seeds: runs at each size.
        error: the metric of the report that the laws are about.
        targets: errors for which the hours are asked; halves and quarters of the smallest reached if not given.
        suites: of `dojo rollout`, driven at each point and drawn beside the errors, for errors may fall while failures
            do not. `cases`: of each suite at most so many; 0: all.
        device, threads: as for `dojo train`; everything else comes from the recipes of the models.
        cache_gb: room for decoded training frames, shared by all runs.
    """

    dataset: str = "runs/data"
    out: Path = Path("runs/scale")
    models: tuple[str, ...] = ("tiny",)
    doublings: int = 6
    seeds: int = 3
    error: str = "lateral_error_3s_m"
    targets: tuple[float, ...] = ()
    suites: tuple[str, ...] = ("lane_centring", "lane_change", "leader", "cut_in")
    cases: int = 12
    device: str = "auto"
    threads: int = 1
    cache_gb: float = 4.0
    plateau: Plateau = field(default_factory=Plateau)
    intervals: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        unknown = [name for name in self.models if name not in train.CONFIGS]
        problems = [f"models must be some of {', '.join(train.CONFIGS)}, got {unknown}"] if unknown else []
        if not self.models:
            problems.append("models is empty; name one, for example tiny")
        if self.doublings < 1 or self.seeds < 2:
            problems.append(f"doublings must be at least 1 and seeds at least 2, got {self.doublings} and {self.seeds}")
        if self.error not in {metric.name for metric in METRICS if metric.better == "lower"}:
            problems.append(f"error must be a metric of which less is better, got {self.error!r}")
        if unknown_suites := [name for name in self.suites if name not in SUITES]:
            problems.append(f"suites must be some of {', '.join(SUITES)}, got {unknown_suites}")
        if self.cases < 0:
            problems.append(f"cases must not be negative, got {self.cases}; 0 takes all")
        if any(target <= 0 for target in self.targets):
            problems.append(f"targets must be positive, got {self.targets}")
        if problems:
            raise ConfigError("scale: " + "; ".join(problems))


CONFIG = ScaleRun
CONFIGS = {"scale": ScaleRun}


def run(config: ScaleRun, console: Console) -> Outcome:
    """Every point that is not there yet, then the report."""
    started = time.monotonic()
    dataset = Dataset.open(config.dataset)
    clips, drives = dataset.clips(split="train"), dataset.drives()
    if not clips or not dataset.clips(split="validation"):
        raise ConfigError(f"{config.dataset}: expected clips to train and to judge on; run dojo curate first")
    _claim(config, dataset.version)
    sizes = sizes_of(config, clips, drives)
    source = decoded(dataset, clips, config.cache_gb, config.out, console)
    bench = _Bench(config, dataset, clips, drives, source, console)
    points = []
    wanted = [(model, routes, seed) for model in config.models for routes in sizes for seed in range(config.seeds)]
    for number, (model, routes, seed) in enumerate(wanted, start=1):
        point = bench.point(model, routes, seed)
        points.append(point)
        console.print(
            f"{number} of {len(wanted)}: {model}, {routes} routes ({point.hours * 60:.1f} min), seed {seed}: "
            f"{config.error} {point.figures[config.error]['value']:.3f} after {point.steps} steps",
            highlight=False,
        )
    report = findings(points, config.error, config.targets) | {"provenance": _provenance(config, dataset)}
    write_whole(config.out / "report.json", json.dumps(report, indent=1) + "\n")
    write_whole(config.out / "report.html", page_of(report))
    facts = {
        "report": str(config.out / "report.json"),
        "page": str(config.out / "report.html"),
        "points": len(points),
        "seconds": round(time.monotonic() - started, 1),
        "verdict": report["verdict"],
    }
    return Outcome.listing("does more data help?", facts | {"verdict": " ".join(report["verdict"])})


def sizes_of(config: ScaleRun, clips: Sequence[Clip], drives: Sequence[Drive]) -> list[int]:
    """Numbers of routes, each half of the next, the last as many as every seed has.

    Raises:
        ConfigError: there are too few routes to halve them so often.
    """
    route_of = routes_of(drives)
    parts = [Part(1, seed, config.plateau.held_back) for seed in range(config.seeds)]
    most = min(len(sequence_of(clips, route_of, part)) for part in parts)
    sizes = [most >> halving for halving in range(config.doublings, -1, -1)]
    if sizes[0] < 1:
        raise ConfigError(
            f"scale: expected at least {1 << config.doublings} training routes for {config.doublings} doublings, got "
            f"{most} (of vehicles that are not held back); record more drives, or double less often"
        )
    return sizes


@dataclass(frozen=True)
class _Bench:
    """What every point is made with."""

    config: ScaleRun
    dataset: Dataset
    clips: Sequence[Clip]
    drives: Sequence[Drive]
    source: FrameSource
    console: Console

    def point(self, model: str, routes: int, seed: int) -> Point:
        """The point as it was made before, or is made now."""
        folder = self.config.out / model / f"routes-{routes:05d}" / f"seed-{seed}"
        path = folder / "point.json"
        if path.exists():
            return TypeAdapter(Point).validate_json(path.read_text(encoding="utf-8"))
        part = Part(routes, seed, self.config.plateau.held_back)
        tried = list(self._until_flat(train.CONFIGS[model](), part, folder))
        best = min(tried, key=lambda item: item[1])
        chosen = folder / f"steps-{best[0]:06d}"
        judged = self._judged(chosen)
        mine = part_of(self.clips, routes_of(self.drives), part)
        extent = samples_of(mine).extent()
        figures = judged["open_loop"]["model"]
        point = Point(
            model=model,
            routes=routes,
            seed=seed,
            hours=self._hours(mine),
            kilometres=extent.kilometres,
            vehicles=extent.vehicles,
            clips=len(mine),
            steps=best[0],
            tried=tried,
            flat=len(tried) > 1 and tried[-1][1] > (1 - self.config.plateau.gain) * tried[-2][1],
            run=str(chosen),
            figures={name: figures[name] for name in (self.config.error, "ade_3s_m", "fde_3s_m") if name in figures},
            by_tag={
                tag: found["model"][self.config.error]
                for tag, found in judged["open_loop_by_tag"].items()
                if self.config.error in found["model"]
            },
            baselines={
                name: found[self.config.error]["value"]
                for name, found in judged["open_loop"].items()
                if name not in ("model", "driven") and self.config.error in found
            },
            closed_loop=self._driven(chosen),
        )
        write_whole(path, json.dumps(asdict(point), indent=1) + "\n")
        return point

    def _until_flat(self, recipe: TrainRun, part: Part, folder: Path) -> Iterator[tuple[int, float]]:
        """Steps and error on the vehicles held back, of longer and longer runs, until longer does not help."""
        rule, before = self.config.plateau, float("inf")
        for doubling in range(rule.runs_at_most):
            steps = rule.first_steps << doubling
            error = self._trained(recipe, part, folder / f"steps-{steps:06d}", steps)
            yield steps, error
            if error > (1 - rule.gain) * before:
                return
            before = error

    def _trained(self, recipe: TrainRun, part: Part, folder: Path, steps: int) -> float:
        """An ordinary run of so many steps; its error on the vehicles held back."""
        path = folder / "held_back.json"
        if path.exists():
            return float(json.loads(path.read_text(encoding="utf-8"))["error"])
        # The warm-up of a recipe is meant for its own length; a tenth of a shorter run at most.
        warmup = min(recipe.train.optimise.warmup_steps, max(1, steps // 10))
        wanted = replace(
            recipe.into(dataset=self.config.dataset, out=folder),
            device=self.config.device,
            part=part,
            cache_gb=0.0,
            load=replace(recipe.load, seed=part.seed),
            train=replace(
                recipe.train,
                steps=steps,
                seed=part.seed,
                keep_checkpoints=1,
                threads=self.config.threads,
                optimise=replace(recipe.train.optimise, warmup_steps=warmup),
            ),
        )
        train.run(wanted, self.console, self.source)
        error = self._error_held_back(folder, part)
        write_whole(path, json.dumps({"error": error}) + "\n")
        return error

    def _error_held_back(self, folder: Path, part: Part) -> float:
        clips = sorted(held_back(self.clips, part), key=lambda clip: (clip.drive_id, clip.anchor_timestamps_ns[0]))
        samples = samples_of(clips)
        batches = in_order(clips, cameras_of(self.drives), self.source)
        answer = evaluate.predict(load_policy(folder).policy, batches)
        metric = next(metric for metric in METRICS if metric.name == self.config.error)
        measured = metric.measure(samples, answer)
        if measured.weight.sum() <= 0:
            raise ConfigError(
                f"scale: expected clips held back that {self.config.error} can judge, none of {len(clips)} knows its "
                "future so far; choose another error or hold back more vehicles"
            )
        return float(measured.total.sum() / measured.weight.sum())

    def _judged(self, folder: Path) -> Mapping[str, Any]:
        path = folder / "report.json"
        if not path.exists():
            evaluate.run(
                evaluate.EvaluateRun(
                    run=folder, videos_of_each=0, threads=self.config.threads, intervals=self.config.intervals
                ),
                self.console,
            )
        return json.loads(path.read_text(encoding="utf-8"))

    def _driven(self, folder: Path) -> dict[str, list[int]] | None:
        """Cases failed and driven, by suite; None where no suites are wanted."""
        if not self.config.suites:
            return None
        path = folder / "rollout" / "closed_loop.json"
        if not path.exists():
            rollout.run(self._rollout(folder), self.console)
        told = json.loads(path.read_text(encoding="utf-8"))["closed_loop"]
        return {
            suite: [told[suite]["cases"] - told[suite]["completed"], told[suite]["cases"]]
            for suite in self.config.suites
        }

    def _rollout(self, folder: Path) -> rollout.RolloutRun:
        return rollout.RolloutRun(run=folder, suites=self.config.suites, cases=self.config.cases, films=0)

    def _hours(self, clips: Sequence[Clip]) -> float:
        """Of video in the drives that the clips come from."""
        wanted = {(clip.drive_id, clip.camera) for clip in clips}
        streams = [
            stream.timestamps_ns
            for drive in self.drives
            for stream in drive.cameras
            if (drive.drive_id, stream.name) in wanted
        ]
        return float(np.sum([times[-1] - times[0] for times in streams if len(times)])) / 3.6e12


def _claim(config: ScaleRun, dataset_version: str) -> None:
    """Write `run.json`, or refuse a folder whose points were made otherwise."""
    wanted = record("scale", config, dataset_version=dataset_version)
    path = config.out / "run.json"
    if path.exists():
        earlier = read_record(path)
        # More points of the same kind may be added, and room for frames changes none.
        free = {"targets", "doublings", "seeds", "models", "cache_gb"}
        before, now = ({k: v for k, v in some.config.items() if k not in free} for some in (earlier, wanted))
        if before != now or earlier.dataset_version.partition("@")[0] != dataset_version.partition("@")[0]:
            raise ConfigError(
                f"{config.out}: expected an empty folder or the same study to go on with, got one with another "
                "configuration or dataset version; choose another folder with --out"
            )
    write_record(config.out, wanted)


def _provenance(config: ScaleRun, dataset: Dataset) -> dict[str, Any]:
    this = record("scale", config, dataset_version=dataset.version)
    return {
        "commit": this.commit,
        "dojo_version": this.dojo_version,
        "machine": this.machine,
        "versions": this.versions,
        "dataset_version": this.dataset_version,
        "configuration": this.config,
    }
