"""The ledger: which clips every step of a run has learned from.

In: the clips of each step, from each rank. Out: `ledger/rank-0000.jsonl`, and all of it by step.
Idea: a run says which samples it used, so that it can be proved that none was lost or taken twice however often it
was stopped, and said which checkpoints have seen a vehicle. Lines of steps after the checkpoint from which a run
goes on are dropped, as those steps are.
Not here: which samples a run should use (`load/`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path


class Ledger:
    """What one rank writes."""

    def __init__(self, folder: Path, rank: int, step: int) -> None:
        """Begin behind `step`; rank 0 cuts what all ranks of earlier attempts wrote behind it.

        The caller sees to it that no rank writes before rank 0 has cut.
        """
        self._path = folder / "ledger" / f"rank-{rank:04d}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if rank == 0:
            for path in self._path.parent.glob("rank-*.jsonl"):
                kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
                path.write_text("".join(f"{line}\n" for line in kept))

    def add(self, step: int, clip_ids: Sequence[str]) -> None:
        """The clips of a step; on the disk's way when this returns, so that a killed process loses none."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "clips": list(clip_ids)}) + "\n")


def ledger_of(folder: Path) -> dict[int, list[str]]:
    """The clips of each step of a run, of all ranks together, sorted."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted((folder / "ledger").glob("rank-*.jsonl")):
        for line in _lines(path):
            entry = json.loads(line)
            found[entry["step"]] += entry["clips"]
    return {step: sorted(found[step]) for step in sorted(found)}


def _lines(path: Path) -> list[str]:
    text = path.read_text()
    return text[: text.rfind("\n") + 1].splitlines()  # a kill may have left half a line at the end
