"""A small training run on made-up batches, as a program: what the tests interrupt and kill."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dojo.model.config import PolicyConfig
from dojo.model.policy import Policy
from dojo.records import Batch
from dojo.train.optimise import OptimiseConfig
from dojo.train.train import TrainConfig, TrainResult, train

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), feature=16, layers=1, heads=2, hidden=16, max_anchors=4)
CONFIG = TrainConfig(
    steps=60,
    checkpoint_every=7,
    log_every=5,
    threads=1,
    optimise=OptimiseConfig(learning_rate=3e-3, warmup_steps=5, muon=True),
)


def made_up(number: int, batch: int = 2, anchors: int = 2) -> Batch:
    """Batch `number` of an endless made-up order: a bright stripe whose place says where the path goes."""
    random = np.random.default_rng(number)
    bend = random.uniform(-1, 1, (batch, 1)).astype(np.float32).repeat(anchors, 1)
    frames = np.full((batch, anchors + 1, 6, 128, 256), 60, np.uint8)
    for row, column in enumerate((128 + 100 * bend[:, 0]).astype(int)):
        frames[row, :, :4, 40:, column - 6 : column + 6] = 220
    speed = random.uniform(5, 25, (batch, 1)).astype(np.float32).repeat(anchors, 1)
    times = (10 * (np.arange(33, dtype=np.float32) / 32) ** 2)[None, None]
    path = np.stack([speed[..., None] * times, bend[..., None] * 0.5 * times**2, 0 * speed[..., None] * times], -1)
    yes, zero = np.ones((batch, anchors), np.bool_), np.zeros((batch, anchors), np.float32)
    rates = np.zeros((batch, anchors, 6), np.float32)
    rates[..., 0] = speed
    return Batch(
        frames=frames,
        camera_height_m=np.full(batch, 1.3, np.float32),
        position_m=path.astype(np.float32),
        yaw_rad=np.zeros((batch, anchors, 33), np.float32),
        speed_mps=np.broadcast_to(speed[..., None], (batch, anchors, 33)).copy(),
        valid=np.ones((batch, anchors, 33), np.bool_),
        curvature_per_m=bend * 0.01,
        acceleration_mps2=zero,
        action_valid=yes,
        ego_rates=rates,
        speed_now_mps=speed,
        speed_now_valid=yes,
        desire=np.zeros((batch, anchors, 8), np.float32),
        traffic_right=np.ones(batch, np.bool_),
        anchor_timestamps_ns=np.arange(batch * anchors).reshape(batch, anchors),
        clip_ids=tuple(f"{number}-{row}" for row in range(batch)),
    )


def batches(
    state: Mapping[str, str | int] | None, pause_s: float = 0.0
) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
    number = int(state["number"]) if state else 0
    while True:
        time.sleep(pause_s)
        yield made_up(number), {"number": number + 1}
        number += 1


def run(folder: Path, config: TrainConfig = CONFIG, pause_s: float = 0.0) -> TrainResult:
    import torch

    torch.manual_seed(config.seed)
    return train(Policy(MINIATURE), lambda state: batches(state, pause_s), config, folder)


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), pause_s=float(sys.argv[2])).sha256)
