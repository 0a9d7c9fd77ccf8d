"""`dojo ingest`: check the recordings in a folder and store the drives that pass.

In: a folder of recordings of any known format. Out: a dataset; a table of what came in, what was refused and why;
`run.json`, which repeats it.
Idea: each recording is read, checked, resampled and encoded by one of several processes, here or on the machines of a
cluster, by the same functions; this process alone writes the dataset, each recording whole or not at all. So the run
may be stopped or killed at any moment and started again: what is stored is known by the hashes of its files and
skipped, the rest is done. Recordings that are done within a second of one another are stored in one act. A recording
that is refused is remembered with its reason; it never stops the others.
Not here: the formats (`fleet/readers/`), the checks (`fleet/gates.py`), one recording's way (`receive.py`), where
recordings lie (`sources.py`), processes (`workers.py`, `engine.py`), how the dataset stays whole (`store/dataset.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dojo.errors import ConfigError
from dojo.fleet.limits import Limits
from dojo.recipes import engine, workers
from dojo.recipes.ingest_report import IngestReport, as_json, by_place, render
from dojo.recipes.receive import Carrier, Gateway, Received, Receiver, fleet
from dojo.recipes.run import Outcome, record, write_record
from dojo.recipes.scratch import scratch
from dojo.recipes.sources import Found, source_of
from dojo.recipes.workers import Died, interruptible
from dojo.records import Rejection
from dojo.store import Dataset, DriveWithVideo
from dojo.store.dataset import Arrival
from dojo.store.lock import local_folder
from dojo.store.tombstones import Tombstones

__all__ = ["CONFIG", "CONFIGS", "IngestConfig", "IngestReport", "as_json", "ingest", "render", "run"]

_TOGETHER_BYTES = 64 << 20
"""Video that waits to be stored, at most and but for one recording: on a cluster it waits in this process's memory."""

_Result = tuple[Found, Received | Died]


@dataclass(frozen=True)
class IngestConfig:
    """Check the recordings in a folder and store the drives that pass.

    Args:
        source: folder with recordings, for example a USB stick, or object storage, for example `s3://bucket/fleet`.
        dataset: folder or object-store URI of the dataset; made if there is none.
        cameras: names of the cameras to keep.
        max_fps: where frames follow one another faster, every second, third ... is kept.
        processes: how many work at once; 0 for one per core. With 1 the work is done in this process.
        cluster: a Ray cluster that does the work instead: `ray://host:10001`, `auto` on a machine of one, or `local`
            for one that is started on this machine. Its machines must have Dojo installed and see the source.
        together_s: recordings that are done within so many seconds are stored in one act, and if the run is killed done
            again; 0 stores each by itself.
        retry_refused: try recordings that were refused entirely once more.
        even_erased: take in what was erased from the dataset once.
        spool: folder for encoded video on its way into the dataset; the system's temporary folder if not given.
        limits: what a drive may do before a gate refuses it or a part of it.
        out: folder for `run.json`; if not given, the dataset's own, or `runs/ingest` where that is an object store.
    """

    source: tyro.conf.Positional[str | Path]
    dataset: str = "runs/data"
    cameras: tuple[str, ...] = ("front",)
    max_fps: float = 20.0
    processes: int = 0
    cluster: str | None = None
    together_s: float = 1.0
    retry_refused: bool = False
    even_erased: bool = False
    spool: Path | None = None
    limits: Limits = field(default_factory=Limits)
    out: Path | None = None

    def __post_init__(self) -> None:
        problems = []
        if not self.dataset:
            problems.append("dataset is empty; name a folder or an object-store URI")
        if not self.cameras or not all(self.cameras) or len(set(self.cameras)) != len(self.cameras):
            problems.append(f"cameras must be different names, at least one, got {self.cameras}; for example front")
        if not 0 < self.max_fps < float("inf"):
            problems.append(f"max_fps must be positive, got {self.max_fps}; 20 suits the model's 5 Hz")
        if self.processes < 0:
            problems.append(f"processes must not be negative, got {self.processes}; 0 takes one per core")
        if not 0 <= self.together_s < float("inf"):
            problems.append(f"together_s must not be negative, got {self.together_s}; 1 suits any disk")
        if problems:
            raise ConfigError("ingest: " + "; ".join(problems))


CONFIG = IngestConfig
CONFIGS = {"ingest": IngestConfig}


def run(config: IngestConfig, console: Console) -> Outcome:
    """Ingest, say what came of it, and write down how; a run that finds nothing new leaves the record of the last."""
    report = ingest(config, console)
    folder = config.out or local_folder(config.dataset) or Path("runs/ingest")
    if report.found or not (folder / "run.json").exists():
        write_record(folder, record("ingest", config, dataset_version=report.dataset_version))
    return Outcome(as_json(report), render(report))


def ingest(config: IngestConfig, console: Console | None = None, gateway: Gateway | None = None) -> IngestReport:
    """Bring everything new below `source` into the dataset.

    Args:
        console: where to show progress; None shows none.
        gateway: how recordings are found and read; the fleet's with the limits of `config` if None.

    Raises:
        ConfigError: the source is no folder.
        StoreError: the dataset or the spool cannot be written; what was stored before is whole.
    """
    started = time.monotonic()
    gateway = gateway or fleet(config.limits)
    source = source_of(config.source)
    dataset = Dataset.create(config.dataset)
    if config.retry_refused:
        dataset.forget_refused()
    before = dataset.summary()
    with scratch("ingest", config.spool) as spool, interruptible() as stopped, _work(config, stopped) as work:
        waiting = source.find(gateway, dataset.known_files(), work)
        tally = _Tally()
        recordings = list(_admitted(config, dataset, waiting, tally))
        tally.found = len(recordings)
        receive = source.received(Receiver(gateway, config.cameras, config.max_fps, spool))
        with _progress(console, recordings) as advance:
            received_by = receive if config.cluster is None else Carrier(receive)
            with closing(work(received_by, recordings)) as results:
                for some in _together(results, config.together_s):
                    for found, received, new_drives in _store(config, dataset, some):
                        tally.add(found, received, new_drives)
                        advance(found)
        interrupted = stopped()
    after = dataset.summary()
    return IngestReport(
        source=str(config.source),
        dataset=config.dataset,
        found=tally.found,
        stored=tally.stored,
        duplicate=tally.duplicate,
        drives=after.drives - before.drives,
        hours=after.hours - before.hours,
        distance_km=after.distance_km - before.distance_km,
        vehicles=len(tally.vehicles),
        frames=after.frames - before.frames,
        source_bytes=tally.source_bytes,
        video_bytes=after.video_bytes - before.video_bytes,
        seconds=time.monotonic() - started,
        interrupted=interrupted,
        erased=tally.erased,
        refused=tuple(sorted(tally.refused, key=by_place)),
        spans=tuple(sorted(tally.spans, key=by_place)),
        dataset_version=after.version,
        dataset_hash=dataset.content_hash(),
        dataset_drives=after.drives,
    )


@dataclass
class _Tally:
    """What has happened so far."""

    found: int = 0
    erased: int = 0
    stored: int = 0
    duplicate: int = 0
    source_bytes: int = 0
    vehicles: set[str] = field(default_factory=set)
    refused: list[Rejection] = field(default_factory=list)
    spans: list[Rejection] = field(default_factory=list)

    def add(self, found: Found, received: Received, new_drives: tuple[str, ...]) -> None:
        self.source_bytes += sum(size_bytes for *_, size_bytes in found.files)
        self.refused += received.rejections
        self.stored += bool(new_drives)
        self.erased += received.erased
        self.duplicate += bool(received.drives) and not new_drives and not received.erased
        for drive in received.drives:
            if drive.drive_id in new_drives:
                self.vehicles.add(drive.vehicle_id)
                self.spans += drive.rejections


def _admitted(config: IngestConfig, dataset: Dataset, waiting: Sequence[Found], tally: _Tally) -> Iterator[Found]:
    """Those of which no file was erased; counts the others."""
    graves = Tombstones(dataset.uri, dataset.storage_options)
    erased = graves.files(sha256 for found in waiting for _, sha256, _ in found.files)
    for found in waiting:
        if config.even_erased or not erased.intersection(sha256 for _, sha256, _ in found.files):
            yield found
        else:
            tally.erased += 1


def _together(results: Iterable[_Result], together_s: float) -> Iterator[list[_Result]]:
    """Results as they come, those of so many seconds, or of so many bytes, at a time."""
    waiting: list[_Result] = []
    last_s, size_bytes = time.monotonic(), 0
    for found, received in results:
        waiting.append((found, received))
        size_bytes += 0 if isinstance(received, Died) else received.size_bytes()
        if time.monotonic() - last_s >= together_s or size_bytes >= _TOGETHER_BYTES:
            yield waiting
            waiting, last_s, size_bytes = [], time.monotonic(), 0
    if waiting:
        yield waiting


def _store(
    config: IngestConfig, dataset: Dataset, results: Sequence[_Result]
) -> list[tuple[Found, Received, tuple[str, ...]]]:
    """Commit what came of some recordings; with each, the ids of the drives that are new."""
    done = [
        (found, Received(rejections=(_given_up(found, received),)) if isinstance(received, Died) else received)
        for found, received in results
    ]
    try:
        if not config.even_erased:
            graves = Tombstones(dataset.uri, dataset.storage_options)
            # Nothing of what was erased is written down, neither its name nor the hashes of its files.
            done = [
                (found, Received(erased=True) if graves.vehicles({d.vehicle_id for d in received.drives}) else received)
                for found, received in done
            ]
        kept = [(found, received) for found, received in done if not received.erased]
        arrivals = [Arrival(found.files, _with_video(received), received.rejections) for found, received in kept]
        new = iter(dataset.add_recordings(arrivals, even_erased=config.even_erased))
    finally:
        for _, received in results:
            if not isinstance(received, Died):
                received.discard()
    return [(found, received, () if received.erased else next(new)) for found, received in done]


def _with_video(received: Received) -> list[DriveWithVideo]:
    return [
        DriveWithVideo(drive, {s.name: received.video[drive.drive_id, s.name].chunks() for s in drive.cameras})
        for drive in received.drives
    ]


def _given_up(found: Found, died: Died) -> Rejection:
    code = "an exit code that is not known" if died.exit_code is None else f"exit code {died.exit_code}"
    reason = (
        f"expected the recording to be read, the process that read it ended {died.attempts} times with {code}; -9 "
        "usually means that memory ran out: use fewer processes and --retry-refused"
    )
    return Rejection(found.label, "process_died", reason, (("exit_code", float(died.exit_code or 0)),))


Work = Callable[[Callable[[Any], Any], Sequence[Any]], Generator[tuple[Any, Any]]]


@contextmanager
def _work(config: IngestConfig, stopped: Callable[[], bool]) -> Iterator[Work]:
    """What runs a function over tasks: a cluster where one is named, else processes of this machine."""
    if config.cluster is not None:
        with engine.connected(config.cluster, config.processes):
            yield partial(engine.work_through, stop=stopped)
        return
    yield lambda function, tasks: workers.work_through(function, tasks, _processes(config, tasks), stopped)


def _processes(config: IngestConfig, tasks: Sequence[object]) -> int:
    if config.processes == 1:
        return 1
    # Two even for a single recording: with one, the work would be done in this process, which must survive a crash.
    return max(2, min(config.processes or len(os.sched_getaffinity(0)), len(tasks)))


@contextmanager
def _progress(console: Console | None, recordings: Sequence[Found]) -> Iterator[Callable[[Found], None]]:
    """A bar by recordings, with an estimate by bytes; nothing without a console."""
    if console is None:
        yield lambda found: None
        return
    sizes = {id(found): sum(size_bytes for *_, size_bytes in found.files) for found in recordings}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]} of {task.fields[total_recordings]} recordings"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("ingest", total=max(1, sum(sizes.values())), done=0, total_recordings=len(recordings))

        def advance(found: Found) -> None:
            bar.update(task, advance=sizes.get(id(found), 0), done=bar.tasks[0].fields["done"] + 1)

        yield advance
