"""How people keep their distance, slow down for curves and decide to change lanes, as formulas over plain numbers.

In: speeds, gaps, curvatures, style. Out: an acceleration; a speed profile; whether a lane change pays.
Idea: the intelligent driver model has few parameters, all of which mean something (time headway, comfortable
braking), never collides when braking can prevent it, and is what traffic research uses; MOBIL judges a lane change
by the same accelerations, so the two cannot disagree. Both the ego's driver and the traffic around it use them.
Not here: who drives where (`driver.py`, `traffic.py`).

Source: Treiber, Hennecke, Helbing, Congested traffic states in empirical observations and microscopic simulations,
Physical Review E 62 (2000) 1805; Kesting, Treiber, Helbing, General lane-changing model MOBIL, Transportation
Research Record 1999 (2007) 86.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

FAR_M = 1e6
"""Gap to a leader that is not there."""


@dataclass(frozen=True)
class Following:
    """How somebody follows.

    Args:
        headway_s: time gap wished for. `standstill_gap_m`: the distance left when both stand.
        acceleration_mps2, braking_mps2: comfortable, both positive.
        politeness: how much the others' disadvantage counts in a lane change. `advantage_mps2`: least gain worth it.
        safe_braking_mps2: most braking that a lane change may force on the follower behind.

    Source of the defaults: Treiber 2000, table I; Kesting 2007, table 1.
    """

    headway_s: float = 1.5
    standstill_gap_m: float = 2.0
    acceleration_mps2: float = 1.4
    braking_mps2: float = 2.0
    politeness: float = 0.2
    advantage_mps2: float = 0.2
    safe_braking_mps2: float = 4.0


def idm_acceleration_mps2(
    style: Following, speed_mps: float, wished_mps: float, gap_m: float = FAR_M, leader_mps: float = 0.0
) -> float:
    """Acceleration of the intelligent driver model; gap from own front bumper to the leader's rear one.

    Braking is limited to twice what is comfortable while the road is free: a wished speed that suddenly drops
    (a sign) is no emergency. Source: Treiber, Kesting, Traffic Flow Dynamics, section 11.3.
    """
    ratio = speed_mps / max(wished_mps, 0.1)
    free = 1.0 - ratio**4 if ratio < 4 else -255.0
    free = max(style.acceleration_mps2 * free, -style.braking_mps2)
    if gap_m >= FAR_M:
        return free
    closing = speed_mps * (speed_mps - leader_mps) / (2 * math.sqrt(style.acceleration_mps2 * style.braking_mps2))
    wished_gap_m = style.standstill_gap_m + max(0.0, speed_mps * style.headway_s + closing)
    return free - style.acceleration_mps2 * (wished_gap_m / max(gap_m, 0.1)) ** 2


def equilibrium_gap_m(style: Following, speed_mps: float, wished_mps: float) -> float:
    """Gap at which following at a constant speed needs no acceleration."""
    return (style.standstill_gap_m + speed_mps * style.headway_s) / math.sqrt(1.0 - (speed_mps / wished_mps) ** 4)


def lane_change_pays(
    style: Following,
    *,
    own_now_mps2: float,
    own_then_mps2: float,
    follower_now_mps2: float,
    follower_then_mps2: float,
    bias_mps2: float = 0.0,
) -> bool:
    """True where a lane change is safe for the new follower and worth it. `bias_mps2`: the rule to keep right."""
    if follower_then_mps2 < -style.safe_braking_mps2 or own_then_mps2 < -style.safe_braking_mps2:
        return False
    gain = own_then_mps2 - own_now_mps2 + style.politeness * (follower_then_mps2 - follower_now_mps2)
    return gain + bias_mps2 > style.advantage_mps2


def speed_profile_mps(
    curvature_per_m: Float64[np.ndarray, " n"],
    limit_mps: Float64[np.ndarray, " n"],
    spacing_m: float,
    *,
    lateral_mps2: float,
    braking_mps2: float,
) -> Float64[np.ndarray, " n"]:
    """Fastest comfortable speed at each point of a path: within its limits, its curves, and the braking before them.

    Source of sqrt(a_lat / kappa): circular motion. The backward pass is v² = v_next² + 2 b ds.
    """
    curve = np.sqrt(lateral_mps2 / np.maximum(np.abs(curvature_per_m), 1e-9))
    squared = np.minimum(curve, limit_mps) ** 2
    rise = 2 * braking_mps2 * spacing_m * np.arange(len(squared))
    # v²[i] = min over j >= i of v²[j] + 2 b (s[j] - s[i]): a running minimum from the end.
    ahead = np.minimum.accumulate((squared + rise)[::-1])[::-1]
    return np.sqrt(ahead - rise)
