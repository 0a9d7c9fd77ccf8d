"""Ingest takes in everything that is sound, once, whatever the rest does, and says why it refused the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lance
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from rich.console import Console

from dojo.errors import ConfigError, StoreError
from dojo.fleet.limits import Limits
from dojo.geometry import MODEL_VIEW, Camera
from dojo.recipes.ingest import IngestConfig, IngestReport, as_json, ingest, render, run
from dojo.recipes.receive import thinned
from dojo.recipes.run import read_record
from dojo.records import CameraStream
from dojo.store import Dataset
from dojo.store.fingerprint import fingerprint
from dojo.store.table import Table

Take = Callable[..., IngestReport]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The fake format, importable by other processes too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_fleet

    return fake_fleet


@pytest.fixture
def take(fake: ModuleType, tmp_path: Path) -> Take:
    """Ingests the folder `stick` into the dataset `data`, in this process unless told otherwise."""

    def ingested(dataset: str = "data", **options: Any) -> IngestReport:
        (tmp_path / "stick").mkdir(exist_ok=True)
        options = {"processes": 1, "spool": tmp_path / "spool", "together_s": 0.0} | options
        return ingest(IngestConfig(tmp_path / "stick", str(tmp_path / dataset), **options), gateway=fake.GATEWAY)

    return ingested


def shown(report: IngestReport) -> str:
    console = Console(width=200)
    with console.capture() as text:
        console.print(render(report))
    return text.get()


# -- what comes in -----------------------------------------------------------------------------------------------


def test_a_recording_comes_in_level_thinned_and_with_its_true_times(
    take: Take, fake: ModuleType, tmp_path: Path
) -> None:
    fake.write(tmp_path / "stick", "a", frames=72, fps=36.0)
    report = take()
    dataset = Dataset.open(str(tmp_path / "data"))
    (drive,) = dataset.drives()
    (stream,) = drive.cameras
    assert (report.found, report.stored, report.drives, report.vehicles, report.refused) == (1, 1, 1, 1, ())
    assert stream.timestamps_ns.tolist() == [int(i * 1e9 / 36.0) for i in range(0, 72, 2)]
    assert stream.valid.all()
    assert (stream.camera.width_px, stream.camera.focal_px) == (MODEL_VIEW.width_px, MODEL_VIEW.focal_px)
    assert stream.camera.ego_from_camera.translation_m.tolist() == [1.5, 0.0, 1.4]
    assert stream.recorded_camera is not None
    assert stream.recorded_camera.width_px == fake.WIDTH
    for index, frame in enumerate(dataset.frames(drive.drive_id, "front", np.arange(36))):
        assert frame.y.shape == (256, 512)
        # The fake camera paints frame i evenly with 40 + 2 i; the middle of the view survives the encoder within 3.
        assert abs(int(frame.y[100, 256]) - (40 + 4 * index)) <= 3
        assert frame.timestamp_ns == stream.timestamps_ns[index]


def test_frames_marked_invalid_are_left_out(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    fake.write(tmp_path / "stick", "a", frames=20, invalid=[0, 7, 8, 19])
    take()
    (drive,) = Dataset.open(str(tmp_path / "data")).drives()
    kept = [i for i in range(20) if i not in (0, 7, 8, 19)]
    assert drive.cameras[0].timestamps_ns.tolist() == [i * 10**8 for i in kept]
    frames = Dataset.open(str(tmp_path / "data")).frames(drive.drive_id, "front", np.arange(16))
    assert all(abs(int(f.y[100, 256]) - (40 + 2 * i)) <= 3 for f, i in zip(frames, kept, strict=True))


def test_only_the_cameras_that_are_wanted_come_in(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    fake.write(tmp_path / "stick", "a", cameras=["front", "back", "left_repeater"])
    take(cameras=("front", "back"))
    (drive,) = Dataset.open(str(tmp_path / "data")).drives()
    assert [stream.name for stream in drive.cameras] == ["front", "back"]


@settings(max_examples=100, deadline=None)
@given(fps=st.floats(1, 120), max_fps=st.floats(1, 60), count=st.integers(0, 200), seed=st.integers(0, 99))
def test_thinning_is_even_and_keeps_to_the_rate(fps: float, max_fps: float, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    jitter = rng.uniform(-0.02, 0.02, count)
    times = ((np.arange(count) + jitter) * 1e9 / fps).astype(np.int64)
    keep = thinned(CameraStream("front", Camera.mounted(2, 2, 1.0), times, rng.random(count) > 0.1), max_fps)
    kept = np.flatnonzero(keep)
    if len(kept) > 1:
        every = int(np.gcd.reduce(np.diff(kept)))
        # 7 %: the tolerance for a camera that jitters about `max_fps`, and the jitter itself.
        assert fps / every <= max_fps * 1.07
    assert not count or fps > max_fps * 0.95 or len(kept) == keep.sum()


def test_usual_cameras_keep_usual_rates() -> None:
    def rate(fps: float, max_fps: float = 20.0) -> float:
        times = (np.arange(200) * 1e9 / fps).astype(np.int64)
        keep = thinned(CameraStream("front", Camera.mounted(2, 2, 1.0), times, np.ones(200, np.bool_)), max_fps)
        return fps * float(keep.sum()) / 200

    assert [rate(fps) for fps in (10.0, 20.0, 20.3, 24.0, 30.0, 36.0)] == [10.0, 20.0, 20.3, 12.0, 15.0, 18.0]


# -- once, in any number of processes ------------------------------------------------------------------------------


def test_the_same_folder_twice_is_once(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    for name in "abc":
        fake.write(tmp_path / "stick", name, does="refuse" if name == "c" else "")
    first, second = take(), take()
    assert (first.found, second.found, second.drives, second.refused) == (3, 0, 0, ())
    assert first.dataset_version == second.dataset_version


def test_the_same_file_in_two_places_is_once(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    for folder in ("SavedClips", "RecentClips"):
        fake.write(tmp_path / "stick" / folder, "a")
    report = take()
    assert (report.found, report.stored, report.duplicate, report.drives) == (2, 1, 1, 1)


def test_what_is_new_in_the_folder_comes_in_beside_the_old(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    fake.write(tmp_path / "stick", "a")
    take()
    fake.write(tmp_path / "stick", "b", vehicle=1)
    report = take()
    assert (report.found, report.drives, report.dataset_drives) == (1, 1, 2)


def test_several_processes_give_the_same_dataset_as_one(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    for number in range(6):
        fake.write(tmp_path / "stick", f"r{number}", drives=1 + number % 2, does=["", "refuse", "gap"][number % 3])
    parallel, serial = take("parallel", processes=2), take("serial", processes=1)
    assert parallel.dataset_hash == serial.dataset_hash
    assert (parallel.refused, parallel.spans, parallel.drives) == (serial.refused, serial.spans, serial.drives)
    states = [Dataset.open(str(tmp_path / name)) for name in ("parallel", "serial")]
    assert len({fingerprint([fingerprint(drive) for drive in state.drives()]) for state in states}) == 1
    assert [state.verify() for state in states] == [[], []]


# -- what is refused ---------------------------------------------------------------------------------------------


def test_recordings_that_are_done_together_are_stored_in_one_act(
    take: Take, fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, does in {"a": "", "b": "refuse", "c": "", "d": ""}.items():
        fake.write(tmp_path / "stick", name, does=does)
    each = take("each")
    acts = []
    append = Table.append

    def counted(self: Table, rows: Any) -> None:
        acts.append(self.name)
        append(self, rows)

    monkeypatch.setattr(Table, "append", counted)
    report = take(together_s=60.0)
    assert acts == ["chunks", "drives", "intake"]
    assert (report.drives, len(report.refused), report.dataset_hash) == (3, 1, each.dataset_hash)
    assert list((tmp_path / "spool").iterdir()) == []


def test_video_that_waits_is_bounded(
    take: Take, fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        fake.write(tmp_path / "stick", name)
    monkeypatch.setattr("dojo.recipes.ingest._TOGETHER_BYTES", 1)
    acts = []
    add = Dataset.add_recordings

    def counted(self: Dataset, arrivals: Any, **named: Any) -> list[tuple[str, ...]]:
        acts.append(len(arrivals))
        return add(self, arrivals, **named)

    monkeypatch.setattr(Dataset, "add_recordings", counted)
    take(together_s=60.0)
    assert acts == [1, 1, 1]


def test_a_bad_recording_is_refused_with_its_reason_and_never_stops_the_rest(
    take: Take, fake: ModuleType, tmp_path: Path
) -> None:
    for name, does in {
        "a": "",
        "b": "refuse",
        "c": "fail",
        "d": "break",
        "e": "short",
        "f": "wrong size",
        "g": "",
    }.items():
        fake.write(tmp_path / "stick", name, does=does)
    fake.write(tmp_path / "stick", "h", does="long")
    fake.write(tmp_path / "stick", "k", does="misdescribed")
    fake.write(tmp_path / "stick", "i", cameras=["back"])
    fake.write(tmp_path / "stick", "j", frames=3, invalid=[0, 1, 2])
    report = take()
    assert report.drives == 2
    refused = {item.where.partition(" ")[0]: (item.gate, item.reason, item.figures) for item in report.refused}
    assert refused["b"] == ("truncated", "expected 9 bytes, got 5; copy it again", (("size_bytes", 5.0),))
    assert refused["c"][0] == "reader_failed"
    assert "ZeroDivisionError: nobody thought of this; the file is left out" in refused["c"][1]
    assert refused["d"][0] == "decode_broken"
    assert refused["e"] == (
        "frame_count",
        "camera front: expected 50 frames, 20 came; the file and its frame times do not belong together",
        (("decoded_frames", 20.0), ("expected_frames", 50.0)),
    )
    assert refused["f"][0] == "picture_size"
    assert "expected pictures of 128 x 64 px, frame 3 has 64 x 32" in refused["f"][1]
    assert refused["h"][0] == "frame_count"
    assert refused["i"][0] == "no_camera"
    assert "expected camera front, the recording has back; name one of those with --cameras" in refused["i"][1]
    assert refused["j"][0] == "no_frames"
    assert refused["k"][:2] == ("wrong_settings", "expected a unit, got 'mph'; then ingest again with --retry-refused")
    dataset = Dataset.open(str(tmp_path / "data"))
    assert set(dataset.rejections()) == set(report.refused)
    assert dataset.verify() == []
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_camera_that_breaks_off_leaves_the_others(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    fake.write(tmp_path / "stick", "a", does="break", cameras=["front", "back"])
    report = take(cameras=("front", "back"))
    (drive,) = Dataset.open(str(tmp_path / "data")).drives()
    assert [stream.name for stream in drive.cameras] == ["back"]
    assert [(item.where, item.gate) for item in report.spans] == [("a front", "decode_broken")]
    assert drive.rejections == report.spans


def test_part_of_a_recording_may_be_refused(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    fake.write(tmp_path / "stick", "a", does="half")
    fake.write(tmp_path / "stick", "b", does="gap")
    report = take()
    assert (report.drives, [item.gate for item in report.refused], [item.gate for item in report.spans]) == (
        2,
        ["clock_jump"],
        ["dropped_frames"],
    )
    assert Dataset.open(str(tmp_path / "data")).summary().refused == {"clock_jump": 1, "dropped_frames": 1}


def test_a_process_that_dies_is_replaced_and_its_recording_tried_once_more(
    take: Take, fake: ModuleType, tmp_path: Path
) -> None:
    for name, does in {"a": "", "b": "die", "c": "die once", "d": ""}.items():
        fake.write(tmp_path / "stick", name, does=does)
    report = take(processes=2)
    assert report.drives == 3
    (refused,) = report.refused
    assert (refused.where, refused.gate, refused.figures) == ("b", "process_died", (("exit_code", -9.0),))
    assert "ended 2 times with exit code -9; -9 usually means that memory ran out" in refused.reason


def test_refused_recordings_are_tried_again_only_when_asked(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    path = fake.write(tmp_path / "stick", "a", cameras=["back"])
    assert [item.gate for item in take().refused] == ["no_camera"]
    assert take(cameras=("back",)).found == 0
    assert take(cameras=("back",), retry_refused=True).drives == 1
    assert Dataset.open(str(tmp_path / "data")).rejections() == []
    assert path.exists()


# -- trouble -----------------------------------------------------------------------------------------------------


def test_a_full_disk_stops_ingest_with_a_clear_error_and_harms_nothing(
    take: Take, fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        fake.write(tmp_path / "stick", name)
    write, appended = lance.write_dataset, []

    def full(data: Any, uri: Any, **options: Any) -> Any:
        if options["mode"] == "append":
            appended.append(uri)
            if len(appended) == 5:
                raise OSError("LanceError(IO): Generic LocalFileSystem error: No space left on device (os error 28)")
        return write(data, uri, **options)

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(StoreError, match="the disk is full; free some space and run the same command again"):
        take()
    monkeypatch.setattr(lance, "write_dataset", write)
    assert len(Dataset.open(str(tmp_path / "data")).drives()) == 1
    assert list((tmp_path / "spool").iterdir()) == []
    assert take().drives == 2
    assert take("other").dataset_hash == take().dataset_hash


def test_a_full_spool_is_not_blamed_on_the_recording(
    take: Take, fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.write(tmp_path / "stick", "a")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs the device /dev/full, on which every write finds the disk full")
    opened = Path.open

    def into_full(self: Path, *arguments: Any, **options: Any) -> Any:
        return opened(full if self.suffix == ".h264" else self, *arguments, **options)

    monkeypatch.setattr(Path, "open", into_full)
    with pytest.raises(StoreError, match=r"encoded video cannot be put by: .*No space left on device; free some space"):
        take()
    monkeypatch.setattr(Path, "open", opened)
    assert take().drives == 1


def test_ctrl_c_stops_after_the_recording_at_hand_and_the_same_command_goes_on(
    take: Take, fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        fake.write(tmp_path / "stick", name)
    add = Dataset.add_recordings

    def pressed(self: Dataset, *arguments: Any, **named: Any) -> list[tuple[str, ...]]:
        os.kill(os.getpid(), signal.SIGINT)
        return add(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "add_recordings", pressed)
        report = take()
    assert (report.interrupted, report.found, report.drives) == (True, 4, 1)
    assert "the rest is still to come: run the same command again" in shown(report)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    rest = take()
    assert (rest.interrupted, rest.drives, rest.dataset_hash) == (False, 3, take("other").dataset_hash)


def test_what_a_killed_run_spooled_is_removed_and_what_a_living_one_spools_is_not(
    take: Take, fake: ModuleType, tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive = (tmp_path / "spool" / f"dojo-ingest-{pid}-x" for pid in (ended.pid, os.getpid()))
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "a.h264").write_bytes(b"video")
    take()
    assert (dead.exists(), alive.exists()) == (False, True)


def test_wrong_settings_are_all_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        IngestConfig(tmp_path, "", cameras=("front", "front"), max_fps=0.0, processes=-1)
    assert str(refused.value) == (
        "ingest: dataset is empty; name a folder or an object-store URI; "
        "cameras must be different names, at least one, got ('front', 'front'); for example front; "
        "max_fps must be positive, got 0.0; 20 suits the model's 5 Hz; "
        "processes must not be negative, got -1; 0 takes one per core"
    )


def test_a_source_that_is_no_folder_is_named_and_no_dataset_is_made(fake: ModuleType, tmp_path: Path) -> None:
    config = IngestConfig(tmp_path / "nowhere", str(tmp_path / "data"))
    with pytest.raises(ConfigError, match=r"expected a folder with recordings, .*nowhere is none; check the path"):
        ingest(config, gateway=fake.GATEWAY)
    assert not (tmp_path / "data").exists()


# -- what is said ------------------------------------------------------------------------------------------------


def test_the_report_shows_what_came_in_what_was_refused_and_why(take: Take, fake: ModuleType, tmp_path: Path) -> None:
    for name, does in {"a": "", "b": "refuse", "c": "refuse", "d": "gap"}.items():
        fake.write(tmp_path / "stick", name, does=does)
    report = take()
    text = shown(report)
    for words in (
        "4 new: 2 stored, 0 there already",
        "2 drives, 1 vehicles",
        "truncated",
        "expected 9 bytes, got 5; copy it again",
        "spans left out of stored drives",
        "dropped_frames",
        report.dataset_version,
    ):
        assert words in text, words
    facts = json.loads(json.dumps(as_json(report)))
    assert (facts["drives"], facts["refused"], facts["spans"]) == (2, 2, 1)
    assert facts["gates"] == {"truncated": 2, "dropped_frames": 1}
    assert [item["where"] for item in facts["rejections"]] == ["b", "c", "front"]


def test_progress_is_shown_where_there_is_a_console(fake: ModuleType, tmp_path: Path) -> None:
    fake.write(tmp_path / "stick", "a")
    console = Console(width=120, force_terminal=True)
    with console.capture() as text:
        ingest(IngestConfig(tmp_path / "stick", str(tmp_path / "data"), processes=1), console, fake.GATEWAY)
    assert "1 of 1 recordings" in text.get()


def test_the_verb_reads_the_formats_of_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    outcome = run(IngestConfig(tmp_path / "stick", str(tmp_path / "data")), Console(quiet=True))
    assert (outcome.facts["found"], outcome.facts["drives"], outcome.facts["refused"]) == (0, 0, 0)


def test_the_verb_writes_down_how_to_repeat_it_until_it_finds_something_else(
    fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.write(tmp_path / "stick", "a")
    monkeypatch.setattr("dojo.recipes.ingest.ingest.__defaults__", (None, fake.GATEWAY))
    data = tmp_path / "data"
    config = IngestConfig(str(tmp_path / "stick"), str(data), processes=1)
    version = run(config, Console(quiet=True)).facts["dataset_version"]
    written = read_record(data / "run.json")
    assert (written.verb, written.dataset_version) == ("ingest", version)
    assert TypeAdapter(IngestConfig).validate_python(written.config) == config
    run(replace(config, max_fps=5.0), Console(quiet=True))
    assert read_record(data / "run.json") == written
    run(replace(config, dataset=str(tmp_path / "other"), out=tmp_path / "out"), Console(quiet=True))
    assert read_record(tmp_path / "out" / "run.json").config["dataset"] == str(tmp_path / "other")
    assert not (tmp_path / "other" / "run.json").exists()
    assert Dataset.open(str(data)).verify() == []


def test_a_stick_from_a_car_comes_in_with_its_minutes_joined_and_its_bad_file_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fleet"))
    import teslacam_files

    clips = tmp_path / "stick" / "car-1" / "TeslaCam" / "RecentClips"
    for part in range(2):
        messages = teslacam_files.straight_drive(60, first_seq=1000 + 60 * part, start_s=6.0 * part)
        name = f"2026-03-01_12-00-{6 * part:02d}-front.mp4"
        teslacam_files.write_clip(clips / name, messages, picture_offset=60 * part)
    whole = (clips / "2026-03-01_12-00-00-front.mp4").read_bytes()
    (clips / "2026-03-02_12-00-00-front.mp4").write_bytes(whole[: len(whole) // 2])
    report = ingest(IngestConfig(tmp_path / "stick", str(tmp_path / "data"), processes=1))
    dataset = Dataset.open(str(tmp_path / "data"))
    (drive,) = dataset.drives()
    assert (drive.vehicle_id, drive.cameras[0].name, len(drive.provenance.files)) == ("car-1", "front", 2)
    assert len(drive.cameras[0].timestamps_ns) == len(dataset.frames(drive.drive_id, "front", np.arange(120))) == 120
    assert [item.gate for item in report.refused] == ["truncated_file"]


def test_a_tiny_recording_comes_in_once_its_limit_is_lowered_and_the_table_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fleet"))
    import teslacam_files

    clip = tmp_path / "stick" / "car-1" / "TeslaCam" / "RecentClips" / "2026-03-01_12-00-00-front.mp4"
    teslacam_files.write_clip(clip, teslacam_files.straight_drive(15))
    config = IngestConfig(tmp_path / "stick", str(tmp_path / "data"), processes=1)
    refused = ingest(config)
    assert [item.gate for item in refused.refused] == ["too_short"]
    assert "lower the limit min_duration_s" in refused.refused[0].reason
    assert "not tried again, unless you add --retry-refused" in shown(refused)
    assert ingest(replace(config, limits=Limits(min_duration_s=0.5))).found == 0
    stored = ingest(replace(config, limits=Limits(min_duration_s=0.5), retry_refused=True))
    assert (stored.drives, stored.refused) == (1, ())
    assert "1.4 s, 21 m" in shown(stored)
