"""Collisions: the share of cases that end in a contact, apart by whose fault it was.

In: a rollout. Out: `collided_at_fault`, `collided_not_at_fault`.
"""

from __future__ import annotations

from dojo.evaluate.driving.metric import DrivingMetric, Told
from dojo.records import Rollout


def _at_fault(rollout: Rollout) -> Told:
    return Told(float(rollout.ended == "contact" and rollout.at_fault), 1.0)


def _not_at_fault(rollout: Rollout) -> Told:
    return Told(float(rollout.ended == "contact" and not rollout.at_fault), 1.0)


COLLISIONS = (
    DrivingMetric("collided_at_fault", "Collisions at fault", "", "lower", "count", _at_fault),
    DrivingMetric("collided_not_at_fault", "Collisions not at fault", "", "lower", "count", _not_at_fault),
)
