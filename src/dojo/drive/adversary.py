"""An opponent of the safety envelope: sequences that try to get something out of it that is outside.

In: a seed and a length. Out: the arguments of `limits.limit`, one row a step; whether what was given is inside.
Idea: mostly plausible values with sudden faults between, because an envelope fails at the seams: a jump after a steady
turn, a speed that drops to nothing, a clock that runs backwards, a NaN in the middle of braking, all of it in every
combination. `outside` judges what was given against the standards' own words, by other formulas than the envelope's.
Not here: the envelope (`limits.py`), its comparison with the C one (`twin.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.drive.limits import (
    CLOCK,
    Driver,
    Given,
    Limits,
    Motion,
    Wish,
    limit,
    start,
)

_SPECIAL = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0, 0.0, 1.0, -1.0, 20.0, -20.0])
_ROUNDING = 1e-9
"""Of what a bound is: quotients and products of doubles are off by 1e-16 of themselves, times by 1e-9 s of 0.05 s."""


@dataclass(frozen=True)
class Steps:
    """The arguments of `limit` but the first two, one row a step, in the order in which they are asked."""

    wished_per_m: Float64[np.ndarray, " steps"]
    wished_mps2: Float64[np.ndarray, " steps"]
    wish_ns: Int64[np.ndarray, " steps"]
    speed_mps: Float64[np.ndarray, " steps"]
    own_per_m: Float64[np.ndarray, " steps"]
    motion_ns: Int64[np.ndarray, " steps"]
    brake: Bool[np.ndarray, " steps"]
    gas: Bool[np.ndarray, " steps"]
    torque_nm: Float64[np.ndarray, " steps"]
    driver_ns: Int64[np.ndarray, " steps"]
    engage: Bool[np.ndarray, " steps"]
    now_ns: Int64[np.ndarray, " steps"]

    def __len__(self) -> int:
        return len(self.now_ns)


def draw(seed: int, steps: int, faults: float = 0.05) -> Steps:
    """A drive of so many steps.

    Args:
        faults: share of each input that is spoilt.
    """
    rng = np.random.default_rng((seed, 0xADE5))
    now = _times(rng, steps, faults)
    speed = np.abs(np.cumsum(rng.normal(0, 0.3, steps)) + rng.uniform(0, 60)) % 72.0
    return Steps(
        wished_per_m=_spoilt(rng, rng.choice([0.0003, 0.01, 0.3]) * rng.standard_normal(steps), faults),
        wished_mps2=_spoilt(rng, 3.0 * rng.standard_normal(steps), faults),
        wish_ns=_aged(rng, now, faults),
        speed_mps=_spoilt(rng, speed, faults),
        own_per_m=_spoilt(rng, 0.02 * rng.standard_normal(steps), faults),
        motion_ns=_aged(rng, now, faults),
        brake=rng.random(steps) < faults / 10,
        gas=rng.random(steps) < faults / 10,
        torque_nm=_spoilt(rng, rng.normal(0, 0.8, steps), faults / 10),
        driver_ns=_aged(rng, now, faults / 5),
        engage=rng.random(steps) > faults / 5,
        now_ns=now,
    )


def _times(rng: np.random.Generator, steps: int, faults: float) -> Int64[np.ndarray, " steps"]:
    """Cycles of 50 ms, some of which stall, stand still or run backwards."""
    cycle = np.full(steps, 50_000_000, np.int64) + rng.integers(-2_000_000, 2_000_000, steps)
    spoilt = rng.random(steps) < faults
    odd = np.array([0, 1, -1, -50_000_000, 100_000_000, 100_000_001, 200_000_000, 10**10, -(10**10)], np.int64)
    return np.cumsum(np.where(spoilt, rng.choice(odd, steps), cycle))


def _aged(rng: np.random.Generator, now: Int64[np.ndarray, " steps"], faults: float) -> Int64[np.ndarray, " steps"]:
    """When values were measured: a little before now, some exactly at a bound, long ago, or in the future."""
    age = rng.integers(0, 40_000_000, len(now))
    edges = np.array([100, 150, 500], np.int64) * 1_000_000
    odd = np.concatenate([edges, edges + 1, [-1, -(10**9), 10**12]])
    return now - np.where(rng.random(len(now)) < faults, rng.choice(odd, len(now)), age)


def _spoilt(
    rng: np.random.Generator, values: Float64[np.ndarray, " steps"], faults: float
) -> Float64[np.ndarray, " steps"]:
    """Some replaced by what is no number, is absurd, or leaps."""
    leap = np.where(rng.random(len(values)) < 0.5, rng.choice(_SPECIAL, len(values)), values * 100.0)
    return np.where(rng.random(len(values)) < faults, leap, values)


def answers(limits: Limits, steps: Steps) -> list[Given]:
    """What the envelope gives at each step."""
    last, given = start(limits), []
    columns = (getattr(steps, name).tolist() for name in Steps.__dataclass_fields__)
    for curvature, acceleration, wished, speed, own, moved, brake, gas, torque, seen, engage, now in zip(
        *columns, strict=True
    ):
        last = limit(
            limits,
            last,
            Wish(curvature, acceleration, wished),
            Motion(speed, own, moved),
            Driver(brake, gas, torque, seen),
            engage,
            now,
        )
        given.append(last)
    return given


def outside(limits: Limits, last: Given, given: Given) -> list[str]:
    """In which ways what is given lies outside the limits; empty where it lies inside."""
    values = (given.curvature_per_m, given.acceleration_mps2, given.speed_mps)
    if not all(map(math.isfinite, values)):
        return [f"not a number among {values}"]
    speed, more = given.speed_mps, 1 + _ROUNDING
    lateral = abs(given.curvature_per_m) * speed * speed
    found = {
        f"{lateral} m/s2 sideways": lateral > limits.max_lateral_mps2 * more,
        f"a curvature of {given.curvature_per_m} 1/m": abs(given.curvature_per_m) > limits.max_curvature_per_m * more,
        f"{given.acceleration_mps2} m/s2": not (
            -limits.max_braking_mps2 <= given.acceleration_mps2 <= limits.max_acceleration_mps2
        ),
        "a push without being engaged": not given.engaged and given.acceleration_mps2 != 0.0,
        **_leaps(limits, last, given),
    }
    return [what for what, is_so in found.items() if is_so]


def _leaps(limits: Limits, last: Given, given: Given) -> dict[str, bool]:
    """Changes that come too fast; what is not engaged only follows the vehicle."""
    if not given.engaged:
        return {}
    passed_s = min(max(given.time_ns - last.time_ns, 0), limits.longest_cycle_ns) / 1e9
    if not given.reasons & CLOCK:
        assert 0 < given.time_ns - last.time_ns <= limits.longest_cycle_ns
    speed, room = given.speed_mps, 1e-12
    # From where the last turn would be at this speed: see `limits._turn`.
    most = limits.max_lateral_mps2 / max(speed * speed, 1e-300)
    before = math.copysign(min(abs(last.curvature_per_m), most), last.curvature_per_m)
    turned = abs(given.curvature_per_m - before)
    pushed = given.acceleration_mps2 - last.acceleration_mps2
    harshest = 5.0 if speed <= 5.0 else 2.5 if speed >= 20.0 else 5.0 - 2.5 * (speed - 5.0) / 15.0
    jerk = turned * speed * speed
    return {
        f"{jerk} m/s2 sideways in {passed_s} s": jerk > limits.max_lateral_jerk_mps3 * passed_s * 1.000001 + room,
        f"{turned} 1/m in {passed_s} s": turned > limits.max_curvature_rate_per_m_s * passed_s * 1.000001 + room,
        f"{pushed} m/s2 in {passed_s} s": not (
            -harshest * passed_s * 1.000001 - room <= pushed <= limits.max_rising_jerk_mps3 * passed_s * 1.000001 + room
        ),
    }
