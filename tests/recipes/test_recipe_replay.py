"""A trained policy drives beside recorded drives, made-up ones and real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from dojo.errors import ConfigError
from dojo.recipes import ingest, replay
from dojo.recipes.replay import ReplayRun, drives_of, stretches_of
from dojo.store.dataset import Dataset

QUIET = Console(quiet=True)
FIVE = ("replay", "replay_left_0.5", "replay_right_0.5", "replay_left_1", "replay_right_1")


def data_of(run: Path) -> Dataset:
    return Dataset.open(str(json.loads((run / "run.json").read_text())["config"]["dataset"]))


def test_held_out_drives_are_taken_evenly_and_each_is_begun_again_as_long_as_it_lasts(miniature_run: Path) -> None:
    config = ReplayRun(miniature_run, drives=3, every_s=2.0)
    chosen = drives_of(config, data_of(miniature_run))
    assert [drive.drive_id for drive in chosen] == ["drive-2", "drive-4", "drive-7"]
    # Six seconds each; what is shorter than a second is not driven.
    assert stretches_of(config, chosen[:1]) == [("drive-2", 0.0), ("drive-2", 2.0), ("drive-2", 4.0)]
    assert len(drives_of(replace(config, split="all", drives=99), data_of(miniature_run))) == 8


def test_what_cannot_be_replayed_is_refused(miniature_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected drives with validation clips and a camera 'rear', found none"):
        drives_of(ReplayRun(miniature_run, camera="rear"), data_of(miniature_run))
    with pytest.raises(ConfigError, match=r"offsets within 4 m, which is what a warp can bear, got .*5"):
        ReplayRun(miniature_run, offsets_m=(0.0, 5.0))
    with pytest.raises(ConfigError, match=r"expected drives of at least 1, .* got 0"):
        ReplayRun(miniature_run, drives=0)


def test_every_offset_is_driven_and_interventions_are_counted(miniature_run: Path, tmp_path: Path) -> None:
    config = ReplayRun(miniature_run, out=tmp_path, drives=2, seconds=2.0, films=2, sheets=1, processes=1)
    replay.run(config, QUIET)
    report = json.loads((tmp_path / "replay.json").read_text())
    assert tuple(report["closed_loop"]) == FIVE
    assert all(suite["cases"] == 2 for suite in report["closed_loop"].values())
    counted = sum(s["kilometres_per_intervention"]["interventions"] for s in report["closed_loop"].values())
    assert report["interventions"] == counted
    (fidelity,) = report["zero_offset"].values()
    assert (fidelity["most"], fidelity["shown"]) == (0, 1.0)
    assert report["provenance"]["split"] == "validation: 2 drives"
    page = (tmp_path / "replay.html").read_text()
    assert page.count("<video") == 2
    assert page.count("<img") == 1
    (sheet,) = (tmp_path / "sheets").iterdir()
    assert cv2.imread(str(sheet)).shape == (3 * 192 + 2 * 4, 5 * 384 + 4 * 4, 3)


def test_a_real_recording_is_replayed_from_every_offset(
    miniature_run: Path, real_recording: Callable[[str], Path], tmp_path: Path
) -> None:
    (telemetry,) = real_recording("openpilot_demo_route").rglob("telemetry.npz")
    text = (Path(__file__).parents[1] / "fleet" / "openpilot_demo_route.toml").read_text()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "route.dojo.toml").write_text(text.replace('folder = "."', f'folder = "{telemetry.parent}"'))
    data = str(tmp_path / "data")
    ingest.run(ingest.IngestConfig(source=tmp_path / "in", dataset=data, max_fps=5.0, processes=1), QUIET)
    config = ReplayRun(
        miniature_run,
        dataset=data,
        split="all",
        out=tmp_path / "out",
        seconds=2.0,
        every_s=100.0,
        films=1,
        processes=1,
    )
    replay.run(config, QUIET)
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert tuple(report["closed_loop"]) == FIVE
    assert report["kilometres"] > 0.05, "five times two seconds on a motorway"
    (fidelity,) = report["zero_offset"].values()
    # Assumed: a 32nd of a pixel, which fixed-point maps are exact to, is a few steps at a hard edge.
    assert fidelity["most"] <= 8
    assert fidelity["mean"] < 0.1
    assert fidelity["shown"] > 0.45
