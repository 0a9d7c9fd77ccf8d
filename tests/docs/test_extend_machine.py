"""The code of docs/extend/machine.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dojo.errors import ConfigError
from dojo.machine.specs import load_machine

MACHINE_PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "machine.md"


def blocks(kind: str) -> list[str]:
    """The fenced blocks of one kind, in order; the rest of the opening line does not matter."""
    return re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", MACHINE_PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "card.toml").write_text(blocks("toml")[0])
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
    exec(blocks("python")[1], {})
    assert capsys.readouterr().out == blocks("text")[3]
