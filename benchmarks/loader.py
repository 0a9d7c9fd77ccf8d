"""Samples per second and core: Dojo's loader beside the limit of decoding and beside six others, on the same clips.

    python benchmarks/loader.py --json

In: nothing; clips are made (`loader_material.py`), other loaders are installed into environments of their own. Out: a
table at 256 x 128 and at 512 x 256, `results/loader.json`, and with `--json` one line about 512 x 256.
Idea: every loader gives the same samples: 8 frames 0.2 s apart and 10 s of future positions, shuffled over all clips,
in batches. Each runs alone on one core, in turn, and the turns are repeated, so that whatever else the machine does
hits all of them. The limit is the rate at which every stored frame that a sample needs is decoded exactly once, and
nothing else is done, times the samples that are cut from it. A loader that cannot be had is named with the reason.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from loader_material import CAMERA, FRAMES, Material, clips, drive, prepare, view
from rich.console import Console
from rich.table import Table

from dojo.load import NO_AUGMENT, LoadConfig, Loader, cameras_of, mixing
from dojo.store import Dataset
from dojo.store.video import decode_each

HERE = Path(__file__).resolve().parent

PEERS = {
    "pyav": ("gop20", ["av"]),
    "decord2": ("gop20", ["decord2"]),
    "torchcodec": ("gop20", ["torchcodec"]),
    "lerobot": ("gop2", ["lerobot"]),
    "webdataset": ("jpeg", ["webdataset"]),
    "mosaicml": ("jpeg", ["mosaicml-streaming"]),
}
"""What each reads, and what is installed for it."""

VIDEO_PEERS = ("pyav", "decord2", "torchcodec", "lerobot")


@dataclass(frozen=True)
class LoaderBenchmark:
    """How much is measured.

    Args:
        clips, seconds, stride: of the material; a sample begins every `stride` frames: 4 where each frame that is
            stored five times a second begins one, 28 where each is in one alone. How often a frame is used decides what
            decoding it once is worth, and what copying it into batches costs.
        widths: of the pictures.
        rounds: how often each loader has its turn.
        peers: which others; none for the limit and Dojo alone.
        buffer, stretch_s: of Dojo's order.
        work: folder for the material and the environments.
        out: where the figures are kept.
        json: print one line at the end.
    """

    clips: int = 40
    seconds: int = 60
    stride: int = 4
    widths: tuple[int, ...] = (256, 512)
    rounds: int = 3
    peers: tuple[str, ...] = tuple(PEERS)
    batch_size: int = 16
    buffer: int = 1024
    stretch_s: float = 60.0
    work: Path = Path("runs/bench-loader")
    out: Path = HERE / "results" / "loader.json"
    json: bool = False


@dataclass
class Figures:
    """What was measured at one size."""

    width: int
    limit_samples_per_s: float = 0.0
    limit_two_processes_samples_per_s: float = 0.0
    dojo_samples_per_s: float = 0.0
    dojo_two_threads_samples_per_s: float = 0.0
    dojo_two_processes_samples_per_s: float = 0.0
    frames_per_sample: float = 0.0
    peers: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    mb_per_hour: dict[str, float] = field(default_factory=dict)
    mixing: dict[str, Any] = field(default_factory=dict)


class Dojo:
    """Our loader, and the limit, on the same store."""

    def __init__(self, config: LoaderBenchmark, material: Material, place: Path) -> None:
        self.config, self.material = config, material
        self.dataset = Dataset.open(str(place / "dojo"))
        self.clips = clips(material)
        self.cameras = cameras_of([drive(material, number) for number in range(material.clips)])

    def loader(self, workers: int, processes: int = 0) -> Loader:
        """Our loader in the order that decodes each frame once."""
        load = LoadConfig(
            batch_size=self.config.batch_size,
            order="chunked",
            stretch_s=self.config.stretch_s,
            buffer=self.config.buffer,
            workers=workers,
            processes=processes,
            augment=NO_AUGMENT,
        )
        return Loader(self.clips, self.cameras, self.dataset, load, "v", view=view(self.material))

    def samples_per_s(self, workers: int, processes: int = 0) -> float:
        """Over one epoch, after one to warm up: a run has many, and the first takes its memory from the system."""
        batches = self.loader(workers, processes).batches()
        per_epoch = len(self.clips) // self.config.batch_size
        for _ in range(per_epoch):
            next(batches)
        began = time.perf_counter()
        count = sum(len(next(batches)[0].clip_ids) for _ in range(per_epoch))
        took = time.perf_counter() - began
        batches.close()  # type: ignore[attr-defined]  # it is a generator
        return count / took

    def limit(self) -> tuple[float, float]:
        """Samples per second if decoding were all, and frames decoded for each."""
        took, frames = decoding(self.dataset, self.material, range(self.material.clips))
        return len(self.clips) / took, frames / len(self.clips)

    def limit_together(self, processes: int) -> float:
        """Samples per second if decoding were all and each of some processes did a part: what more cores can give."""
        share = len(self.clips) / self.material.clips
        parts = [range(number, self.material.clips, processes) for number in range(processes)]
        spawn = multiprocessing.get_context("spawn")
        with (
            spawn.Manager() as shared,
            ProcessPoolExecutor(processes, spawn) as pool,
        ):
            all_there = shared.Barrier(processes)
            found = list(pool.map(decoding, repeat(self.dataset), repeat(self.material), parts, repeat(all_there.wait)))
        return sum(share * len(part) / took for part, (took, _) in zip(parts, found, strict=True))

    def mb_per_hour(self) -> float:
        """Of video, as stored."""
        drives = self.dataset.summary()
        return float(drives.video_bytes) / 1e6 / (self.material.clips * self.material.seconds / 3600)


def decoding(
    dataset: Dataset, material: Material, numbers: Sequence[int], begin: Callable[[], object] = lambda: None
) -> tuple[float, int]:
    """Seconds to decode every frame of these clips that a sample needs, once, and how many they are."""
    begin()
    wanted = np.unique([start + 4 * place for start in material.starts() for place in range(FRAMES)])
    took, frames = 0.0, 0
    for number in numbers:
        stream = dataset._stream(f"drive-{number:04d}", CAMERA)
        found = [dataset._footage.encoded(stream, [chunk])[0] for chunk in range(len(stream.row_ids))]
        ends = [*stream.first_frames[1:].tolist(), len(stream.timestamps_ns)]
        places = [
            dict.fromkeys((wanted[(wanted >= first) & (wanted < end)] - first).tolist(), 0)
            for first, end in zip(stream.first_frames.tolist(), ends, strict=True)
        ]
        began = time.perf_counter()
        frames += sum(1 for data, some in zip(found, places, strict=True) for _ in decode_each(data, some))
        took += time.perf_counter() - began
    return took, frames


def installed(name: str, packages: list[str], work: Path) -> Path:
    """The interpreter of an environment of the loader's own, beside ours; made once.

    Raises:
        RuntimeError: it cannot be had, with the reason.
    """
    environment = work / "environments" / name
    python = environment / "bin" / "python"
    if not (environment / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
        # What we have, they see: the same torch, NumPy and PyAV for all, and nothing large twice.
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        (inside,) = (environment / "lib").glob("python*/site-packages")
        (inside / "ours.pth").write_text(ours + "\n")
        held = environment / "held.txt"
        held.write_text("".join(f"{one}\n" for one in _held()))
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(held), *packages],
            capture_output=True,
            text=True,
            timeout=900,
        )
        if done.returncode:
            raise RuntimeError(_reason(done.stderr))
        (environment / "whole").touch()
    return python


def _held() -> list[str]:
    """Packages that no loader may change: torch, above all, whose other builds are gigabytes."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("torch", "numpy", "av"):
        try:
            found.append(f"{name}=={version(name).split('+')[0]}")
        except PackageNotFoundError:
            continue
    return found


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no reason given"])[-1][:300]


def peer_samples_per_s(name: str, python: Path, place: Path, work: Path, core: int) -> float:
    """One turn of another loader, in a process of its own on one core."""
    done = subprocess.run(
        [str(python), str(HERE / "loader_peers.py"), name, str(place), str(core)],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        raise RuntimeError(_reason(done.stderr))
    return float(json.loads(done.stdout.strip().splitlines()[-1])["samples_per_s"])


def measured(config: LoaderBenchmark, width: int, console: Console) -> Figures:
    """All loaders at one size, in turns."""
    material = Material(config.clips, config.seconds, width, config.stride)
    formats = ["dojo", *dict.fromkeys(PEERS[name][0] for name in config.peers)]
    console.print(f"{width} x {width // 2}: {config.clips} clips of {config.seconds} s as {', '.join(formats)}")
    place = prepare(material, config.work, formats, len(os.sched_getaffinity(0)))
    ours = Dojo(config, material, place)
    figures = Figures(width)
    turns: dict[str, Callable[[], float]] = {}
    cores = sorted(os.sched_getaffinity(0))

    def alone(call: Callable[[], float]) -> float:
        os.sched_setaffinity(0, cores[:1])
        try:
            return call()
        finally:
            os.sched_setaffinity(0, cores)

    turns["limit"] = lambda: alone(lambda: ours.limit()[0])
    turns["limit_processes"] = lambda: ours.limit_together(2)
    turns["dojo"] = lambda: alone(lambda: ours.samples_per_s(1))
    turns["dojo_threads"] = lambda: ours.samples_per_s(2)
    turns["dojo_processes"] = lambda: ours.samples_per_s(0, processes=2)
    for name in config.peers:
        try:
            python = installed(name, PEERS[name][1], config.work)
        except (RuntimeError, subprocess.SubprocessError, OSError) as error:
            figures.missing[name] = str(error).replace(f"{config.work}{os.sep}", "")
            continue
        turns[name] = lambda name=name, python=python: peer_samples_per_s(name, python, place, config.work, cores[0])  # type: ignore[misc]
    found: dict[str, list[float]] = {}
    for _ in range(config.rounds):
        for name, turn in turns.items():
            if name in figures.missing:
                continue
            try:
                rate = turn()
                found.setdefault(name, []).append(rate)
                console.print(f"  {name:<15} {rate:8.1f} samples/s")
            except (RuntimeError, subprocess.SubprocessError) as error:
                figures.missing[name] = str(error).replace(f"{config.work}{os.sep}", "")
    middle = {name: statistics.median(values) for name, values in found.items()}
    figures.limit_samples_per_s, figures.dojo_samples_per_s = middle["limit"], middle["dojo"]
    figures.limit_two_processes_samples_per_s = middle["limit_processes"]
    figures.dojo_two_threads_samples_per_s = middle["dojo_threads"]
    figures.dojo_two_processes_samples_per_s = middle["dojo_processes"]
    figures.frames_per_sample = ours.limit()[1]
    figures.peers = {name: middle[name] for name in config.peers if name in middle}
    figures.mb_per_hour = {name: _mb_per_hour(place / name, material) for name in formats if name != "dojo"}
    figures.mb_per_hour["dojo"] = ours.mb_per_hour()
    figures.mixing = _mixing(ours)
    return figures


def _mb_per_hour(folder: Path, material: Material) -> float:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return size / 1e6 / (material.clips * material.seconds / 3600)


def _mixing(ours: Dojo) -> dict[str, Any]:
    """How near in their recording clips lie that meet, beside a random order; in one batch, and in eight in a row."""
    random = np.random.default_rng(0).permutation(len(ours.clips))
    orders = {"dojo": ours.loader(0).order(0), "random": random}
    return {
        f"{name}, {batches}": asdict(mixing(ours.clips, order, ours.config.batch_size, batches))
        for name, order in orders.items()
        for batches in (1, 8)
    }


def table_of(figures: Figures) -> Table:
    """For a person."""
    limit = figures.limit_samples_per_s
    table = Table("loader", title=f"{figures.width} x {figures.width // 2}", title_justify="left")
    for name in ("samples/s per core", "of the limit", "stored MB/h"):
        table.add_column(name, justify="right")
    table.add_row("decoding alone (the limit)", f"{limit:.0f}", "1.00", "")
    both = figures.limit_two_processes_samples_per_s
    table.add_row("decoding alone, two processes on two cores", f"{both:.0f}", f"{both / limit:.2f} x one", "")
    rate, stored = figures.dojo_samples_per_s, figures.mb_per_hour["dojo"]
    table.add_row("Dojo", f"{rate:.0f}", f"{rate / limit:.2f}", f"{stored:.0f}")
    two = {
        "threads": figures.dojo_two_threads_samples_per_s,
        "processes": figures.dojo_two_processes_samples_per_s,
    }
    for name, both in two.items():
        table.add_row(f"Dojo, two {name} on two cores, together", f"{both:.0f}", f"{both / rate:.2f} x one", "")
    for name, value in sorted(figures.peers.items(), key=lambda entry: -entry[1]):
        stored = figures.mb_per_hour[PEERS[name][0]]
        table.add_row(name, f"{value:.1f}", f"{value / limit:.3f}", f"{stored:.0f}")
    for name, reason in figures.missing.items():
        table.add_row(name, "not measured", "", reason)
    for name, value in figures.mixing.items():
        said = f"{value['near_share']:.3f} meet another from less than 10 s away"
        table.add_row(f"mixing: {name} batch(es)", "", "", said)
    return table


def main(config: LoaderBenchmark) -> None:
    """Measure, keep, print."""
    console = Console(stderr=True)
    found = [measured(config, width, console) for width in config.widths]
    for figures in found:
        console.print(table_of(figures))
    config.out.parent.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in asdict(config).items() if name not in ("work", "out", "json")}
    config.out.write_text(
        json.dumps({"settings": settings, "sizes": [asdict(figures) for figures in found]}, indent=1) + "\n"
    )
    if config.json:
        last = found[-1]
        print(
            json.dumps(
                {
                    "decode_limit_samples_per_s": round(last.limit_samples_per_s, 1),
                    "dojo_samples_per_s": round(last.dojo_samples_per_s, 1),
                    "peers": {name: round(value, 1) for name, value in last.peers.items()},
                }
            )
        )


if __name__ == "__main__":
    main(tyro.cli(LoaderBenchmark))
