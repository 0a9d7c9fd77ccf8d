"""`dojo rollout`: let a trained policy drive through suites of scenarios, and say how often it arrived.

In: the folder of a training run. Out: `closed_loop.json` and the `run.json` that repeats it.
Idea: scenarios are driven in fixed groups, each a unit of work that any process can take: what comes out does not
depend on how many processes there are.
Not here: rollouts, suites and metrics (`evaluate/`), the simulated world (`world/`).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dojo.errors import ConfigError
from dojo.evaluate.closed_loop import ClosedLoopResult, judge
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.suites import SUITES, VARIANTS, under
from dojo.model.plans import plans
from dojo.model.policy import Policy
from dojo.recipes.run import Outcome, read_record, record, write_record, write_whole
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
        out: folder for `closed_loop.json`; `rollout` below `run` if not given.
        suites: which; see `evaluate/suites/`.
        variants: in which each suite is driven once more: harder, see `evaluate/suites/variants.py`.
        seed: of the suites; 0 gives the cases that figures are compared on.
        processes: how many at once; 0: one per core. Changes nothing in the result.
    """

    run: Path
    out: Path | None = None
    suites: tuple[str, ...] = ("lane_centring", "lane_change", "leader", "cut_in", "curve_speed", "dense_traffic")
    variants: tuple[str, ...] = ()
    seed: int = 0
    processes: int = 0
    world: WorldConfig = field(default_factory=WorldConfig)
    rollout: RolloutConfig = field(default_factory=lambda: RolloutConfig(together=8))

    def __post_init__(self) -> None:
        unknown = [name for name in self.suites if name not in SUITES]
        unknown += [name for name in self.variants if name not in VARIANTS]
        if unknown or not self.suites:
            raise ConfigError(
                f"rollout: expected suites from {', '.join(SUITES)} and variants from {', '.join(VARIANTS)}, got "
                f"{', '.join(unknown) or 'none'}"
            )
        if self.processes < 0:
            raise ConfigError(f"rollout: expected processes of at least 0, got {self.processes}")


CONFIG = RolloutRun
CONFIGS = {"rollout": RolloutRun}


class Driver:
    """A policy as rollouts ask it: one plan for the last anchor of each window."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy.eval()

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
            every = plans(self._policy(*(torch.from_numpy(array) for array in arrays)))
        last = slice(speed_mps.shape[1] - 1, None, speed_mps.shape[1])
        return Plans(*(getattr(every, name)[last] for name in Plans.__dataclass_fields__))


def scenarios_of(config: RolloutRun) -> list[Scenario]:
    """Every case of every suite, plain first, then each variant."""
    found: list[Scenario] = []
    for name in config.suites:
        plain = SUITES[name](config.seed)
        found += [*plain, *(scenario for variant in config.variants for scenario in under(variant, plain))]
    return found


def _anchors(run: Path) -> int:
    """How many anchors the policy has learned to remember: those of the clips it was trained on."""
    dataset = Dataset.open(str(read_record(run / "run.json").config["dataset"]))
    clips = dataset.clips(split="train")
    if not clips:
        raise ConfigError(
            f"{run}: expected the clips that it was trained on in its dataset, found none; curate it again"
        )
    return len(clips[0].anchor_timestamps_ns)


@dataclass(frozen=True)
class _Group:
    """A unit of work."""

    run: Path
    scenarios: tuple[Scenario, ...]
    world: WorldConfig
    rollout: RolloutConfig


def _driven(group: _Group) -> list[Rollout]:
    """The rollouts of one group, in a process of its own."""
    torch.set_num_threads(1)  # sums depend on it in their last bit, and a rollout must not depend on the machine's size
    driver = Driver(load_policy(group.run).policy)
    return list(drive(group.scenarios, WorldSimulator(group.world), Car(), driver, group.rollout))


def roll_out(config: RolloutRun, told: Callable[[int, int], None] = lambda _done, _all: None) -> Iterator[Rollout]:
    """The rollouts of every scenario, in their order; `told` of how many are done, of how many."""
    scenarios = scenarios_of(config)
    driven = replace(config.rollout, anchors=_anchors(config.run))
    size = driven.together
    groups = [
        _Group(config.run, tuple(scenarios[first : first + size]), config.world, driven)
        for first in range(0, len(scenarios), size)
    ]
    done = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.processes or os.cpu_count() or 1, mp_context=context) as pool:
        try:
            for rollouts in pool.map(_driven, groups):
                done += len(rollouts)
                told(done, len(scenarios))
                yield from rollouts
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _table(result: ClosedLoopResult) -> Table:
    table = Table("suite", "completed", "95 %", "first failures", title="closed loop", title_justify="left")
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


def run(config: RolloutRun, console: Console) -> Outcome:
    """Drive every scenario and judge the rollouts; `closed_loop.json` is written whole or not at all."""
    started = time.monotonic()
    out = config.out or config.run / "rollout"
    trained = read_record(config.run / "run.json")
    loaded = load_policy(config.run)
    this = record("rollout", config, dataset_version=trained.dataset_version, seed=config.seed)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("drive", total=None)
        rollouts: Sequence[Rollout] = list(
            roll_out(config, lambda done, total: progress.update(task, completed=done, total=total))
        )
    result = judge(rollouts, seed=config.seed)
    simulated_s = sum(float(rollout.times_s[-1]) for rollout in rollouts)
    seconds = time.monotonic() - started
    write_record(out, this)
    report = {"closed_loop": result.to_json(), "checkpoint_sha256": loaded.sha256, "step": loaded.step}
    write_whole(out / "closed_loop.json", json.dumps(report, indent=1) + "\n")
    facts = {
        "report": str(out / "closed_loop.json"),
        "seconds": round(seconds, 1),
        "simulated_seconds": round(simulated_s, 1),
        "closed_loop": report["closed_loop"],
    }
    return Outcome(facts, _table(result))
