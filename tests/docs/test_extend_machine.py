"""The code of docs/extend/machine.md does what the page says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from dojo import cli
from dojo.errors import ConfigError
from dojo.machine.specs import load_machine
from dojo.recipes.captured import captured_batches

MACHINE_PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "machine.md"


def blocks(kind: str) -> list[str]:
    """The fenced blocks of one kind, in order; the rest of the opening line does not matter."""
    return re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", MACHINE_PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "card.toml").write_text(blocks("toml")[0])
    (tmp_path / "step.py").write_text(blocks("python")[1])
    return tmp_path


def test_the_machine_on_the_page_is_read_and_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("python")[0], {"folder": folder})
    assert capsys.readouterr().out == blocks("text")[0]


@pytest.mark.parametrize(
    ("true", "faulty", "answer"),
    [("capacity_bytes = 32.0e9", "capacity_gb = 32", 1), ("count = 24", "count = 20", 2)],
)
def test_a_faulty_machine_is_answered_as_the_page_shows(folder: Path, true: str, faulty: str, answer: int) -> None:
    card = folder / "card.toml"
    card.write_text(card.read_text().replace(true, faulty))
    with pytest.raises(ConfigError) as refused:
        load_machine(card)
    assert f"{refused.value}\n" == blocks("text")[answer]


def test_the_number_format_on_the_page_rounds_as_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("python")[2], {})
    assert capsys.readouterr().out == blocks("text")[3]


def test_a_step_of_ones_own_is_answered_from_a_file_and_from_a_module(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (folder / "package").mkdir()
    (folder / "package" / "module.py").write_text(blocks("python")[1])
    asked = [line.removeprefix("$ dojo ").split() for line in blocks("console")[0].splitlines()]
    assert len(asked) == 3
    answers = []
    for words in asked:
        assert cli.main([*words, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    on_gpus, searched, on_dies = answers
    assert on_gpus["batch"] == 2048
    assert on_gpus["split"].startswith("data 8, micro-batch")
    assert on_gpus["parameters"] == 64 * 3 * 49 + 64 + 4096 * 20 + 20
    assert on_gpus["counted_by_bytes_alone"] == []
    assert searched["best"][0]["memory_bytes"] <= 32e9
    assert "of 25 dies" in on_dies["split"] or "replicas" in on_dies["split"]


@pytest.mark.parametrize(
    ("model", "got"),
    [
        ("nowhere.py:step", "FileNotFoundError"),
        ("step.py:no_such", "AttributeError"),
        ("no.such.package:step", "ModuleNotFoundError"),
        ("wrong.py:step", "expected what `capture` gives, of 4 samples, got int"),
    ],
)
def test_a_function_that_is_not_one_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, model: str, got: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (folder / "wrong.py").write_text("def step(samples):\n    return samples\n")
    with pytest.raises(ConfigError, match=got):
        captured_batches(model)
