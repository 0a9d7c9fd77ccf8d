"""Lane change on request: the driver sets the blinker, and the vehicle goes over and settles in the next lane.

Source of the kind and number of cases: the lane-change test of arXiv 2504.19077, 20 cases.
"""

from __future__ import annotations

from dojo.evaluate.suites.suite import case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Request, Scenario


def lane_change(seed: int = 0) -> tuple[Scenario, ...]:
    """20 cases on motorways, left and right in turns."""
    scenarios = []
    for number in range(20):
        own = case_seed(seed, 2, number)
        side, lane = ("left", 0) if number % 2 == 0 else ("right", 1)
        weather = ("day", "overcast")[number // 2 % 2]
        scenarios.append(
            Scenario(
                scenario_id=f"lane_change-{number:02d}",
                suite="lane_change",
                place={
                    "road": "motorway",
                    "road_seed": own,
                    "stretch": "straight",
                    "lane": lane,
                    "weather": weather,
                },
                seed=own,
                duration_s=15.0,
                requests=(Request(f"lane_change_{side}", at_s=2.0),),
                plant=draw_plant(own),
                goal=Goal(lanes_left=1 if side == "left" else -1, within_m=0.5, settle_s=2.0),
            )
        )
    return tuple(scenarios)
