"""`dojo replay`: let a trained policy drive beside recorded drives, their pictures warped to where it is.

In: the folder of a training run, a dataset: held-out drives of a simulated fleet, or real recordings. Out:
`replay.json`, `replay.html`, films, and sheets of pictures that show what the warp makes of each drive.
Idea: every drive is begun on its line and beside it; an intervention is counted where the policy leaves the lane or
what the recording can show. A figure says how near the picture on the line comes to the recording itself.
Not here: the warp (`geometry/reproject.py`), the simulator (`evaluate/replay.py`), rollouts in the simulated world
(`rollout.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console, Group
from rich.progress import Progress
from rich.text import Text

from dojo.errors import ConfigError
from dojo.evaluate.closed_loop import judge
from dojo.evaluate.closed_loop_page import closed_loop_page
from dojo.evaluate.markup import picture
from dojo.evaluate.replay import RecordedLine, Replay
from dojo.evaluate.replay_sheet import Fidelity, fidelity, sheet
from dojo.evaluate.rollout import RolloutConfig
from dojo.evaluate.rollout_video import RolloutStyle
from dojo.evaluate.suites.replay import OFFSETS_M, replay
from dojo.evaluate.video import png_of
from dojo.recipes.films import film, forget_the_rest, waiting_room
from dojo.recipes.rollout import Job, anchors_of, table_of
from dojo.recipes.run import Outcome, provenance, read_record, record, write_record, write_whole
from dojo.recipes.spread import spread
from dojo.recipes.train import load_policy
from dojo.records import Drive, Rollout, Scenario
from dojo.store.dataset import Dataset


@dataclass(frozen=True)
class ReplayRun:
    """Let a trained policy drive beside recorded drives.

    Args:
        run: folder of the training run; its newest whole checkpoint drives, with averaged weights.
        dataset: where the drives are; the training run's own dataset if not given.
        split: drives that have clips of this split; `all` takes every drive, cut into clips or not.
        out: folder for what comes of it; `replay` below `run` if not given.
        camera: through which it looks.
        drives: at most so many, evenly spread over those there are.
        seconds: of each replay. `every_s`: another one begins so long after the last, as long as the drive goes on.
        offsets_m: at which replays begin, to the left of the recorded line.
        films: of how many replays, failures first. `film_seconds`: the last of each.
        sheets: of how many drives pictures are shown from every offset.
        processes: how many at once; 0: one per core. Changes nothing in the result.
    """

    run: Path
    dataset: str | None = None
    split: Literal["validation", "train", "all"] = "validation"
    out: Path | None = None
    camera: str = "front"
    drives: int = 12
    seconds: float = 10.0
    every_s: float = 20.0
    offsets_m: tuple[float, ...] = OFFSETS_M
    films: int = 6
    film_seconds: float = 20.0
    sheets: int = 4
    processes: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    style: RolloutStyle = field(default_factory=RolloutStyle)

    def __post_init__(self) -> None:
        if self.drives < 1 or min(self.films, self.sheets, self.processes) < 0:
            raise ConfigError(
                "replay: expected drives of at least 1, and films, sheets and processes of at least 0, got "
                f"{self.drives}, {self.films}, {self.sheets} and {self.processes}"
            )
        if not (self.seconds > 0 and self.every_s > 0 and self.offsets_m and max(map(abs, self.offsets_m)) <= 4):
            raise ConfigError(
                "replay: expected seconds and every_s above 0 and offsets within 4 m, which is what a warp can bear, "
                f"got {self.seconds}, {self.every_s} and {self.offsets_m}"
            )

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.out or self.run / "replay"


CONFIG = ReplayRun
CONFIGS = {"replay": ReplayRun}

_SHORTEST_S = 1.0  # Assumed: what is driven in less than a second says nothing


def drives_of(config: ReplayRun, dataset: Dataset) -> list[Drive]:
    """The drives to replay.

    Raises:
        ConfigError: there are none of this split with this camera.
    """
    found = dataset.drives()
    if config.split != "all":
        held = {clip.drive_id for clip in dataset.clips(split=config.split)}
        found = [drive for drive in found if drive.drive_id in held]
    found = [drive for drive in found if any(stream.name == config.camera for stream in drive.cameras)]
    if not found:
        raise ConfigError(
            f"{dataset.uri}: expected drives with {config.split} clips and a camera {config.camera!r}, found none; "
            "take another --split, or all for drives that were not cut into clips"
        )
    places = np.linspace(0, len(found) - 1, min(config.drives, len(found))).round().astype(int)
    return [found[place] for place in places]


def stretches_of(config: ReplayRun, drives: Sequence[Drive]) -> list[tuple[str, float]]:
    """Where replays begin: drive, and seconds after its first frame; the last one may end early."""
    found = []
    for drive in drives:
        line = RecordedLine(drive, config.camera)
        lasts_s = (line.timestamps_ns[-1] - line.timestamps_ns[0]) / 1e9
        starts = np.arange(0.0, max(lasts_s - min(config.seconds, _SHORTEST_S), 1e-9), config.every_s)
        found += [(drive.drive_id, float(start_s)) for start_s in starts]
    return found


@dataclass(frozen=True)
class _Group:
    """A unit of work: the replays of one stretch."""

    job: Job
    scenarios: tuple[Scenario, ...]
    drive: Drive
    dataset: Dataset


def _driven(group: _Group) -> list[Rollout]:
    return group.job.drive(group.scenarios, Replay([group.drive], group.dataset))


def replay_all(
    config: ReplayRun, dataset: Dataset, drives: Sequence[Drive], pictures: Path | None = None
) -> Iterator[Rollout]:
    """Every replay, drive by drive, offset by offset."""
    driven = replace(config.rollout, anchors=anchors_of(config.run), together=len(config.offsets_m))
    job = Job(config.run, driven, config.device, pictures, max(1, round(config.film_seconds / driven.tick_s)))
    scenarios = replay(stretches_of(config, drives), config.seconds, config.offsets_m, config.camera)
    by_id = {drive.drive_id: drive for drive in drives}
    groups = [
        _Group(job, some, by_id[str(some[0].place["drive"])], dataset)
        for first in range(0, len(scenarios), len(config.offsets_m))
        for some in [scenarios[first : first + len(config.offsets_m)]]
    ]
    for rollouts in spread(_driven, groups, config.processes):
        yield from rollouts


@dataclass(frozen=True)
class _Look:
    """What a drive looks like from beside its line."""

    drive_id: str
    fidelity: Fidelity
    png: bytes


def _look(config: ReplayRun, dataset: Dataset, drives: Sequence[Drive]) -> list[_Look]:
    """The first drives in pictures, each written as a sheet."""
    found = []
    for drive in drives[: config.sheets]:
        line = RecordedLine(drive, config.camera)
        png = png_of(sheet(line, dataset, config.offsets_m))
        path = config.folder / "sheets" / f"{drive.drive_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
        found.append(_Look(drive.drive_id, fidelity(line, dataset), png))
    return found


def _in_words(found: Fidelity) -> str:
    return (
        f"On the recorded line, the warped picture differs from the recording by {found.mean:.3f} luma steps on "
        f"average, {found.most} at most, over {100 * found.shown:.0f} % of {found.pictures} pictures."
    )


def _sheets(looks: Sequence[_Look]) -> str:
    if not looks:
        return ""
    shown = "".join(picture(look.drive_id[:12], _in_words(look.fidelity), look.png) for look in looks)
    return (
        "<h2>What the warp makes of the recordings</h2><p>The recorded line in blue must lie on the same strip of road "
        "in every column. What stands up from the road leans over, and what was not recorded is black, on both sides "
        f"alike.</p>{shown}"
    )


def run(config: ReplayRun, console: Console) -> Outcome:
    """Replay every drive from every offset and judge what the policy made of it."""
    started = time.monotonic()
    out = config.folder
    trained, loaded = read_record(config.run / "run.json"), load_policy(config.run)
    dataset = Dataset.open(config.dataset or str(trained.config["dataset"]))
    drives = drives_of(config, dataset)
    this = record("replay", config, dataset_version=dataset.version)
    with waiting_room(out) as waiting, Progress(console=console, transient=True) as progress:
        progress.add_task("replay", total=None)
        driven = replay_all(config, dataset, drives, waiting if config.films else None)
        rollouts, chosen = forget_the_rest(driven, waiting, config.films)
        films = film(chosen, waiting, out, config.style, config.processes)
    looks = _look(config, dataset, drives)
    result = judge(rollouts)
    kilometres = sum(float(suite.per_intervention.get("kilometres") or 0.0) for suite in result.suites)
    origin = provenance(this, trained, loaded.sha256, split=f"{config.split}: {len(drives)} drives", step=loaded.step)
    report = {
        "closed_loop": result.to_json(),
        "zero_offset": {look.drive_id: asdict(look.fidelity) for look in looks},
        "interventions": sum(rollout.intervention for rollout in rollouts),
        "kilometres": round(kilometres, 3),
        "provenance": origin,
    }
    write_record(out, this)
    write_whole(out / "replay.json", json.dumps(report, indent=1) + "\n")
    page = out / "replay.html"
    write_whole(page, closed_loop_page(result, origin, films, _sheets(looks)))
    facts = {
        "report": str(out / "replay.json"),
        "page": str(page),
        "seconds": round(time.monotonic() - started, 1),
        **{name: report[name] for name in ("interventions", "kilometres", "zero_offset", "closed_loop")},
    }
    lines = [Text(f"{look.drive_id[:12]}: {_in_words(look.fidelity)}") for look in looks]
    return Outcome(facts, Group(table_of(result, page), *lines))
