"""A recording format of small text files, with every vice that ingest must bear; also a program that ingests it.

Run as a program, it ingests: `fake_fleet.py SOURCE DATASET PROCESSES`, and says `ready` when it is about to begin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dojo.errors import ConfigError, RecordingError
from dojo.fleet.readers.reader import Reading, Recording, drive_id_of, source_file
from dojo.geometry import Camera
from dojo.recipes.ingest import IngestConfig, as_json, ingest
from dojo.recipes.receive import Gateway
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Rejection, Signal, Telemetry
from dojo.store.table import Table

WIDTH, HEIGHT = 128, 64


def write(folder: Path, name: str, **contents: Any) -> Path:
    """A recording of so many `drives`, each of so many `frames` at `fps`, seen by `cameras`; `does` is its vice."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.fake"
    path.write_text(json.dumps({"name": name, "frames": 50, "fps": 10.0, "cameras": ["front"]} | contents))
    return path


def find(root: Path, known: Collection[str]) -> list[Recording]:
    files = [source_file(path) for path in sorted(root.rglob("*.fake"))]
    return [Recording("fake", file.path.stem, (file,), file.path.parent) for file in files if file.sha256 not in known]


def receive(recording: Recording) -> Reading:
    contents = _contents(recording)
    match contents.get("does"):
        case "refuse":
            raise RecordingError("truncated", "expected 9 bytes, got 5; copy it again", {"size_bytes": 5.0})
        case "fail":
            raise ZeroDivisionError("nobody thought of this")
        case "misdescribed":
            raise ConfigError("expected a unit, got 'mph'")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if not (mark := recording.folder / "died").exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "half":
            refused = Rejection(f"{recording.label} part 2", "clock_jump", "expected increasing times", (("s", -1.0),))
            return Reading((_drive(recording, contents, 0),), (refused,))
    return Reading(tuple(_drive(recording, contents, part) for part in range(contents.get("drives", 1))), ())


def frames(recording: Recording, drive: Drive, camera: str) -> Iterator[Frame]:
    contents = _contents(recording)
    stream = next(stream for stream in drive.cameras if stream.name == camera)
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    for place, index in enumerate(np.flatnonzero(stream.valid)):
        match contents.get("does"):
            case "break" if place == 20 and camera == "front":
                raise RecordingError("decode_broken", "expected 50 frames, decoding ended at 20", {"frames": 20.0})
            case "short" if place == 20:
                return
            case "wrong size" if place == 3:
                yield Frame(0, grey, grey, grey)
        time.sleep(contents.get("slow_s", 0.0))
        yield Frame(
            int(stream.timestamps_ns[index]), np.full((HEIGHT, WIDTH), 40 + 2 * index % 180, np.uint8), grey, grey
        )
    if contents.get("does") == "long":
        yield Frame(0, np.zeros((HEIGHT, WIDTH), np.uint8), grey, grey)


GATEWAY = Gateway(find, receive, frames)


def _contents(recording: Recording) -> dict[str, Any]:
    return json.loads(recording.files[0].path.read_text())


def _drive(recording: Recording, contents: dict[str, Any], part: int) -> Drive:
    count = contents["frames"]
    times = (np.arange(count) * 1e9 / contents["fps"]).astype(np.int64) + part * 10**12
    camera = Camera.mounted(WIDTH, HEIGHT, 100.0, pitch_rad=0.02, position_m=(1.5, 0.0, 1.4))
    valid = np.ones(count, np.bool_)
    valid[contents.get("invalid", [])] = False
    flat = np.broadcast_to(np.eye(3), (count, 3, 3))
    position = np.stack([np.arange(count) * 1.5, np.zeros(count), np.zeros(count)], -1)
    ego = EgoMotion(
        times,
        flat,
        position,
        np.full(count, 15.0),
        np.zeros(count),
        flat,
        valid,
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    return Drive(
        drive_id=f"{drive_id_of(recording.files)}-{part}",
        vehicle_id=f"car-{contents.get('vehicle', 0)}",
        route=contents["name"],
        cameras=tuple(CameraStream(name, camera, times, valid) for name in contents["cameras"]),
        telemetry=Telemetry(speed_mps=Signal.measured(times, np.full(count, 15.0))),
        ego=ego,
        provenance=Provenance("fake", tuple((str(f.path), f.sha256, f.size_bytes) for f in recording.files)),
        rejections=(Rejection("front", "dropped_frames", "expected 10, got 7", (("gap_s", 0.3),), 1, 2),)
        if contents.get("does") == "gap"
        else (),
    )


def main(source: str, dataset: str, processes: str) -> None:
    append = Table.append

    def slowly(self: Table, rows: Any) -> None:
        append(self, rows)
        time.sleep(0.04)  # so that a kill at a random moment often falls between two steps of a commit

    Table.append = slowly  # type: ignore[method-assign]
    print("ready", flush=True)
    # Some acts store one recording, some store several.
    config = IngestConfig(Path(source), dataset, processes=int(processes), together_s=0.1)
    report = ingest(config, gateway=GATEWAY)
    print(json.dumps(as_json(report)), flush=True)


if __name__ == "__main__":
    import fake_fleet  # by its own name, so that other processes find its functions

    fake_fleet.main(*sys.argv[1:])
