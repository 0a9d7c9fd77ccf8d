"""The simulated world as a place to drive in: drawn from wherever the ego is, with traffic that minds it.

In: scenarios whose `place` names the fields of `stage.Place`; where the ego is. Out: pictures and facts.
Idea: pictures go the way that the fleet's did: through a vehicle's own camera, somewhat askew, into the view that every
model sees; a policy that was trained on recordings meets nothing new. A camera out of calibration is then what it is
on the road: the camera turned, the resampling not.
A state is a handle to live things (a window, the traffic), which `step` moves on: see `evaluate.simulator.Simulator`,
which `WorldSimulator` fits without knowing it.
Not here: where on the road and who is cast (`stage.py`), whose fault a contact is (`contact.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64

from dojo.geometry import MODEL_VIEW, Camera, Resampler, Rigid
from dojo.records import CENTRE_AHEAD_M, Contact, EgoState, Frame, Observation, Scenario, Start, Truth
from dojo.world.bodies import OtherVehicle
from dojo.world.contact import Rectangle, fault, overlap
from dojo.world.driver import PROFILE_SPACING_M
from dojo.world.mounting import draw_camera
from dojo.world.render import Renderer
from dojo.world.road import Road
from dojo.world.road_design import make_road
from dojo.world.stage import Place, cast_of, profile, start_m
from dojo.world.traffic import Agent, Density, EgoPlace, Traffic
from dojo.world.trip import END_MARGIN_M, ego_pose
from dojo.world.vehicle import VehicleState
from dojo.world.weather import Look

_NEAR_M = 15.0
"""Further away along the road than this, no body reaches the ego's."""
_TRACK_MARGIN_M, _VERGE_M = 0.15, 0.3
"""Assumed: wheels are this far inside the body; a verge bears a wheel this far off the pavement."""
_TOUCHES_M = 0.2
"""Assumed: others mind an ego that reaches into their lane by more than this."""


@dataclass(frozen=True)
class WorldConfig:
    """How pictures are made; the defaults are those of the simulated fleet.

    Args:
        direct: draw the model's view itself; a seventh cheaper, and sharper than what a model was trained on.
        width_px, height_px, focal_px, supersampling, display: of the vehicle's camera, as in `FleetConfig`, `Renderer`.
    """

    direct: bool = False
    width_px: int = 512
    height_px: int = 288
    focal_px: float = 392.0
    supersampling: tuple[int, int] = (1, 2)
    display: str = "p3tinydisplay"


class _World:
    """One scenario on its way: what does not change, and the traffic, which does."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        other = scenario.disturbance.weather
        values = {**scenario.place, "weather": other} if other else scenario.place
        self.place = Place.of(values, scenario.scenario_id)
        self.road: Road = make_road(self.place.road_seed, self.place.road, self.place.length_m)
        self.profile_mps: Float64[np.ndarray, " n"] = profile(self.road)
        self._located: tuple[EgoState, tuple[float, float]] | None = None
        self.start_m = self.s_m = start_m(self.road, self.place, scenario.seed, scenario.duration_s)
        self.ego = self._start()
        front_m = self.s_m + scenario.plant.length_m - scenario.plant.rear_overhang_m
        self.traffic = Traffic(
            self.road,
            self.ego_place(self.ego),
            scenario.seed,
            Density(self.place.along_per_km, self.place.against_per_km),
            cast_of(self.road, self.place, front_m, self.ego.speed_mps),
        )
        self.pictures: _Pictures | None = None

    def reference_mps(self, s_m: float) -> float:
        """Speed at which a human would drive there."""
        index = int(s_m / PROFILE_SPACING_M)
        return float(self.profile_mps[min(max(index, 0), len(self.profile_mps) - 1)])

    def _start(self) -> EgoState:
        scenario, lane_m = self.scenario, self.road.lane_centre_m(self.place.lane)
        x, y, _ = (float(v) for v in self.road.point(self.s_m, lane_m + scenario.start_offset_m))
        here, given = self.road.pose(self.s_m), scenario.start_speed_mps
        speed = self.reference_mps(self.s_m) if given is None else given
        yaw = float(here.yaw_rad) + scenario.start_yaw_rad
        return EgoState(0.0, x, y, yaw, speed, yaw_rate_radps=speed * float(here.curvature_per_m))

    def locate(self, ego: EgoState) -> tuple[float, float]:
        """Along the road and across it; the last answer is kept, as one ego is asked about several times."""
        if self._located is None or self._located[0] is not ego:
            self._located = ego, self.road.locate(ego.x_m, ego.y_m, self.s_m)
        return self._located[1]

    def lane_at(self, lateral_m: float) -> int:
        """The lane whose centre is nearest."""
        lanes = range(2 * self.road.lanes_per_direction)
        return min(lanes, key=lambda lane: abs(self.road.lane_centre_m(lane) - lateral_m))

    def ego_place(self, ego: EgoState) -> EgoPlace:
        """Where the others see the ego."""
        plant = self.scenario.plant
        s_m, lateral_m = self.locate(ego)
        reach_m = (self.road.lane_width_m + plant.width_m) / 2 - _TOUCHES_M
        lanes = tuple(
            lane
            for lane in range(2 * self.road.lanes_per_direction)
            if abs(self.road.lane_centre_m(lane) - lateral_m) < reach_m
        )
        middle_m = s_m + plant.length_m / 2 - plant.rear_overhang_m
        return EgoPlace(middle_m, lanes, ego.speed_mps, plant.length_m)

    def body(self, ego: EgoState) -> Rectangle:
        """The ego's body."""
        plant = self.scenario.plant
        ahead_m = plant.length_m / 2 - plant.rear_overhang_m
        return Rectangle(
            ego.x_m + ahead_m * math.cos(ego.yaw_rad),
            ego.y_m + ahead_m * math.sin(ego.yaw_rad),
            ego.yaw_rad,
            plant.length_m,
            plant.width_m,
        )


class _Pictures:
    """The vehicle's camera: what it takes, as the model sees it."""

    def __init__(self, world: _World, camera: Camera, config: WorldConfig) -> None:
        scenario = world.scenario
        view = camera.level_view(MODEL_VIEW)
        believed = view if config.direct else camera
        turned = Rigid.from_euler(0.0, 0.0, scenario.disturbance.camera_yaw_rad).rotation
        mounting = believed.ego_from_camera
        self._renderer = Renderer(
            world.road,
            believed.at(Rigid(turned @ mounting.rotation, mounting.translation_m)),
            Look.of(world.place.weather, scenario.seed),
            scenario.seed,
            supersampling=config.supersampling,
            display=config.display,
        )
        self._resampler = None if config.direct else Resampler(believed, view)

    def frame(self, pose: Sequence[float], others: Sequence[OtherVehicle], time_s: float) -> Frame:
        """The picture in the model's view; BT.601, limited range, as video has it."""
        rgb = self._renderer.render(pose, others, time_s)
        rows, columns = rgb.shape[:2]
        planes = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420))
        u, v = planes[rows:].reshape(2, rows // 2, columns // 2)
        y = planes[:rows]
        if self._resampler is not None:
            y, u, v = self._resampler.apply(y, u, v)
        return Frame(round(time_s * 1e9), y, u, v)

    def close(self) -> None:
        """Give the window back."""
        self._renderer.close()


class WorldSimulator:
    """Scenarios in simulated worlds."""

    def __init__(self, config: WorldConfig | None = None) -> None:
        self._config = config or WorldConfig()

    def begin(self, scenario: Scenario) -> tuple[_World, Start]:
        """The world of a scenario; nothing is drawn yet.

        Raises:
            ConfigError: a place that this world does not know, or cannot find on this road.
        """
        world = _World(scenario)
        camera = self._camera(scenario)
        recorded = None if self._config.direct else camera
        return world, Start(world.ego, camera.level_view(MODEL_VIEW), traffic_right=True, recorded_camera=recorded)

    def observe(self, state: _World, ego: EgoState) -> Observation:
        """The picture from the ego, where its lane runs, and who is around."""
        pose = ego_pose(state.road, _motion(ego))
        s_m, lateral_m = state.locate(ego)
        lane_m = state.road.lane_centre_m(state.lane_at(lateral_m))
        ahead_m = s_m + CENTRE_AHEAD_M
        world_points = np.stack(state.road.point(ahead_m, np.full(len(ahead_m), lane_m)), -1)
        x, y, yaw, z, pitch, roll = pose
        ego_from_world = Rigid.from_euler(roll, pitch, yaw, np.array([x, y, z])).inverse()
        bodies = state.traffic.bodies()
        others = np.zeros((len(bodies), 5), np.float32)
        for row, body in enumerate(bodies):
            dx, dy, c, s = body.x_m - x, body.y_m - y, math.cos(yaw), math.sin(yaw)
            turned = math.remainder(body.yaw_rad - yaw, 2 * math.pi)
            others[row] = (c * dx + s * dy, c * dy - s * dx, turned, body.length_m, body.width_m)
        if state.pictures is None:  # whoever only asks for facts pays for no window
            state.pictures = _Pictures(state, self._camera(state.scenario), self._config)
        return Observation(
            state.pictures.frame(pose, bodies, ego.time_s),
            ego_from_world.apply(world_points).astype(np.float32),
            ahead_m < state.road.length_m,
            others,
        )

    def truth(self, state: _World, ego: EgoState) -> Truth:
        """The facts about the ego now."""
        road, plant = state.road, state.scenario.plant
        s_m, lateral_m = state.locate(ego)
        lane = state.lane_at(lateral_m)
        _, _, road_rad, curvature = road.on_plane(s_m)
        gap_m, closing_mps = self._ahead(state, ego, lateral_m)
        wheel_m = abs(lateral_m) + plant.width_m / 2 - _TRACK_MARGIN_M
        offset_m = lateral_m - road.lane_centre_m(lane)
        # A lane beside a bend is a little shorter or longer than the road's own line.
        return Truth(
            offset_m=offset_m,
            heading_error_rad=math.remainder(ego.yaw_rad - road_rad, 2 * math.pi),
            lanes_left=lane - state.place.lane,
            lane_width_m=road.lane_width_m,
            progress_m=s_m - state.start_m,
            curvature_per_m=curvature / (1 - curvature * (lateral_m - offset_m)),
            reference_mps=state.reference_mps(s_m),
            gap_m=gap_m,
            closing_mps=closing_mps,
            contact=self._contact(state, ego),
            off_road=wheel_m > road.section.paved_edge_m + _VERGE_M,
            road_over=s_m > road.length_m - END_MARGIN_M,
        )

    def step(self, state: _World, ego: EgoState, dt_s: float) -> _World:
        """The same world, moved on."""
        state.s_m, _ = state.locate(ego)
        state.traffic.step(state.ego_place(ego), dt_s)
        return state

    def end(self, state: _World) -> None:
        """Give the window back."""
        if state.pictures is not None:
            state.pictures.close()
            state.pictures = None

    def _camera(self, scenario: Scenario) -> Camera:
        """The vehicle's camera, as its calibration has it."""
        config = self._config
        return draw_camera("front", config.width_px, config.height_px, config.focal_px, scenario.seed)

    # Others.

    def _ahead(self, state: _World, ego: EgoState, lateral_m: float) -> tuple[float, float]:
        """Gap to the nearest body in the ego's path along the road, and how fast it shrinks."""
        place, width_m = state.ego_place(ego), state.scenario.plant.width_m
        gap_m, closing_mps = math.inf, 0.0
        for agent in state.traffic.agents:
            away_m = agent.s_m - place.s_m
            if away_m <= 0 or abs(state.traffic.lateral_m(agent) - lateral_m) > (agent.width_m + width_m) / 2:
                continue
            gap = away_m - (agent.length_m + place.length_m) / 2
            if gap < gap_m:
                gap_m, closing_mps = gap, ego.speed_mps - agent.sense * agent.speed_mps
        return gap_m, closing_mps

    def _contact(self, state: _World, ego: EgoState) -> Contact:
        """Whether the ego touches somebody; where several, the one that is its fault counts."""
        place, mine = state.ego_place(ego), state.body(ego)
        found: Contact = "none"
        for agent in state.traffic.agents:
            if abs(agent.s_m - place.s_m) < _NEAR_M and overlap(mine, theirs := _rectangle(state.traffic, agent)):
                whose = fault(mine, theirs, ego.speed_mps, len(place.lanes) == 1)
                found = "at_fault" if "at_fault" in (whose, found) else whose
        return found


def _rectangle(traffic: Traffic, agent: Agent) -> Rectangle:
    body = traffic.body(agent)
    return Rectangle(body.x_m, body.y_m, body.yaw_rad, body.length_m, body.width_m)


def _motion(ego: EgoState) -> VehicleState:
    """The ego in the terms of the plant of this world."""
    return VehicleState(
        ego.time_s, ego.x_m, ego.y_m, ego.yaw_rad, ego.speed_mps, ego.acceleration_mps2, ego.yaw_rate_radps
    )
