"""A fleet of simulated vehicles that leaves behind what a customer's vehicles leave: TeslaCam folders.

In: a `FleetConfig`. Out: per vehicle `<vehicle>/TeslaCam/...`, `<vehicle>/dojo-vehicle.toml`, `<vehicle>/truth.npz`,
and one `manifest.json`.
Idea: everything follows from the seed and the vehicle's number, so vehicles are made in any order on any number of
processes, and one that is missing is made again exactly. A vehicle's folder appears under its name only when it is
whole. Vehicles of one region share its roads, one of every kind, and no road belongs to two regions: whoever splits
by place finds the same mix of roads on both sides.
Not here: one drive (`trip.py`), the bytes (`teslacam.py`), the pictures (`render.py`), cameras (`mounting.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dojo.errors import ConfigError
from dojo.geometry import Camera
from dojo.world.driver import Style
from dojo.world.mounting import MOUNTINGS, describe_vehicle, draw_camera
from dojo.world.render import Renderer
from dojo.world.road import RoadKind
from dojo.world.road_design import make_road
from dojo.world.sensors import SensorErrors, Sensors
from dojo.world.stage import queue_ahead
from dojo.world.teslacam import CarFrame, SeiMetadata, file_stem, write_event, write_minutes
from dojo.world.trip import Moment, trip
from dojo.world.vehicle import VehicleParameters
from dojo.world.weather import Look, Weather

KINDS: tuple[RoadKind, ...] = ("rural", "suburban", "motorway")


_REGIONS = 1_000_000
"""Seeds of regions follow those of vehicles at this distance."""


@dataclass(frozen=True)
class FleetConfig:
    """A simulated fleet.

    Args:
        vehicles: how many.
        regions: groups of vehicles that share roads.
        drives_per_vehicle: each on another road of its region, in other weather.
        seconds_per_drive: length of each recording.
        fps: frames per second.
        width_px, height_px, focal_px: of the pictures; the default covers the model view however the camera is mounted.
        supersampling: columns and rows drawn per column and row of the picture; (2, 2) is smoothest and slowest.
        cameras: which of the car's cameras are recorded.
        queue_share: share of drives on which whoever is ahead comes upon a queue, stops and moves off.
        saved_share: share of drives kept as a saved event instead of in the ring of recent clips.
        road_length_m: of every road.
        crf: x264 quality; smaller is better and larger.
        seed: everything follows from it.
        processes: how many at once; 0: one per core. Changes nothing in the result.
    """

    vehicles: int = 24
    regions: int = 8
    drives_per_vehicle: int = 2
    seconds_per_drive: float = 50.0
    fps: float = 10.0
    width_px: int = 512
    height_px: int = 288
    focal_px: float = 392.0
    supersampling: tuple[int, int] = (1, 2)
    cameras: tuple[str, ...] = ("front",)
    queue_share: float = 0.3
    saved_share: float = 0.25
    road_length_m: float = 5000.0
    crf: int = 23
    seed: int = 1
    processes: int = 0

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be at least {least}, got {getattr(self, name)}"
            for name, least in (
                ("vehicles", 1),
                ("regions", 1),
                ("drives_per_vehicle", 1),
                ("processes", 0),
            )
            if getattr(self, name) < least
        ]
        if not 1.0 <= self.seconds_per_drive <= 3600.0:
            faults.append(f"seconds_per_drive must be from 1 to 3600, got {self.seconds_per_drive}")
        if not 1.0 <= self.fps <= 60.0:
            faults.append(f"fps must be from 1 to 60, got {self.fps}")
        if self.width_px % 2 or self.height_px % 2 or min(self.width_px, self.height_px) < 32:
            faults.append(f"pictures must be even and at least 32 pixels, got {self.width_px} x {self.height_px}")
        unknown = sorted(set(self.cameras) - set(MOUNTINGS))
        if unknown or not self.cameras:
            faults.append(f"cameras must be some of {', '.join(MOUNTINGS)}, got {', '.join(self.cameras) or 'none'}")
        if min(self.supersampling) < 1:
            faults.append(f"supersampling must be at least 1 along both axes, got {self.supersampling}")
        for name in ("queue_share", "saved_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                faults.append(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if faults:
            raise ConfigError("fleet: " + "; ".join(faults))


@dataclass(frozen=True)
class DriveSummary:
    """One drive as simulated."""

    road_kind: str
    road_seed: int
    weather: str
    frames: int
    seconds: float
    metres: float


@dataclass(frozen=True)
class VehicleSummary:
    """One vehicle as simulated."""

    vehicle_id: str
    region: int
    drives: tuple[DriveSummary, ...]


@dataclass(frozen=True)
class FleetManifest:
    """What a fleet left behind."""

    config: FleetConfig
    versions: Mapping[str, str]
    vehicles: tuple[VehicleSummary, ...]

    @property
    def video_s(self) -> float:
        """Seconds of video, each camera counted."""
        cameras = len(self.config.cameras)
        return cameras * sum(drive.seconds for vehicle in self.vehicles for drive in vehicle.drives)


def vehicle_id(index: int) -> str:
    """The name of a vehicle's folder."""
    return f"car-{index:03d}"


def simulate_fleet(
    config: FleetConfig, out: Path, progress: Callable[[VehicleSummary], None] = lambda _summary: None
) -> FleetManifest:
    """The manifest of a fleet whose recordings now lie in `out`; vehicles already there are kept.

    Args:
        progress: called in this process for each vehicle as it is done, or found done.

    Raises:
        ConfigError: `out` holds a fleet of another configuration.
    """
    out.mkdir(parents=True, exist_ok=True)
    _claim(config, out)
    done: dict[int, VehicleSummary] = {}
    for index in range(config.vehicles):
        if (out / vehicle_id(index) / "summary.json").exists():
            done[index] = _read_summary(out / vehicle_id(index) / "summary.json")
            progress(done[index])
    missing = [index for index in range(config.vehicles) if index not in done]
    for index, summary in _simulate_each(config, missing, out):
        done[index] = summary
        progress(summary)
    manifest = FleetManifest(config, _versions(), tuple(done[index] for index in sorted(done)))
    _write_json(out / "manifest.json", {**asdict(manifest), "complete": True})
    return manifest


def _simulate_each(config: FleetConfig, indices: list[int], out: Path) -> Iterator[tuple[int, VehicleSummary]]:
    """Vehicles as they are done, in this process or on several."""
    processes = min(config.processes or os.cpu_count() or 1, len(indices))
    if processes <= 1:
        for index in indices:
            yield index, simulate_vehicle(config, index, out)
        return
    others = set(active_children())
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_prepare_process) as pool:
        waiting = {pool.submit(simulate_vehicle, config, index, out): index for index in indices}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            # After an interruption nobody waits for the vehicles under way: not being whole, they are made again.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()) - others:
                process.terminate()
            raise


def _prepare_process() -> None:
    """One core for each process; Ctrl-C is the parent's to decide on, whose end ends it."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# ------------------------------------------------------------------------------------------------------ one vehicle


def simulate_vehicle(config: FleetConfig, index: int, out: Path) -> VehicleSummary:
    """Drive one vehicle's drives and put its folder in place."""
    folder, partial = out / vehicle_id(index), out / f".{vehicle_id(index)}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    seed = _seed(config.seed, index)
    cameras = {
        name: draw_camera(name, config.width_px, config.height_px, config.focal_px, seed) for name in config.cameras
    }
    utc_offset_h = float(np.random.default_rng((seed, 0x07C)).integers(-8, 3))
    summaries, truth = [], []
    for number in range(config.drives_per_vehicle):
        recorder = _Recorder(config, index, number, cameras)
        for name in config.cameras:
            recorder.record(partial / "TeslaCam", name)
        summaries.append(recorder.summary())
        truth.append(recorder.truth())
    car = VehicleParameters.draw(seed)
    (partial / "dojo-vehicle.toml").write_text(describe_vehicle(car, cameras, utc_offset_h), encoding="utf-8")
    columns: dict[str, Any] = {key: np.concatenate([one[key] for one in truth]) for key in truth[0]}
    np.savez_compressed(partial / "truth.npz", **columns)
    summary = VehicleSummary(vehicle_id(index), index % config.regions, tuple(summaries))
    _write_json(partial / "summary.json", asdict(summary))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return summary


def road_of(config: FleetConfig, index: int, number: int) -> tuple[int, RoadKind, int]:
    """Region, kind and seed of the road of a vehicle's drive; within a region, the kinds take turns."""
    region = index % config.regions
    kind = KINDS[(index // config.regions + number) % len(KINDS)]
    return region, kind, _seed(config.seed, _REGIONS + region)


class _Recorder:
    """One drive of one vehicle: driven once per camera, always the same, because all of it follows from the seed."""

    def __init__(self, config: FleetConfig, index: int, number: int, cameras: Mapping[str, Camera]) -> None:
        self._config, self._cameras = config, cameras
        seed = _seed(config.seed, index)
        self._seed = _seed(seed, number)
        self._car, self._style, self._errors = VehicleParameters.draw(seed), Style.draw(seed), SensorErrors.draw(seed)
        self._region, kind, road_seed = road_of(config, index, number)
        self._road = make_road(road_seed, kind, config.road_length_m)
        self._look = Look.draw(self._seed)
        # Far enough apart that no two drives share a minute, at an hour that fits the light.
        days = np.random.default_rng((seed, 0xDA7E)).integers(0, 300) + number
        self._start = datetime(2026, 1, 5) + timedelta(
            days=int(days), seconds=time_of_day_s(self._look.weather, self._seed)
        )
        self._rows: list[tuple[Moment, SeiMetadata]] = []

    def record(self, teslacam: Path, camera: str) -> None:
        """Write the files of one camera."""
        saved = np.random.default_rng((self._seed, 0x5A7E)).random() < self._config.saved_share
        event_time = self._start + timedelta(seconds=self._config.seconds_per_drive)
        folder = teslacam / "SavedClips" / file_stem(event_time) if saved else teslacam / "RecentClips"
        write_minutes(folder, camera, self._start, self._frames(camera), crf=self._config.crf)
        if saved:
            last = self._rows[-1][1]
            write_event(
                folder,
                local_time=event_time,
                city=f"Region {self._region}",
                latitude_deg=last.latitude_deg,
                longitude_deg=last.longitude_deg,
                reason="user_interaction_dashcam_icon_tapped",
            )

    def _frames(self, camera: str) -> Iterator[CarFrame]:
        config = self._config
        sensors = Sensors(self._errors, self._road.origin_deg_m, self._seed)
        self._rows = []
        moments = trip(
            self._road,
            self._car,
            self._style,
            seconds=config.seconds_per_drive,
            fps=config.fps,
            seed=self._seed,
            cast=partial(queue_ahead, self._road, config.queue_share, self._seed),
        )
        first_number = int(np.random.default_rng((self._seed, 0x5E9)).integers(1, 100_000))
        # Scenery follows the drive, not the road: gardens and seasons change, and a model should not learn one tree.
        with Renderer(
            self._road, self._cameras[camera], self._look, self._seed, supersampling=config.supersampling
        ) as renderer:
            for number, moment in enumerate(moments):
                message = sensors.read(moment.state, moment.ego_pose[3], moment.action, first_number + number)
                self._rows.append((moment, message))
                others = moment.traffic.bodies(moment.since_step_s)
                rgb = renderer.render(moment.ego_pose, others, moment.state.time_s)
                yield CarFrame(moment.time_ns, moment.end_ns, rgb, message)

    def summary(self) -> DriveSummary:
        """What was driven."""
        first, last = self._rows[0][0], self._rows[-1][0]
        return DriveSummary(
            self._road.kind,
            self._road.seed,
            self._look.weather,
            len(self._rows),
            last.end_ns / 1e9,
            last.s_m - first.s_m,
        )

    def truth(self) -> dict[str, np.ndarray]:
        """Per frame what was written (`sei_*`) and what was so, with the local start time of the drive."""
        moments = [moment for moment, _ in self._rows]
        columns: dict[str, list[object]] = {
            f"sei_{field.name}": [getattr(message, field.name) for _, message in self._rows]
            for field in fields(SeiMetadata)
        }
        columns |= {
            "start_local": [file_stem(self._start)] * len(moments),
            "time_ns": [m.time_ns for m in moments],
            "x_m": [m.state.x_m for m in moments],
            "y_m": [m.state.y_m for m in moments],
            "z_m": [m.ego_pose[3] for m in moments],
            "pitch_rad": [m.ego_pose[4] for m in moments],
            "roll_rad": [m.ego_pose[5] for m in moments],
            "yaw_rad": [m.state.yaw_rad for m in moments],
            "speed_mps": [m.state.speed_mps for m in moments],
            "acceleration_mps2": [m.state.acceleration_mps2 for m in moments],
            "yaw_rate_radps": [m.state.yaw_rate_radps for m in moments],
            "steering_wheel_rad": [m.state.steering_wheel_rad for m in moments],
            "s_m": [m.s_m for m in moments],
            "lane": [m.lane for m in moments],
            "origin_deg_m": [self._road.origin_deg_m] * len(moments),
        }
        return {name: np.array(values) for name, values in columns.items()}


def time_of_day_s(weather: Weather, seed: int) -> int:
    """Seconds since midnight at which a drive in this weather begins. Assumed: dusk at seven, night before eleven."""
    first_h, last_h = {"dusk": (18.5, 19.5), "night": (20.5, 22.9)}.get(weather, (8.0, 17.0))
    return int(3600 * np.random.default_rng((seed, 0x70D)).uniform(first_h, last_h))


def _seed(*parts: int) -> int:
    """A seed that follows from others and collides with none of them."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


# ------------------------------------------------------------------------------------------------------ bookkeeping


def _claim(config: FleetConfig, out: Path) -> None:
    """Write whose folder this is, or refuse one that holds another fleet."""
    path, wanted = out / "manifest.json", _comparable(asdict(config))
    if path.exists():
        there = _comparable(json.loads(path.read_text(encoding="utf-8"))["config"])
        if there != wanted:
            other = {key: (there.get(key), wanted.get(key)) for key in wanted if there.get(key) != wanted.get(key)}
            raise ConfigError(
                f"{out}: expected an empty folder or this very fleet, found one with (there, wanted) {other}; "
                "remove the folder or choose another"
            )
        return
    _write_json(path, {"config": asdict(config), "versions": _versions(), "vehicles": [], "complete": False})


def _comparable(config: Mapping[str, object]) -> dict[str, object]:
    """What decides the bytes: everything but the number of processes, as JSON keeps it."""
    return {key: value for key, value in json.loads(json.dumps(config)).items() if key != "processes"}


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("dojo-driving", "numpy", "av", "panda3d")}


def _read_summary(path: Path) -> VehicleSummary:
    told = json.loads(path.read_text(encoding="utf-8"))
    return VehicleSummary(told["vehicle_id"], told["region"], tuple(DriveSummary(**drive) for drive in told["drives"]))


def _write_json(path: Path, value: object) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=2), encoding="utf-8")
    partial.replace(path)
