"""Ingest killed at random moments and run again gives the dataset of an undisturbed run.

Run as a program for more kills than the suite has time for: `test_ingest_killed.py KILLS [SEED]`.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lance
import numpy as np
import pytest

from dojo.errors import StoreError
from dojo.store import Dataset

PROGRAM = Path(__file__).with_name("fake_fleet.py")


def written_fleet(folder: Path) -> None:
    """Recordings of one and two drives, one refused."""
    sys.path.insert(0, str(PROGRAM.parent))
    import fake_fleet

    sys.path.pop(0)
    for number in range(5):
        vice = {2: "refuse", 3: "half"}.get(number, "")
        fake_fleet.write(folder, f"r{number}", drives=1 + number % 2, frames=40, does=vice, slow_s=0.002)


def start(source: Path, dataset: Path, processes: int) -> subprocess.Popen[str]:
    """An ingest that has got as far as beginning."""
    command = [sys.executable, str(PROGRAM), str(source), str(dataset), str(processes)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    return program


def finish(program: subprocess.Popen[str]) -> dict[str, object]:
    """What the ingest reported."""
    text, _ = program.communicate(timeout=300)
    assert program.returncode == 0
    return json.loads(text)


def contents(dataset: Path) -> tuple[object, ...]:
    """Everything that must be equal, and nothing that may differ; fails where something is damaged."""
    opened = Dataset.open(str(dataset))
    assert opened.verify() == []
    rows = {name: lance.dataset(str(dataset / f"{name}.lance")).count_rows() for name in ("chunks", "drives", "intake")}
    planes = [
        [int(frame.y.sum()) for frame in opened.frames(drive_id, "front", np.array([0, 17, 39]))]
        for drive_id in opened.drive_ids()
    ]
    return opened.content_hash(), opened.drive_ids(), opened.rejections(), sorted(opened.known_files()), rows, planes


def killed_at_random(work: Path, kills: int, chance: random.Random) -> list[str]:
    """Kills a running ingest so often, a few times on the way to each dataset; a line on each kill.

    Fails where a dataset differs in the end from one whose ingest was left in peace.
    """
    written_fleet(work / "stick")
    length_s = {}
    for processes in (1, 2):
        program = start(work / "stick", work / f"whole-{processes}", processes)
        begun = time.monotonic()
        finish(program)
        length_s[processes] = time.monotonic() - begun
    undisturbed = contents(work / "whole-1")
    assert contents(work / "whole-2") == undisturbed
    lines: list[str] = []
    for number in itertools.count():
        dataset, processes = work / f"killed-{number}", 1 + number % 2
        for _ in range(chance.choice([1, 2, 3])):
            program = start(work / "stick", dataset, processes)
            wait_s = chance.uniform(0, length_s[processes])
            time.sleep(wait_s)
            running = program.poll() is None
            program.kill()
            program.communicate()
            if running and len(lines) < kills:
                lines.append(
                    f"kill {len(lines) + 1}: {processes} process(es), after {wait_s:.2f} s, {left_behind(dataset)}"
                )
        finish(start(work / "stick", dataset, processes))
        assert contents(dataset) == undisturbed, lines[-1:]
        if len(lines) >= kills:
            return lines
    raise AssertionError


def left_behind(dataset: Path) -> str:
    """What a reader sees after a kill, and how much lies about unseen."""
    try:
        seen = Dataset.open(str(dataset))
    except StoreError:
        return "before there was a dataset"
    assert seen.verify() == []
    stored = lance.dataset(str(dataset / "chunks.lance")).count_rows()
    visible = sum(row["chunk_count"] for row in lance.dataset(str(dataset / "intake.lance")).to_table().to_pylist())
    return f"{len(seen.drives())} drives and {visible} chunks visible, {stored - visible} chunks unseen"


@pytest.mark.slow
def test_an_ingest_killed_at_random_moments_and_run_again_equals_one_undisturbed(tmp_path: Path) -> None:
    killed_at_random(tmp_path, 4, random.Random(0))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(
            "\n".join(killed_at_random(Path(folder), int(sys.argv[1]), random.Random(int((sys.argv[2:] or ["0"])[0]))))
        )
