"""A store made of numbers: every frame says which it is."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dojo.geometry import MODEL_VIEW
from dojo.load import cameras_of
from dojo.records import Clip, Frame
from dojo.store import Dataset


class Numbers:
    """Frames whose luma is their drive and number; remembers who asked, and can be slow or fail."""

    def __init__(self, delay_s: float = 0.0, fail_on: str = "") -> None:
        self.delay_s = delay_s
        self.fail_on = fail_on
        self.asked: list[tuple[str, int]] = []
        self.threads: set[str] = set()

    def frames(self, drive_id, camera, indices):
        self.threads.add(threading.current_thread().name)
        if drive_id == self.fail_on:
            raise OSError(f"{drive_id} is gone")
        time.sleep(self.delay_s)
        self.asked.append((drive_id, int(indices[0])))
        return [self.frame(drive_id, int(index)) for index in indices]

    @staticmethod
    def frame(drive_id, index):
        luma = np.full((256, 512), 40 + (int(drive_id[1:]) * 7 + index) % 160, np.uint8)
        luma[:, :256] += 10
        chroma = np.full((128, 256), 100 + index % 50, np.uint8)
        return Frame(index, luma, chroma, chroma + 20)


@pytest.fixture(scope="session")
def numbers() -> type[Numbers]:
    return Numbers


@pytest.fixture(scope="session")
def make_clips() -> Callable[..., list[Clip]]:
    def make(count: int, anchors: int = 2, weights: list[float] | None = None) -> list[Clip]:
        rng = np.random.default_rng(0)
        return [
            Clip(
                clip_id=f"clip{number:03d}",
                drive_id=f"d{number % 5}",
                vehicle_id="v",
                camera="front",
                split="train",
                tags=("traffic_left",) if number % 2 else (),
                tiles=("t",),
                weight=1.0 if weights is None else weights[number],
                frame_indices=np.arange(anchors + 1, dtype=np.int64) * 2 + number,
                anchor_timestamps_ns=np.arange(anchors, dtype=np.int64) + number * 1000,
                position_m=rng.normal(size=(anchors, 33, 3)).astype(np.float32),
                yaw_rad=rng.normal(size=(anchors, 33)).astype(np.float32),
                speed_mps=rng.uniform(0, 30, size=(anchors, 33)).astype(np.float32),
                valid=rng.random((anchors, 33)) < 0.9,
                curvature_per_m=rng.normal(size=anchors).astype(np.float32),
                acceleration_mps2=rng.normal(size=anchors).astype(np.float32),
                action_valid=np.ones(anchors, np.bool_),
                ego_rates=rng.normal(size=(anchors, 6)).astype(np.float32),
                desire=rng.integers(0, 8, anchors),
            )
            for number in range(count)
        ]

    return make


@pytest.fixture(scope="session")
def cameras():
    mounted = MODEL_VIEW.level_view(MODEL_VIEW)
    return {(f"d{number}", "front"): mounted for number in range(5)}


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """A loader's ingredients: clips of three made-up drives in a store, which other processes can open too."""
    folder = Path(__file__).resolve().parents[2] / "benchmarks"
    specification = importlib.util.spec_from_file_location("loader_material", folder / "loader_material.py")
    material = importlib.util.module_from_spec(specification)
    sys.modules["loader_material"] = material
    specification.loader.exec_module(material)
    what = material.Material(clips=3, seconds=14, width=128, stride=8)
    dataset = Dataset.create(str(tmp_path_factory.mktemp("data")))
    for number in range(what.clips):
        chunks = material._as_chunks(what, Path(), number)
        dataset.add(material.drive(what, number), {material.CAMERA: chunks})
    del sys.modules["loader_material"]
    return material.clips(what), cameras_of(dataset.drives()), dataset, material.view(what)
