"""Two hundred damaged copies of good TeslaCam clips: none crashes, none is silently wrong, each names its reason.

What counts as wrong is in `damage.py`; the other formats are in `test_corruption_formats.py`.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest

FRAMES, WIDTH, HEIGHT = 40, 192, 112
NAME = "2026-03-01_12-00-00-front.mp4"


@dataclass(frozen=True)
class Variant:
    kind: str
    name: str
    data: bytes


def written(root: Path, name: str, data: bytes) -> Path:
    """A stick with one clip."""
    path = root / "car" / "TeslaCam" / "RecentClips" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return root


def swapped(good: bytes, other: bytes, rng: random.Random) -> bytes:
    """Headers of another file, another box's name, or two pieces exchanged."""
    way = rng.randrange(5)
    if way == 0:  # the table of contents of another clip
        return good[: good.index(b"moov") - 4] + other[other.index(b"moov") - 4 :]
    if way == 1:  # the first bytes of another format
        header = rng.choice((b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0AVI ", b"\x1aE\xdf\xa3", b"\0\0\0\x01gd\0\n"))
        return header + good[len(header) :]
    if way == 2:  # one box under another's name
        mine, theirs = rng.sample((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts", b"stsz", b"stco", b"avc1"), 2)
        return good.replace(mine, theirs, 1)
    if way == 3:  # the sample entry's and the media's headers exchanged
        a, b = sorted((good.index(b"stsz"), good.index(b"stts")))
        return good[:a] + good[b : b + 16] + good[a + 16 : b] + good[a : a + 16] + good[b + 16 :]
    size = rng.randrange(16, 400)  # two stretches of the media data exchanged
    a, b = sorted(rng.sample(range(100, len(good) // 2, 400), 2))
    return good[:a] + good[b : b + size] + good[a + size : b] + good[a : a + size] + good[b + size :]


def clock_tables_reversed(good: bytes, rng: random.Random) -> bytes:
    """Frame durations that run backwards or stand still, as two's complements in `stts`, or another time scale."""
    data = bytearray(good)
    entry = good.index(b"stts") + 12 + 8 * rng.randrange(struct.unpack(">I", good[good.index(b"stts") + 8 :][:4])[0])
    delta = rng.choice((2**32 - 1280, 0, 2**31, 1280 * 400))
    data[entry + 4 : entry + 8] = struct.pack(">I", delta)
    return bytes(data)


@pytest.fixture(scope="module")
def clips(teslacam_files: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    folder = tmp_path_factory.mktemp("good")
    counter = iter(range(10**6))

    def make(messages: object, **options: object) -> bytes:
        path = folder / f"{next(counter)}.mp4"
        teslacam_files.write_clip(path, messages, width=WIDTH, height=HEIGHT, **options)
        return path.read_bytes()

    return make


def variants(
    good: bytes, uneven: bytes, clips: Callable[..., bytes], tools: ModuleType, damage: ModuleType
) -> Iterator[Variant]:
    rng = random.Random(20261122)
    drive = tools.straight_drive(FRAMES)
    other = clips(tools.straight_drive(FRAMES - 7, first_seq=5), gop=7, picture_offset=50)
    for _ in range(40):
        yield Variant("truncated", NAME, damage.truncated(good, rng))
    for _ in range(90):
        yield Variant("flipped", NAME, damage.flipped(good, rng))
    for _ in range(25):
        yield Variant("swapped", NAME, swapped(good, other, rng))
    for content in (b"", b"", b"\0" * 5000, b"hello", rng.randbytes(3000)):
        yield Variant("empty", NAME, content)
    for name in ("a.avi", "a.mov", "a.txt", "a.MP4", "a", "a.mp4.part", "a.ts", "a.mkv", "a.jpg", "a.csv"):
        yield Variant("wrong extension", name.replace("a", NAME[:-4], 1), good)
    for name in ("2026-13-01_12-00-00-front.mp4", "2026-03-01_12-00-00-nose.mp4", "clip.mp4", "front.mp4", "1.mp4"):
        yield Variant("wrong name", name, good)
    for _ in range(13):
        yield Variant("clock", NAME, clock_tables_reversed(uneven, rng))
    yield Variant("clock", NAME, clips(drive, stamps_reversed=True))
    yield Variant("clock", NAME, clips(drive[::-1]))
    backwards = [{**message, "frame_seq_no": 5000 - 3 * i} for i, message in enumerate(drive)]
    yield Variant("clock", NAME, clips(backwards))
    silent = [None] * FRAMES
    yield Variant("no telemetry", NAME, clips(silent))
    for name, value in (
        ("vehicle_speed_mps", 400.0),
        ("vehicle_speed_mps", float("nan")),
        ("vehicle_speed_mps", float("inf")),
        ("gear_state", 9),
        ("latitude_deg", 200.0),
        ("vehicle_speed_mps", 33.0),
        ("steering_wheel_angle", 90.0),
        ("frame_seq_no", 77),
    ):
        broken = [dict(message) for message in drive]
        broken[rng.randrange(5, FRAMES - 5)][name] = value
        yield Variant("telemetry", NAME, clips(broken))


def test_two_hundred_damaged_files_are_refused_with_a_reason_or_come_out_right(
    clips: Callable[..., bytes], teslacam_files: ModuleType, damage: Any, tmp_path: Path
) -> None:
    av.logging.set_level(None)
    drive = teslacam_files.straight_drive(FRAMES)
    good = clips(drive)
    # Pairs of unequal durations give the table of durations many entries to damage.
    uneven = clips(drive, durations_s=[0.1 + 0.02 * (i % 3 == 1) - 0.01 * (i % 3 != 1) for i in range(FRAMES)])
    (reference,), none = damage.everything(written(tmp_path / "good", NAME, good))
    assert not none
    assert len(reference.pictures["front"]) == FRAMES
    faults, unnamed, gates = [], Counter[str](), Counter[str]()
    total = 0
    for number, variant in enumerate(variants(good, uneven, clips, teslacam_files, damage)):
        total += 1
        verdict = damage.judged(written(tmp_path / str(number), variant.name, variant.data), reference)
        faults += [f"{number} {variant.kind}: {text}" for text in (*verdict.wrong, *verdict.lost, *verdict.nameless)]
        unnamed[variant.kind] += not verdict.gates
        gates.update(verdict.gates)
    print(f"{total} variants; rejections {dict(gates)}; without rejection and materially equal: {dict(+unnamed)}")
    assert total == 200
    assert faults == []
    # Flips in the last bits of a picture, in padding or in free text change nothing that anybody could see.
    assert set(+unnamed) <= {"flipped", "swapped"}
    assert unnamed["flipped"] <= 10
    assert unnamed["swapped"] <= 2
