"""`dojo drive BUNDLE --vehicle VEHICLE`: camera frames through a bundle to commands, twenty a second.

In: a vehicle's folder with what is installed in it, a platform, a bus and a camera; or the folder of a bundle, a
platform and a simulated vehicle in the simulated world.
Out: commands on the bus; what happened in `drive.json`; a recording of the minute around every event.
Idea: the same runtime in all cases. On a real bus a clock drives it, the network thinks in a thread of its own and
recordings are written beside; in the simulated world time is counted, so that a drive repeats to the last bit. A real
bus is entered by what is installed alone: verified, licensed, and the same until the drive is over.
With `--shadow` the output is disconnected: somebody else drives, and the moments are kept at which the bundle would
have driven otherwise, as recordings that `dojo ingest` takes.
Not here: what drives (`drive/`), installing a bundle (`install.py`), suites over a bus (`drive_sim.py`).
"""

from __future__ import annotations

import importlib
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from tyro.conf import Positional

from dojo.drive.can_bus import CanBus
from dojo.drive.events import Events
from dojo.drive.gateway import Gateway
from dojo.drive.limits import VERSION
from dojo.drive.recorder import Job, Recorder, RecorderConfig
from dojo.drive.runtime import STEPS, Cycle, Runtime, RuntimeConfig
from dojo.drive.schedule import Camera, scheduled
from dojo.drive.shadow import ShadowConfig
from dojo.drive.thinker import AtOnce, Beside
from dojo.errors import ConfigError, ReleaseError
from dojo.evaluate.controller import ControllerConfig
from dojo.evaluate.suites import SUITES
from dojo.recipes.drive_sim import Brain, SimulatedDrive, SimulatedVehicle
from dojo.recipes.run import Outcome, record, write_record, write_whole
from dojo.records import Frame
from dojo.release.install import driving

MakeCamera = Callable[[], Camera]


@dataclass(frozen=True)
class DriveRun:
    """Drive with a bundle.

    Args:
        bundle: a vehicle's folder into which `dojo install` installed; for a simulated vehicle also that of a bundle,
            as `dojo release` leaves it, which then is neither verified nor licensed.
        vehicle: a platform of Dojo's by name, or its folder.
        out: folder for the recordings and `drive.json`.
        interface, channel: of python-can, for example `socketcan` and `can0`; empty: a simulated vehicle.
        camera: of a real vehicle, as `package.module:function`, which returns a `dojo.drive.schedule.Camera`.
        seconds: how long; 0: the whole case of a simulated vehicle, or until interrupted.
        shadow: nothing is sent; disagreements are kept.
        suite, case: where a simulated vehicle drives.
        frame_every_s: between pictures.
    """

    bundle: Positional[Path]
    vehicle: str
    out: Path = Path("runs/drive")
    interface: str = ""
    channel: str = ""
    camera: str = ""
    seconds: float = 0.0
    shadow: bool = False
    suite: str = "lane_centring"
    case: int = 0
    frame_every_s: float = 0.05
    recorder: RecorderConfig = field(default_factory=RecorderConfig)
    disagreement: ShadowConfig = field(default_factory=ShadowConfig)
    controller: ControllerConfig = field(default_factory=ControllerConfig)

    def __post_init__(self) -> None:
        if bool(self.interface) != bool(self.camera):
            raise ConfigError(
                "drive: expected an interface with a camera, or neither for a simulated vehicle, got interface "
                f"{self.interface!r} and camera {self.camera!r}"
            )
        if self.suite not in SUITES or not 0 <= self.case < len(SUITES[self.suite](0)):
            raise ConfigError(f"drive: expected a case of {', '.join(SUITES)}, got case {self.case} of {self.suite!r}")
        if self.seconds < 0 or not 0.05 <= self.frame_every_s <= 0.2:
            raise ConfigError(
                f"drive: expected seconds from 0 and frame_every_s of 0.05 to 0.2, got {self.seconds} and "
                f"{self.frame_every_s}"
            )


CONFIG = DriveRun
CONFIGS = {"drive": DriveRun}

Step = tuple[Cycle, Frame | None]


def run(config: DriveRun, console: Console) -> Outcome:
    """Drive, and say what happened."""
    with _entered(config, datetime.now(UTC)) as (brain, licence):
        facts = _driven(config, brain) | {"licence": licence}
    write_whole(config.out / "drive.json", json.dumps(facts, indent=1) + "\n")
    return Outcome.listing("drive", facts)


@contextmanager
def _entered(config: DriveRun, now: datetime) -> Iterator[tuple[Brain, str]]:
    """What drives, and the licence under which: until the drive is over, nothing of it changes or expires.

    Raises:
        ReleaseError: a rule of what is installed.
        ConfigError: nothing is installed for a real bus, or for another platform.
    """
    if not (config.bundle / "state.json").is_file():
        if config.interface:
            raise ConfigError(
                f"{config.bundle}: expected a vehicle's folder for the bus {config.interface!r}, got one into which "
                "nothing was installed; run dojo install, or leave out the interface for a simulated vehicle"
            )
        yield Brain.load(config.bundle, config.vehicle), "none: a bundle on a bench"
        return
    with driving(config.bundle, now) as installed:
        brain, licence = Brain.load(installed.folder, config.vehicle), installed.licence
        if licence.platform != brain.adapter.platform.name:
            raise ConfigError(
                f"{config.bundle}: expected --vehicle {licence.platform}, for which it is licensed, got "
                f"{brain.adapter.platform.name}"
            )
        if licence.minimum_limits_version > VERSION:  # of the envelope that runs, whatever the vehicle's file says
            raise ReleaseError(
                "limits_too_old",
                f"{config.bundle}: expected limits of version {licence.minimum_limits_version} or later, this is "
                f"version {VERSION}",
            )
        yield brain, licence.licence_id


def _driven(config: DriveRun, brain: Brain) -> dict[str, Any]:
    write_record(config.out, record("drive", config))
    drive = _on_a_bus if config.interface else _simulated
    with _writer() as (later, failures):
        recorder = Recorder(
            config.out / "recordings",
            brain.adapter.platform.name,
            brain.manifest.camera.view,
            brain.adapter.platform.file.camera,
            RuntimeConfig().cycle_s,
            config.recorder,
            later if config.interface else lambda job: job(),
        )
        facts = drive(config, brain, recorder)
    written = [str(path) for path in recorder.written]
    return facts | {"recordings": written, "overtaken": recorder.overtaken, "unwritten": failures}


@contextmanager
def _writer() -> Iterator[tuple[Callable[[Job], None], list[str]]]:
    """A thread that does jobs one after the other, and all of them before it goes; and why some could not be done.

    A recording that cannot be written, on a disk that is full, never ends a drive, nor the recordings after it.
    """
    jobs: queue.Queue[Job | None] = queue.Queue()
    failures: list[str] = []

    def work() -> None:
        while (job := jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=work, name="recordings", daemon=True)
    thread.start()
    try:
        yield jobs.put, failures
    finally:
        jobs.put(None)
        thread.join()


def _watched(config: DriveRun, recorder: Recorder, steps: Iterable[Step]) -> Iterator[Cycle]:
    """The cycles, each of which the recorder has seen."""
    events = Events(config.disagreement, config.shadow)
    for cycle, frame in steps:
        recorder.take(cycle, frame, events.see(cycle))
        yield cycle
    recorder.close()


def _runtime_config(config: DriveRun) -> RuntimeConfig:
    return RuntimeConfig(frame_every_s=config.frame_every_s, shadow=config.shadow)


def _simulated(config: DriveRun, brain: Brain, recorder: Recorder) -> dict[str, Any]:
    """A case of a suite, in counted time."""
    scenario = SUITES[config.suite](0)[config.case]
    seconds = min(config.seconds or scenario.duration_s, scenario.duration_s)
    run_config, channel = _runtime_config(config), f"dojo-drive-{id(config)}"
    ends = (CanBus.open("virtual", channel), CanBus.open("virtual", channel))
    sim = SimulatedDrive(frame_every_s=config.frame_every_s)
    vehicle = SimulatedVehicle(scenario, brain.adapter, ends[1], sim, run_config.cycle_s, human=config.shadow)
    runtime, gateway = brain.runtime(ends[0], AtOnce(brain.policy), run_config, config.controller, vehicle.now_ns)

    def steps() -> Iterator[Step]:
        vehicle.broadcast()
        while vehicle.ego.time_s < seconds - 1e-9 and not vehicle.truth.road_over:
            frame = vehicle.frame()
            yield runtime.cycle(vehicle.now_ns, frame), frame
            vehicle.cycle()

    try:
        return _facts(list(_watched(config, recorder, steps())), runtime, gateway)
    finally:
        vehicle.close()
        for end in ends:
            end.close()


def _on_a_bus(config: DriveRun, brain: Brain, recorder: Recorder) -> dict[str, Any]:
    """A real vehicle, in real time, until the time is over or somebody interrupts."""
    camera, bus = _Tapped(camera_of(config.camera)), CanBus.open(config.interface, config.channel)
    run_config, thinker, tally = _runtime_config(config), Beside(brain.policy), _Tally()
    runtime, gateway = brain.runtime(bus, thinker, run_config, config.controller, time.monotonic_ns())
    until_ns = time.monotonic_ns() + round(config.seconds * 1e9) if config.seconds else 1 << 62
    cycles = scheduled(runtime.cycle, camera, run_config.cycle_s)
    steps = ((cycle, camera.last) for cycle in takewhile(lambda cycle: cycle.now_ns < until_ns, cycles))
    try:
        for cycle in _watched(config, recorder, steps):
            tally.add(cycle)
    except KeyboardInterrupt:
        recorder.close()
    finally:
        thinker.close()
        bus.close()
    return tally.facts(runtime, gateway)


class _Tapped:
    """A camera, and the frame that it gave last."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self.last: Frame | None = None

    def newest(self) -> Frame | None:
        """As the camera has it."""
        self.last = self._camera.newest()
        return self.last


def camera_of(name: str) -> Camera:
    """The camera at an import path.

    Raises:
        ConfigError: there is none.
    """
    module, _, function = name.partition(":")
    try:
        make: MakeCamera = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"camera {name!r}: expected package.module:function: {error}") from error
    return make()


class _Tally:
    """What is kept of cycles when they are too many to keep: memory that does not grow."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._spent = np.zeros(len(STEPS))
        self._worst_ns = 0
        self._cycles = 0

    def add(self, cycle: Cycle) -> None:
        """One more."""
        self._states[cycle.mode.state] += 1
        self._spent += cycle.spent_ns
        self._worst_ns = max(self._worst_ns, sum(cycle.spent_ns))
        self._cycles += 1

    def facts(self, runtime: Runtime, gateway: Gateway) -> dict[str, Any]:
        """Shares of states, counts, losses, times."""
        return {
            "cycles": self._cycles,
            "states": {state: round(number / self._cycles, 4) for state, number in self._states.items()},
            "counts": asdict(runtime.counts),
            "losses": asdict(gateway.losses),
            "mean_ms": {
                name: round(float(ns) / self._cycles / 1e6, 3) for name, ns in zip(STEPS, self._spent, strict=True)
            },
            "longest_ms": round(self._worst_ns / 1e6, 3),
        }


def _facts(cycles: Sequence[Cycle], runtime: Runtime, gateway: Gateway) -> dict[str, Any]:
    tally = _Tally()
    for cycle in cycles:
        tally.add(cycle)
    return tally.facts(runtime, gateway)
