"""`dojo rollout`: let a trained policy drive through suites of scenarios, and show how it drives and where it fails.

In: the folder of a training run. Out: `closed_loop.json`, the page `closed_loop.html`, films of some rollouts, and the
`run.json` that repeats it; the same figures and films in an earlier report, if asked.
Idea: scenarios are driven in fixed groups, each a unit of work that any process can take: what comes out does not
depend on how many processes there are. Pictures wait on disk until it is known which rollouts are worth a film.
Not here: rollouts, suites, metrics and pages (`evaluate/`), the simulated world (`world/`), other machines
(`spread.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from dojo.errors import ConfigError
from dojo.evaluate.closed_loop import ClosedLoopResult, judge
from dojo.evaluate.closed_loop_page import Film, closed_loop_page, closed_loop_section
from dojo.evaluate.markup import filled, region
from dojo.evaluate.page import NOT_PROBED
from dojo.evaluate.recorder import Recorder
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.rollout_video import RolloutStyle
from dojo.evaluate.simulator import Simulator
from dojo.evaluate.suites import SUITES, VARIANTS, under
from dojo.model.plans import plans
from dojo.model.policy import Policy
from dojo.recipes.films import film, forget_the_rest, save_pictures, waiting_room
from dojo.recipes.run import Outcome, provenance, read_record, record, write_record, write_whole
from dojo.recipes.spread import spread
from dojo.recipes.train import load_policy
from dojo.records import Plans, Rollout, Scenario
from dojo.store.dataset import Dataset
from dojo.world.car import Car
from dojo.world.simulator import WorldConfig, WorldSimulator


@dataclass(frozen=True)
class RolloutRun:
    """Let a trained policy drive.

    Args:
        run: folder of the training run; its newest whole checkpoint drives, with averaged weights.
        out: folder for what comes of it; `rollout` below `run` if not given.
        suites: which; see `evaluate/suites/`.
        variants: in which each suite is driven once more: harder, see `evaluate/suites/variants.py`.
        cases: of each suite at most so many, the first; 0: all.
        seed: of the suites; 0 gives the cases that figures are compared on.
        processes: how many at once; 0: one per core. Changes nothing in the result.
        cluster: of Ray, to use instead, see `recipes/engine.py`; its machines must see the folder of the run.
        device: of the policy; `auto` takes a GPU where there is one.
        films: of how many rollouts, failures first, a quarter of what went well. `film_seconds`: the last of each.
        report: folder of an earlier `report.json` and `report.html`, which are told how the policy drives.
        name: of this policy in that report, below `closed_loop`.
    """

    run: Path
    out: Path | None = None
    suites: tuple[str, ...] = ("lane_centring", "lane_change", "leader", "cut_in", "curve_speed", "dense_traffic")
    variants: tuple[str, ...] = ()
    cases: int = 0
    seed: int = 0
    processes: int = 0
    cluster: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    films: int = 8
    film_seconds: float = 30.0
    report: Path | None = None
    name: str = "policy"
    world: WorldConfig = field(default_factory=WorldConfig)
    rollout: RolloutConfig = field(default_factory=lambda: RolloutConfig(together=8))
    style: RolloutStyle = field(default_factory=RolloutStyle)

    def __post_init__(self) -> None:
        unknown = [name for name in self.suites if name not in SUITES]
        unknown += [name for name in self.variants if name not in VARIANTS]
        if unknown or not self.suites:
            raise ConfigError(
                f"rollout: expected suites from {', '.join(SUITES)} and variants from {', '.join(VARIANTS)}, got "
                f"{', '.join(unknown) or 'none'}"
            )
        for name in ("processes", "cases", "films"):
            if getattr(self, name) < 0:
                raise ConfigError(f"rollout: expected {name} of at least 0, got {getattr(self, name)}")
        if not self.film_seconds > 0:
            raise ConfigError(f"rollout: expected film_seconds above 0, got {self.film_seconds}")

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.out or self.run / "rollout"


CONFIG = RolloutRun
CONFIGS = {"rollout": RolloutRun}


class Driver:
    """A policy as rollouts ask it: one plan for the last anchor of each window."""

    def __init__(self, policy: Policy, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._policy = policy.eval().to(self._device)

    def __call__(
        self,
        frames: UInt8[np.ndarray, "batch frames 6 128 256"],
        speed_mps: Float32[np.ndarray, "batch anchors"],
        speed_valid: Bool[np.ndarray, "batch anchors"],
        desire: Float32[np.ndarray, "batch anchors 8"],
        traffic_right: Bool[np.ndarray, " batch"],
    ) -> Plans:
        """The plan at the last anchor of each row."""
        arrays = (frames, speed_mps, speed_valid, desire, traffic_right)
        with torch.inference_mode():
            every = plans(self._policy(*(torch.from_numpy(array).to(self._device) for array in arrays)))
        last = slice(speed_mps.shape[1] - 1, None, speed_mps.shape[1])
        return Plans(*(getattr(every, name)[last] for name in Plans.__dataclass_fields__))


def device_of(wanted: str) -> str:
    """`cuda` or `cpu`."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads in their last bit, and a rollout must not depend on the machine's size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def scenarios_of(config: RolloutRun) -> list[Scenario]:
    """Every case of every suite, plain first, then each variant."""
    found: list[Scenario] = []
    for name in config.suites:
        plain = SUITES[name](config.seed)
        plain = plain[: config.cases or len(plain)]
        found += [*plain, *(scenario for variant in config.variants for scenario in under(variant, plain))]
    return found


def anchors_of(run: Path) -> int:
    """How many anchors the policy has learned to remember: those of the clips it was trained on."""
    dataset = Dataset.open(str(read_record(run / "run.json").config["dataset"]))
    clips = dataset.clips(split="train")
    if not clips:
        raise ConfigError(
            f"{run}: expected the clips that it was trained on in its dataset, found none; curate it again"
        )
    return len(clips[0].anchor_timestamps_ns)


@dataclass(frozen=True)
class Job:
    """How a policy drives, wherever it does.

    Args:
        run: folder of its training run.
        pictures: the folder in which the last pictures wait; None keeps none. `kept`: how many of each rollout.
    """

    run: Path
    rollout: RolloutConfig
    device: str = "auto"
    pictures: Path | None = None
    kept: int = 150

    def drive(self, scenarios: Sequence[Scenario], simulator: Simulator[Any]) -> list[Rollout]:
        """The rollouts of some scenarios, in this process."""
        recorder = Recorder(simulator, self.kept if self.pictures else 0)
        with one_thread():
            driver = Driver(load_policy(self.run).policy, device_of(self.device))
            rollouts = list(drive(scenarios, recorder, Car(), driver, self.rollout))
        if self.pictures is not None:
            for name in [rollout.scenario.scenario_id for rollout in rollouts]:
                save_pictures(self.pictures / f"{name}.npz", recorder.take(name))
        return rollouts


@dataclass(frozen=True)
class _Group:
    """A unit of work."""

    job: Job
    scenarios: tuple[Scenario, ...]
    world: WorldConfig


def _driven(group: _Group) -> list[Rollout]:
    """The rollouts of one group, in a process of its own."""
    return group.job.drive(group.scenarios, WorldSimulator(group.world))


def roll_out(
    config: RolloutRun,
    told: Callable[[int, int], None] = lambda _done, _all: None,
    pictures: Path | None = None,
) -> Iterator[Rollout]:
    """The rollouts of every scenario, in their order.

    Args:
        told: of how many are done, of how many.
        pictures: folder for the last pictures of each.
    """
    scenarios = scenarios_of(config)
    driven = replace(config.rollout, anchors=anchors_of(config.run))
    job = Job(config.run, driven, config.device, pictures, max(1, round(config.film_seconds / driven.tick_s)))
    groups = [
        _Group(job, tuple(scenarios[first : first + driven.together]), config.world)
        for first in range(0, len(scenarios), driven.together)
    ]
    done = 0
    for rollouts in spread(_driven, groups, config.processes, config.cluster):
        done += len(rollouts)
        told(done, len(scenarios))
        yield from rollouts


def _drive_all(config: RolloutRun, console: Console) -> tuple[list[Rollout], list[Film]]:
    """Every rollout, and films of those that are chosen."""
    with waiting_room(config.folder) as waiting, Progress(console=console, transient=True) as progress:
        task = progress.add_task("drive", total=None)
        told = partial(_tell, progress, task)
        driven = roll_out(config, told, waiting if config.films else None)
        rollouts, chosen = forget_the_rest(driven, waiting, config.films)
        progress.update(task, description="film")
        return rollouts, film(chosen, waiting, config.folder, config.style, config.processes, config.cluster)


def _tell(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def table_of(result: ClosedLoopResult, page: Path) -> Table:
    """Each suite with its cases completed and first failures."""
    table = Table(
        "suite",
        "completed",
        "95 %",
        "first failures",
        title="closed loop",
        title_justify="left",
        caption=f"{page}",
        caption_justify="left",
    )
    for suite in result.suites:
        share = suite.figures["completed"]
        first = [f"{case.rsplit('-', 1)[-1]}: {', '.join(why)}" for case, why in list(suite.failures.items())[:3]]
        table.add_row(
            suite.name,
            f"{suite.cases - len(suite.failures)} of {suite.cases}",
            f"{share.low:.2f} to {share.high:.2f}",
            "; ".join(first),
        )
    return table


def tell_report(folder: Path, name: str, result: ClosedLoopResult, films: Sequence[Film]) -> None:
    """Put how a policy drives into an earlier report: `closed_loop.<name>` of its JSON, and a part of its page."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    report["closed_loop"] = report.get("closed_loop", {}) | {name: result.to_json()}
    write_whole(folder / "report.json", json.dumps(report, indent=1) + "\n")
    page = (folder / "report.html").read_text("utf-8")
    write_whole(folder / "report.html", filled(page, "closed_loop", closed_loop_section(result, films)))


def run(config: RolloutRun, console: Console) -> Outcome:
    """Drive every scenario and judge the rollouts; `closed_loop.json` is written whole or not at all."""
    started = time.monotonic()
    out = config.folder
    trained, loaded = read_record(config.run / "run.json"), load_policy(config.run)
    this = record("rollout", config, dataset_version=trained.dataset_version, seed=config.seed)
    rollouts, films = _drive_all(config, console)
    result = judge(rollouts, seed=config.seed)
    simulated_s = sum(float(rollout.times_s[-1]) for rollout in rollouts)
    cases = f"{len(rollouts)} cases of {len(result.suites)} suites, seed {config.seed}"
    origin = provenance(this, trained, loaded.sha256, cases=cases, step=loaded.step)
    write_record(out, this)
    report = {"closed_loop": result.to_json(), "simulated_seconds": round(simulated_s, 2), "provenance": origin}
    write_whole(out / "closed_loop.json", json.dumps(report, indent=1) + "\n")
    page = out / "closed_loop.html"
    write_whole(page, closed_loop_page(result, origin, films, region("cheat", NOT_PROBED)))
    if config.report is not None:
        tell_report(config.report, config.name, result, films)
    facts = {
        "report": str(out / "closed_loop.json"),
        "page": str(page),
        "films": len(films),
        "seconds": round(time.monotonic() - started, 1),
        "simulated_seconds": round(simulated_s, 1),
        "closed_loop": report["closed_loop"],
    }
    return Outcome(facts, table_of(result, page))
