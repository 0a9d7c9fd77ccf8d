"""A fleet follows from its seed alone, survives interruption, and its recordings are read back as they were meant."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.fleet.readers.teslacam import TeslaCamReader
from dojo.geometry.rigid import yaw_of
from dojo.records import Drive
from dojo.world import fleet
from dojo.world.fleet import FleetConfig, FleetManifest, simulate_fleet, time_of_day_s, vehicle_id
from dojo.world.road_design import make_road

TINY = FleetConfig(
    vehicles=2, regions=1, drives_per_vehicle=2, seconds_per_drive=4.0, width_px=144, height_px=80, focal_px=110.0,
    road_length_m=1500.0, saved_share=0.5, seed=5, processes=1, supersampling=(1, 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[FleetManifest, Path]:
    out = tmp_path_factory.mktemp("fleet")
    return simulate_fleet(TINY, out), out


def digests(out: Path) -> dict[str, str]:
    """What every recording of a fleet holds, by path."""
    files = [p for p in sorted(out.rglob("*")) if p.is_file() and p.suffix in (".mp4", ".json", ".toml")]
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p != out / "manifest.json"
    }


def drives_of(folder: Path) -> Iterator[tuple[Drive, Path]]:
    reader = TeslaCamReader()
    for recording in reader.find(folder, ()):
        reading = reader.read(recording)
        assert reading.rejections == ()
        for drive in reading.drives:
            yield drive, recording.files[0].path


def test_every_vehicle_leaves_a_teslacam_folder_a_description_and_the_truth(made: tuple[FleetManifest, Path]) -> None:
    manifest, out = made
    assert [v.vehicle_id for v in manifest.vehicles] == ["car-000", "car-001"]
    for vehicle in manifest.vehicles:
        folder = out / vehicle.vehicle_id
        videos = sorted(folder.rglob("*-front.mp4"))
        assert len(videos) == 2
        assert all(v.parent.name == "RecentClips" or v.parent.parent.name == "SavedClips" for v in videos)
        assert "front" in tomllib.loads((folder / "dojo-vehicle.toml").read_text())["cameras"]
        assert not list(folder.rglob("*.partial"))
        with np.load(folder / "truth.npz") as truth:
            assert len(truth["x_m"]) == sum(drive.frames for drive in vehicle.drives) == 80
    told = json.loads((out / "manifest.json").read_text())
    assert told["complete"]
    assert told["config"]["seed"] == 5
    assert set(told["versions"]) == {"dojo-driving", "numpy", "av", "panda3d"}
    assert manifest.video_s == pytest.approx(16.0, abs=0.1)


def test_a_saved_drive_lies_in_an_event_folder_with_its_event_file(made: tuple[FleetManifest, Path]) -> None:
    _, out = made
    events = sorted(out.rglob("event.json"))
    assert events
    for event in events:
        told = json.loads(event.read_text())
        assert all(isinstance(value, str) for value in told.values())
        assert datetime.strptime(event.parent.name, "%Y-%m-%d_%H-%M-%S").isoformat() == told["timestamp"]


def test_what_was_written_is_read_back_equal_field_by_field_and_frame_by_frame(
    made: tuple[FleetManifest, Path],
) -> None:
    _, out = made
    checked = 0
    for vehicle in ("car-000", "car-001"):
        with np.load(out / vehicle / "truth.npz") as loaded:
            truth = dict(loaded)
        for drive, path in drives_of(out / vehicle):
            mine = truth["start_local"] == path.name[:19]
            expected = {name.removeprefix("sei_"): values[mine] for name, values in truth.items() if "sei_" in name}
            t = drive.telemetry
            for signal, values in (
                (t.speed_mps, expected["vehicle_speed_mps"]),
                (t.accelerator_pedal, expected["accelerator_pedal_position"]),
                (t.steering_wheel_angle_rad, expected["steering_wheel_angle"] * (-np.pi / 180)),
                (t.blinker_left, expected["blinker_on_left"]),
                (t.blinker_right, expected["blinker_on_right"]),
                (t.brake_applied, expected["brake_applied"]),
                (t.gear, expected["gear_state"]),
                (t.assist_state, expected["autopilot_state"]),
                (t.latitude_deg, expected["latitude_deg"]),
                (t.longitude_deg, expected["longitude_deg"]),
                (t.heading_rad, np.radians(90.0 - expected["heading_deg"])),
                (t.acceleration_x_mps2, expected["linear_acceleration_mps2_x"]),
                (t.acceleration_y_mps2, expected["linear_acceleration_mps2_y"]),
                (t.acceleration_z_mps2, expected["linear_acceleration_mps2_z"]),
            ):
                assert np.array_equal(signal.values, values.astype(np.float64))
                checked += len(values)
            times = drive.cameras[0].timestamps_ns
            # A container tick is 11 microseconds.
            assert np.abs(times - times[0] - truth["time_ns"][mine]).max() < 12_000
    assert checked == 160 * 14


def test_the_poses_that_ingest_makes_of_it_are_near_the_truth(made: tuple[FleetManifest, Path]) -> None:
    _, out = made
    with np.load(out / "car-000" / "truth.npz") as loaded:
        truth = dict(loaded)
    for drive, path in drives_of(out / "car-000"):
        mine = truth["start_local"] == path.name[:19]
        frames = np.searchsorted(drive.ego.timestamps_ns, drive.cameras[0].timestamps_ns).clip(
            max=len(drive.ego.timestamps_ns) - 1
        )
        # Where east is, the drive may not know; what counts is the path as seen from its first pose.
        start_rad = float(yaw_of(drive.ego.rotation[frames[0]]))
        made_m = as_seen_from(drive.ego.translation_m[frames, :2], start_rad)
        true_m = as_seen_from(np.stack([truth["x_m"][mine], truth["y_m"][mine]], -1), float(truth["yaw_rad"][mine][0]))
        length_m = np.linalg.norm(np.diff(true_m, axis=0), axis=1).sum()
        # The speed's scale is up to 1 % off, the heading a degree: a few metres in a hundred.
        assert np.linalg.norm(made_m - true_m, axis=1).max() < 0.03 * length_m + 0.5


def as_seen_from(points_m: np.ndarray, start_rad: float) -> np.ndarray:
    """Places relative to the first, with the x axis along the first heading."""
    c, s = np.cos(start_rad), np.sin(start_rad)
    return (points_m - points_m[0]) @ np.array([[c, -s], [s, c]])


def test_a_fleet_is_the_same_on_any_number_of_processes(made: tuple[FleetManifest, Path], tmp_path: Path) -> None:
    manifest, out = made
    again = simulate_fleet(replace(TINY, processes=2), tmp_path)
    assert digests(tmp_path) == digests(out)
    assert again.vehicles == manifest.vehicles


def test_finished_vehicles_are_kept_and_missing_ones_made_again_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replace(TINY, drives_per_vehicle=1, seconds_per_drive=2.0)
    calls: list[int] = []
    simulate = fleet.simulate_vehicle

    def counted(config: FleetConfig, index: int, folder: Path) -> fleet.VehicleSummary:
        calls.append(index)
        if len(calls) == 2:
            (folder / f".{vehicle_id(index)}.partial" / "TeslaCam").mkdir(parents=True)
            raise KeyboardInterrupt
        return simulate(config, index, folder)

    monkeypatch.setattr(fleet, "simulate_vehicle", counted)
    with pytest.raises(KeyboardInterrupt):
        simulate_fleet(one, tmp_path)
    first = digests(tmp_path)
    seen: list[str] = []
    simulate_fleet(one, tmp_path, lambda summary: seen.append(summary.vehicle_id))
    assert calls == [0, 1, 1]
    assert seen == ["car-000", "car-001"]
    assert first.items() <= digests(tmp_path).items()
    assert not list(tmp_path.glob(".*"))


def test_a_folder_with_another_fleet_is_refused(made: tuple[FleetManifest, Path]) -> None:
    _, out = made
    with pytest.raises(ConfigError, match=r"found one with \(there, wanted\) \{'seed': \(5, 6\)\}; remove the folder"):
        simulate_fleet(replace(TINY, seed=6), out)


def test_every_region_has_every_kind_of_road_equally_often_and_its_own() -> None:
    config = FleetConfig()
    kinds: dict[int, list[str]] = {}
    roads: dict[int, set[int]] = {}
    for index in range(config.vehicles):
        for number in range(config.drives_per_vehicle):
            region, kind, seed = fleet.road_of(config, index, number)
            kinds.setdefault(region, []).append(kind)
            roads.setdefault(region, set()).add(seed)
    assert all(sorted(of_region) == sorted(["rural", "suburban", "motorway"] * 2) for of_region in kinds.values())
    assert len(set().union(*roads.values())) == sum(len(seeds) for seeds in roads.values())
    origins = [make_road(seed, "rural", 300.0).origin_deg_m for seeds in roads.values() for seed in seeds]
    apart = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for i, a in enumerate(origins) for b in origins[:i]]
    assert min(apart) > 0.1  # degrees: about ten kilometres, twice a road's length


def test_the_hour_fits_the_light() -> None:
    assert all(18 * 3600 < time_of_day_s("dusk", seed) < 20 * 3600 for seed in range(20))
    assert all(20 * 3600 < time_of_day_s("night", seed) < 23 * 3600 for seed in range(20))
    assert all(8 * 3600 <= time_of_day_s("day", seed) <= 17 * 3600 for seed in range(20))


def test_several_cameras_see_the_same_drive_at_the_same_times(tmp_path: Path) -> None:
    config = replace(
        TINY, vehicles=1, drives_per_vehicle=1, seconds_per_drive=2.0, cameras=("front", "left_repeater"), seed=9
    )
    simulate_fleet(config, tmp_path)
    shown = {}
    for path in tmp_path.rglob("*.mp4"):
        with av.open(str(path)) as container:
            shown[path.name[20:]] = [(f.pts, bytes(f.side_data[0])) for f in container.decode(video=0)]
    assert set(shown) == {"front.mp4", "left_repeater.mp4"}
    assert shown["front.mp4"] == shown["left_repeater.mp4"]


def test_a_fleet_that_cannot_be_is_refused_with_every_fault_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        FleetConfig(vehicles=0, fps=0.5, width_px=641, cameras=("frnt",), saved_share=2.0)
    for fault in (
        "vehicles must be at least 1, got 0",
        "fps must be from 1 to 60, got 0.5",
        "got 641 x 288",
        "got frnt",
        "saved_share must be from 0 to 1, got 2.0",
    ):
        assert fault in str(refused.value)
