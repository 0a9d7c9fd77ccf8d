"""comma2k19: one-minute segments of highway driving, with poses that were optimised afterwards.

In: folders `<dongle>_<date>/<segment>/` with `video.hevc`, `processed_log/` and `global_pose/`; the files of the last
two are NumPy arrays without a suffix. Out: one drive for each segment, with the recorded poses.
Idea: a telephone hung behind the windscreen by hand looks somewhere else in every car. Where the car goes straight, its
velocity in the telephone's axes says which way is ahead, and that calibrates pitch and yaw to a hundredth of a degree.
Frames of the device: forward, right, down. Quaternions are `ecef_from_device`. The raw stream has no clock: frame i was
taken at `frame_times[i]`.
Source: Schafer et al., A Commute in Data: The comma2k19 Dataset (arXiv 1812.05752), and its README.
Not here: smoothing of drives without poses (`fleet/ego.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordingError
from dojo.fleet.gates import clean
from dojo.fleet.readers.decode import check_video, read_frames
from dojo.fleet.readers.reader import Reading, Recording, drive_id_of, source_file
from dojo.fleet.readers.stream import stream_of
from dojo.fleet.readers.tables import NOT_AN_ARRAY
from dojo.geometry import Camera, Rigid
from dojo.geometry.camera import FORWARD_EGO_FROM_CAMERA
from dojo.geometry.place import geodetic_from_ecef, world_from_ecef
from dojo.geometry.rigid import rotation_from_quaternion, yaw_of
from dojo.records import Drive, EgoMotion, Frame, Provenance, Rejection, Signal, Telemetry

VIDEO = "video.hevc"
INTRINSICS = "camera_intrinsics.txt"
LICENCE = "MIT"

# Source: README of commaai/comma2k19, section "Camera": the matrix is the same for every segment.
SIZE_PX = (1164, 874)
FOCAL_PX = 910.0
CENTRE_PX = (582.0, 437.0)

# Source: openpilot common/transformations (height 1.22 m is the device's default until it has calibrated itself).
DEVICE_HEIGHT_M = 1.22
# Assumed: a device behind the mirror of a Civic or RAV4 (wheelbase 2.66 to 2.70 m) sits 1 m behind the front axle.
DEVICE_AHEAD_M = 1.65

_POSE_FILES = ("frame_times", "frame_positions", "frame_velocities", "frame_orientations", "frame_gps_times")
# Series and how many columns each has at least.
_LOG_SERIES = {
    "CAN/speed": 1,
    "CAN/steering_angle": 1,
    "IMU/gyro": 3,
    "IMU/accelerometer": 3,
    "GNSS/live_gnss_ublox": 6,  # latitude, longitude, speed, UTC in ms, altitude, bearing
}
_NEEDED_SERIES = ("CAN/speed", "CAN/steering_angle")

_STANDARD_GRAVITY_MPS2 = 9.80665
_GPS_EPOCH_S = 315_964_800  # 1980-01-06 as Unix time
_WEEK_S = 604_800
_LEAP_S = 18  # GPS ahead of UTC since 2017-01-01 (IERS Bulletin C 52); the data set is of 2018
_STRAIGHT_RADPS, _CALIBRATION_MPS = 0.03, 5.0
_MOUNTING_ASTRAY = 0.1  # Assumed: sideslip and bumps turn the way of a frame by far less than 0.1 rad
_MARGIN_S = 10.0  # the log of a segment reaches a little beyond its frames
_MIN_CALIBRATION_FRAMES = 40  # two seconds

_FLU_FROM_FRD = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Motion:
    """What a segment says about the vehicle: poses, telemetry, and how the device hangs in it."""

    ego: EgoMotion
    telemetry: Telemetry
    ego_from_device: Rigid
    frame_times_ns: Int64[np.ndarray, " n"]


class Comma2k19Reader:
    """Reads segment folders of comma2k19."""

    name: str = "comma2k19"

    def find(self, root: Path, known: Collection[str]) -> Iterator[Recording]:
        """Every folder that holds `global_pose/` and `processed_log/`."""
        for pose_folder in sorted(root.rglob("global_pose")):
            folder = pose_folder.parent
            if not (pose_folder.is_dir() and (folder / "processed_log").is_dir()):
                continue
            paths = [path for path in (folder / VIDEO, *_array_paths(folder).values()) if path.is_file()]
            intrinsics = _intrinsics_file(folder)
            files = tuple(source_file(path) for path in (*paths, *([intrinsics] if intrinsics else [])))
            if any(file.sha256 not in known for file in files):
                yield Recording(self.name, f"{folder.parent.name}/{folder.name}", files, folder)

    def read(self, recording: Recording) -> Reading:
        """The drive of a segment.

        Raises:
            RecordingError: gate `missing_video`, `missing_file`, `unreadable_file`, `inconsistent_recording`, or one of
                `check_video`'s.
        """
        motion, refused = read_motion(recording.folder)
        video = recording.folder / VIDEO
        if not video.is_file():
            raise RecordingError(
                "missing_video",
                f"{recording.label}: expected {VIDEO} beside processed_log and global_pose, found none; "
                "download the segment with its video",
            )
        checked = check_video(video)
        stream, more = stream_of("front", VIDEO, _camera(recording, motion), checked, motion.frame_times_ns)
        dongle = recording.folder.parent.name.replace("|", "_").split("_")[0]
        drive = Drive(
            drive_id=drive_id_of([file for file in recording.files if file.path.name != INTRINSICS]),
            vehicle_id=dongle,
            route=recording.folder.parent.name,
            cameras=(stream,),
            telemetry=motion.telemetry,
            ego=motion.ego,
            provenance=Provenance(
                self.name, tuple((str(file.path), file.sha256, file.size_bytes) for file in recording.files), LICENCE
            ),
            tags=("assumed_mounting_height", "traffic_right"),  # all of it is from California
            rejections=(*refused, *more),
        )
        return Reading((drive,), ())

    def frames(self, recording: Recording, drive: Drive, camera_name: str) -> Iterator[Frame]:
        """One frame for each valid time of the camera.

        Raises:
            RecordingError: gate `unknown_camera` or `changed_file`.
        """
        stream = next((stream for stream in drive.cameras if stream.name == camera_name), None)
        if stream is None:
            raise RecordingError(
                "unknown_camera", f"drive {drive.drive_id}: no camera {camera_name!r}, comma2k19 has only 'front'"
            )
        return read_frames(recording.folder / VIDEO, stream.timestamps_ns, stream.valid)


def read_motion(folder: Path) -> tuple[Motion, tuple[Rejection, ...]]:
    """Poses, telemetry and mounting of a segment, and the samples of it that were refused; needs no video.

    Raises:
        RecordingError: gate `missing_file`, `unreadable_file` or `inconsistent_recording`.
    """
    arrays = _load(folder)
    pose = {name: arrays[f"global_pose/{name}"] for name in _POSE_FILES}
    _require_consistent(folder, pose)
    unix_ns = _unix_offset_ns(pose)
    times_ns = _ns(pose["frame_times"], unix_ns)
    ecef_from_device = rotation_from_quaternion(pose["frame_orientations"])
    velocity_device = np.einsum("nji,nj->ni", ecef_from_device, pose["frame_velocities"])
    ego_from_device = _mounting(folder, pose["frame_times"], ecef_from_device, velocity_device)
    heard, disordered = _telemetry(arrays, ego_from_device, unix_ns)
    telemetry, implausible = clean(heard, folder.name)
    ego = _ego(pose, times_ns, ecef_from_device, ego_from_device, velocity_device)
    return Motion(ego, telemetry, ego_from_device, times_ns), (*disordered, *implausible)


def _array_paths(folder: Path) -> dict[str, Path]:
    """The arrays that are read, by their name within the segment."""
    names = [f"global_pose/{name}" for name in _POSE_FILES]
    names += [f"processed_log/{series}/{part}" for series in _LOG_SERIES for part in ("t", "value")]
    return {name: folder / name for name in names}


def _intrinsics_file(folder: Path) -> Path | None:
    """The file with the camera matrix, which lies beside the routes or above; most copies have none."""
    candidates = (above / INTRINSICS for above in (folder, *list(folder.parents)[:3]))
    return next((path for path in candidates if path.is_file()), None)


def _load(folder: Path) -> dict[str, Float64[np.ndarray, "..."]]:
    """Every array that is there.

    Raises:
        RecordingError: gate `missing_file` or `unreadable_file`; all faults at once.
    """
    arrays: dict[str, Float64[np.ndarray, "..."]] = {}
    missing, unreadable = [], []
    needed = {f"processed_log/{series}/{part}" for series in _NEEDED_SERIES for part in ("t", "value")}
    for name, path in _array_paths(folder).items():
        if not path.is_file():
            missing += [name] if name in needed or name.startswith("global_pose") else []
            continue
        try:
            arrays[name] = np.asarray(np.load(path, allow_pickle=False), np.float64)
        except NOT_AN_ARRAY as error:
            unreadable.append(f"{name} ({error})")
    if missing or unreadable:
        raise RecordingError(
            "unreadable_file" if unreadable else "missing_file",
            f"{folder}: expected whole NumPy arrays; missing: {', '.join(missing) or 'none'}; unreadable: "
            f"{', '.join(unreadable) or 'none'}; copy the segment again",
            {"missing": float(len(missing)), "unreadable": float(len(unreadable))},
        )
    return arrays


def _require_consistent(folder: Path, pose: Mapping[str, Float64[np.ndarray, "..."]]) -> None:
    count = len(pose["frame_times"])
    wanted = {
        "frame_times": (count,),
        "frame_positions": (count, 3),
        "frame_velocities": (count, 3),
        "frame_orientations": (count, 4),
        "frame_gps_times": (count, 2),
    }
    faults = [
        f"{name} is {pose[name].shape}, not {shape}" for name, shape in wanted.items() if pose[name].shape != shape
    ]
    faults += [f"{name} is not finite" for name in wanted if not np.isfinite(pose[name]).all()]
    if count < 2:
        faults.append(f"{count} frames")
    elif not faults and (np.diff(pose["frame_times"]) <= 0).any():
        backwards = int((np.diff(pose["frame_times"]) <= 0).sum())
        raise RecordingError(
            "clock_backwards",
            f"{folder}: expected increasing frame times, {backwards} do not increase; copy the segment again",
            {"backwards": float(backwards)},
        )
    if not faults:
        faults = [f"{name} holds {worst:g}" for name, worst in _absurd(pose)]
    if faults:
        raise RecordingError(
            "inconsistent_recording", f"{folder}: global_pose contradicts itself: {'; '.join(faults)}; copy it again"
        )


def _absurd(pose: Mapping[str, Float64[np.ndarray, "..."]]) -> Iterator[tuple[str, float]]:
    """Arrays of which a number cannot be what it should, with the worst of them."""
    for name, low, high in (
        ("frame_positions", 6.3e6, 6.4e6),  # distance from the middle of the earth, m
        ("frame_velocities", 0.0, 100.0),
        ("frame_orientations", 0.9, 1.1),  # length of a quaternion
        ("frame_gps_times", 0.0, 1e6),
    ):
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(pose[name], axis=1)
        if (lengths < low).any() or (lengths > high).any():
            yield name, float(lengths[np.argmax(np.abs(lengths - 0.5 * (low + high)))])
    if not (np.abs(pose["frame_times"]) < 1e9).all():
        yield "frame_times", float(np.abs(pose["frame_times"]).max())


def _unix_offset_ns(pose: Mapping[str, Float64[np.ndarray, "..."]]) -> int:
    """What to add to seconds since boot, in nanoseconds, for Unix time."""
    week, of_week_s = pose["frame_gps_times"].T
    unix_s = _GPS_EPOCH_S + week * _WEEK_S + of_week_s - _LEAP_S
    return round(float(np.median(unix_s - pose["frame_times"])) * 1e3) * 1_000_000


def _ns(seconds: Float64[np.ndarray, " n"], offset_ns: int) -> Int64[np.ndarray, " n"]:
    return np.round(seconds * 1e9).astype(np.int64) + offset_ns


def _mounting(
    folder: Path,
    times_s: Float64[np.ndarray, " n"],
    ecef_from_device: Float64[np.ndarray, "n 3 3"],
    velocity_device: Float64[np.ndarray, "n 3"],
) -> Rigid:
    """`ego_from_device`, from the direction in which the vehicle goes where it goes straight.

    Assumed: no roll. Over a minute the device hangs a degree to the right, but so does the road: lanes of a US highway
    fall by 2 % to the kerb.
    """
    turned = np.einsum("nji,njk->nik", ecef_from_device[:-1], ecef_from_device[1:])
    rate = np.append((turned[:, 1, 0] - turned[:, 0, 1]) / 2 / np.diff(times_s), 0.0)
    straight = (np.abs(rate) < _STRAIGHT_RADPS) & (velocity_device[:, 0] > _CALIBRATION_MPS)
    if straight.sum() < _MIN_CALIBRATION_FRAMES:
        raise RecordingError(
            "uncalibrated_camera",
            f"{folder}: expected {_MIN_CALIBRATION_FRAMES} frames straight ahead and faster than "
            f"{_CALIBRATION_MPS:g} m/s to calibrate the mounting, got {int(straight.sum())}; leave the segment out",
            {"frames": float(straight.sum())},
        )
    # One wrong frame must not turn it: only those count that go nearly where most go.
    going = velocity_device[straight] / velocity_device[straight, :1]
    usual = (np.abs(going - np.median(going, axis=0)) < _MOUNTING_ASTRAY).all(1)
    forward, right, down = velocity_device[straight][usual].mean(0)
    # Straight ahead is (cos yaw cos pitch, sin yaw, -cos yaw sin pitch) in forward, right, down of the device.
    pitch, yaw = float(np.arctan2(-down, forward)), float(np.arctan2(right, np.hypot(forward, down)))
    turn = Rigid.from_euler(0.0, pitch, yaw).rotation
    return Rigid(turn @ _FLU_FROM_FRD, np.array([DEVICE_AHEAD_M, 0.0, DEVICE_HEIGHT_M]))


def _ego(
    pose: Mapping[str, Float64[np.ndarray, "..."]],
    times_ns: Int64[np.ndarray, " n"],
    ecef_from_device: Float64[np.ndarray, "n 3 3"],
    ego_from_device: Rigid,
    velocity_device: Float64[np.ndarray, "n 3"],
) -> EgoMotion:
    """The recorded poses of the device, carried to the ego frame; world origin at the first."""
    latitude_deg, longitude_deg, altitude_m = geodetic_from_ecef(pose["frame_positions"][:1])[0].tolist()
    to_world = world_from_ecef(latitude_deg, longitude_deg, altitude_m)
    world_from_device = to_world @ Rigid(ecef_from_device, pose["frame_positions"])
    world_from_ego = world_from_device @ ego_from_device.inverse()
    yaw = np.unwrap(yaw_of(world_from_ego.rotation))
    count = len(times_ns)
    return EgoMotion(
        times_ns,
        world_from_ego.rotation,
        world_from_ego.translation_m,
        (velocity_device @ ego_from_device.rotation.T)[:, 0].copy(),
        np.gradient(yaw, pose["frame_times"]),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        (latitude_deg, longitude_deg, altitude_m),
        "recorded",
    )


def _telemetry(
    arrays: Mapping[str, Float64[np.ndarray, "..."]], ego_from_device: Rigid, unix_ns: int
) -> tuple[Telemetry, list[Rejection]]:
    """Everything the segment logged, on the clock of the frames."""
    refused: list[Rejection] = []

    def series(name: str) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, "n columns"]]:
        """Times, strictly increasing, and values as columns; empty where the segment has none."""
        times = arrays.get(f"processed_log/{name}/t", np.zeros(0))
        values = arrays.get(f"processed_log/{name}/value", np.zeros((0, _LOG_SERIES[name])))
        values = values[:, None] if values.ndim == 1 else values
        if times.ndim != 1 or values.ndim != 2 or values.shape[1] < _LOG_SERIES[name]:
            raise RecordingError(
                "inconsistent_recording",
                f"processed_log/{name}: expected {_LOG_SERIES[name]} columns beside one column of times, got shapes "
                f"{values.shape} and {times.shape}; copy the segment again",
            )
        count = len(times)
        if len(values) != count:
            refused.append(
                Rejection(
                    name,
                    "inconsistent_recording",
                    f"{name}: expected a time for each value, got {count} times and {len(values)} values; the series "
                    "is left out; copy the segment again",
                    (("times", float(count)), ("values", float(len(values)))),
                )
            )
            return np.zeros(0, np.int64), values[:0]
        kept, astray = _in_order(times, arrays["global_pose/frame_times"])
        if astray:
            refused.append(
                Rejection(
                    name,
                    "clock_jump",
                    f"{name}: expected times in order and of the same minute as the frames, {astray} of {count} "
                    "samples are not; they are left out",
                    (("samples", float(astray)),),
                )
            )
        return _ns(times[kept], unix_ns), values[kept]

    speed_ns, speed = series("CAN/speed")
    steering_ns, steering = series("CAN/steering_angle")
    gyro_ns, gyro = series("IMU/gyro")
    accelerometer_ns, force = series("IMU/accelerometer")
    gnss_ns, gnss = series("GNSS/live_gnss_ublox")
    # A receiver's bearing is its direction of travel, which means nothing while it stands.
    bearing = np.where(gnss[:, 2] > 1.0, np.radians(90.0 - gnss[:, 5]), np.nan)
    with np.errstate(invalid="ignore"):  # infinities become NaN, which counts as not measured
        rates = gyro[:, :3] @ ego_from_device.rotation.T
        pushed = force[:, :3] @ ego_from_device.rotation.T
    acceleration = pushed - np.array([0.0, 0.0, _STANDARD_GRAVITY_MPS2])
    telemetry = Telemetry(
        speed_mps=Signal.measured(speed_ns, speed[:, 0].copy()),
        steering_wheel_angle_rad=Signal.measured(steering_ns, np.radians(steering[:, 0])),
        yaw_rate_radps=Signal.measured(gyro_ns, rates[:, 2].copy()),
        acceleration_x_mps2=Signal.measured(accelerometer_ns, acceleration[:, 0].copy()),
        acceleration_y_mps2=Signal.measured(accelerometer_ns, acceleration[:, 1].copy()),
        acceleration_z_mps2=Signal.measured(accelerometer_ns, acceleration[:, 2].copy()),
        latitude_deg=Signal.measured(gnss_ns, gnss[:, 0].copy()),
        longitude_deg=Signal.measured(gnss_ns, gnss[:, 1].copy()),
        altitude_m=Signal.measured(gnss_ns, gnss[:, 4].copy()),
        heading_rad=Signal.measured(gnss_ns, bearing),
    )
    return telemetry, refused


def _in_order(
    times_s: Float64[np.ndarray, " n"], frame_times_s: Float64[np.ndarray, " frames"]
) -> tuple[Bool[np.ndarray, " n"], int]:
    """Samples to keep, each later than all before; and how many lie astray, beyond mere repetitions of a time.

    Where most lie astray nobody can say which times are right, and none is kept.
    """
    low, high = frame_times_s[0] - _MARGIN_S, frame_times_s[-1] + _MARGIN_S
    near = (times_s >= low) & (times_s <= high)
    latest = np.maximum.accumulate(np.where(near, times_s, -np.inf))
    before = np.concatenate([[-np.inf], latest[:-1]])[: len(times_s)]
    astray = int((~near | (times_s < before)).sum())
    if 2 * astray > len(times_s):
        return np.zeros_like(near), len(times_s)
    return near & (times_s > before), astray


def _camera(recording: Recording, motion: Motion) -> Camera:
    focal, centre = (FOCAL_PX, FOCAL_PX), CENTRE_PX
    path = _intrinsics_file(recording.folder)
    if path is not None:
        numbers = [float(word) for word in path.read_text().translate(str.maketrans("[],", "   ")).split()]
        if len(numbers) != 9:
            raise RecordingError(
                "unreadable_file",
                f"{path}: expected a 3 x 3 camera matrix, got {len(numbers)} numbers; correct or delete it",
            )
        focal, centre = (numbers[0], numbers[4]), (numbers[2], numbers[5])
    mounting = motion.ego_from_device
    device_from_camera = _FLU_FROM_FRD @ FORWARD_EGO_FROM_CAMERA
    return Camera(*SIZE_PX, focal, centre, Rigid(mounting.rotation @ device_from_camera, mounting.translation_m))
