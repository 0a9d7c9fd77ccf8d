"""Free drives: minutes on roads never seen, in every weather, until a human would have to take over."""

from __future__ import annotations

from dojo.evaluate.suites.suite import Values, case_seed
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario

_MEAN_MPS = {"rural": 21.0, "suburban": 11.0, "motorway": 27.0}
"""Assumed: what the humans of the simulated roads drive on average, for the length of a drive."""
_WEATHERS = ("day", "overcast", "dusk", "rain", "fog", "night")


def free_drive(seed: int = 0, kilometres: float = 20.0) -> tuple[Scenario, ...]:
    """About `kilometres` in drives of 2 km, on every kind of road in turn, with light traffic."""
    scenarios = []
    for number in range(max(1, round(kilometres / 2))):
        own = case_seed(seed, 7, number)
        road = ("rural", "suburban", "motorway")[number % 3]
        place: Values = {"road": road, "road_seed": own, "length_m": 3000.0, "along_per_km": 4.0, "against_per_km": 5.0}
        scenarios.append(
            Scenario(
                scenario_id=f"free_drive-{number:03d}",
                suite="free_drive",
                place={**place, "weather": _WEATHERS[number // 3 % len(_WEATHERS)]},
                seed=own,
                duration_s=float(round(2000.0 / _MEAN_MPS[road])),
                plant=draw_plant(own),
                goal=Goal(min_pace=0.5),
            )
        )
    return tuple(scenarios)
