"""The same pictures for every loader: one-minute clips of a made-up drive, stored as each of them wants it.

In: how many clips, how long, how large. Out: a Dojo dataset, MP4 files with key frames near and far, JPEG frames.
Idea: what decoding costs and what storage takes depends on how pictures move and how fine they are, not on what they
show. So a textured plane passes below a textured sky, with the grain of a sensor, such that H.264 as cameras usually
write it takes about 1 Mbit/s at 512 x 256. Every format gets the same frames, and the frames that
samples show are no worse in Dojo's than in the MP4 files.
Not here: the loaders (`loader.py`, `loader_peers.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import av
import cv2
import numpy as np

from dojo.geometry import Camera
from dojo.records import CameraStream, Clip, Drive, EgoMotion, Frame, Provenance, Telemetry, VideoChunk
from dojo.store import Dataset, encode_chunks, video

FPS = 20
EVERY = 4  # frames of a sample are 0.2 s apart
FRAMES = 8
FUTURE_S = 10.0
CRF = 22  # of the MP4 files; at the store's own (`dojo.store.video.CRF`) the frames of samples are 0.4 dB better still
JPEG_QUALITY = 90  # Assumed: near the quality of CRF 22
CAMERA = "front"
GRAIN = 3.4  # grey levels; with it, H.264 at CRF 22 takes about 1 Mbit/s at 512 x 256


@dataclass(frozen=True)
class Material:
    """What the clips are.

    Args:
        clips: of one drive each. seconds: of each.
        width: of the pictures; they are half as high.
        stride: frames from the start of one sample to the start of the next.
    """

    clips: int = 40
    seconds: int = 60
    width: int = 512
    stride: int = 28

    @property
    def height(self) -> int:
        """Rows of the pictures."""
        return self.width // 2

    def starts(self) -> list[int]:
        """First frames of the samples of a clip: 8 frames, and then 10 s of future."""
        last = self.seconds * FPS - (FRAMES - 1) * EVERY - round(FUTURE_S * FPS) - 1
        return list(range(0, last + 1, self.stride))

    def future(self, clip: int) -> np.ndarray:
        """Positions of a clip's vehicle at each of its frames, metres, for targets."""
        turn = np.cumsum(np.full(self.seconds * FPS, 0.02 * (clip % 5 - 2) / FPS))
        return np.cumsum(np.stack([np.cos(turn), np.sin(turn)], -1), 0) * 15.0 / FPS


def pictures(material: Material, clip: int) -> Iterator[np.ndarray]:
    """The frames of a clip as packed YUV420 planes, one below the other."""
    width, height = material.width, material.height
    rng = np.random.default_rng(clip)
    texture = _texture()
    grain = rng.normal(0, GRAIN, (37, height, width)).astype(np.int16)
    speed, drift = rng.uniform(6, 14), rng.uniform(-1, 1)
    plane = np.array([[0.42, 0.4], [0.58, 0.4], [-0.8, 1.0], [1.8, 1.0]]) * (width, height)
    for number in range(material.seconds * FPS):
        x, y = 512 + 100 * clip + drift * number, speed * number
        ground = np.array([[x, y], [x + 500, y], [x, y + 900], [x + 500, y + 900]], np.float32)
        warp = cv2.getPerspectiveTransform(plane.astype(np.float32), ground)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        luma = cv2.warpPerspective(texture, warp, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
        scale = 512 / width * (1.5 - 0.2 * np.sin(number / 40))
        far = np.array([[scale, 0, 300 + 0.7 * number], [0, scale, 50 * clip]], np.float32)
        sky = cv2.warpAffine(texture, far, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
        luma[: int(0.4 * height)] = sky[: int(0.4 * height)]
        luma = np.clip(luma + grain[rng.integers(37)], 16, 235).astype(np.uint8)
        chroma = cv2.resize(luma, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        planes = luma.ravel(), (chroma // 4 + 96).ravel(), (160 - chroma // 4).ravel()
        yield np.concatenate(planes).reshape(height * 3 // 2, width)


@cache
def _texture() -> np.ndarray:
    rng = np.random.default_rng(0)
    found = np.full((2048, 2048), 120.0, np.float32)
    for cells in (8, 16, 64, 256, 1024):
        noise = rng.normal(size=(cells, cells)).astype(np.float32)
        found += cv2.resize(noise, (2048, 2048), interpolation=cv2.INTER_CUBIC) * 5 * (256 / cells) ** 0.4
    return np.clip(found, 16, 235).astype(np.uint8)


def prepare(material: Material, folder: Path, formats: Sequence[str], processes: int) -> Path:
    """What the loaders read, in these of `FORMATS`, below a folder that is named by what it holds; each made once."""
    text = json.dumps(asdict(material) | {"grain": GRAIN, "crf": CRF, "store": video.CRF, "jpeg": JPEG_QUALITY})
    place = folder / f"{material.width}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    place.mkdir(parents=True, exist_ok=True)
    facts = asdict(material) | {"starts": material.starts(), "fps": FPS, "every": EVERY, "frames": FRAMES}
    (place / "material.json").write_text(json.dumps(facts))
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for name in formats:
            todo = [n for n in range(material.clips) if not (place / name / f"{n:04d}.whole").exists()]
            if not todo:
                continue
            dataset = Dataset.create(str(place / "dojo")) if name == "dojo" else None
            jobs = (pool.submit(FORMATS[name], material, place / name, number) for number in todo)
            for number, job in zip(todo, list(jobs), strict=True):
                made = job.result()
                if dataset is not None:
                    dataset.add(drive(material, number), {CAMERA: made})
                (place / name / f"{number:04d}.whole").touch()
    return place


def _as_mp4(material: Material, folder: Path, clip: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _mp4(folder / f"{clip:04d}.mp4", pictures(material, clip), material, int(folder.name.removeprefix("gop")))


def _as_jpeg(material: Material, folder: Path, clip: int) -> None:
    """Every frame that a sample may want."""
    target = folder / f"{clip:04d}"
    target.mkdir(parents=True, exist_ok=True)
    for number, planes in enumerate(pictures(material, clip)):
        if number % EVERY == 0:
            picture = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
            cv2.imwrite(str(target / f"{number:06d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _as_chunks(material: Material, folder: Path, clip: int) -> list[VideoChunk]:
    shape, quarter = (material.height // 2, material.width // 2), material.height * material.width // 4
    frames = (
        Frame(
            number,
            planes[: material.height],
            flat[4 * quarter : 5 * quarter].reshape(shape),
            flat[5 * quarter :].reshape(shape),
        )
        for number, planes in enumerate(pictures(material, clip))
        if (flat := planes.ravel()) is not None
    )
    return list(encode_chunks(frames, material.width, material.height, float(FPS)))


FORMATS: dict[str, Callable[[Material, Path, int], list[VideoChunk] | None]] = {
    "dojo": _as_chunks,
    "gop20": _as_mp4,
    "gop2": _as_mp4,
    "jpeg": _as_jpeg,
}


def _mp4(path: Path, frames: Iterator[np.ndarray], material: Material, gop: int) -> None:
    """H.264 as recorders and LeRobot write it: x264's defaults but for the distance of key frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = material.width, material.height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(CRF), "g": str(gop), "bf": "0"}
        for number, picture in enumerate(frames):
            shown = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            shown.pts, shown.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(shown))
        container.mux(stream.encode())


def view(material: Material) -> Camera:
    """The camera of the clips, which is also the model's view."""
    return Camera.mounted(material.width, material.height, 910.0 * material.width / 1164)


def drive(material: Material, clip: int) -> Drive:
    """The drive of a clip."""
    times = (np.arange(material.seconds * FPS, dtype=np.int64) * round(1e9 / FPS)) + clip * 10**12
    yes, count = np.ones(len(times), np.bool_), len(times)
    position = np.concatenate([material.future(clip), np.zeros((count, 1))], 1)
    ego = EgoMotion(
        times,
        np.broadcast_to(np.eye(3), (count, 3, 3)).copy(),
        position,
        np.full(count, 15.0),
        np.zeros(count),
        np.broadcast_to(np.eye(3) * 0.1, (count, 3, 3)).copy(),
        yes,
        yes,
        None,
        "made up",
    )
    name = f"drive-{clip:04d}"
    return Drive(
        drive_id=name,
        vehicle_id="v",
        route="r",
        cameras=(CameraStream(CAMERA, view(material), times, yes, None),),
        telemetry=Telemetry(),
        ego=ego,
        provenance=Provenance("made up", ((name, hashlib.sha256(name.encode()).hexdigest(), 1),), "none"),
        wheelbase_m=None,
        steering_ratio=None,
        tags=(),
        rejections=(),
    )


def clips(material: Material) -> list[Clip]:
    """The samples, as Dojo's clips."""
    anchors = FRAMES - 1
    found = []
    for number in range(material.clips):
        future = material.future(number)
        for start in material.starts():
            frames = start + EVERY * np.arange(FRAMES, dtype=np.int64)
            ahead = 10.0 * (np.arange(33) / 32) ** 2
            later = np.minimum(frames[1:, None] + np.round(ahead * FPS).astype(np.int64), len(future) - 1)
            path = np.concatenate([future[later] - future[frames[1:], None], np.zeros((anchors, 33, 1))], -1)
            found.append(
                Clip(
                    clip_id=f"{number:04d}-{start:06d}",
                    drive_id=f"drive-{number:04d}",
                    vehicle_id="v",
                    camera=CAMERA,
                    split="train",
                    tags=(),
                    tiles=(),
                    weight=1.0,
                    frame_indices=frames,
                    anchor_timestamps_ns=frames[1:] * round(1e9 / FPS) + number * 10**12,
                    position_m=path.astype(np.float32),
                    yaw_rad=np.zeros((anchors, 33), np.float32),
                    speed_mps=np.full((anchors, 33), 15, np.float32),
                    valid=np.ones((anchors, 33), np.bool_),
                    curvature_per_m=np.zeros(anchors, np.float32),
                    acceleration_mps2=np.zeros(anchors, np.float32),
                    action_valid=np.ones(anchors, np.bool_),
                    ego_rates=np.zeros((anchors, 6), np.float32),
                    desire=np.zeros(anchors, np.int64),
                )
            )
    return found
