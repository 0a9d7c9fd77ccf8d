"""What makes a run repeatable: its folder and its `run.json`.

In: a verb and its whole configuration. Out: `run.json` beside the results, and the way back from it.
Idea: a configuration is one frozen dataclass, so writing it down and reading it back needs no code per recipe; pydantic
checks every field on the way in.
Not here: what the verbs do (the other files of this folder).
"""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import RenderableType
from rich.table import Table

import dojo
from dojo.errors import ConfigError

_LIBRARIES = ("torch", "numpy", "av", "pylance", "opencv-python-headless", "panda3d")


@dataclass(frozen=True)
class Outcome:
    """What a verb hands back: JSON-able facts for machines, and something rich can print for a person."""

    facts: dict[str, Any]
    table: RenderableType

    @staticmethod
    def listing(title: str, facts: dict[str, Any]) -> Outcome:
        """Facts whose table is the list of them, one a line."""
        table = Table("what", title=title, title_justify="left")
        table.add_column("how much", overflow="fold")
        for name, value in facts.items():
            table.add_row(name, _in_words(value))
        return Outcome(facts, table)


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(part)}" for name, part in value.items())
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class RunRecord:
    """Everything needed to say how a result came about, and to repeat it.

    Args:
        verb: the command that made it, for example `train`.
        config: the whole resolved configuration, as JSON values.
        dataset_version: the state of the dataset it used or made, or empty where there is none.
        seed: the seed that the configuration names.
        commit: of Dojo's own source; `+changes` when the working tree differed; `unknown` outside a checkout.
    """

    verb: str
    config: dict[str, Any]
    dataset_version: str
    seed: int
    dojo_version: str
    commit: str
    python: str
    machine: str
    versions: dict[str, str]


def source_commit() -> str:
    """The commit that Dojo itself runs from."""
    root = Path(__file__).resolve().parents[3]
    try:
        done = [
            subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done[0].strip() + ("+changes" if done[1].strip() else "")


def record(verb: str, config: object, *, dataset_version: str = "", seed: int = 0) -> RunRecord:
    """The record of a run that is about to start."""
    return RunRecord(
        verb=verb,
        config=TypeAdapter(type(config)).dump_python(config, mode="json"),
        dataset_version=dataset_version,
        seed=seed,
        dojo_version=dojo.__version__,
        commit=source_commit(),
        python=platform.python_version(),
        machine=f"{platform.machine()}, {platform.system()} {platform.release()}",
        versions={name: metadata.version(name) for name in _LIBRARIES},
    )


def provenance(run: RunRecord, trained: RunRecord, checkpoint_sha256: str, **judged: object) -> dict[str, object]:
    """Where figures come from: what every report says of itself.

    Args:
        run: of the verb that judged. `trained`: of the training whose checkpoint was judged.
        judged: on what, by name.
    """
    return {
        "seed": run.seed,
        "commit": run.commit,
        "dojo_version": run.dojo_version,
        "python": run.python,
        "machine": run.machine,
        "versions": run.versions,
        "dataset_version": run.dataset_version,
        "checkpoint_sha256": checkpoint_sha256,
        **judged,
        "evaluation": run.config,
        "training": asdict(trained),
    }


def write_whole(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_record(folder: Path, run: RunRecord) -> None:
    """`run.json` in the folder of the run."""
    write_whole(folder / "run.json", json.dumps(TypeAdapter(RunRecord).dump_python(run, mode="json"), indent=2) + "\n")


def read_record(path: Path) -> RunRecord:
    """The record of an earlier run.

    Raises:
        ConfigError: the file is missing or is not a run record.
    """
    try:
        return TypeAdapter(RunRecord).validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{path}: expected the run.json of an earlier run: {error}; name the file in the run's folder"
        ) from error
