"""Hit rates by range: of the points really driven, what share did the plan come close to?

In: samples, plans. Out: the metrics that OP-Deepdive calls AP@d, for five ranges of forward distance.
Idea: for each future point whose true forward distance x lies in a range, a hit is a 3-D Euclidean error, at the
same time, strictly below d. The range is that of the driven point, so every predictor is asked about the same points.
Source: Chen et al., arXiv 2206.08176, and OpenDriveLab/Openpilot-Deepdive `utils.py` (`get_val_metric`).

The same as there: the most probable hypothesis; the 33 quadratic times, the trivial one at t = 0 included; x from
the driven path, lower end of a range inside and upper end outside, 50 m up to 1,000 m; d of 0.5, 1 and 2 m; the mean
over all points of a range in all frames (`hit_30_50m`).
Different: points that are not valid are left out (there: segments without 10 s of future are cut off); the ego frame
starts at the rear axle on the ground, not at the camera; times are the true ones (there: 200 frames spread over 10 s,
0.5 % off). Their training loop also logs a mean over frames of each frame's mean; that is `..._mean_of_frames` here.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Bool, Float64

from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.samples import Samples
from dojo.records import Plans

# Source of ranges and distances: arXiv 2206.08176, table of imitation metrics; `distance_splits`, `AP_thresholds`.
RANGES_M = ((0, 10), (10, 20), (20, 30), (30, 50), (50, 1000))
WITHIN_M = (0.5, 1.0, 1.0, 1.0, 2.0)
_ALL_WITHIN_M = (0.5, 1.0, 2.0)


def range_name(low_m: int, high_m: int) -> str:
    """`30_50m`; the last range, open to the far end, is `50m`."""
    return f"{low_m}m" if high_m >= 1000 else f"{low_m}_{high_m}m"


def range_title(low_m: int, high_m: int) -> str:
    """`30–50 m` or `beyond 50 m`."""
    return f"beyond {low_m} m" if high_m >= 1000 else f"{low_m}–{high_m} m"


def in_range(samples: Samples, low_m: float, high_m: float) -> Bool[np.ndarray, "n 33"]:
    """Which driven points lie in a range of forward distance."""
    x = samples.position_m[..., 0]
    return np.asarray(samples.valid & (x >= low_m) & (x < high_m))


def _distance_m(samples: Samples, plans: Plans) -> Float64[np.ndarray, "n 33"]:
    return np.linalg.norm(plans.best().astype(np.float64) - samples.position_m, axis=-1)


def _hits(samples: Samples, plans: Plans, *, low_m: float, high_m: float, within_m: float) -> Measured:
    asked = in_range(samples, low_m, high_m)
    hit = asked & (_distance_m(samples, plans) < within_m)
    return Measured(hit.sum(1).astype(np.float64), asked.sum(1).astype(np.float64))


def _hits_by_frame(samples: Samples, plans: Plans, *, low_m: float, high_m: float, within_m: float) -> Measured:
    points = _hits(samples, plans, low_m=low_m, high_m=high_m, within_m=within_m)
    return Measured(points.total / np.maximum(points.weight, 1.0), (points.weight > 0).astype(np.float64))


def _metrics() -> tuple[Metric, ...]:
    found: list[Metric] = []
    for (low, high), standard in zip(RANGES_M, WITHIN_M, strict=True):
        for within in (standard, *(d for d in _ALL_WITHIN_M if d != standard)):
            suffix = "" if within == standard else f"_within_{within:g}m".replace(".", "p")
            title = f"Hit rate, {range_title(low, high)}, within {within:g} m"
            measure = partial(_hits, low_m=float(low), high_m=float(high), within_m=within)
            found.append(Metric(f"hit_{range_name(low, high)}{suffix}", title, "", "higher", measure, share=True))
        by_frame = partial(_hits_by_frame, low_m=float(low), high_m=float(high), within_m=standard)
        name, title = f"hit_{range_name(low, high)}_mean_of_frames", f"{found[-3].title}, mean of frames"
        found.append(Metric(name, title, "", "higher", by_frame, share=True))
    return tuple(found)


HIT_RATES = _metrics()
