"""`dojo embed`: a vector for every clip from the trunk of a trained policy, and near-duplicates out of training.

In: a training run, a curated dataset. Out: embeddings beside the clips, for `dojo find --like`; where asked, training
clips that show the same as another get weight zero.
Idea: what the trunk tells the rest of the policy is what the policy can tell apart. The feature of a clip is the mean
over its anchors, taken after the norm that the policy itself applies, scaled to length one.
Not here: the trunk (`model/trunk.py`), what counts as a duplicate (`curate/similar.py`), the table
(`store/embeddings.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from rich.console import Console
from rich.progress import Progress

from dojo.curate.similar import kept, near_duplicates
from dojo.errors import ConfigError
from dojo.load.loader import in_order
from dojo.load.source import cameras_of
from dojo.model.policy import Policy
from dojo.recipes.run import Outcome, read_record
from dojo.recipes.train import load_policy
from dojo.records import Batch, Clip
from dojo.store.dataset import Dataset
from dojo.store.embeddings import Embeddings, Vectors


@dataclass(frozen=True)
class EmbedRun:
    """A vector for every clip from the trunk of a trained policy.

    Args:
        run: folder of the training run whose trunk looks.
        dataset: where the clips are; the training run's own if not given.
        batch_size: clips per forward pass; changes nothing but speed and memory.
        duplicates_above: cosine similarity from which a training clip counts as a copy of an earlier one and is no
            longer drawn; None leaves all as they are. 0.98 or more is sensible: look at pairs with `dojo find --like`.
            `dojo curate` gives what was left out its weight back.
        at_most: share of the training clips that may be left out; where it would be more, none is: a policy that has
            hardly learned takes all clips for the same.
        threads: of torch on the CPU.
    """

    run: Path
    dataset: str | None = None
    batch_size: int = 32
    duplicates_above: float | None = None
    at_most: float = 0.5
    threads: int = 2

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.threads < 1:
            raise ConfigError(
                f"embed: expected batch_size and threads of at least 1, got {self.batch_size} and {self.threads}"
            )
        if self.duplicates_above is not None and not 0 < self.duplicates_above <= 1:
            raise ConfigError(f"embed: expected duplicates_above in (0, 1], got {self.duplicates_above}")
        if not 0 < self.at_most <= 1:
            raise ConfigError(f"embed: expected at_most in (0, 1], got {self.at_most}")


CONFIG = EmbedRun
CONFIGS = {"embed": EmbedRun}


def vectors_of(policy: Policy, batch: Batch) -> Float32[np.ndarray, "clips feature"]:
    """What the trunk saw in each clip of a batch, of length one."""
    policy.eval()
    device = next(policy.parameters()).device
    with torch.inference_mode():
        seen = policy.trunk(torch.from_numpy(batch.frames).to(device))
        mean = policy.norm(seen.feature.float()).mean(1)
        unit: Float32[np.ndarray, "clips feature"] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
    return unit


def run(config: EmbedRun, console: Console) -> Outcome:
    """Embed every clip; the embeddings replace those of before in one step."""
    started = time.monotonic()
    torch.set_num_threads(config.threads)
    dataset = Dataset.open(config.dataset or str(read_record(config.run / "run.json").config["dataset"]))
    clips = sorted(dataset.clips(), key=lambda clip: (clip.drive_id, int(clip.anchor_timestamps_ns[0])))
    if not clips:
        raise ConfigError(f"{dataset.uri}: expected clips, found none; run dojo curate first")
    loaded = load_policy(config.run)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("embed", total=len(clips))
        parts = _parts(loaded.policy, clips, dataset, config.batch_size, lambda done: progress.advance(task, done))
        embeddings = Embeddings.put(dataset, parts, loaded.policy.config.feature, loaded.sha256)
    facts = {
        "clips": embeddings.count(),
        "vector": loaded.policy.config.feature,
        "model": loaded.sha256,
        "seconds": round(time.monotonic() - started, 1),
    }
    if config.duplicates_above is not None:
        facts["near_duplicates"] = leave_out_copies(dataset, embeddings, config.duplicates_above, config.at_most)
        facts["dataset_version"] = dataset.version
    return Outcome.listing("embeddings", facts)


def leave_out_copies(dataset: Dataset, embeddings: Embeddings, above: float, at_most: float) -> int:
    """Give weight zero to training clips that show the same as another that is drawn; how many are left out by this.

    Raises:
        ConfigError: more than a share `at_most` of them would be.
    """
    vector = dict(zip(*embeddings.all(), strict=True))
    clips = dataset.clips()
    # What is not drawn stands for nothing: a clip that resembles it alone stays.
    training = [
        place
        for place, clip in enumerate(clips)
        if clip.split == "train" and clip.weight > 0 and clip.clip_id in vector
    ]
    if not training:
        return 0
    keep = kept(near_duplicates(np.stack([vector[clips[place].clip_id] for place in training]), above))
    if (~keep).sum() > at_most * len(training):
        raise ConfigError(
            f"embed: expected at most {at_most:.0%} of the {len(training)} training clips to resemble another above "
            f"{above}, got {(~keep).sum()}; all are drawn as before: raise --duplicates-above, embed with a policy "
            "that has learned more, or allow it with --at-most"
        )
    for place in np.array(training)[~keep]:
        clips[place] = replace(clips[place], weight=0.0)
    settings = (dataset.clip_settings() or {}) | {"near_duplicates_above": above, "embeddings": embeddings.model}
    dataset.put_clips(clips, settings)
    return int((~keep).sum())


def _parts(
    policy: Policy, clips: Sequence[Clip], dataset: Dataset, batch_size: int, told: Callable[[int], None]
) -> Iterator[Vectors]:
    """Vectors of the clips, a batch at a time."""
    vehicle = {clip.clip_id: clip.vehicle_id for clip in clips}
    for batch in in_order(clips, cameras_of(dataset.drives()), dataset, batch_size):
        yield batch.clip_ids, [vehicle[clip_id] for clip_id in batch.clip_ids], vectors_of(policy, batch)
        told(len(batch.clip_ids))
