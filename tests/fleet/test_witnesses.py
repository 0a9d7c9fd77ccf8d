"""What two signals say about the same motion agrees, or neither is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.gates import check
from dojo.geometry import Camera, Rigid
from dojo.records import CameraStream, Drive, EgoMotion, Provenance, Signal, Telemetry

Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture
def drive(curvy_drive: ModuleType) -> Drive:
    """Twelve seconds on a winding road, everything known and true."""
    told = curvy_drive.motion(np.arange(0.0, 12.0, 0.05))
    times_ns = np.round(told.t * 1e9).astype(np.int64)
    count = len(times_ns)
    latitude, longitude, _ = told.geodetic.T
    telemetry = {
        "speed_mps": told.speed,
        "yaw_rate_radps": told.yaw_rate,
        "steering_wheel_angle_rad": told.wheel,
        "acceleration_x_mps2": told.acceleration,
        "acceleration_y_mps2": told.speed * told.yaw_rate,
        "acceleration_z_mps2": np.zeros(count),
        "latitude_deg": latitude,
        "longitude_deg": longitude,
        "heading_rad": told.yaw,
    }
    ego = EgoMotion(
        times_ns,
        np.stack([Rigid.from_euler(0.0, 0.0, yaw).rotation for yaw in told.yaw]),
        told.place,
        told.speed,
        told.yaw_rate,
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        curvy_drive.PLACE,
        "recorded",
    )
    stream = CameraStream("front", Camera.mounted(64, 48, 50.0), times_ns, np.ones(count, np.bool_))
    signals = {name: Signal.measured(times_ns, np.array(values)) for name, values in telemetry.items()}
    return Drive(
        "d",
        "v",
        "r",
        (stream,),
        Telemetry(**signals),
        ego,
        Provenance("test", ()),
        wheelbase_m=curvy_drive.WHEELBASE_M,
        steering_ratio=curvy_drive.STEERING_RATIO,
    )


def changed(drive: Drive, **changes: Change) -> Drive:
    signals = {name: getattr(drive.telemetry, name) for name in changes}
    return replace(
        drive,
        telemetry=replace(
            drive.telemetry,
            **{name: replace(signals[name], values=change(signals[name].values)) for name, change in changes.items()},
        ),
    )


def test_a_true_drive_contradicts_nothing(drive: Drive) -> None:
    assert check(drive) == drive
    unknown = replace(drive, wheelbase_m=None, steering_ratio=None)
    assert check(unknown) == unknown


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("yaw_rate_radps", lambda v: -v, r"yaw_rate_radps: expected the turn rate of the poses \(recorded\) within"),
        ("yaw_rate_radps", np.degrees, "yaw_rate_radps: expected the turn rate of the poses"),
        ("heading_rad", lambda v: -v, "heading_rad: expected the turn rate of the poses"),
        ("steering_wheel_angle_rad", lambda v: -v, "steering_wheel_angle_rad: expected the turn rate of the poses"),
        ("steering_wheel_angle_rad", np.degrees, "steering_wheel_angle_rad: expected the turn rate of the poses"),
    ],
)
def test_a_wrong_sign_or_unit_refuses_the_drive(drive: Drive, name: str, change: Change, message: str) -> None:
    with pytest.raises(RecordingError, match=message) as raised:
        check(changed(drive, **{name: change}))
    assert raised.value.gate == "contradiction"
    assert raised.value.figures["contradicting_share"] > 0.3


def test_steering_counts_as_a_witness_even_where_its_ratio_is_not_known(drive: Drive) -> None:
    unknown = replace(drive, wheelbase_m=None, steering_ratio=None)
    with pytest.raises(RecordingError, match="steering_wheel_angle_rad"):
        check(changed(unknown, steering_wheel_angle_rad=lambda v: -v))


def test_speed_that_contradicts_the_poses_refuses_the_drive_even_without_gnss(drive: Drive) -> None:
    silent = replace(drive.telemetry, latitude_deg=Signal(), longitude_deg=Signal())
    with pytest.raises(RecordingError, match="speed_mps: expected the speed of the poses"):
        check(changed(replace(drive, telemetry=silent), speed_mps=lambda v: v * 3.6))


def test_latitude_and_longitude_in_each_others_column_refuse_the_drive(drive: Drive) -> None:
    heard = drive.telemetry
    swapped = replace(heard, latitude_deg=heard.longitude_deg, longitude_deg=heard.latitude_deg)
    with pytest.raises(RecordingError) as raised:
        check(replace(drive, telemetry=swapped))
    assert raised.value.gate in ("contradiction", "speed_contradicts_gnss")


def test_poses_that_do_not_look_where_they_go_refuse_the_drive(drive: Drive) -> None:
    aside = Rigid.from_euler(0.0, 0.0, 0.6).rotation
    with pytest.raises(RecordingError, match="course: expected the heading of the poses"):
        check(replace(drive, ego=replace(drive.ego, rotation=drive.ego.rotation @ aside)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("acceleration_x_mps2", lambda v: 9.80665 * v),
        ("acceleration_y_mps2", lambda v: -v),
        ("acceleration_z_mps2", lambda v: v + 9.80665),
    ],
)
def test_an_acceleration_that_contradicts_the_poses_is_left_out(drive: Drive, name: str, change: Change) -> None:
    checked = check(changed(drive, **{name: change}))
    (rejection,) = checked.rejections
    assert (rejection.where, rejection.gate) == (name, "contradiction")
    assert not getattr(checked.telemetry, name).valid.any()
    assert checked.ego == drive.ego
