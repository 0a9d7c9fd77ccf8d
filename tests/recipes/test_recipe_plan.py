"""`dojo plan`: table, page and figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dojo import cli
from dojo.recipes import plan
from dojo.recipes.run import read_record


def quiet() -> Console:
    return Console(file=Path("/dev/null").open("w"))


@pytest.mark.parametrize("name", plan.CONFIGS)
def test_every_recipe_leaves_a_page_that_needs_no_network_and_figures_that_are_json(name: str, tmp_path: Path) -> None:
    outcome = plan.run(replace(plan.CONFIGS[name](), out=tmp_path), quiet())
    page = (tmp_path / "plan.html").read_text()
    assert page.count("<svg") == 6
    assert 'src="http' not in page
    assert "nan" not in page.lower().replace("finance", "")
    assert json.loads((tmp_path / "plan.json").read_text())["machine"] == outcome.facts["machine"]
    assert read_record(tmp_path / "run.json").verb == "plan"


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [found for part in value.values() for found in numbers(part)]
    if isinstance(value, list | tuple):
        return [found for part in value for found in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def test_json_on_the_command_line_is_the_whole_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "exapod-100", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["levels"]["tile"]["likely"] == 11_050
    assert found["spent_usd"]["low"] > found["budget_usd"]
    assert found["assumptions"]["research_usd_per_month"]["grade"] == "assumption"
    assert "die.grid" in found["machine_assumptions"]
    assert len(found["findings"]) == 10
    assert all(math.isfinite(number) for number in numbers(found))


def test_the_seed_case_with_another_machine_is_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "exapod-100", "--machine", "h100", "--no-findings", "--target.exaflops", "10"]
    asked += ["--out", str(tmp_path)]
    assert cli.main([*asked, "--price-usd", "20000", "30000", "40000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["levels"]["gpu"]["likely"] == 10_108
    assert found["assumptions"]["price_usd"]["likely"] == 30_000


def test_a_budget_that_does_is_said_to_do(tmp_path: Path) -> None:
    base = replace(plan.exapod_100(), out=tmp_path, findings=False)
    texts = {}
    for usd in (1e9, 4.5e9, 9e9):
        plan.run(replace(base, budget=replace(base.budget, usd=usd)), quiet())
        texts[usd] = (tmp_path / "plan.html").read_text()
    assert "times the budget" in texts[1e9]
    assert "the budget may or may not do" in texts[4.5e9]
    assert "within the budget" in texts[9e9]
