"""How long from a picture to a command, where does the time go, and does memory grow?

In: the folder of a bundle. Out: a table, and JSON: median, p99, p99.9 and the longest of picture-to-command, the share
of each step, lateness of the cycles, memory over time.
Idea: the runtime as `dojo drive` starts it, in real time, on one core, the network in its thread; the vehicle is
another process on a bus between processes, as its control units are other computers. A picture is handed over as its
cycle begins, so what is measured is this computer's part: exposure, transfer and the wait for the next cycle, at most
one of 20 a second where the camera is not triggered by it, come on top.
Not measured here: the time of day: run it on the computer that will drive.

    python benchmarks/drive_latency.py --bundle runs/release-demo/bundle/bundle --minutes 10
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tyro
from rich.console import Console
from rich.table import Table

from dojo.drive.adapter import Adapter
from dojo.drive.can_bus import CanBus
from dojo.drive.ecus import Ecus, values_of
from dojo.drive.platform import load_platform
from dojo.drive.runtime import STEPS, RuntimeConfig
from dojo.drive.schedule import scheduled
from dojo.drive.thinker import Beside
from dojo.evaluate.controller import ControllerConfig
from dojo.recipes.drive_sim import Brain
from dojo.recipes.run import write_whole
from dojo.records import DriverInput, Frame, VehicleState


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        core: the runtime runs on this one alone; the vehicle on the others, where there are any.
        settle_s: at the start, that is not counted.
        group: of the multicast bus between the two processes.
    """

    bundle: Path = Path("runs/release-demo/bundle/bundle")
    vehicle: str = "aurora_comet"
    minutes: float = 10.0
    core: int = 0
    settle_s: float = 10.0
    group: str = "239.74.163.2"
    out: Path = Path("benchmarks/results/drive_latency.json")


class Pictures:
    """A camera: noise, so that nothing is quicker for being simple; stamped as it is taken."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._kept = [
            (rng.integers(16, 236, (256, 512), np.uint8), *rng.integers(16, 240, (2, 128, 256), np.uint8))
            for _ in range(8)
        ]
        self._next = 0

    def newest(self) -> Frame:
        """The next of eight."""
        self._next = (self._next + 1) % len(self._kept)
        return Frame(time.monotonic_ns(), *self._kept[self._next])


def play_vehicle(config: Config, stop: Event) -> None:
    """The vehicle: drives straight on at 20 m/s, its driver presses the button until it is engaged."""
    others = set(os.sched_getaffinity(0)) - {config.core}
    if others:
        os.sched_setaffinity(0, others)
    adapter = Adapter(load_platform(config.vehicle))
    bus = CanBus.open("udp_multicast", config.group)
    ecus = Ecus(adapter, bus)
    while not stop.is_set():
        now = time.monotonic_ns()
        ecus.listen(now)
        asked = ecus.asked(now, 20.0)
        press = asked is None or (not asked.engaged and now // 300_000_000 % 2 == 1)
        driver = DriverInput(hands_on=True, eyes_on_road=True, engage_pressed=press)
        ecus.broadcast(now, values_of(VehicleState(now, 20.0, 0.0, 0.0), driver))
        time.sleep(0.005)
    bus.close()


def drive(config: Config) -> dict[str, Any]:
    """Every figure."""
    os.sched_setaffinity(0, {config.core})
    brain, process = Brain.load(config.bundle, config.vehicle), psutil.Process()
    bus, thinker, run = CanBus.open("udp_multicast", config.group), Beside(brain.policy), RuntimeConfig()
    runtime, gateway = brain.runtime(bus, thinker, run, ControllerConfig(), time.monotonic_ns())
    cycles = round(config.minutes * 60 / run.cycle_s)
    spent = np.zeros((cycles, len(STEPS)), np.int64)
    began, kept = np.zeros(cycles, np.int64), np.zeros(cycles, np.bool_)
    memory: list[tuple[float, float]] = []
    settle = round(config.settle_s / run.cycle_s)
    for number, cycle in enumerate(scheduled(runtime.cycle, Pictures(), run.cycle_s)):
        if number >= settle + cycles:
            break
        place = number - settle
        if place < 0:
            continue
        spent[place], began[place], kept[place] = cycle.spent_ns, cycle.now_ns, cycle.command.engaged
        if place % 200 == 0:
            memory.append((place * run.cycle_s, process.memory_info().rss / 2**20))
    thinker.close()
    bus.close()
    return figures(spent, began, kept, memory) | {
        "counts": asdict(runtime.counts),
        "losses": asdict(gateway.losses),
        "vehicle": config.vehicle,
        "minutes": config.minutes,
        "processor": processor(),
    }


def figures(
    spent: np.ndarray, began: np.ndarray, engaged: np.ndarray, memory: list[tuple[float, float]]
) -> dict[str, Any]:
    """What is stated of the cycles."""
    total_ms = spent.sum(1) / 1e6
    quantiles = {"median_ms": 50.0, "p99_ms": 99.0, "p999_ms": 99.9, "longest_ms": 100.0}
    gaps_ms = np.diff(began) / 1e6
    return {
        "cycles": len(spent),
        "engaged_share": round(float(engaged.mean()), 4),
        "picture_to_command": {name: round(float(np.percentile(total_ms, q)), 3) for name, q in quantiles.items()},
        "share": {name: round(float(s), 4) for name, s in zip(STEPS, spent.sum(0) / spent.sum(), strict=True)},
        "step_median_ms": {
            name: round(float(np.median(column)) / 1e6, 3) for name, column in zip(STEPS, spent.T, strict=True)
        },
        "cycle_gap": {name: round(float(np.percentile(gaps_ms, q)), 3) for name, q in quantiles.items()},
        "memory_mib": {"first": round(memory[0][1], 2), "last": round(memory[-1][1], 2)},
        "memory_growth_mib": round(memory[-1][1] - memory[0][1], 2),
    }


def processor() -> str:
    """As the system names it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main(config: Config) -> None:
    """Measure, print, write."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    vehicle = context.Process(target=play_vehicle, args=(config, stop), daemon=True)
    vehicle.start()
    try:
        found = drive(config)
    finally:
        stop.set()
        vehicle.join(timeout=10.0)
    table = Table("what", "how much", title="picture to command", title_justify="left")
    for name, value in found.items():
        table.add_row(name, str(value))
    Console().print(table)
    write_whole(config.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Config))
