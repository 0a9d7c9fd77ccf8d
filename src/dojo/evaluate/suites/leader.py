"""A leader that brakes to a stop, stands and moves off: the ego stops behind it and follows."""

from __future__ import annotations

from itertools import product

from dojo.evaluate.suites.suite import Values, case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario


def leader(seed: int = 0) -> tuple[Scenario, ...]:
    """12 cases in streets and in the country, with gaps of 1.5 and 2.5 s and three ways to brake."""
    scenarios = []
    for number, (road, gap_s, brake) in enumerate(product(("suburban", "rural"), (1.5, 2.5), (1.0, 1.5, 2.5))):
        own = case_seed(seed, 3, number)
        place: Values = {"road": road, "road_seed": own, "stretch": "straight", "cast": "leader", "gap_s": gap_s}
        scenarios.append(
            Scenario(
                scenario_id=f"leader-{number:02d}",
                suite="leader",
                place={**place, "brake_mps2": brake, "event_s": 4.0, "stand_s": 8.0},
                seed=own,
                # Time for the gentlest stop, from 27 m/s at 1 m/s2 where roads are fast, and to be on the way again.
                duration_s=36.0 if road == "suburban" else 52.0,
                plant=draw_plant(own),
                goal=Goal(stands=True),
            )
        )
    return tuple(scenarios)
