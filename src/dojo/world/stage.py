"""Where on a road a scenario plays, and who has a part in it.

In: the place of a scenario: plain values by name. Out: a road, a start, agents with parts.
Idea: scenarios say what they need ("a bend to the left") rather than where it is, and the road is searched for the
stretch that has most of it; so a suite needs no map, and another seed gives another road of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError
from dojo.world.driver import PROFILE_SPACING_M, Style, profile_of
from dojo.world.following import Following
from dojo.world.road import Road, RoadKind
from dojo.world.traffic import Agent, Part
from dojo.world.trip import END_MARGIN_M, START_MARGIN_M
from dojo.world.weather import Weather

Stretch = Literal["any", "straight", "left", "right", "slow_bend"]
Cast = Literal["nobody", "leader", "cut_in"]

REFERENCE = Style(speed_factor=0.95, lateral_mps2=2.0)
"""Assumed: the middle of the drivers that `Style.draw` draws."""

_LOOK_M = 140.0
"""How much road a stretch is judged by: seven seconds at 20 m/s (assumed)."""
_BRAKE_M = 220.0
"""How far ahead a slow bend may be: comfortable braking from 27 to 14 m/s takes so much (assumed)."""


@dataclass(frozen=True)
class Place:
    """The parameters that the simulated world knows.

    Args:
        road, road_seed, length_m: see `make_road`.
        stretch: where on it: `left` and `right` are bends all along, `slow_bend` a straight that ends in one which
            must be driven much slower, `any` is drawn.
        lane: from the right, 0 is the slow lane.
        along_per_km, against_per_km: other vehicles, per kilometre and lane.
        weather: see `weather.py`.
        cast: `leader` drives ahead, brakes to a stop at `event_s` and moves off after `stand_s`; `cut_in` drives
            ahead in the next lane and comes over at `event_s`.
        gap_s: to the member of the cast, at the start or when it comes over. `brake_mps2`: of the leader.
        slower: share of the ego's speed at which the one who cuts in drives.
    """

    road: RoadKind = "rural"
    road_seed: int = 0
    length_m: float = 4000.0
    stretch: Stretch = "any"
    lane: int = 0
    along_per_km: float = 0.0
    against_per_km: float = 0.0
    weather: Weather = "day"
    cast: Cast = "nobody"
    event_s: float = 4.0
    stand_s: float = 8.0
    gap_s: float = 2.0
    brake_mps2: float = 2.0
    slower: float = 0.85

    @staticmethod
    def of(values: Mapping[str, str | float | int | bool], scenario_id: str) -> Place:
        """The place that a scenario's plain values name.

        Raises:
            ConfigError: a name or a choice that the world does not know.
        """
        known = {f.name for f in fields(Place)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"scenario {scenario_id}: expected a place that names some of {', '.join(sorted(known))}, got "
                f"{', '.join(unknown)}; correct the suite, or take another simulator"
            )
        choices = {"road": RoadKind, "stretch": Stretch, "weather": Weather, "cast": Cast}
        wrong = [
            f"{name} from {', '.join(get_args(choice))}, got {values[name]!r}"
            for name, choice in choices.items()
            if name in values and values[name] not in get_args(choice)
        ]
        if wrong:
            raise ConfigError(f"scenario {scenario_id}: expected {'; '.join(wrong)}")
        chosen: dict[str, Any] = dict(values)
        return Place(**chosen)


def profile(road: Road) -> Float64[np.ndarray, " n"]:
    """Speed at which a human would drive, every `PROFILE_SPACING_M`."""
    return profile_of(road, REFERENCE)


def start_m(road: Road, place: Place, seed: int, duration_s: float) -> float:
    """Where on the road the scenario begins: so early that the road lasts, if it can.

    Raises:
        ConfigError: a road too short to begin on.
    """
    limit_mps = float(road.speed_limit_mps(np.arange(0.0, road.length_m, 50.0)).max())
    latest_m = road.length_m - END_MARGIN_M - _LOOK_M
    last_m = min(latest_m, max(START_MARGIN_M + 10.0, road.length_m - END_MARGIN_M - limit_mps * duration_s))
    if latest_m <= START_MARGIN_M:
        needed_m = START_MARGIN_M + END_MARGIN_M + _LOOK_M
        raise ConfigError(f"world: expected a length_m above {needed_m:.0f}, got {road.length_m}; roads have two ends")
    if place.stretch == "any":
        # Early, so that a long drive has the road before it.
        return float(np.random.default_rng((seed, 0x57A6)).uniform(START_MARGIN_M, min(START_MARGIN_M + 200.0, last_m)))
    candidates = np.arange(START_MARGIN_M, last_m, 5.0)
    if place.cast != "nobody":
        candidates = _of_one_limit(road, candidates, min(limit_mps * duration_s, 500.0))
    look_m = _BRAKE_M if place.stretch == "slow_bend" else _LOOK_M
    within = candidates[:, None] + np.arange(0.0, look_m, 5.0)
    curvature = road.pose(within).curvature_per_m
    side = {"left": 1.0, "right": -1.0}.get(place.stretch)
    if side is not None:
        score = side * curvature.mean(1)
    elif place.stretch == "straight":
        score = -np.abs(curvature).max(1)
    else:
        here_mps = profile(road)[(candidates / PROFILE_SPACING_M).astype(np.int64)]
        score = here_mps**2 * np.abs(curvature).max(1)  # what would be felt sideways without braking
    return float(candidates[int(np.argmax(score))])


def _of_one_limit(road: Road, candidates: Float64[np.ndarray, " n"], reach_m: float) -> Float64[np.ndarray, " m"]:
    """Those before which the speed limit stays as it is, or all where there is none."""
    ahead = candidates[:, None] + np.arange(-20.0, reach_m, 20.0)
    limits = road.speed_limit_mps(ahead)
    same = (limits == limits[:, :1]).all(1)
    return candidates[same] if same.any() else candidates


def cast_of(road: Road, place: Place, front_m: float, ego_mps: float) -> tuple[Agent, ...]:
    """The agents with a part.

    Args:
        front_m: where along the road the ego's front bumper is.

    Raises:
        ConfigError: somebody is to cut in where there is no lane to come from.
    """
    if place.cast == "nobody":
        return ()
    lane, change_s, mps = place.lane, math.inf, ego_mps
    pace: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    gap_m = place.gap_s * ego_mps
    if place.cast == "leader":
        stopped_s = place.event_s + ego_mps / place.brake_mps2
        off_s = stopped_s + place.stand_s
        pace = ((0.0, 1.0), (place.event_s, 1.0), (stopped_s, 0.0), (off_s, 0.0), (off_s + 5.0, 1.0))
    else:
        beside = road.lanes_beside(place.lane)
        if not beside:
            raise ConfigError(
                f"world: expected a lane beside lane {place.lane} to cut in from, and road {road.seed} has none; "
                "take a motorway"
            )
        lane, change_s, mps = beside[0], place.event_s, place.slower * ego_mps
        # By the time it comes over, the ego has gained on it.
        gap_m = place.gap_s * mps + (ego_mps - mps) * place.event_s
    limit_mps = float(road.speed_limit_mps(front_m))
    agent = Agent(
        kind="car",
        s_m=front_m + gap_m + 2.2,
        lane=lane,
        sense=1,
        speed_mps=mps,
        length_m=4.4,
        width_m=1.8,
        height_m=1.5,
        look=place.road_seed * 7 + 3,
        speed_factor=mps / limit_mps,
        offset_m=0.0,
        following=Following(),
        part=Part(pace, change_s, place.lane if place.cast == "cut_in" else None),
    )
    return (agent,)


def queue_ahead(road: Road, share: float, seed: int, lane: int, front_m: float, ego_mps: float) -> tuple[Agent, ...]:
    """On this share of drives, somebody ahead who comes upon a queue: brakes to a stop, stands, and moves off.

    Assumed: all figures, over what people do in towns and jams; the gaps are those that people keep.
    """
    rng = np.random.default_rng((seed, 0x9EE7))
    if rng.random() >= share:
        return ()
    place = Place(
        cast="leader",
        lane=lane,
        gap_s=float(rng.uniform(1.0, 2.5)),
        event_s=float(rng.uniform(0.0, 5.0)),
        brake_mps2=float(rng.uniform(0.8, 3.0)),
        stand_s=float(rng.uniform(0.5, 4.0)),
    )
    return cast_of(road, place, front_m, ego_mps)
