"""One small drive that is known exactly, written down in every format but the car's own: bends, speed and places agree.

A vehicle that speeds up and slows down on a winding road near Karlsruhe, seen at 10 frames a second by a small camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np

from dojo.geometry import Rigid
from dojo.geometry.camera import FORWARD_EGO_FROM_CAMERA
from dojo.geometry.place import ecef_from_geodetic, geodetic_from_ecef, world_from_ecef

PLACE = (49.0145, 8.4324, 116.0)
WIDTH, HEIGHT = 96, 64
FPS = 10.0
WHEELBASE_M, STEERING_RATIO = 2.71, 15.0
STANDARD_GRAVITY_MPS2 = 9.80665
UNDERSTEER_RAD_PER_MPS2 = 0.003


@dataclass(frozen=True)
class Motion:
    """Where the vehicle is at some times, and what its sensors say there; world is east, north, up at `PLACE`."""

    t: np.ndarray
    speed: np.ndarray
    acceleration: np.ndarray
    yaw: np.ndarray
    yaw_rate: np.ndarray
    place: np.ndarray

    @property
    def geodetic(self) -> np.ndarray:
        """Latitude, longitude (degrees) and altitude."""
        up_from_ecef = world_from_ecef(*PLACE)
        origin = ecef_from_geodetic(*(np.array(value) for value in PLACE))
        return geodetic_from_ecef(origin + self.place @ up_from_ecef.rotation)

    @property
    def wheel(self) -> np.ndarray:
        """Angle of the steering wheel."""
        curvature = self.yaw_rate / self.speed
        road_wheel = np.arctan(curvature * (WHEELBASE_M + UNDERSTEER_RAD_PER_MPS2 * self.speed**2))
        return STEERING_RATIO * road_wheel


def motion(t: np.ndarray) -> Motion:
    """The drive at times from zero on."""
    fine = np.arange(0.0, float(t[-1]) + 0.1, 0.002)
    speed = 11.0 + 2.5 * np.sin(0.5 * fine)
    rate = 0.3 * np.sin(0.7 * fine + 0.4) ** 3  # bends with straights between them
    yaw = 1.3 + np.concatenate([[0.0], np.cumsum(rate[:-1]) * 0.002])
    east, north = (np.concatenate([[0.0], np.cumsum(speed * part(yaw))[:-1] * 0.002]) for part in (np.cos, np.sin))
    values = [np.interp(t, fine, v) for v in (speed, 1.25 * np.cos(0.5 * fine), yaw, rate, east, north)]
    return Motion(t, *values[:4], np.stack([*values[4:], np.zeros(len(t))], -1))


def write_video(path: Path, frames: int, picture: Callable[[int, int, int], np.ndarray]) -> None:
    """H.264 in MP4, every second a picture that stands alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast", "bf": "0", "g": "10", "sc_threshold": "0"}
        stream.codec_context.thread_count = 1
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, WIDTH, HEIGHT), format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_picture(path: Path, planes: np.ndarray) -> None:
    """A PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    av.VideoFrame.from_ndarray(planes, format="yuv420p").reformat(format="rgb24").save(str(path))


# -- video or pictures beside a table ----------------------------------------------------------------------------------

DESCRIPTION = """
vehicle_id = "car-07"
wheelbase_m = 2.71
steering_ratio = 15.0
understeer_rad_per_mps2 = 0.003
traffic = "right"

[tables.car]
file = "log.csv"
time = "t"
time_unit = "s"

[signals]
speed_mps = { table = "car", column = "kmh", unit = "km/h" }
yaw_rate_radps = { table = "car", column = "turn_dps", unit = "deg/s", positive = "left" }
steering_wheel_angle_rad = { table = "car", column = "wheel_deg", unit = "deg", positive = "left" }
acceleration_x_mps2 = { table = "car", column = "ax", unit = "m/s2", positive = "forward" }
acceleration_y_mps2 = { table = "car", column = "ay", unit = "m/s2", positive = "left" }
latitude_deg = { table = "car", column = "lat", unit = "deg" }
longitude_deg = { table = "car", column = "lon", unit = "deg" }
heading_rad = { table = "car", column = "compass", unit = "deg", positive = "right", zero = "north" }
gear = { table = "car", column = "gear", codes = { D = "drive", R = "reverse" } }

[cameras.front]
video = "drive.mp4"
times = "pts"
width = 96
height = 64
focal_px = 80.0
position_m = [1.5, 0.0, 1.3]
pitch_deg = 2.0
"""
NUMBERS = ("t", "kmh", "turn_dps", "wheel_deg", "ax", "ay", "lat", "lon", "compass")


def columns(seconds: float) -> dict[str, list[object]]:
    """The log, 20 times a second."""
    told = motion(np.arange(0.0, seconds, 0.05))
    latitude, longitude, _ = told.geodetic.T
    values = {
        "t": told.t,
        "kmh": told.speed * 3.6,
        "turn_dps": np.degrees(told.yaw_rate),
        "wheel_deg": np.degrees(told.wheel),
        "ax": told.acceleration,
        "ay": told.speed * told.yaw_rate,
        "lat": latitude,
        "lon": longitude,
        "compass": (90.0 - np.degrees(told.yaw)) % 360.0,
    }
    digits = {"lat": 7, "lon": 7}
    table: dict[str, list[object]] = {
        name: [f"{value:.{digits.get(name, 3)}f}" for value in column] for name, column in values.items()
    }
    table["gear"] = ["D"] * len(told.t)
    return table


def write_csv(path: Path, table: dict[str, list[object]]) -> None:
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


def write_described(root: Path, picture: Callable[[int, int, int], np.ndarray], seconds: float = 12.0) -> Path:
    """A video, its log and their description."""
    root.mkdir(parents=True, exist_ok=True)
    write_video(root / "drive.mp4", round(seconds * FPS), picture)
    write_csv(root / "log.csv", columns(seconds))
    (root / "monday.dojo.toml").write_text(DESCRIPTION)
    return root


def write_described_pictures(root: Path, picture: Callable[[int, int, int], np.ndarray], seconds: float = 6.0) -> Path:
    """Pictures with a table that says when each was taken, a log and their description."""
    frames = round(seconds * FPS)
    for number in range(frames):
        write_picture(root / "images" / f"{number:04d}.png", picture(number, WIDTH, HEIGHT))
    write_csv(root / "log.csv", columns(seconds))
    write_csv(root / "frames.csv", {"t": [f"{number / FPS:.3f}" for number in range(frames)]})
    text = DESCRIPTION.replace('video = "drive.mp4"', 'pictures = "images/*.png"').replace('"pts"', '"pictures"')
    text += '\n[tables.pictures]\nfile = "frames.csv"\ntime = "t"\ntime_unit = "s"\n'
    (root / "monday.dojo.toml").write_text(text)
    return root


# -- KITTI raw ---------------------------------------------------------------------------------------------------------

KITTI_DAY = "2011_09_26"


def write_kitti_raw(root: Path, picture: Callable[[int, int, int], np.ndarray], frames: int = 45) -> Path:
    """A drive of KITTI raw with small pictures of one camera, mounted as figure 3 of Geiger et al. 2013 has it."""
    drive = root / KITTI_DAY / f"{KITTI_DAY}_drive_0002_sync"
    told = motion(np.arange(frames) / FPS)
    packets = np.zeros((frames, 30))
    packets[:, :3] = told.geodetic
    packets[:, 5] = told.yaw
    packets[:, 6], packets[:, 7] = told.speed * np.sin(told.yaw), told.speed * np.cos(told.yaw)
    packets[:, 8], packets[:, 11], packets[:, 12] = told.speed, told.acceleration, told.speed * told.yaw_rate
    packets[:, 13], packets[:, 22], packets[:, 23:25] = STANDARD_GRAVITY_MPS2, told.yaw_rate, 0.05
    packets[:, 14:17] = packets[:, 11:14]
    packets[:, 25:] = 4, 9, 6, 6, 0
    began = datetime(2011, 9, 26, 13, 2, 44, tzinfo=UTC)
    lines = [(began + timedelta(seconds=float(t))).strftime("%Y-%m-%d %H:%M:%S.%f") + "000" for t in told.t]
    (drive / "oxts" / "data").mkdir(parents=True)
    for number in range(frames):
        write_picture(drive / "image_02" / "data" / f"{number:010d}.png", picture(number, WIDTH, HEIGHT))
        words = [f"{value:.10f}" if place < 25 else f"{value:.0f}" for place, value in enumerate(packets[number])]
        (drive / "oxts" / "data" / f"{number:010d}.txt").write_text(" ".join(words) + "\n")
    for folder in ("image_02", "oxts"):
        (drive / folder / "timestamps.txt").write_text("\n".join(lines) + "\n")
    _write_kitti_calibration(drive.parent)
    return root


def _write_kitti_calibration(day: Path) -> None:
    lidar_from_imu = Rigid(Rigid.from_euler(0.015, 0.002, -0.001).rotation, np.array([-0.81, 0.32, -0.80]))
    camera_from_lidar = Rigid(
        FORWARD_EGO_FROM_CAMERA.T @ Rigid.from_euler(0.0, 0.01, -0.008).rotation, np.array([0.0, -0.08, -0.27])
    )

    def row(values: np.ndarray) -> str:
        return " ".join(f"{value:.6e}" for value in np.asarray(values).ravel())

    for name, transform in (("imu_to_velo", lidar_from_imu), ("velo_to_cam", camera_from_lidar)):
        (day / f"calib_{name}.txt").write_text(
            f"calib_time: 25-May-2012 16:47:16\nR: {row(transform.rotation)}\nT: {row(transform.translation_m)}\n"
        )
    matrix = np.array([[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]])
    lines = ["calib_time: 09-Jan-2012 13:57:47"]
    for number, shift_m in ((0, 0.0), (2, 0.06)):
        projection = np.column_stack([matrix, matrix @ [shift_m, 0.0, 0.0]])
        lines += [
            f"S_rect_0{number}: {row(np.array([WIDTH, HEIGHT]))}",
            f"R_rect_0{number}: {row(Rigid.from_euler(0.004, -0.007, -0.01).rotation)}",
            f"P_rect_0{number}: {row(projection)}",
        ]
    (day / "calib_cam_to_cam.txt").write_text("\n".join(lines) + "\n")


# -- comma2k19 ---------------------------------------------------------------------------------------------------------

BOOT_S = 46_000.0
DEVICE_PITCH_RAD, DEVICE_YAW_RAD = 0.05, 0.02


def write_comma2k19(root: Path, picture: Callable[[int, int, int], np.ndarray], frames: int = 220) -> Path:
    """A segment of comma2k19 with small pictures at 20 Hz (the reader must be told their size)."""
    folder = root / "b0c9d2329ad1606b_2018-08-02--08-34-47" / "40"
    told = motion(np.arange(frames) / 20.0)
    log = motion(np.arange(0.0, (frames - 1) / 20.0, 0.012))
    ecef_from_world = world_from_ecef(*PLACE).inverse()
    world_from_vehicle = np.stack([Rigid.from_euler(0.0, 0.0, yaw).rotation for yaw in told.yaw])
    vehicle_from_device = Rigid.from_euler(0.0, DEVICE_PITCH_RAD, DEVICE_YAW_RAD).rotation @ np.diag([1.0, -1.0, -1.0])
    ecef_from_device = ecef_from_world.rotation @ world_from_vehicle @ vehicle_from_device
    ahead = world_from_vehicle[:, :, 0]
    device = np.array([1.65, 0.0, 1.22])
    turning = told.yaw_rate[:, None] * np.cross([0.0, 0.0, 1.0], world_from_vehicle @ device)
    latitude, longitude, altitude = log.geodetic.T
    force = np.stack([log.acceleration, log.speed * log.yaw_rate, np.full(len(log.t), STANDARD_GRAVITY_MPS2)], -1)
    save = {
        "global_pose/frame_times": BOOT_S + told.t,
        "global_pose/frame_positions": ecef_from_world.apply(told.place + world_from_vehicle @ device),
        "global_pose/frame_velocities": (told.speed[:, None] * ahead + turning) @ ecef_from_world.rotation.T,
        "global_pose/frame_orientations": np.stack([_quaternion_of(matrix) for matrix in ecef_from_device]),
        "global_pose/frame_gps_times": np.stack([np.full(frames, 2012.0), 4 * 86_400 + told.t], -1),
    }
    bearing = np.degrees(np.pi / 2 - log.yaw) % 360.0
    ublox = np.stack([latitude, longitude, log.speed, np.zeros(len(log.t)), altitude, bearing], -1)
    rates = np.stack([np.zeros(len(log.t)), np.zeros(len(log.t)), log.yaw_rate], -1)
    for name, values in {
        "CAN/speed": log.speed[:, None],
        "CAN/steering_angle": np.degrees(log.wheel),
        "IMU/gyro": rates @ vehicle_from_device,
        "IMU/accelerometer": force @ vehicle_from_device,
        "GNSS/live_gnss_ublox": ublox,
    }.items():
        every = 8 if name.startswith("GNSS") else 1
        save[f"processed_log/{name}/t"], save[f"processed_log/{name}/value"] = BOOT_S + log.t[::every], values[::every]
    for name, array in save.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as opened:
            np.save(opened, array)
    with av.open(str(folder / "video.hevc"), "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=20)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=15:bframes=0:pools=1"}
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, WIDTH, HEIGHT), format="yuv420p")))
        container.mux(stream.encode(None))
    return root


def _quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """w, x, y, z."""
    squares = 1 + np.array([rotation.trace(), *(2 * np.diag(rotation) - rotation.trace())])
    largest = int(np.argmax(squares))
    if largest == 0:
        skew = rotation - rotation.T
        rest = np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
        return np.array([squares[0], *rest]) / (2 * np.sqrt(squares[0]))
    i = largest - 1
    j, k = (i + 1) % 3, (i + 2) % 3
    quaternion = np.zeros(4)
    quaternion[0] = rotation[k, j] - rotation[j, k]
    quaternion[1 + i] = squares[largest]
    quaternion[1 + j] = rotation[i, j] + rotation[j, i]
    quaternion[1 + k] = rotation[i, k] + rotation[k, i]
    return quaternion / (2 * np.sqrt(squares[largest]))
