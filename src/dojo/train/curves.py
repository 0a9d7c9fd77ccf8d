"""The curves of a run: what was measured at which step.

In: figures by name. Out: `curves.jsonl`, a point a line, and TensorBoard events.
Idea: points after the step that a run goes on from are dropped first, as those steps are.
Not here: what is measured (`train.py`, `meter.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class Curves:
    """Writes points from a step on."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "curves.jsonl"
        kept = [line for line in self._lines() if json.loads(line)["step"] <= step]
        self._path.write_text("".join(f"{line}\n" for line in kept))
        self._file = self._path.open("a")
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        text = self._path.read_text()
        return text[: text.rfind("\n") + 1].splitlines()  # a kill may have left half a line at the end

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One point."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._writer.close()
