"""Speed for a curve: a bend that must be driven slower than the road before it."""

from __future__ import annotations

from dojo.evaluate.suites.suite import case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario

_SEARCHED_M = 16_000.0
"""Assumed: of so much road the hardest bend is too fast for what comes before it, on every kind of road."""
_FELT_MPS2 = 2.7
"""Assumed: between the 2.5 m/s2 of people who take bends fast (Bosetti, Da Lio, Saroldi 2014: 1 to 3 m/s2) and the 3
that lane keeping may ask for (ISO 11270:2014). Without braking, these bends would be felt with 3.1 m/s2 and more."""


def curve_speed(seed: int = 0) -> tuple[Scenario, ...]:
    """10 cases in streets and in the country."""
    scenarios = []
    for number in range(10):
        own = case_seed(seed, 5, number)
        road = ("rural", "suburban")[number % 2]
        scenarios.append(
            Scenario(
                scenario_id=f"curve_speed-{number:02d}",
                suite="curve_speed",
                place={"road": road, "road_seed": own, "stretch": "slow_bend", "length_m": _SEARCHED_M},
                seed=own,
                duration_s=15.0,
                plant=draw_plant(own),
                goal=Goal(max_lateral_mps2=_FELT_MPS2, min_pace=0.5),
            )
        )
    return tuple(scenarios)
