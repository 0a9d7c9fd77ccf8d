"""The vehicles of scenarios: no two alike, the same for the same seed."""

from __future__ import annotations

import numpy as np

from dojo.records import EgoPlant

STEERING_DELAY_S = (0.1, 0.4)
STEERING_GAIN = (0.9, 1.1)
"""Source of both: what openpilot's ports span, and a ratio that is known to 10 %."""
BIAS_PER_M = 0.0002
"""Assumed: what is left of a road's crossfall and of the wheels' alignment, up to 0.2 m/s2 at 30 m/s."""
WIND_MPS2 = 0.15
"""Assumed: gusts up to this deviation; more than that a driver calls a storm."""


def draw_plant(seed: int) -> EgoPlant:
    """A vehicle drawn at random."""
    rng = np.random.default_rng((seed, 0x9147))
    return EgoPlant(
        steering_delay_s=float(rng.uniform(*STEERING_DELAY_S)),
        steering_gain=float(rng.uniform(*STEERING_GAIN)),
        curvature_bias_per_m=float(rng.uniform(-BIAS_PER_M, BIAS_PER_M)),
        wind_mps2=float(rng.uniform(0.0, WIND_MPS2)),
        seed=seed,
    )
