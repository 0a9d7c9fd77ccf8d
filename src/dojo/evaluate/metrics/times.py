"""Paths at any time between the 33 of `TRAJECTORY_TIMES_S`.

In: a path at the 33 times. Out: the path at, say, exactly 3 s.
Idea: over the index i = 32 sqrt(t / 10 s) the 33 times are evenly spaced and a path is smooth, so a cubic through
the four neighbours is exact to millimetres, where a straight line between them cuts corners by centimetres. The
weights depend on the time alone, so interpolation is one matrix product; a time counts as valid only where all the
points that it rests on are.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

from dojo.records import TRAJECTORY_TIMES_S


def interpolation(times_s: Float64[np.ndarray, " times"]) -> Float64[np.ndarray, "times 33"]:
    """Weights of the 33 points that give the path at other times; times from 0 to 10 s."""
    place = 32 * np.sqrt(np.asarray(times_s, np.float64) / TRAJECTORY_TIMES_S[-1])
    first = np.clip(np.floor(place).astype(np.int64) - 1, 0, 29)
    weights = np.zeros((len(place), 33))
    for one in range(4):
        weight = np.ones(len(place))
        for other in range(4):
            if other != one:
                weight *= (place - (first + other)) / (one - other)
        weights[np.arange(len(place)), first + one] = weight
    weights[np.abs(weights) < 1e-9] = 0.0  # at one of the 33 times, only that point
    return weights


def at_times(
    path: Float[np.ndarray, "n 33 axes"], times_s: Float64[np.ndarray, " times"]
) -> Float64[np.ndarray, "n times axes"]:
    """The path at other times."""
    return np.einsum("tk,nka->nta", interpolation(times_s), path.astype(np.float64))


def valid_at(valid: Bool[np.ndarray, "n 33"], times_s: Float64[np.ndarray, " times"]) -> Bool[np.ndarray, "n times"]:
    """Where every point that the interpolation uses is valid."""
    needed = interpolation(times_s) != 0
    return np.asarray((~valid[:, None, :] & needed).sum(-1) == 0)
