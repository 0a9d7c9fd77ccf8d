"""`dojo ingest`: check the recordings in a folder and store the drives that pass.

In: a folder of recordings of any known format. Out: a dataset; a table of what came in, what was refused and why;
`run.json`, which repeats it.
Idea: each recording is read, checked, resampled and encoded by one of several processes; this process alone writes
the dataset, one recording at a time, whole or not at all. So the run may be stopped or killed at any moment and
started again: what is stored is known by the hashes of its files and skipped, the rest is done. A recording that is
refused is remembered with its reason; it never stops the others.
Not here: the formats (`fleet/readers/`), the checks (`fleet/gates.py`), one recording's way (`receive.py`), how the
dataset stays whole (`store/dataset.py`).
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dojo.errors import ConfigError
from dojo.fleet.limits import Limits
from dojo.fleet.readers.reader import Recording
from dojo.recipes.receive import Gateway, Received, Receiver, fleet
from dojo.recipes.run import Outcome, record, write_record
from dojo.recipes.workers import ATTEMPTS, Died, work_through
from dojo.records import Rejection
from dojo.store import Dataset, DriveWithVideo
from dojo.store.lock import local_folder

_SPOOL_PREFIX = "dojo-ingest-"
_SHOWN_PER_GATE = 3


@dataclass(frozen=True)
class IngestConfig:
    """Check the recordings in a folder and store the drives that pass.

    Args:
        source: folder with recordings, for example a USB stick.
        dataset: folder or object-store URI of the dataset; made if there is none.
        cameras: names of the cameras to keep.
        max_fps: where frames follow one another faster, every second, third ... is kept.
        processes: how many work at once; 0 for one per core. With 1 the work is done in this process.
        retry_refused: try recordings that were refused entirely once more.
        spool: folder for encoded video on its way into the dataset; the system's temporary folder if not given.
        limits: what a drive may do before a gate refuses it or a part of it.
        out: folder for `run.json`; if not given, the dataset's own, or `runs/ingest` where that is an object store.
    """

    source: tyro.conf.Positional[Path]
    dataset: str = "runs/data"
    cameras: tuple[str, ...] = ("front",)
    max_fps: float = 20.0
    processes: int = 0
    retry_refused: bool = False
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
        if problems:
            raise ConfigError("ingest: " + "; ".join(problems))


@dataclass(frozen=True)
class IngestReport:
    """What one run of ingest did.

    Args:
        found: recordings with files that the dataset did not know.
        stored: recordings of which at least one drive was stored; `duplicate` ones gave nothing new.
        drives, hours, distance_km, vehicles, video_bytes: what was stored by this run.
        source_bytes: size of the files that were read.
        refused: reasons for recordings, or parts of them, that gave no drive.
        spans: reasons for spans of stored drives that are marked invalid.
        interrupted: whether the run was stopped before its end; the same command goes on.
        dataset_version, dataset_hash, dataset_drives: the dataset afterwards.
    """

    source: str
    dataset: str
    found: int = 0
    stored: int = 0
    duplicate: int = 0
    drives: int = 0
    hours: float = 0.0
    distance_km: float = 0.0
    vehicles: int = 0
    frames: int = 0
    source_bytes: int = 0
    video_bytes: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    refused: tuple[Rejection, ...] = ()
    spans: tuple[Rejection, ...] = ()
    dataset_version: str = ""
    dataset_hash: str = ""
    dataset_drives: int = 0


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
    if not config.source.is_dir():
        raise ConfigError(f"ingest: expected a folder with recordings, {config.source} is none; check the path")
    dataset = Dataset.create(config.dataset)
    if config.retry_refused:
        dataset.forget_refused()
    before = dataset.summary()
    recordings = list(gateway.find(config.source, dataset.known_files()))
    tally = _Tally(found=len(recordings))
    with _spool_folder(config.spool) as spool, _interruptible() as stopped, _progress(console, recordings) as advance:
        receiver = Receiver(gateway, config.cameras, config.max_fps, spool)
        with closing(work_through(receiver, recordings, _processes(config, recordings), stopped)) as results:
            for recording, received in results:
                tally.add(recording, *_store(dataset, recording, received))
                advance(recording)
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
        refused=tuple(sorted(tally.refused, key=_by_place)),
        spans=tuple(sorted(tally.spans, key=_by_place)),
        dataset_version=after.version,
        dataset_hash=dataset.content_hash(),
        dataset_drives=after.drives,
    )


def as_json(report: IngestReport) -> dict[str, Any]:
    """The report for machines: figures, number of refusals in all and by gate, and each with its reason."""
    plain = asdict(report)
    refused, spans = plain.pop("refused"), plain.pop("spans")
    return plain | {
        "refused": len(refused),
        "spans": len(spans),
        "gates": dict(Counter(item["gate"] for item in (*refused, *spans))),
        "rejections": [*refused, *spans],
    }


def render(report: IngestReport) -> Group:
    """What came in; below it, what was refused and why."""
    came_in = Table("came in", "", title=f"{report.source} into {report.dataset}", title_justify="left")
    speed = report.hours * 3600 / report.seconds if report.seconds else 0.0
    for what, how_much in (
        ("recordings", f"{report.found} new: {report.stored} stored, {report.duplicate} there already"),
        ("drives, vehicles", f"{report.drives} drives, {report.vehicles} vehicles"),
        ("time, distance", f"{_duration(report.hours)}, {_distance(report.distance_km)}"),
        (
            "video",
            f"{report.frames:,} frames, {_megabytes(report.source_bytes)} became {_megabytes(report.video_bytes)}",
        ),
        ("took", f"{report.seconds:.1f} s, {speed:.0f} times as fast as driven"),
        ("dataset now", f"{report.dataset_drives} drives, version {report.dataset_version}"),
    ):
        came_in.add_row(what, how_much)
    if report.interrupted:
        came_in.add_row("interrupted", "the rest is still to come: run the same command again")
    parts: list[Table | Text] = [came_in]
    if report.refused:
        parts.append(_reasons("refused", report.refused))
        parts.append(Text("What was refused is not tried again, unless you add --retry-refused."))
    if report.spans:
        parts.append(_reasons("spans left out of stored drives", report.spans))
    return Group(*parts)


@dataclass
class _Tally:
    """What has happened so far."""

    found: int
    stored: int = 0
    duplicate: int = 0
    source_bytes: int = 0
    vehicles: set[str] = field(default_factory=set)
    refused: list[Rejection] = field(default_factory=list)
    spans: list[Rejection] = field(default_factory=list)

    def add(self, recording: Recording, received: Received, new_drives: tuple[str, ...]) -> None:
        self.source_bytes += sum(file.size_bytes for file in recording.files)
        self.refused += received.rejections
        self.stored += bool(new_drives)
        self.duplicate += bool(received.drives) and not new_drives
        for drive in received.drives:
            if drive.drive_id in new_drives:
                self.vehicles.add(drive.vehicle_id)
                self.spans += drive.rejections


def _store(dataset: Dataset, recording: Recording, received: Received | Died) -> tuple[Received, tuple[str, ...]]:
    """Commit what came of a recording; with it, the ids of the drives that are new."""
    if isinstance(received, Died):
        reason = (
            f"expected the recording to be read, the process that read it ended {ATTEMPTS} times with exit code "
            f"{received.exit_code}; -9 usually means that memory ran out: use fewer processes and --retry-refused"
        )
        figures = (("exit_code", float(received.exit_code or 0)),)
        received = Received(rejections=(Rejection(recording.label, "process_died", reason, figures),))
    try:
        new = dataset.add_recording(
            tuple((str(file.path), file.sha256, file.size_bytes) for file in recording.files),
            [
                DriveWithVideo(
                    drive,
                    {s.name: received.video[drive.drive_id, s.name].chunks() for s in drive.cameras},
                )
                for drive in received.drives
            ],
            received.rejections,
        )
    finally:
        received.discard()
    return received, new


def _processes(config: IngestConfig, recordings: Sequence[Recording]) -> int:
    if config.processes == 1:
        return 1
    # Two even for a single recording: with one, the work would be done in this process, which must survive a crash.
    return max(2, min(config.processes or len(os.sched_getaffinity(0)), len(recordings)))


@contextmanager
def _spool_folder(chosen: Path | None) -> Iterator[Path]:
    """A folder of this run's own; those of runs that were killed are removed."""
    parent = Path(tempfile.gettempdir()) if chosen is None else chosen
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(f"{_SPOOL_PREFIX}*"):
        owner = old.name.removeprefix(_SPOOL_PREFIX).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_SPOOL_PREFIX}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the first time only asks to stop, the second time stops at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def note(*_: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    earlier = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, earlier)


@contextmanager
def _progress(console: Console | None, recordings: Sequence[Recording]) -> Iterator[Callable[[Recording], None]]:
    """A bar by recordings, with an estimate by bytes; nothing without a console."""
    if console is None:
        yield lambda recording: None
        return
    sizes = {id(recording): sum(file.size_bytes for file in recording.files) for recording in recordings}
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

        def advance(recording: Recording) -> None:
            bar.update(task, advance=sizes[id(recording)], done=bar.tasks[0].fields["done"] + 1)

        yield advance


def _reasons(title: str, rejections: Sequence[Rejection]) -> Table:
    """By gate: how many, and the first few of them whole, so that ten thousand files still fit a screen."""
    table = Table("gate", "how many", title=title, title_justify="left")
    for name in ("where", "why"):
        table.add_column(name, overflow="fold")  # a file that cannot be read in full cannot be found
    for gate, count in Counter(item.gate for item in rejections).most_common():
        same = [item for item in rejections if item.gate == gate]
        for place, item in enumerate(same[:_SHOWN_PER_GATE]):
            table.add_row("" if place else gate, "" if place else str(count), item.where, item.reason)
        if count > _SHOWN_PER_GATE:
            table.add_row("", "", "...", f"{count - _SHOWN_PER_GATE} more; --json lists them all")
    return table


def _by_place(rejection: Rejection) -> tuple[str, int, str]:
    return rejection.where, rejection.start_ns or 0, rejection.gate


def _duration(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 0.1 else f"{hours * 3600:.1f} s"


def _distance(distance_km: float) -> str:
    return f"{distance_km:.1f} km" if distance_km >= 1 else f"{distance_km * 1000:.0f} m"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
