"""A comma2k19 segment, small but whole: a straight drive seen by a device that hangs turned and tilted."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from dojo.geometry import Rigid
from dojo.geometry.place import ecef_from_geodetic, world_from_ecef

SPEED_MPS = 20.0
PITCH_RAD, YAW_RAD = 0.05, 0.02  # of the device: nose down, to the left
PLACE = (37.72, -122.47, 30.0)
BOOT_S = 46_000.0


def write_segment(
    root: Path, frames: int = 60, *, video_frames: int | None = None, size: tuple[int, int] = (1164, 874)
) -> Path:
    """A segment folder; heading north at constant speed."""
    folder = root / "b0c9d2329ad1606b_2018-08-02--08-34-47" / "40"
    times = BOOT_S + np.arange(frames) * 0.05
    up_from_ecef = world_from_ecef(*PLACE)
    start = ecef_from_geodetic(*(np.array(value) for value in PLACE))
    ahead = up_from_ecef.rotation.T @ np.array([0.0, 1.0, 0.0])
    ecef_from_ego = up_from_ecef.rotation.T @ Rigid.from_euler(0.0, 0.0, np.pi / 2).rotation
    ego_from_device = Rigid.from_euler(0.0, PITCH_RAD, YAW_RAD).rotation @ np.diag([1.0, -1.0, -1.0])
    turned = quaternion_of(ecef_from_ego @ ego_from_device)
    save = {
        "global_pose/frame_times": times,
        "global_pose/frame_positions": start + np.outer(times - times[0], SPEED_MPS * ahead),
        "global_pose/frame_velocities": np.tile(SPEED_MPS * ahead, (frames, 1)),
        "global_pose/frame_orientations": np.tile(turned, (frames, 1)),
        "global_pose/frame_gps_times": np.stack([np.full(frames, 2012.0), 4 * 86_400 + times - BOOT_S], -1),
    }
    log_s = np.arange(times[0], times[-1], 0.012)
    still = np.zeros((len(log_s), 3))
    gravity = ego_from_device.T @ np.array([0.0, 0.0, 9.80665])
    for name, values in {
        "CAN/speed": np.full((len(log_s), 1), SPEED_MPS),
        "CAN/steering_angle": np.full(len(log_s), 2.0),
        "IMU/gyro": still,
        "IMU/accelerometer": still + gravity,
    }.items():
        save[f"processed_log/{name}/t"], save[f"processed_log/{name}/value"] = log_s, values
    for name, array in save.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as opened:
            np.save(opened, array)
    if video_frames != 0:
        write_video(folder / "video.hevc", video_frames or frames, size)
    return folder


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """w, x, y, z; for rotations whose w is not near zero."""
    w = 0.5 * np.sqrt(1 + np.trace(rotation))
    skew = (rotation - rotation.T) / (4 * w)
    return np.array([w, skew[2, 1], skew[0, 2], skew[1, 0]])


def write_video(path: Path, frames: int, size: tuple[int, int]) -> None:
    """A raw HEVC stream, without any time in it; each picture is a little brighter than the one before."""
    with av.open(str(path), "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=20)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=15:bframes=0:pools=1"}
        for number in range(frames):
            picture = av.VideoFrame(*size, "yuv420p")
            for plane, level in zip(picture.planes, (40 + number, 128, 128), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
