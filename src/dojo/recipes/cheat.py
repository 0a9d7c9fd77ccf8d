"""`dojo cheat`: does a trained policy see the road, or the traces that displacing pictures leaves?

In: the folder of a training run, held-out clips. Out: `cheat.json`, and the same in an earlier report, if asked.
Idea: the pictures of training are made once more, road blanked, and a linear probe is asked for their offset; the
disguise can be switched off part by part, and the probe must then find more: a test that cannot fail says nothing.
Not here: the probe (`evaluate/cheat.py`), who displaces (`load/recover.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import Progress

from dojo.errors import ConfigError
from dojo.evaluate.cheat import EXPLAINED_LIMIT, STRAIGHT_LIMIT_M, CheatReport, WithoutRoad, cheat_report, nowhere
from dojo.evaluate.cheat_page import cheat_section
from dojo.evaluate.markup import filled
from dojo.load import RecoverConfig, beside
from dojo.load.source import cameras_of, recorded_cameras_of
from dojo.model.plans import plans
from dojo.model.policy import Policy
from dojo.recipes.run import Outcome, provenance, read_record, record, write_record, write_whole
from dojo.recipes.train import TrainRun, load_policy
from dojo.records import DESIRES, Batch, Clip
from dojo.store.dataset import Dataset


@dataclass(frozen=True)
class CheatRun:
    """Look for traces of the warp in what a policy sees.

    Args:
        run: folder of the training run; its newest whole checkpoint is probed, with averaged weights.
        dataset: where the clips are; the training run's own dataset if not given.
        split: which clips.
        out: folder for `cheat.json`; `cheat` below `run` if not given.
        clips: at most so many, evenly spread over the split.
        resampler: displaced pictures are disguised as they were in this policy's training; off, they are not.
        bottleneck: the feature is read through the noise of the policy's bottleneck; off, the probe may find more.
        displace: how far pictures are displaced.
        report: folder of an earlier `report.json` and `report.html`, which are told.
        name: of this policy in that report, below `cheat`.
        seed: of offsets, noise and folds.
    """

    run: Path
    dataset: str | None = None
    split: Literal["validation", "train", "excluded"] = "validation"
    out: Path | None = None
    clips: int = 800
    resampler: bool = True
    bottleneck: bool = True
    displace: RecoverConfig = field(default_factory=lambda: RecoverConfig(share=1.0))
    batch_size: int = 16
    threads: int = 2
    report: Path | None = None
    name: str = "policy"
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.clips, self.batch_size, self.threads) < 1 or not self.displace.share > 0:
            raise ConfigError(
                "cheat: expected clips, batch_size and threads of at least 1 and a displace.share above 0, got "
                f"{self.clips}, {self.batch_size}, {self.threads} and {self.displace.share}"
            )

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.out or self.run / "cheat"

    @property
    def switched_off(self) -> tuple[str, ...]:
        """Parts of the disguise that are off, in words."""
        off = {"the disguise of the resampler": not self.resampler, "the noise of the bottleneck": not self.bottleneck}
        return tuple(name for name, is_off in off.items() if is_off)


CONFIG = CheatRun
CONFIGS = {"cheat": CheatRun}


def spread_over(clips: Sequence[Clip], count: int) -> list[Clip]:
    """So many of them, evenly spread over all."""
    places = np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)
    return [clips[place] for place in dict.fromkeys(places.tolist())]


def _seen(policy: Policy, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """What the memory and the heads are given of the last anchor of each clip: feature, and sight."""
    with torch.inference_mode():
        seen = policy.trunk(torch.from_numpy(batch.frames))
        feature = policy.norm(seen.feature.float())
    return feature[:, -1].numpy(), seen.sight[:, -1].float().numpy()


def _planned_nowhere(policy: Policy, batch: Batch) -> np.ndarray:
    """The plans that are driven where there is no road, and nobody asks for anything."""
    nobody = np.zeros_like(batch.desire)
    nobody[..., DESIRES.index("none")] = 1
    with torch.inference_mode():
        answer = plans(policy.answer(replace(nowhere(batch), desire=nobody)))
    anchors = batch.desire.shape[1]
    return answer.best()[anchors - 1 :: anchors]


def probe(config: CheatRun, policy: Policy, dataset: Dataset, disguised: bool, console: Console) -> CheatReport:
    """What the policy gives away on the clips of the dataset.

    Args:
        disguised: whether displaced pictures are, as they were when it was trained.
    """
    every = sorted(dataset.clips(split=config.split), key=lambda clip: (clip.drive_id, clip.anchor_timestamps_ns[0]))
    clips = spread_over(every, config.clips) if every else []
    drives = dataset.drives()
    recover = replace(config.displace, disguised=disguised)
    batches = beside(
        clips,
        cameras_of(drives),
        WithoutRoad(dataset),
        recover,
        config.seed,
        config.batch_size,
        recorded=recorded_cameras_of(drives),
    )
    features, sights, offsets = [], [], []
    aside: list[np.ndarray] = []
    policy.eval()
    with Progress(console=console, transient=True) as progress:
        for batch, applied in progress.track(batches, -(-len(clips) // config.batch_size), description="probe"):
            feature, sight = _seen(policy, batch)
            features.append(feature)
            sights.append(sight)
            offsets += [(offset.lateral_m, offset.yaw_rad) for offset in applied]
            if len(aside) < 4:  # the picture is always the same one; only speeds differ
                aside.append(_planned_nowhere(policy, batch))
    number = {drive_id: index for index, drive_id in enumerate(sorted({clip.drive_id for clip in clips}))}
    return cheat_report(
        np.concatenate(features),
        np.array(offsets, np.float64),
        np.array([number[clip.drive_id] for clip in clips], np.int64),
        np.concatenate(aside),
        noise_std=policy.config.feature_noise_std if config.bottleneck else 0.0,
        beside=np.concatenate(sights),
        seed=config.seed,
    )


def run(config: CheatRun, console: Console) -> Outcome:
    """Probe the newest whole checkpoint of a training run."""
    torch.set_num_threads(config.threads)
    trained, loaded = read_record(config.run / "run.json"), load_policy(config.run)
    dataset = Dataset.open(config.dataset or str(trained.config["dataset"]))
    if not dataset.clips(split=config.split):
        raise ConfigError(f"{dataset.uri}: expected {config.split} clips to probe, found none; name another --split")
    this = record("cheat", config, dataset_version=dataset.version, seed=config.seed)
    # Who was trained on undisguised pictures has learned to read what a disguise would hide from the probe.
    disguised = config.resampler and TypeAdapter(TrainRun).validate_python(trained.config).load.recover.disguised
    found = probe(config, loaded.policy, dataset, disguised, console)
    told = asdict(found) | {
        "passed": found.passed,
        "limits": {"explained": EXPLAINED_LIMIT, "nowhere_m": STRAIGHT_LIMIT_M},
        "without": list(config.switched_off),
        "noise_std": loaded.policy.config.feature_noise_std if config.bottleneck else 0.0,
    }
    origin = provenance(this, trained, loaded.sha256, split=config.split, step=loaded.step)
    write_record(config.folder, this)
    write_whole(config.folder / "cheat.json", json.dumps({"cheat": told, "provenance": origin}, indent=1) + "\n")
    if config.report is not None:
        tell_report(config.report, config.name, found, told, config.switched_off)
    facts = {
        "report": str(config.folder / "cheat.json"),
        "lateral_explained": found.lateral.value,
        "yaw_explained": found.yaw.value,
        "nowhere_m": found.nowhere_m,
        "drives": found.lateral.groups,
        "pictures": found.lateral.samples,
        "passed": found.passed,
    }
    return Outcome.listing("cheat test", facts)


def tell_report(folder: Path, name: str, found: CheatReport, told: dict[str, object], off: tuple[str, ...]) -> None:
    """Put what was found into an earlier report: `cheat.<name>` of its JSON, and a part of its page."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    report["cheat"] = report.get("cheat", {}) | {name: told}
    write_whole(folder / "report.json", json.dumps(report, indent=1) + "\n")
    page = (folder / "report.html").read_text("utf-8")
    write_whole(folder / "report.html", filled(page, "cheat", cheat_section(found, off)))
