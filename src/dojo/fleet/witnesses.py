"""Signals that contradict one another: each says independently how the vehicle moved, so they must agree.

In: a drive with its poses. Out: the same without what is contradicted, or `RecordingError` where nobody can say who is
right.
Idea: units, signs, columns and clocks that were mixed up leave every single series plausible; only a second witness
shows it. Over windows of a few seconds, in which noise and delays average out, each witness is compared with the poses,
which are what a policy will learn. Only windows in which something happens count: on a straight road every turn rate
agrees with every other.
Not here: single samples (`samples.py`), frames and poses by themselves (`gates.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordingError
from dojo.fleet.limits import Limits
from dojo.fleet.marks import NS_PER_S, refused_span, runs, told
from dojo.fleet.measurements import UNDERSTEER_RAD_PER_MPS2
from dojo.geometry.place import ecef_from_geodetic
from dojo.geometry.rigid import yaw_of
from dojo.records import Drive, Rejection, Signal, Telemetry

WINDOW_S, STRIDE_S = 2.0, 1.0
_MOMENTS = 21  # at which a window is looked at
_ENOUGH_WINDOWS = 2  # Assumed: a single one may be a kerb, a ferry or a skid
_FIX_MIN_SPEED_MPS = 7.0  # below, fixes 3 m out turn the course over a window by more than is allowed
_CONTRADICTING_SHARE = 0.3  # Assumed: of the eventful windows; a compass that lags contradicts where bends begin
_MIN_SPEED_MPS = 3.0  # below, headings and courses are noise
# Curvature for an angle at the wheel, 1 / (ratio * wheelbase). Assumed: ratios of 10 to 25, wheelbases of 2.3 to 3.6 m;
# understeer at speed takes up to half.
_PER_WHEEL_ANGLE = 0.5 / (25 * 3.6), 1.0 / (15 * 2.7), 1.0 / (10 * 2.3)
Windows = Float64[np.ndarray, " windows"]


@dataclass(frozen=True)
class Witness:
    """What one signal and another, or the poses, say about the same thing, in windows.

    Args:
        what: the thing, and who shows it.
        said, shown: by the signal and by the other; NaN where either is silent.
        allowed, allowed_share: difference that is no contradiction: so much, and this share of the larger.
        decides: whether the drive must be refused when they contradict each other; else the signal is.
        always: whether a difference would show in every window, whatever happens in it.
    """

    name: str
    what: str
    unit: str
    said: Windows
    shown: Windows
    allowed: float
    allowed_share: float
    decides: bool
    always: bool = False

    def contradicting(self) -> Bool[np.ndarray, " windows"]:
        """Windows in which the two differ by more than is allowed."""
        return np.abs(self.said - self.shown) > self.allowed + self.allowed_share * self._size()

    def eventful(self) -> Bool[np.ndarray, " windows"]:
        """Windows in which a difference would show."""
        return np.isfinite(self._size()) if self.always else self._size() > self.allowed

    def _size(self) -> Windows:
        """The larger of the two; NaN where either is silent."""
        return np.maximum(np.abs(self.said), np.abs(self.shown))


def gnss_speed(drive: Drive, limits: Limits) -> Drive:
    """Spans where the fixes move at another speed than the vehicle says.

    Raises:
        RecordingError: gate `speed_contradicts_gnss`, where that is most of the time.
    """
    starts_ns, ends_ns, gnss_mps, own_mps = _speeds_beside(drive.telemetry, limits.gnss_window_s)
    if len(starts_ns) == 0:
        return drive
    difference = np.abs(gnss_mps - np.abs(own_mps))
    bad = difference > np.maximum(limits.gnss_speed_mps, limits.gnss_speed_share * np.abs(own_mps))
    share = float(bad.mean())
    if share > limits.max_contradicting_share:
        raise RecordingError(
            "speed_contradicts_gnss",
            f"drive {drive.drive_id}: expected speed and GNSS to agree within {limits.gnss_speed_mps:g} m/s, they "
            f"differ for {share:.0%} of the time, in the median by {np.median(difference):.1f} m/s; check the units",
            {"contradicting_share": share, "median_difference_mps": float(np.median(difference))},
        )
    # What follows the last window, or comes before the first, is as doubtful as that window is.
    starts_ns[0], ends_ns[-1] = drive.telemetry.latitude_deg.timestamps_ns[[0, -1]]
    for first, last in runs(bad):
        worst = float(difference[first : last + 1].max())
        refused = Rejection(
            "speed_mps",
            "speed_contradicts_gnss",
            f"expected speed and GNSS to agree within {limits.gnss_speed_mps:g} m/s, they differ by up to "
            f"{worst:.1f} m/s; the span is not used",
            (("difference_mps", worst),),
            int(starts_ns[first]),
            int(ends_ns[last]),
        )
        drive = refused_span(drive, refused, samples=("speed_mps", "latitude_deg", "longitude_deg"))
    return drive


def _speeds_beside(
    telemetry: Telemetry, window_s: float
) -> tuple[Int64[np.ndarray, " windows"], Int64[np.ndarray, " windows"], Windows, Windows]:
    """Start, end, speed by GNSS and the vehicle's own mean speed of windows that lie side by side."""
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    fixed = telemetry.latitude_deg.valid
    if not fixed.any() or not telemetry.speed_mps.valid.any():
        return none
    times_ns = telemetry.latitude_deg.timestamps_ns[fixed]
    longitude_deg, known = telemetry.longitude_deg.at(times_ns)
    times_ns, latitude_deg = times_ns[known], telemetry.latitude_deg.values[fixed][known]
    if len(times_ns) < 2:
        return none
    # One fix per window, the first in it: the line between two of them is what GNSS says about the time between.
    window = (times_ns - times_ns[0]) // int(window_s * NS_PER_S)
    chosen = np.flatnonzero(np.diff(window, prepend=-1) > 0)
    places_m = ecef_from_geodetic(latitude_deg[chosen], longitude_deg[known][chosen], np.zeros(len(chosen)))
    starts_ns, ends_ns = times_ns[chosen][:-1], times_ns[chosen][1:]
    elapsed_s = (ends_ns - starts_ns) / NS_PER_S
    gnss_mps = np.linalg.norm(np.diff(places_m, axis=0), axis=1) / elapsed_s
    moments_ns = (starts_ns[:, None] + (ends_ns - starts_ns)[:, None] * np.linspace(0, 1, 21)).astype(np.int64)
    own_mps, heard = telemetry.speed_mps.at(moments_ns.ravel())
    # Turning by a right angle within a window makes the chord 10 % shorter than the way: within the allowed share.
    usable = heard.reshape(moments_ns.shape).all(1) & (elapsed_s >= window_s / 2) & (elapsed_s <= 3 * window_s)
    return starts_ns[usable], ends_ns[usable], gnss_mps[usable], own_mps.reshape(moments_ns.shape).mean(1)[usable]


def other_witnesses(drive: Drive, _: Limits) -> Drive:
    """The drive without accelerations that the poses contradict.

    Raises:
        RecordingError: gate `contradiction`, where speed, course or turning contradict the poses.
    """
    for witness in _witnesses(drive):
        eventful, contradicting = witness.eventful(), witness.contradicting()
        count, share = int((eventful & contradicting).sum()), 0.0
        if eventful.any():
            share = count / int(eventful.sum())
        if count < _ENOUGH_WINDOWS or share <= _CONTRADICTING_SHARE:
            continue
        worst = float(np.nanmax(np.abs(witness.said - witness.shown)))
        figures = (("contradicting_share", share), ("worst_difference", worst))
        reason = (
            f"{witness.name}: expected {witness.what} ({drive.ego.source}) within {witness.allowed:g} {witness.unit} "
            f"and {witness.allowed_share:.0%}, they differ in {share:.0%} of the windows in which something happens, "
            f"by up to {worst:.3g} {witness.unit}; check columns, units, signs and clocks"
        )
        if witness.decides:
            raise RecordingError("contradiction", f"drive {drive.drive_id}: {reason}", dict(figures))
        signal: Signal = getattr(drive.telemetry, witness.name)
        span = int(signal.timestamps_ns[0]), int(signal.timestamps_ns[-1])
        silent = replace(signal, valid=np.zeros_like(signal.valid))
        drive = told(
            replace(drive, telemetry=replace(drive.telemetry, **{witness.name: silent})),
            Rejection(witness.name, "contradiction", f"{reason}; the signal is not used", figures, *span),
        )
    return drive


@dataclass(frozen=True)
class _Moments:
    """What the poses show at `_MOMENTS` moments of each window; NaN where they are not known."""

    times_ns: Int64[np.ndarray, "windows moments"]
    speed_mps: Float64[np.ndarray, "windows moments"]
    yaw_rad: Float64[np.ndarray, "windows moments"]
    east_m: Float64[np.ndarray, "windows moments"]
    north_m: Float64[np.ndarray, "windows moments"]

    def heard(self, signal: Signal) -> Float64[np.ndarray, "windows moments"]:
        """A signal at the moments."""
        values, known = signal.at(self.times_ns.ravel())
        return np.where(known, values, np.nan).reshape(self.times_ns.shape)

    def moving(self) -> Bool[np.ndarray, " windows"]:
        """Windows in which the vehicle is fast enough to have a course."""
        return np.abs(self.speed_mps).min(1) > _MIN_SPEED_MPS


def _moments(drive: Drive) -> _Moments:
    ego = drive.ego
    known_ns = ego.timestamps_ns[ego.valid]
    starts_ns = np.zeros(0, np.int64)
    if len(known_ns):
        starts_ns = np.arange(known_ns[0], known_ns[-1] - round(WINDOW_S * 1e9) + 1, round(STRIDE_S * 1e9))
    times_ns = starts_ns[:, None] + np.linspace(0, WINDOW_S * 1e9, _MOMENTS).astype(np.int64)

    def at(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "windows moments"]:
        found, known = Signal(ego.timestamps_ns, values, ego.valid).at(times_ns.ravel())
        return np.where(known, found, np.nan).reshape(times_ns.shape)

    yaw = np.zeros(len(ego.timestamps_ns))
    yaw[ego.valid] = np.unwrap(yaw_of(ego.rotation[ego.valid]))
    place = ego.translation_m.T
    return _Moments(times_ns, at(ego.speed_mps), at(yaw), at(place[0].copy()), at(place[1].copy()))


def _witnesses(drive: Drive) -> Iterator[Witness]:
    """Everything that can be compared with the poses; those that decide come first.

    Assumed, all allowances: a few times what good sensors, banked roads, slopes and delays of half a second make; below
    what a wrong unit, sign or column makes on any road with bends.
    """
    seen, heard = _moments(drive), drive.telemetry
    if not len(seen.times_ns):
        return
    way = np.hypot(np.diff(seen.east_m, axis=1), np.diff(seen.north_m, axis=1)).sum(1) / WINDOW_S
    speed = np.abs(seen.heard(heard.speed_mps)).mean(1)
    yield Witness("speed_mps", "the speed of the poses", "m/s", speed, way, 3.0, 0.2, True)
    aside = _course_aside(seen)
    yield Witness("course", "the heading of the poses", "rad", aside, np.zeros(len(aside)), 0.3, 0.0, True, always=True)
    lost = _fixes_aside(drive, seen)
    yield Witness(
        "latitude_deg", "the course of the poses", "rad", lost, np.zeros(len(lost)), 0.5, 0.0, True, always=True
    )
    yield from _turn_witnesses(drive, seen)
    gained = (seen.speed_mps[:, -1] - seen.speed_mps[:, 0]) / WINDOW_S
    along = seen.heard(heard.acceleration_x_mps2).mean(1)
    yield Witness("acceleration_x_mps2", "that of the poses", "m/s²", along, gained, 1.5, 0.5, False)
    outward = (seen.speed_mps * np.gradient(seen.yaw_rad, WINDOW_S / (_MOMENTS - 1), axis=1)).mean(1)
    across = seen.heard(heard.acceleration_y_mps2).mean(1)
    yield Witness("acceleration_y_mps2", "that of the poses", "m/s²", across, outward, 1.5, 0.5, False)
    upward = seen.heard(heard.acceleration_z_mps2).mean(1)
    yield Witness(
        "acceleration_z_mps2", "none without gravity", "m/s²", upward, np.zeros(len(upward)), 3.0, 0.0, False, True
    )


def _turn_witnesses(drive: Drive, seen: _Moments) -> Iterator[Witness]:
    """Each turn rate beside that of the poses, and beside each other: poses may be a compromise of two."""
    heading = seen.heard(_unwrapped(drive.telemetry.heading_rad))
    compass = np.where(seen.moving(), (heading[:, -1] - heading[:, 0]) / WINDOW_S, np.nan)
    sources = [
        ("the poses", (seen.yaw_rad[:, -1] - seen.yaw_rad[:, 0]) / WINDOW_S, 0.05, 0.3),
        ("yaw_rate_radps", seen.heard(drive.telemetry.yaw_rate_radps).mean(1), 0.05, 0.3),
        ("heading_rad", compass, 0.05, 0.3),
        ("steering_wheel_angle_rad", _steered(drive, seen), 0.06, 0.4),
    ]
    for (other, shown, *_), (name, said, allowed, share) in combinations(sources, 2):
        yield Witness(name, f"the turn rate of {other}", "rad/s", said, shown, allowed, share, True)


def _course_aside(seen: _Moments) -> Windows:
    """Angle between where the vehicle went and where its poses look, over the middle steps of each window."""
    middle = _MOMENTS // 2
    east, north = (place[:, middle + 1] - place[:, middle - 1] for place in (seen.east_m, seen.north_m))
    course = np.arctan2(north, east) + np.where(seen.speed_mps[:, middle] < 0, np.pi, 0.0)
    aside = (course - seen.yaw_rad[:, middle] + np.pi) % (2 * np.pi) - np.pi
    return np.where(seen.moving(), aside, np.nan)


def _fixes_aside(drive: Drive, seen: _Moments) -> Windows:
    """Angle between where the fixes went over each window and where the poses did, both in east and north."""
    if drive.ego.origin_deg_m is None:
        return np.full(len(seen.times_ns), np.nan)
    latitude, longitude = (
        seen.heard(s)[:, [0, -1]] for s in (drive.telemetry.latitude_deg, drive.telemetry.longitude_deg)
    )
    north = latitude[:, 1] - latitude[:, 0]
    east = (longitude[:, 1] - longitude[:, 0]) * np.cos(np.radians(latitude[:, 0]))
    went = np.arctan2(seen.north_m[:, -1] - seen.north_m[:, 0], seen.east_m[:, -1] - seen.east_m[:, 0])
    aside = (np.arctan2(north, east) - went + np.pi) % (2 * np.pi) - np.pi
    return np.where(np.abs(seen.speed_mps).min(1) > _FIX_MIN_SPEED_MPS, aside, np.nan)


def _steered(drive: Drive, seen: _Moments) -> Windows:
    """Turn rate by the steering wheel; where its ratio is not known, by the usual one that suits the poses best."""
    speed, wheel = seen.speed_mps, seen.heard(drive.telemetry.steering_wheel_angle_rad)
    if drive.wheelbase_m is None or drive.steering_ratio is None:
        said, shown = (speed * wheel).mean(1), (seen.yaw_rad[:, -1] - seen.yaw_rad[:, 0]) / WINDOW_S
        known = np.isfinite(said + shown)
        fit = float(said[known] @ shown[known]) / max(float(said[known] @ said[known]), 1e-9)
        low, usual, high = _PER_WHEEL_ANGLE
        return (fit if low <= fit <= high else usual) * said
    reach_m = drive.wheelbase_m + UNDERSTEER_RAD_PER_MPS2 * speed**2
    # Full lock is below 45 degrees at the road wheels; a larger angle is none.
    return (speed * np.tan(np.clip(wheel / drive.steering_ratio, -0.8, 0.8)) / reach_m).mean(1)


def _unwrapped(angle: Signal) -> Signal:
    """The valid samples without jumps of a full turn."""
    return Signal.measured(angle.timestamps_ns[angle.valid], np.unwrap(angle.values[angle.valid]))
