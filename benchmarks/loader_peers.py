"""One other loader on the same samples, run by `loader.py` in an environment of its own.

In: `loader_peers.py NAME FOLDER CORE`. Out: a line of JSON with samples per second.
Idea: each is used as its documentation says for clips of video with targets, one process on one core: samples in random
order, 8 frames and the future positions of each, stacked to batches of 16. Whatever it makes of frames, it may keep:
none is asked to convert more than it does by itself.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 16
LEAST_S = 10.0


class Samples:
    """The samples of a folder of material, shuffled."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.facts: dict[str, Any] = json.loads((place / "material.json").read_text())
        self.all = [(clip, start) for clip in range(self.facts["clips"]) for start in self.facts["starts"]]
        random.Random(0).shuffle(self.all)

    def frames(self, start: int) -> list[int]:
        """The frames of a sample."""
        return [start + self.facts["every"] * number for number in range(self.facts["frames"])]

    def future(self, clip: int, start: int) -> np.ndarray:
        """10 s of positions after each frame, as `loader_material.py` has them."""
        turn = np.cumsum(np.full(self.facts["seconds"] * self.facts["fps"], 0.02 * (clip % 5 - 2) / self.facts["fps"]))
        path = np.cumsum(np.stack([np.cos(turn), np.sin(turn)], -1), 0)
        times = np.round(10 * (np.arange(33) / 32) ** 2 * self.facts["fps"]).astype(int)
        return np.stack([path[np.minimum(frame + times, len(path) - 1)] - path[frame] for frame in self.frames(start)])


def pyav(samples: Samples) -> Iterator[tuple[Any, Any]]:
    """Seek to the key frame before the first wanted frame, decode up to the last."""
    import av

    open_files = [av.open(str(path)) for path in sorted((samples.place / "gop20").glob("*.mp4"))]
    for container in open_files:
        container.streams.video[0].thread_type = "NONE"
    while True:
        for clip, start in samples.all:
            container = open_files[clip]
            stream = container.streams.video[0]
            ticks = 1 / (samples.facts["fps"] * stream.time_base)
            wanted = samples.frames(start)
            container.seek(int(start * ticks), stream=stream)
            found = []
            for frame in container.decode(stream):
                if round(frame.pts / ticks) in wanted:
                    found.append(frame.to_ndarray(format="rgb24"))
                if round(frame.pts / ticks) >= wanted[-1]:
                    break
            yield np.stack(found), samples.future(clip, start)


def decord2(samples: Samples) -> Iterator[tuple[Any, Any]]:
    """`get_batch` of a reader that is kept open."""
    import decord

    readers = [decord.VideoReader(str(path), num_threads=1) for path in sorted((samples.place / "gop20").glob("*.mp4"))]
    while True:
        for clip, start in samples.all:
            yield readers[clip].get_batch(samples.frames(start)).asnumpy(), samples.future(clip, start)


def torchcodec(samples: Samples) -> Iterator[tuple[Any, Any]]:
    """`get_frames_at` of a decoder that is kept open."""
    from torchcodec.decoders import VideoDecoder

    paths = sorted((samples.place / "gop20").glob("*.mp4"))
    decoders = [VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode="exact") for path in paths]
    while True:
        for clip, start in samples.all:
            frames = decoders[clip].get_frames_at(indices=samples.frames(start)).data
            yield frames.numpy(), samples.future(clip, start)


def lerobot(samples: Samples) -> Iterator[tuple[Any, Any]]:
    """The function that LeRobotDataset reads frames by time with, on key frames two apart as it writes them."""
    from lerobot.datasets.video_utils import decode_video_frames

    paths = sorted((samples.place / "gop2").glob("*.mp4"))
    fps = samples.facts["fps"]
    backend = "pyav"
    try:
        decode_video_frames(paths[0], [0.0], 1e-4, "torchcodec")
        backend = "torchcodec"
    except Exception:
        print("lerobot: without torchcodec, with PyAV", file=sys.stderr)
    while True:
        for clip, start in samples.all:
            times = [frame / fps for frame in samples.frames(start)]
            yield decode_video_frames(paths[clip], times, 1e-2, backend).numpy(), samples.future(clip, start)


def _packed(samples: Samples) -> Iterator[dict[str, Any]]:
    """Each sample with its JPEG frames, in the order of recording."""
    for clip, start in sorted(samples.all):
        folder = samples.place / "jpeg" / f"{clip:04d}"
        frames = {
            f"{place}.jpg": (folder / f"{n:06d}.jpg").read_bytes() for place, n in enumerate(samples.frames(start))
        }
        yield {"__key__": f"{clip:04d}-{start:06d}", **frames, "future.npy": samples.future(clip, start)}


def webdataset(samples: Samples) -> Iterator[tuple[Any, Any]]:
    """Shards of samples, shuffled by shard and through a buffer, JPEG decoded with OpenCV."""
    import cv2
    import webdataset as wds

    folder = samples.place / "webdataset"
    if not (folder / "whole").exists():
        folder.mkdir(exist_ok=True)
        with wds.ShardWriter(str(folder / "%06d.tar"), maxcount=200, verbose=0) as writer:
            for sample in _packed(samples):
                writer.write(sample)
        (folder / "whole").touch()
    shards = sorted(str(path) for path in folder.glob("*.tar"))
    dataset = wds.WebDataset(shards, shardshuffle=len(shards), empty_check=False).shuffle(500).repeat()
    for sample in dataset:
        data = (np.frombuffer(sample[f"{place}.jpg"], np.uint8) for place in range(samples.facts["frames"]))
        frames = np.stack([cv2.imdecode(one, cv2.IMREAD_COLOR) for one in data])
        yield frames, np.frombuffer(sample["future.npy"], np.uint8)


def mosaicml(samples: Samples) -> Iterator[tuple[Any, Any]]:
    """Shards of samples with random access, shuffled in blocks, JPEG decoded with OpenCV."""
    import cv2
    from streaming import MDSWriter, StreamingDataset

    folder = samples.place / "mosaicml"
    names = [str(place) for place in range(samples.facts["frames"])]
    if not (folder / "index.json").exists():
        columns = dict.fromkeys(names, "bytes") | {"future": "ndarray"}
        with MDSWriter(out=str(folder), columns=columns) as writer:
            for sample in _packed(samples):
                writer.write({name: sample[f"{name}.jpg"] for name in names} | {"future": sample["future.npy"]})
    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH, num_canonical_nodes=1)
    while True:
        for sample in dataset:
            frames = [cv2.imdecode(np.frombuffer(sample[name], np.uint8), cv2.IMREAD_COLOR) for name in names]
            yield np.stack(frames), sample["future"]


def main() -> None:
    """Warm up with a batch, then measure for some seconds."""
    name, place, core = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    samples = globals()[name](Samples(place))

    def batch() -> int:
        found = [next(samples) for _ in range(BATCH)]
        np.stack([frames for frames, _ in found])
        return len(found)

    batch()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < LEAST_S:
        count += batch()
    print(json.dumps({"samples_per_s": count / (time.perf_counter() - began)}))
    sys.stdout.flush()
    os._exit(0)  # some of them leave threads behind


if __name__ == "__main__":
    main()
