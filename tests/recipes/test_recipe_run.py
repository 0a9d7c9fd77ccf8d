"""What a verb hands back, and the record that repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from dojo.errors import ConfigError
from dojo.recipes.run import Outcome, read_record, record, write_record


@dataclass(frozen=True)
class Config:
    """A configuration with a path."""

    out: Path
    steps: int = 3


def test_a_listing_shows_every_fact_on_a_line_and_keeps_them_for_machines() -> None:
    facts = {"clips": 12, "seconds": 1.5, "losses": {"path": 0.12345, "action": 2.0}, "roads": {"town": 3}}
    outcome = Outcome.listing("training", facts)
    console = Console(width=100)
    with console.capture() as text:
        console.print(outcome.table)
    lines = [" ".join(line.replace("│", " ").split()) for line in text.get().splitlines()]
    assert outcome.facts == facts
    for line in ("training", "clips 12", "seconds 1.5", "losses path 0.123, action 2", "roads town 3"):
        assert line in lines


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = record("train", Config(tmp_path / "run"), dataset_version="abc@1", seed=7)
    write_record(tmp_path, written)
    assert read_record(tmp_path / "run.json") == written
    assert written.config == {"out": str(tmp_path / "run"), "steps": 3}
    assert next(iter(written.versions)) == "torch"


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"verb": "train"}')
    with pytest.raises(ConfigError, match=r"run\.json: expected the run\.json of an earlier run"):
        read_record(tmp_path / "run.json")
