"""Made-up clips and plans whose right answers are known."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dojo.evaluate.baselines import constant_turn_rate
from dojo.evaluate.samples import Samples, samples_of
from dojo.records import TRAJECTORY_TIMES_S, Clip, Plans

MakeClip = Callable[..., Clip]

if "driven" not in sys.modules:  # a road to drive on without drawing it, for several files of tests
    _spec = importlib.util.spec_from_file_location("driven", Path(__file__).with_name("driven.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["driven"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["driven"])


def _clip(
    name: str = "c0",
    drive: str = "d0",
    vehicle: str = "v0",
    tags: tuple[str, ...] = ("straight",),
    tiles: tuple[str, ...] = (),
    anchors: int = 5,
    speed_mps: float = 10.0,
    yaw_rate_radps: float = 0.0,
    valid_until_s: float = 10.0,
    start_s: float = 0.0,
) -> Clip:
    """A clip along a circular arc at constant speed."""
    times = TRAJECTORY_TIMES_S
    turned = yaw_rate_radps * times
    chord = speed_mps * times * np.sinc(turned / 2 / np.pi)
    path = np.stack([chord * np.cos(turned / 2), chord * np.sin(turned / 2), 0 * times], -1).astype(np.float32)
    full = np.broadcast_to
    rates = np.array([speed_mps, 0, 0, 0, 0, yaw_rate_radps], np.float32)
    return Clip(
        clip_id=name,
        drive_id=drive,
        vehicle_id=vehicle,
        camera="front",
        split="validation",
        tags=tags,
        tiles=tiles,
        weight=1.0,
        frame_indices=np.arange(anchors + 1, dtype=np.int64),
        anchor_timestamps_ns=((start_s + 0.2 * np.arange(anchors)) * 1e9).astype(np.int64),
        position_m=full(path, (anchors, 33, 3)).copy(),
        yaw_rad=full(turned.astype(np.float32), (anchors, 33)).copy(),
        speed_mps=np.full((anchors, 33), speed_mps, np.float32),
        valid=full(times <= valid_until_s + 1e-9, (anchors, 33)).copy(),
        curvature_per_m=np.full(anchors, yaw_rate_radps / max(speed_mps, 1e-6), np.float32),
        acceleration_mps2=np.zeros(anchors, np.float32),
        action_valid=np.ones(anchors, np.bool_),
        ego_rates=full(rates, (anchors, 6)).copy(),
        desire=np.zeros(anchors, np.int64),
    )


@pytest.fixture
def make_clip() -> MakeClip:
    return _clip


@pytest.fixture(scope="session")
def fleet_samples() -> Samples:
    """Twelve drives of bends and straights, six clips of ten anchors each."""
    random = np.random.default_rng(3)
    clips = []
    for drive in range(12):
        for stretch in range(6):
            bend = random.normal(0, 0.08) if stretch % 2 else 0.0
            clips.append(
                _clip(
                    f"c{drive}_{stretch}",
                    f"d{drive}",
                    f"v{drive // 2}",
                    ("curve",) if bend else ("straight",),
                    anchors=10,
                    speed_mps=float(random.uniform(6, 28)),
                    yaw_rate_radps=bend,
                    valid_until_s=10.0 if stretch < 5 else 4.0,
                    start_s=4.0 * stretch,
                )
            )
    return samples_of(clips)


@pytest.fixture(scope="session")
def noisy_plans() -> Callable[..., Plans]:
    """Five hypotheses about the true arc, Laplace errors that grow with time, and the scale that fits them."""

    def make(samples: Samples, spread: float = 0.05, stated: float = 1.0, seed: int = 1) -> Plans:
        random = np.random.default_rng(seed)
        n = len(samples)
        truth = constant_turn_rate(samples).best()
        scale = spread * (0.05 + TRAJECTORY_TIMES_S)[None, :, None] * np.array([2.0, 1.0, 0.2])
        guess = truth + scale * random.laplace(size=(n, 33, 3))
        others = truth[:, None] * np.array([1, 0.9, 1.1, 0.8, 1.2])[None, :, None, None]
        position = others.astype(np.float32)
        position[:, 0] = guess
        probability = np.tile(np.array([0.6, 0.1, 0.1, 0.1, 0.1], np.float32), (n, 1))
        scales = np.broadcast_to(stated * scale, (n, 33, 3))[:, None].repeat(5, 1).astype(np.float32)
        zeros = np.zeros(n, np.float32)
        return Plans(position, scales, probability, zeros, zeros)

    return make
