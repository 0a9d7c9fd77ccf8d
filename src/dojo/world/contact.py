"""Whether two bodies on the road touch, and whose fault it is.

In: bodies as rectangles, where each is relative to its lane. Out: `none`, `at_fault`, `not_at_fault`.
Idea: who runs into something ahead is at fault, who is run into from behind or stands still is not; side by side it is
the one who was not within a lane of its own.
Source of the rule: the no-at-fault-collisions metric of nuPlan (Caesar et al. 2021, arXiv 2106.11810).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dojo.records import Contact

_STANDING_MPS = 0.05


@dataclass(frozen=True)
class Rectangle:
    """A body seen from above: its middle, its heading, its size."""

    x_m: float
    y_m: float
    yaw_rad: float
    length_m: float
    width_m: float

    def corners(self) -> Float64[np.ndarray, "4 2"]:
        """Its corners in the world."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        ahead, left = np.array([c, s]) * self.length_m / 2, np.array([-s, c]) * self.width_m / 2
        middle = np.array([self.x_m, self.y_m])
        return np.stack([middle + ahead + left, middle + ahead - left, middle - ahead - left, middle - ahead + left])


def overlap(one: Rectangle, other: Rectangle) -> bool:
    """True where the two share a point: no axis of either parts them."""
    first, second = one.corners(), other.corners()
    for yaw in (one.yaw_rad, other.yaw_rad):
        for axis in (np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])):
            mine, theirs = first @ axis, second @ axis
            if mine.max() < theirs.min() or theirs.max() < mine.min():
                return False
    return True


def fault(ego: Rectangle, other: Rectangle, ego_mps: float, in_one_lane: bool) -> Contact:
    """Whose fault a contact is."""
    if ego_mps < _STANDING_MPS:
        return "not_at_fault"
    c, s = math.cos(ego.yaw_rad), math.sin(ego.yaw_rad)
    ahead_m = c * (other.x_m - ego.x_m) + s * (other.y_m - ego.y_m)
    reach_m = (ego.length_m + other.length_m) / 2
    # Assumed: whoever overlaps by less than a third of the shorter body's length was run into, or ran, along the road.
    along_m = reach_m - min(ego.length_m, other.length_m) / 3
    if ahead_m > along_m:
        return "at_fault"
    if ahead_m < -along_m or in_one_lane:
        return "not_at_fault"
    return "at_fault"
