"""A scaling study is made of ordinary runs, goes on where it stopped, and looks at validation clips once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dojo.curate.nested import Part
from dojo.errors import ConfigError
from dojo.evaluate.open_loop import EvaluateConfig
from dojo.recipes import scale, train
from dojo.recipes.scale import Plateau, ScaleRun, run, sizes_of
from dojo.store import Dataset


@pytest.fixture
def study(master: Path, tmp_path: Path) -> ScaleRun:
    return ScaleRun(
        str(master / "data"),
        tmp_path / "scale",
        doublings=1,
        seeds=2,
        suites=(),
        plateau=Plateau(first_steps=1, runs_at_most=1),
        cache_gb=0.1,
        intervals=EvaluateConfig(resamples=1000),
    )


def test_sizes_double_up_to_all_routes_of_vehicles_not_held_back(study: ScaleRun) -> None:
    dataset = Dataset.open(study.dataset)
    clips, drives = dataset.clips(split="train"), dataset.drives()
    vehicles = len({clip.vehicle_id for clip in clips})
    assert sizes_of(replace(study, doublings=2), clips, drives) == [(vehicles - 1) * 2 >> k for k in (2, 1, 0)]
    with pytest.raises(ConfigError, match="expected at least 64 training routes for 6 doublings"):
        sizes_of(replace(study, doublings=6), clips, drives)


@pytest.mark.slow
def test_a_study_goes_on_where_it_stopped_and_each_point_is_an_ordinary_run(
    study: ScaleRun, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = 0
    real = train.run

    def once_only(*arguments: object) -> object:
        nonlocal trained
        if trained == 1:
            raise KeyboardInterrupt
        trained += 1
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(scale.train, "run", once_only)
        with pytest.raises(KeyboardInterrupt):
            run(study, quiet)
    done = sorted(study.out.rglob("point.json"))
    kept = {path: path.stat().st_mtime_ns for path in (*done, *study.out.rglob("held_back.json"))}
    outcome = run(study, quiet)
    assert kept
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    report = json.loads((study.out / "report.json").read_text())
    assert outcome.facts["points"] == len(report["points"]) == 4
    for point in report["points"]:
        folder = Path(point["run"])
        assert (folder / "run.json").exists()
        told = json.loads((folder / "report.json").read_text())
        assert told["open_loop"]["model"]["lateral_error_3s_m"] == point["figures"]["lateral_error_3s_m"]
        assert point["tried"][0][0] == 1
    small, large = report["points"][0], report["points"][2]
    assert small["routes"] < large["routes"]
    assert small["hours"] < large["hours"]
    assert "nothing can be said" in report["verdict"][0], "two sizes make no law"
    assert (study.out / "report.html").exists()


def test_runs_get_longer_until_longer_does_not_help(
    study: ScaleRun, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {100: 1.0, 200: 0.8, 400: 0.79, 800: 0.1}
    monkeypatch.setattr(scale._Bench, "_trained", lambda self, recipe, part, folder, steps: errors[steps])
    rule = Plateau(first_steps=100, runs_at_most=4, gain=0.02)
    dataset = Dataset.open(study.dataset)
    bench = scale._Bench(replace(study, plateau=rule), dataset, [], [], dataset, quiet)
    tried = list(bench._until_flat(train.tiny(), Part(1), study.out))
    assert tried == [(100, 1.0), (200, 0.8), (400, 0.79)]


def test_a_folder_of_another_study_is_refused(study: ScaleRun, quiet: Console, tmp_path: Path) -> None:
    from dojo.recipes.run import record, write_record

    other = replace(study, error="ade_3s_m")
    write_record(study.out, record("scale", other, dataset_version=Dataset.open(study.dataset).version))
    with pytest.raises(ConfigError, match="expected an empty folder or the same study to go on with"):
        run(study, quiet)


def test_wrong_wishes_are_named_all_at_once() -> None:
    with pytest.raises(
        ConfigError, match=r"models must be some of .*; doublings must be .*; error must be a metric.*; suites must be"
    ):
        ScaleRun(models=("huge",), doublings=0, error="hit_50m", suites=("parking",))
