"""How many seconds of driving does a second of computing give, and what takes the time?

In: how many worlds at once, how long each is driven. Out: a table, and JSON: simulated seconds per wall second for each
number of worlds, with the shares of drawing, traffic, policy, plant and the rest.
Idea: the simulator, the policy and the plant are wrapped in clocks, so that what is measured is the code that
evaluation and training run. Worlds are dealt out over processes, one a core, which are started before the clock. The
policy has the size and the cost of a trained one; unless a run is named its weights are drawn at random and its plans
replaced by going straight on, for a policy that leaves the road at once measures nothing.
Not measured here: films, and the making of data sets from rollouts.

    python benchmarks/rollout_speed.py --worlds 1 8 64 --out benchmarks/results/rollout_speed.json
    python benchmarks/rollout_speed.py --device cuda --display p3headlessgl    # where there is a GPU
    python benchmarks/rollout_speed.py --cluster auto                          # on a machine of a Ray cluster
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import tyro

from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.suites import SUITES
from dojo.model import config as sizes
from dojo.model.policy import Policy
from dojo.recipes.rollout import Driver, device_of, one_thread
from dojo.recipes.spread import spread
from dojo.recipes.train import load_policy
from dojo.records import TRAJECTORY_TIMES_S, Plans, Scenario
from dojo.world.car import Car
from dojo.world.simulator import WorldConfig, WorldSimulator

_SUITES = ("lane_centring", "lane_change", "leader", "cut_in", "dense_traffic", "free_drive")
_AT_ONCE = 16
"""Worlds that one process holds at once, as rollouts do by default."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Args:
        worlds: how many at once.
        seconds: driven in each, at most.
        processes: 0: one per core.
        cluster: of Ray, to use instead; as many jobs as `processes` says.
        anchors: that the policy remembers, each a pair of pictures to see. The demo's has two.
        run: folder of a training run whose policy drives; random weights of `size` if not given.
        direct: draw the model's view itself, without the vehicle's camera.
        display: `p3headlessgl` draws on a GPU.
    """

    worlds: tuple[int, ...] = (1, 8, 64)
    seconds: float = 10.0
    processes: int = 0
    cluster: str | None = None
    anchors: int = 2
    run: Path | None = None
    size: Literal["tiny", "small", "medium", "large"] = "tiny"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    direct: bool = False
    display: str = "p3tinydisplay"
    out: Path | None = None


def scenarios(count: int, seconds: float) -> list[Scenario]:
    """So many, of all suites in turns, each begun in the middle of its lane."""
    found: list[Scenario] = []
    for seed in range(count):
        turns = chain.from_iterable(zip_longest(*(SUITES[name](seed) for name in _SUITES)))
        some = islice((scenario for scenario in turns if scenario is not None), count - len(found))
        found += [
            replace(
                scenario,
                scenario_id=f"{seed}-{scenario.scenario_id}",
                duration_s=seconds,
                start_offset_m=0.0,
                start_yaw_rad=0.0,
            )
            for scenario in some
        ]
        if len(found) == count:
            break
    return found


class Clocks:
    """Seconds spent in each part."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a part."""

        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[part] += time.perf_counter() - began

        return call


class Wrapped:
    """A thing whose methods are timed."""

    def __init__(self, inner: object, clocks: Clocks, parts: dict[str, str]) -> None:
        for method, part in parts.items():
            setattr(self, method, clocks.timed(part, getattr(inner, method)))


def straight_on(driver: Driver) -> Callable[..., Plans]:
    """The driver's cost, and plans that go straight on at the present speed."""

    def answer(frames: Any, speed_mps: Any, speed_valid: Any, desire: Any, traffic_right: Any) -> Plans:
        plans = driver(frames, speed_mps, speed_valid, desire, traffic_right)
        position = np.zeros_like(plans.position_m)
        position[..., 0] = speed_mps[:, -1, None, None] * TRAJECTORY_TIMES_S
        return replace(plans, position_m=position)

    return answer


@dataclass(frozen=True)
class Job:
    """What one process drives."""

    settings: Settings
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True)
class Took:
    """What came of it: simulated seconds, wall seconds, seconds of each part, pictures."""

    simulated_s: float
    wall_s: float
    parts: dict[str, float]
    pictures: int


def work(job: Job) -> Took:
    """Drive the scenarios of a job."""
    cv2.setNumThreads(1)
    settings, clocks = job.settings, Clocks()
    torch.manual_seed(0)
    policy = load_policy(settings.run).policy if settings.run else Policy(getattr(sizes, settings.size)())
    driver = Driver(policy, device_of(settings.device))
    answer = clocks.timed("policy", driver if settings.run else straight_on(driver))
    world = WorldSimulator(WorldConfig(direct=settings.direct, display=settings.display))
    parts = {"begin": "making roads", "observe": "drawing", "truth": "traffic and facts", "step": "traffic and facts"}
    simulator: Any = Wrapped(world, clocks, {**parts, "end": "making roads"})
    plant: Any = Wrapped(Car(), clocks, {"begin": "plant", "step": "plant", "ego": "plant"})
    config = RolloutConfig(anchors=settings.anchors, together=_AT_ONCE)
    with one_thread():
        list(drive(job.scenarios[:1], simulator, plant, answer, config))  # everything loaded, warm
        clocks.seconds.clear()
        began = time.perf_counter()
        rollouts = list(drive(job.scenarios, simulator, plant, answer, config))
        wall_s = time.perf_counter() - began
    pictures = sum(len(rollout.tick_step) for rollout in rollouts)
    return Took(sum(float(one.times_s[-1]) for one in rollouts), wall_s, dict(clocks.seconds), pictures)


def measure(settings: Settings, worlds: int) -> dict[str, Any]:
    """Seconds of driving per second, and where the time goes."""
    processes = min(settings.processes or len(os.sched_getaffinity(0)), worlds)
    every = scenarios(worlds, settings.seconds)
    jobs = [Job(settings, tuple(every[number::processes])) for number in range(processes)]
    took = list(spread(work, jobs, processes, settings.cluster))
    wall_s = max(one.wall_s for one in took)
    busy_s = sum(one.wall_s for one in took)
    parts = sum((Counter(one.parts) for one in took), Counter[str]())
    parts["controller and the rest"] = busy_s - sum(parts.values())
    simulated_s, pictures = sum(one.simulated_s for one in took), sum(one.pictures for one in took)
    return {
        "worlds": worlds,
        "processes": processes,
        "simulated_s": round(simulated_s, 1),
        "wall_s": round(wall_s, 2),
        "simulated_s_per_wall_s": round(simulated_s / wall_s, 2),
        "simulated_s_per_core_s": round(simulated_s / busy_s, 2),
        "ms_per_picture": round(1000 * parts["drawing"] / pictures, 2),
        "shares": {part: round(seconds / busy_s, 3) for part, seconds in parts.most_common()},
    }


def main(settings: Settings) -> None:
    """Measure, print, and write down where asked."""
    rows = [measure(settings, worlds) for worlds in settings.worlds]
    device = torch.cuda.get_device_name() if device_of(settings.device) == "cuda" else "cpu"
    for row in rows:
        shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in row["shares"].items())
        print(
            f"{row['worlds']:>3} worlds, {row['processes']} processes: {row['simulated_s_per_wall_s']:.1f} simulated s "
            f"per s ({row['simulated_s_per_core_s']:.1f} per core), {row['ms_per_picture']:.1f} ms a picture; {shares}"
        )
    if settings.out is not None:
        machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, policy on {device}"
        told = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        settings.out.write_text(json.dumps({"machine": machine, "settings": told, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings))
