"""Dense traffic: others ahead, behind and beside, all of which brake and change lanes."""

from __future__ import annotations

from dojo.evaluate.suites.suite import Values, case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario


def dense_traffic(seed: int = 0) -> tuple[Scenario, ...]:
    """10 cases on motorways and in streets, 40 s each."""
    scenarios = []
    for number in range(10):
        own = case_seed(seed, 6, number)
        road = ("motorway", "suburban")[number % 2]
        # The densest flow that still flows; see `Density.draw` of the simulated traffic (HCM).
        place: Values = {"road": road, "road_seed": own, "along_per_km": 18.0, "against_per_km": 14.0}
        scenarios.append(
            Scenario(
                scenario_id=f"dense_traffic-{number:02d}",
                suite="dense_traffic",
                place=place,
                seed=own,
                duration_s=40.0,
                plant=draw_plant(own),
                goal=Goal(min_pace=0.3),
            )
        )
    return tuple(scenarios)
