"""A stored drive can be driven beside: the right frame, seen from where the ego is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.replay import Place, RecordedLine, Replay, ReplayCamera, ReplayState
from dojo.evaluate.simulator import Simulator
from dojo.geometry import MODEL_VIEW
from dojo.geometry.reproject import Reprojector, displaced, never_seen, on_both_sides, unseen
from dojo.geometry.rigid import Rigid
from dojo.records import (
    CENTRE_AHEAD_M,
    CameraStream,
    Disturbance,
    Drive,
    EgoMotion,
    EgoState,
    Frame,
    Provenance,
    Scenario,
    Telemetry,
)

HALF_S = 500_000_000


def rotations(yaws: np.ndarray) -> np.ndarray:
    return np.stack([Rigid.from_euler(0.0, 0.0, float(yaw)).rotation for yaw in yaws])


def drive_along(times_s: np.ndarray, along_m: np.ndarray, curvature_per_m: float = 0.0, origin_s: float = 7.0) -> Drive:
    """A drive on a circle, poses at the times given, a frame at every second one and between."""
    yaw = curvature_per_m * along_m
    chord = along_m * np.sinc(yaw / (2 * np.pi))
    positions = np.stack([100 + chord * np.cos(yaw / 2), 50 + chord * np.sin(yaw / 2), np.zeros_like(yaw)], -1)
    times_ns = np.round((times_s + origin_s) * 1e9).astype(np.int64)
    count = len(times_ns)
    ego = EgoMotion(
        times_ns,
        rotations(yaw),
        positions,
        np.gradient(along_m, times_s),
        np.gradient(yaw, times_s),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    frames_ns = times_ns[:-1:2] + 10_000_000
    stream = CameraStream("front", MODEL_VIEW, frames_ns, np.ones(len(frames_ns), np.bool_))
    return Drive("d", "v", "r", (stream,), Telemetry(), ego, Provenance("test", ()))


def steady(speed_mps: float = 10.0, curvature_per_m: float = 0.0) -> Drive:
    times_s = np.arange(0, 12, 0.025)
    return drive_along(times_s, speed_mps * times_s, curvature_per_m)


class Textures:
    """Smooth frames, each its own."""

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        columns, rows = np.meshgrid(np.arange(512), np.arange(256))
        made = []
        for index in indices:
            y = (120 + 60 * np.sin(columns / 17 + index) * np.cos(rows / 23)).astype(np.uint8)
            made.append(Frame(int(index), y, y[::2, ::2].copy(), y[1::2, 1::2].copy()))
        return made


def ego_beside(
    line: RecordedLine, number: int, forward_m: float = 0.0, left_m: float = 0.0, yaw_rad: float = 0.0, mps: float = 9.0
) -> EgoState:
    """An ego relative to the recorded vehicle at one of its frames."""
    east, north, yaw = line.poses[number]
    cosine, sine = math.cos(yaw), math.sin(yaw)
    x, y = east + cosine * forward_m - sine * left_m, north + sine * forward_m + cosine * left_m
    return EgoState(0.0, float(x), float(y), float(yaw) + yaw_rad, mps)


def placed(line: RecordedLine, ego: EgoState, since: int) -> Place:
    time_ns = int(line.timestamps_ns[since])
    return line.place(ego, time_ns, time_ns)


@settings(max_examples=20, deadline=None)
@given(
    number=st.integers(20, 200),
    lateral=st.floats(-3.5, 3.5),
    yaw=st.floats(-0.3, 0.3),
    curvature=st.floats(-0.02, 0.02),
)
def test_beside_a_frame_the_place_is_that_frame_and_the_offset(number, lateral, yaw, curvature) -> None:
    line = RecordedLine(steady(curvature_per_m=curvature))
    place = placed(line, ego_beside(line, number, 0.0, lateral, yaw), number - 15)
    assert place.number == number
    assert (place.lateral_m, place.yaw_rad) == (pytest.approx(lateral, abs=1e-9), pytest.approx(yaw, abs=1e-9))
    assert abs(place.forward_m) < 1e-9
    assert place.along_m == pytest.approx(line.along_m[number])
    assert place.within


@settings(max_examples=20, deadline=None)
@given(ahead=st.floats(-0.19, 0.19), speed=st.floats(5.0, 30.0))
def test_between_frames_the_nearest_is_taken_and_the_rest_is_driven_by_the_warp(ahead, speed) -> None:
    line = RecordedLine(steady(speed))
    place = placed(line, ego_beside(line, 100, ahead * speed * 0.1, 0.5), 99)
    assert place.number == 100
    assert place.forward_m == pytest.approx(ahead * speed * 0.1, abs=1e-6)


def test_a_slower_ego_sees_the_road_where_it_is_not_where_the_recording_was_by_then() -> None:
    line = RecordedLine(steady())
    at = int(line.timestamps_ns[80])
    assert line.place(ego_beside(line, 80, mps=2.0), at, at + 2 * HALF_S).number == 80


def stopping(stand_s: float) -> Drive:
    """Ten metres a second for 4 s, then a stop, then on."""
    times_s = np.arange(0, 8 + stand_s, 0.025)
    return drive_along(times_s, 10 * (np.minimum(times_s, 4.0) + np.maximum(times_s - 4 - stand_s, 0.0)))


def test_where_the_recording_stood_still_time_goes_on() -> None:
    line = RecordedLine(stopping(4.0))
    standing = ego_beside(line, 100, mps=0.0)
    now = [int(line.timestamps_ns[90 + step]) for step in range(60)]
    shown = [line.place(standing, time_ns, time_ns).number for time_ns in now]
    assert shown == list(range(90, 150))


def test_an_ego_that_waits_a_little_earlier_sees_the_wait_and_its_end() -> None:
    line = RecordedLine(stopping(9.0))
    waiting = ego_beside(line, 78, -1.0, mps=0.0)  # two metres before the stop
    time_ns = int(line.timestamps_ns[76])
    shown = []
    for _ in range(400):
        place = line.place(waiting, time_ns, time_ns + HALF_S // 10)
        time_ns = place.time_ns
        shown.append(place.number)
        assert place.within
    assert np.diff(shown).min() >= 0, "the clock never goes back"
    assert line.along_m[shown[-1]] == pytest.approx(line.along_m[100] + 1.0, abs=0.6), "until the others have left"
    moving = replace(waiting, speed_mps=1.0)
    assert line.place(moving, time_ns, time_ns + HALF_S // 10).number >= shown[-1]


def test_a_road_that_comes_back_to_the_same_place_is_not_mistaken_for_its_other_branch() -> None:
    times_s = np.arange(0, 70, 0.05)
    line = RecordedLine(drive_along(times_s, 10 * times_s, curvature_per_m=2 * math.pi / 300))
    early, late = 100, 100 + 300
    assert math.dist(line.poses[early, :2], line.poses[late, :2]) < 1.0, "one lap later"
    for number in (early, late):
        assert placed(line, ego_beside(line, number), number - 3).number == number


def test_the_recording_bears_four_metres_and_no_more() -> None:
    def within(forward_m: float, lateral_m: float, yaw_rad: float) -> bool:
        return Place(0, 0, 0.0, forward_m, lateral_m, yaw_rad).within

    assert within(0.0, 4.0, 0.0)
    assert not within(0.0, -4.01, 0.0)
    assert not within(5.0, 0.0, 0.0)
    assert not within(0.0, 0.0, 0.4)


def test_on_the_line_the_camera_shows_the_recorded_frame() -> None:
    line = RecordedLine(steady(curvature_per_m=0.01))
    camera = ReplayCamera(line, Textures())
    shown, recorded = camera.picture(placed(line, ego_beside(line, 60), 59)), camera.recorded(60)
    assert shown.timestamp_ns == recorded.timestamp_ns == 60
    # The pose comes back to within rounding, so the map does: 1/32 px of it changes a smooth picture by at most one.
    for one, other in ((shown.y, recorded.y), (shown.u, recorded.u), (shown.v, recorded.v)):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_beside_the_line_it_shows_the_warped_frame() -> None:
    line = RecordedLine(steady())
    camera = ReplayCamera(line, Textures())
    shown = camera.picture(Place(60, 0, 0.0, 0.2, 1.0, 0.02))
    frame = camera.recorded(60)
    expected = Reprojector(MODEL_VIEW, displaced(MODEL_VIEW, 1.0, 0.02, 0.2)).apply(frame.y, frame.u, frame.v)
    np.testing.assert_array_equal(shown.y[8:248, 220:290], expected[0][8:248, 220:290])
    assert not np.array_equal(shown.y, frame.y)
    np.testing.assert_array_equal(shown.y == 16, (shown.y == 16)[:, ::-1], "edges do not tell the side")
    assert (expected[0] == 16).sum() < (shown.y == 16).sum()


def test_a_line_ends_where_poses_or_frames_are_missing() -> None:
    drive = steady()
    valid = drive.ego.valid.copy()
    valid[200:260] = False
    late = replace(drive, ego=replace(drive.ego, valid=valid))
    assert RecordedLine(late).frames.tolist() == list(range(100))
    assert RecordedLine(late, start_s=2.0).frames[0] == 40
    assert RecordedLine(late, start_s=5.5).frames[0] == 130
    stream = drive.cameras[0]
    seen = stream.valid & ~((np.arange(240) > 50) & (np.arange(240) < 70))
    assert RecordedLine(replace(drive, cameras=(replace(stream, valid=seen),))).frames.tolist() == list(range(51))


def test_a_drive_without_the_camera_or_without_poses_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"drive d: expected a camera 'rear', got \['front'\]"):
        RecordedLine(steady(), "rear")
    drive = steady()
    blind = replace(drive, ego=replace(drive.ego, valid=np.zeros_like(drive.ego.valid)))
    with pytest.raises(EvaluationError, match=r"drive d: expected frames with poses from 0\.0 s on, got 0 in a row"):
        RecordedLine(blind)
    with pytest.raises(EvaluationError, match=r"from 99\.0 s on, got 0 in a row"):
        RecordedLine(drive, start_s=99.0)


def scenario(**more: object) -> Scenario:
    return Scenario("one", "replay", {"drive": "d"} | more.pop("place", {}), 0, 20.0, **more)


def moved(ego: EgoState, dt_s: float, yaw_rate: float = 0.0) -> EgoState:
    return replace(
        ego,
        time_s=ego.time_s + dt_s,
        x_m=ego.x_m + ego.speed_mps * dt_s * math.cos(ego.yaw_rad),
        y_m=ego.y_m + ego.speed_mps * dt_s * math.sin(ego.yaw_rad),
        yaw_rad=ego.yaw_rad + yaw_rate * dt_s,
    )


def test_a_rollout_along_the_line_stays_on_it_and_ends_with_the_road() -> None:
    simulator: Simulator[ReplayState] = Replay([steady(curvature_per_m=0.01)], Textures())
    state, start = simulator.begin(scenario())
    ego = start.ego
    assert ego.speed_mps == pytest.approx(10.0, rel=1e-3)
    assert start.traffic_right
    shown = []
    for _ in range(2000):
        truth = simulator.truth(state, ego)
        assert truth.shown
        assert abs(truth.offset_m) < 0.3, "what the steps of the test itself drift"
        assert abs(truth.heading_error_rad) < 0.02
        assert truth.curvature_per_m == pytest.approx(0.01, abs=1e-3)
        assert truth.reference_mps == pytest.approx(10.0, rel=1e-3)
        if truth.road_over:
            break
        shown.append(simulator.observe(state, ego).frame.timestamp_ns if len(shown) % 40 == 0 else 0)
        ego = moved(ego, 0.02, yaw_rate=0.1)
        state = simulator.step(state, ego, 0.02)
    assert truth.road_over
    assert truth.progress_m == pytest.approx(119.5, abs=0.5)
    assert shown[40] == round(0.8e9)
    simulator.end(state)


def test_an_ego_that_leaves_the_line_is_no_longer_shown() -> None:
    simulator = Replay([steady()], Textures())
    state, start = simulator.begin(scenario(start_offset_m=1.0, start_yaw_rad=0.1))
    ego = start.ego
    assert simulator.truth(state, ego).offset_m == pytest.approx(1.0)
    assert simulator.truth(state, ego).heading_error_rad == pytest.approx(0.1)
    offsets = []
    while (truth := simulator.truth(state, ego)).shown:
        offsets.append(truth.offset_m)
        ego = moved(ego, 0.05)
        state = simulator.step(state, ego, 0.05)
    assert 3.9 < offsets[-1] <= 4.0
    # (4 - 1) m at 10 m/s and 0.1 rad.
    assert ego.time_s == pytest.approx(3.0, abs=0.1)


def test_the_line_ahead_is_seen_from_the_ego() -> None:
    simulator = Replay([steady(curvature_per_m=0.01)], Textures())
    state, start = simulator.begin(scenario(start_offset_m=-0.5, start_yaw_rad=0.05, place={"start_s": 1.0}))
    seen = simulator.observe(state, start.ego)
    ahead = CENTRE_AHEAD_M[:10]
    on_circle = np.stack([np.sin(0.01 * ahead) / 0.01, (1 - np.cos(0.01 * ahead)) / 0.01 + 0.5], -1)
    cosine, sine = math.cos(0.05), math.sin(0.05)
    np.testing.assert_allclose(
        seen.centre_m[:10, :2], on_circle @ np.array([[cosine, -sine], [sine, cosine]]), atol=0.01
    )
    assert np.abs(seen.centre_m[:, 2]).max() < 1e-6
    # 12 s at 10 m/s, of which one has gone.
    assert seen.centre_valid.sum() == (CENTRE_AHEAD_M <= 109.4).sum()
    assert seen.frame.timestamp_ns == 0


def test_a_camera_turned_left_sees_the_road_further_right() -> None:
    straight, turned = (
        Replay([steady()], Textures()).begin(scenario(disturbance=Disturbance(camera_yaw_rad=yaw)))
        for yaw in (0.0, math.radians(1.0))
    )
    simulator = Replay([steady()], Textures())
    one, other = (simulator.observe(state, start.ego).frame.y.astype(int) for state, start in (straight, turned))
    shift = 8  # 455 px * tan(1 degree)
    assert np.abs(other[60:200, 200 + shift : 300 + shift] - one[60:200, 200:300]).mean() < 3
    assert np.abs(other[60:200, 200:300] - one[60:200, 200:300]).mean() > 10


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"place": {"drive": "x"}}, r"expected a place with drive \(one of 1 known\).* got \{'drive': 'x'\}"),
        ({"place": {"road": 3}}, r"got \{'drive': 'd', 'road': 3\} and weather ''; correct the suite"),
        ({"disturbance": Disturbance(weather="rain")}, r"and weather 'rain'; correct the suite, or take another"),
    ],
)
def test_what_a_recording_cannot_be_asked_for_is_refused(asked: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Replay([steady()], Textures()).begin(scenario(**asked))


class Decoded:
    """The first frames of a recording, decoded in order."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        return [self._frames[int(index)] for index in indices]


def test_a_real_drive_replays_beside_its_own_line(real_recording: Callable[[str], Path], tmp_path: Path) -> None:
    from dojo.fleet.gates import check
    from dojo.fleet.readers.video_table import VideoTableReader

    (telemetry,) = real_recording("openpilot_demo_route").rglob("telemetry.npz")
    text = (Path(__file__).parents[1] / "fleet" / "openpilot_demo_route.toml").read_text()
    (tmp_path / "route.dojo.toml").write_text(text.replace('folder = "."', f'folder = "{telemetry.parent}"'))
    reader = VideoTableReader()
    (found,) = reader.find(tmp_path, ())
    drive = check(reader.read(found).drives[0])
    line = RecordedLine(drive)
    source = Decoded(list(itertools.islice(reader.frames(found, drive, "front"), 120)))
    camera = ReplayCamera(line, source)
    number = 30
    plain = camera.recorded(number)
    on_line = camera.picture(placed(line, ego_beside(line, number), number))
    # The camera of this car saw less than the model's view, a little more to one side: that little is hidden.
    shown = ~on_both_sides(unseen(line.view, line.view, never_seen(line.recorded, line.view)))
    assert shown.mean() > 0.45
    # The pose returns to within rounding: a 32nd of a pixel, at a hard edge a few of 255 steps.
    assert np.abs(on_line.y.astype(int) - plain.y)[shown.repeat(2, 0).repeat(2, 1)].max() <= 8
    assert np.abs(on_line.u.astype(int) - plain.u)[shown].max() <= 4
    for lateral in (0.5, -0.5, 1.0, -1.0):
        place = placed(line, ego_beside(line, number, 0.0, lateral), number)
        shown = camera.picture(place)
        assert place.within
        assert place.lateral_m == pytest.approx(lateral, abs=0.02)
        # Edges do not tell the side: what is black is so on both. The sky stays, the road moves.
        assert abs((shown.y[100:200, :256] <= 16).mean() - (shown.y[100:200, 256:] <= 16).mean()) < 0.002
        assert np.abs(shown.y[20:80, 130:400].astype(int) - plain.y[20:80, 130:400]).mean() < 3
        assert np.abs(shown.y[130:200, 200:380].astype(int) - plain.y[130:200, 200:380]).mean() > 4
