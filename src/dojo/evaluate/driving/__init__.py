"""The metrics of driving, one file each, and the tuple of all: add a file, then add its metrics here."""

from dojo.evaluate.driving.collision import COLLISIONS
from dojo.evaluate.driving.comfort import COMFORT
from dojo.evaluate.driving.completion import COMPLETION, completed, missed
from dojo.evaluate.driving.intervention import INTERVENTIONS_PER_KM, kilometres_per_intervention
from dojo.evaluate.driving.lateral_error import LATERAL_ERROR
from dojo.evaluate.driving.metric import DrivingMetric, Told
from dojo.evaluate.driving.out_of_lane import OUT_OF_LANE
from dojo.evaluate.driving.progress import PROGRESS
from dojo.evaluate.driving.time_to_collision import TIME_TO_COLLISION

DRIVING_METRICS: tuple[DrivingMetric, ...] = (
    COMPLETION,
    *LATERAL_ERROR,
    OUT_OF_LANE,
    *COLLISIONS,
    *COMFORT,
    *TIME_TO_COLLISION,
    PROGRESS,
    INTERVENTIONS_PER_KM,
)

__all__ = ["DRIVING_METRICS", "DrivingMetric", "Told", "completed", "kilometres_per_intervention", "missed"]
