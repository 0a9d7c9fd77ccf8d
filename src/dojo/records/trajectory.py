"""Plans: what a policy answers at each anchor, as plain arrays.

Idea: several hypotheses, each with its own spread, because the road often allows more than one future; the most
probable one is driven and judged, the others show what the model holds possible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from dojo.errors import RecordError

SIGHT_RANGES_M = (4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 26.0, 33.0, 41.0, 50.0, 65.0, 80.0)
"""Distances ahead at which a policy says where in the picture the path runs. Assumed: nearer, the path is the vehicle's
own heading; further, a lane is narrower than two cells of the policy's sight."""


@dataclass(frozen=True)
class Plans:
    """Hypotheses of the future path in the ego frame at `TRAJECTORY_TIMES_S`.

    Args:
        position_m: metres, x forward, y left, z up.
        scale_m: Laplace scale b of each coordinate (mean absolute deviation), positive.
        probability: of each hypothesis, summing to one.
        curvature_per_m, acceleration_mps2: the action at the actuator delay.

    Raises:
        RecordError: a value is not finite, or a scale is not positive.
    """

    position_m: Float32[np.ndarray, "n hypotheses 33 3"]
    scale_m: Float32[np.ndarray, "n hypotheses 33 3"]
    probability: Float32[np.ndarray, "n hypotheses"]
    curvature_per_m: Float32[np.ndarray, " n"]
    acceleration_mps2: Float32[np.ndarray, " n"]

    def __post_init__(self) -> None:
        for name in ("position_m", "scale_m", "probability", "curvature_per_m", "acceleration_mps2"):
            if not np.isfinite(getattr(self, name)).all():
                raise RecordError(f"plans: {name} holds NaN or infinity; the model has diverged")
        if (self.scale_m <= 0).any():
            raise RecordError("plans: expected positive scales")

    def best(self) -> Float32[np.ndarray, "n 33 3"]:
        """The most probable hypothesis of each."""
        return np.take_along_axis(self.position_m, self.probability.argmax(1)[:, None, None, None], 1)[:, 0]

    def best_scale(self) -> Float32[np.ndarray, "n 33 3"]:
        """The scale of the most probable hypothesis of each."""
        return np.take_along_axis(self.scale_m, self.probability.argmax(1)[:, None, None, None], 1)[:, 0]
