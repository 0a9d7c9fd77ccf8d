"""Recordings that a description brings in: a synthetic one, a real car's, and descriptions that are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dojo.errors import RecordingError
from dojo.fleet.gates import check
from dojo.fleet.readers.video_table import VideoTableReader
from dojo.geometry.rigid import yaw_of

READER = VideoTableReader()
FRAMES, STEP_S = 90, 0.04
DESCRIPTION = """
vehicle_id = "car-07"
wheelbase_m = 2.7
steering_ratio = 15.0
traffic = "left"

[tables.car]
file = "log.csv"
time = "time_ms"
time_unit = "ms"
offset_s = -0.5

[signals]
speed_mps = { table = "car", column = "kmh", unit = "km/h" }
yaw_rate_radps = { table = "car", column = "turn_dps", unit = "deg/s", positive = "right" }
gear = { table = "car", column = "gear", codes = { D = "drive", R = "reverse" } }
blinker_left = { table = "car", column = "left", unit = "bool", valid = "known" }

[cameras.front]
video = "drive.mp4"
times = "pts"
width = 320
height = 240
focal_px = 300.0
position_m = [1.5, 0.0, 1.3]
pitch_deg = 2.0
"""


def write_video(path: Path, frames: int = FRAMES) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "15", "bf": "0"}
        for number in range(frames):
            picture = av.VideoFrame(320, 240, "yuv420p")
            for plane, level in zip(picture.planes, (40 + number, 128, 128), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def columns() -> dict[str, list[object]]:
    """A log at 20 Hz: 36 km/h, turning right at 5 degrees a second."""
    rows = range(80)
    return {
        "time_ms": [500 + 50 * n for n in rows],
        "kmh": [36.0 for _ in rows],
        "turn_dps": [5.0 for _ in rows],
        "gear": ["D" for _ in rows],
        "left": [int(n % 20 < 10) for n in rows],
        "known": [int(n < 40) for n in rows],
    }


def write_csv(path: Path, table: dict[str, list[object]]) -> None:
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    write_video(tmp_path / "drive.mp4")
    write_csv(tmp_path / "log.csv", columns())
    (tmp_path / "monday.dojo.toml").write_text(DESCRIPTION)
    return tmp_path


def read_the_one(folder: Path):  # type: ignore[no-untyped-def]
    (found,) = READER.find(folder, ())
    (drive,) = READER.read(found).drives
    return found, drive


def test_units_signs_clocks_and_codes_become_those_of_dojo(fleet: Path) -> None:
    found, drive = read_the_one(fleet)
    heard = drive.telemetry
    assert [file.path.name for file in found.files] == ["monday.dojo.toml", "drive.mp4", "log.csv"]
    assert heard.speed_mps.values == pytest.approx(10.0)
    assert heard.speed_mps.timestamps_ns[:2].tolist() == [0, 50_000_000]
    assert heard.yaw_rate_radps.values == pytest.approx(-math.radians(5.0))
    assert set(heard.gear.values) == {1.0}
    assert heard.blinker_left.valid.tolist() == [True] * 40 + [False] * 40
    assert (drive.vehicle_id, drive.route, drive.tags) == ("car-07", "monday", ("traffic_left",))
    assert drive.cameras[0].camera.centre_px == (159.5, 119.5)
    assert yaw_of(drive.ego.rotation)[-1] == pytest.approx(-math.radians(5.0) * 3.95, abs=0.02)


def test_frames_come_in_order_with_the_times_of_the_video(fleet: Path) -> None:
    found, drive = read_the_one(fleet)
    drive = check(drive)
    frames = list(READER.frames(found, drive, "front"))
    assert [frame.timestamp_ns for frame in frames] == [round(n * STEP_S * 1e9) for n in range(FRAMES)]
    assert int(frames[50].y.mean()) == pytest.approx(90, abs=2)


def test_the_same_footage_is_the_same_drive_however_it_is_described(fleet: Path) -> None:
    found, drive = read_the_one(fleet)
    assert not list(READER.find(fleet, {file.sha256 for file in found.files}))
    (fleet / "monday.dojo.toml").write_text(DESCRIPTION.replace("300.0", "310.0"))
    (again,) = READER.find(fleet, {file.sha256 for file in found.files})
    assert READER.read(again).drives[0].drive_id == drive.drive_id


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_tables_of_every_kind_say_the_same(fleet: Path, kind: str) -> None:
    _, expected = read_the_one(fleet)
    table = columns()
    if kind == "npz":
        np.savez(fleet / "log.npz", **{name: np.array(values) for name, values in table.items()})
    else:
        pyarrow.parquet.write_table(pa.table(table), fleet / "log.parquet")
    (fleet / "monday.dojo.toml").write_text(DESCRIPTION.replace("log.csv", f"log.{kind}"))
    _, drive = read_the_one(fleet)
    for name in expected.telemetry.present():
        one, other = getattr(expected.telemetry, name), getattr(drive.telemetry, name)
        assert (one.timestamps_ns == other.timestamps_ns).all()
        assert (one.values[one.valid] == other.values[other.valid]).all()


def test_rows_of_one_kind_and_dates_in_words_can_be_picked(fleet: Path) -> None:
    table = columns()
    table["time_ms"] = [f"2026-03-01 12:00:{n // 20:02d}.{n % 20 * 50:03d}" for n in range(80)]
    doubled = {name: [value for value in values for _ in range(2)] for name, values in table.items()}
    doubled["camera"] = ["centre", "left"] * 80
    write_csv(fleet / "log.csv", doubled)
    text = DESCRIPTION.replace(
        'time_unit = "ms"', 'time_unit = "iso8601"\nwhere = { column = "camera", equals = "left" }'
    )
    (fleet / "monday.dojo.toml").write_text(text.replace('times = "pts"', 'times = "pts"\noffset_s = 1772366400.0'))
    _, drive = read_the_one(fleet)
    assert len(drive.telemetry.speed_mps.values) == 80
    assert drive.telemetry.speed_mps.timestamps_ns[0] == 1_772_366_400_000_000_000 - 500_000_000
    assert check(drive).cameras


@pytest.fixture
def picture_fleet(fleet: Path) -> Path:
    """Sixty pictures, each two grey levels brighter than the one before, with a row for each in a table."""
    (fleet / "drive.mp4").unlink()
    (fleet / "images").mkdir()
    for number in range(60):
        picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 2 * number + 20, np.uint8), format="rgb24")
        picture.save(str(fleet / "images" / f"{number:04d}.png"))
    write_csv(
        fleet / "frames.csv",
        {"t": [0.05 * n for n in range(60)], "file": [f"C:\\log\\{n:04d}.png" for n in range(60)]},
    )
    described = DESCRIPTION.replace('video = "drive.mp4"', 'pictures = "images/*.png"').replace('"pts"', '"pictures"')
    described += '\n[tables.pictures]\nfile = "frames.csv"\ntime = "t"\ntime_unit = "s"\n'
    (fleet / "monday.dojo.toml").write_text(described)
    return fleet


def test_pictures_take_their_times_from_a_table_and_a_broken_one_is_told(picture_fleet: Path) -> None:
    broken = picture_fleet / "images" / "0007.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    found, drive = read_the_one(picture_fleet)
    assert np.flatnonzero(~drive.cameras[0].valid).tolist() == [7]
    assert "0007.png" in drive.rejections[0].reason
    frames = list(READER.frames(found, drive, "front"))
    assert [frame.timestamp_ns for frame in frames][6:8] == [300_000_000, 400_000_000]
    assert frames[10].y.mean() > frames[9].y.mean()


def test_a_missing_picture_is_refused_because_the_others_would_get_its_time(picture_fleet: Path) -> None:
    (picture_fleet / "images" / "0030.png").unlink()
    (found,) = READER.find(picture_fleet, ())
    with pytest.raises(RecordingError, match="expected a picture for each of 60 rows of 'pictures', got 59") as raised:
        READER.read(found)
    assert raised.value.gate == "missing_frame"


def test_where_the_table_names_the_pictures_a_missing_one_costs_itself_alone(picture_fleet: Path) -> None:
    whole = read_the_one(picture_fleet)[1].cameras[0].timestamps_ns
    described = (picture_fleet / "monday.dojo.toml").read_text().replace("width =", 'names = "file"\nwidth =')
    (picture_fleet / "monday.dojo.toml").write_text(described)
    assert (read_the_one(picture_fleet)[1].cameras[0].timestamps_ns == whole).all()
    (picture_fleet / "images" / "0030.png").rename(picture_fleet / "images" / "a stranger.png")
    found, drive = read_the_one(picture_fleet)
    (told,) = drive.rejections
    assert (told.gate, dict(told.figures)) == ("missing_frame", {"pictures": 1.0, "names": 1.0})
    assert drive.cameras[0].timestamps_ns.tolist() == np.delete(whole, 30).tolist()
    frames = list(READER.frames(found, drive, "front"))
    assert frames[30].timestamp_ns == whole[31]
    assert frames[30].y.mean() > frames[29].y.mean() + 2


def test_every_fault_of_a_description_is_listed_at_once(fleet: Path) -> None:
    wrong = (
        DESCRIPTION.replace('"km/h"', '"furlongs/fortnight"')
        .replace('positive = "right"', 'positive = "up"')
        .replace('time_unit = "ms"', 'time_unit = "minutes"')
        .replace("wheelbase_m = 2.7", "wheelbase_m = -2.7")
        .replace("focal_px = 300.0", "focal_px = -300.0")
        .replace('"drive.mp4"', '"missing.mp4"')
        .replace("[signals]", '[signals]\nwarp_factor = { table = "car", column = "w", unit = "c" }')
        .replace('D = "drive"', 'D = "forward"')
        .replace('traffic = "left"', 'traffic = "left"\ncolour = "red"')
    )
    (fleet / "monday.dojo.toml").write_text(wrong)
    (found, orphan) = READER.find(fleet, ())
    with pytest.raises(RecordingError) as raised:
        READER.read(found)
    assert raised.value.gate == "description"
    assert raised.value.figures["faults"] == 9
    for part in (
        "signals.speed_mps: unit must be one of m/s, km/h, mph, kn; got 'furlongs/fortnight'",
        "signals.yaw_rate_radps: positive must be one of left, right; got 'up'",
        "tables.car: time_unit must be one of s, ms, us, ns, iso8601; got 'minutes'",
        "wheelbase_m must be positive, got -2.7",
        "cameras.front: camera: expected positive size and focal length",
        "missing.mp4 does not exist",
        "signals.warp_factor: there is no such signal; known are speed_mps",
        "signals.gear: codes must say which value of the column means which of park, drive, reverse, neutral",
        "unknown key 'colour'; known are cameras, folder",
    ):
        assert part in raised.value.message
    assert orphan.label == "drive.mp4"


def test_every_column_that_does_not_hold_what_was_declared_is_listed_at_once(fleet: Path) -> None:
    wrong = (
        DESCRIPTION.replace('"kmh"', '"speed"')
        .replace('"turn_dps"', '"gear"')
        .replace('valid = "known"', 'valid = "sure"')
    )
    (fleet / "monday.dojo.toml").write_text(wrong)
    (found,) = READER.find(fleet, ())
    with pytest.raises(RecordingError) as raised:
        READER.read(found)
    assert raised.value.gate == "columns"
    for part in (
        "signals.speed_mps: no column 'speed'; there are gear, kmh, known, left, time_ms, turn_dps",
        "signals.yaw_rate_radps: expected numbers, got <U1, for example",
        "signals.blinker_left: no column 'sure'",
    ):
        assert part in raised.value.message


def test_a_clock_that_runs_backwards_is_refused(fleet: Path) -> None:
    table = columns()
    table["time_ms"][40] = 100
    write_csv(fleet / "log.csv", table)
    (found,) = READER.find(fleet, ())
    with pytest.raises(RecordingError, match=r"log\.csv, column time_ms: .* 1 do, by up to 2\.35 s"):
        READER.read(found)


def test_a_video_without_speed_is_refused_as_without_telemetry(fleet: Path) -> None:
    (fleet / "monday.dojo.toml").write_text(DESCRIPTION.replace("speed_mps = {", "altitude_m = {").replace("km/h", "m"))
    (found,) = READER.find(fleet, ())
    with pytest.raises(RecordingError, match="expected at least the signal speed_mps, got altitude_m") as raised:
        READER.read(found)
    assert raised.value.gate == "no_telemetry"


def test_a_wrong_table_or_toml_or_size_is_refused_with_its_reason(fleet: Path) -> None:
    described = fleet / "monday.dojo.toml"
    for text, message in (
        ("vehicle_id = ", "expected TOML"),
        (DESCRIPTION.replace("width = 320", "width = 640"), "expected 640 x 240 pictures for the intrinsics at hand"),
        (DESCRIPTION.replace('"kmh"', '"kmh[2]"'), r"column 'kmh' has shape \(80,\), no component 2"),
    ):
        described.write_text(text)
        found = next(iter(READER.find(fleet, ())))
        with pytest.raises(RecordingError, match=message):
            READER.read(found)
    described.write_text(DESCRIPTION.replace("log.csv", "log.parquet"))
    (fleet / "log.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(RecordingError, match="expected a parquet table"):
        READER.read(next(iter(READER.find(fleet, ()))))


def test_the_real_clip_without_telemetry_is_reported_not_passed_over(real_recording: Callable[[str], Path]) -> None:
    (found,) = READER.find(real_recording("udacity_lane_clip"), ())
    with pytest.raises(RecordingError, match=r"write solidWhiteRight\.dojo\.toml beside it") as raised:
        READER.read(found)
    assert raised.value.gate == "no_telemetry"


@pytest.fixture
def demo_route(real_recording: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder whose description points at the real recording."""
    (telemetry,) = real_recording("openpilot_demo_route").rglob("telemetry.npz")
    text = Path(__file__).with_name("openpilot_demo_route.toml").read_text()
    (tmp_path / "route.dojo.toml").write_text(text.replace('folder = "."', f'folder = "{telemetry.parent}"'))
    return tmp_path


def test_the_real_route_comes_in_by_its_description_alone(demo_route: Path) -> None:
    found, drive = read_the_one(demo_route)
    drive = check(drive)
    assert drive.cameras[0].valid.sum() == 840
    # The first 43 frames are older than the first word from the car: they have pictures but no poses.
    assert (drive.cameras[0].timestamps_ns < drive.ego.timestamps_ns[0]).sum() == 43
    frames = READER.frames(found, drive, "front")
    first = next(frames)
    assert first.y.shape == (330, 526)
    assert first.timestamp_ns == pytest.approx(38.1784e9 - 7e6, abs=1e4)


def test_the_real_route_turns_as_its_own_localizer_says(
    demo_route: Path, real_recording: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, drive = read_the_one(demo_route)
    (path,) = real_recording("openpilot_demo_route").rglob("telemetry.npz")
    recorded = np.load(path)
    at_s, down = recorded["localizer/t"], recorded["localizer/angular_velocity_device"][:, 2]
    told = (at_s > 42) & (at_s < 79.5)  # before, the localizer says zero
    at_s, rate = at_s[told], -down[told]
    ego_s = drive.ego.timestamps_ns / 1e9
    ours = np.interp(at_s, ego_s, drive.ego.yaw_rate_radps)
    yaw = np.interp(at_s, ego_s, np.unwrap(yaw_of(drive.ego.rotation)))
    theirs = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(at_s))])
    over_10_s = (yaw[40:] - yaw[:-40]) - (theirs[40:] - theirs[:-40])
    with capsys.disabled():
        print(
            f"\n  openpilot route: yaw rate differs from the localizer's by {(ours - rate).std():.4f} rad/s, "
            f"heading over 10 s by {np.degrees(np.sqrt((over_10_s**2).mean())):.2f} deg"
        )
    assert np.corrcoef(ours, rate)[0, 1] > 0.98
    assert abs((ours - rate).mean()) < 0.0005
    assert np.degrees(np.sqrt((over_10_s**2).mean())) < 0.15
    steering, known = drive.telemetry.steering_wheel_angle_rad.at((at_s * 1e9).astype(np.int64))
    assert np.corrcoef(steering[known], ours[known])[0, 1] > 0.8  # both positive to the left
