"""KITTI raw: rectified pictures, a precise GNSS and inertial unit, and calibration in text files.

In: `<date>/<date>_drive_NNNN_sync/` with `image_02/`, `image_03/` and `oxts/`, and the date's `calib_*.txt`. Out: one
drive with cameras `front` (image_02, the left colour camera) and `image_03`, and the recorded poses.
Idea: the unit's attitude and position are the pose; the rest is a chain of calibrations, `imu -> lidar -> camera 0 ->
rectified -> camera n`, and the place of the unit in the car. Each `timestamps.txt` lists the whole drive, of which a
copy may hold only some pictures: a picture's number, not its place in the folder, is its line.
Times have no zone: they count as if written in UTC. Pictures are 375 rows high and lose the last one.
Source: Geiger et al., Vision meets Robotics: The KITTI Dataset, IJRR 2013 (frames: section II-B and figure 3; packets:
`dataformat.txt`; calibration: section III).
Not here: the odometry benchmark, which has the same pictures without the unit's data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from dojo.errors import RecordError, RecordingError
from dojo.fleet.gates import clean
from dojo.fleet.readers.pictures import check_pictures, read_pictures
from dojo.fleet.readers.reader import Reading, Recording, drive_id_of, source_file
from dojo.fleet.readers.stream import stream_of
from dojo.geometry import Camera, Rigid
from dojo.geometry.camera import FORWARD_EGO_FROM_CAMERA
from dojo.geometry.place import ecef_from_geodetic, world_from_ecef
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Rejection, Signal, Telemetry

CAMERAS = {"front": "image_02", "image_03": "image_03"}
LICENCE = "CC BY-NC-SA 3.0"
CALIBRATIONS = ("calib_imu_to_velo.txt", "calib_velo_to_cam.txt", "calib_cam_to_cam.txt")

# Source: Geiger et al. 2013, figure 3: the unit is 0.93 m above the road, the cameras 1.65 m; wheelbase 2.71 m. The
# lidar is on the centre line, from which the unit lies to the left as the calibration says.
# Assumed: the unit is above the rear axle (the figure shows it within a hand's breadth).
IMU_HEIGHT_M, IMU_AHEAD_M = 0.93, 0.0
WHEELBASE_M = 2.71
# The same figure: camera 0 is 1.65 m above the road and 1.08 m ahead of the unit; it looks ahead. Assumed: how far the
# calibration of a day may lie from the figure, sideways up to where the car ends.
_CAMERA_AT_M, _CAMERA_ASTRAY_M, _CAMERA_ASTRAY_RAD = (1.08, 0.0, 1.65), (0.2, 0.8, 0.2), 0.1
_RIG_M = 0.7  # figure 3: the outer cameras are 0.06 + 0.54 m apart
_ROTATION_DIGITS = 1e-4  # the files have seven digits; a wrong one shows

_FIELDS = 30
_LATITUDE, _LONGITUDE, _ALTITUDE, _ROLL, _PITCH, _YAW = range(6)
_FORWARD_SPEED = 8
_ACCELERATION_X, _ACCELERATION_Z, _YAW_RATE_UP = 11, 13, 22
_STANDARD_GRAVITY_MPS2 = 9.80665


class KittiRawReader:
    """Reads drives of KITTI raw in their synchronised, rectified form."""

    name: str = "kitti_raw"

    def find(self, root: Path, known: Collection[str]) -> Iterator[Recording]:
        """Every folder that holds `oxts/` and `image_02/` or `image_03/`."""
        for oxts in sorted(root.rglob("oxts")):
            folder = oxts.parent
            pictures = [path for camera in CAMERAS.values() for path in _pictures(folder / camera)]
            if not oxts.is_dir() or not pictures:
                continue
            companions = [folder / camera / "timestamps.txt" for camera in CAMERAS.values()]
            companions += [oxts / "timestamps.txt", *sorted((oxts / "data").glob("*.txt"))]
            companions += [folder.parent / name for name in CALIBRATIONS]
            files = tuple(source_file(path) for path in (*pictures, *companions) if path.is_file())
            if any(file.sha256 not in known for file in files):
                yield Recording(self.name, folder.name, files, folder)

    def read(self, recording: Recording) -> Reading:
        """The drive in the folder.

        Raises:
            RecordingError: gate `missing_file`, `unreadable_file`, `clock_backwards`, `no_video` or `corrupt_file`.
        """
        folder = recording.folder
        packets, oxts_ns = _packets(folder / "oxts")
        ego_from_imu, imu_from_camera_0 = _mounting(folder.parent)
        streams: list[CameraStream] = []
        rejections: list[Rejection] = []
        for name, camera in CAMERAS.items():
            if not _pictures(folder / camera):
                continue
            ego_from_camera_0 = ego_from_imu @ imu_from_camera_0
            stream, refused = _stream(name, folder / camera, folder.parent, ego_from_camera_0)
            streams.append(stream)
            rejections += refused
        telemetry, refused_samples = clean(_telemetry(packets, oxts_ns), recording.label)
        drive = Drive(
            # Calibrations belong to every drive of a day.
            drive_id=drive_id_of([file for file in recording.files if file.path.name not in CALIBRATIONS]),
            vehicle_id="kitti",
            route=recording.label,
            cameras=tuple(streams),
            telemetry=telemetry,
            ego=_ego(packets, oxts_ns, ego_from_imu),
            provenance=Provenance(
                self.name, tuple((str(file.path), file.sha256, file.size_bytes) for file in recording.files), LICENCE
            ),
            wheelbase_m=WHEELBASE_M,
            tags=("local_time", "non_commercial", "traffic_right"),
            rejections=(*_gaps(folder), *rejections, *refused_samples),
        )
        return Reading((drive,), ())

    def frames(self, recording: Recording, drive: Drive, camera_name: str) -> Iterator[Frame]:
        """One frame for each valid time of the camera.

        Raises:
            RecordingError: gate `unknown_camera` or `changed_file`.
        """
        stream = next((stream for stream in drive.cameras if stream.name == camera_name), None)
        if stream is None:
            names = ", ".join(stream.name for stream in drive.cameras)
            raise RecordingError("unknown_camera", f"drive {drive.drive_id}: no camera {camera_name!r}, it has {names}")
        paths = _pictures(recording.folder / CAMERAS[camera_name])
        if len(paths) != len(stream.valid):
            raise RecordingError(
                "changed_file",
                f"{recording.label}: expected {len(stream.valid)} pictures as when read, got {len(paths)}; "
                "ingest it again",
            )
        return read_pictures(paths, stream.timestamps_ns, stream.valid)


def _pictures(camera_folder: Path) -> list[Path]:
    return sorted((camera_folder / "data").glob("*.png"))


def _gaps(folder: Path) -> Iterator[Rejection]:
    """Pictures and packets that the others of the drive show to be missing."""
    numbers = {"oxts": _numbers_of(sorted((folder / "oxts" / "data").glob("*.txt")))}
    numbers |= {camera: _numbers_of(_pictures(folder / camera)) for camera in CAMERAS.values()}
    present = {name: set(found) for name, found in numbers.items() if found}
    everything = set.union(*present.values())
    for name, found in present.items():
        missing = sorted(everything - found)
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
            yield Rejection(
                name,
                "missing_frame",
                f"{folder.name}/{name}: expected all frames that the drive's other folders hold, {len(missing)} are "
                f"missing: {shown}; copy the drive again",
                (("frames", float(len(missing))),),
            )


def _times_ns(path: Path, numbers: Sequence[int]) -> Int64[np.ndarray, " n"]:
    """Times of the numbered frames.

    Raises:
        RecordingError: gate `missing_file`, `unreadable_file` or `clock_backwards`.
    """
    if not path.is_file():
        raise RecordingError("missing_file", f"{path}: expected the times of the frames; copy the drive again")
    lines = path.read_text(errors="replace").split("\n")
    times = np.zeros(len(numbers), np.int64)
    for place, number in enumerate(numbers):
        line = lines[number].strip() if number < len(lines) else ""
        try:
            whole, _, fraction = line.partition(".")
            second = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            times[place] = int(second.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
        except (ValueError, OverflowError) as error:
            raise RecordingError(
                "unreadable_file",
                f"{path}, line {number + 1}: expected `YYYY-MM-DD hh:mm:ss.nnnnnnnnn`, got {line!r}; copy it again",
            ) from error
    backwards = int((np.diff(times) <= 0).sum())
    if backwards:
        raise RecordingError(
            "clock_backwards",
            f"{path}: expected increasing times, {backwards} do not increase; copy it again",
            {"backwards": float(backwards)},
        )
    return times


def _numbers_of(paths: Sequence[Path]) -> list[int]:
    try:
        return [int(path.stem) for path in paths]
    except ValueError as error:
        raise RecordingError(
            "wrong_name", f"{paths[0].parent}: expected file names that are frame numbers, {error}; rename them"
        ) from error


def _packets(oxts: Path) -> tuple[Float64[np.ndarray, "n 30"], Int64[np.ndarray, " n"]]:
    paths = sorted((oxts / "data").glob("*.txt"))
    if len(paths) < 2:
        raise RecordingError(
            "missing_file",
            f"{oxts / 'data'}: expected a text file for each frame, got {len(paths)}; copy the drive again",
            {"packets": float(len(paths))},
        )
    packets = np.zeros((len(paths), _FIELDS))
    for row, path in enumerate(paths):
        words = path.read_text(errors="replace").split()
        try:
            packets[row] = [float(word) for word in words]
        except ValueError as error:
            raise RecordingError(
                "unreadable_file",
                f"{path}: expected {_FIELDS} numbers, got {len(words)} words ({error}); copy it again",
            ) from error
    if not np.isfinite(packets).all():
        raise RecordingError("unreadable_file", f"{oxts}: expected finite numbers, got NaN or infinity; copy it again")
    return packets, _times_ns(oxts / "timestamps.txt", _numbers_of(paths))


def _calibration(path: Path) -> dict[str, Float64[np.ndarray, " n"]]:
    """The numbers behind each key; lines with words, such as the date, are left out."""
    if not path.is_file():
        raise RecordingError(
            "missing_file", f"{path}: expected the calibration of the day; download it beside the drives"
        )
    found = {}
    for line in path.read_text(errors="replace").splitlines():
        key, _, rest = line.partition(":")
        try:
            found[key.strip()] = np.array([float(word) for word in rest.split()])
        except ValueError:
            continue
    return found


def _transform(path: Path) -> Rigid:
    found = _calibration(path)
    try:
        return Rigid(_orthonormal(found["R"].reshape(3, 3)), found["T"].reshape(3))
    except (KeyError, ValueError, RecordError) as error:
        raise RecordingError(
            "unreadable_file", f"{path}: expected R and T of a transform, {error}; copy it again"
        ) from error


def _orthonormal(matrix: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """The nearest rotation.

    Raises:
        ValueError: it is not near.
    """
    left, stretch, right = np.linalg.svd(matrix)
    if np.abs(stretch - 1).max() > _ROTATION_DIGITS or np.linalg.det(matrix) < 0:
        raise ValueError(f"its matrix is no rotation, but stretches by {', '.join(f'{s:.6f}' for s in stretch)}")
    return left @ right


def _mounting(day: Path) -> tuple[Rigid, Rigid]:
    """`ego_from_imu`, and `imu_from_camera_0` of the rectified pictures."""
    lidar_from_imu = _transform(day / CALIBRATIONS[0])
    camera_from_lidar = _transform(day / CALIBRATIONS[1])
    path = day / CALIBRATIONS[2]
    try:
        rectified = Rigid(_orthonormal(_calibration(path)["R_rect_00"].reshape(3, 3)), np.zeros(3))
    except (KeyError, ValueError, RecordError) as error:
        raise RecordingError("unreadable_file", f"{path}: expected R_rect_00, {error}; copy it again") from error
    left_m = float(lidar_from_imu.translation_m[1])
    ego_from_imu = Rigid(np.eye(3), np.array([IMU_AHEAD_M, left_m, IMU_HEIGHT_M]))
    imu_from_camera_0 = (rectified @ camera_from_lidar @ lidar_from_imu).inverse()
    _require_mounted(day, ego_from_imu @ imu_from_camera_0)
    return ego_from_imu, imu_from_camera_0


def _require_mounted(day: Path, ego_from_camera_0: Rigid) -> None:
    """Refuse calibrations that put the camera where the car has none."""
    place_m = ego_from_camera_0.translation_m
    turned = FORWARD_EGO_FROM_CAMERA.T @ ego_from_camera_0.rotation
    turned_rad = float(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1.0, 1.0)))
    if (np.abs(place_m - _CAMERA_AT_M) > _CAMERA_ASTRAY_M).any() or turned_rad > _CAMERA_ASTRAY_RAD:
        raise RecordingError(
            "inconsistent_recording",
            f"{day}: expected calibrations that put camera 0 near {_CAMERA_AT_M} m, looking ahead, got "
            f"({', '.join(f'{value:.2f}' for value in place_m)}) m, {turned_rad:.2f} rad away; copy them again",
            {"turned_rad": turned_rad},
        )


def _stream(name: str, folder: Path, day: Path, ego_from_camera_0: Rigid) -> tuple[CameraStream, tuple[Rejection, ...]]:
    paths = _pictures(folder)
    times_ns = _times_ns(folder / "timestamps.txt", _numbers_of(paths))
    checked = check_pictures(paths)
    matrix = _projection(day / CALIBRATIONS[2], folder.name[-2:], (checked.width_px, checked.height_px))
    # P = K [1 | t], with t the place of camera 0 seen from this one.
    camera_from_camera_0 = Rigid(np.eye(3), np.linalg.solve(matrix[:, :3], matrix[:, 3]))
    camera = Camera(
        checked.width_px,
        checked.height_px,
        (float(matrix[0, 0]), float(matrix[1, 1])),
        (float(matrix[0, 2]), float(matrix[1, 2])),
        ego_from_camera_0 @ camera_from_camera_0.inverse(),
    )
    return stream_of(name, folder.name, camera, checked, times_ns)


def _projection(path: Path, number: str, size_px: tuple[int, int]) -> Float64[np.ndarray, "3 4"]:
    """The projection of a rectified camera; what the file says twice must agree.

    Raises:
        RecordingError: gate `unreadable_file`.
    """
    found = _calibration(path)
    keys = "P_rect_00", f"P_rect_{number}", f"S_rect_{number}"
    projections, size = [found.get(key, np.zeros(0)) for key in keys[:2]], found.get(keys[2], np.zeros(0))
    if any(projection.shape != (12,) for projection in projections) or size.shape != (2,):
        raise RecordingError(
            "unreadable_file",
            f"{path}: expected 12 numbers each of {keys[0]} and {keys[1]}, 2 of {keys[2]}; copy it again",
        )
    first, own = (projection.reshape(3, 4) for projection in projections)
    faults = [] if np.allclose(first[:, :3], own[:, :3]) else [f"{keys[0]} and {keys[1]} hold different cameras"]
    faults += [] if own[0, 0] == own[1, 1] > 0 else [f"{keys[1]} has focal lengths {own[0, 0]:g} and {own[1, 1]:g}"]
    if (int(size[0]) & ~1, int(size[1]) & ~1) != size_px:  # pictures lose an odd last row or column
        faults.append(f"{keys[2]} says {size[0]:g} x {size[1]:g}, pictures have {size_px[0]} x {size_px[1]}")
    if np.abs(np.linalg.solve(own[:, :3], own[:, 3]) if not faults else 0.0).max() > _RIG_M:
        faults.append(f"{keys[1]} puts the camera more than {_RIG_M} m from camera 0")
    if faults:
        raise RecordingError(
            "inconsistent_recording", f"{path}: expected one rectified camera, got: {'; '.join(faults)}; copy it again"
        )
    return own


def _ego(packets: Float64[np.ndarray, "n 30"], times_ns: Int64[np.ndarray, " n"], ego_from_imu: Rigid) -> EgoMotion:
    """The unit's poses, carried to the ground below the rear axle; world origin at its first position."""
    latitude, longitude, altitude = packets[:, _LATITUDE], packets[:, _LONGITUDE], packets[:, _ALTITUDE]
    origin = float(latitude[0]), float(longitude[0]), float(altitude[0])
    position = world_from_ecef(*origin).apply(ecef_from_geodetic(latitude, longitude, altitude))
    rotation = np.stack([Rigid.from_euler(*angles).rotation for angles in packets[:, _ROLL : _YAW + 1].tolist()])
    world_from_ego = Rigid(rotation, position) @ ego_from_imu.inverse()
    count = len(times_ns)
    return EgoMotion(
        times_ns,
        world_from_ego.rotation,
        world_from_ego.translation_m,
        packets[:, _FORWARD_SPEED].copy(),
        packets[:, _YAW_RATE_UP].copy(),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        origin,
        "recorded",
    )


def _telemetry(packets: Float64[np.ndarray, "n 30"], times_ns: Int64[np.ndarray, " n"]) -> Telemetry:
    def column(number: int) -> Signal:
        return Signal.measured(times_ns, packets[:, number].copy())

    # The unit's accelerometers feel the road's push: gravity comes off again along its axes.
    pitch, roll = packets[:, _PITCH], packets[:, _ROLL]
    gravity = _STANDARD_GRAVITY_MPS2 * np.stack(
        [-np.sin(pitch), np.cos(pitch) * np.sin(roll), np.cos(pitch) * np.cos(roll)], -1
    )
    acceleration = packets[:, _ACCELERATION_X : _ACCELERATION_Z + 1] - gravity
    return Telemetry(
        speed_mps=column(_FORWARD_SPEED),
        yaw_rate_radps=column(_YAW_RATE_UP),
        acceleration_x_mps2=Signal.measured(times_ns, acceleration[:, 0].copy()),
        acceleration_y_mps2=Signal.measured(times_ns, acceleration[:, 1].copy()),
        acceleration_z_mps2=Signal.measured(times_ns, acceleration[:, 2].copy()),
        latitude_deg=column(_LATITUDE),
        longitude_deg=column(_LONGITUDE),
        altitude_m=column(_ALTITUDE),
        heading_rad=column(_YAW),
    )
