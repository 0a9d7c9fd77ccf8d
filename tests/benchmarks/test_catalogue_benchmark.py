"""The benchmark of the catalogue asks every question, at a size for which it takes seconds."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "catalogue.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalogue_benchmark", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["catalogue_benchmark"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_question_is_answered(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In this process: what is tested is the answers; each question in a process of its own would import for a minute.
    def here(question: object, *told: object) -> dict[str, object]:
        assert callable(question)
        return {"seconds": 0.0, "peak_gb": 0.0, "answer": question(*told)}

    monkeypatch.setattr(benchmark, "_apart", here)
    config = benchmark.Config(clips=10_000, folder=tmp_path, draw=1000, out=tmp_path / "result.json")
    benchmark.main(config)
    found = json.loads((tmp_path / "result.json").read_text())
    answers = [question["answer"] for question in found["questions"].values()]
    assert answers[0] == "17 drives"
    assert answers[3] == "1 vehicles"
    assert answers[4].startswith("1,000 of ")
    # Drives 0 and 10 of 17 are validation: 1,200 of 10,000 clips.
    assert answers[5:7] == ["8,800 draws", "9 draws"]
    assert answers[8] == "16 clips of 8,800"
    assert all(0 < int(answer.split()[0].replace(",", "")) < 10_000 for answer in answers[1:3])
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert set(json.loads(last)) == set(found["questions"])
