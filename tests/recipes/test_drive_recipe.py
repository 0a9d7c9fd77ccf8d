"""dojo drive and dojo conformance: from a bundle to commands on a virtual bus, judged and recorded."""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from dojo import cli
from dojo.drive.limits import VERSION
from dojo.drive.recorder import RecorderConfig
from dojo.drive.shadow import ShadowConfig
from dojo.errors import ConfigError, ReleaseError
from dojo.evaluate.suites import SUITES
from dojo.fleet.gateway import find_recordings, receive
from dojo.recipes import drive as drive_recipe
from dojo.recipes.drive import DriveRun, camera_of, run
from dojo.recipes.drive_sim import Brain, SimulatedDrive, drive_scenario, drive_suites, human_driver
from dojo.recipes.run import read_record
from dojo.records import EgoState, Truth

QUIET = Console(quiet=True)
SHORT = SimulatedDrive(frame_every_s=0.2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A network that plans to go straight on at the speed that it is told."""
    path = Path(__file__).parents[1] / "drive" / "tiny_bundle.py"
    spec = importlib.util.spec_from_file_location("tiny_bundle_of_recipes", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def scenario():
    return replace(SUITES["lane_centring"](0)[1], duration_s=2.0, start_offset_m=0.0, start_yaw_rad=0.0)


@pytest.mark.parametrize("vehicle", ["aurora_comet", "borealis_tern"])
def test_a_scenario_is_driven_over_the_bus_of_each_platform(bundle, scenario, vehicle):
    rollout, cycles = drive_scenario(Brain.load(bundle, vehicle), scenario, SHORT)
    assert rollout.ended == "time_over"
    assert rollout.times_s[-1] == pytest.approx(2.0)
    assert len(cycles) == 40
    states = [cycle.mode.state for cycle in cycles]
    assert states.index("engaged") <= 8
    assert set(states[states.index("engaged") :]) == {"engaged"}
    # What the plant was asked for went through bytes: it is on the grid of the bus, near what was given.
    given = np.array([cycle.given.curvature_per_m for cycle in cycles])
    assert np.abs(rollout.asked_curvature_per_m[11:40] - given[10:39]).max() < 1.5e-5


def test_a_drive_repeats_to_the_last_bit(bundle, scenario):
    brain = Brain.load(bundle, "aurora_comet")
    first, again = (drive_scenario(brain, scenario, SHORT)[0] for _ in range(2))
    assert np.array_equal(first.x_m, again.x_m)
    assert np.array_equal(first.asked_curvature_per_m, again.asked_curvature_per_m)


def test_suites_are_judged_by_the_evaluation(bundle):
    result = drive_suites(bundle, "borealis_tern", ("lane_centring",), cases=1, config=SHORT)
    assert list(result) == ["lane_centring"]
    assert result["lane_centring"]["cases"] == 1
    assert result["lane_centring"]["completed"] in (0, 1)


def test_a_drive_leaves_its_record_and_what_happened(bundle, tmp_path):
    config = DriveRun(bundle, "aurora_comet", tmp_path, seconds=2.0, case=1, frame_every_s=0.2)
    facts = run(config, QUIET).facts
    assert json.loads((tmp_path / "drive.json").read_text()) == facts
    assert facts["licence"] == "none: a bundle on a bench"
    assert facts["unwritten"] == []
    assert facts["cycles"] == 40
    assert facts["counts"]["frames"] == 10
    assert facts["counts"]["plans"] == 9
    assert facts["losses"] == {"checksum": 0, "counter": 0, "length": 0, "out_of_range": 0, "unsent": 0}
    assert read_record(tmp_path / "run.json").verb == "drive"


def test_a_real_bus_is_entered_by_what_is_installed_alone(bundle, tmp_path):
    config = DriveRun(bundle, "aurora_comet", tmp_path / "out", interface="socketcan", camera="a:b")
    with pytest.raises(ConfigError, match=r"expected a vehicle's folder for the bus 'socketcan'.*run dojo install"):
        run(config, QUIET)
    assert not (tmp_path / "out").exists()


def test_what_is_installed_drives_under_its_licence_and_on_its_platform_alone(bundle, tmp_path, monkeypatch):
    def driving(folder, now):
        return nullcontext(
            SimpleNamespace(
                folder=bundle,
                licence=SimpleNamespace(platform="aurora_comet", licence_id="a-1", minimum_limits_version=least),
            )
        )

    least = VERSION
    (tmp_path / "state.json").write_text("{}")
    monkeypatch.setattr(drive_recipe, "driving", driving)
    config = DriveRun(tmp_path, "aurora_comet", tmp_path / "out", seconds=1.0, frame_every_s=0.2)
    assert run(config, QUIET).facts["licence"] == "a-1"
    with pytest.raises(
        ConfigError, match="expected --vehicle aurora_comet, for which it is licensed, got borealis_tern"
    ):
        run(replace(config, vehicle="borealis_tern"), QUIET)
    least = VERSION + 1
    with pytest.raises(
        ReleaseError, match=rf"limits_too_old: .*version {VERSION + 1} or later, this is version {VERSION}"
    ):
        run(config, QUIET)


def test_a_recording_that_cannot_be_written_is_told_and_the_next_one_is_written():
    def full():
        raise OSError(28, "No space left on device")

    done = []
    with drive_recipe._writer() as (later, failures):
        later(full)
        later(lambda: done.append("next"))
    assert done == ["next"]
    assert failures == ["OSError: [Errno 28] No space left on device"]


def test_in_shadow_disagreements_become_recordings_that_are_read(bundle, tmp_path):
    config = DriveRun(
        bundle,
        "borealis_tern",
        tmp_path,
        seconds=6.0,
        shadow=True,
        case=8,  # a bend, which the network does not see
        frame_every_s=0.2,
        recorder=RecorderConfig(before_s=3.0, after_s=1.0, writing_s=1.0),
        disagreement=ShadowConfig(lateral_mps2=0.3),
    )
    facts = run(config, QUIET).facts
    assert set(facts["states"]) == {"off", "ready"}
    assert facts["recordings"]
    (recording, *_) = find_recordings(tmp_path / "recordings")
    (drive,) = receive(recording).drives
    assert drive.vehicle_id == "borealis_tern"
    assert drive.rejections == ()


def test_conformance_is_a_command(capsys, tmp_path):
    assert cli.main(["conformance", "aurora_comet"]) == 0
    assert "a lost message hands back to the driver" in capsys.readouterr().out
    assert cli.main(["conformance", str(tmp_path)]) == 1
    assert "1 of 1 checks failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"interface": "socketcan"}, "expected an interface with a camera, or neither"),
        ({"camera": "a:b"}, "expected an interface with a camera, or neither"),
        ({"suite": "moon"}, "expected a case of .*, got case 0 of 'moon'"),
        ({"case": 99}, "got case 99 of 'lane_centring'"),
        ({"seconds": -1.0}, "expected seconds from 0"),
        ({"frame_every_s": 1.0}, r"frame_every_s of 0\.05 to 0\.2, got 0\.0 and 1\.0"),
    ],
)
def test_what_cannot_be_driven_is_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        DriveRun(Path(), "aurora_comet", **change)


def test_a_camera_that_is_not_there_is_said():
    with pytest.raises(ConfigError, match=r"camera 'no.such:thing': expected package\.module:function"):
        camera_of("no.such:thing")


def truth(**changes):
    values = {
        "offset_m": 0.0,
        "heading_error_rad": 0.0,
        "lanes_left": 0,
        "lane_width_m": 3.5,
        "progress_m": 0.0,
        "curvature_per_m": 0.0,
        "reference_mps": 20.0,
    }
    return Truth(**(values | changes))


def test_the_simulated_human_steers_back_and_keeps_away():
    ego = EgoState(0.0, 0.0, 0.0, 0.0, 20.0)
    assert human_driver(truth(), ego).curvature_per_m == 0.0
    assert human_driver(truth(offset_m=1.0), ego).curvature_per_m < 0
    assert human_driver(truth(heading_error_rad=-0.1), ego).curvature_per_m > 0
    assert human_driver(truth(reference_mps=10.0), ego).acceleration_mps2 < -3
    assert human_driver(truth(gap_m=10.0), ego).acceleration_mps2 == -3.5
    assert human_driver(truth(gap_m=200.0), ego).acceleration_mps2 == 0.0
