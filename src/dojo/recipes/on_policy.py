"""`dojo on-policy tiny`: train on the logs, then on what the policy itself gets into, corrected, round by round.

In: a curated dataset. Out: the run folder of the last training, and beside it a folder of the rounds: one training run
and one dataset of corrected rollouts each.
Idea: a rollout is a drive like any other: its pictures are stored as a fleet's are, through the same encoder, so that
nothing in them tells where they came from, and `dojo ls` shows what is there. Its clips carry what should have been
driven (`curate/correct.py`). Every training is a normal run that begins with the weights of the one before.
Not here: rollouts (`evaluate/rollout.py`), how clips of both kinds are mixed (`recipes/train.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise, zip_longest
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from rich.console import Console
from rich.progress import Progress

from dojo.curate.correct import CorrectConfig, corrected
from dojo.errors import ConfigError
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.suites import SUITES
from dojo.load.recover import NO_RECOVER
from dojo.load.source import FrameSource
from dojo.recipes import train
from dojo.recipes.rollout import Driver, anchors_of, one_thread
from dojo.recipes.run import Outcome, record, write_record
from dojo.recipes.spread import spread
from dojo.recipes.train import TrainRun, decoded, load_policy
from dojo.records import (
    DESIRES,
    CameraStream,
    Clip,
    Drive,
    EgoMotion,
    Provenance,
    Rollout,
    Scenario,
    Signal,
    Telemetry,
    VideoChunk,
)
from dojo.store.dataset import Dataset
from dojo.store.video import encode_chunks
from dojo.world.car import Car
from dojo.world.simulator import WorldConfig, WorldSimulator


@dataclass(frozen=True)
class RoundConfig:
    """One round on policy.

    Args:
        suites: scenarios are drawn from these in turns, each with the round's own seed: other roads, other vehicles,
            other offsets than those that figures are compared on.
        scenarios: how many are driven.
        longest_s: scenarios that last longer end here.
        first_seed: of the first round's scenarios; the next round has the next. Seed 0 is that of the figures.
        steps, learning_rate: of the training after it, which begins with the weights so far.
        beside: whether that training still shows logs from beside the line. Off, it takes three quarters of the time,
            and the rounds alone go on showing what it is to be there.
    """

    suites: tuple[str, ...] = ("lane_centring", "lane_change", "leader", "cut_in", "curve_speed", "dense_traffic")
    scenarios: int = 64
    longest_s: float = 15.0
    first_seed: int = 1000
    steps: int = 500
    learning_rate: float = 1e-3
    beside: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.suites if name not in SUITES]
        if unknown or not self.suites:
            raise ConfigError(f"round: expected suites from {', '.join(SUITES)}, got {', '.join(unknown) or 'none'}")
        if self.scenarios < 1 or not self.longest_s > 0 or self.first_seed < 1 or self.steps < 1:
            raise ConfigError(
                "round: expected scenarios, first_seed and steps of at least 1 and a longest_s above 0, got "
                f"{self.scenarios}, {self.first_seed}, {self.steps} and {self.longest_s}"
            )


def _to_learn_from() -> RolloutConfig:
    """Rollouts that go on where those that are judged end: in the next lane, and behind whom the policy would hit.

    A policy that hits everybody never stands behind anybody, and never learns what to do there.
    """
    return RolloutConfig(together=8, keep_frames=True, margin_m=1.0, guard_mps2=2.5)


@dataclass(frozen=True)
class OnPolicyRun:
    """Train on logs and on policy.

    Args:
        train: the recipe; its `out` is the folder of the last training, earlier ones lie beside it.
        rounds: how many rounds on policy follow the training on logs; 0 leaves it at that.
        processes: rollouts at once; 0: one per core. Changes nothing in the result.
        cluster: of Ray, to drive on instead, see `recipes/engine.py`.
    """

    train: TrainRun = field(default_factory=train.tiny)
    rounds: int = 1
    round: RoundConfig = field(default_factory=RoundConfig)
    correct: CorrectConfig = field(default_factory=CorrectConfig)
    world: WorldConfig = field(default_factory=WorldConfig)
    rollout: RolloutConfig = field(default_factory=_to_learn_from)
    processes: int = 0
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.processes < 0:
            raise ConfigError(f"on-policy: expected rounds and processes from 0, got {self.rounds}, {self.processes}")
        if not self.rollout.keep_frames:
            raise ConfigError("on-policy: expected rollout.keep_frames, or there is nothing to learn from; leave it on")

    def into(self, *, dataset: str, out: Path) -> OnPolicyRun:
        """The same recipe on another dataset, into another folder."""
        return replace(self, train=self.train.into(dataset=dataset, out=out))

    @property
    def folder(self) -> Path:
        """Where the rounds lie."""
        return self.train.out.with_name(f"{self.train.out.name}-rounds")


CONFIG = OnPolicyRun
CONFIGS = {name: lambda make=make: OnPolicyRun(train=make()) for name, make in train.CONFIGS.items()}


def scenarios_of(config: RoundConfig, number: int) -> tuple[Scenario, ...]:
    """The scenarios of a round, the suites in turns."""
    kept: list[Scenario] = []
    seed = config.first_seed + 1000 * number
    while len(kept) < config.scenarios:
        suites = [SUITES[name](seed) for name in config.suites]
        turns = chain.from_iterable(zip_longest(*suites))
        kept += [
            replace(
                scenario,
                scenario_id=f"round-{number}-{seed}-{scenario.scenario_id}",
                duration_s=min(scenario.duration_s, config.longest_s),
            )
            for scenario in turns
            if scenario is not None
        ]
        seed += 1
    return tuple(kept[: config.scenarios])


@dataclass(frozen=True)
class _Corrected:
    """A rollout as the store takes it: a drive, its video, and clips of what should have been driven."""

    drive: Drive
    chunks: tuple[VideoChunk, ...]
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class _Group:
    """A unit of work."""

    run: Path
    scenarios: tuple[Scenario, ...]
    config: OnPolicyRun


def _driven(group: _Group) -> list[_Corrected]:
    """The corrected rollouts of one group, in a process of its own."""
    config = group.config
    with one_thread():
        driver = Driver(load_policy(group.run).policy)
        rollouts = list(drive(group.scenarios, WorldSimulator(config.world), Car(), driver, config.rollout))
    return [_stored(rollout, config) for rollout in rollouts if len(rollout.tick_step) > config.rollout.anchors]


def _stored(rollout: Rollout, config: OnPolicyRun) -> _Corrected:
    view = rollout.camera
    chunks = tuple(encode_chunks(rollout.frames, view.width_px, view.height_px, 1 / config.rollout.tick_s))
    drive = drive_of(rollout, chunks)
    return _Corrected(drive, chunks, tuple(corrected(rollout, drive.drive_id, config.rollout.anchors, config.correct)))


def drive_of(rollout: Rollout, chunks: tuple[VideoChunk, ...]) -> Drive:
    """The rollout as a drive of one camera; its one file is the video itself."""
    digest = hashlib.sha256(rollout.scenario.scenario_id.encode())
    for chunk in chunks:
        digest.update(chunk.data)
    identity, size = digest.hexdigest(), sum(len(chunk.data) for chunk in chunks)
    steps_ns = np.round(rollout.times_s * 1e9).astype(np.int64)
    ticks_ns = steps_ns[list(rollout.tick_step)]
    every = np.ones(len(ticks_ns), np.bool_)
    return Drive(
        drive_id=identity[:32],
        vehicle_id=rollout.scenario.scenario_id,
        route=rollout.scenario.scenario_id,
        cameras=(CameraStream("front", rollout.camera, ticks_ns, every, rollout.recorded_camera),),
        telemetry=_telemetry(rollout, steps_ns, ticks_ns),
        ego=_motion(rollout, steps_ns),
        provenance=Provenance("rollout", ((rollout.scenario.scenario_id, identity, size),)),
        tags=("on_policy",),
    )


def _telemetry(
    rollout: Rollout, steps_ns: Int64[np.ndarray, " steps"], ticks_ns: Int64[np.ndarray, " ticks"]
) -> Telemetry:
    def asks(side: str) -> Signal:
        wanted = [index for index, name in enumerate(DESIRES) if name.endswith(side)]
        return Signal.measured(ticks_ns, np.isin(rollout.desire, wanted).astype(np.float64))

    return Telemetry(
        speed_mps=Signal.measured(steps_ns, rollout.speed_mps),
        yaw_rate_radps=Signal.measured(steps_ns, rollout.yaw_rate_radps),
        acceleration_x_mps2=Signal.measured(steps_ns, rollout.acceleration_mps2),
        blinker_left=asks("_left"),
        blinker_right=asks("_right"),
    )


def _motion(rollout: Rollout, steps_ns: Int64[np.ndarray, " steps"]) -> EgoMotion:
    """Where the ego was; the simulator's world is flat to whoever only asks for the ego's place."""
    count = len(steps_ns)
    cosine, sine, zero, one = np.cos(rollout.yaw_rad), np.sin(rollout.yaw_rad), np.zeros(count), np.ones(count)
    rotation = np.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], -1).reshape(count, 3, 3)
    return EgoMotion(
        timestamps_ns=steps_ns,
        rotation=rotation,
        translation_m=np.stack([rollout.x_m, rollout.y_m, zero], -1),
        speed_mps=rollout.speed_mps,
        yaw_rate_radps=rollout.yaw_rate_radps,
        covariance=np.zeros((count, 3, 3)),
        covariance_valid=np.zeros(count, np.bool_),
        valid=np.ones(count, np.bool_),
        origin_deg_m=None,
        source="recorded",
    )


def collect(config: OnPolicyRun, run: Path, number: int, told: Callable[[int, int], None]) -> Dataset:
    """The dataset of a round: the policy of this run drives, and is corrected; nothing to do where it is there."""
    place = str(config.folder / f"rollouts-{number}")
    if (config.folder / f"rollouts-{number}").exists():
        dataset = Dataset.open(place)
        if dataset.clips(split="train"):
            return dataset
    else:
        dataset = Dataset.create(place)
    scenarios, size = scenarios_of(config.round, number), config.rollout.together
    driven = replace(config, rollout=replace(config.rollout, anchors=anchors_of(run)))
    groups = [_Group(run, scenarios[first : first + size], driven) for first in range(0, len(scenarios), size)]
    clips: list[Clip] = []
    for done, found in enumerate(spread(_driven, groups, config.processes, config.cluster), start=1):
        for item in found:
            dataset.add(item.drive, {"front": item.chunks})
            clips += item.clips
        told(min(done * size, len(scenarios)), len(scenarios))
    # Put last, all at once: a round that has clips is whole.
    dataset.put_clips(clips, {"verb": "on-policy", "round": number})
    return dataset


def _collect(config: OnPolicyRun, run: Path, number: int, console: Console) -> str:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"round {number + 1}", total=None)
        return collect(config, run, number, lambda done, total: progress.update(task, completed=done, total=total)).uri


def stages(config: OnPolicyRun) -> list[TrainRun]:
    """The training on logs, and that after each round.

    Together they are one run with one fall of the learning rate: what is driven by the averaged weights in between
    needs no rest, and a rate that fell to nothing and rose again would learn the same things twice.
    """
    logs, each = config.train, config.round
    rates = [logs.train.optimise.learning_rate, *[each.learning_rate] * config.rounds]
    load = logs.load if each.beside else replace(logs.load, recover=NO_RECOVER)
    after = replace(logs, load=load, train=replace(logs.train, steps=each.steps))
    ends = [*(min(1.0, lower / higher) for higher, lower in pairwise(rates)), logs.train.optimise.final_share]
    return [
        replace(
            stage,
            train=replace(stage.train, optimise=replace(stage.train.optimise, learning_rate=rate, final_share=end)),
        )
        for stage, rate, end in zip([logs, *[after] * config.rounds], rates, ends, strict=True)
    ]


def run(config: OnPolicyRun, console: Console) -> Outcome:
    """Train on the logs, then round by round on policy; goes on where an interrupted run stopped."""
    write_record(config.folder, record("on-policy", config, seed=config.train.train.seed))
    dataset = Dataset.open(config.train.dataset)
    logs: FrameSource = decoded(dataset, dataset.clips(split="train"), config.train.cache_gb, config.folder, console)
    before, rounds = config.train.warm_start, tuple[str, ...]()
    outcomes: list[Outcome] = []
    for number, stage in enumerate(stages(config)):
        last = number == config.rounds
        out = config.train.out if last else config.folder / f"round-{number}"
        outcomes.append(train.run(replace(stage, out=out, warm_start=before, rounds=rounds), console, logs))
        if not last:
            before, rounds = out, (*rounds, _collect(config, out, number, console))
    sums = {name: sum(outcome.facts[name] for outcome in outcomes) for name in ("steps", "samples", "seconds")}
    return Outcome.listing("training on policy", {**outcomes[-1].facts, **sums, "rounds": list(rounds)})
