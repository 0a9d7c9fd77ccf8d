"""The code of docs/extend/plan.md does what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dojo import cli

PLAN_PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "plan.md"
CARD_PAGE = PLAN_PAGE.with_name("machine.md")


def fenced(page: Path, kind: str) -> str:
    """The first fenced block of one kind; the rest of the opening line does not matter."""
    return re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)[0]


def test_the_plan_on_the_page_is_made_and_says_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    exec(fenced(PLAN_PAGE, "python"), {})
    assert capsys.readouterr().out == fenced(PLAN_PAGE, "text")


def test_every_command_on_the_page_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("card.toml").write_text(fenced(CARD_PAGE, "toml"))
    commands = [shlex.split(line, comments=True) for line in fenced(PLAN_PAGE, "bash").splitlines()]
    assert len(commands) == 5
    for number, (name, *arguments) in enumerate(commands):
        assert name == "dojo"
        assert cli.main([*arguments, "--out", f"runs/{number}"]) == 0, capsys.readouterr().err
