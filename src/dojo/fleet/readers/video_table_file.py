"""The file that describes a recording which is any video beside any table: `<name>.dojo.toml`.

In: the file. Out: `Description`, or one error that lists everything wrong with it.
Idea: what a number means is declared by whoever knows, once, and nothing is guessed: a signal that could have either
sign must say which it has, a clock its unit, a camera its place. The reader then needs no code for a new fleet.

The file (`docs/extend/reader.md` explains it by an example)::

    vehicle_id = "car-07"                 # required; splits keep a vehicle on one side
    route = "2026-03-01 to work"          # optional, for display
    licence = "..."                       # optional, kept with the drive
    folder = "."                          # base of all paths below: relative to this file, or absolute
    wheelbase_m = 2.67                    # optional; with steering_ratio, steering can say how the vehicle turned
    steering_ratio = 13.9
    understeer_rad_per_mps2 = 0.004       # optional: extra road-wheel angle per m/s² of lateral acceleration
    traffic = "right"                     # optional: the side on which traffic keeps
    tags = ["highway"]                    # optional

    [tables.car]                          # any number of tables; each has one clock
    file = "log.csv"                      # .csv, .npz or .parquet
    time = "t"                            # column
    time_unit = "s"                       # s, ms, us, ns, or iso8601
    offset_s = 0.0                        # optional, added to its times
    where = { column = "camera", equals = "centre" }   # optional: only these rows

    [signals]                             # names as in dojo.records.Telemetry; speed_mps is required
    speed_mps = { table = "car", column = "speed", unit = "km/h" }
    steering_wheel_angle_rad = { table = "car", column = "angle", unit = "deg", positive = "left" }
    heading_rad = { table = "car", column = "course", unit = "deg", positive = "right", zero = "north" }
    gear = { table = "car", column = "gear", codes = { "1" = "drive", "R" = "reverse" } }
    # optional in each: valid = "column" (rows where it is zero are not measured), add = 0.5 (in the column's unit)

    [cameras.front]                       # the main forward camera is called front
    video = "drive.mp4"                   # or pictures = "images/*.png"
    times = "pts"                         # the video's own clock, or a table: its times, one row for each frame
    offset_s = 0.0                        # optional, added to the times
    width = 1280                          # of the pictures for which the next three hold
    height = 720
    focal_px = 1000.0                     # or [horizontal, vertical]
    centre_px = [639.5, 359.5]            # optional: column, row; without it, the middle
    distortion = [0, 0, 0, 0, 0]          # optional: Brown-Conrady k1, k2, p1, p2, k3
    position_m = [1.5, 0.0, 1.3]          # forward, left, up of the point on the ground below the rear axle
    pitch_deg = 0.0                       # how far it looks down from level
    roll_deg = 0.0                        # optional: turned to the right about its axis
    yaw_deg = 0.0                         # optional: turned to the left from straight ahead
    # pictures only, optional: names = "file" (column of the `times` table with the name of each picture's file)

Not here: reading what it points to (`video_table.py`).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from dojo.errors import RecordError, RecordingError
from dojo.fleet.measurements import UNDERSTEER_RAD_PER_MPS2
from dojo.fleet.readers.tables import SUFFIXES, TIME_UNITS_NS
from dojo.geometry import Camera
from dojo.records import Telemetry

SUFFIX = ".dojo.toml"
PTS = "pts"

_STANDARD_GRAVITY = 9.80665
_ANGLES = {"rad": 1.0, "deg": math.pi / 180}
_ACCELERATIONS = {"m/s2": 1.0, "g": _STANDARD_GRAVITY}
_SHARES = {"fraction": 1.0, "percent": 0.01}
_DEGREES = {"deg": 1.0, "rad": 180 / math.pi}
_SWITCH = {"bool": 1.0}
# Factor from each unit to that of the signal. Source: the international knot and mile, ISO 80000-3.
UNITS: Mapping[str, Mapping[str, float]] = {
    "speed_mps": {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704, "kn": 1852 / 3600},
    "yaw_rate_radps": {"rad/s": 1.0, "deg/s": math.pi / 180},
    "steering_wheel_angle_rad": _ANGLES,
    "acceleration_x_mps2": _ACCELERATIONS,
    "acceleration_y_mps2": _ACCELERATIONS,
    "acceleration_z_mps2": _ACCELERATIONS,
    "accelerator_pedal": _SHARES,
    "brake_applied": _SWITCH,
    "blinker_left": _SWITCH,
    "blinker_right": _SWITCH,
    "latitude_deg": _DEGREES,
    "longitude_deg": _DEGREES,
    "altitude_m": {"m": 1.0, "ft": 0.3048},
    "heading_rad": _ANGLES,
}
# Which way the signal counts, where both are in use; the first is Dojo's.
SIGNS: Mapping[str, tuple[str, str]] = {
    "yaw_rate_radps": ("left", "right"),
    "steering_wheel_angle_rad": ("left", "right"),
    "acceleration_x_mps2": ("forward", "backward"),
    "acceleration_y_mps2": ("left", "right"),
    "acceleration_z_mps2": ("up", "down"),
    "heading_rad": ("left", "right"),
}
ZEROS_RAD = {"east": 0.0, "north": math.pi / 2}
CODES: Mapping[str, tuple[str, ...]] = {"gear": Telemetry.GEARS, "assist_state": Telemetry.ASSIST_STATES}

_TOP_KEYS = {
    *(
        "vehicle_id",
        "route",
        "licence",
        "folder",
        "wheelbase_m",
        "steering_ratio",
        "understeer_rad_per_mps2",
        "traffic",
    ),
    *("tags", "tables", "signals", "cameras"),
}
_TABLE_KEYS = {"file", "time", "time_unit", "offset_s", "where"}
_CAMERA_KEYS = {
    *("video", "pictures", "names", "times", "offset_s", "width", "height", "focal_px", "centre_px", "distortion"),
    *("position_m", "roll_deg", "pitch_deg", "yaw_deg"),
}


@dataclass(frozen=True)
class TableSource:
    """A table and its clock; `where` keeps only rows in which a column equals a text or number."""

    path: Path
    time: str
    time_unit: str
    offset_s: float
    where: tuple[str, str] | None


@dataclass(frozen=True)
class SignalSource:
    """Where a signal comes from; its value is (column + add) * factor + constant, or a code."""

    table: str
    column: str
    factor: float
    constant: float
    add: float
    valid: str | None
    codes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class CameraSource:
    """Where a camera's frames come from; `times` is `pts` or the name of a table, `names` its column of file names."""

    path: Path
    is_video: bool
    times: str
    names: str | None
    offset_s: float
    camera: Camera


@dataclass(frozen=True)
class Description:
    """A recording as its file describes it."""

    vehicle_id: str
    route: str
    licence: str
    wheelbase_m: float | None
    steering_ratio: float | None
    understeer_rad_per_mps2: float
    tags: tuple[str, ...]
    tables: Mapping[str, TableSource]
    signals: Mapping[str, SignalSource]
    cameras: Mapping[str, CameraSource]


def describe(path: Path) -> Description:
    """What the file says.

    Raises:
        RecordingError: gate `description`; every fault of the file at once.
    """
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecordingError("description", f"{path}: expected TOML, got {error}; correct the file") from error
    faults = _Faults()
    faults.unknown("", written, _TOP_KEYS)
    base = path.parent / faults.text(written, "folder", ".")
    tables = {
        name: _table(base, faults.at(f"tables.{name}"), table) for name, table in faults.tables(written, "tables")
    }
    signals = {
        name: _signal(name, faults.at(f"signals.{name}"), table, set(tables))
        for name, table in faults.tables(written, "signals")
    }
    cameras = {
        name: _camera(base, faults.at(f"cameras.{name}"), table, set(tables))
        for name, table in faults.tables(written, "cameras")
    }
    if not cameras:
        faults.add("expected at least one camera, for example [cameras.front]")
    traffic = faults.choice(written, "traffic", ("left", "right"), required=False)
    tags = written.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        faults.add(f"tags must be a list of words, got {tags!r}")
        tags = []
    description = Description(
        vehicle_id=faults.text(written, "vehicle_id"),
        route=faults.text(written, "route", path.name.removesuffix(SUFFIX)),
        licence=faults.text(written, "licence", ""),
        wheelbase_m=faults.positive(written, "wheelbase_m"),
        steering_ratio=faults.positive(written, "steering_ratio"),
        understeer_rad_per_mps2=faults.number(written, "understeer_rad_per_mps2", UNDERSTEER_RAD_PER_MPS2),
        tags=tuple(sorted({*tags, *([f"traffic_{traffic}"] if traffic else [])})),
        tables={name: table for name, table in tables.items() if table},
        signals={name: signal for name, signal in signals.items() if signal},
        cameras={name: camera for name, camera in cameras.items() if camera},
    )
    if faults.found:
        listed = "\n".join(f"  - {fault}" for fault in faults.found)
        raise RecordingError(
            "description",
            f"{path}: expected a description as in docs/extend/reader.md, got {len(faults.found)} fault(s); correct "
            f"them all:\n{listed}",
            {"faults": float(len(faults.found))},
        )
    return description


class _Faults:
    """Collects what is wrong; every question has a harmless answer, so that one fault does not hide the next."""

    def __init__(self, found: list[str] | None = None, where: str = "") -> None:
        self.found: list[str] = [] if found is None else found
        self._where = where

    def at(self, where: str) -> _Faults:
        """The same list, for another part of the file."""
        return _Faults(self.found, f"{where}: ")

    def add(self, fault: str) -> None:
        """Note a fault."""
        self.found.append(self._where + fault)

    def unknown(self, where: str, table: Mapping[str, object], keys: Iterable[str]) -> None:
        """Note keys that mean nothing here."""
        for key in sorted(set(table) - set(keys)):
            self.add(f"{where}unknown key {key!r}; known are {', '.join(sorted(keys))}")

    def tables(self, written: Mapping[str, object], key: str) -> list[tuple[str, Mapping[str, object]]]:
        """The sub-tables below a key."""
        value = written.get(key, {})
        if not isinstance(value, dict):
            self.add(f"{key} must hold tables such as [{key}.name], got {value!r}")
            return []
        for name, table in value.items():
            if not isinstance(table, dict):
                self.add(f"{key}.{name} must be a table, got {table!r}")
        return [(name, table) for name, table in value.items() if isinstance(table, dict)]

    def text(self, table: Mapping[str, object], key: str, default: str | None = None) -> str:
        """A text; required where there is no default."""
        value = table.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            self.add(f"{key} must be a text, got {value!r}" if key in table else f"{key} is missing")
            return default or "?"
        return value

    def number(self, table: Mapping[str, object], key: str, default: float | None = None) -> float:
        """A finite number; required where there is no default."""
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.add(f"{key} must be a finite number, got {value!r}" if key in table else f"{key} is missing")
            return 1.0 if default is None else default
        return float(value)

    def positive(self, table: Mapping[str, object], key: str) -> float | None:
        """A positive number, or None where there is none."""
        if key not in table:
            return None
        value = self.number(table, key)
        if value <= 0:
            self.add(f"{key} must be positive, got {value:g}")
        return value

    def numbers(self, table: Mapping[str, object], key: str, count: int, default: list[float] | None) -> list[float]:
        """`count` finite numbers; required where there is no default."""
        value = table.get(key, default)
        if value is None:
            self.add(f"{key} is missing")
            return [1.0] * count
        good = isinstance(value, list) and len(value) == count
        if not good or not all(isinstance(n, int | float) and math.isfinite(n) for n in value):  # type: ignore[attr-defined]
            self.add(f"{key} must be {count} numbers, got {value!r}")
            return [1.0] * count
        return [float(n) for n in value]  # type: ignore[attr-defined]

    def choice(
        self, table: Mapping[str, object], key: str, allowed: Iterable[str], *, required: bool = True
    ) -> str | None:
        """One of a few words."""
        value = table.get(key)
        allowed = list(allowed)
        if value is None and not required:
            return None
        if value not in allowed:
            got = f"got {value!r}" if key in table else "it is missing"
            self.add(f"{key} must be one of {', '.join(allowed)}; {got}")
            return None
        return str(value)


def _table(base: Path, faults: _Faults, table: Mapping[str, object]) -> TableSource | None:
    faults.unknown("", table, _TABLE_KEYS)
    path = base / faults.text(table, "file")
    if "file" in table and path.suffix not in SUFFIXES:
        faults.add(f"file must end in {', '.join(SUFFIXES)}, got {path.name!r}")
    elif "file" in table and not path.is_file():
        faults.add(f"file {path} does not exist")
    where = table.get("where")
    kept = None
    if isinstance(where, dict) and set(where) == {"column", "equals"}:
        kept = str(where["column"]), str(where["equals"])
    elif where is not None:
        faults.add(f'where must be {{ column = "...", equals = ... }}, got {where!r}')
    unit = faults.choice(table, "time_unit", (*TIME_UNITS_NS, "iso8601"))
    return TableSource(path, faults.text(table, "time"), unit or "s", faults.number(table, "offset_s", 0.0), kept)


def _signal(name: str, faults: _Faults, table: Mapping[str, object], tables: set[str]) -> SignalSource | None:
    known = [field.name for field in fields(Telemetry)]
    if name not in known:
        faults.add(f"there is no such signal; known are {', '.join(known)}")
        return None
    keys = {"table", "column", "valid"}
    keys |= {"codes"} if name in CODES else {"unit", "add"}
    keys |= ({"positive"} if name in SIGNS else set()) | ({"zero"} if name == "heading_rad" else set())
    faults.unknown("", table, keys)
    faults.choice(table, "table", sorted(tables))
    source = SignalSource(
        faults.text(table, "table", "?"),
        faults.text(table, "column"),
        1.0,
        0.0,
        faults.number(table, "add", 0.0),
        faults.text(table, "valid") if "valid" in table else None,
        (),
    )
    if name in CODES:
        return replace(source, codes=_codes(CODES[name], faults, table))
    unit = faults.choice(table, "unit", UNITS[name])
    factor = UNITS[name].get(unit or "", 1.0)
    if name in SIGNS and faults.choice(table, "positive", SIGNS[name]) == SIGNS[name][1]:
        factor = -factor
    zero = faults.choice(table, "zero", ZEROS_RAD) if name == "heading_rad" else None
    return replace(source, factor=factor, constant=ZEROS_RAD.get(zero or "", 0.0))


def _codes(meanings: tuple[str, ...], faults: _Faults, table: Mapping[str, object]) -> tuple[tuple[str, int], ...]:
    codes = table.get("codes")
    if not isinstance(codes, dict) or not codes or not all(value in meanings for value in codes.values()):
        faults.add(f"codes must say which value of the column means which of {', '.join(meanings)}; got {codes!r}")
        return ()
    return tuple((str(value), meanings.index(meaning)) for value, meaning in codes.items())


def _camera(base: Path, faults: _Faults, table: Mapping[str, object], tables: set[str]) -> CameraSource | None:
    faults.unknown("", table, _CAMERA_KEYS)
    is_video = "video" in table
    if is_video == ("pictures" in table):
        faults.add("expected either video (a file) or pictures (a pattern such as images/*.png)")
    path = base / faults.text(table, "video" if is_video else "pictures")
    if is_video and not path.is_file():
        faults.add(f"video {path} does not exist")
    times = faults.choice(table, "times", (*([PTS] if is_video else []), *sorted(tables)))
    focal = table.get("focal_px")
    focal_px = faults.numbers({"focal_px": focal if isinstance(focal, list) else [focal, focal]}, "focal_px", 2, None)
    width, height = (round(faults.number(table, key)) for key in ("width", "height"))
    centre = faults.numbers(table, "centre_px", 2, [(width - 1) / 2, (height - 1) / 2])
    position = faults.numbers(table, "position_m", 3, None)
    distortion = faults.numbers(table, "distortion", 5, [0.0] * 5)
    # A cut file would lack its last line, and a degree of pitch is a lane at a hundred metres: it is never guessed.
    defaults = (("roll_deg", 0.0), ("pitch_deg", None), ("yaw_deg", 0.0))
    turned = [math.radians(faults.number(table, key, default)) for key, default in defaults]
    names = faults.text(table, "names") if "names" in table else None
    if names is not None and is_video:
        faults.add("names goes with pictures: a video has no file names")
    try:
        mounted = Camera.mounted(
            width,
            height,
            focal_px[0],
            (centre[0], centre[1]),
            position_m=(position[0], position[1], position[2]),
            roll_rad=turned[0],
            pitch_rad=turned[1],
            yaw_rad=turned[2],
        )
        k1, k2, p1, p2, k3 = distortion
        camera = replace(mounted, focal_px=(focal_px[0], focal_px[1]), distortion=(k1, k2, p1, p2, k3))
    except RecordError as error:
        faults.add(str(error))
        return None
    return CameraSource(path, is_video, times or PTS, names, faults.number(table, "offset_s", 0.0), camera)
