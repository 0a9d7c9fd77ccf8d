"""A policy that was trained for a moment, and the small dataset that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from dojo.curate import CurateConfig
from dojo.geometry import MODEL_VIEW
from dojo.geometry.rigid import Rigid
from dojo.load.loader import LoadConfig
from dojo.model.config import PolicyConfig
from dojo.recipes import curate, train
from dojo.recipes.train import TrainRun
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Telemetry
from dojo.store.dataset import Dataset
from dojo.store.video import encode_chunks
from dojo.train.train import TrainConfig

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), far_widths=(8, 8, 8), feature=16, width=16, heads=2, hidden=16)


def textures(number: int, count: int) -> Iterator[Frame]:
    """Smooth pictures, each its own."""
    for index in range(count):
        coarse = np.random.default_rng((number, index)).integers(40, 220, (12, 24), dtype=np.uint8)
        y = cv2.resize(coarse, (512, 256), interpolation=cv2.INTER_CUBIC)
        yield Frame(index * 200_000_000, y, y[::2, ::2].copy(), y[1::2, 1::2].copy())


def straight_drive(number: int, count: int) -> Drive:
    """Five frames a second at 10 m/s, each drive on a road of its own."""
    times_ns = np.arange(count, dtype=np.int64) * 200_000_000
    yaw = 0.5 * number
    ego = EgoMotion(
        timestamps_ns=times_ns,
        rotation=np.stack([Rigid.from_euler(0.0, 0.0, yaw).rotation] * count),
        translation_m=np.outer(2.0 * np.arange(count), [np.cos(yaw), np.sin(yaw), 0.0]),
        speed_mps=np.full(count, 10.0),
        yaw_rate_radps=np.zeros(count),
        covariance=np.zeros((count, 3, 3)),
        covariance_valid=np.zeros(count, np.bool_),
        valid=np.ones(count, np.bool_),
        origin_deg_m=None,
        source="recorded",
    )
    stream = CameraStream("front", MODEL_VIEW, times_ns, np.ones(count, np.bool_))
    name = f"drive-{number}"
    return Drive(
        name, name, name, (stream,), Telemetry(), ego, Provenance("test", ((name, "0" * 63 + str(number), 1),))
    )


def trained(root: Path) -> Path:
    """The folder of a training run of two steps; its dataset has eight drives, six of them held out."""
    dataset = Dataset.create(str(root / "data"))
    for number in range(8):
        dataset.add(straight_drive(number, 31), {"front": encode_chunks(textures(number, 31), 512, 256, 5.0)})
    quiet = Console(quiet=True)
    wanted = CurateConfig(anchors_per_clip=2, force_split="validation", min_future_s=0.5)
    curate.run(curate.CurateRun(dataset=dataset.uri, curate=wanted), quiet)
    dataset = Dataset.open(dataset.uri)
    learned = ("drive-0", "drive-1")
    clips = [replace(clip, split="train" if clip.drive_id in learned else "validation") for clip in dataset.clips()]
    dataset.put_clips(clips, {"verb": "test"})
    recipe = TrainRun(
        dataset=dataset.uri,
        out=root / "train",
        policy=replace(MINIATURE, feature_noise_std=0.42),
        load=LoadConfig(batch_size=4, workers=0),
        train=TrainConfig(steps=2, threads=1),
    )
    train.run(recipe, quiet)
    return recipe.out
