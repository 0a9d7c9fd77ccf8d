from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import dojo
from dojo import cli
from dojo.errors import StoreError
from dojo.recipes.run import Outcome, record, write_record


@dataclasses.dataclass(frozen=True)
class Wish:
    """A run that does nothing but say its wish.

    Args:
        word: what to say.
    """

    word: str = "left"
    out: Path = Path("nowhere")


def say(config: Wish, console: Console) -> Outcome:
    if config.word == "refuse":
        raise StoreError("expected a dataset at here; got nothing; run dojo ingest first")
    if config.word == "stop":
        raise KeyboardInterrupt
    return Outcome({"word": config.word, "out": str(config.out)}, f"said {config.word}")


@pytest.fixture(autouse=True)
def one_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_recipe", lambda verb: SimpleNamespace(CONFIGS={verb: Wish}, CONFIG=Wish, run=say))


def test_without_a_verb_the_sentence_and_the_verbs_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert " ".join((dojo.__doc__ or "").split()) in shown
    assert all(f"dojo {verb}" in shown for verb in cli.VERBS)


def test_a_field_of_the_configuration_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ingest", "--word", "right"]) == 0
    assert capsys.readouterr().out.strip() == "said right"


def test_json_prints_the_facts_and_nothing_else_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["word"] == "left"


def test_a_refusal_exits_with_one_and_prints_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", "--word", "refuse"]) == 1
    assert capsys.readouterr().err == ("dojo ls: expected a dataset at here; got nothing; run dojo ingest first\n")


def test_an_interrupt_exits_with_one_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--word", "stop"]) == 1
    assert "the same command goes on from there" in capsys.readouterr().err


def test_an_unknown_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fly"]) == 2
    assert "expected one of simulate, ingest" in capsys.readouterr().err


def test_an_unknown_flag_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["ingest", "--wrod", "right"])
    assert exit_.value.code == 2


def test_a_run_is_repeated_from_its_record_into_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path, record("train", Wish(word="again", out=tmp_path), seed=3))
    assert cli.main(["rerun", str(tmp_path / "run.json"), "--out", "elsewhere", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"word": "again", "out": "elsewhere"}


def test_a_record_of_another_version_is_refused_with_the_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record("train", Wish())
    write_record(tmp_path, dataclasses.replace(run, config={"word": 5}, dojo_version="0.0.9"))
    assert cli.main(["rerun", str(tmp_path / "run.json")]) == 1
    assert "got one of 0.0.9" in capsys.readouterr().err


def test_something_that_is_no_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text("{")
    assert cli.main(["rerun", str(tmp_path / "run.json")]) == 1
    assert "expected the run.json of an earlier run" in capsys.readouterr().err


def test_a_record_names_versions_commit_and_the_whole_configuration() -> None:
    run = record("train", Wish(), dataset_version="v1", seed=7)
    assert run.config == {"word": "left", "out": "nowhere"}
    assert {"torch", "numpy", "pylance"} <= set(run.versions)
    assert (run.seed, run.dataset_version, run.dojo_version) == (7, "v1", dojo.__version__)
    assert run.commit
