"""What every simulator promises, tried on each of them: add yours to `SIMULATORS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from driven import Circle

from dojo.errors import ConfigError
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.replay import Replay
from dojo.evaluate.simulator import Simulator
from dojo.geometry import MODEL_VIEW, Rigid
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

STEP_S = 0.05


def scenario(place: dict[str, Any], **changes: Any) -> Scenario:
    return Scenario("contract", "contract", place, seed=3, duration_s=5.0, **changes)


class Scenes:
    """Frames of a recording: each a pattern of its own."""

    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        columns, rows = np.meshgrid(np.arange(512), np.arange(256))
        pictures = [(120 + 60 * np.sin(columns / 9 + i) * np.cos(rows / 13)).astype(np.uint8) for i in indices]
        return [Frame(0, y, y[::2, ::2].copy(), y[1::2, 1::2].copy()) for y in pictures]


def recording() -> Drive:
    """A bend of 400 m radius at 12 m/s."""
    times_s = np.arange(0, 30, 0.05)
    yaw = 12 * times_s / 400
    place = np.stack([400 * np.sin(yaw), 400 * (1 - np.cos(yaw)), 0 * yaw], -1)
    times_ns, count = np.round(times_s * 1e9).astype(np.int64), len(times_s)
    turns = np.stack([Rigid.from_euler(0.0, 0.0, float(angle)).rotation for angle in yaw])
    ego = EgoMotion(
        times_ns,
        turns,
        place,
        np.full(count, 12.0),
        np.full(count, 12 / 400),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    stream = CameraStream("front", MODEL_VIEW, times_ns[::2], np.ones(count // 2, np.bool_))
    return Drive("recording", "car", "route", (stream,), Telemetry(), ego, Provenance("test", ()))


SIMULATORS: dict[str, Callable[[], tuple[Simulator[Any], Scenario]]] = {
    "circle": lambda: (Circle(), scenario({"curvature": 0.003})),
    "world": lambda: (
        WorldSimulator(),
        scenario({"road": "rural", "stretch": "left", "along_per_km": 6.0, "against_per_km": 6.0}),
    ),
    "world_direct": lambda: (WorldSimulator(WorldConfig(direct=True)), scenario({"road": "motorway"})),
    "replay": lambda: (Replay([recording()], Scenes()), scenario({"drive": "recording"})),
}

pytestmark = pytest.mark.parametrize("make", SIMULATORS.values(), ids=SIMULATORS.keys())
Make = Callable[[], tuple[Simulator[Any], Scenario]]


def along_the_lane(simulator: Simulator[Any], state: Any, ego: EgoState, seconds: float) -> tuple[Any, EgoState]:
    """The place and the ego after following the lane, as it bends, without correcting anything."""
    car = IdealCar()
    for _ in range(round(seconds / STEP_S)):
        ego = car.step(ego, simulator.truth(state, ego).curvature_per_m, 0.0, STEP_S)
        state = simulator.step(state, ego, STEP_S)
    return state, ego


def beside(ego: EgoState, left_m: float) -> EgoState:
    return replace(ego, x_m=ego.x_m - math.sin(ego.yaw_rad) * left_m, y_m=ego.y_m + math.cos(ego.yaw_rad) * left_m)


def test_it_is_a_simulator(make: Make) -> None:
    assert isinstance(make()[0], Simulator)


def test_it_begins_at_time_zero_where_the_scenario_says(make: Make) -> None:
    simulator, plain = make()
    state, start = simulator.begin(replace(plain, start_offset_m=0.6, start_yaw_rad=-0.02, start_speed_mps=9.0))
    truth = simulator.truth(state, start.ego)
    assert (start.ego.time_s, start.ego.speed_mps) == (0.0, 9.0)
    assert truth.offset_m == pytest.approx(0.6, abs=0.02)
    assert truth.heading_error_rad == pytest.approx(-0.02, abs=2e-3)
    assert (truth.lanes_left, truth.contact, truth.shown, truth.road_over) == (0, "none", True, False)
    assert truth.progress_m == pytest.approx(0.0, abs=0.2)
    simulator.end(state)


def test_its_pictures_are_of_the_model_view_from_the_height_of_a_car(make: Make) -> None:
    simulator, plain = make()
    state, start = simulator.begin(plain)
    frame = simulator.observe(state, start.ego).frame
    assert (frame.y.shape, frame.u.shape, frame.v.shape) == ((256, 512), (128, 256), (128, 256))
    assert (start.camera.focal_px, start.camera.centre_px) == (MODEL_VIEW.focal_px, MODEL_VIEW.centre_px)
    assert 0.8 < start.camera.ego_from_camera.translation_m[2] < 2.5
    simulator.end(state)


def test_looking_changes_nothing(make: Make) -> None:
    simulator, plain = make()
    state, start = simulator.begin(plain)
    first, truth = simulator.observe(state, start.ego), simulator.truth(state, start.ego)
    again = simulator.observe(state, start.ego)
    assert np.array_equal(first.frame.y, again.frame.y)
    assert simulator.truth(state, start.ego) == truth
    simulator.end(state)


def test_who_follows_the_lane_stays_on_its_line_and_makes_progress(make: Make) -> None:
    simulator, plain = make()
    state, start = simulator.begin(plain)
    before = simulator.truth(state, start.ego).progress_m
    state, ego = along_the_lane(simulator, state, start.ego, 2.0)
    truth = simulator.truth(state, ego)
    assert truth.progress_m - before == pytest.approx(2 * ego.speed_mps, rel=0.02)
    # Bends change within a step, and the line's curvature is known at its samples only.
    assert abs(truth.offset_m) < 0.25
    assert abs(truth.heading_error_rad) < 0.02
    simulator.end(state)


def test_a_metre_to_the_left_is_a_metre_of_offset_and_the_lane_a_metre_to_the_right(make: Make) -> None:
    simulator, plain = make()
    state, start = simulator.begin(plain)
    shifted = beside(start.ego, 0.5)
    moved = simulator.truth(state, shifted).offset_m - simulator.truth(state, start.ego).offset_m
    assert moved == pytest.approx(0.5, abs=0.02)
    here, there = simulator.observe(state, start.ego), simulator.observe(state, shifted)
    assert here.centre_valid.all()
    assert there.centre_m[0, 1] - here.centre_m[0, 1] == pytest.approx(-0.5, abs=0.02)
    assert not np.array_equal(here.frame.y, there.frame.y)
    simulator.end(state)


def test_the_lane_ahead_is_where_the_lane_runs(make: Make) -> None:
    simulator, plain = make()
    state, start = simulator.begin(plain)
    centre = simulator.observe(state, start.ego).centre_m
    steps = np.linalg.norm(np.diff(centre[:, :2], axis=0), axis=1)
    assert np.allclose(steps, np.diff(CENTRE_AHEAD_M), rtol=0.05)
    for point in centre[1:6].tolist():
        turned = math.cos(start.ego.yaw_rad), math.sin(start.ego.yaw_rad)
        there = replace(
            start.ego,
            x_m=start.ego.x_m + turned[0] * point[0] - turned[1] * point[1],
            y_m=start.ego.y_m + turned[1] * point[0] + turned[0] * point[1],
        )
        assert abs(simulator.truth(state, there).offset_m) < 0.15
    simulator.end(state)


def test_the_same_scenario_and_the_same_egos_give_the_same_pictures_and_facts(make: Make) -> None:
    told = []
    for _ in range(2):
        simulator, plain = make()
        state, start = simulator.begin(plain)
        state, ego = along_the_lane(simulator, state, start.ego, 0.6)
        told.append((simulator.observe(state, ego), simulator.truth(state, ego)))
        simulator.end(state)
    (first, truth), (again, truth_again) = told
    assert truth == truth_again
    assert all(np.array_equal(getattr(first.frame, plane), getattr(again.frame, plane)) for plane in "yuv")
    assert np.array_equal(first.others_m, again.others_m)


def test_a_place_that_it_does_not_know_is_refused(make: Make) -> None:
    simulator, plain = make()
    if isinstance(simulator, Circle):
        pytest.skip("the circle of these tests takes any place")
    with pytest.raises(ConfigError, match="expected"):
        simulator.begin(replace(plain, place={**plain.place, "no_such_parameter": 1}))
    with pytest.raises(ConfigError, match="frogs"):
        simulator.begin(replace(plain, disturbance=Disturbance(weather="frogs")))
