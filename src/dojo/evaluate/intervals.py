"""Intervals of counts and of rates.

In: how many of how many, or how many events in how much exposure. Out: the ends of a 95 % interval.
Idea: 24 of 24 does not mean always. Wilson's interval stays sensible at none and at all, where the usual one has no
width; the exact Poisson interval is what a rate of rare events deserves, also after none.
Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927); Newcombe,
Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), method 3. Garwood, Fiducial
limits for the Poisson distribution, Biometrika 28 (1936).
Not here: intervals of means (`bootstrap.py`).
"""

from __future__ import annotations

import math

from scipy import stats

from dojo.errors import EvaluationError

LEVEL = 0.95


def wilson(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Ends of the interval of a proportion.

    Raises:
        EvaluationError: no trials, or more successes than trials.
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise EvaluationError(f"interval: expected 0 to {trials} successes in at least one trial, got {successes}")
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / trials
    middle = share + z * z / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    grown = 1 + z * z / trials
    # At none and at all the ends are 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else (middle - reach) / grown
    high = 1.0 if successes == trials else (middle + reach) / grown
    return low, high


def poisson_rate(events: int, exposure: float, level: float = LEVEL) -> tuple[float, float]:
    """Ends of the exact interval of a rate, in events per unit of exposure.

    Raises:
        EvaluationError: no exposure, or a negative number of events.
    """
    if not (exposure > 0 and events >= 0):
        raise EvaluationError(f"interval: expected events from zero in some exposure, got {events} in {exposure}")
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    high = float(stats.chi2.ppf(1 - tail, 2 * (events + 1))) / 2
    return low / exposure, high / exposure
