"""A run has seen a vehicle if it, or a run that it goes back to, could draw or did draw its clips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dojo.curate.nested import Part, part_of, routes_of
from dojo.recipes import train
from dojo.recipes.run import record, write_record
from dojo.recipes.seen_by import Model, documents_of, models_of
from dojo.recipes.train import TrainRun
from dojo.store import Dataset
from dojo.store.erase import Traces, traces_of

GONE = "0123456789ab@999.999"


@pytest.fixture
def traces(data: str) -> Traces:
    """Of a vehicle that is trained on."""
    dataset = Dataset.open(data)
    return traces_of(dataset, dataset.clips(split="train")[0].vehicle_id)


def written(config: TrainRun, version: str) -> Path:
    """The folder of a run of which only the record is there."""
    write_record(config.out, record("train", config, dataset_version=version))
    return config.out


def on(dataset: str, folder: Path) -> TrainRun:
    return train.tiny().into(dataset=dataset, out=folder)


def found(folder: Path, data: str, traces: Traces) -> dict[str, Model]:
    return {Path(model.run).name: model for model in models_of([folder], data, traces)}


def test_a_run_on_the_dataset_has_seen_it_and_one_elsewhere_is_not_listed(
    data: str, traces: Traces, tmp_path: Path
) -> None:
    now = Dataset.open(data).version
    written(on(data, tmp_path / "runs" / "here"), now)
    written(on(str(tmp_path / "elsewhere"), tmp_path / "runs" / "there"), now)
    models = found(tmp_path / "runs", data, traces)
    assert set(models) == {"here"}
    mine = [clip for clip in Dataset.open(data).clips(split="train") if clip.vehicle_id == traces.vehicle_id]
    assert (models["here"].saw, models["here"].clips, models["here"].drawn) == ("yes", len(mine), None)


def test_a_run_that_began_with_the_weights_of_one_that_saw_it_has_seen_it(
    data: str, traces: Traces, tmp_path: Path
) -> None:
    first = written(on(data, tmp_path / "runs" / "first"), Dataset.open(data).version)
    elsewhere = str(tmp_path / "elsewhere")
    second = written(replace(on(elsewhere, tmp_path / "runs" / "second"), warm_start=first), "a@1.1")
    written(replace(on(elsewhere, tmp_path / "runs" / "third"), warm_start=second), "a@1.1")
    third = found(tmp_path / "runs", data, traces)["third"]
    assert (third.saw, third.through) == ("yes", (str(second), str(first)))


def test_a_run_whose_beginnings_cannot_be_read_may_have_seen_it(data: str, tmp_path: Path) -> None:
    dataset = Dataset.open(data)
    held_out = traces_of(dataset, dataset.clips(split="validation")[0].vehicle_id)
    config = on(data, tmp_path / "runs" / "alone")
    written(config, dataset.version)
    assert found(tmp_path / "runs", data, held_out)["alone"].saw == "no"
    written(replace(config, warm_start=tmp_path / "nowhere"), dataset.version)
    assert found(tmp_path / "runs", data, held_out)["alone"].saw == "unknown"


def test_a_part_of_the_routes_has_seen_only_the_vehicles_that_drove_them(
    data: str, traces: Traces, tmp_path: Path
) -> None:
    dataset = Dataset.open(data)
    expected = {}
    for seed in range(6):
        part = Part(2, seed)
        mine = part_of(dataset.clips(split="train"), routes_of(dataset.drives()), part)
        expected[str(seed)] = "yes" if traces.vehicle_id in {clip.vehicle_id for clip in mine} else "no"
        written(replace(on(data, tmp_path / "runs" / str(seed)), part=part), dataset.version)
    assert {name: model.saw for name, model in found(tmp_path / "runs", data, traces).items()} == expected
    assert set(expected.values()) == {"yes", "no"}


@pytest.mark.parametrize(
    ("version", "drew_it", "saw"),
    [("now", True, "yes"), ("now", False, "no"), (GONE, True, "yes"), (GONE, False, "unknown")],
)
def test_a_ledger_says_what_was_drawn(
    data: str, traces: Traces, tmp_path: Path, version: str, drew_it: bool, saw: str
) -> None:
    dataset = Dataset.open(data)
    folder = written(on(data, tmp_path / "runs" / "kept"), dataset.version if version == "now" else version)
    (folder / "ledger").mkdir()
    others = [clip.clip_id for clip in dataset.clips() if clip.vehicle_id != traces.vehicle_id]
    lines = [{"step": 1, "clips": others[:2]}, {"step": 2, "clips": [others[2], *traces.clip_ids[:1] * drew_it]}]
    (folder / "ledger" / "rank-0000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = found(tmp_path / "runs", data, traces)["kept"]
    assert (model.saw, model.drawn) == (saw, int(drew_it))


def test_documents_are_found_by_vehicle_drive_or_clip_and_not_by_part_of_a_word(traces: Traces, tmp_path: Path) -> None:
    for name, text in {
        "a.html": f"<p>{traces.vehicle_id}: curve</p>",
        "b.jsonl": json.dumps({"clips": [traces.clip_ids[0]]}),
        "c.csv": f"1,{traces.drive_ids[0]},2",
        "d.json": f"{traces.vehicle_id}7 and old-{traces.vehicle_id}",
        "certificate.json": traces.vehicle_id,
    }.items():
        (tmp_path / name).write_text(text)
    assert [Path(path).name for path in documents_of([tmp_path], traces)] == ["a.html", "b.jsonl", "c.csv"]
    odd = replace(traces, vehicle_id="Anna's car")
    (tmp_path / "e.html").write_text("<p>Anna's car</p>")
    assert str(tmp_path / "e.html") in list(documents_of([tmp_path], odd))
