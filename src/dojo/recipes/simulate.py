"""`dojo simulate`: the recordings of a simulated fleet, written as the real car writes them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dojo.recipes.run import Outcome
from dojo.world.fleet import FleetConfig, simulate_fleet


@dataclass(frozen=True)
class SimulateRun:
    """Simulate a fleet.

    Args:
        out: folder for one TeslaCam folder per vehicle; vehicles that are already there are kept.
        fleet: what to simulate.
    """

    out: Path = Path("runs/fleet")
    fleet: FleetConfig = field(default_factory=FleetConfig)


CONFIG = SimulateRun
CONFIGS = {"simulate": SimulateRun}


def run(config: SimulateRun, console: Console) -> Outcome:
    """Simulate the vehicles that are not there yet."""
    started = time.monotonic()
    with Progress(
        TextColumn("simulate"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("simulate", total=config.fleet.vehicles)
        manifest = simulate_fleet(config.fleet, config.out, lambda _: progress.advance(task))
    drives = [drive for vehicle in manifest.vehicles for drive in vehicle.drives]
    facts = {
        "fleet": str(config.out),
        "vehicles": len(manifest.vehicles),
        "drives": len(drives),
        "video_minutes": round(manifest.video_s / 60, 2),
        "kilometres": round(sum(drive.metres for drive in drives) / 1000, 2),
        "roads": dict(Counter(drive.road_kind for drive in drives)),
        "weather": dict(Counter(drive.weather for drive in drives)),
        "seconds": round(time.monotonic() - started, 1),
    }
    return Outcome.listing("simulated fleet", facts)
