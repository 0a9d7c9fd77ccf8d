"""`dojo machine`: what it answers, and when it fails."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from rich.console import Console

from dojo import cli
from dojo.errors import ConfigError, EvaluationError
from dojo.machine.compile.partition import Recompute
from dojo.machine.simulate.events import Played
from dojo.recipes import machine, validated
from dojo.recipes.timeline import Timeline

SILENT = Console(quiet=True)


def test_a_step_says_time_limiter_memory_energy_and_cost(tmp_path: Path) -> None:
    config = machine.StepRun("gpt-22b", count=64, batch=64, trace=tmp_path / "trace.json")
    facts = machine.run(config, SILENT).facts
    assert 0.3 < facts["utilisation"] < 0.8
    assert facts["step_s_between"][0] < facts["step_s"] < facts["step_s_between"][1]
    assert sum(facts["shares"].values()) == pytest.approx(1)
    assert facts["limiter"] == next(iter(facts["shares"]))
    assert facts["memory_gb_each"] <= facts["memory_limit_gb"] == 80
    assert facts["energy_j"] > 0
    assert facts["cost_usd"] > 0
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert facts["played_s"] == pytest.approx(facts["step_s"], rel=0.04)


def test_a_split_may_be_given_and_is_refused_with_a_way_out() -> None:
    given = machine.StepRun("gpt-22b", count=8, batch=8, tensor=8, recompute=Recompute.FULL)
    assert "full recomputation" in machine.run(given, SILENT).facts["split"]
    with pytest.raises(ConfigError, match="expected a multiple of tensor x pipeline = 16, got 8"):
        machine.run(machine.StepRun("gpt-22b", count=8, tensor=8, pipeline=2), SILENT)
    with pytest.raises(ConfigError, match="model: expected one of"):
        machine.run(machine.StepRun("gpt-2000"), SILENT)


def test_a_die_is_a_machine_too() -> None:
    facts = machine.run(machine.StepRun("gpt-1.7b", on="d1", count=50, batch=50), SILENT).facts
    assert facts["step_s"] > 0


def test_a_captured_model_is_answered_as_a_gpt_is() -> None:
    facts = machine.run(machine.StepRun("tiny", on="h100", count=4, batch=64), SILENT).facts
    known = machine.run(machine.StepRun("gpt-1.7b", on="h100", count=4, batch=8), SILENT).facts
    same = {"split", "step_s", "utilisation", "limiter", "shares", "memory_gb_each", "energy_j", "cost_usd"}
    assert same <= set(facts) & set(known)
    assert facts["step_s_between"][0] < facts["step_s"] < facts["step_s_between"][1]
    assert sum(facts["shares"].values()) == pytest.approx(1)
    assert facts["limiter"] == next(iter(facts["shares"]))
    assert facts["memory_gb_each"] <= facts["memory_limit_gb"]
    slower = machine.run(machine.StepRun("tiny", on="h100", count=4, batch=64, software="plain"), SILENT).facts
    assert slower["limiter"] == "launching"


def test_a_captured_model_goes_through_a_pipeline(tmp_path: Path) -> None:
    given = machine.StepRun("tiny", on="h100", count=4, batch=64, pipeline=2, micro_batch=4, interleave=2, zero=1)
    facts = machine.run(dataclasses.replace(given, trace=tmp_path / "trace.json"), SILENT).facts
    assert facts["split"] == "pipeline 2 x data 2, micro-batch 4 x 8, 2 pieces a stage, ZeRO-1"
    assert sum(facts["shares"].values()) == pytest.approx(1)
    assert facts["shares"]["bubble"] > 0
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert facts["played_s"] == pytest.approx(facts["step_s"] * (1 - facts["shares"].get("feeding", 0)), rel=1e-3)
    with pytest.raises(ConfigError, match="zero: expected 0 or 1 with a pipeline"):
        machine.run(dataclasses.replace(given, zero=3), SILENT)


def test_one_slow_accelerator_holds_up_the_step_of_all() -> None:
    split = machine.StepRun("gpt-22b", count=64, batch=64, tensor=8, pipeline=4, recompute=Recompute.FULL)
    for given in (split, machine.StepRun("tiny", on="h100", count=4, batch=64, pipeline=2, micro_batch=4)):
        usual = machine.run(given, SILENT).facts
        assert "straggler_step_s" not in usual
        slowed = machine.run(dataclasses.replace(given, slow=1.5, slow_stage=1), SILENT).facts
        assert slowed["step_s"] == usual["step_s"]  # what is told of the step itself is of one where nobody is slow
        assert 1.2 < slowed["straggler_step_s"] / usual["step_s"] < 1.5
        for wrong in ({"slow": 0.9}, {"slow": 1.5, "slow_stage": given.pipeline}):
            with pytest.raises(ConfigError, match=f"slow_stage from 0 to {given.pipeline - 1}"):
                machine.run(dataclasses.replace(given, **wrong), SILENT)


def test_who_waits_for_samples_does_not_wait_for_a_slow_accelerator_too() -> None:
    def played(slow: Mapping[int, float]) -> Played:
        return Played(2.0 * slow.get(0, 1.0), ())

    slowed = Timeline(slow=1.5)
    assert slowed.facts(2.0, 1, played)["straggler_step_s"] == pytest.approx(3.0)
    assert slowed.facts(5.0, 1, played, starved_s=3.0)["straggler_step_s"] == 5.0
    assert slowed.facts(2.5, 1, played, starved_s=0.5)["straggler_step_s"] == pytest.approx(3.0)


def test_a_captured_model_is_not_divided_inside_its_operators() -> None:
    given = machine.StepRun("tiny", on="h100", count=4, batch=64, tensor=1, micro_batch=4, zero=3)
    assert machine.run(given, SILENT).facts["split"] == "data 4, micro-batch 4 x 4, ZeRO-3"
    with pytest.raises(ConfigError, match="tiny: expected no tensor groups, sequence parallelism or recomputation"):
        machine.run(machine.StepRun("tiny", on="h100", tensor=2), SILENT)
    with pytest.raises(ConfigError, match="software: expected plain or bf16 for a captured step"):
        machine.run(machine.StepRun("tiny", on="h100", software="fp8"), SILENT)
    found = machine.run(machine.SearchRun("tiny", on="h100", count=4, batch=64, keep=3), SILENT).facts
    assert [one["seconds"] for one in found["best"]] == sorted(one["seconds"] for one in found["best"])
    assert found["fitting"] > 5 * 4, "pipelines beside samples alone"


def test_a_captured_model_on_dies_says_that_nobody_measured_any() -> None:
    facts = machine.run(machine.StepRun("tiny", on="d1", count=25, batch=50), SILENT).facts
    assert "no step was measured" in facts["between_says"]
    assert "step_s_between" not in facts
    assert "of 25 dies" in facts["split"] or "of 5 dies" in facts["split"]


def test_a_search_lists_the_fastest_first() -> None:
    facts = machine.run(machine.SearchRun("gpt-7.5b", count=16, batch=64, keep=3), SILENT).facts
    assert [choice["seconds"] for choice in facts["best"]] == sorted(choice["seconds"] for choice in facts["best"])
    assert facts["fitting"] <= facts["legal"]


def test_validation_without_vtrains_tables_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(validated, "_DATA", tmp_path / "nowhere")
    facts = machine.run(machine.ValidateRun(), SILENT).facts
    assert facts["held_out"]["h100"]["mean_abs_error"] < 0.10
    assert 0 < facts["held_out"]["resnet50"]["mean_abs_error"] < 0.15
    assert facts["held_out"]["resnet50"]["rows"] >= 6
    assert "a100_multi_node" not in facts["held_out"]
    assert "--vtrain" in facts["missing"][0]
    with pytest.raises(ConfigError, match="give their folder as --vtrain"):
        machine.run(machine.ValidateRun(vtrain=tmp_path), SILENT)


def test_vtrains_rows_are_shown_beside_calculons_errors_by_model(real_recording: Callable[[str], Path]) -> None:
    facts = machine.run(validated.ValidateRun(vtrain=real_recording("vtrain_a100")), SILENT).facts
    beside = facts["beside_calculon"]
    assert [one["hidden"] for one in beside] == [3072, 6144, 8192, 12288, 1024, 2048]
    held_out = facts["held_out"]
    assert sum(one["rows"] for one in beside) == sum(
        held_out[name]["rows"] for name in ("a100_multi_node", "a100_single_node")
    )
    assert all(one["calculon_mean_abs_error"] > 0 for one in beside)


def test_a_missed_bound_fails_and_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(validated, "_DATA", tmp_path / "nowhere")
    monkeypatch.setitem(validated.BOUNDS, "h100", 0.001)
    with pytest.raises(EvaluationError, match="h100: expected a mean error below 0% on held-out rows, got"):
        machine.run(machine.ValidateRun(), SILENT)


def test_the_verb_answers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["machine", "search", "gpt-1.7b", "--count", "8", "--batch", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]


def test_a_captured_step_is_exported_for_every_rank(tmp_path: Path) -> None:
    facts = machine.run(machine.ExportRun("tiny", tmp_path, samples=2, ranks=3), SILENT).facts
    assert [Path(path).name for path in facts["files"]] == [f"tiny.{rank}.et" for rank in range(3)]
    assert all(Path(path).stat().st_size == facts["bytes"] > 1000 for path in facts["files"])
    with pytest.raises(ConfigError, match="expected samples and ranks from 1, got 2 and 0"):
        machine.ExportRun("tiny", tmp_path, samples=2, ranks=0)
