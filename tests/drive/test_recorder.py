"""The minute around an event, as a recording that the fleet's own reader takes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dojo.drive.bench import STAND_IN, Bench
from dojo.drive.events import Events
from dojo.drive.platform import Mounting
from dojo.drive.recorder import Event, Recorder, RecorderConfig
from dojo.drive.shadow import ShadowConfig
from dojo.fleet.gateway import find_recordings, frames, receive
from dojo.records import DriverInput, Frame

CONFIG = RecorderConfig(before_s=3.0, after_s=1.0, writing_s=1.0)
VIEW, MOUNTING = STAND_IN.camera.view, Mounting(1.8, 0.0, 1.4)


def picture(time_ns):
    grey = np.full((128, 256), 128, np.uint8)
    luma = np.full((256, 512), 40 + time_ns // 50_000_000 % 150, np.uint8)
    return Frame(time_ns, luma, grey, grey)


@pytest.fixture
def cycles(comet):
    """Ten seconds of a bench that is engaged from the first second on; at six seconds the driver brakes."""
    with Bench(comet) as bench:
        bench.engage()
        bench.run(4.8)
        bench.driver = DriverInput(brake_pressed=True, hands_on=True, eyes_on_road=True)
        bench.run(4.0)
        return bench.cycles


def recorded(folder, cycles, run=lambda job: job(), config=CONFIG):
    recorder, events = Recorder(folder, "comet-7", VIEW, MOUNTING, 0.05, config, run), Events(ShadowConfig(), False)
    for cycle in cycles:
        recorder.take(cycle, picture(cycle.now_ns), events.see(cycle))
    recorder.close()
    return recorder


def test_a_disengagement_leaves_a_recording_that_is_read_back(tmp_path, cycles):
    recorder = recorded(tmp_path, cycles)
    (folder,) = recorder.written
    assert folder.name.endswith("-ready-brake")
    (recording,) = find_recordings(tmp_path)
    reading = receive(recording)
    assert reading.rejections == ()
    (drive,) = reading.drives
    assert drive.rejections == ()
    assert drive.vehicle_id == "comet-7"
    assert drive.cameras[0].camera.focal_px == VIEW.focal_px
    seconds = (drive.ego.timestamps_ns[-1] - drive.ego.timestamps_ns[0]) / 1e9
    assert 3.5 <= seconds <= 4.1
    speeds = drive.telemetry.speed_mps
    assert np.allclose(speeds.values[speeds.valid], 15.0, atol=0.01)
    assert drive.telemetry.brake_applied.values.max() == 1
    assert len(list(frames(recording, drive, "front"))) == pytest.approx(20, abs=1)


def test_the_event_says_what_and_when(tmp_path, cycles):
    (folder,) = recorded(tmp_path, cycles).written
    said = json.loads((folder / "event.json").read_text())
    assert [event["kind"] for event in said["events"]] == ["ready-brake"]
    assert said["events"][0]["after_s"] == pytest.approx(3.0)
    assert said["states"][2] == "engaged"


def test_events_close_together_are_one_recording(tmp_path, cycles):
    recorder = Recorder(tmp_path, "comet-7", VIEW, MOUNTING, 0.05, CONFIG)
    for number, cycle in enumerate(cycles):
        found = (Event("odd", cycle.now_ns, {}),) if number in (100, 110) else ()
        recorder.take(cycle, picture(cycle.now_ns), found)
    recorder.close()
    (folder,) = recorder.written
    assert len(json.loads((folder / "event.json").read_text())["events"]) == 2


def test_what_follows_an_event_is_kept_of_each(tmp_path, cycles):
    """Of one that comes late into a recording no less than of the one that began it."""
    recorder = Recorder(tmp_path, "comet-7", VIEW, MOUNTING, 0.05, CONFIG)
    places = (80, 98, 110)  # seconds after the first: 0, 0.9, 1.5
    for number, cycle in enumerate(cycles):
        found = (Event("odd", cycle.now_ns, {}),) if number in places else ()
        recorder.take(cycle, picture(cycle.now_ns), found)
    first, second = sorted(recorder.written)
    said = [json.loads((folder / "event.json").read_text())["events"] for folder in (first, second)]
    assert [[event["after_s"] for event in events] for events in said] == [[3.0, pytest.approx(3.9)], [3.0]]
    for folder, seconds in ((first, 4.9), (second, 4.0)):
        (drive,) = receive(next(r for r in find_recordings(folder))).drives
        assert (drive.ego.timestamps_ns[-1] - drive.ego.timestamps_ns[0]) / 1e9 == pytest.approx(seconds, abs=0.3)


def test_without_events_nothing_is_written(tmp_path, cycles):
    assert recorded(tmp_path, cycles[:60]).written == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pictured", [True, False], ids=["camera", "no camera"])
def test_what_is_overtaken_while_it_waits_to_be_written_is_counted(tmp_path, cycles, pictured):
    waiting = []
    recorder = recorded(tmp_path, cycles, waiting.append)
    later = [replace(cycle, now_ns=cycle.now_ns + 10**10, changed=False) for cycle in cycles]
    for cycle in later:
        recorder.take(cycle, picture(cycle.now_ns) if pictured else None)
    for job in waiting:
        job()
    assert recorder.overtaken == len(waiting) == 1
    assert recorder.written == []


def test_memory_is_made_once(tmp_path, cycles):
    recorder = Recorder(tmp_path, "comet-7", VIEW, MOUNTING, 0.05, CONFIG)
    before = (recorder._pictures.ctypes.data, recorder._rows.ctypes.data, recorder._pictures.nbytes)
    for cycle in cycles:
        recorder.take(cycle, picture(cycle.now_ns))
    assert (recorder._pictures.ctypes.data, recorder._rows.ctypes.data, recorder._pictures.nbytes) == before


def test_in_shadow_a_lasting_disagreement_is_an_event(comet):
    events = Events(ShadowConfig(lateral_mps2=0.1), True)
    with Bench(comet, shadow=True) as bench:
        bench.run(4.0)
        kinds = [event.kind for cycle in bench.cycles for event in events.see(cycle)]
    assert kinds == ["disagrees-turn"]
