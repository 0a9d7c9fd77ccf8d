"""`dojo curate` on a small stored dataset: clips are there afterwards, and load."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from dojo.curate import CurateConfig
from dojo.geometry import MODEL_VIEW
from dojo.load import FrameSource, cameras_of, in_order
from dojo.recipes.curate import CurateRun, run
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Telemetry
from dojo.store.dataset import Dataset
from dojo.store.video import encode_chunks

LENGTH, FPS = 60, 10


def drive_of(number: int) -> Drive:
    """Six seconds straight ahead, one degree of latitude from the next drive."""
    seconds = np.arange(LENGTH) / FPS
    times = 1_700_000_000_000_000_000 + (seconds * 1e9).astype(np.int64)
    zero, yes = np.zeros(LENGTH), np.ones(LENGTH, np.bool_)
    ego = EgoMotion(
        times,
        np.tile(np.eye(3), (LENGTH, 1, 1)),
        np.stack([seconds * 10, zero, zero], -1),
        zero + 10,
        zero,
        np.zeros((LENGTH, 3, 3)),
        ~yes,
        yes,
        (48.0 + number, 11.0, 0.0),
        "recorded",
    )
    files = ((f"f{number}", f"{number:064d}", 1),)
    stream = CameraStream("front", MODEL_VIEW, times, yes)
    return Drive(f"d{number}", f"v{number}", "r", (stream,), Telemetry(), ego, Provenance("test", files))


@pytest.fixture
def dataset(tmp_path) -> str:
    stored = Dataset.create(str(tmp_path / "data"))
    for number in range(4):
        drive = drive_of(number)
        frames = (
            Frame(
                int(time),
                np.full((256, 512), 50 + 40 * number + index % 5, np.uint8),
                np.full((128, 256), 128, np.uint8),
                np.full((128, 256), 128, np.uint8),
            )
            for index, time in enumerate(drive.cameras[0].timestamps_ns)
        )
        stored.add(drive, {"front": encode_chunks(frames, 512, 256, float(FPS))})
    return stored.uri


def test_curating_stores_clips_that_load_and_says_what_it_did(dataset):
    outcome = run(CurateRun(dataset), Console(quiet=True))
    stored = Dataset.open(dataset)
    assert outcome.facts["splits"] == {"train": 12, "validation": 4, "excluded": 0}
    assert outcome.facts["tags"] == {"straight": 16}
    assert outcome.facts["notes"] == ["4 groups of vehicles share no road; 1 of them are validation"]
    assert stored.clip_settings() == CurateRun(dataset).curate.__dict__
    assert isinstance(stored, FrameSource)
    batch = next(in_order(stored.clips("validation"), cameras_of(stored.drives()), stored, 4))
    number = int(stored.clips("validation")[0].drive_id[1:])
    assert abs(int(np.median(batch.frames[:, :, 0])) - (52 + 40 * number)) <= 3


def test_curating_again_replaces_the_clips(dataset):
    run(CurateRun(dataset), Console(quiet=True))
    run(CurateRun(dataset, CurateConfig(force_split="validation", stride_anchors=1)), Console(quiet=True))
    clips = Dataset.open(dataset).clips()
    assert len(clips) > 16
    assert {clip.split for clip in clips} == {"validation"}
