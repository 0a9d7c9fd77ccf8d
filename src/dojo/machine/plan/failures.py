"""What failures leave of a machine's time, and how often to write a checkpoint.

In: how long one accelerator runs between failures, how many run one job, how long checkpoints and restarts take. Out:
the best time between checkpoints, and the share of time in which the job gets on.
Idea: a synchronous job stops when any part of it does, so its time between failures is one accelerator's divided by
their number. Writing checkpoints more often costs time; more rarely, loses more work with each failure. The best lies
near the square root of twice the product (Young); Daly's correction matters once failures come within minutes.
Source: Young 1974, "A first order approximation to the optimum checkpoint interval"; Daly 2006, "A higher order
estimate of the optimum checkpoint interval for restart dumps", equations 20 (time) and 37 (interval).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

Times = Float64[np.ndarray, "*shape"]


def young_interval_s(checkpoint_s: Times, mtbf_s: Times) -> Times:
    """Young's time between checkpoints."""
    return np.sqrt(2 * checkpoint_s * mtbf_s)


def daly_interval_s(checkpoint_s: Times, mtbf_s: Times) -> Times:
    """Daly's time of work between checkpoints; the time between failures itself where checkpoints take twice that."""
    ratio = checkpoint_s / (2 * mtbf_s)
    estimate = young_interval_s(checkpoint_s, mtbf_s) * (1 + np.sqrt(ratio) / 3 + ratio / 9) - checkpoint_s
    return np.where(ratio < 1, estimate, mtbf_s)


def progress_share(interval_s: Times, checkpoint_s: Times, restart_s: Times, mtbf_s: Times) -> Times:
    """The share of time that is work which lasts: neither written, nor lost, nor restarting."""
    with np.errstate(over="ignore"):  # a job that never gets on takes infinitely long
        taken = mtbf_s * np.exp(restart_s / mtbf_s) * np.expm1((interval_s + checkpoint_s) / mtbf_s)
    return interval_s / taken


def best_progress_share(accelerators: Times, mtbf_each_s: Times, checkpoint_s: Times, restart_s: Times) -> Times:
    """The share of time that a job of so many accelerators gets on, with checkpoints as often as is best."""
    mtbf_s = mtbf_each_s / accelerators
    return progress_share(daly_interval_s(checkpoint_s, mtbf_s), checkpoint_s, restart_s, mtbf_s)
