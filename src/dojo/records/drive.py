"""A drive: one continuous recording of one vehicle.

Idea: every measured series carries its own clock and its own `valid` mask, because real vehicles log each signal
at its own rate, and because missing is neither zero nor NaN. All clocks of one drive are the same integer
nanoseconds; where zero lies is the recording's affair (Unix time where the recording knows it).
Not here: the pixels. A drive names its cameras and frame times; readers (`fleet/readers/`) and the store hand out
the frames themselves, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordError
from dojo.geometry import Camera

_NO_TIME = np.zeros(0, np.int64)
_NO_VALUE = np.zeros(0, np.float64)
_NO_MASK = np.zeros(0, np.bool_)


def _require_increasing(what: str, timestamps_ns: Int64[np.ndarray, " n"]) -> None:
    steps = np.diff(timestamps_ns)
    if (steps <= 0).any():
        first = int(np.argmax(steps <= 0))
        raise RecordError(
            f"{what}: expected strictly increasing times, sample {first + 1} is {int(steps[first])} ns after its "
            "predecessor; sort it or mark the span as a clock jump"
        )


@dataclass(frozen=True)
class Signal:
    """One measured series: times, values, and which values were really measured.

    Values at `valid == False` are meaningless and never read. An empty signal means: the vehicle has none.
    """

    timestamps_ns: Int64[np.ndarray, " n"] = field(default_factory=lambda: _NO_TIME)
    values: Float64[np.ndarray, " n"] = field(default_factory=lambda: _NO_VALUE)
    valid: Bool[np.ndarray, " n"] = field(default_factory=lambda: _NO_MASK)

    def __post_init__(self) -> None:
        if not len(self.timestamps_ns) == len(self.values) == len(self.valid):
            raise RecordError(
                f"signal: expected equal lengths, got {len(self.timestamps_ns)} times, {len(self.values)} values, "
                f"{len(self.valid)} marks"
            )
        if not np.isfinite(self.values[self.valid]).all():
            raise RecordError("signal: a value marked valid is NaN or infinite; mark it invalid")
        _require_increasing("signal", self.timestamps_ns)

    @staticmethod
    def measured(timestamps_ns: Int64[np.ndarray, " n"], values: Float64[np.ndarray, " n"]) -> Signal:
        """A signal all of whose finite values count as measured."""
        values = np.asarray(values, np.float64)
        return Signal(np.asarray(timestamps_ns, np.int64), values, np.isfinite(values))

    def at(
        self, timestamps_ns: Int64[np.ndarray, " m"], *, max_gap_s: float = 1.0, held: bool = False
    ) -> tuple[Float64[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
        """Values at other times, and which of them can be trusted.

        Linear between the nearest valid samples, or the last valid sample where `held` (for switches and gears).
        Invalid outside the measured range and where the neighbouring samples are more than `max_gap_s` apart.
        """
        times, values = self.timestamps_ns[self.valid], self.values[self.valid]
        if len(times) == 0:
            return np.zeros(len(timestamps_ns)), np.zeros(len(timestamps_ns), np.bool_)
        right = np.clip(np.searchsorted(times, timestamps_ns, side="right"), 1, max(len(times) - 1, 1))
        left = right - 1
        right = np.minimum(right, len(times) - 1)
        inside = (timestamps_ns >= times[0]) & (timestamps_ns <= times[-1])
        gap_ok = (times[right] - times[left]) <= max_gap_s * 1e9
        span = np.maximum(times[right] - times[left], 1)
        fraction = np.clip((timestamps_ns - times[left]) / span, 0.0, 1.0)
        if held:
            result = np.where(fraction >= 1.0, values[right], values[left])
        else:
            result = values[left] + fraction * (values[right] - values[left])
        return np.where(inside & gap_ok, result, 0.0), inside & gap_ok


@dataclass(frozen=True)
class Telemetry:
    """What the vehicle said about itself; SI units, ego frame, left and up positive.

    `steering_wheel_angle_rad` and `yaw_rate_radps` are positive to the left; `heading_rad` is counter-clockwise from
    east; accelerations are of the vehicle along ego axes without gravity; blinkers, brake and gear are 0/1 or codes
    (`GEARS`, `ASSIST_STATES`).
    """

    speed_mps: Signal = field(default_factory=Signal)
    yaw_rate_radps: Signal = field(default_factory=Signal)
    steering_wheel_angle_rad: Signal = field(default_factory=Signal)
    acceleration_x_mps2: Signal = field(default_factory=Signal)
    acceleration_y_mps2: Signal = field(default_factory=Signal)
    acceleration_z_mps2: Signal = field(default_factory=Signal)
    accelerator_pedal: Signal = field(default_factory=Signal)
    brake_applied: Signal = field(default_factory=Signal)
    blinker_left: Signal = field(default_factory=Signal)
    blinker_right: Signal = field(default_factory=Signal)
    gear: Signal = field(default_factory=Signal)
    assist_state: Signal = field(default_factory=Signal)
    latitude_deg: Signal = field(default_factory=Signal)
    longitude_deg: Signal = field(default_factory=Signal)
    altitude_m: Signal = field(default_factory=Signal)
    heading_rad: Signal = field(default_factory=Signal)

    GEARS: ClassVar[tuple[str, ...]] = ("park", "drive", "reverse", "neutral")
    ASSIST_STATES: ClassVar[tuple[str, ...]] = ("none", "self_driving", "autosteer", "cruise")

    def present(self) -> tuple[str, ...]:
        """Names of the signals that have at least one valid sample."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name).valid.any())


@dataclass(frozen=True)
class EgoMotion:
    """Poses of the vehicle over time: `world_from_ego`, world being local east-north-up.

    Args:
        covariance: of (east m, north m, yaw rad), where `covariance_valid`; recorded poses often come without one.
        origin_deg_m: latitude, longitude, altitude of the world origin; None where no fix was ever had, in which
            case east and north are only names: x is the heading at the start.
        source: `recorded`, or `smoothed:` and the names of the signals that went in.
    """

    timestamps_ns: Int64[np.ndarray, " n"]
    rotation: Float64[np.ndarray, "n 3 3"]
    translation_m: Float64[np.ndarray, "n 3"]
    speed_mps: Float64[np.ndarray, " n"]
    yaw_rate_radps: Float64[np.ndarray, " n"]
    covariance: Float64[np.ndarray, "n 3 3"]
    covariance_valid: Bool[np.ndarray, " n"]
    valid: Bool[np.ndarray, " n"]
    origin_deg_m: tuple[float, float, float] | None
    source: str

    def __post_init__(self) -> None:
        count = len(self.timestamps_ns)
        for name in (
            "rotation",
            "translation_m",
            "speed_mps",
            "yaw_rate_radps",
            "covariance",
            "covariance_valid",
            "valid",
        ):
            if len(getattr(self, name)) != count:
                raise RecordError(f"ego motion: {count} times but {len(getattr(self, name))} values of {name}")
            if not np.isfinite(getattr(self, name)[self.valid]).all():
                raise RecordError(f"ego motion: {name} is NaN or infinite where marked valid")
        _require_increasing("ego motion", self.timestamps_ns)


@dataclass(frozen=True)
class CameraStream:
    """One camera of a drive: what it is and when it took each frame; `valid` marks frames that decode and fit.

    `camera` describes the frames as they are at hand: from a reader, the vehicle's own camera; from the store, the
    level view into which they were resampled, with `recorded_camera` saying what they were resampled from.
    """

    name: str
    camera: Camera
    timestamps_ns: Int64[np.ndarray, " n"]
    valid: Bool[np.ndarray, " n"]
    recorded_camera: Camera | None = None

    def __post_init__(self) -> None:
        if len(self.timestamps_ns) != len(self.valid):
            raise RecordError(f"camera {self.name}: {len(self.timestamps_ns)} times but {len(self.valid)} marks")
        _require_increasing(f"camera {self.name}", self.timestamps_ns)


@dataclass(frozen=True)
class Rejection:
    """Why a file, or a span of a drive, is not used.

    Args:
        where: the file, folder or camera.
        gate: name of the check, for example `clock_jump`.
        reason: what was expected, what came, what to do.
        figures: numbers behind it, (name with unit, value).
        start_ns, end_ns: the span on the drive's clock; both None when the whole thing was refused.
    """

    where: str
    gate: str
    reason: str
    figures: tuple[tuple[str, float], ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a drive came from: (path as given, sha256, size in bytes) of every file, reader, licence if known."""

    reader: str
    files: tuple[tuple[str, str, int], ...]
    licence: str = ""


@dataclass(frozen=True)
class Drive:
    """One continuous recording of one vehicle.

    `drive_id` is a hash of the bytes of its files, so that the same recording is the same drive wherever it lies.
    `route` names the journey that the drive belongs to, as far as the recording tells; used only for display.
    """

    drive_id: str
    vehicle_id: str
    route: str
    cameras: tuple[CameraStream, ...]
    telemetry: Telemetry
    ego: EgoMotion
    provenance: Provenance
    wheelbase_m: float | None = None
    steering_ratio: float | None = None
    tags: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    def __post_init__(self) -> None:
        if not self.drive_id or not self.vehicle_id:
            raise RecordError("drive: expected a drive id and a vehicle id, got an empty one")
        names = [stream.name for stream in self.cameras]
        if len(set(names)) != len(names):
            raise RecordError(f"drive {self.drive_id}: camera names repeat: {names}")
