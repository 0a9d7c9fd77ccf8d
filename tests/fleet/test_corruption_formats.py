"""Damaged copies of recordings of every format but the car's own: none crashes, none is silently wrong, each is told.

The good copy of each is a small drive that is known exactly (`curvy_drive.py`); what counts as wrong is in `damage.py`.
`--variants 200` tries as many of each format as a claim needs; the default keeps the suite short.

Two things nobody can see, and nothing here claims: another number in a description, which only its author knows; and a
flipped bit inside a slice of HEVC, which has no checksum and decodes to something (of H.264, `h264.py` finds it).
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

Change = Callable[[Path], None]
Kinds = list[tuple[str, Callable[[random.Random, Path], tuple[str, Change]]]]

FORMATS = ("described", "pictures", "kitti_raw", "comma2k19")
PICTURE_HEADERS = (
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\0\0\0\0AVI ",
    b"\x1aE\xdf\xa3",
    b"\xff\xd8\xff\xe0",
    b"\0\0\0\x01gd\0\n",
)
EVERY = "*"


# -- what can happen to any file ---------------------------------------------------------------------------------------


def rewritten(path: str, change: Callable[[bytes], bytes]) -> Change:
    """The file that the pattern finds below a folder, with other contents."""

    def do(root: Path) -> None:
        (found,) = root.rglob(path)
        found.write_bytes(change(found.read_bytes()))

    return do


def removed(path: str) -> Change:
    def do(root: Path) -> None:
        (found,) = root.rglob(path)
        found.unlink()

    return do


def renamed(path: str, suffix: str) -> Change:
    def do(root: Path) -> None:
        (found,) = root.rglob(path)
        found.rename(found.with_suffix(suffix))

    return do


def exchanged(one: str, other: str) -> Change:
    """Two files under each other's names."""

    def do(root: Path) -> None:
        (a,), (b,) = root.rglob(one), root.rglob(other)
        contents = a.read_bytes(), b.read_bytes()
        a.write_bytes(contents[1])
        b.write_bytes(contents[0])

    return do


def one_of(rng: random.Random, good: Path, pattern: str) -> str:
    """The path of a random file, below the folder."""
    return str(rng.choice(sorted(path for path in good.rglob(pattern) if path.is_file())).relative_to(good))


def any_file_damages(damage: ModuleType, pattern: str) -> Kinds:
    """Cut short, bits flipped, emptied, overwritten, another format's first bytes, not there."""

    def to(change: Callable[[bytes, random.Random], bytes]) -> Callable[[random.Random, Path], tuple[str, Change]]:
        def make(rng: random.Random, good: Path) -> tuple[str, Change]:
            path, seed = one_of(rng, good, pattern), rng.random()
            return path, rewritten(path, lambda data: change(data, random.Random(seed)))

        return make

    def headed(data: bytes, rng: random.Random) -> bytes:
        header = rng.choice([one for one in PICTURE_HEADERS if not data.startswith(one)])
        return header + data[len(header) :]

    def gone(rng: random.Random, good: Path) -> tuple[str, Change]:
        path = one_of(rng, good, pattern)
        return path, removed(path)

    def misnamed(rng: random.Random, good: Path) -> tuple[str, Change]:
        path, suffix = one_of(rng, good, pattern), rng.choice((".avi", ".txt", ".bak", ".jpg", ".npy", ".part"))
        return f"{path} -> {suffix}", renamed(path, suffix)

    return [
        ("truncated", to(damage.truncated)),
        ("truncated", to(damage.truncated)),
        ("flipped", to(damage.flipped)),
        ("flipped", to(damage.flipped)),
        ("flipped", to(damage.flipped)),
        ("empty", to(lambda data, rng: rng.choice((b"", b"\0" * len(data), rng.randbytes(len(data)))))),
        ("header", to(headed)),
        ("missing", gone),
        ("extension", misnamed),
    ]


# -- what can happen to a table ----------------------------------------------------------------------------------------


def table_damages(names: tuple[str, ...]) -> Kinds:
    """Damage to `log.csv` that leaves it a table."""

    def changed(change: Callable[[list[list[str]], random.Random], str]) -> Any:
        def make(rng: random.Random, good: Path) -> tuple[str, Change]:
            rows = [line.split(",") for line in (good / "log.csv").read_text().splitlines()]
            what = change(rows, rng)
            text = "\n".join(",".join(row) for row in rows) + "\n"
            return what, rewritten("log.csv", lambda _: text.encode())

        return make

    def swapped_headers(rows: list[list[str]], rng: random.Random) -> str:
        a, b = rng.sample([rows[0].index(name) for name in names], 2)
        what = f"{rows[0][a]} and {rows[0][b]}"
        rows[0][a], rows[0][b] = rows[0][b], rows[0][a]
        return what

    def without_values(rows: list[list[str]], rng: random.Random) -> str:
        column = rng.choice([EVERY, *names])
        first = rng.randrange(1, len(rows) - 1)
        last = rng.randrange(first + 1, len(rows))
        nothing = rng.choice(("", "nan", "NaN", "inf", "-1e30"))
        for row in rows[first:last]:
            for place, name in enumerate(rows[0]):
                if name == column or (column == EVERY and name in names[1:]):
                    row[place] = nothing
        return f"{column} is {nothing!r} in {last - first} rows from {first}"

    def backwards(rows: list[list[str]], rng: random.Random) -> str:
        way = rng.randrange(5)
        if way == 0:
            rows[1:] = rows[:0:-1]
        elif way == 1:
            for row, time in zip(rows[1:], [row[0] for row in rows[:0:-1]], strict=True):
                row[0] = time
        elif way == 2:
            a = rng.randrange(1, len(rows) - 20)
            rows[a : a + 20] = rows[a + 19 : a - 1 : -1] if a > 0 else rows[a : a + 20]
        elif way == 3:
            row = rng.randrange(2, len(rows))
            for later in rows[row:]:
                later[0] = f"{float(later[0]) - 2.0:.3f}"
        else:
            row = rng.randrange(2, len(rows))
            for later in rows[row:]:
                later[0] = f"{float(later[0]) + rng.choice((0.5, 3.0, 3600.0)):.3f}"
        return f"way {way}"

    def fewer_rows(rows: list[list[str]], rng: random.Random) -> str:
        kept = rng.choice((1, 2, rng.randrange(3, len(rows) - 10)))
        if rng.random() < 0.5:
            del rows[kept:]
            return f"the first {kept - 1} rows only"
        del rows[1 : len(rows) - kept]
        return f"the last {kept} rows only"

    def another_unit(rows: list[list[str]], rng: random.Random) -> str:
        name, factor = rng.choice((("kmh", 1 / 3.6), ("kmh", 1.609), ("turn_dps", np.pi / 180), ("turn_dps", -1.0)))
        if rng.random() < 0.3:
            name, factor = rng.choice((("t", 1000.0), ("t", 0.001), ("compass", np.pi / 180), ("compass", -1.0)))
        column = rows[0].index(name)
        for row in rows[1:]:
            row[column] = f"{float(row[column]) * factor:.6f}"
        return f"{name} times {factor:.4g}"

    def without_column(rows: list[list[str]], rng: random.Random) -> str:
        column = rng.randrange(len(rows[0]))
        name = rows[0][column]
        for row in rows:
            del row[column]
        return name

    def stuck(rows: list[list[str]], rng: random.Random) -> str:
        name = rng.choice(("kmh", "turn_dps", "compass", "lat", "lon"))
        column, first = rows[0].index(name), rng.randrange(1, len(rows) // 2)
        for row in rows[first:]:
            row[column] = rows[first][column]
        return f"{name} from row {first}"

    return [
        ("swapped headers", changed(swapped_headers)),
        ("swapped headers", changed(swapped_headers)),
        ("no values", changed(without_values)),
        ("clock", changed(backwards)),
        ("fewer rows", changed(fewer_rows)),
        ("unit", changed(another_unit)),
        ("no column", changed(without_column)),
        ("stuck", changed(stuck)),
    ]


def table_kind_damages(damage: ModuleType) -> Kinds:
    """The table as another kind of file, whole or damaged."""

    def make(rng: random.Random, good: Path) -> tuple[str, Change]:
        kind, way, seed = rng.choice(("npz", "parquet")), rng.choice(("misnamed", "truncated", "flipped")), rng.random()

        def do(root: Path) -> None:
            path = root / f"log.{kind}"
            table = pyarrow.csv.read_csv(root / "log.csv")
            if way == "misnamed":
                shutil.copyfile(root / "log.csv", path)
            elif kind == "npz":
                np.savez(path, **{name: np.array(table.column(name).to_pylist()) for name in table.column_names})
            else:
                pyarrow.parquet.write_table(pa.table(table), path, compression=rng.choice(("none", "snappy")))
            if way != "misnamed":
                path.write_bytes(getattr(damage, way)(path.read_bytes(), random.Random(seed)))
            (root / "log.csv").unlink()
            described = root / "monday.dojo.toml"
            described.write_text(described.read_text().replace("log.csv", path.name))

        return f"{kind} {way}", do

    return [("table kind", make)]


def description_damages() -> Kinds:
    """Damage to the description that its own text shows."""

    def cut(rng: random.Random, good: Path) -> tuple[str, Change]:
        size = len((good / "monday.dojo.toml").read_bytes())
        end = rng.randrange(0, size)
        return f"{end} bytes", rewritten("monday.dojo.toml", lambda data: data[:end])

    def without_line(rng: random.Random, good: Path) -> tuple[str, Change]:
        lines = (good / "monday.dojo.toml").read_text().splitlines()
        line = rng.choice([n for n, text in enumerate(lines) if text])
        rest = "\n".join(lines[:line] + lines[line + 1 :]) + "\n"
        return lines[line], rewritten("monday.dojo.toml", lambda _: rest.encode())

    def misspelt(rng: random.Random, good: Path) -> tuple[str, Change]:
        """A letter of a word changed: numbers are their author's to know."""
        text = (good / "monday.dojo.toml").read_text()
        name = text.index("cameras.front")  # a camera of another name is another camera
        places = [n for n, letter in enumerate(text) if letter.isalpha() or letter in '[]{}="']
        place = rng.choice([n for n in places if not name <= n < name + len("cameras.front")])
        letter = rng.choice("xq\u00ff\x00")
        return text[max(0, place - 20) : place + 10], rewritten(
            "monday.dojo.toml", lambda _: (text[:place] + letter + text[place + 1 :]).encode("latin-1")
        )

    return [("description", cut), ("description", without_line), ("description", misspelt)]


# -- each format -------------------------------------------------------------------------------------------------------


def described_kinds(damage: ModuleType, names: tuple[str, ...]) -> Kinds:
    video, table = any_file_damages(damage, "drive.mp4"), any_file_damages(damage, "log.csv")
    return [*video, *table, *table_damages(names), *table_kind_damages(damage), *description_damages()]


def pictures_kinds(damage: ModuleType, names: tuple[str, ...]) -> Kinds:
    def row_missing(rng: random.Random, good: Path) -> tuple[str, Change]:
        lines = (good / "frames.csv").read_text().splitlines()
        row = rng.randrange(1, len(lines))
        rest = "\n".join(lines[:row] + lines[row + 1 :]) + "\n"
        return f"row {row}", rewritten("frames.csv", lambda _: rest.encode())

    pictures, frames = any_file_damages(damage, "*.png"), any_file_damages(damage, "frames.csv")
    return [*pictures, *pictures, *frames, ("row missing", row_missing), *description_damages()]


def kitti_raw_kinds(damage: ModuleType, names: tuple[str, ...]) -> Kinds:
    def lines_changed(rng: random.Random, good: Path) -> tuple[str, Change]:
        path = rng.choice(("image_02/timestamps.txt", "oxts/timestamps.txt"))
        lines = next(good.rglob(path)).read_text().splitlines()
        way = rng.randrange(4)
        if way == 0:
            lines.reverse()
        elif way == 1:
            del lines[rng.randrange(len(lines))]
        elif way == 2:
            line = rng.randrange(1, len(lines))
            lines[line:] = [text.replace("13:02:4", "13:02:3") for text in lines[line:]]
        else:
            line = rng.randrange(1, len(lines))
            lines[line:] = [text.replace("13:0", "14:0") for text in lines[line:]]
        return f"{path} way {way}", rewritten(path, lambda _: ("\n".join(lines) + "\n").encode())

    def words_changed(rng: random.Random, good: Path) -> tuple[str, Change]:
        path = one_of(rng, good, "oxts/data/*.txt")
        words = next(good.rglob(path)).read_text().split()
        way, field = rng.randrange(4), rng.choice((0, 1, 2, 3, 4, 5, 8, 11, 22))
        if way == 0:
            words[field] = rng.choice(("nan", "inf", "1e99"))
        elif way == 1:
            words[field] = f"{float(words[field]) + rng.choice((-1, 1)) * 10 ** rng.uniform(-3, 2):.10f}"
        elif way == 2:
            del words[field]
        else:
            other = rng.choice([n for n in (0, 1, 2, 5, 6, 7, 8) if n != field])
            words[field], words[other] = words[other], words[field]
        return f"{path[-14:]} field {field} way {way}", rewritten(path, lambda _: (" ".join(words) + "\n").encode())

    def fields_exchanged(rng: random.Random, good: Path) -> tuple[str, Change]:
        # The altitude only for what bends the path: no altitude contradicts anything.
        pairs = [pair for pair in combinations((0, 1, 2, 3, 5, 8, 22), 2) if not {*pair} & {8, 22} or 2 not in pair]
        a, b = rng.choice(pairs)

        def do(root: Path) -> None:
            for path in root.rglob("oxts/data/*.txt"):
                words = path.read_text().split()
                words[a], words[b] = words[b], words[a]
                path.write_text(" ".join(words) + "\n")

        return f"{a} and {b}", do

    def calibrations_exchanged(rng: random.Random, good: Path) -> tuple[str, Change]:
        return "calibrations", exchanged("calib_imu_to_velo.txt", "calib_velo_to_cam.txt")

    return [
        *any_file_damages(damage, "*.png"),
        *any_file_damages(damage, "oxts/data/*.txt"),
        *any_file_damages(damage, "calib_*.txt"),
        *any_file_damages(damage, "calib_*.txt"),
        *any_file_damages(damage, "timestamps.txt"),
        ("clock", lines_changed),
        ("clock", lines_changed),
        ("numbers", words_changed),
        ("numbers", words_changed),
        ("numbers", words_changed),
        ("exchanged", fields_exchanged),
        ("exchanged", calibrations_exchanged),
    ]


def comma2k19_kinds(damage: ModuleType, names: tuple[str, ...]) -> Kinds:
    arrays = [f"global_pose/{name}" for name in ("frame_times", "frame_positions", "frame_velocities")]
    arrays += ["global_pose/frame_orientations", "global_pose/frame_gps_times"]
    logs = ("CAN/speed", "CAN/steering_angle", "IMU/gyro", "IMU/accelerometer", "GNSS/live_gnss_ublox")
    arrays += [f"processed_log/{series}/{part}" for series in logs for part in ("t", "value")]

    def array_changed(change: Callable[[np.ndarray, random.Random], tuple[str, np.ndarray]]) -> Any:
        def make(rng: random.Random, good: Path) -> tuple[str, Change]:
            path = rng.choice(arrays)
            what, array = change(np.load(next(good.rglob(path))), rng)

            def do(root: Path) -> None:
                with next(root.rglob(path)).open("wb") as opened:
                    np.save(opened, array)

            return f"{path} {what}", do

        return make

    def without_values(array: np.ndarray, rng: random.Random) -> tuple[str, np.ndarray]:
        first = rng.randrange(len(array) - 1)
        last = rng.randrange(first + 1, len(array))
        array = array.copy()
        array[first:last] = rng.choice((np.nan, np.inf, 0.0))
        return f"{array[first : first + 1].ravel()[0]} in rows {first} to {last}", array

    def one_bit(array: np.ndarray, rng: random.Random) -> tuple[str, np.ndarray]:
        """A bit of one number that matters: sign, exponent or the first of the mantissa."""
        flat = array.astype(np.float64).ravel().copy()
        place, bit = rng.randrange(len(flat)), rng.randrange(40, 64)
        flat.view(np.uint64)[place] ^= np.uint64(1 << bit)
        return f"number {place} bit {bit}", flat.reshape(array.shape)

    def two_exchanged(rng: random.Random, good: Path) -> tuple[str, Change]:
        a, b = rng.sample(arrays, 2)
        return f"{a} and {b}", exchanged(a, b)

    return [
        *any_file_damages(damage, "video.hevc"),
        *any_file_damages(damage, "global_pose/*"),
        *any_file_damages(damage, "processed_log/*/*/*"),
        ("no values", array_changed(without_values)),
        ("clock", array_changed(lambda array, rng: ("reversed", array[::-1].copy()))),
        ("fewer rows", array_changed(lambda array, rng: ("fewer", array[: rng.randrange(len(array))]))),
        ("numbers", array_changed(one_bit)),
        ("numbers", array_changed(one_bit)),
        ("numbers", array_changed(one_bit)),
        ("exchanged", two_exchanged),
        ("exchanged", two_exchanged),
    ]


KINDS = {
    "described": described_kinds,
    "pictures": pictures_kinds,
    "kitti_raw": kitti_raw_kinds,
    "comma2k19": comma2k19_kinds,
}


@pytest.fixture(scope="session")
def good_copies(
    curvy_drive: ModuleType, teslacam_files: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A whole recording of each format."""
    root = tmp_path_factory.mktemp("good_copies")
    curvy_drive.write_described(root / "described", teslacam_files.picture)
    curvy_drive.write_described_pictures(root / "pictures", teslacam_files.picture)
    curvy_drive.write_kitti_raw(root / "kitti_raw", teslacam_files.picture)
    curvy_drive.write_comma2k19(root / "comma2k19", teslacam_files.picture)
    return {name: root / name for name in FORMATS}


def damages(kinds: Kinds, good: Path, count: int, make: Callable[..., Any]) -> Iterator[Any]:
    """So many, each kind in turn in an order that the seed shuffles."""
    rng = random.Random(20261122)
    while True:
        for kind, prepare in rng.sample(kinds, len(kinds)):
            if count == 0:
                return
            count -= 1
            what, do = prepare(rng, good)
            yield make(kind, what, do)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_copies_are_refused_with_a_reason_or_come_out_right(
    name: str,
    good_copies: dict[str, Path],
    curvy_drive: ModuleType,
    damage: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    av.logging.set_level(None)
    for constant, value in (
        ("SIZE_PX", (curvy_drive.WIDTH, curvy_drive.HEIGHT)),
        ("FOCAL_PX", 80.0),
        ("CENTRE_PX", (47.5, 31.5)),
    ):
        monkeypatch.setattr(f"dojo.fleet.readers.comma2k19.{constant}", value)
    good = good_copies[name]
    (reference,), none = damage.everything(good)
    assert none == []
    faults, unseen, gates, quiet = [], 0, Counter[str](), Counter[str]()
    kinds = KINDS[name](damage, curvy_drive.NUMBERS)
    count = request.config.getoption("--variants")
    for number, one in enumerate(damages(kinds, good, count, damage.Damage)):
        copy = tmp_path / "copy"
        shutil.copytree(good, copy, copy_function=shutil.copyfile)
        one.do(copy)
        verdict = damage.judged(copy, reference)
        shutil.rmtree(copy)
        wrong = list(verdict.wrong)
        if one.kind == "flipped" and one.what.endswith("video.hevc"):
            wrong = [text for text in wrong if not text.startswith("the picture")]
            unseen += len(wrong) < len(verdict.wrong)
        for text in (*wrong, *verdict.lost, *verdict.nameless):
            faults.append(f"{number} {one.kind} ({one.what}): {text} {set(verdict.gates) or ''}")
        gates.update(set(verdict.gates))
        quiet[one.kind] += not verdict.gates
    print(f"{name}: {count} variants; gates {dict(gates)}; nothing to refuse: {dict(+quiet)}; unseen in HEVC: {unseen}")
    assert faults == []
    assert sum(gates.values()) > count // 2
