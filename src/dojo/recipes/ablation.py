"""`dojo ablation`: what each part of the recipe contributes to how the policy drives, side by side.

In: nothing, or a curated dataset. Out: `report.json` and `report.html`, and below `points` one normal run for each
recipe and seed: training, open-loop report, rollouts, cheat test.
Idea: a recipe is a change to the full one, so a row is a function of a line or two, and everything that is compared
shares its code, its data and its number of training steps. What is done is kept; the report is written anew after
each point, so that an interrupted ablation has one too.
Not here: any of the verbs that it calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from dojo.curate import CurateConfig
from dojo.errors import ConfigError
from dojo.evaluate.ablation_page import OPEN_LOOP, Row, ablation_page
from dojo.evaluate.closed_loop import ClosedLoopResult
from dojo.evaluate.pooled import Spread, pooled
from dojo.evaluate.suites import SUITES, VARIANTS
from dojo.load.recover import NO_RECOVER
from dojo.recipes import cheat, curate, evaluate, ingest, on_policy, rollout, simulate
from dojo.recipes.demo import DemoRun, driving
from dojo.recipes.on_policy import OnPolicyRun
from dojo.recipes.run import Outcome, read_record, record, write_record, write_whole
from dojo.world.fleet import FleetConfig


def off_policy(full: OnPolicyRun) -> OnPolicyRun:
    """The logs alone, as they were recorded."""
    plain = _logs_alone(full)
    return replace(plain, train=replace(plain.train, load=replace(plain.train.load, recover=NO_RECOVER)))


def recovery(full: OnPolicyRun) -> OnPolicyRun:
    """The logs, and from beside the driven line, with the way back as the target."""
    return _logs_alone(full)


def with_rounds(full: OnPolicyRun) -> OnPolicyRun:
    """The same, and rounds on what the policy itself gets into."""
    return full


def no_resampler(full: OnPolicyRun) -> OnPolicyRun:
    """Recovery whose pictures are not disguised: the control for the cheat test."""
    load = full.train.load
    shown = replace(load, recover=replace(load.recover, disguised=False))
    return _logs_alone(replace(full, train=replace(full.train, load=shown)))


def no_bottleneck(full: OnPolicyRun) -> OnPolicyRun:
    """Recovery without noise on the feature."""
    policy = replace(full.train.policy, feature_noise_std=0.0)
    return _logs_alone(replace(full, train=replace(full.train, policy=policy)))


def bottleneck(full: OnPolicyRun) -> OnPolicyRun:
    """Recovery with noise on the feature, 0.42 of its spread: 700 bits of 512 elements."""
    return _logs_alone(
        replace(full, train=replace(full.train, policy=replace(full.train.policy, feature_noise_std=0.42)))
    )


def _logs_alone(full: OnPolicyRun) -> OnPolicyRun:
    """Without rounds, and trained for as many steps in all."""
    steps = full.train.train.steps + full.rounds * full.round.steps
    return replace(full, rounds=0, train=replace(full.train, train=replace(full.train.train, steps=steps)))


ROWS: Mapping[str, Callable[[OnPolicyRun], OnPolicyRun]] = {
    "off_policy": off_policy,
    "recovery": recovery,
    "on_policy": with_rounds,
    "no_resampler": no_resampler,
    "no_bottleneck": no_bottleneck,
    "bottleneck": bottleneck,
}
"""A recipe more is a function more here."""


def _full() -> OnPolicyRun:
    """The recipe that drives, with more of everything, since nobody waits for it."""
    full = driving()
    longer = replace(full.train, train=replace(full.train.train, steps=4000))
    rounds = replace(full.round, scenarios=96, longest_s=30.0, steps=1500)
    return replace(full, train=longer, rounds=3, round=rounds)


@dataclass(frozen=True)
class AblationRun:
    """Recipes side by side.

    Args:
        out: folder for everything.
        dataset: a curated one to train on; if not given, that of a simulated fleet.
        fleet, curate: how that is made.
        full: the whole recipe, of which the rows leave something out; its dataset and folder are set here.
        rows: which recipes; see `recipes/ablation.py`.
        seeds: each recipe is trained once with each.
        suites, variants: what every policy is let drive through. `cases`: of each at most so many; 0: all.
        free: suites that are driven once, without variants.
        films: of how many rollouts of each policy.
        processes: rollouts at once; 0: one per core.
    """

    out: Path = Path("runs/ablation")
    dataset: str | None = None
    fleet: FleetConfig = field(default_factory=lambda: DemoRun().fleet)
    curate: CurateConfig = field(default_factory=lambda: DemoRun().curate)
    full: OnPolicyRun = field(default_factory=_full)
    rows: tuple[str, ...] = ("off_policy", "recovery", "on_policy")
    seeds: tuple[int, ...] = (0, 1, 2)
    suites: tuple[str, ...] = ("lane_centring", "lane_change", "leader", "cut_in", "curve_speed", "dense_traffic")
    variants: tuple[str, ...] = tuple(VARIANTS)
    cases: int = 0
    free: tuple[str, ...] = ("free_drive",)
    films: int = 4
    processes: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.rows if name not in ROWS]
        unknown += [name for name in (*self.suites, *self.free) if name not in SUITES]
        if unknown or not self.rows or not self.seeds or not self.suites:
            raise ConfigError(
                f"ablation: expected rows from {', '.join(ROWS)}, suites from {', '.join(SUITES)} and at least one "
                f"seed, got {', '.join(unknown) or 'none of one of them'}"
            )


CONFIG = AblationRun
CONFIGS = {"ablation": AblationRun}


@dataclass(frozen=True)
class _Point:
    """One recipe with one seed: normal runs, each in a folder below `folder`."""

    row: str
    seed: int
    train: OnPolicyRun
    folder: Path

    @staticmethod
    def of(config: AblationRun, row: str, seed: int, dataset: str) -> _Point:
        """The point of a recipe and a seed."""
        folder = config.out / "points" / f"{row}-{seed}"
        recipe = ROWS[row](config.full).into(dataset=dataset, out=folder / "train")
        seeded = replace(
            recipe.train,
            train=replace(recipe.train.train, seed=seed),
            load=replace(recipe.train.load, seed=seed),
        )
        return _Point(row, seed, replace(recipe, train=seeded, processes=config.processes), folder)

    @property
    def run(self) -> Path:
        """The folder of its training run."""
        return self.train.train.out


def _dataset(config: AblationRun, console: Console) -> str:
    """The dataset to train on, made where none is given."""
    if config.dataset is not None:
        return config.dataset
    fleet, data = config.out / "fleet", str(config.out / "dataset")
    simulate.run(simulate.SimulateRun(out=fleet, fleet=config.fleet), console)
    ingest.run(ingest.IngestConfig(source=fleet, dataset=data), console)
    curate.run(curate.CurateRun(dataset=data, curate=config.curate), console)
    return data


def _once(verb: str, config: Any, folder: Path, left: str, call: Callable[[], Outcome]) -> None:
    """Do it, unless a run of the same verb and configuration has left its file there."""
    path = folder / "run.json"
    if (folder / left).exists() and path.exists():
        earlier = read_record(path)
        if (earlier.verb, earlier.config) == (verb, TypeAdapter(type(config)).dump_python(config, mode="json")):
            return
    call()


def _make(point: _Point, config: AblationRun, console: Console) -> None:
    """Train, judge, drive and probe one point; whatever of it is done is not done again."""
    on_policy.run(point.train, console)
    judged = evaluate.EvaluateRun(run=point.run, out=point.folder / "open_loop", videos_of_each=0)
    driven = rollout.RolloutRun(
        run=point.run,
        out=point.folder / "rollout",
        suites=config.suites,
        variants=config.variants,
        cases=config.cases,
        films=config.films,
        processes=config.processes,
    )
    probed = cheat.CheatRun(run=point.run, out=point.folder / "cheat")
    _once("evaluate", judged, point.folder / "open_loop", "report.json", lambda: evaluate.run(judged, console))
    _once("rollout", driven, driven.folder, "closed_loop.json", lambda: rollout.run(driven, console))
    if config.free:
        freely = replace(driven, out=point.folder / "free", suites=config.free, variants=())
        _once("rollout", freely, freely.folder, "closed_loop.json", lambda: rollout.run(freely, console))
    _once("cheat", probed, probed.folder, "cheat.json", lambda: cheat.run(probed, console))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _driven(point: _Point, config: AblationRun) -> ClosedLoopResult:
    """All suites of a point, those of free driving last."""
    folders = ["rollout", *(["free"] if config.free else [])]
    parts = [
        ClosedLoopResult.from_json(_read(point.folder / part / "closed_loop.json")["closed_loop"]) for part in folders
    ]
    return ClosedLoopResult(tuple(suite for part in parts for suite in part.suites))


def _row(points: list[_Point], config: AblationRun) -> Row:
    """What was found of one recipe so far."""
    open_loop = [_read(point.folder / "open_loop" / "report.json")["open_loop"]["model"] for point in points]
    probed = [_read(point.folder / "cheat" / "cheat.json")["cheat"] for point in points]
    return Row(
        says=" ".join((ROWS[points[0].row].__doc__ or "").split()),
        seeds=tuple(point.seed for point in points),
        result=pooled({point.seed: _driven(point, config) for point in points}),
        open_loop={
            name: Spread.of([one[name]["value"] for one in open_loop])
            for name in OPEN_LOOP
            if all(name in one for one in open_loop)
        },
        cheat={axis: Spread.of([one[axis]["value"] for one in probed]) for axis in ("lateral", "yaw")},
    )


def _points(config: AblationRun, dataset: str) -> Iterator[_Point]:
    """Every recipe with the first seed, then with the next: a comparison is there early."""
    for seed in config.seeds:
        for row in config.rows:
            yield _Point.of(config, row, seed, dataset)


def _report(config: AblationRun, done: Mapping[str, list[_Point]], version: str) -> dict[str, Row]:
    """Write what was found so far."""
    rows = {name: _row(points, config) for name, points in done.items()}
    this = record("ablation", config, dataset_version=version)
    origin = {
        **asdict(this),
        "points": {
            f"{point.row}-{point.seed}": _read(point.folder / "rollout" / "closed_loop.json")["provenance"][
                "checkpoint_sha256"
            ]
            for points in done.values()
            for point in points
        },
    }
    report = {
        "closed_loop": {name: row.result.to_json() for name, row in rows.items()},
        "open_loop": {name: {key: asdict(one) for key, one in row.open_loop.items()} for name, row in rows.items()},
        "cheat": {name: {key: asdict(one) for key, one in row.cheat.items()} for name, row in rows.items()},
        "seeds": {name: list(row.seeds) for name, row in rows.items()},
        "provenance": origin,
    }
    write_whole(config.out / "report.json", json.dumps(report, indent=1) + "\n")
    write_whole(config.out / "report.html", ablation_page(rows, origin))
    return rows


def _table(rows: Mapping[str, Row], page: Path) -> Table:
    table = Table(
        "suite", *rows, title="cases completed", title_justify="left", caption=f"{page}", caption_justify="left"
    )
    names = dict.fromkeys(suite.name for row in rows.values() for suite in row.result.suites)
    for name in names:
        cells = []
        for row in rows.values():
            suite = next((one for one in row.result.suites if one.name == name), None)
            cells.append("" if suite is None else f"{suite.cases - len(suite.failures)} of {suite.cases}")
        table.add_row(name, *cells)
    return table


def run(config: AblationRun, console: Console) -> Outcome:
    """Every recipe with every seed; goes on where an interrupted ablation stopped."""
    dataset = _dataset(config, console)
    write_record(config.out, record("ablation", config))
    done: dict[str, list[_Point]] = {}
    rows: dict[str, Row] = {}
    for point in _points(config, dataset):
        console.print(f"{point.row}, seed {point.seed}", highlight=False)
        _make(point, config, console)
        done.setdefault(point.row, []).append(point)
        version = read_record(point.run / "run.json").dataset_version
        rows = _report(config, done, version)
    facts = {
        "report": str(config.out / "report.json"),
        "page": str(config.out / "report.html"),
        "closed_loop": {name: row.result.to_json() for name, row in rows.items()},
    }
    return Outcome(facts, _table(rows, config.out / "report.html"))
