"""Speed for a curve: a bend that must be driven slower than the road before it."""

from __future__ import annotations

from dojo.evaluate.suites.suite import case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario


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
                place={"road": road, "road_seed": own, "stretch": "slow_bend"},
                seed=own,
                duration_s=15.0,
                plant=draw_plant(own),
                # Source: ISO 11270:2014, what lane keeping may ask for; humans mostly stay below (Bosetti et al. 2014).
                goal=Goal(max_lateral_mps2=3.0, min_pace=0.5),
            )
        )
    return tuple(scenarios)
