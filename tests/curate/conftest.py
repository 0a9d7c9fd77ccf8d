"""Drives made from formulas, so that every target is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from dojo.geometry import MODEL_VIEW, Rigid
from dojo.records import CameraStream, Clip, Drive, EgoMotion, Provenance, Signal, Telemetry


@dataclass(frozen=True)
class Made:
    """How to make a drive: `motion` gives (position n x 3, yaw, speed, yaw rate) at times in seconds."""

    motion: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    length_s: float = 20.0
    fps: float = 10.0
    pose_hz: float = 25.0
    jitter: float = 0.0
    seed: int = 0
    drive_id: str = "d0"
    vehicle_id: str = "v0"
    origin: tuple[float, float, float] | None = (48.0, 11.0, 500.0)
    signals: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    invalid_frames_s: tuple[float, float] | None = None
    invalid_poses_s: tuple[float, float] | None = None
    tilt: np.ndarray = field(default_factory=lambda: np.eye(3))
    tags: tuple[str, ...] = ()


START_NS = 1_700_000_000_000_000_000


def straight(speed_mps: float, acceleration_mps2: float = 0.0):
    def motion(t):
        s = speed_mps * t + acceleration_mps2 * t**2 / 2
        zero = np.zeros_like(t)
        return np.stack([s, zero, zero], -1), zero, speed_mps + acceleration_mps2 * t, zero

    return motion


def circle(speed_mps: float, curvature_per_m: float):
    def motion(t):
        yaw = speed_mps * curvature_per_m * t
        place = np.stack([np.sin(yaw), 1 - np.cos(yaw), np.zeros_like(t)], -1) / curvature_per_m
        return place, yaw, np.full_like(t, speed_mps), np.full_like(t, speed_mps * curvature_per_m)

    return motion


def from_heading(speed_mps: float, yaw_of: Callable[[np.ndarray], np.ndarray]):
    """Constant speed along a heading given as a function of time; integrated on a fine grid."""

    def motion(t):
        fine = np.linspace(-1.0, 200.0, 400_001)
        yaw = yaw_of(fine)
        step = fine[1] - fine[0]
        x = np.concatenate([[0], np.cumsum((np.cos(yaw[1:]) + np.cos(yaw[:-1])) / 2 * step)]) * speed_mps
        y = np.concatenate([[0], np.cumsum((np.sin(yaw[1:]) + np.sin(yaw[:-1])) / 2 * step)]) * speed_mps
        place = np.stack([np.interp(t, fine, x), np.interp(t, fine, y), np.zeros_like(t)], -1)
        return place, yaw_of(t), np.full_like(t, speed_mps), np.interp(t, fine, np.gradient(yaw, step))

    return motion


def _times(rng, length_s, hz, jitter):
    times = np.arange(0, length_s + 1e-9, 1 / hz)
    times[1:-1] += rng.uniform(-jitter, jitter, len(times) - 2) / hz
    return START_NS + np.round(times * 1e9).astype(np.int64)


def _clear_of(times, span):
    seconds = (times - START_NS) / 1e9
    return np.ones(len(times), np.bool_) if span is None else (seconds < span[0]) | (seconds > span[1])


@pytest.fixture(scope="session")
def make_drive() -> Callable[[Made], Drive]:
    def make(made: Made) -> Drive:
        rng = np.random.default_rng(made.seed)
        frame_ns = _times(rng, made.length_s, made.fps, made.jitter)
        pose_ns = _times(rng, made.length_s, made.pose_hz, made.jitter)
        place, yaw, speed, yaw_rate = made.motion((pose_ns - START_NS) / 1e9)
        rotation = np.stack([made.tilt @ Rigid.from_euler(0.0, 0.0, float(angle)).rotation for angle in yaw])
        poses = len(pose_ns)
        ego = EgoMotion(
            pose_ns,
            rotation,
            place @ made.tilt.T,
            speed,
            yaw_rate,
            np.zeros((poses, 3, 3)),
            np.zeros(poses, np.bool_),
            _clear_of(pose_ns, made.invalid_poses_s),
            made.origin,
            "recorded",
        )
        stream = CameraStream("front", MODEL_VIEW, frame_ns, _clear_of(frame_ns, made.invalid_frames_s))
        signals = {
            name: Signal.measured(frame_ns, np.asarray(value((frame_ns - START_NS) / 1e9), np.float64))
            for name, value in made.signals.items()
        }
        return Drive(
            made.drive_id,
            made.vehicle_id,
            "r",
            (stream,),
            Telemetry(**signals),
            ego,
            Provenance("test", ()),
            tags=made.tags,
        )

    return make


@pytest.fixture(scope="session")
def made() -> type[Made]:
    return Made


@pytest.fixture(scope="session")
def paths() -> dict[str, Callable]:
    return {"straight": straight, "circle": circle, "from_heading": from_heading}


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Clip]:
    def make(
        clip_id: str = "c",
        vehicle_id: str = "v",
        tiles: tuple[str, ...] = ("t",),
        tags: tuple[str, ...] = (),
        split: str = "train",
        speed_mps: float = 10.0,
        curvature_per_m: float = 0.0,
        drive_id: str = "d",
    ) -> Clip:
        time = 10 * (np.arange(33) / 32) ** 2
        yaw = speed_mps * curvature_per_m * time
        k = curvature_per_m or 1e-9
        place = np.stack([np.sin(speed_mps * k * time) / k, (1 - np.cos(speed_mps * k * time)) / k, 0 * time], -1)
        return Clip(
            clip_id=clip_id,
            drive_id=drive_id,
            vehicle_id=vehicle_id,
            camera="front",
            split=split,
            tags=tags,
            tiles=tiles,
            weight=1.0,
            frame_indices=np.arange(2, dtype=np.int64),
            anchor_timestamps_ns=np.zeros(1, np.int64),
            position_m=place[None].astype(np.float32),
            yaw_rad=yaw[None].astype(np.float32),
            speed_mps=np.full((1, 33), speed_mps, np.float32),
            valid=np.ones((1, 33), np.bool_),
            curvature_per_m=np.full(1, curvature_per_m, np.float32),
            acceleration_mps2=np.zeros(1, np.float32),
            action_valid=np.ones(1, np.bool_),
            ego_rates=np.zeros((1, 6), np.float32),
            desire=np.zeros(1, np.int64),
        )

    return make
