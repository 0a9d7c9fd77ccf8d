"""Where and in which direction a vehicle began to move: the first guess that a filter needs.

In: measurements of one unbroken run. Out: `Start`, with honest and generous uncertainty.
Idea: dead reckoning gives the shape of the first few hundred metres, headings or fixes say how to lay it on the map. A
median over that stretch is not led astray by a wild first fix; a filter that starts from the first fix is.
Not here: the filter itself (`ego.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex128, Float64

from dojo.fleet.measurements import MAX_GAP_S, STEP_S, Measurements

# Assumed: long enough to tell the direction (0.01 rad from fixes good to 2 m), short enough for dead reckoning to hold.
_WINDOW_M = 300.0
_MIN_EXTENT_M = 20.0  # the course of a shorter way drowns in the noise of the fixes
_FIX_SIGMA_M = 10.0
_HEADING_SIGMA_RAD = 0.1
# Assumed: dead reckoning is off by this per metre and per second until the first fix.
_DRIFT_SHARE, _DRIFT_RADPS = 0.03, 0.005


@dataclass(frozen=True)
class Start:
    """Pose, speed and yaw rate at the first step."""

    east_m: float
    north_m: float
    yaw_rad: float
    position_sigma_m: float
    yaw_sigma_rad: float


def find_start(run: Measurements) -> Start | None:
    """The first pose on the map; None where the run has no fix to lay it there."""
    fixes = np.flatnonzero(run.east.there)
    if len(fixes) == 0:
        return None
    yaw, path = _dead_reckoned(run)
    travelled_m = np.cumsum(np.abs(run.speed_mps)) * STEP_S
    first_m, first_s = float(travelled_m[fixes[0]]), float(fixes[0]) * STEP_S
    window = fixes[travelled_m[fixes] <= first_m + _WINDOW_M]
    measured = run.east.value[window] + 1j * run.north.value[window]
    turn_rad, turn_sigma_rad = _direction(run, yaw, path[window], measured, int(window[-1]))
    offset = measured - path[window] * np.exp(1j * turn_rad)
    return Start(
        float(np.median(offset.real)),
        float(np.median(offset.imag)),
        turn_rad,
        _FIX_SIGMA_M + _DRIFT_SHARE * first_m,
        min(turn_sigma_rad + _DRIFT_RADPS * first_s, math.pi),
    )


def _dead_reckoned(run: Measurements) -> tuple[Float64[np.ndarray, " n"], Complex128[np.ndarray, " n"]]:
    """Yaw and position (east + i north) relative to the first step."""
    steps = np.arange(len(run.timestamps_ns), dtype=np.float64)
    if run.turn is not None and not (run.heading.there.any() and _silent_for_long(run.turn.measured.there)):
        there = run.turn.measured.there
        rate = np.interp(steps, steps[there], run.turn.measured.value[there]) if there.any() else np.zeros(len(steps))
        yaw = np.concatenate([[0.0], np.cumsum(rate[:-1]) * STEP_S])
    else:
        there = run.heading.there
        heading = np.interp(steps, steps[there], run.heading.value[there]) if there.any() else np.zeros(len(steps))
        yaw = heading - heading[0]
    moved = run.speed_mps[:-1] * STEP_S * np.exp(1j * 0.5 * (yaw[:-1] + yaw[1:]))
    return yaw, np.concatenate([[0.0 + 0.0j], np.cumsum(moved)])


def _silent_for_long(there: Bool[np.ndarray, " n"]) -> bool:
    """Whether a source says nothing for so long that its last word cannot stand for the silence."""
    heard = np.flatnonzero(np.concatenate([[True], there, [True]]))
    return float(np.diff(heard).max()) * STEP_S > MAX_GAP_S


def _direction(
    run: Measurements,
    yaw: Float64[np.ndarray, " n"],
    path: Complex128[np.ndarray, " fixes"],
    measured: Complex128[np.ndarray, " fixes"],
    last: int,
) -> tuple[float, float]:
    """Yaw at the first step and its standard deviation: from headings, else from the course of the fixes."""
    headings = np.flatnonzero(run.heading.there[: last + 1])
    if len(headings):
        differences = np.exp(1j * (run.heading.value[headings] - yaw[headings]))
        return float(np.angle(np.median(differences.real) + 1j * np.median(differences.imag))), _HEADING_SIGMA_RAD
    kept = np.ones(len(path), np.bool_)
    turn_rad = 0.0
    for _ in range(3):  # outliers leave in two rounds; the third settles
        from_middle = path - np.median(path[kept].real) - 1j * np.median(path[kept].imag)
        fixes = measured - np.median(measured[kept].real) - 1j * np.median(measured[kept].imag)
        turn_rad = float(np.angle(np.sum(fixes[kept] * from_middle[kept].conj())))
        misses = np.abs(fixes - from_middle * np.exp(1j * turn_rad))
        kept = misses <= max(3.0 * float(np.median(misses)), _FIX_SIGMA_M)
    extent_m = float(np.abs(path - path.mean()).max())
    return turn_rad, math.pi if extent_m < _MIN_EXTENT_M else min(2.0 * _FIX_SIGMA_M / extent_m, math.pi)
