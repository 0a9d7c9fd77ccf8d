"""`dojo demo`: the whole road on a simulated fleet, from videos to a page that says how well the model drives.

In: nothing. Out: a folder with the fleet's recordings, a dataset, a trained model, `report.html`, `report.json` and
`run.json`.
It ends by telling what its training would take on other machines.
Idea: the same verbs that serve a customer's clips, called one after the other; the fleet writes the files that a real
car writes, so nothing on the way knows that it was simulated. Each stage keeps what is done, so a demo that was
interrupted goes on where it was.
Not here: any stage.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

from dojo.curate import CurateConfig
from dojo.errors import ConfigError
from dojo.load import RecoverConfig
from dojo.recipes import cheat, curate, evaluate, ingest, on_policy, rollout, simulate, train
from dojo.recipes.elsewhere import training_elsewhere
from dojo.recipes.on_policy import OnPolicyRun, RoundConfig
from dojo.recipes.run import Outcome, read_record, record, write_record
from dojo.recipes.workers import apart
from dojo.world.fleet import FleetConfig


def _fleet() -> FleetConfig:
    """Many short drives: what a small policy learns of roads it has not seen depends on how many it has seen.

    Five frames a second are all that the policy looks at. After 3,000 steps of 32 anchors, its lateral error at 3 s on
    held-out roads was 0.70 of that of constant turn rate with 192 drives of 20 s, 0.78 with 96 drives of 40 s.
    Three drives in ten end in a queue: a policy that has never seen anybody stop hits who does (none of 12 leaders were
    stopped for without queues, up to 6 with them).
    """
    return FleetConfig(regions=24, drives_per_vehicle=10, seconds_per_drive=14.0, fps=5.0)


SUITES = ("lane_centring", "lane_change", "leader", "cut_in")


def driving() -> OnPolicyRun:
    """Everything that makes a policy drive: some of the logs seen from beside the line, then a round on policy."""
    tiny = train.tiny()
    load = replace(tiny.load, recover=RecoverConfig(share=0.4))
    logs = replace(tiny, train=replace(tiny.train, steps=1900), load=load, rounds_share=0.4)
    each = RoundConfig(suites=SUITES, scenarios=64, longest_s=30.0, steps=1300, learning_rate=2e-3)
    return OnPolicyRun(train=logs, rounds=1, round=each)


@dataclass(frozen=True)
class DemoRun:
    """The whole road on a simulated fleet.

    Args:
        out: folder for everything.
        fleet: the simulated fleet.
        curate: how drives are cut into clips.
        train: the recipe; its dataset and folder are set by the demo.
        suites: what the trained policy is let drive through at the end. `cases`: of each at most so many; 0: all.
        pictures: on how many it is probed for having learned the traces of the warp instead of the road; 0: not
            at all, as with fewer than five drives to judge on nothing can be said.
        videos_of_each: how many failures, typical and best clips the report shows. `films`: how many rollouts.
    """

    out: Path = Path("runs/demo")
    fleet: FleetConfig = field(default_factory=_fleet)
    curate: CurateConfig = field(default_factory=lambda: CurateConfig(anchors_per_clip=2))
    train: OnPolicyRun = field(default_factory=driving)
    suites: tuple[str, ...] = SUITES
    cases: int = 0
    pictures: int = 400
    videos_of_each: int = 2
    films: int = 6


CONFIG = DemoRun
CONFIGS = {"demo": DemoRun}


@dataclass(frozen=True)
class _Stage:
    verb: str
    came_in: str
    call: Callable[[], Outcome]
    says: Callable[[Outcome], str]
    read_next: str


def _claim(config: DemoRun) -> None:
    """Write the record of this demo, or refuse a folder that holds another one."""
    wanted = record("demo", config, seed=config.train.train.train.seed)
    path = config.out / "run.json"
    if path.exists():
        earlier = read_record(path)
        if earlier.verb != "demo" or earlier.config != wanted.config:
            raise ConfigError(
                f"{config.out}: expected an empty folder or an unfinished demo with the same configuration, got one "
                f"of verb {earlier.verb!r} with another configuration; remove the folder or choose another with --out"
            )
    write_record(config.out, wanted)


def _stages(config: DemoRun, console: Console) -> list[_Stage]:
    fleet, data, model = config.out / "fleet", str(config.out / "dataset"), config.out / "train"
    training = config.train.into(dataset=data, out=model)
    stages = [
        _Stage(
            "simulate",
            f"seed {config.fleet.seed}",
            lambda: simulate.run(simulate.SimulateRun(out=fleet, fleet=config.fleet), console),
            lambda o: f"{o.facts['vehicles']} vehicles, {o.facts['video_minutes']:.0f} min of video",
            "src/dojo/world/fleet.py",
        ),
        _Stage(
            "ingest",
            "TeslaCam folders",
            lambda: ingest.run(ingest.IngestConfig(source=fleet, dataset=data), console),
            lambda o: f"{o.facts['drives']} drives stored, {o.facts['refused']} refused",
            "src/dojo/fleet/gates.py",
        ),
        _Stage(
            "curate",
            "drives",
            lambda: curate.run(curate.CurateRun(dataset=data, curate=config.curate), console),
            lambda o: ", ".join(f"{count} {split}" for split, count in o.facts["splits"].items()) + " clips",
            "src/dojo/curate/split.py",
        ),
        _Stage(
            "train",
            "train clips",
            lambda: apart(_trained, (training, console.stderr, console.quiet)),
            lambda o: f"{o.facts['samples']:,} samples learned, {o.facts['parameters'] / 1e6:.2f} M parameters",
            "src/dojo/recipes/on_policy.py",
        ),
        _Stage(
            "evaluate",
            "validation clips",
            lambda: evaluate.run(
                evaluate.EvaluateRun(run=model, out=config.out, videos_of_each=config.videos_of_each), console
            ),
            lambda o: "report on roads and vehicles never trained on",
            "src/dojo/evaluate/open_loop.py",
        ),
    ]
    probe = _Stage(
        "probe",
        "roads blanked",
        lambda: cheat.run(
            cheat.CheatRun(run=model, clips=config.pictures, report=config.out, name=_name(config)), console
        ),
        lambda o: (
            f"of the offset {max(o.facts['lateral_explained'], o.facts['yaw_explained'], 0.0):.1%} explained, "
            f"{o.facts['nowhere_m']:.2f} m to the side of nowhere"
        ),
        "src/dojo/evaluate/cheat.py",
    )
    driving = _Stage(
        "drive",
        ", ".join(config.suites),
        lambda: rollout.run(_driving(config, model), console),
        lambda o: (
            f"{sum(suite['completed'] for suite in o.facts['closed_loop'].values())} of "
            f"{sum(suite['cases'] for suite in o.facts['closed_loop'].values())} cases completed"
        ),
        "src/dojo/evaluate/rollout.py",
    )
    return [*stages, *([probe] if config.pictures else []), *([driving] if config.suites else [])]


def _trained(what: tuple[OnPolicyRun, bool, bool]) -> Outcome:
    """The policy learns, in a process of its own: after videos were made and stored, a step took 1.13 times as long."""
    config, stderr, quiet = what
    return on_policy.run(config, Console(stderr=stderr, quiet=quiet))


def _driving(config: DemoRun, model: Path) -> rollout.RolloutRun:
    """The trained policy through the suites, told to the report."""
    return rollout.RolloutRun(
        run=model,
        out=config.out / "drive",
        suites=config.suites,
        cases=config.cases,
        films=config.films,
        report=config.out,
        name=_name(config),
    )


def _name(config: DemoRun) -> str:
    """Of the policy in the report."""
    return "on_policy" if config.train.rounds else "off_policy"


def _peak_memory_gb() -> float:
    """The largest resident memory of this process and of the largest of its children, added; Linux counts KiB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024 / 1e9


def run(config: DemoRun, console: Console) -> Outcome:
    """Every stage in turn, one line each: what came in, what went out, seconds, the file to read next."""
    _claim(config)
    started = time.monotonic()
    seconds: dict[str, float] = {}
    outcomes: list[Outcome] = []
    for number, stage in enumerate(_stages(config, console), start=1):
        began = time.monotonic()
        outcomes.append(stage.call())
        seconds[stage.verb] = round(time.monotonic() - began, 1)
        console.print(
            f"{number} {stage.verb:<9} {stage.came_in} -> {stage.says(outcomes[-1])}, {seconds[stage.verb]:.0f} s; "
            f"read {stage.read_next}",
            highlight=False,
            soft_wrap=True,
        )
    learned = outcomes[3].facts
    elsewhere = training_elsewhere(
        config.train.train,
        anchors=config.curate.anchors_per_clip,
        steps=learned["steps"],
        seconds=learned["seconds"],
    )
    outcomes.append(elsewhere)
    page = config.out / "report.html"
    facts = {name: value for outcome in reversed(outcomes[4:]) for name, value in outcome.facts.items()}
    facts |= {"page": str(page), "seconds": seconds, "peak_memory_gb": round(_peak_memory_gb(), 2)}
    total = time.monotonic() - started
    return Outcome(
        facts,
        Group(*(outcome.table for outcome in outcomes[4:]), Text(f"{total / 60:.1f} minutes in all. Open {page}")),
    )
