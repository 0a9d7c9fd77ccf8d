"""Small drives and clips with everything that a real one may have, for the tests of the store."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from dojo.geometry import Camera
from dojo.records import (
    CameraStream,
    Clip,
    Drive,
    EgoMotion,
    Frame,
    Provenance,
    Rejection,
    Signal,
    Telemetry,
    VideoChunk,
)
from dojo.store import DriveWithVideo, encode_chunks

WIDTH, HEIGHT, FPS = 64, 32, 20.0


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def frame(number: int, timestamp_ns: int = 0) -> Frame:
    """A frame whose picture shows its number, as ten columns of black and white."""
    bits = np.array([(number >> bit) & 1 for bit in range(8)], np.uint8)
    y = np.repeat(np.repeat(40 + 170 * bits, WIDTH // 8)[None], HEIGHT, 0).astype(np.uint8)
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    return Frame(timestamp_ns, y, grey, grey)


def number_of(picture: Frame) -> int:
    columns = picture.y.reshape(HEIGHT, 8, -1).mean((0, 2)) > 125
    return int(sum(1 << bit for bit in range(8) if columns[bit]))


def times_ns(name: str, count: int) -> np.ndarray:
    """Uneven frame times that differ from drive to drive."""
    rng = np.random.default_rng(int(sha(name)[:8], 16))
    return (1_700_000_000_000_000_000 + np.cumsum(rng.integers(40_000_000, 60_000_000, count))).astype(np.int64)


def drive(name: str = "a", frames: int = 130, cameras: tuple[str, ...] = ("front",)) -> Drive:
    rng = np.random.default_rng(int(sha(name)[:8], 16))
    times = times_ns(name, frames)
    valid = rng.random(frames) > 0.1
    values = rng.normal(15, 1, frames)
    values[~valid] = np.nan
    streams = tuple(
        CameraStream(
            camera,
            Camera.mounted(WIDTH, HEIGHT, 50.0, pitch_rad=0.01),
            times,
            np.ones(frames, np.bool_),
            Camera(640, 320, (500.0, 501.0), (320.0, 159.5), Camera.mounted(2, 2, 1.0).ego_from_camera, (0.1,) * 5),
        )
        for camera in cameras
    )
    ego = EgoMotion(
        times,
        np.broadcast_to(np.eye(3), (frames, 3, 3)).copy(),
        np.stack([np.arange(frames) * 0.75, np.zeros(frames), np.zeros(frames)], -1),
        np.full(frames, 15.0),
        rng.normal(0, 0.01, frames),
        np.broadcast_to(np.eye(3) * 0.1, (frames, 3, 3)).copy(),
        rng.random(frames) > 0.5,
        np.ones(frames, np.bool_),
        (47.0, 8.0, 400.0) if name == "a" else None,
        "smoothed: speed_mps",
    )
    return Drive(
        drive_id=sha(f"drive {name}")[:32],
        vehicle_id=f"vehicle-{name}",
        route=f"route of {name}, it's new",
        cameras=streams,
        telemetry=Telemetry(
            speed_mps=Signal(times, values, valid), gear=Signal.measured(times[:1], np.ones(len(times[:1])))
        ),
        ego=ego,
        provenance=Provenance("fake", ((f"/stick/{name}.mp4", sha(name), 1000),), "none"),
        wheelbase_m=2.9 if name == "a" else None,
        steering_ratio=None,
        tags=("day", f"tag-{name}"),
        rejections=(Rejection("front", "dropped_frames", "expected 20 frames, got 3", (("gap_s", 3.2),), 5, 9),),
    )


def chunks(of: Drive, first_number: int = 0) -> dict[str, list[VideoChunk]]:
    return {
        stream.name: list(
            encode_chunks((frame((i + first_number) % 256) for i in range(len(stream.valid))), WIDTH, HEIGHT, FPS)
        )
        for stream in of.cameras
    }


def with_video(of: Drive) -> DriveWithVideo:
    return DriveWithVideo(of, chunks(of))


def clip(of: Drive, name: str = "c", split: str = "train", tags: tuple[str, ...] = ("straight",)) -> Clip:
    rng = np.random.default_rng(int(sha(name)[:8], 16))
    anchors = 5
    valid = rng.random((anchors, 33)) > 0.2
    position = rng.normal(size=(anchors, 33, 3)).astype(np.float32)
    position[~valid] = np.nan
    return Clip(
        clip_id=f"clip-{name}",
        drive_id=of.drive_id,
        vehicle_id=of.vehicle_id,
        camera="front",
        split=split,
        tags=tags,
        tiles=("u0qj12", "u0qj13"),
        weight=0.5,
        frame_indices=np.arange(anchors + 1) * 4,
        anchor_timestamps_ns=of.cameras[0].timestamps_ns[4 : 4 * anchors + 1 : 4],
        position_m=position,
        yaw_rad=rng.normal(size=(anchors, 33)).astype(np.float32),
        speed_mps=rng.normal(size=(anchors, 33)).astype(np.float32),
        valid=valid,
        curvature_per_m=rng.normal(size=anchors).astype(np.float32),
        acceleration_mps2=rng.normal(size=anchors).astype(np.float32),
        action_valid=rng.random(anchors) > 0.5,
        ego_rates=rng.normal(size=(anchors, 6)).astype(np.float32),
        desire=rng.integers(0, 8, anchors),
    )


@pytest.fixture
def small() -> SimpleNamespace:
    """Builders of small records."""
    return SimpleNamespace(
        sha=sha, frame=frame, number_of=number_of, drive=drive, chunks=chunks, with_video=with_video, clip=clip
    )
