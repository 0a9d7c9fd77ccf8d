"""`dojo release` on a miniature policy, with a dataset and reports made up for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
import pytest
import torch
from rich.console import Console

from dojo.errors import ReleaseError, StoreError
from dojo.evaluate.gate import GATES, Gate
from dojo.geometry import MODEL_VIEW
from dojo.model.config import PolicyConfig
from dojo.model.inference import INPUTS, OUTPUTS, Inference
from dojo.model.policy import Policy
from dojo.recipes import lineage, release
from dojo.recipes.lineage import Lineage
from dojo.recipes.release import ReleaseRun, make_bundle
from dojo.recipes.run import record, write_record
from dojo.recipes.train import CLIPS, Judgeable, TrainRun
from dojo.records import Clip, Drive
from dojo.release.bundle import check_files
from dojo.release.contracts import camera_contract
from dojo.release.export import OnnxModel, export
from dojo.release.words import overclaims
from dojo.store.dataset import Dataset

MINIATURE = PolicyConfig((8, 8, 8, 8), (0, 0, 0, 0), far_widths=(8, 8, 8), feature=16, width=16, heads=2, hidden=16)
CHECKPOINT = "ab" * 32
Some = TypeVar("Some")
QUIET = Console(quiet=True)


def estimate(value: float) -> dict[str, float | int]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "samples": 40, "groups": 4}


def reports(folder: Path, checkpoint: str = CHECKPOINT) -> None:
    provenance = {"checkpoint_sha256": checkpoint, "drives": ["d0"], "evaluation": {"dataset": "data"}}
    suite = {
        "completed": 20,
        "cases": 24,
        "low": 0.64,
        "high": 0.93,
        "figures": {},
        "kilometres_per_intervention": {"kilometres": 6.0, "interventions": 1},
        "failures": {"lane_centring-03": ["left lane"]},
    }
    open_loop = {
        "open_loop": {"model": {"lateral_error_3s_m": estimate(0.5)}},
        "open_loop_by_tag": {},
        "open_loop_versus": {"constant_turn_rate": {"lateral_error_3s_m": estimate(-0.5)}},
        "metrics": {},
        "extent": {"anchors": 400, "drives": 12, "vehicles": 3, "kilometres": 8.0},
        "warnings": [],
        "provenance": provenance,
    }
    closed_loop = {"closed_loop": {"lane_centring": suite, "lane_centring_latency": suite}, "provenance": provenance}
    (folder / "rollout").mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(open_loop))
    (folder / "rollout" / "closed_loop.json").write_text(json.dumps(closed_loop))


def samples(_run: Path, wanted: int, _console: Console, _cache: Path | None = None) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    for _ in range(min(wanted, 5)):
        arrays = (
            rng.integers(16, 235, (1, 3, 6, 128, 256), dtype=np.uint8),
            rng.uniform(5, 20, (1, 2)).astype(np.float32),
            np.ones((1, 2), np.bool_),
            np.zeros((1, 2, 8), np.float32),
            np.ones(1, np.bool_),
        )
        yield dict(zip(INPUTS, arrays, strict=True))


def made(kind: type[Some], **fields: object) -> Some:
    """A record of which only these fields are asked."""
    record = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(record, name, value)
    return record


class OneClip(Lineage):
    def listed(self) -> list[dict[str, str]]:
        return [{"clip_id": "c0", "sha256": "00" * 32}]


def a_lineage() -> Lineage:
    drive = made(
        Drive,
        drive_id="d0",
        vehicle_id="v0",
        cameras=(),
        ego=SimpleNamespace(timestamps_ns=np.array([0, 60_000_000_000])),
        provenance=SimpleNamespace(licence="", reader="fake"),
    )
    return OneClip((made(Clip, tiles=("t0",)),), (drive,))


@pytest.fixture(scope="module")
def exported() -> tuple[Policy, bytes]:
    """A policy, and what it exports to: made once, as exporting takes seconds."""
    torch.manual_seed(0)
    policy = Policy(MINIATURE)
    (sample,) = samples(Path(), 1, QUIET)
    return policy, export(Inference(policy), sample, OUTPUTS)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: tuple[Policy, bytes]) -> ReleaseRun:
    policy, model = exported
    reports(tmp_path)
    monkeypatch.setattr(release, "load_policy", lambda _run: Judgeable(policy, CHECKPOINT, 7))
    monkeypatch.setattr(release, "held_out", samples)
    monkeypatch.setattr(release, "held_out_clips", lambda *_: (THEN, THEN.clips()))
    datasets(monkeypatch, {("data", None): THEN})
    monkeypatch.setattr(release, "lineage_of", lambda _run: a_lineage())
    monkeypatch.setattr(release, "_camera", lambda *_: camera_contract(MODEL_VIEW, {}, 0.2, 2, 0.0))
    monkeypatch.setattr(release, "export", lambda *_: model)
    monkeypatch.setattr(release, "measure", lambda *_: {"median_ms": 3.0, "p99_ms": 4.0})
    return ReleaseRun(tmp_path, samples=5, golden=2, timed_runs=5)


def test_the_same_inputs_give_the_same_bytes_and_a_whole_bundle(
    run: ReleaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = release.run(run, QUIET)
    first = run.file.read_bytes()
    monkeypatch.setattr(release, "export", export)  # exported again, not taken from before
    # What was measured is kept; the second time nothing is measured, and nothing else differs.
    measured = (run.folder / "measured.json").read_bytes()
    assert release.run(run, QUIET).facts["sha256"] == outcome.facts["sha256"] == hashlib.sha256(first).hexdigest()
    assert run.file.read_bytes() == first
    assert (run.folder / "measured.json").read_bytes() == measured
    folder = run.folder / "bundle"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = check_files(files)
    expected = {"model.onnx", "clips.json", "sbom.cdx.json", "model_card.md", "evidence.md", "manifest.json"}
    assert expected < set(files)
    assert {f"reports/{kind}.json" for kind in ("open_loop", "closed_loop", "agreement", "timing")} < set(files)
    assert (manifest.checkpoint_sha256, manifest.anchors, manifest.domains) == (CHECKPOINT, 2, ("simulation",))
    assert [one.name for one in manifest.inputs] == list(INPUTS)
    assert all(overclaims(files[name].decode()) == [] for name in ("model_card.md", "evidence.md"))
    assert "the suite lane_centring under dropped, camera_yaw, night, rain" in files["evidence.md"].decode()
    golden = {name: np.load(folder / "golden" / f"{name}.npy") for name in INPUTS}
    answer = OnnxModel(files["model.onnx"])({name: array[:1] for name, array in golden.items()})
    for name, got in answer.items():
        np.testing.assert_array_equal(got[0], np.load(folder / "golden" / f"{name}.npy")[0])


def test_a_report_of_another_checkpoint_is_refused(run: ReleaseRun) -> None:
    reports(run.run, "cd" * 32)
    with pytest.raises(
        ReleaseError, match=r"report_of_another_checkpoint: .* about checkpoint abab.*got one about cdcd"
    ):
        make_bundle(run, QUIET)


def test_a_missing_report_is_refused_with_the_verb_that_makes_it(run: ReleaseRun) -> None:
    (run.run / "rollout" / "closed_loop.json").unlink()
    with pytest.raises(ReleaseError, match=r"report_missing: .*run dojo rollout first"):
        make_bundle(run, QUIET)


def test_a_gate_that_fails_refuses_by_its_name(run: ReleaseRun, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReleaseError, match=r"lane_centring_completed: .*expected at least 0\.8, got 0\.64") as refused:
        make_bundle(replace(run, domain="road"), QUIET)
    assert refused.value.rule == "lane_centring_completed"
    strict = Gate("agrees_to_the_bit", "agreement", ("worst_share",), "a test", at_most=0.0)
    monkeypatch.setitem(GATES, "simulation", (strict,))
    with pytest.raises(ReleaseError, match="agrees_to_the_bit"):
        make_bundle(run, QUIET)


def test_what_was_measured_on_clips_that_are_gone_is_measured_again(
    run: ReleaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(run, QUIET)
    before = json.loads((run.folder / "measured.json").read_bytes())
    monkeypatch.setattr(release, "held_out_clips", lambda *_: (AFTER, AFTER.clips()))
    make_bundle(run, QUIET)
    assert json.loads((run.folder / "measured.json").read_bytes())["about"] != before["about"]


def test_what_was_measured_of_other_bytes_is_measured_again(run: ReleaseRun) -> None:
    make_bundle(run, QUIET)
    path = run.folder / "measured.json"
    kept = json.loads(path.read_bytes())
    path.write_text(json.dumps({**kept, "about": {**kept["about"], "model_sha256": "00"}, "agreement": {}}))
    make_bundle(run, QUIET)
    assert json.loads(path.read_bytes())["about"] == kept["about"]


# Clips.


class FakeDataset(Dataset):
    """A state of a dataset: which drive each clip is of, and which drives there are."""

    def __init__(self, content: str, clips: dict[str, str], drives: tuple[str, ...]) -> None:
        self.content, self.uri = content, "data"
        self._found = [made(Clip, clip_id=clip, drive_id=drive) for clip, drive in clips.items()]
        self._of = [made(Drive, drive_id=drive) for drive in drives]

    def content_hash(self) -> str:
        return self.content

    def clips(self, split: str | None = None, tag: str | None = None) -> list[Clip]:
        return self._found

    def drives(self) -> list[Drive]:
        return self._of

    def drive_ids(self) -> list[str]:
        return [drive.drive_id for drive in self._of]


def datasets(monkeypatch: pytest.MonkeyPatch, states: dict[tuple[str, str | None], FakeDataset | None]) -> None:
    def opened(uri: str, version: str | None = None) -> FakeDataset:
        found = states[uri, version]
        if found is None:
            raise StoreError("no such version")
        return found

    monkeypatch.setattr(lineage, "Dataset", SimpleNamespace(open=opened))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    write_record(tmp_path, record("train", TrainRun(dataset="data", out=tmp_path), dataset_version="a" * 12 + "@3.2"))
    return tmp_path


THEN = FakeDataset("a" * 64, {"c0": "d0", "c1": "d1"}, ("d0", "d1"))


def test_clips_are_those_of_the_dataset_as_of_training(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = FakeDataset("b" * 64, {"c0": "d0", "c9": "d9"}, ("d0", "d1", "d9"))
    for now, old in ((THEN, None), (grown, THEN)):
        datasets(monkeypatch, {("data", None): now, ("data", "a" * 12 + "@3.2"): old})
        assert [clip.clip_id for clip in lineage.lineage_of(trained).clips] == ["c0", "c1"]


def test_a_clip_that_was_erased_since_refuses_the_release(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    erased = FakeDataset("b" * 64, {"c0": "d0"}, ("d0",))
    datasets(monkeypatch, {("data", None): erased, ("data", "a" * 12 + "@3.2"): THEN})
    with pytest.raises(ReleaseError, match=r"clip_erased: .*all clips .* 1 were erased, the first is c1"):
        lineage.lineage_of(trained)


AFTER = FakeDataset("b" * 64, {"c0": "d0"}, ("d0",))
"""After an erasure of the drive d1: no older state can be opened."""


@pytest.fixture
def erased(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets(monkeypatch, {("data", None): AFTER, ("data", "a" * 12 + "@3.2"): None})
    monkeypatch.setattr(lineage, "Tombstones", lambda _uri: ("one",))


def ledger(folder: Path, *clips: str) -> None:
    (folder / "ledger").mkdir()
    lines = "".join(json.dumps({"step": step, "clips": [clip]}) + "\n" for step, clip in enumerate(clips))
    (folder / "ledger" / "rank-0000.jsonl").write_text(lines)


@pytest.mark.usefixtures("erased")
def test_who_never_saw_what_was_erased_is_released_as_before(trained: Path) -> None:
    (trained / CLIPS).write_text("c0\n")
    assert [clip.clip_id for clip in lineage.lineage_of(trained).clips] == ["c0"]
    (trained / CLIPS).write_text("c0\nc1\n")
    with pytest.raises(ReleaseError, match=r"clip_erased: .* 1 were erased, the first is c1"):
        lineage.lineage_of(trained)
    # It could have drawn it, and says that it did not.
    ledger(trained, "c0", "c0")
    assert [clip.clip_id for clip in lineage.lineage_of(trained).clips] == ["c0"]


@pytest.mark.usefixtures("erased")
def test_who_went_on_from_a_run_that_saw_what_was_erased_is_refused(tmp_path: Path, trained: Path) -> None:
    (trained / CLIPS).write_text("c0\nc1\n")
    config = TrainRun(dataset="data", out=tmp_path / "next", warm_start=trained)
    write_record(tmp_path / "next", record("train", config, dataset_version="b" * 12 + "@9.9"))
    (tmp_path / "next" / CLIPS).write_text("c0\n")
    with pytest.raises(ReleaseError, match=r"clip_erased: .*the first is c1"):
        lineage.lineage_of(tmp_path / "next")


def test_clips_that_were_cut_anew_and_whose_state_is_gone_are_unknown(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets(monkeypatch, {("data", None): AFTER, ("data", "a" * 12 + "@3.2"): None})
    monkeypatch.setattr(lineage, "Tombstones", lambda _uri: ())
    (trained / CLIPS).write_text("c0\nc1\n")
    with pytest.raises(ReleaseError, match=r"clips_unknown: .*the 2 clips .* 1 were cut anew"):
        lineage.lineage_of(trained)


def test_a_report_is_refused_when_it_rests_on_what_was_erased_and_only_then(
    run: ReleaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets(monkeypatch, {("data", None): AFTER})
    monkeypatch.setattr(lineage, "Tombstones", lambda _uri: ("one",))
    make_bundle(run, QUIET)
    path = run.run / "report.json"
    told = json.loads(path.read_bytes())
    origin = told["provenance"]
    origin["drives"] = ["d0", "d1"]
    path.write_text(json.dumps(told))
    with pytest.raises(ReleaseError, match=r"clip_erased: .*report\.json: .* 1 of the 2 drives .* the first is d1"):
        make_bundle(run, QUIET)
    del origin["drives"]
    path.write_text(json.dumps(told))
    with pytest.raises(ReleaseError, match=r"clip_erased: .* the report does not say which drives"):
        make_bundle(run, QUIET)
    monkeypatch.setattr(lineage, "Tombstones", lambda _uri: ())
    make_bundle(run, QUIET)


@pytest.mark.parametrize(("tombstones", "rule"), [((), "clips_unknown"), (("one",), "clip_erased")])
def test_a_dataset_whose_past_is_gone_refuses_the_release(
    trained: Path, monkeypatch: pytest.MonkeyPatch, tombstones: tuple[str, ...], rule: str
) -> None:
    datasets(monkeypatch, {("data", None): FakeDataset("b" * 64, {}, ()), ("data", "a" * 12 + "@3.2"): None})
    monkeypatch.setattr(lineage, "Tombstones", lambda _uri: tombstones)
    with pytest.raises(ReleaseError, match=rule):
        lineage.lineage_of(trained)


def test_clips_of_the_run_that_it_went_on_from_and_of_rounds_are_listed_too(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainRun(dataset="data", out=tmp_path / "next", warm_start=trained, rounds=("round",))
    write_record(tmp_path / "next", record("train", config, dataset_version="a" * 12 + "@3.2+" + "c" * 12 + "@1.1"))
    rounds = FakeDataset("c" * 64, {"r0": "d7"}, ("d7",))
    datasets(monkeypatch, {("data", None): THEN, ("round", None): rounds})
    assert [clip.clip_id for clip in lineage.lineage_of(tmp_path / "next").clips] == ["c0", "c1", "r0"]
