"""`dojo train tiny | small | medium | large | cluster`: a policy learns from the training clips of a dataset.

In: a curated dataset. Out: a run folder with `run.json`, checkpoints and curves.
Idea: a recipe is a function that returns the whole configuration; every field of it is a flag.
Not here: the policy (`model/`), the loop (`train/`), the order of samples (`load/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import torch
import tyro
from pyarrow import csv
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from dojo.curate.nested import Part, part_of, routes_of
from dojo.errors import CheckpointError, ConfigError
from dojo.load.cache import FrameCache
from dojo.load.listing import Listing, OnDemand, listed
from dojo.load.loader import LoadConfig, Loader, LoaderState
from dojo.load.processes import shareable
from dojo.load.source import Cameras, FrameSource, Joined, cameras_of, recorded_cameras_of
from dojo.machine.numbers.storage import Storage
from dojo.model import config as sizes
from dojo.model.config import PolicyConfig
from dojo.model.policy import Policy, parameters_of
from dojo.recipes.cluster import ClusterConfig, launch
from dojo.recipes.run import Outcome, read_record, record, write_record, write_whole
from dojo.records import Batch, Clip
from dojo.store.catalogue import Catalogue
from dojo.store.dataset import Dataset
from dojo.train import checkpoint
from dojo.train.engine import Engine
from dojo.train.optimise import OptimiseConfig
from dojo.train.train import PlainState, TrainConfig
from dojo.train.train import train as train_policy


@dataclass(frozen=True)
class TrainRun:
    """Train a policy.

    Args:
        dataset: folder or object-store URI of a curated dataset.
        out: folder of the run.
        device: `auto` takes a GPU where there is one.
        cache_gb: room in the run's folder for decoded frames while it trains, so that a small dataset is decoded once
            and not in every epoch; 0 decodes each time.
        part: train on some of the training clips alone, see `dojo scale`.
        cluster: the machines and processes that train together.
    """

    dataset: str = "runs/data"
    out: Path = Path("runs/train")
    device: str = "auto"
    cache_gb: float = 0.0
    part: Part | None = None
    warm_start: Path | None = None
    rounds: tuple[str, ...] = ()
    rounds_share: float = 0.5
    cluster: Annotated[ClusterConfig, tyro.conf.arg(name="")] = field(default_factory=ClusterConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    load: LoadConfig = field(default_factory=LoadConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if not 0 < self.rounds_share < 1:
            raise ConfigError(f"train: expected a rounds_share between 0 and 1, got {self.rounds_share}")
        if self.train.optimise.muon and self.cluster.nodes and self.cluster.strategy == "fsdp":
            raise ConfigError(
                "train: expected train.optimise.muon off with strategy fsdp, which has no kernel whole on any rank; "
                "leave it out, or train with --strategy ddp"
            )

    def into(self, *, dataset: str, out: Path) -> TrainRun:
        """The same recipe on another dataset, into another folder."""
        return replace(self, dataset=dataset, out=out)


def tiny() -> TrainRun:
    """About 1 M parameters: minutes on two CPU cores; what the demo trains.

    One core computes and one loads, in a process of its own where there can be one: at this size two threads wait for
    one another longer than they compute (a step took 138 ms with one, 170 ms with two).
    """
    return TrainRun(
        policy=sizes.tiny(),
        cache_gb=4.0,
        load=LoadConfig(batch_size=16, workers=1, processes=1 if shareable() else 0),
        train=TrainConfig(steps=2300, checkpoint_every=500, threads=1, own_core=True, optimise=OptimiseConfig(3e-3)),
    )


def small() -> TrainRun:
    """Size S, about 3 M parameters."""
    return TrainRun(
        policy=sizes.small(), train=TrainConfig(steps=20_000, optimise=OptimiseConfig(1e-3, warmup_steps=500))
    )


def medium() -> TrainRun:
    """Size M, about 12 M parameters: one GPU."""
    return TrainRun(
        policy=sizes.medium(), train=TrainConfig(steps=100_000, optimise=OptimiseConfig(6e-4, warmup_steps=1000))
    )


def large() -> TrainRun:
    """Size L, about 40 M parameters: one large GPU."""
    return TrainRun(
        policy=sizes.large(), train=TrainConfig(steps=200_000, optimise=OptimiseConfig(4e-4, warmup_steps=2000))
    )


def cluster() -> TrainRun:
    """Size M on every GPU of every node: video decoded once an epoch, a ledger, figures of use."""
    return replace(
        medium(),
        cluster=ClusterConfig(nodes=1),
        load=LoadConfig(batch_size=64, order="chunked", buffer=2048, workers=4),
        train=replace(medium().train, ledger=True, measure=True, compile=torch.cuda.is_available()),
    )


CLIPS = "clips.txt"
"""In the folder of a run: the id of every clip that it may draw, so that it can be said what it learned from after the
state of the dataset that it was trained on is gone."""

CONFIG = TrainRun
CONFIGS = {"tiny": tiny, "small": small, "medium": medium, "large": large, "cluster": cluster}


@dataclass(frozen=True)
class Judgeable:
    """A trained policy with its averaged weights, and the hash of the checkpoint they come from."""

    policy: Policy
    sha256: str
    step: int


def load_policy(folder: Path) -> Judgeable:
    """The policy of a training run, from its newest whole checkpoint.

    Raises:
        CheckpointError: there is none, or it belongs to another policy.
    """
    config = TypeAdapter(TrainRun).validate_python(read_record(folder / "run.json").config).policy
    found = checkpoint.newest(folder / "checkpoints")
    if found is None:
        raise CheckpointError(f"{folder}: expected a checkpoint, found none that is whole; run dojo train first")
    policy = Policy(config)
    try:
        policy.load_state_dict(found.state["model"] | found.state["averages"])
    except RuntimeError as error:
        raise CheckpointError(
            f"{found.path}: expected the policy of {folder / 'run.json'}, got another: {error}"
        ) from error
    return Judgeable(policy, found.sha256, found.step)


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except RuntimeError as error:
        raise ConfigError(f"device: expected auto, cpu or a GPU of this machine, got {wanted!r}: {error}") from error


def _claim(config: TrainRun, dataset_version: str) -> None:
    """Write `run.json`, or refuse a folder whose run was configured otherwise."""
    wanted = record("train", config, dataset_version=dataset_version, seed=config.train.seed)
    path = config.out / "run.json"
    if path.exists():
        earlier = read_record(path)
        # Of each dataset, the part before @ names the content; what follows counts how often it was written.
        contents = [
            [version.partition("@")[0] for version in run.dataset_version.split("+")] for run in (earlier, wanted)
        ]
        if earlier.config != wanted.config or contents[0] != contents[1]:
            raise ConfigError(
                f"{config.out}: expected an empty folder or the same run to go on with, got a run with another "
                "configuration or dataset version; choose another folder with --out, or repeat it with dojo rerun"
            )
        return
    write_record(config.out, wanted)


def decoded(source: FrameSource, clips: Sequence[Clip], cache_gb: float, folder: Path, console: Console) -> FrameSource:
    """The source's frames, those of these clips decoded as far as there is room for them in a file of the folder."""
    if cache_gb <= 0 or not clips:
        return source
    cache = FrameCache(source, round(cache_gb * 1e9), folder)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("decode", total=None)
        cache.fill(clips, lambda done, total: progress.update(task, completed=done, total=total))
    return cache


def mixed(logs: Sequence[Clip], rounds: Sequence[Clip], share: float) -> list[Clip]:
    """All clips, weighted so that this share of what is drawn comes from the rounds."""
    if not rounds:
        return list(logs)
    weights = [sum(clip.weight for clip in clips) for clips in (logs, rounds)]
    scale = share / (1 - share) * weights[0] / weights[1]
    return [*logs, *(replace(clip, weight=clip.weight * scale) for clip in rounds)]


def _source(
    config: TrainRun, datasets: Sequence[Dataset], clips: Sequence[Clip], logs: FrameSource | None, console: Console
) -> FrameSource:
    """Where the frames of all datasets come from; those of the logs from where they are at hand already."""
    owned = [(dataset.drive_ids(), dataset) for dataset in datasets]
    if logs is None:
        return decoded(Joined(owned), clips, config.cache_gb, config.out, console)
    (ids, _), *rounds = owned
    theirs = set(ids)
    others = [clip for clip in clips if clip.drive_id not in theirs]
    cached = decoded(Joined(rounds), others, config.cache_gb, config.out, console)
    return Joined([(ids, logs), ({clip.drive_id for clip in others}, cached)])


_Material = tuple[Sequence[Clip] | Listing, FrameSource, Cameras, Cameras]
"""Clips, where their frames come from, and the cameras of their streams: as stored, and as they recorded."""


def _light(config: TrainRun, logs: FrameSource | None) -> bool:
    """Whether nothing asks for more of the clips than their names and weights before they are drawn."""
    return config.part is None and not config.rounds and config.cache_gb == 0 and logs is None


def _listed(dataset: Dataset) -> _Material:
    """Clips and cameras that are read as they are drawn: training begins within seconds on millions of clips."""
    clips = Catalogue(dataset, "train")
    _require(dataset, len(clips))
    return clips, dataset, OnDemand(dataset.drive, cameras_of), OnDemand(dataset.drive, recorded_cameras_of)


def _read(config: TrainRun, datasets: Sequence[Dataset], logs: FrameSource | None, console: Console) -> _Material:
    """Clips and cameras in memory, chosen and weighted as the configuration says."""
    found = [dataset.clips(split="train") for dataset in datasets]
    for dataset, clips in zip(datasets, found, strict=True):
        _require(dataset, len(clips))
    drives = [drive for dataset in datasets for drive in dataset.drives()]
    if config.part is not None:
        found[0] = part_of(found[0], routes_of(drives), config.part)
    clips = mixed(found[0], [clip for clips in found[1:] for clip in clips], config.rounds_share)
    return clips, _source(config, datasets, clips, logs, console), cameras_of(drives), recorded_cameras_of(drives)


def name_clips(folder: Path, clips: Listing) -> None:
    """Write down what may be drawn, a line each; a run that goes on has done so."""
    if (folder / CLIPS).exists():
        return
    names = clips.names()
    column = names if isinstance(names, pa.ChunkedArray) else pa.chunked_array([pa.array(names, pa.string())])
    drawn = pa.table({"clip": column.filter(pa.array(np.asarray(clips.weights) > 0))})
    lines = pa.BufferOutputStream()
    csv.write_csv(drawn, lines, csv.WriteOptions(include_header=False, quoting_style="none"))
    write_whole(folder / CLIPS, lines.getvalue().to_pybytes().decode())


def _require(dataset: Dataset, clips: int) -> None:
    if not clips:
        raise ConfigError(
            f"{dataset.uri}: expected training clips, found none; run dojo curate first, with "
            "--curate.force-split train for a single recording"
        )


def run(config: TrainRun, console: Console, logs: FrameSource | None = None) -> Outcome:
    """Train to the last step, going on where an interrupted run of the same configuration stopped.

    Args:
        logs: where the frames of the dataset come from, if not from itself.
    """
    _claim(config, "+".join(Dataset.open(uri).version for uri in (config.dataset, *config.rounds)))
    facts = launch(config) if config.cluster.nodes else learn(config, console, logs)
    return Outcome.listing("training", facts)


def learn(
    config: TrainRun,
    console: Console,
    logs: FrameSource | None = None,
    engine: Engine | None = None,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Train to the last step, in this process: what came of it.

    Args:
        engine: of several ranks, of which this process is one.
        device: of this rank; what the configuration names without one.
    """
    datasets = [Dataset.open(uri) for uri in (config.dataset, *config.rounds)]
    clips, source, cameras, recorded = (
        _listed(datasets[0]) if _light(config, logs) else _read(config, datasets, logs, console)
    )
    if engine is None or engine.rank == 0:
        name_clips(config.out, listed(clips))
    device = device or _device(config.device)
    torch.manual_seed(config.train.seed)
    policy = Policy(config.policy)
    if config.warm_start is not None:
        policy.load_state_dict(load_policy(config.warm_start).policy.state_dict())
    policy.to(device)
    version = "+".join(dataset.content_hash() for dataset in datasets)
    load = config.load if engine is None else replace(config.load, rank=engine.rank, ranks=engine.ranks)
    loader = Loader(clips, cameras, source, load, version, recorded=recorded, rows=config.policy.rows)

    def batches(state: PlainState | None) -> Iterator[tuple[Batch, PlainState]]:
        first = LoaderState.from_json(state) if state else None
        return ((batch, after.as_json()) for batch, after in loader.batches(first))

    parameters = parameters_of(policy)
    narrow = Storage(config.train.cfloat8_bias) if config.train.numerics == "cfloat8" else None
    result = train_policy(policy, batches, config.train, config.out, console, engine, narrow)
    return {
        "run": str(config.out),
        "clips": len(clips),
        "parameters": parameters,
        "steps": result.steps,
        "samples": result.samples,
        "seconds": round(result.seconds, 1),
        "losses": result.losses,
        "checkpoint": str(result.checkpoint),
        "checkpoint_sha256": result.sha256,
        "device": str(device),
    }
