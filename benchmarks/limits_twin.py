"""Is the safety envelope in C the one in Python, to the last bit, and does anything ever leave it?

In: nothing. Out: JSON: how many random steps were compared and differed, how many adversarial ones were judged and
found outside, and how long each takes.
Idea: sequences of `drive/adversary.py`, which spoil a share of every input; a third of them undisturbed, a third
lightly, a third half spoilt. Each sequence is a drive that the envelope remembers its last output of.

    python benchmarks/limits_twin.py --steps 10000000 --judged 1000000
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from dojo.drive.adversary import answers, draw, outside
from dojo.drive.limits import VERSION, Limits, start
from dojo.drive.twin import Twin, differing, table
from dojo.recipes.run import write_whole

_SEQUENCE = 100_000
_FAULTS = (0.0, 0.05, 0.5)


@dataclass(frozen=True)
class Config:
    """How many steps are compared, how many judged, and where that is written."""

    steps: int = 10_000_000
    judged: int = 1_000_000
    out: Path = Path("benchmarks/results/limits_twin.json")


def compare(steps: int, judged: int, twin: Twin) -> dict[str, Any]:
    """Every figure."""
    limits = Limits()
    different = wrong = missing = engaged = done = looked = 0
    python_s = c_s = 0.0
    for number in range(-(-steps // _SEQUENCE)):
        drawn = draw(number, min(_SEQUENCE, steps - done), _FAULTS[number % len(_FAULTS)])
        began = time.perf_counter()
        ours = answers(limits, drawn)
        middle = time.perf_counter()
        theirs = twin.answers(limits, drawn)
        python_s, c_s = python_s + middle - began, c_s + time.perf_counter() - middle
        different += len(differing(table(ours), theirs))
        missing += len(drawn) - len(ours)
        engaged += sum(given.engaged for given in ours)
        done += len(drawn)
        last = start(limits)
        for given in ours[: max(0, judged - looked)]:
            wrong += bool(outside(limits, last, given))
            last = given
            looked += 1
    return {
        "limits_version": VERSION,
        "steps_compared": done,
        "different": different,
        "steps_judged": looked,
        "outside": wrong,
        "missing": missing,
        "engaged_share": round(engaged / done, 4),
        "python_us_per_step": round(python_s / done * 1e6, 3),
        "c_us_per_step": round(c_s / done * 1e6, 4),
    }


def main(config: Config) -> None:
    """Compare, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        found = compare(config.steps, config.judged, Twin.build(Path(folder)))
    Console().print_json(json.dumps(found))
    write_whole(config.out, json.dumps(found, indent=1) + "\n")
    if found["different"] or found["outside"] or found["missing"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main(tyro.cli(Config))
