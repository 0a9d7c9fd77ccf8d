"""The smoother against simulated truth, and against poses that others recorded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import RecordingError
from dojo.fleet.ego import smooth
from dojo.fleet.readers.comma2k19 import read_motion
from dojo.geometry.place import ecef_from_geodetic, geodetic_from_ecef, world_from_ecef
from dojo.geometry.rigid import yaw_of
from dojo.records import EgoMotion, Signal, Telemetry

ORIGIN = (48.1, 11.6, 0.0)
NO_SIGNAL = Signal()


@dataclass(frozen=True)
class Truth:
    """What a simulated vehicle really did, at 200 Hz."""

    times_s: np.ndarray
    east_m: np.ndarray
    north_m: np.ndarray
    yaw_rad: np.ndarray
    speed_mps: np.ndarray
    yaw_rate_radps: np.ndarray

    def at(self, timestamps_ns: np.ndarray) -> np.ndarray:
        """(east, north, yaw) at other times."""
        at_s = timestamps_ns / 1e9
        return np.stack([np.interp(at_s, self.times_s, v) for v in (self.east_m, self.north_m, self.yaw_rad)], -1)


def driven(times_s: np.ndarray, speed_mps: np.ndarray, yaw_rate_radps: np.ndarray, yaw_rad: float = 1.0) -> Truth:
    """The path of given speeds and yaw rates, by midpoints."""
    step = np.diff(times_s)
    yaw = yaw_rad + np.concatenate([[0.0], np.cumsum(0.5 * (yaw_rate_radps[1:] + yaw_rate_radps[:-1]) * step)])
    middle, along = 0.5 * (yaw[1:] + yaw[:-1]), 0.5 * (speed_mps[1:] + speed_mps[:-1]) * step
    east = np.concatenate([[0.0], np.cumsum(along * np.cos(middle))])
    north = np.concatenate([[0.0], np.cumsum(along * np.sin(middle))])
    return Truth(times_s, east, north, yaw, speed_mps, yaw_rate_radps)


def town_drive(seconds: float, seed: int = 0) -> Truth:
    """Curves, speed changes and a stop."""
    t = np.arange(0.0, seconds, 0.005)
    speed = np.clip(9 + 7 * np.sin(2 * np.pi * t / 47 + seed) + 2 * np.sin(2 * np.pi * t / 13), 0.0, None)
    rate = (0.12 * np.sin(2 * np.pi * t / 17 + seed) + 0.08 * np.sin(2 * np.pi * t / 5)) * np.clip(speed / 3, 0, 1)
    return driven(t, speed, rate)


def sampled(truth: Truth, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices and times of samples at a rate."""
    rows = np.round(np.arange(0, truth.times_s[-1] - 1e-9, 1 / rate_hz) * 200).astype(int)
    return rows, np.round(truth.times_s[rows] * 1e9).astype(np.int64)


def listened(
    truth: Truth, signals: str, seed: int = 0, rate_hz: float = 36.0, fix_hz: float = 5.0, noise: float = 1.0
) -> Telemetry:
    """What sensors with constant errors and noise of the assumed sizes say about the truth."""
    rng = np.random.default_rng(seed)
    rows, times = sampled(truth, rate_hz)
    speed = truth.speed_mps[rows]
    moving = np.abs(speed) > 0.01
    found = {
        "speed_mps": Signal.measured(
            times, speed * (1 + noise * 0.01 * rng.normal()) + noise * 0.1 * moving * rng.normal(size=len(rows))
        )
    }
    if "gyro" in signals:
        shown = truth.yaw_rate_radps[rows] / (1 + noise * 0.01 * rng.normal()) + noise * 0.005 * rng.normal()
        found["yaw_rate_radps"] = Signal.measured(times, shown + noise * 0.005 * rng.normal(size=len(rows)))
    if "heading" in signals:
        heading = truth.yaw_rad[rows] + noise * (0.02 * rng.normal() + 0.004 * rng.normal(size=len(rows)))
        found["heading_rad"] = Signal.measured(times, (heading + np.pi) % (2 * np.pi) - np.pi)
    if "gnss" in signals:
        rows, times = sampled(truth, fix_hz)
        wander = noise * 2.1 * correlated(rng, len(rows), 1 / fix_hz, 5.0)
        found |= fixes(times, np.stack([truth.east_m[rows], truth.north_m[rows]], -1) + wander)
    return Telemetry(**found)


def correlated(rng: np.random.Generator, count: int, step_s: float, time_constant_s: float) -> np.ndarray:
    """Two columns of unit variance that forget themselves exponentially, as GNSS errors do."""
    keep = math.exp(-step_s / time_constant_s)
    values = rng.normal(size=(count, 2))
    for row in range(1, count):
        values[row] = keep * values[row - 1] + math.sqrt(1 - keep**2) * values[row]
    return values


def fixes(times_ns: np.ndarray, local_m: np.ndarray) -> dict[str, Signal]:
    """Latitude and longitude of local positions about ORIGIN."""
    flat = np.column_stack([local_m, np.zeros(len(local_m))])
    places = geodetic_from_ecef(world_from_ecef(*ORIGIN).inverse().apply(flat))
    return {
        "latitude_deg": Signal.measured(times_ns, places[:, 0].copy()),
        "longitude_deg": Signal.measured(times_ns, places[:, 1].copy()),
    }


def errors_of(motion: EgoMotion, truth: Truth) -> np.ndarray:
    """(east, north, yaw) of the result minus the truth, both in the world of the result."""
    expected = truth.at(motion.timestamps_ns)
    if motion.origin_deg_m is None:
        start = truth.at(motion.timestamps_ns[:1])[0]
        cosine, sine = math.cos(start[2]), math.sin(start[2])
        moved = expected - start
        expected = np.stack(
            [cosine * moved[:, 0] + sine * moved[:, 1], -sine * moved[:, 0] + cosine * moved[:, 1], moved[:, 2]], -1
        )
    else:
        latitude, longitude, _ = motion.origin_deg_m
        origin = world_from_ecef(*ORIGIN).apply(
            ecef_from_geodetic(np.array(latitude), np.array(longitude), np.array(0.0))
        )
        expected[:, :2] -= origin[:2]
    difference = np.column_stack([motion.translation_m[:, :2], yaw_of(motion.rotation)]) - expected
    difference[:, 2] = (difference[:, 2] + np.pi) % (2 * np.pi) - np.pi
    return difference


def moved_over(motion: EgoMotion, at_ns: np.ndarray, seconds: float) -> np.ndarray:
    """Forward, left and turn over some time, seen from the pose at its beginning."""
    yaw = np.unwrap(yaw_of(motion.rotation))
    columns = np.column_stack([motion.translation_m[:, :2], yaw])
    here, there = (
        np.stack([np.interp(t, motion.timestamps_ns, c) for c in columns.T], -1)
        for t in (at_ns, at_ns + round(seconds * 1e9))
    )
    step = there - here
    cosine, sine = np.cos(here[:, 2]), np.sin(here[:, 2])
    return np.stack([cosine * step[:, 0] + sine * step[:, 1], -sine * step[:, 0] + cosine * step[:, 1], step[:, 2]], -1)


def rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).mean(0))


# --- by hand


def test_a_straight_drive_without_gnss_goes_along_x_from_the_origin() -> None:
    times = np.arange(0, 10_000_000_001, 50_000_000, dtype=np.int64)
    constant = Signal.measured(times, np.full(len(times), 20.0))
    straight = Signal.measured(times, np.zeros(len(times)))
    motion = smooth(Telemetry(speed_mps=constant, yaw_rate_radps=straight), None, None)
    assert motion.origin_deg_m is None
    assert motion.source == "smoothed:speed_mps,yaw_rate_radps"
    assert motion.translation_m[0] == pytest.approx([0, 0, 0], abs=1e-3)
    assert motion.translation_m[-1] == pytest.approx([200.0, 0.0, 0.0], abs=1e-2)
    assert np.diff(motion.timestamps_ns).max() <= 50_000_000


def test_a_circle_closes_where_it_began() -> None:
    times = np.arange(0, round(20 * np.pi * 1e9), 20_000_000, dtype=np.int64)
    speed = Signal.measured(times, np.full(len(times), 5.0))
    rate = Signal.measured(times, np.full(len(times), 0.1))
    motion = smooth(Telemetry(speed_mps=speed, yaw_rate_radps=rate), None, None)
    assert motion.translation_m[-1, :2] == pytest.approx([0, 0], abs=0.3)
    assert motion.translation_m[len(motion.valid) // 2, 1] == pytest.approx(100.0, abs=0.5)  # to the left, radius 50 m


def test_steering_alone_turns_by_the_bicycle_model() -> None:
    times = np.arange(0, 10_000_000_001, 20_000_000, dtype=np.int64)
    speed = Signal.measured(times, np.full(len(times), 3.0))
    steering = Signal.measured(times, np.full(len(times), 1.5))
    motion = smooth(Telemetry(speed_mps=speed, steering_wheel_angle_rad=steering), 2.7, 15.0, 0.0)
    assert "steering_wheel_angle_rad" in motion.source
    assert motion.yaw_rate_radps[100] == pytest.approx(3.0 * math.tan(0.1) / 2.7, rel=1e-3)


def test_reverse_gear_goes_backwards_and_speed_says_so() -> None:
    times = np.arange(0, 5_000_000_001, 50_000_000, dtype=np.int64)
    signals = {
        "speed_mps": Signal.measured(times, np.full(len(times), 2.0)),
        "gear": Signal.measured(times, np.full(len(times), float(Telemetry.GEARS.index("reverse")))),
        "yaw_rate_radps": Signal.measured(times, np.zeros(len(times))),
    }
    motion = smooth(Telemetry(**signals), None, None)
    assert motion.translation_m[-1, 0] == pytest.approx(-10.0, abs=0.05)
    assert (motion.speed_mps < 0).all()


def test_heading_freezes_while_the_vehicle_stands_although_the_gyroscope_drifts() -> None:
    times = np.arange(0, 60_000_000_001, 50_000_000, dtype=np.int64)
    seconds = times / 1e9
    speed = Signal.measured(times, np.where(seconds < 20, 5.0, 0.0))
    drift = Signal.measured(times, np.full(len(times), 0.01))
    motion = smooth(Telemetry(speed_mps=speed, yaw_rate_radps=drift), None, None)
    stopped = motion.timestamps_ns > 25_000_000_000
    assert np.ptp(yaw_of(motion.rotation[stopped])) < 1e-6
    assert np.ptp(motion.translation_m[stopped], axis=0).max() < 0.05
    # Standing still also tells the offset, so that the straight before was straight.
    assert abs(yaw_of(motion.rotation)[-1]) < 0.01


def test_poses_are_invalid_where_speed_is_missing_for_more_than_a_second() -> None:
    truth = town_drive(40)
    telemetry = listened(truth, "gyro heading gnss")
    times = telemetry.speed_mps.timestamps_ns
    lost = (times > 10_000_000_000) & (times < 15_000_000_000)
    speed = replace(telemetry.speed_mps, valid=telemetry.speed_mps.valid & ~lost)
    motion = smooth(replace(telemetry, speed_mps=speed), None, None)
    inside = (motion.timestamps_ns > 10_100_000_000) & (motion.timestamps_ns < 14_900_000_000)
    assert not motion.valid[inside].any()
    assert motion.valid[~inside].mean() > 0.98
    assert np.abs(errors_of(motion, truth)[motion.valid, :2]).max() < 12.0


def test_after_a_gap_without_gnss_the_covariance_admits_that_the_place_is_lost() -> None:
    telemetry = listened(town_drive(40), "gyro")
    times = telemetry.speed_mps.timestamps_ns
    lost = (times > 10_000_000_000) & (times < 15_000_000_000)
    speed = replace(telemetry.speed_mps, valid=telemetry.speed_mps.valid & ~lost)
    motion = smooth(replace(telemetry, speed_mps=speed), None, None)
    assert motion.covariance[-1, 0, 0] > 100.0**2
    assert np.isfinite(motion.covariance[motion.valid]).all()


# --- honest errors


@pytest.mark.parametrize(
    ("signals", "position_m", "yaw_deg"),
    [("gyro gnss", 3.5, 3.0), ("heading gnss", 3.5, 1.0), ("gyro heading gnss", 3.0, 1.0)],
)
def test_errors_match_the_covariance_when_sensors_err_as_assumed(
    signals: str, position_m: float, yaw_deg: float
) -> None:
    squared, distances, angles = [], [], []
    for seed in range(5):
        truth = town_drive(40, seed)
        motion = smooth(listened(truth, signals, seed), None, None)
        error = errors_of(motion, truth)
        # The world begins at the first fix, whose own error is therefore in every position.
        squared.append(np.einsum("ni,nij,nj->n", error, np.linalg.inv(motion.covariance), error)[::25])
        distances.append(np.hypot(error[:, 0], error[:, 1]))
        angles.append(error[:, 2])
    # Three degrees of freedom. Errors within a drive are nearly the same error, so five drives give a wide interval;
    # a covariance three times too small or too large in standard deviation gives 27 or 0.3.
    assert 0.6 < float(np.mean(squared)) < 8.0
    assert rms(np.concatenate(distances)) < position_m
    assert np.degrees(rms(np.concatenate(angles))) < yaw_deg


def test_without_gnss_the_covariance_grows_as_the_error_does() -> None:
    squared = []
    for seed in range(10):
        truth = town_drive(20, seed)
        motion = smooth(listened(truth, "gyro", seed), None, None)
        error = errors_of(motion, truth)[-1]
        squared.append(float(error @ np.linalg.solve(motion.covariance[-1], error)))
        assert (np.diff(motion.covariance[::50, 2, 2]) > -1e-9).all()
    # Mean of 10 independent draws of chi-squared with 3 degrees: standard deviation 0.8.
    assert 0.6 < np.mean(squared) < 6.0


def test_a_scale_error_is_not_learned_from_speed_alone() -> None:
    truth = town_drive(300)
    motion = smooth(listened(truth, "gyro", 3, noise=0.0), None, None)
    speed = np.interp(motion.timestamps_ns / 1e9, truth.times_s, truth.speed_mps)
    assert np.abs(motion.speed_mps - speed).max() < 0.1


def test_fixes_that_jump_are_kept_out() -> None:
    truth = town_drive(60)
    telemetry = listened(truth, "gyro gnss", 1)
    wild = telemetry.latitude_deg.values.copy()
    wild[100:110] += 0.002  # 220 m
    wild[0] += 0.01
    jumped = replace(telemetry, latitude_deg=replace(telemetry.latitude_deg, values=wild))
    with_jump, without = smooth(jumped, None, None), smooth(telemetry, None, None)
    shift = with_jump.translation_m - without.translation_m
    shift -= shift[0]  # the origin is the first fix, which is one of the wild ones
    assert np.abs(shift).max() < 1.5


@pytest.mark.parametrize("name", ["speed_mps", "yaw_rate_radps", "heading_rad"])
def test_single_wild_samples_are_kept_out(name: str) -> None:
    telemetry = listened(town_drive(40), "gyro heading gnss", 2)
    signal = getattr(telemetry, name)
    values = signal.values.copy()
    values[200::300] += 30.0 if name == "speed_mps" else 2.0
    spoiled = smooth(replace(telemetry, **{name: replace(signal, values=values)}), None, None)
    clean = smooth(telemetry, None, None)
    assert np.abs(spoiled.translation_m - clean.translation_m).max() < 1.0


def test_signals_of_different_rates_give_the_same_path() -> None:
    truth = town_drive(40)
    fast = smooth(listened(truth, "gyro gnss", rate_hz=100.0, fix_hz=10.0, noise=0.0), None, None)
    slow = smooth(listened(truth, "gyro gnss", rate_hz=10.0, fix_hz=1.0, noise=0.0), None, None)
    common = slow.timestamps_ns[10:-10]
    # At 10 Hz a signal is a tenth of a second coarse: decimetres over ten seconds of town driving.
    assert np.abs(moved_over(fast, common[:500], 10.0) - moved_over(slow, common[:500], 10.0))[:, :2].max() < 0.5


def test_a_receiver_that_repeats_its_values_is_not_believed_more() -> None:
    truth = town_drive(40)
    once = listened(truth, "gyro gnss", fix_hz=1.0)
    held = {
        name: Signal.measured(
            once.speed_mps.timestamps_ns,
            getattr(once, name).at(once.speed_mps.timestamps_ns, max_gap_s=2.0, held=True)[0],
        )
        for name in ("latitude_deg", "longitude_deg")
    }
    known = once.latitude_deg.at(once.speed_mps.timestamps_ns, max_gap_s=2.0, held=True)[1]
    held = {name: replace(signal, valid=known) for name, signal in held.items()}
    repeated = smooth(replace(once, **held), None, None)
    single = smooth(once, None, None)
    assert repeated.covariance[500, 0, 0] == pytest.approx(single.covariance[500, 0, 0], rel=0.2)


@settings(max_examples=12, deadline=None)
@given(
    # Slower than 0.03 m/s counts as standing, and then the pose is held.
    speed=st.floats(-5, 40).filter(lambda speed: speed == 0 or abs(speed) > 0.05),
    rate=st.floats(-0.5, 0.5),
    yaw=st.floats(-3, 3),
    hertz=st.sampled_from([10.0, 36.0, 83.0]),
)
def test_constant_motion_is_found_exactly(speed: float, rate: float, yaw: float, hertz: float) -> None:
    t = np.arange(0, 8, 0.005)
    truth = driven(t, np.full(len(t), speed), np.full(len(t), rate if abs(speed) > 0.1 else 0.0), yaw)
    motion = smooth(listened(truth, "gyro", rate_hz=hertz, noise=0.0), None, None)
    assert np.abs(errors_of(motion, truth)).max() < 0.05
    assert np.allclose(motion.covariance, np.swapaxes(motion.covariance, 1, 2))
    assert (np.linalg.eigvalsh(motion.covariance) > -1e-9).all()


def test_five_minutes_take_about_a_second() -> None:
    telemetry = listened(town_drive(300), "gyro gnss")
    began = time.process_time()
    smooth(telemetry, None, None)
    assert time.process_time() - began < 8.0  # 0.7 s alone on a core; annotations are checked here


# --- refusals


def test_a_drive_without_speed_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"expected speed at least every 1 s .* got 0 samples; provide") as raised:
        smooth(Telemetry(), None, None)
    assert raised.value.gate == "no_speed"


def test_a_drive_that_does_not_say_how_it_turned_is_refused() -> None:
    truth = town_drive(20)
    telemetry = listened(truth, "gnss")
    steering = Signal.measured(telemetry.speed_mps.timestamps_ns, np.zeros(len(telemetry.speed_mps.values)))
    with pytest.raises(RecordingError, match=r"expected yaw rate, heading at 0\.9 Hz, or steering with wheelbase"):
        smooth(replace(telemetry, steering_wheel_angle_rad=steering), None, None)


# --- against what others recorded


def test_comma2k19_speed_and_gyroscope_give_the_recorded_path(
    real_recording: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    segment = real_recording("comma2k19_example") / "b0c9d2329ad1606b_2018-08-02--08-34-47" / "40"
    recorded, _ = read_motion(segment)
    ego, heard = recorded.ego, recorded.telemetry
    alone = replace(heard, latitude_deg=NO_SIGNAL, longitude_deg=NO_SIGNAL, heading_rad=NO_SIGNAL)
    steered = replace(heard, yaw_rate_radps=NO_SIGNAL)
    cases = {
        # Metres forward, metres sideways and degrees: root mean square over 10 s (170 m); measured, rounded up.
        "speed, gyroscope": (alone, (1.6, 0.7, 0.45)),
        "speed, gyroscope, heading, GNSS": (heard, (0.3, 0.45, 0.2)),
        "speed, steering, heading, GNSS": (steered, (0.3, 0.7, 0.35)),
    }
    for name, (telemetry, limits) in cases.items():
        motion = smooth(telemetry, 2.66, 16.0)
        first = max(motion.timestamps_ns[0], ego.timestamps_ns[0])
        last = min(motion.timestamps_ns[-1], ego.timestamps_ns[-1])
        starts = np.arange(first, last - 10_000_000_000, 200_000_000)
        error = rms(moved_over(motion, starts, 10.0) - moved_over(ego, starts, 10.0)) * [1, 1, np.degrees(1)]
        minute = last - first
        whole = moved_over(motion, np.array([first]), minute / 1e9) - moved_over(ego, np.array([first]), minute / 1e9)
        with capsys.disabled():
            print(
                f"\n  comma2k19, {name}: over 10 s {error[0]:.2f} m forward, {error[1]:.2f} m sideways, "
                f"{error[2]:.2f} deg; over the minute {whole[0, 0]:+.1f} m, {whole[0, 1]:+.1f} m"
            )
        assert (error < limits).all()
        # The recorded poses lie within what the covariance admits.
        at = np.searchsorted(motion.timestamps_ns, last) - 1
        assert abs(whole[0, 1]) < 4 * math.sqrt(motion.covariance[at, :2, :2].trace()) + 1.0


def test_seven_minutes_of_town_are_followed_to_a_metre(real_recording: Callable[[str], Path]) -> None:
    table = np.genfromtxt(
        real_recording("boreas_poses") / "boreas-2021-08-05-13-34" / "applanix" / "camera_poses.csv",
        delimiter=",",
        names=True,
    )[:4000]
    times = (table["GPSTime"] * 1000).astype(np.int64)
    axes = camera_axes_of(table)
    yaw = np.unwrap(np.arctan2(axes[:, 1], axes[:, 0]))
    place = np.stack([table["easting"] - table["easting"][0], table["northing"] - table["northing"][0]], -1)
    seconds = (times - times[0]) / 1e9
    speed = table["vel_east"] * np.cos(yaw) + table["vel_north"] * np.sin(yaw)
    rng = np.random.default_rng(0)
    standing = np.abs(speed) < 0.03
    wander = 2.1 * correlated(rng, len(times), 0.1, 5.0)
    telemetry = Telemetry(
        speed_mps=Signal.measured(times, np.where(standing, 0.0, speed * 1.008 + 0.1 * rng.normal(size=len(times)))),
        yaw_rate_radps=Signal.measured(
            times, np.gradient(yaw, seconds) * 1.005 + 0.003 + 0.005 * rng.normal(size=len(times))
        ),
        **fixes(times, place + wander),
    )
    truth = Truth(times / 1e9, place[:, 0], place[:, 1], yaw, speed, speed)
    motion = smooth(telemetry, None, None)
    error = errors_of(motion, truth)
    squared = np.einsum("ni,nij,nj->n", error, np.linalg.inv(motion.covariance), error)
    assert rms(np.hypot(error[:, 0], error[:, 1])) < 2.5
    assert np.degrees(rms(error[:, 2])) < 1.0
    assert 0.3 < squared.mean() < 8.0


def camera_axes_of(table: np.ndarray) -> np.ndarray:
    """East-north-up direction of the optical axis: the third column of Rx(roll) Ry(pitch) Rz(heading)."""
    cos_roll, sin_roll = np.cos(table["roll"]), np.sin(table["roll"])
    cos_pitch, sin_pitch = np.cos(table["pitch"]), np.sin(table["pitch"])
    # Rx @ Ry has the third column (-sin p, sin r cos p, cos r cos p); Rz leaves it to the heading, which turns rows.
    return np.stack([-sin_pitch, sin_roll * cos_pitch, cos_roll * cos_pitch], -1)


def test_steering_of_a_real_car_agrees_with_its_fixes(real_recording: Callable[[str], Path]) -> None:
    path = real_recording("udacity_ch2_telemetry") / "interpolated.csv"
    rows = np.genfromtxt(path, delimiter=",", names=True, usecols=(1, 4, 6, 8, 9, 10), dtype=None, encoding="utf-8")
    rows = rows[rows["frame_id"] == "center_camera"]
    times = rows["timestamp"].astype(np.int64)
    telemetry = Telemetry(
        speed_mps=Signal.measured(times, rows["speed"]),
        steering_wheel_angle_rad=Signal.measured(times, rows["angle"]),
        latitude_deg=Signal.measured(times, rows["lat"]),
        longitude_deg=Signal.measured(times, rows["long"]),
    )
    motion = smooth(telemetry, 2.85, 14.8)  # a Lincoln MKZ
    assert motion.origin_deg_m is not None
    latitude, longitude, _ = motion.origin_deg_m
    here = world_from_ecef(latitude, longitude, 0.0).apply(
        ecef_from_geodetic(rows["lat"], rows["long"], np.zeros(len(rows)))
    )
    found = np.stack([np.interp(times, motion.timestamps_ns, motion.translation_m[:, axis]) for axis in (0, 1)], -1)
    assert rms(np.linalg.norm(found - here[:, :2], axis=1)) < 3.0


def test_where_nothing_says_how_the_vehicle_turns_poses_are_not_valid() -> None:
    truth = town_drive(30.0)
    heard = listened(truth, "gyro gnss")
    rate = heard.yaw_rate_radps
    silent = (rate.timestamps_ns > 10e9) & (rate.timestamps_ns < 16e9)
    motion = smooth(replace(heard, yaw_rate_radps=replace(rate, valid=~silent)), None, None)
    told_s = motion.timestamps_ns / 1e9
    turning = np.abs(truth.speed_mps[np.searchsorted(truth.times_s, told_s).clip(max=len(truth.times_s) - 1)]) > 0.1
    assert not motion.valid[(told_s > 11.1) & (told_s < 14.9) & turning].any()
    assert motion.valid[(told_s < 10.9) | (told_s > 15.1)].all()


def test_a_gyroscope_that_falls_silent_leaves_the_path_to_the_compass() -> None:
    truth = town_drive(60.0)
    heard = listened(truth, "gyro heading gnss", noise=0.0)
    early = heard.yaw_rate_radps.timestamps_ns < 1e9
    motion = smooth(replace(heard, yaw_rate_radps=replace(heard.yaw_rate_radps, valid=early)), None, None)
    assert motion.valid.all()
    assert np.abs(errors_of(motion, truth)[:, :2]).max() < 1.0
