"""Lane centring: from beside the centre of the lane, or askew in it, back to the centre; straight and in bends.

Source of the kind and number of cases: the lane-centre test of arXiv 2504.19077, 24 cases; its offsets are not given.
"""

from __future__ import annotations

import math
from itertools import product

from dojo.evaluate.suites.suite import case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario

_OFFSETS = ((0.8, 0.0), (0.3, math.radians(1.5)))
"""Assumed: to the side by as much as a narrow lane bears, or less and heading further out."""


def lane_centring(seed: int = 0) -> tuple[Scenario, ...]:
    """24 cases: three stretches of two kinds of road, to both sides, each with an offset and with a yaw."""
    cases = product(("straight", "left", "right"), ("rural", "motorway"), (1.0, -1.0), _OFFSETS)
    scenarios = []
    for number, (stretch, road, side, (offset_m, yaw_rad)) in enumerate(cases):
        own = case_seed(seed, 1, number)
        scenarios.append(
            Scenario(
                scenario_id=f"lane_centring-{number:02d}",
                suite="lane_centring",
                place={"road": road, "road_seed": own, "stretch": stretch, "weather": ("day", "overcast")[number % 2]},
                seed=own,
                duration_s=10.0,
                start_offset_m=side * offset_m,
                start_yaw_rad=side * yaw_rad,
                plant=draw_plant(own),
                # Assumed: further off, a car touches the line of a narrow lane.
                goal=Goal(within_m=0.5, settle_s=3.0),
            )
        )
    return tuple(scenarios)
