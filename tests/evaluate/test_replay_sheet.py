"""What reprojection makes of recordings: the same picture on the line, and the line where it belongs beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dojo.evaluate.draw import LINE_RGB
from dojo.evaluate.replay import RecordedLine
from dojo.evaluate.replay_sheet import fidelity, moments, sheet
from dojo.evaluate.suites.replay import OFFSETS_M, replay, variant_of
from dojo.fleet.gates import Limits, check
from dojo.geometry import MODEL_VIEW, Resampler
from dojo.geometry.rigid import Rigid
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Telemetry


class Shown:
    """Frames at hand."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        return [self._frames[int(index)] for index in indices]


def smooth(number: int) -> Frame:
    coarse = np.random.default_rng(number).integers(60, 120, (12, 24), dtype=np.uint8)
    y = cv2.resize(coarse, (512, 256), interpolation=cv2.INTER_CUBIC)
    grey = np.full((128, 256), 128, np.uint8)
    return Frame(number, y, grey, grey)


def drive(curvature_per_m: float = 0.0, count: int = 61) -> Drive:
    """Ten metres a second, ten frames a second."""
    along = np.arange(count, dtype=np.float64)
    yaw = curvature_per_m * along
    steps = np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], -1)
    times_ns = np.arange(count, dtype=np.int64) * 100_000_000
    ego = EgoMotion(
        times_ns,
        np.stack([Rigid.from_euler(0.0, 0.0, float(angle)).rotation for angle in yaw]),
        np.cumsum(steps, 0),
        np.full(count, 10.0),
        np.full(count, 10.0 * curvature_per_m),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    stream = CameraStream("front", MODEL_VIEW, times_ns, np.ones(count, np.bool_))
    return Drive("d", "v", "r", (stream,), Telemetry(), ego, Provenance("test", ()))


SMOOTH = Shown([smooth(number) for number in range(61)])


def test_on_the_line_the_picture_is_the_recorded_one() -> None:
    found = fidelity(RecordedLine(drive()), SMOOTH)
    assert (found.mean, found.most, found.shown, found.pictures) == (0.0, 0, 1.0, 5)


def test_moments_are_spread_over_the_line_without_its_ends() -> None:
    line = RecordedLine(drive())
    assert moments(line, 3).tolist() == [15, 30, 45]
    short = RecordedLine(drive(count=3))
    assert moments(short, 5).tolist() == [0, 1, 2], "of a short one each moment once"


@pytest.mark.parametrize("curvature", [0.0, 0.01])
def test_the_recorded_line_is_drawn_to_the_right_of_a_vehicle_on_its_left(curvature: float) -> None:
    shown = sheet(RecordedLine(drive(curvature)), SMOOTH, (0.0, 1.0, -1.0), count=1, scale=1.0)
    assert shown.shape == (256, 3 * 512 + 2 * 4, 3)
    cells = [shown[:, first : first + 512] for first in (0, 516, 1032)]
    near = slice(200, 256)
    columns = [
        np.nonzero(np.abs(cell[near].astype(int) - np.array(LINE_RGB)).sum(-1) < 150)[1].mean() for cell in cells
    ]
    left_of_it, on_it, right_of_it = columns
    assert left_of_it > on_it + 60
    assert right_of_it < on_it - 60
    # A metre at 6 m ahead of a camera 1.4 m high is as many pixels to either side.
    assert left_of_it - on_it == pytest.approx(on_it - right_of_it, abs=12)


def test_every_stretch_is_begun_from_every_offset_under_a_name_of_its_own() -> None:
    found = replay([("a", 0.0), ("b", 4.0)], 8.0)
    assert [scenario.start_offset_m for scenario in found] == [*OFFSETS_M, *OFFSETS_M]
    assert len({scenario.scenario_id for scenario in found}) == 10
    assert {scenario.variant for scenario in found} == {"", "left_0.5", "right_0.5", "left_1", "right_1"}
    assert (found[5].place["drive"], found[5].place["start_s"]) == ("b", 4.0)
    assert found[0].plant == found[1].plant, "offsets are compared on one vehicle"
    assert variant_of(-1.25) == "right_1.25"


def test_a_real_city_street_is_the_same_on_its_line(real_recording: Callable[[str], Path]) -> None:
    from dojo.fleet.readers.kitti_raw import KittiRawReader

    reader = KittiRawReader()
    (found,) = reader.find(real_recording("kitti_raw_drive_0002"), ())
    recorded = check(reader.read(found).drives[0], Limits(min_duration_s=0.5))
    stream = next(stream for stream in recorded.cameras if stream.name == "front")
    view = stream.camera.level_view(MODEL_VIEW)
    resampler = Resampler(stream.camera, view)
    frames = [
        Frame(frame.timestamp_ns, *resampler.apply(frame.y, frame.u, frame.v))
        for frame in itertools.islice(reader.frames(found, recorded, "front"), 10)
    ]
    kept = replace(stream, camera=view, recorded_camera=stream.camera)
    line = RecordedLine(replace(recorded, cameras=(kept,)))
    same = fidelity(line, Shown(frames), 3)
    assert same.most <= 8, "a 32nd of a pixel, which fixed-point maps are exact to, at a hard edge"
    assert same.mean < 0.1
    pictures = sheet(line, Shown(frames), OFFSETS_M, count=1, scale=1.0)
    left, middle = pictures[:, :512].astype(int), pictures[:, 2 * 516 : 2 * 516 + 512].astype(int)
    assert np.abs(left[120:170, 200:320] - middle[120:170, 200:320]).mean() > 4, "the road moves"
    assert np.abs(left[30:80, 200:320] - middle[30:80, 200:320]).mean() < 4, "what is far does not"
