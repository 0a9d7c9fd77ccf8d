"""The other vehicles on the road: they keep their distance, change lanes, come the other way, and mind the ego.

In: the road, where the ego is, time. Out: who is around the ego, and bodies to draw.
Idea: agents live in road coordinates (distance along, lane), where following is a matter of one number; only the
picture needs them in the world. The road is empty but for a window about the ego: agents enter at its edges, far
enough away to be a few pixels, and leave there, so that a drive of any length costs the same.
Not here: the ego's own driver (`driver.py`), the formulas (`following.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dojo.world.bodies import PAINTS, Blinker, OtherVehicle, VehicleKind
from dojo.world.driver import NOBODY, PROFILE_SPACING_M, Neighbour, Style, profile_of
from dojo.world.following import FAR_M, Following, idm_acceleration_mps2, lane_change_pays
from dojo.world.road import Road

AHEAD_M, BEHIND_M = 240.0, 120.0
"""The window: at its far edge a car is four pixels wide in the model view."""
CHANGE_S = 4.5
SIGNAL_S = 1.5


@dataclass(frozen=True)
class EgoPlace:
    """Where the ego is on the road: `s_m` of the middle of its body, the lanes it takes up."""

    s_m: float
    lanes: tuple[int, ...]
    speed_mps: float
    length_m: float


@dataclass(frozen=True)
class Part:
    """What an agent does because it is told to, in time since the traffic began.

    Args:
        pace: (time, share of the speed that it would wish for), linear in between and constant beyond.
        change_s, lane: when it begins to turn the wheel for a change into which lane; it signals before. Without a
            lane it keeps its own, as it keeps every lane until told otherwise.
    """

    pace: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    change_s: float = math.inf
    lane: int | None = None

    def pace_at(self, time_s: float) -> float:
        """Share of the wished speed at a time."""
        times, shares = zip(*self.pace, strict=True)
        return float(np.interp(time_s, times, shares))


@dataclass
class Agent:
    """Another vehicle; `s_m` of its middle, `sense` +1 along the road and -1 against it.

    While it changes lanes, `origin` is the lane it comes from, and `changing_s` counts from the first turn of the
    wheel; before that it only signals.
    """

    kind: VehicleKind
    s_m: float
    lane: int
    sense: int
    speed_mps: float
    length_m: float
    width_m: float
    height_m: float
    look: int
    speed_factor: float
    offset_m: float
    following: Following
    acceleration_mps2: float = 0.0
    origin: int | None = None
    changing_s: float = 0.0
    part: Part | None = None

    @property
    def lanes(self) -> tuple[int, ...]:
        """The lanes it takes up: two while it changes, and from the first blink, so that both followers know."""
        return (self.lane,) if self.origin is None else (self.origin, self.lane)


@dataclass(frozen=True)
class Density:
    """Vehicles per kilometre and lane, by kind of road; drawn anew for every drive."""

    along_per_km: float
    against_per_km: float

    @staticmethod
    def draw(kind: str, rng: np.random.Generator) -> Density:
        """Assumed: light to dense free flow; beyond about 25 vehicles per km and lane flow breaks down (HCM)."""
        low, high = {"motorway": (4.0, 16.0), "suburban": (3.0, 14.0)}.get(kind, (1.0, 8.0))
        return Density(float(rng.uniform(low, high)), float(rng.uniform(low, high)))


class Traffic:
    """All agents about one ego.

    Args:
        ego: where it begins; nobody starts on top of it.
        density: drawn where it is not given.
        cast: agents that are there from the beginning; the others keep clear of them.
    """

    def __init__(
        self, road: Road, ego: EgoPlace, seed: int, density: Density | None = None, cast: Sequence[Agent] = ()
    ) -> None:
        self._road = road
        self._rng = np.random.default_rng((seed, 0x77AF))
        self._density = density or Density.draw(road.kind, self._rng)
        # One speed profile each way, of a middling driver; agents scale it by their own factor.
        along = profile_of(road, Style(lateral_mps2=1.8))
        against = profile_of(road, Style(lateral_mps2=1.8), against=True)
        self._profiles = {1: along, -1: against}
        self.agents: list[Agent] = list(cast)
        self._time_s = 0.0
        self._ego = ego
        self._red_light_m: float | None = None
        for lane, sense in road.directed_lanes:
            self._fill(lane, sense)

    def step(self, ego: EgoPlace, dt_s: float, red_light_m: float | None = None) -> None:
        """Move everybody by `dt_s`; those along the road stop at the red light, unless they are too close to."""
        self._ego, self._red_light_m = ego, red_light_m
        self._time_s += dt_s
        accelerations = [self._wish(agent) for agent in self.agents]
        for agent, wished_mps2 in zip(self.agents, accelerations, strict=True):
            self._move(agent, wished_mps2, dt_s)
        self._change_lanes(dt_s)
        self._leave()
        for lane, sense in self._road.directed_lanes:
            self._enter(lane, sense)

    # What the ego sees.

    def leader(self, lane: int) -> Neighbour:
        """The next agent ahead of the ego in a lane along the road."""
        return self._next_to(self._ego.s_m, self._ego.length_m, lane, ahead=True, but=None)

    def follower(self, lane: int) -> Neighbour:
        """The next agent behind the ego in a lane along the road."""
        return self._next_to(self._ego.s_m, self._ego.length_m, lane, ahead=False, but=None)

    def lateral_m(self, agent: Agent, later_s: float = 0.0) -> float:
        """Lateral position of an agent, `later_s` after the last step."""
        lateral = self._road.lane_centre_m(agent.lane)
        if agent.origin is not None:
            u = min(1.0, max(0.0, (agent.changing_s + later_s) / CHANGE_S))
            origin = self._road.lane_centre_m(agent.origin)
            lateral = origin + u * u * u * (10 - 15 * u + 6 * u * u) * (lateral - origin)
        return lateral + agent.offset_m

    def s_m(self, agent: Agent, later_s: float = 0.0) -> float:
        """Distance of an agent's middle along the road, `later_s` after the last step."""
        travelled = max(0.0, agent.speed_mps * later_s + agent.acceleration_mps2 * later_s**2 / 2)
        return agent.s_m + agent.sense * travelled

    def bodies(self, later_s: float = 0.0) -> tuple[OtherVehicle, ...]:
        """Everybody as seen, `later_s` after the last step."""
        return tuple(self.body(agent, later_s) for agent in self.agents)

    def body(self, agent: Agent, later_s: float = 0.0) -> OtherVehicle:
        """One of them as seen, `later_s` after the last step."""
        s_m, lateral_m = self.s_m(agent, later_s), self.lateral_m(agent, later_s)
        x_m, y_m, road_rad, _ = self._road.on_plane(s_m)
        yaw_rad = road_rad + (0.0 if agent.sense > 0 else math.pi)
        # Sideways speed turns the body: its heading is that of its path.
        sideways_mps = (self.lateral_m(agent, later_s + 0.1) - lateral_m) / 0.1
        yaw_rad += math.atan2(sideways_mps * agent.sense, max(agent.speed_mps, 3.0))
        return OtherVehicle(
            x_m=x_m - math.sin(road_rad) * lateral_m,
            y_m=y_m + math.cos(road_rad) * lateral_m,
            yaw_rad=yaw_rad,
            kind=agent.kind,
            length_m=agent.length_m,
            width_m=agent.width_m,
            height_m=agent.height_m,
            colour=PAINTS[agent.look % len(PAINTS)],
            shape=agent.look // len(PAINTS),
            braking=agent.acceleration_mps2 < -0.5 or agent.speed_mps < 0.1,
            blinker=self._blinker(agent),
        )

    def _blinker(self, agent: Agent) -> Blinker:
        if agent.origin is None:
            return "off"
        leftwards = self._road.lane_centre_m(agent.lane) > self._road.lane_centre_m(agent.origin)
        return "left" if leftwards == (agent.sense > 0) else "right"

    # Following.

    def _wish(self, agent: Agent) -> float:
        wished = self._wished_mps(agent)
        asked = idm_acceleration_mps2(agent.following, agent.speed_mps, wished)
        asked = min(asked, max((wished - agent.speed_mps) / 0.8, -3.0))
        for lane in agent.lanes:
            other = self._ahead_of(agent, lane)
            asked = min(
                asked, idm_acceleration_mps2(agent.following, agent.speed_mps, wished, other.gap_m, other.speed_mps)
            )
        return min(asked, self._for_red_light(agent, wished))

    def _for_red_light(self, agent: Agent, wished_mps: float) -> float:
        if self._red_light_m is None or agent.sense < 0:
            return math.inf
        gap_m = self._red_light_m - agent.s_m - agent.length_m / 2
        if gap_m < agent.speed_mps**2 / (2 * 3.0):
            return math.inf
        style = agent.following
        return idm_acceleration_mps2(style, agent.speed_mps, wished_mps, gap_m + style.standstill_gap_m, 0.0)

    def _wished_mps(self, agent: Agent) -> float:
        profile = self._profiles[agent.sense]
        index = int((agent.s_m + agent.sense * 0.8 * agent.speed_mps) / PROFILE_SPACING_M)
        wished = float(profile[min(max(index, 0), len(profile) - 1)]) * agent.speed_factor
        return wished if agent.part is None else wished * agent.part.pace_at(self._time_s)

    def _ahead_of(self, agent: Agent, lane: int) -> Neighbour:
        if agent.sense > 0:
            return self._next_to(agent.s_m, agent.length_m, lane, ahead=True, but=agent)
        return self._next_to(agent.s_m, agent.length_m, lane, ahead=False, but=agent)

    def _next_to(self, s_m: float, length_m: float, lane: int, *, ahead: bool, but: Agent | None) -> Neighbour:
        """The nearest body in a lane, ahead in `s` or behind; the ego counts for everybody but itself."""
        way = 1.0 if ahead else -1.0
        nearest, speed, other_m = math.inf, 0.0, 0.0
        for other in self.agents:
            if other is but or (lane != other.lane and lane != other.origin):
                continue
            distance = way * (other.s_m - s_m)
            if 0.0 <= distance < nearest:
                nearest, speed, other_m = distance, other.speed_mps, other.length_m
        if but is not None and lane in self._ego.lanes:
            distance = way * (self._ego.s_m - s_m)
            if 0.0 <= distance < nearest:
                nearest, speed, other_m = distance, self._ego.speed_mps, self._ego.length_m
        return NOBODY if nearest == math.inf else Neighbour(nearest - (length_m + other_m) / 2, speed)

    def _move(self, agent: Agent, wished_mps2: float, dt_s: float) -> None:
        # Drive train and feet together: 0.3 s (assumed); emergencies are not delayed.
        follow = -math.expm1(-dt_s / 0.3) if wished_mps2 > -3.0 else 1.0
        agent.acceleration_mps2 += follow * (max(wished_mps2, -9.0) - agent.acceleration_mps2)
        speed = max(0.0, agent.speed_mps + agent.acceleration_mps2 * dt_s)
        agent.s_m += agent.sense * (agent.speed_mps + speed) / 2 * dt_s
        agent.speed_mps = speed
        if speed == 0.0:
            agent.acceleration_mps2 = 0.0

    # Lanes.

    def _change_lanes(self, dt_s: float) -> None:
        for agent in self.agents:
            if agent.origin is not None:
                agent.changing_s += dt_s
                if agent.changing_s >= CHANGE_S:
                    agent.origin = None
            elif agent.part is not None:
                self._follow_part(agent, agent.part)
            # Each looks over its shoulder about once in two seconds (assumed).
            elif agent.speed_mps > 6.0 and float(self._rng.random()) < dt_s / 2.0:
                self._consider(agent)

    def _follow_part(self, agent: Agent, part: Part) -> None:
        """Signal for the change that an agent is told to make, whoever is in the way."""
        if part.lane is not None and part.lane != agent.lane and self._time_s >= part.change_s - SIGNAL_S:
            agent.origin, agent.lane, agent.changing_s = agent.lane, part.lane, self._time_s - part.change_s

    def _consider(self, agent: Agent) -> None:
        wished = self._wished_mps(agent)
        for lane in self._road.lanes_beside(agent.lane):
            ahead = self._ahead_of(agent, lane)
            behind = self._next_to(agent.s_m, agent.length_m, lane, ahead=agent.sense < 0, but=agent)
            if min(ahead.gap_m, behind.gap_m) < 8.0:
                continue
            now = self._ahead_of(agent, agent.lane)
            theirs = idm_acceleration_mps2(
                agent.following, behind.speed_mps, behind.speed_mps + 2.0, behind.gap_m, agent.speed_mps
            )
            style, speed = agent.following, agent.speed_mps
            if lane_change_pays(
                Following(safe_braking_mps2=2.0, politeness=0.3),
                own_now_mps2=idm_acceleration_mps2(style, speed, wished, now.gap_m, now.speed_mps),
                own_then_mps2=idm_acceleration_mps2(style, speed, wished, ahead.gap_m, ahead.speed_mps),
                follower_now_mps2=0.0,
                follower_then_mps2=theirs if behind.gap_m < FAR_M else 0.0,
                bias_mps2=0.25 if self._is_outer(lane, agent) else -0.25,
            ):
                agent.origin, agent.lane, agent.changing_s = agent.lane, lane, -SIGNAL_S
                return

    def _is_outer(self, lane: int, agent: Agent) -> bool:
        """True where the lane lies on the slow side of the agent's own."""
        return (self._road.lane_centre_m(lane) - self._road.lane_centre_m(agent.lane)) * agent.sense < 0

    # Coming and going.

    def _leave(self) -> None:
        low, high = self._ego.s_m - BEHIND_M - 20.0, self._ego.s_m + AHEAD_M + 40.0
        end_m = self._road.length_m - 10.0
        self.agents = [a for a in self.agents if low < a.s_m < high and 10.0 < a.s_m < end_m]

    def _mean_gap_m(self, sense: int) -> float:
        per_km = self._density.along_per_km if sense > 0 else self._density.against_per_km
        return 1000.0 / per_km if per_km > 0 else math.inf

    def _fill(self, lane: int, sense: int) -> None:
        if self._mean_gap_m(sense) == math.inf:
            return
        s_m = self._ego.s_m - BEHIND_M + float(self._rng.exponential(self._mean_gap_m(sense)))
        while s_m < self._ego.s_m + AHEAD_M:
            if lane not in self._ego.lanes or abs(s_m - self._ego.s_m) > 30.0:
                self._place(s_m, lane, sense)
            s_m += 25.0 + float(self._rng.exponential(max(self._mean_gap_m(sense) - 25.0, 5.0)))

    def _enter(self, lane: int, sense: int) -> None:
        """Let somebody in at the far edge, and along the road also from behind, where there is room."""
        if self._mean_gap_m(sense) == math.inf:
            return
        mine = [a.s_m for a in self.agents if lane in a.lanes]
        front, back = self._ego.s_m + AHEAD_M, self._ego.s_m - BEHIND_M
        room_m = 30.0 + float(self._rng.exponential(self._mean_gap_m(sense)))
        if front - max(mine, default=self._ego.s_m) > room_m and self._chance(sense, front=True):
            self._place(front, lane, sense)
        if sense > 0 and min(mine, default=self._ego.s_m) - back > room_m and self._chance(sense, front=False):
            self._place(back, lane, sense)

    def _chance(self, sense: int, *, front: bool) -> bool:
        """Rarely at any one step, so that the random room is not drawn until it happens to be small."""
        return float(self._rng.random()) < (0.03 if front or sense < 0 else 0.02)

    def _place(self, s_m: float, lane: int, sense: int) -> None:
        rng = self._rng
        if not 20.0 < s_m < self._road.length_m - 20.0:
            return
        truck = bool(rng.random() < 0.15)
        factor = float(np.clip(rng.normal(0.80 if truck else 0.95, 0.08), 0.6, 1.15))
        agent = Agent(
            kind="truck" if truck else "car",
            s_m=s_m,
            lane=lane,
            sense=sense,
            speed_mps=0.0,
            length_m=float(rng.uniform(7.0, 11.0) if truck else rng.uniform(3.9, 4.9)),
            width_m=float(rng.uniform(2.2, 2.5) if truck else rng.uniform(1.7, 1.95)),
            height_m=float(rng.uniform(2.8, 3.6) if truck else rng.uniform(1.4, 1.75)),
            look=int(rng.integers(2**31)),
            speed_factor=factor,
            offset_m=float(np.clip(rng.normal(0.0, 0.12), -0.25, 0.25)),
            following=Following(headway_s=float(rng.uniform(1.1, 2.0)), acceleration_mps2=float(rng.uniform(1.0, 1.8))),
        )
        agent.speed_mps = self._wished_mps(agent)
        ahead, behind = (
            self._ahead_of(agent, lane),
            self._next_to(s_m, agent.length_m, lane, ahead=sense < 0, but=agent),
        )
        # Nobody enters where it would have to brake hard at once, or make somebody do so.
        agent.speed_mps = min(agent.speed_mps, math.sqrt(ahead.speed_mps**2 + 2 * 1.5 * max(0.0, ahead.gap_m - 10.0)))
        late = idm_acceleration_mps2(
            agent.following, behind.speed_mps, behind.speed_mps + 2.0, behind.gap_m, agent.speed_mps
        )
        if min(ahead.gap_m, behind.gap_m) > 12.0 and (behind.gap_m >= FAR_M or late > -2.0):
            self.agents.append(agent)
