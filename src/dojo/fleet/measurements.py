"""A vehicle's telemetry as measurements on one regular clock, ready for the smoother.

In: `Telemetry`, in which every signal has its own times and gaps. Out: `Measurements`, at most one of each kind per
step of the clock, each with the milliseconds by which it missed the step.
Idea: the measurement equation carries a value over those milliseconds, so nothing is interpolated and no sample is
counted twice; several samples within a step become their mean. Repeated values of a receiver that updates rarely are
one measurement.
Not here: how they are fused (`ego.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordingError
from dojo.geometry.place import ecef_from_geodetic, geodetic_from_ecef, world_from_ecef
from dojo.records import Signal, Telemetry

STEP_S = 0.04
MAX_GAP_S = 1.0
"""Longer without speed and the motion is not known. Assumed: within a second a car changes speed by a few m/s."""

UNDERSTEER_RAD_PER_MPS2 = 0.004
"""Road-wheel angle that a car needs per m/s² of lateral acceleration, beyond what geometry asks. Assumed: 2 degrees per
g, usual for passenger cars; the scale of a steering source is therefore taken to be uncertain by 15 %."""

_REVERSE = float(Telemetry.GEARS.index("reverse"))
_STANDSTILL_MPS = 0.03
_HEADING_MIN_SPEED_MPS = 1.0  # a receiver's heading is its direction of travel: below this speed it is noise
# Headings say how sharply a car turned if a line through half a second of them has a slope this certain; else steering
# is used as well. Assumed: as good as the gyroscope below.
_SHARP_RADPS, _SHARP_WINDOW_S, _SHARP_SAMPLES = 0.005, 0.5, 3
_HEADING_NOISE_RAD = (0.0005, 0.05)  # bounds of what is believed about it
_HEADING_ENOUGH_HZ = 0.9
_REPEAT_S = 0.5  # a value that has not changed for this long is a new measurement all the same
_FIX_GAP_S = 1.5  # over longer gaps a coordinate is not interpolated
_FAR_M = 100_000.0  # a fix this far from the others is none


@dataclass(frozen=True)
class Binned:
    """One kind of measurement: its value, the seconds after (before: negative) its step, and whether there is one."""

    value: Float64[np.ndarray, " n"]
    late_s: Float64[np.ndarray, " n"]
    there: Bool[np.ndarray, " n"]

    def part(self, steps: slice) -> Binned:
        """The measurements of some steps."""
        return Binned(self.value[steps], self.late_s[steps], self.there[steps])


@dataclass(frozen=True)
class TurnSource:
    """What showed the turn rate: yaw rate = shown * (1 + scale) + gain * offset.

    Args:
        offset_sigma, scale_sigma: how wrong the sensor may constantly be.
    """

    measured: Binned
    gain: Float64[np.ndarray, " n"]
    noise_radps: float
    offset_sigma: float
    scale_sigma: float


@dataclass(frozen=True)
class Measurements:
    """Everything measured.

    Args:
        speed_mps: interpolated; only to judge by and to start from.
        heading_noise_rad: from one heading to the next; how wrong they all may be is a state of the filter.
        fix_rate_hz: fixes per second, as often as they change.
        standstill: steps at which the vehicle stands.
        signals: names of what went in.
        origin_deg_m: world origin of east and north: the first fix that agrees with the others.
    """

    timestamps_ns: Int64[np.ndarray, " n"]
    speed_mps: Float64[np.ndarray, " n"]
    speed: Binned
    turn: TurnSource | None
    heading: Binned
    heading_noise_rad: float
    east: Binned
    north: Binned
    fix_rate_hz: float
    standstill: Bool[np.ndarray, " n"]
    signals: tuple[str, ...]
    origin_deg_m: tuple[float, float, float] | None

    @property
    def turn_gain(self) -> Float64[np.ndarray, " n"]:
        """How much of the turn source's offset is yaw rate; zero without a source."""
        return np.zeros(len(self.timestamps_ns)) if self.turn is None else self.turn.gain

    def turning_known(self) -> Bool[np.ndarray, " n"]:
        """Steps near which something says how the vehicle turns, or at which it stands."""
        told = self.heading.there | self.standstill
        if self.turn is not None:
            told = told | self.turn.measured.there
        if not told.any():
            return told
        times, heard = self.timestamps_ns, self.timestamps_ns[told]
        after = heard[np.minimum(np.searchsorted(heard, times), len(heard) - 1)]
        before = heard[np.maximum(np.searchsorted(heard, times, side="right") - 1, 0)]
        nearest = np.minimum(np.abs(after - times), np.abs(times - before))
        return nearest <= round(MAX_GAP_S * 1e9)

    def runs(self) -> list[Measurements]:
        """Stretches without a gap, in order."""
        breaks = np.flatnonzero(np.diff(self.timestamps_ns) > round(STEP_S * 1e9)) + 1
        edges = [0, *breaks.tolist(), len(self.timestamps_ns)]
        return [self._part(slice(first, last)) for first, last in pairwise(edges)]

    def _part(self, steps: slice) -> Measurements:
        turn = self.turn
        return replace(
            self,
            timestamps_ns=self.timestamps_ns[steps],
            speed_mps=self.speed_mps[steps],
            speed=self.speed.part(steps),
            turn=turn and replace(turn, measured=turn.measured.part(steps), gain=turn.gain[steps]),
            heading=self.heading.part(steps),
            east=self.east.part(steps),
            north=self.north.part(steps),
            standstill=self.standstill[steps],
        )


def clock(speed: Signal) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Steps from the first to the last speed sample, and those at which speed is known.

    Raises:
        RecordingError: gate `no_speed`.
    """
    times = speed.timestamps_ns[speed.valid]
    timestamps_ns = np.zeros(0, np.int64)
    covered = np.zeros(0, np.bool_)
    if len(times):
        timestamps_ns = np.arange(times[0], times[-1] + 1, round(STEP_S * 1e9), dtype=np.int64)
        covered = speed.at(timestamps_ns, max_gap_s=MAX_GAP_S)[1]
    if covered.sum() < 2:
        raise RecordingError(
            "no_speed",
            f"expected speed at least every {MAX_GAP_S:g} s to integrate a path from, got {len(times)} samples; "
            "provide the vehicle's speed, or poses",
            {"speed_samples": float(len(times))},
        )
    return timestamps_ns, covered


def measure(
    telemetry: Telemetry,
    timestamps_ns: Int64[np.ndarray, " n"],
    wheelbase_m: float | None,
    steering_ratio: float | None,
    understeer_rad_per_mps2: float,
) -> Measurements:
    """All measurements at the steps of a clock.

    Raises:
        RecordingError: gate `no_turn_rate` where nothing says how the vehicle turned.
    """
    speed = _signed_speed(telemetry)
    speed_mps = speed.at(timestamps_ns, max_gap_s=MAX_GAP_S)[0]
    moving = np.abs(speed_mps) >= _HEADING_MIN_SPEED_MPS
    fresh = _fresh(_unwrapped(telemetry.heading_rad))
    heading = _bin(fresh, timestamps_ns)
    heading = replace(heading, there=heading.there & moving)
    heading_noise_rad = _noise(fresh, np.abs(speed.at(fresh.timestamps_ns)[0]) >= _HEADING_MIN_SPEED_MPS)
    turn, turn_signal = _turn_source(
        telemetry,
        timestamps_ns,
        speed_mps,
        heading,
        heading_noise_rad,
        wheelbase_m,
        steering_ratio,
        understeer_rad_per_mps2,
    )
    east, north, origin, rate_hz = _fixes(telemetry, timestamps_ns)
    used = (
        ("speed_mps", True),
        ("gear", bool(telemetry.gear.valid.any())),
        (turn_signal, turn is not None),
        ("heading_rad", bool(heading.there.any())),
        ("latitude_deg,longitude_deg", bool(east.there.any())),
    )
    return Measurements(
        timestamps_ns,
        speed_mps,
        _bin(speed, timestamps_ns),
        turn,
        heading,
        heading_noise_rad,
        east,
        north,
        rate_hz,
        np.abs(speed_mps) < _STANDSTILL_MPS,
        tuple(name for name, is_used in used if is_used),
        origin,
    )


def _signed_speed(telemetry: Telemetry) -> Signal:
    """Speed, negative in reverse gear; vehicles that sign it themselves are left as they are."""
    speed = telemetry.speed_mps
    gear, known = telemetry.gear.at(speed.timestamps_ns, max_gap_s=10.0, held=True)
    backwards = known & (gear == _REVERSE)
    return replace(speed, values=np.where(backwards, -np.abs(speed.values), speed.values))


def _turn_source(
    telemetry: Telemetry,
    timestamps_ns: Int64[np.ndarray, " n"],
    speed_mps: Float64[np.ndarray, " n"],
    heading: Binned,
    heading_noise_rad: float,
    wheelbase_m: float | None,
    steering_ratio: float | None,
    understeer: float,
) -> tuple[TurnSource | None, str]:
    """The best source of turning: yaw rate, else None where headings are sharp enough, else steering."""
    if telemetry.yaw_rate_radps.valid.any():
        # Assumed: an automotive or phone gyroscope: 0.3 degrees/s offset, 1 % scale, vibration on top.
        measured = _bin(telemetry.yaw_rate_radps, timestamps_ns)
        return TurnSource(measured, np.ones(len(timestamps_ns)), 0.005, 0.005, 0.01), "yaw_rate_radps"
    moving = np.abs(speed_mps) >= _HEADING_MIN_SPEED_MPS
    heading_hz = float(heading.there.sum()) / max(float(moving.sum()) * STEP_S, STEP_S)
    samples = max(heading_hz * _SHARP_WINDOW_S, 1e-3)
    slope_radps = heading_noise_rad * np.sqrt(12.0 / samples) / _SHARP_WINDOW_S
    sharp = samples >= _SHARP_SAMPLES and slope_radps <= _SHARP_RADPS
    steering = telemetry.steering_wheel_angle_rad
    can_steer = steering.valid.any() and wheelbase_m is not None and steering_ratio is not None
    if can_steer and not sharp:
        assert wheelbase_m is not None
        assert steering_ratio is not None
        gain = speed_mps / (wheelbase_m + understeer * speed_mps**2)
        measured = _bin(steering, timestamps_ns)
        measured = replace(measured, value=gain * np.tan(measured.value / steering_ratio))
        # Assumed: the wheel is mounted or zeroed to 1 degree; tyres and road crown make up the rest.
        return TurnSource(measured, gain, 0.005, 0.02 / steering_ratio, 0.15), "steering_wheel_angle_rad"
    if heading_hz < _HEADING_ENOUGH_HZ and moving.any():
        raise RecordingError(
            "no_turn_rate",
            f"expected yaw rate, heading at {_HEADING_ENOUGH_HZ:g} Hz, or steering with wheelbase and steering ratio, "
            f"got headings at {heading_hz:.2g} Hz, {int(steering.valid.sum())} steering samples, "
            f"wheelbase {wheelbase_m}, steering ratio {steering_ratio}; declare what the vehicle has",
            {"heading_hz": heading_hz, "steering_samples": float(steering.valid.sum())},
        )
    return None, ""


def _fixes(
    telemetry: Telemetry, timestamps_ns: Int64[np.ndarray, " n"]
) -> tuple[Binned, Binned, tuple[float, float, float] | None, float]:
    """East and north of GNSS fixes, their origin, and how many a second are new."""
    latitude = telemetry.latitude_deg
    longitude, both = _longitude_at_fixes(telemetry)
    there = latitude.valid & both & (np.abs(latitude.values) <= 90) & (np.abs(longitude) <= 180)
    # A receiver without a fix writes (0, 0): a place in the Atlantic where no road is.
    there &= (np.abs(latitude.values) > 1e-6) | (np.abs(longitude) > 1e-6)
    nothing = _bin(Signal(), timestamps_ns)
    if not there.any():
        return nothing, nothing, None, 0.0
    times, latitude_deg, longitude_deg = latitude.timestamps_ns[there], latitude.values[there], longitude[there]
    ecef_m = ecef_from_geodetic(latitude_deg, longitude_deg, np.zeros(len(times)))
    near = np.linalg.norm(ecef_m - np.median(ecef_m, axis=0), axis=1) < _FAR_M
    if not near.any():
        return nothing, nothing, None, 0.0
    times, ecef_m = times[near], ecef_m[near]
    first_latitude, first_longitude, _ = geodetic_from_ecef(ecef_m[0])
    altitude, known = telemetry.altitude_m.at(times[:1], max_gap_s=5.0)
    origin = (float(first_latitude), float(first_longitude), float(altitude[0]) if known[0] else 0.0)
    local_m = world_from_ecef(origin[0], origin[1], 0.0).apply(ecef_m)[:, :2]
    changed = np.concatenate([[True], (np.diff(local_m, axis=0) != 0).any(axis=1)])
    rate_hz = changed.sum() / max((times[-1] - times[0]) / 1e9, 1.0)
    east, north = (Signal.measured(times[changed], local_m[changed, axis].copy()) for axis in (0, 1))
    return _bin(east, timestamps_ns), _bin(north, timestamps_ns), origin, float(rate_hz)


def _longitude_at_fixes(telemetry: Telemetry) -> tuple[Float64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Longitudes at the times of the latitudes, which are the same times in all but odd logs."""
    times_ns, longitude = telemetry.latitude_deg.timestamps_ns, telemetry.longitude_deg
    if np.array_equal(times_ns, longitude.timestamps_ns):
        return longitude.values, longitude.valid
    return longitude.at(times_ns, max_gap_s=_FIX_GAP_S)


def _unwrapped(angle: Signal) -> Signal:
    """Valid samples only, without jumps of a full turn."""
    times, values = angle.timestamps_ns[angle.valid], angle.values[angle.valid]
    return Signal.measured(times, np.unwrap(values))


def _fresh(signal: Signal) -> Signal:
    """The samples that say something new: the value changed, or half a second has passed."""
    if len(signal.values) == 0:
        return signal
    changed = np.diff(signal.values, prepend=np.nan) != 0
    changed |= np.diff(signal.timestamps_ns // round(_REPEAT_S * 1e9), prepend=0) != 0
    return Signal.measured(signal.timestamps_ns[changed], signal.values[changed])


def _noise(angle: Signal, moving: Bool[np.ndarray, " n"]) -> float:
    """Standard deviation from sample to sample: of second differences, in which steady turning cancels."""
    if moving.sum() < 5:
        return _HEADING_NOISE_RAD[1]
    # 1.4826 makes a median absolute value a standard deviation; white noise has second differences of variance 6.
    sigma = 1.4826 / np.sqrt(6.0) * float(np.median(np.abs(np.diff(angle.values[moving], 2))))
    return float(np.clip(sigma, *_HEADING_NOISE_RAD))


def _bin(signal: Signal, timestamps_ns: Int64[np.ndarray, " n"]) -> Binned:
    """Mean of the valid samples that are nearest to each step and within half a step of it."""
    count = len(timestamps_ns)
    times, values = signal.timestamps_ns[signal.valid], signal.values[signal.valid]
    middles = (timestamps_ns[1:] + timestamps_ns[:-1]) // 2
    nearest = np.searchsorted(middles, times, side="right")
    late_s = (times - timestamps_ns[nearest]) / 1e9
    inside = np.abs(late_s) <= STEP_S / 2 + 1e-9
    nearest, late_s, values = nearest[inside], late_s[inside], values[inside]
    samples = np.bincount(nearest, minlength=count)
    share = 1.0 / np.maximum(samples, 1)
    return Binned(
        np.bincount(nearest, values, minlength=count) * share,
        np.bincount(nearest, late_s, minlength=count) * share,
        samples > 0,
    )
