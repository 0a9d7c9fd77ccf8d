"""What every simulator owes: the same scenario gives the same pictures and facts, and they agree with each other."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.replay import Replay
from dojo.evaluate.simulator import Simulator
from dojo.geometry import MODEL_VIEW
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
from dojo.world.simulator import WorldConfig, WorldSimulator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "simulator.md"


class Drawn:
    """Smooth frames of a recording, each its own."""

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        made = []
        for index in indices:
            coarse = np.random.default_rng(int(index)).integers(40, 220, (12, 24), dtype=np.uint8)
            y = cv2.resize(coarse, (512, 256), interpolation=cv2.INTER_CUBIC)
            made.append(Frame(int(index), y, y[::2, ::2].copy(), y[1::2, 1::2].copy()))
        return made


def recorded_drive() -> Drive:
    """Twelve seconds through a bend at 10 m/s."""
    times_s = np.arange(0, 12, 0.05)
    yaw = 0.01 * 10 * times_s + 2.0
    step = np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], -1) * 0.5
    count, times_ns = len(times_s), np.round(times_s * 1e9).astype(np.int64)
    ego = EgoMotion(
        timestamps_ns=times_ns,
        rotation=np.stack([Rigid.from_euler(0.0, 0.0, float(angle)).rotation for angle in yaw]),
        translation_m=np.cumsum(step, 0),
        speed_mps=np.full(count, 10.0),
        yaw_rate_radps=np.full(count, 0.1),
        covariance=np.zeros((count, 3, 3)),
        covariance_valid=np.zeros(count, np.bool_),
        valid=np.ones(count, np.bool_),
        origin_deg_m=None,
        source="recorded",
    )
    stream = CameraStream("front", MODEL_VIEW, times_ns, np.ones(count, np.bool_))
    return Drive("d", "v", "r", (stream,), Telemetry(), ego, Provenance("test", ()))


def replay() -> tuple[Simulator[Any], dict[str, Any]]:
    return Replay([recorded_drive()], Drawn()), {"drive": "d"}


def the_page_s() -> tuple[Simulator[Any], dict[str, Any]]:
    page = ModuleType("simulator_page")
    sys.modules["simulator_page"] = page
    code = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    exec(code, page.__dict__)
    return page.StraightRoad(), {}


SIMULATORS: dict[str, Callable[[], tuple[Simulator[Any], dict[str, Any]]]] = {
    "world": lambda: (
        WorldSimulator(),
        {"road": "rural", "stretch": "left", "along_per_km": 6.0, "against_per_km": 6.0},
    ),
    "world, drawn in the model's view": lambda: (WorldSimulator(WorldConfig(direct=True)), {"road": "motorway"}),
    "replay": replay,
    "the simulator of the page": the_page_s,
}
"""Each makes a simulator and the place of a scenario on it, with a lane that is clear for some 50 m."""


@pytest.fixture(params=SIMULATORS, scope="module")
def at_hand(request: pytest.FixtureRequest) -> tuple[Simulator[Any], dict[str, Any]]:
    return SIMULATORS[request.param]()


def scenario(place: dict[str, Any], **more: Any) -> Scenario:
    return Scenario("one", "contract", place, 7, 4.0, **more)


def moved(ego: EgoState, dt_s: float) -> EgoState:
    along = ego.speed_mps * dt_s
    return replace(
        ego,
        time_s=ego.time_s + dt_s,
        x_m=ego.x_m + along * math.cos(ego.yaw_rad),
        y_m=ego.y_m + along * math.sin(ego.yaw_rad),
        yaw_rad=ego.yaw_rad + ego.yaw_rate_radps * dt_s,
    )


def test_the_same_scenario_gives_the_same_pictures_and_facts(at_hand: tuple[Simulator[Any], dict[str, Any]]) -> None:
    simulator, place = at_hand

    def told() -> list[Any]:
        state, start = simulator.begin(scenario(place, start_offset_m=0.3))
        ego, found = start.ego, []
        for step in range(20):
            found.append(simulator.truth(state, ego))
            if step % 10 == 0:
                seen = simulator.observe(state, ego)
                found += [seen.frame.y.tobytes(), seen.frame.u.tobytes(), seen.centre_m.tobytes()]
            ego = moved(ego, 0.05)
            state = simulator.step(state, ego, 0.05)
        simulator.end(state)
        return found

    assert told() == told()


@pytest.mark.parametrize(("offset_m", "yaw_rad"), [(0.0, 0.0), (0.8, 0.03), (-0.6, -0.05)])
def test_the_ego_begins_where_the_scenario_says_and_left_is_positive(
    at_hand: tuple[Simulator[Any], dict[str, Any]], offset_m: float, yaw_rad: float
) -> None:
    simulator, place = at_hand
    state, start = simulator.begin(scenario(place, start_offset_m=offset_m, start_yaw_rad=yaw_rad, start_speed_mps=9.0))
    truth = simulator.truth(state, start.ego)
    assert truth.offset_m == pytest.approx(offset_m, abs=0.02)
    assert truth.heading_error_rad == pytest.approx(yaw_rad, abs=0.005)
    assert (truth.progress_m, start.ego.time_s) == (pytest.approx(0.0, abs=0.1), 0.0)
    assert start.ego.speed_mps == 9.0
    assert truth.contact == "none"
    assert truth.shown
    assert (truth.off_road, truth.road_over) == (False, False)
    simulator.end(state)


def test_what_is_seen_and_what_is_stated_agree(at_hand: tuple[Simulator[Any], dict[str, Any]]) -> None:
    simulator, place = at_hand
    state, start = simulator.begin(scenario(place, start_offset_m=-0.5))
    ego = start.ego
    for _ in range(30):
        ego = moved(ego, 0.05)
        state = simulator.step(state, ego, 0.05)
    truth, seen = simulator.truth(state, ego), simulator.observe(state, ego)
    assert truth.progress_m == pytest.approx(1.5 * ego.speed_mps, rel=0.05)
    assert seen.centre_valid[:5].all()
    # The lane runs as far to the right as the ego is to the left, and turns as the lane is said to turn.
    assert seen.centre_m[0, 1] == pytest.approx(-truth.offset_m, abs=0.05)
    assert seen.centre_m[0, 0] == pytest.approx(0.0, abs=0.1)
    chord = np.arctan2(*(seen.centre_m[1] - seen.centre_m[0])[[1, 0]])
    assert chord == pytest.approx(-truth.heading_error_rad + 2 * truth.curvature_per_m, abs=0.02)
    frame = seen.frame
    assert (frame.y.shape, frame.u.shape, frame.v.shape) == ((256, 512), (128, 256), (128, 256))
    assert frame.y.std() > 5, "there is something to be seen"
    simulator.end(state)


def test_a_camera_that_is_off_shows_the_distance_further_right_and_is_not_told(
    at_hand: tuple[Simulator[Any], dict[str, Any]],
) -> None:
    simulator, place = at_hand
    pictures = []
    for yaw_rad in (0.0, math.radians(2.0)):
        state, start = simulator.begin(scenario(place, disturbance=Disturbance(camera_yaw_rad=yaw_rad)))
        np.testing.assert_allclose(start.camera.ego_from_camera.rotation, MODEL_VIEW.ego_from_camera.rotation)
        pictures.append(simulator.observe(state, start.ego).frame.y.astype(int))
        simulator.end(state)
    straight, turned = pictures
    band, shift = slice(100, 130), 16  # 455 px * tan(2 degrees), near the middle
    follows = np.abs(turned[band, 200 + shift : 312 + shift] - straight[band, 200:312]).mean()
    stays = np.abs(turned[band, 200:312] - straight[band, 200:312]).mean()
    assert follows < 0.6 * stays


@pytest.mark.parametrize("asked", [{"no_such_parameter": 1}, {}])
def test_what_it_cannot_be_asked_for_is_refused(
    at_hand: tuple[Simulator[Any], dict[str, Any]], asked: dict[str, int]
) -> None:
    simulator, place = at_hand
    weather = "" if asked else "a weather that there is not"
    with pytest.raises(ConfigError, match="scenario one: expected"):
        simulator.begin(scenario(place | asked, disturbance=Disturbance(weather=weather)))


def test_it_is_a_simulator(at_hand: tuple[Simulator[Any], dict[str, Any]]) -> None:
    assert isinstance(at_hand[0], Simulator)


def test_looking_changes_nothing(at_hand: tuple[Simulator[Any], dict[str, Any]]) -> None:
    simulator, place = at_hand
    state, start = simulator.begin(scenario(place))
    first, truth = simulator.observe(state, start.ego), simulator.truth(state, start.ego)
    assert np.array_equal(first.frame.y, simulator.observe(state, start.ego).frame.y)
    assert simulator.truth(state, start.ego) == truth
    simulator.end(state)


def test_who_follows_the_stated_curvature_stays_on_the_line(at_hand: tuple[Simulator[Any], dict[str, Any]]) -> None:
    simulator, place = at_hand
    state, start = simulator.begin(scenario(place))
    car, ego = IdealCar(), start.ego
    for _ in range(40):
        ego = car.step(ego, simulator.truth(state, ego).curvature_per_m, 0.0, 0.05)
        state = simulator.step(state, ego, 0.05)
    truth = simulator.truth(state, ego)
    assert truth.progress_m == pytest.approx(2 * ego.speed_mps, rel=0.03)
    # Bends change within a step, and the line's curvature is known at its samples only.
    assert abs(truth.offset_m) < 0.25
    assert abs(truth.heading_error_rad) < 0.02
    simulator.end(state)


def test_half_a_metre_to_the_left_is_so_much_more_offset_and_another_picture(
    at_hand: tuple[Simulator[Any], dict[str, Any]],
) -> None:
    simulator, place = at_hand
    state, start = simulator.begin(scenario(place))
    ego = start.ego
    beside = replace(ego, x_m=ego.x_m - 0.5 * math.sin(ego.yaw_rad), y_m=ego.y_m + 0.5 * math.cos(ego.yaw_rad))
    moved_m = simulator.truth(state, beside).offset_m - simulator.truth(state, ego).offset_m
    assert moved_m == pytest.approx(0.5, abs=0.02)
    here, there = simulator.observe(state, ego), simulator.observe(state, beside)
    assert not np.array_equal(here.frame.y, there.frame.y)
    simulator.end(state)


def test_the_lane_ahead_is_where_there_is_no_offset(at_hand: tuple[Simulator[Any], dict[str, Any]]) -> None:
    simulator, place = at_hand
    state, start = simulator.begin(scenario(place))
    ego, seen = start.ego, simulator.observe(state, start.ego)
    steps = np.linalg.norm(np.diff(seen.centre_m[:6, :2], axis=0), axis=1)
    np.testing.assert_allclose(steps, np.diff(CENTRE_AHEAD_M[:6]), rtol=0.05)
    cosine, sine = math.cos(ego.yaw_rad), math.sin(ego.yaw_rad)
    for forward, left, _ in seen.centre_m[1:6].tolist():
        # Whoever stands there has come there: simulators find the ego near where it was.
        there = replace(ego, x_m=ego.x_m + cosine * forward - sine * left, y_m=ego.y_m + sine * forward + cosine * left)
        assert abs(simulator.truth(state, there).offset_m) < 0.15
    simulator.end(state)
