"""Any video or folder of pictures beside any table of telemetry, declared in a `*.dojo.toml`.

In: a description (`video_table_file.py`) and the files that it names. Out: one drive, its path smoothed from the
telemetry (`fleet/ego.py`).
Idea: a fleet comes in without code. Whatever contradicts the description (a column that is not there, text where
numbers belong, rows that do not match frames) is listed whole, so that one round of corrections is enough. A video that
nobody describes is a recording too: it is reported as having no telemetry, not passed over.
Not here: what the description may say (`video_table_file.py`), reading columns (`tables.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordingError
from dojo.fleet.ego import smooth
from dojo.fleet.gates import clean
from dojo.fleet.readers.decode import check_video, read_frames
from dojo.fleet.readers.pictures import check_pictures, read_pictures
from dojo.fleet.readers.reader import Reading, Recording, SourceFile, drive_id_of, source_file
from dojo.fleet.readers.stream import stream_of
from dojo.fleet.readers.tables import Table, as_numbers, as_times_ns, column, load_table
from dojo.fleet.readers.video_table_file import PTS, SUFFIX, CameraSource, Description, SignalSource, describe
from dojo.records import CameraStream, Drive, Frame, Provenance, Rejection, Signal, Telemetry

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".h264", ".h265", ".hevc")
_NEEDED = "speed_mps"


class VideoTableReader:
    """Reads recordings that a `*.dojo.toml` describes."""

    name: str = "video_table"

    def find(self, root: Path, known: Collection[str]) -> Iterator[Recording]:
        """Every description with the files that it names, then every video that no format explains."""
        described: set[Path] = set()
        for path in sorted(root.rglob(f"*{SUFFIX}")):
            try:
                named = _named(describe(path))
            except RecordingError:
                named = []  # reading it says what is wrong
            described |= {file.resolve() for file in named}
            files = tuple(source_file(file) for file in (path, *named) if file.is_file())
            if any(file.sha256 not in known for file in files):
                yield Recording(self.name, path.name.removesuffix(SUFFIX), files, path.parent)
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() not in VIDEO_SUFFIXES or not path.is_file() or _belongs_elsewhere(path):
                continue
            if path.resolve() not in described and (file := source_file(path)).sha256 not in known:
                yield Recording(self.name, path.name, (file,), path.parent)

    def read(self, recording: Recording) -> Reading:
        """The drive that the description describes.

        Raises:
            RecordingError: gate `no_telemetry`, `description`, `columns`, or one of a camera's or the smoother's.
        """
        described = _description(recording)
        telemetry, refused = clean(_telemetry(recording, described), recording.label)
        streams: list[CameraStream] = []
        rejections = list(refused)
        for name, source in described.cameras.items():
            stream, more = _stream(name, source, described)
            streams.append(stream)
            rejections += more
        drive = Drive(
            drive_id=drive_id_of(_footage(recording, described)),
            vehicle_id=described.vehicle_id,
            route=described.route,
            cameras=tuple(streams),
            telemetry=telemetry,
            ego=smooth(telemetry, described.wheelbase_m, described.steering_ratio, described.understeer_rad_per_mps2),
            provenance=Provenance(
                self.name,
                tuple((str(file.path), file.sha256, file.size_bytes) for file in recording.files),
                described.licence,
            ),
            wheelbase_m=described.wheelbase_m,
            steering_ratio=described.steering_ratio,
            tags=described.tags,
            rejections=tuple(rejections),
        )
        return Reading((drive,), ())

    def frames(self, recording: Recording, drive: Drive, camera_name: str) -> Iterator[Frame]:
        """One frame for each valid time of the camera.

        Raises:
            RecordingError: gate `unknown_camera` or `changed_file`.
        """
        described = _description(recording)
        source = described.cameras.get(camera_name)
        stream = next((stream for stream in drive.cameras if stream.name == camera_name), None)
        if source is None or stream is None:
            names = ", ".join(stream.name for stream in drive.cameras)
            raise RecordingError("unknown_camera", f"drive {drive.drive_id}: no camera {camera_name!r}, it has {names}")
        if source.is_video:
            return read_frames(source.path, stream.timestamps_ns, stream.valid)
        paths = _placed(camera_name, source, described).paths
        if len(paths) != len(stream.valid):
            raise RecordingError(
                "changed_file",
                f"{recording.label}: expected {len(stream.valid)} pictures as when read, got {len(paths)}; ingest it "
                "again",
            )
        return read_pictures(paths, stream.timestamps_ns, stream.valid)


def _belongs_elsewhere(path: Path) -> bool:
    """Videos that another reader finds, and reports on where it must."""
    from_teslacam = "TeslaCam" in path.resolve().parts or path.name.startswith(".")
    return from_teslacam or (path.name == "video.hevc" and (path.parent / "processed_log").is_dir())


def _description(recording: Recording) -> Description:
    path = recording.files[0].path
    if not path.name.endswith(SUFFIX):
        raise RecordingError(
            "no_telemetry",
            f"{path.name}: expected telemetry beside the video, nothing describes any; write "
            f"{path.stem}{SUFFIX} beside it as docs/extend/reader.md shows",
        )
    return describe(path)


def _pictures(source: CameraSource) -> list[Path]:
    """Pictures that match the pattern, in the order of their names."""
    pattern = source.path
    return sorted(path for path in pattern.parent.glob(pattern.name) if path.is_file())


def _camera_files(source: CameraSource) -> list[Path]:
    return [source.path] if source.is_video else _pictures(source)


def _named(described: Description) -> list[Path]:
    """Every file that the description names: cameras first."""
    cameras = [path for source in described.cameras.values() for path in _camera_files(source)]
    return list(dict.fromkeys([*cameras, *(table.path for table in described.tables.values())]))


def _footage(recording: Recording, described: Description) -> list[SourceFile]:
    """The files of the cameras: the same footage is the same drive, however it is described."""
    wanted = {path for source in described.cameras.values() for path in _camera_files(source)}
    return [file for file in recording.files if file.path in wanted]


def _telemetry(recording: Recording, described: Description) -> Telemetry:
    """Every declared signal.

    Raises:
        RecordingError: gate `no_telemetry`, `columns` with every fault at once, or `clock_backwards`.
    """
    if _NEEDED not in described.signals:
        raise RecordingError(
            "no_telemetry",
            f"{recording.label}: expected at least the signal {_NEEDED}, got {', '.join(described.signals) or 'none'}; "
            f"declare it under [signals] in {recording.files[0].path.name}",
        )
    tables, clocks, kept = _tables(described)
    faults: list[str] = []
    signals: dict[str, Signal] = {}
    for name, source in described.signals.items():
        try:
            values, valid = _values(source, tables[source.table], kept[source.table])
            signals[name] = _signal(clocks[source.table], values, valid)
        except (KeyError, ValueError) as error:
            faults.append(f"signals.{name}: {error.args[0]}")
    if faults:
        raise _columns_error(recording.files[0].path.name, faults)
    return Telemetry(**signals)


def _columns_error(file_name: str, faults: list[str]) -> RecordingError:
    listed = "\n".join(f"  - {fault}" for fault in faults)
    return RecordingError(
        "columns",
        f"{file_name}: expected columns as it declares them, got {len(faults)} fault(s); correct them all:\n{listed}",
        {"faults": float(len(faults))},
    )


def _tables(
    described: Description,
) -> tuple[dict[str, Table], dict[str, Int64[np.ndarray, "..."]], dict[str, Bool[np.ndarray, "..."]]]:
    """Tables, their clocks, and which rows count.

    Raises:
        RecordingError: gate `missing_file`, `unreadable_file`, `columns` or `clock_backwards`.
    """
    tables: dict[str, Table] = {}
    clocks: dict[str, Int64[np.ndarray, "..."]] = {}
    kept: dict[str, Bool[np.ndarray, "..."]] = {}
    loaded: dict[Path, Table] = {}
    faults: list[str] = []
    for name, source in described.tables.items():
        table = loaded.setdefault(source.path, loaded.get(source.path) or load_table(source.path))
        try:
            clock = column(table, source.time)
            rows = np.ones(len(clock), np.bool_)
            if source.where is not None:
                rows = _equals(column(table, source.where[0]), source.where[1])
                if len(rows) != len(clock):
                    raise ValueError(f"where: {len(rows)} rows of {source.where[0]}, {len(clock)} times")
                if not rows.any():
                    raise ValueError(f"where: no row has {source.where[0]} equal to {source.where[1]!r}")
            clocks[name] = as_times_ns(clock[rows], source.time_unit) + round(source.offset_s * 1e9)
        except (KeyError, ValueError) as error:
            faults.append(f"tables.{name}: {error.args[0]}")
            continue
        _require_forward(f"{source.path.name}, column {source.time}", clocks[name])
        tables[name], kept[name] = table, rows
    if faults:
        raise _columns_error("tables", faults)
    return tables, clocks, kept


def _equals(values: np.ndarray, wanted: str) -> Bool[np.ndarray, " n"]:
    if values.dtype.kind in "fiub":
        return np.asarray(values == float(wanted))
    return np.asarray(values.astype(str) == wanted)


def _require_forward(where: str, times_ns: Int64[np.ndarray, " n"]) -> None:
    backwards = int((np.diff(times_ns) < 0).sum())
    if backwards:
        worst_s = float(-np.diff(times_ns).min()) / 1e9
        raise RecordingError(
            "clock_backwards",
            f"{where}: expected times that do not run backwards, {backwards} do, by up to {worst_s:g} s; sort the "
            "table, or split it where the clock was set",
            {"backwards": float(backwards), "worst_s": worst_s},
        )


def _values(
    source: SignalSource, table: Table, kept: Bool[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
    """The signal in Dojo's unit and sign, and where it was measured.

    Raises:
        KeyError, ValueError: the column does not hold it.
    """
    values = column(table, source.column)
    if len(values) != len(kept):
        raise ValueError(f"column {source.column!r} has {len(values)} rows, its table's clock {len(kept)}")
    values = values[kept]
    numbers = _decoded(values, source) if source.codes else as_numbers(values)
    result = (numbers + source.add) * source.factor + source.constant
    valid = np.isfinite(result)
    if source.valid is not None:
        marks = as_numbers(column(table, source.valid))
        if len(marks) != len(kept):
            raise ValueError(f"column {source.valid!r} has {len(marks)} rows, its table's clock {len(kept)}")
        valid &= (marks[kept] != 0) & np.isfinite(marks[kept])
    return result, valid


def _decoded(values: np.ndarray, source: SignalSource) -> Float64[np.ndarray, " n"]:
    """Dojo's code for each value; NaN for values that the description does not know."""
    result = np.full(len(values), np.nan)
    for written, code in source.codes:
        if values.dtype.kind in "fiub":
            result[values == float(written)] = code
        else:
            result[values.astype(str) == written] = code
    return result


def _signal(
    times_ns: Int64[np.ndarray, " n"], values: Float64[np.ndarray, " n"], valid: Bool[np.ndarray, " n"]
) -> Signal:
    """The signal; of rows with the same time the first counts."""
    first = np.diff(times_ns, prepend=times_ns[:1] - 1) > 0
    return Signal(times_ns[first], values[first], valid[first])


def _stream(name: str, source: CameraSource, described: Description) -> tuple[CameraStream, tuple[Rejection, ...]]:
    where, missing = source.path.name, tuple[Rejection, ...]()
    if source.is_video:
        checked = check_video(source.path)
        times_ns = checked.timestamps_ns if source.times == PTS else _clock(source, described)[0]
    else:
        placed = _placed(name, source, described)
        checked, times_ns, missing = check_pictures(placed.paths), placed.times_ns, placed.missing
    if times_ns is None:
        raise RecordingError(
            "columns",
            f"cameras.{name}: expected a clock in {where}, a raw stream has none; name a table in `times`",
        )
    stream, refused = stream_of(name, where, source.camera, checked, times_ns + round(source.offset_s * 1e9))
    return stream, (*missing, *refused)


def _clock(source: CameraSource, described: Description) -> tuple[Int64[np.ndarray, " n"], list[str] | None]:
    """The times that a table gives the camera's frames, and the names of their files where it has those.

    Raises:
        RecordingError: gate `columns`, or one of the table's.
    """
    tables, clocks, kept = _tables(replace(described, tables={source.times: described.tables[source.times]}))
    if source.names is None:
        return clocks[source.times], None
    try:
        names = column(tables[source.times], source.names)[kept[source.times]]
    except (KeyError, IndexError) as error:
        raise _columns_error("cameras", [f"names: {error.args[0]}"]) from error
    # Logs often hold a path of the machine that wrote them, with either kind of slash.
    return clocks[source.times], [str(name).strip().replace("\\", "/").rpartition("/")[2] for name in names]


@dataclass(frozen=True)
class _Placed:
    """Pictures with the times at which they were taken, and what is not there."""

    paths: list[Path]
    times_ns: Int64[np.ndarray, " n"]
    missing: tuple[Rejection, ...]


def _placed(camera: str, source: CameraSource, described: Description) -> _Placed:
    """Every picture with its row of the table: by the name of its file, or, where all are there, by their order.

    Raises:
        RecordingError: gate `missing_frame` where which picture belongs to which row cannot be told.
    """
    paths = _pictures(source)
    times_ns, names = _clock(source, described)
    if names is None:
        if len(paths) != len(times_ns):
            raise RecordingError(
                "missing_frame",
                f"cameras.{camera}: expected a picture for each of {len(times_ns)} rows of {source.times!r}, got "
                f"{len(paths)}; which is which cannot be told: copy the missing ones, or name the column that holds "
                "the names of their files with `names`",
                {"rows": float(len(times_ns)), "pictures": float(len(paths))},
            )
        return _Placed(paths, times_ns, ())
    by_name = {path.name: path for path in paths}
    rows = [row for row, name in enumerate(names) if name in by_name]
    missing, strangers = len(names) - len(rows), len(set(by_name) - set(names))
    told = Rejection(
        source.path.name,
        "missing_frame",
        f"cameras.{camera}: expected a picture for each of {len(names)} names in column {source.names!r} and a name "
        f"for each picture, {missing} pictures and {strangers} names are missing; those are left out",
        (("pictures", float(missing)), ("names", float(strangers))),
    )
    return _Placed(
        [by_name[names[row]] for row in rows],
        times_ns[rows],
        (told,) if missing or strangers else (),
    )
