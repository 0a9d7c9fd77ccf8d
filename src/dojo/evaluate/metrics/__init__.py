"""The metrics, one file each, and the tuple of all that a report holds: add a file, then add its metrics here."""

from dojo.evaluate.metrics.calibration import COVERAGE, TENTH_SHARES
from dojo.evaluate.metrics.displacement import AVERAGE_DISPLACEMENT, FINAL_DISPLACEMENT
from dojo.evaluate.metrics.hit_rate import HIT_RATES
from dojo.evaluate.metrics.jerk import JERK
from dojo.evaluate.metrics.metric import Measured, Metric
from dojo.evaluate.metrics.range_error import RANGE_ERRORS
from dojo.evaluate.metrics.time_error import TIME_ERRORS

METRICS: tuple[Metric, ...] = (
    *TIME_ERRORS,
    *HIT_RATES,
    *AVERAGE_DISPLACEMENT,
    *FINAL_DISPLACEMENT,
    *RANGE_ERRORS,
    JERK,
    *COVERAGE,
    *TENTH_SHARES,
)

__all__ = ["METRICS", "Measured", "Metric"]
