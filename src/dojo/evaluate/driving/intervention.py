"""Interventions: how often a human would have had to take over, per kilometre; and kilometres between two of them.

In: rollouts. Out: `interventions_per_km`, and its inverse for people.
Idea: the rate has an exact interval; the distance between interventions is its inverse, with the same ends, and has no
finite value where there was none.
"""

from __future__ import annotations

from collections.abc import Sequence

from dojo.evaluate.driving.metric import DrivingMetric, Told, kilometres
from dojo.evaluate.intervals import poisson_rate
from dojo.records import Rollout


def kilometres_per_intervention(rollouts: Sequence[Rollout]) -> dict[str, float | int | None]:
    """Value, low and high end, kilometres and interventions; None is infinite. Empty where nothing was driven."""
    return per_intervention(sum(map(kilometres, rollouts)), sum(rollout.intervention for rollout in rollouts))


def per_intervention(driven_km: float, events: int) -> dict[str, float | int | None]:
    """The same, of sums."""
    if driven_km <= 0:
        return {}
    low, high = poisson_rate(events, driven_km)
    return {
        "value": driven_km / events if events else None,
        "low": 1 / high,
        "high": 1 / low if low > 0 else None,
        "kilometres": driven_km,
        "interventions": events,
    }


INTERVENTIONS_PER_KM = DrivingMetric(
    "interventions_per_km",
    "Interventions per kilometre",
    "1/km",
    "lower",
    "rate",
    lambda rollout: Told(float(rollout.intervention), kilometres(rollout)),
)
