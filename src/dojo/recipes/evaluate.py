"""`dojo evaluate`: judge a trained policy on clips it has never seen, and write the page that says how good it is.

In: the folder of a training run, a dataset. Out: `report.json`, `report.html`, `run.json`.
Idea: the plans of the model and of three baselines on the same anchors; the page is made from the stored result alone.
Not here: metrics, intervals, baselines, the page itself (`evaluate/`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dojo.errors import ConfigError
from dojo.evaluate.baselines import standard_baselines
from dojo.evaluate.open_loop import EvaluateConfig, OpenLoopResult, evaluate
from dojo.evaluate.page import Video, write_page
from dojo.evaluate.samples import Samples, samples_of, shared_with_training
from dojo.evaluate.showcase import Exhibit, showcase
from dojo.evaluate.video import clip_video, motion_lines, scenes
from dojo.load.loader import in_order
from dojo.load.source import cameras_of
from dojo.model.plans import plans
from dojo.model.policy import Policy
from dojo.recipes.run import Outcome, provenance, read_record, record, write_record, write_whole
from dojo.recipes.train import decoded, load_policy
from dojo.records import Batch, Clip, Plans
from dojo.store.dataset import Dataset


@dataclass(frozen=True)
class EvaluateRun:
    """Judge a trained policy.

    Args:
        run: folder of the training run; its newest whole checkpoint is judged, with averaged weights.
        dataset: where the clips are; the training run's own dataset if not given.
        split: which clips; anything but `validation` is judged with a warning where it overlaps with training.
        out: folder for `report.json` and `report.html`; `run` itself if not given.
        batch_size: clips per forward pass; changes nothing but speed and memory.
        videos_of_each: how many failures, typical and best clips to film.
        video_seconds: length of each film.
        threads: of torch on the CPU.
        cache_gb: room in the folder of the report for decoded frames, so that clips that share frames share their
            decoding; 0 decodes for each clip.
    """

    run: Path
    dataset: str | None = None
    split: Literal["validation", "train", "excluded", "all"] = "validation"
    out: Path | None = None
    batch_size: int = 16
    videos_of_each: int = 2
    video_seconds: float = 6.0
    threads: int = 2
    cache_gb: float = 2.0
    intervals: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.threads < 1 or self.videos_of_each < 0 or not 1 <= self.video_seconds <= 60:
            raise ConfigError(
                "evaluate: expected batch_size and threads of at least 1, videos_of_each of at least 0 and "
                f"video_seconds from 1 to 60; got {self.batch_size}, {self.threads}, {self.videos_of_each} and "
                f"{self.video_seconds}"
            )


CONFIG = EvaluateRun
CONFIGS = {"evaluate": EvaluateRun}


@dataclass(frozen=True)
class _Judged:
    """The clips under evaluation with everything that was said about them."""

    clips: Sequence[Clip]
    samples: Samples
    plans: Plans


def _chosen(dataset: Dataset, split: str) -> list[Clip]:
    clips = dataset.clips() if split == "all" else dataset.clips(split=split)
    # In the order of recording, so that neighbours share decoded chunks and films can run on from clip to clip.
    return sorted(clips, key=lambda clip: (clip.drive_id, int(clip.anchor_timestamps_ns[0])))


def predict(policy: Policy, batches: Iterator[Batch], progress: Progress | None = None) -> Plans:
    """The plans of a policy for every anchor of the batches, in their order."""
    policy.eval()
    parts: list[Plans] = []
    task = progress.add_task("predict", total=None) if progress else None
    with torch.inference_mode():
        for batch in batches:
            parts.append(plans(policy.answer(batch)))
            if progress and task is not None:
                progress.update(task, advance=len(batch.clip_ids), description=f"predict {len(parts)} batches")
    return Plans(*(np.concatenate([getattr(part, name) for part in parts]) for name in Plans.__dataclass_fields__))


def _film(judged: _Judged, exhibit: Exhibit, dataset: Dataset, seconds: float) -> Video:
    """The clip of an exhibit and its neighbours in time, up to `seconds` long."""
    clips, samples = judged.clips, judged.samples
    wanted = max(1, round(seconds / max(_length_s(clips[exhibit.clip]), 0.1)))
    first = last = exhibit.clip
    while last - first + 1 < wanted:
        grown = False
        if first > 0 and _follows(clips[first - 1], clips[first]):
            first, grown = first - 1, True
        if last - first + 1 < wanted and last + 1 < len(clips) and _follows(clips[last], clips[last + 1]):
            last, grown = last + 1, True
        if not grown:
            break
    rows = np.flatnonzero((samples.clip >= first) & (samples.clip <= last))
    shown = [clips[index] for index in range(first, last + 1)]
    some = Plans(*(getattr(judged.plans, name)[rows] for name in Plans.__dataclass_fields__))
    indices = np.concatenate([clip.frame_indices[1:] for clip in shown])
    drive = dataset.drive(shown[0].drive_id)
    stream = next(stream for stream in drive.cameras if stream.name == shown[0].camera)
    frames = dataset.frames(drive.drive_id, stream.name, indices)
    lines = [motion_lines(float(samples.speed_now_mps[row]), float(samples.curvature_per_m[row])) for row in rows]
    moments = list(scenes(frames, samples.position_m[rows], samples.valid[rows], some, lines))
    tags = ", ".join(shown[len(shown) // 2].tags) or "no tags"
    return Video(
        kind=exhibit.kind,
        title=f"{shown[0].vehicle_id}: {tags}",
        caption=f"Mean lateral error at {exhibit.time_s:.1f} s of the clip it is shown for: {exhibit.score_m:.2f} m. "
        f"{drive.drive_id}.",
        mp4=clip_video(moments, stream.camera),
    )


def _length_s(clip: Clip) -> float:
    times = clip.anchor_timestamps_ns
    step = (times[-1] - times[0]) / max(len(times) - 1, 1) if len(times) > 1 else 200_000_000
    return float(times[-1] - times[0] + step) / 1e9


def _follows(before: Clip, after: Clip) -> bool:
    gap_s = float(after.anchor_timestamps_ns[0] - before.anchor_timestamps_ns[-1]) / 1e9
    return before.drive_id == after.drive_id and before.camera == after.camera and 0 < gap_s < 0.5


def _table(result: OpenLoopResult, page: Path) -> Table:
    """The headline figures as a person reads them."""
    extent = result.extent
    table = Table(
        "figure",
        *result.figures,
        title=f"open loop: {extent.anchors:,} anchors, {extent.drives} drives, {extent.vehicles} vehicles, "
        f"{extent.kilometres:.1f} km; 95 % intervals over drives",
        caption=f"{page}",
        title_justify="left",
        caption_justify="left",
    )
    for name in ("lateral_error_3s_m", "hit_30_50m", "hit_50m", "ade_3s_m", "fde_3s_m"):
        cells = []
        for figures in result.figures.values():
            found = figures.get(name)
            cells.append(f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" if found else "")
        if any(cells):
            table.add_row(name, *cells)
    if not table.rows:
        table.add_row(
            "none: no anchor knows 3 s of its future; the page has what is known", *[""] * len(result.figures)
        )
    return table


def run(config: EvaluateRun, console: Console) -> Outcome:
    """Judge the newest whole checkpoint of a training run; the report is written whole or not at all."""
    started = time.monotonic()
    torch.set_num_threads(config.threads)
    trained = read_record(config.run / "run.json")
    dataset = Dataset.open(config.dataset or str(trained.config["dataset"]))
    loaded = load_policy(config.run)
    clips = _chosen(dataset, config.split)
    training = dataset.clips(split="train")
    samples = samples_of(clips)
    out = config.out or config.run
    source = decoded(dataset, clips, config.cache_gb, out, console)
    with Progress(console=console, transient=True) as progress:
        batches = in_order(clips, cameras_of(dataset.drives()), source, config.batch_size)
        answer = predict(loaded.policy, batches, progress)
    result = evaluate(
        samples,
        answer,
        standard_baselines(samples, samples_of(training) if training else None),
        config.intervals,
        shared_with_training(clips, training),
    )
    judged = _Judged(clips, samples, answer)
    films = [
        _film(judged, exhibit, dataset, config.video_seconds)
        for exhibit in showcase(samples, answer, config.videos_of_each)
    ]
    this = record("evaluate", config, dataset_version=dataset.version, seed=config.intervals.seed)
    split = f"{config.split}: {len(clips)} clips of {len({clip.vehicle_id for clip in clips})} vehicles"
    drives = sorted({clip.drive_id for clip in clips})  # so that an erasure finds the reports that rest on what goes
    origin = provenance(this, trained, loaded.sha256, split=split, drives=drives)
    report = result.to_json(origin)
    write_whole(out / "report.json", json.dumps(report, indent=1) + "\n")
    write_page(out / "report.html", result, origin, videos=films)
    if not (out / "run.json").exists():  # a demo or a training run in the same folder has its own
        write_record(out, this)
    facts: dict[str, object] = {
        "report": str(out / "report.json"),
        "page": str(out / "report.html"),
        "seconds": round(time.monotonic() - started, 1),
    }
    open_loop = report["open_loop"]
    assert isinstance(open_loop, Mapping)
    return Outcome({**facts, "open_loop": open_loop}, _table(result, out / "report.html"))
