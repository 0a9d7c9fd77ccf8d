"""Months, and how a machine grows over them.

In: when the first parts arrive, when all must be there. Out: the months, and the share that is there at the end of
each.
Idea: production rises evenly for some months and then holds. The share that arrives in a month is known before anyone
knows how much that is, so one curve serves every draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError


def month_number(day: date) -> int:
    """Months since the year 0."""
    return 12 * day.year + day.month - 1


def month_of(number: int) -> date:
    """The first day of a month."""
    return date(number // 12, number % 12 + 1, 1)


@dataclass(frozen=True)
class BuildUp:
    """When parts arrive.

    Args:
        start: the first month in which parts arrive.
        by: the month at whose beginning all must be there.
        ramp_months: in which production rises evenly; then it holds.
        hardware_lead_months: by which hardware is paid before it arrives.
        building_lead_months: by which the building is paid before that. Source for the default: switchgear has a lead
            time of 46 to 48 weeks (Cushman & Wakefield, Data Center Development Cost Guide 2025, page 6).

    Raises:
        ConfigError: there is no month between the two dates, or a figure is out of range.
    """

    start: date
    by: date
    ramp_months: int = 9
    hardware_lead_months: int = 3
    building_lead_months: int = 9

    def __post_init__(self) -> None:
        if self.arriving_months < 1:
            raise ConfigError(
                f"build-up: expected at least a month from the first parts to all of them, got {self.start} to "
                f"{self.by}"
            )
        if self.ramp_months < 1 or self.hardware_lead_months < 0 or self.building_lead_months < 0:
            raise ConfigError(
                "build-up: expected a ramp of 1 month or more and leads of 0 or more, got "
                f"{self.ramp_months}, {self.hardware_lead_months} and {self.building_lead_months}"
            )

    @property
    def arriving_months(self) -> int:
        """In how many months parts arrive."""
        return month_number(self.by) - month_number(self.start)

    def shares(self, first: int, months: int) -> Float64[np.ndarray, " months"]:
        """The share of the whole that arrives in each of `months` months from month number `first` on."""
        rate = np.minimum(np.arange(1, self.arriving_months + 1) / self.ramp_months, 1.0)
        arriving = np.zeros(months)
        at = month_number(self.start) - first
        for place, share in enumerate(rate / rate.sum()):
            if 0 <= at + place < months:
                arriving[at + place] = share
        return arriving
