"""Baselines: what can be said about the path without looking at the road.

In: samples, and samples of the training clips for one of them. Out: plans for the same anchors.
Idea: an open-loop figure means nothing alone, because most driving is straight. A model that has learnt to see must
beat: going on as now (constant velocity), turning on as now (constant speed and yaw rate), and what drivers do on
average (mean training trajectory). The first two are told the vehicle's true motion, which the model is not.
Not here: a scale. Baselines claim no uncertainty; the scale of 1 m in their plans is a filler that no metric reads.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

from dojo.errors import EvaluationError
from dojo.evaluate.samples import Samples
from dojo.records import TRAJECTORY_TIMES_S, Plans


def _plans(
    position_m: Float[np.ndarray, "n 33 3"],
    curvature_per_m: Float[np.ndarray, " n"],
    acceleration_mps2: Float[np.ndarray, " n"],
) -> Plans:
    """One certain hypothesis each."""
    single = position_m[:, None].astype(np.float32)
    return Plans(
        position_m=single,
        scale_m=np.ones_like(single),
        probability=np.ones((len(single), 1), np.float32),
        curvature_per_m=curvature_per_m.astype(np.float32),
        acceleration_mps2=acceleration_mps2.astype(np.float32),
    )


def constant_velocity(samples: Samples) -> Plans:
    """Straight ahead at the speed of the anchor."""
    return _arcs(samples.speed_now_mps.astype(np.float64), np.zeros(len(samples)))


def constant_turn_rate(samples: Samples) -> Plans:
    """An arc at the speed and yaw rate of the anchor."""
    return _arcs(samples.speed_now_mps.astype(np.float64), samples.yaw_rate_now_radps.astype(np.float64))


def _arcs(speed_mps: Float64[np.ndarray, " n"], yaw_rate_radps: Float64[np.ndarray, " n"]) -> Plans:
    """Circular arcs. The chord of an arc turned by a is v t sin(a/2)/(a/2), at half that angle; finite for a = 0."""
    turned = yaw_rate_radps[:, None] * TRAJECTORY_TIMES_S
    chord = speed_mps[:, None] * TRAJECTORY_TIMES_S * np.sinc(turned / (2 * np.pi))
    position = np.stack([chord * np.cos(turned / 2), chord * np.sin(turned / 2), np.zeros_like(chord)], -1)
    moving = np.abs(speed_mps) > 1.0  # Assumed: below walking pace yaw rate over speed is noise, not curvature.
    curvature = np.where(moving, yaw_rate_radps / np.where(moving, speed_mps, 1.0), 0.0)
    return _plans(position, curvature, np.zeros(len(speed_mps)))


def mean_trajectory(samples: Samples, training: Samples) -> Plans:
    """The average path of the training samples, the same for every anchor.

    Beyond the last time that any training sample reaches, the path goes on at its last velocity.

    Raises:
        EvaluationError: fewer than two times of the path are known from training.
    """
    count = training.valid.sum(0)
    known = np.flatnonzero(count)
    if len(known) < 2:
        raise EvaluationError(
            f"mean trajectory: expected training clips with a valid path, got {len(known)} valid times in "
            f"{len(training)} anchors; check the poses of the training drives, or leave this baseline out"
        )
    total = np.where(training.valid[..., None], training.position_m.astype(np.float64), 0.0).sum(0)
    mean = total[known] / count[known, None]
    times = TRAJECTORY_TIMES_S[known]
    path = np.stack([np.interp(TRAJECTORY_TIMES_S, times, mean[:, axis]) for axis in range(3)], -1)
    velocity = (mean[-1] - mean[-2]) / (times[-1] - times[-2])
    beyond = np.maximum(TRAJECTORY_TIMES_S - times[-1], 0.0)
    path += beyond[:, None] * velocity
    everywhere = np.broadcast_to(path, (len(samples), *path.shape))
    acts = training.action_valid
    curvature = float(training.curvature_per_m[acts].mean()) if acts.any() else 0.0
    acceleration = float(training.acceleration_mps2[acts].mean()) if acts.any() else 0.0
    return _plans(everywhere, np.full(len(samples), curvature), np.full(len(samples), acceleration))


def standard_baselines(samples: Samples, training: Samples | None) -> dict[str, Plans]:
    """The three baselines by the names they have in `report.json`; without training samples, the first two."""
    plans = {"constant_velocity": constant_velocity(samples), "constant_turn_rate": constant_turn_rate(samples)}
    if training is not None:
        plans["mean_trajectory"] = mean_trajectory(samples, training)
    return plans
