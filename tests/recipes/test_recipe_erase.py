"""The certificate says what went, proves that it went, and names the models that had seen it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from dojo.errors import StoreError
from dojo.recipes import erase as recipe
from dojo.recipes.erase import EraseRun, run
from dojo.recipes.ingest import IngestConfig, ingest
from dojo.recipes.receive import Gateway
from dojo.store import Dataset
from dojo.store.search import search


@pytest.fixture
def wish(data: str, tmp_path: Path) -> EraseRun:
    return EraseRun(data, victim_of(data), tmp_path / "erased", (tmp_path / "runs",))


def victim_of(data: str) -> str:
    """A vehicle that is trained on."""
    return Dataset.open(data).clips(split="train")[0].vehicle_id


@pytest.mark.slow
def test_nothing_is_left_and_the_certificate_says_so(
    wish: EraseRun, quiet: Console, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    model = trained(wish.dataset)
    (tmp_path / "runs" / "report.html").write_text(f"<p>{wish.vehicle}: curve</p>")
    before = Dataset.open(wish.dataset)
    drives = [drive for drive in before.drives() if drive.vehicle_id == wish.vehicle]
    outcome = run(wish, quiet)
    certificate = json.loads((tmp_path / "erased" / "certificate.json").read_text())
    assert certificate["removed"]["drives"] == sorted(drive.drive_id for drive in drives)
    assert certificate["removed"]["dataset_versions"]
    verified = certificate["verified"]
    assert (verified["rows_left"], verified["places_found"], verified["of_them_of_the_vehicle"]) == (0, [], 0)
    assert verified["files_searched"] > 5
    assert verified["patterns"] > len(drives)
    assert [(item["run"], item["saw"]) for item in certificate["models"]] == [(str(model), "yes")]
    assert len(certificate["models"][0]["sha256"]) == 64
    page, named = tmp_path / "runs" / "report.html", model / "clips.txt"
    assert certificate["documents_that_name_it"] == [str(page), str(named)]
    assert (outcome.facts["models_that_saw_it"], outcome.facts["models_that_may_have"]) == ([str(model)], [])
    words = [drive.drive_id.encode() for drive in drives] + [wish.vehicle.encode()]
    assert search(wish.dataset, words).hits == ()
    assert not (tmp_path / "erased" / "pending.json").exists()


def test_a_run_whose_dataset_version_is_gone_may_have_seen_it(wish: EraseRun, quiet: Console, tmp_path: Path) -> None:
    from dojo.recipes import train
    from dojo.recipes.run import record, write_record

    other = train.tiny().into(dataset=wish.dataset, out=tmp_path / "runs" / "old")
    write_record(tmp_path / "runs" / "old", record("train", other, dataset_version="0123456789ab@999.999"))
    run(wish, quiet)
    certificate = json.loads((tmp_path / "erased" / "certificate.json").read_text())
    assert [item["saw"] for item in certificate["models"]] == ["unknown"]


def test_an_interrupted_erasure_goes_on_and_still_knows_what_it_removed(
    wish: EraseRun, quiet: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "search", die)
        with pytest.raises(KeyboardInterrupt):
            run(wish, quiet)
    assert not (tmp_path / "erased" / "certificate.json").exists()
    run(wish, quiet)
    certificate = json.loads((tmp_path / "erased" / "certificate.json").read_text())
    assert len(certificate["removed"]["drives"]) == 2
    assert certificate["removed"]["chunks"]


def test_what_came_in_after_an_erasure_was_interrupted_early_is_erased_too(
    wish: EraseRun, quiet: Console, tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fake_fleet

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "erase", die)
        with pytest.raises(KeyboardInterrupt):
            run(wish, quiet)
    fake_fleet.write(tmp_path / "new", "late", frames=50, vehicle=int(wish.vehicle.removeprefix("car-")))
    assert ingest(IngestConfig(tmp_path / "new", wish.dataset, processes=1), gateway=gateway).drives == 1
    assert run(wish, quiet).facts["removed"]["drives"] == 3


def test_what_is_found_after_all_is_a_failure_and_no_certificate(
    wish: EraseRun, quiet: Console, tmp_path: Path
) -> None:
    Path(wish.dataset, "stray.txt").write_text(f"a copy about {wish.vehicle}")
    with pytest.raises(StoreError, match=r"found 1 places in files, the first in stray\.txt; close what else uses"):
        run(wish, quiet)
    assert not (tmp_path / "erased" / "certificate.json").exists()


def test_its_recordings_are_left_out_of_the_next_ingest_unless_asked(
    wish: EraseRun, quiet: Console, master: Path, gateway: Gateway
) -> None:
    run(wish, quiet)
    again = IngestConfig(master / "stick", wish.dataset, processes=1, max_fps=5.0)
    report = ingest(again, gateway=gateway)
    assert (report.erased, report.drives) == (2, 0)
    asked = ingest(
        IngestConfig(master / "stick", wish.dataset, processes=1, max_fps=5.0, even_erased=True), gateway=gateway
    )
    assert (asked.erased, asked.drives) == (0, 2)


def test_a_new_recording_of_an_erased_vehicle_is_left_out_without_a_trace(
    wish: EraseRun, quiet: Console, tmp_path: Path, gateway: Gateway
) -> None:
    import fake_fleet

    run(wish, quiet)
    fake_fleet.write(tmp_path / "new", "fresh", frames=50, vehicle=int(wish.vehicle.removeprefix("car-")))
    known = Dataset.open(wish.dataset).known_files()
    report = ingest(IngestConfig(tmp_path / "new", wish.dataset, processes=1), gateway=gateway)
    assert (report.erased, report.drives, report.duplicate) == (1, 0, 0)
    assert Dataset.open(wish.dataset).known_files() == known


def test_a_vehicle_that_was_erased_before_is_said_to_be(wish: EraseRun, quiet: Console) -> None:
    run(wish, quiet)
    with pytest.raises(StoreError, match="it was erased before"):
        run(wish, quiet)
