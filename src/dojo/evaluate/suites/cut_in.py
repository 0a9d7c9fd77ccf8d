"""Cut-in: somebody slower comes over from the next lane, with little room."""

from __future__ import annotations

from itertools import product

from dojo.evaluate.suites.suite import Values, case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Scenario


def cut_in(seed: int = 0) -> tuple[Scenario, ...]:
    """12 cases on motorways, from both sides, with gaps of 1.0 to 1.8 s and 15 or 20 % slower."""
    scenarios = []
    for number, (lane, gap_s, slower) in enumerate(product((0, 1), (1.0, 1.4, 1.8), (0.85, 0.8))):
        own = case_seed(seed, 4, number)
        place: Values = {"road": "motorway", "road_seed": own, "stretch": "straight", "lane": lane, "cast": "cut_in"}
        scenarios.append(
            Scenario(
                scenario_id=f"cut_in-{number:02d}",
                suite="cut_in",
                place={**place, "gap_s": gap_s, "slower": slower, "event_s": 4.0},
                seed=own,
                duration_s=16.0,
                plant=draw_plant(own),
            )
        )
    return tuple(scenarios)
