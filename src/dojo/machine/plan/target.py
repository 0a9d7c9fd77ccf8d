"""What is wanted: so much peak, or so much work by a date.

In: exaflops, or flop, or hours of video, or an error. Out: a peak in flop/s, or flop to be done in so many days.
Idea: each is turned into the next by one division. An error asks a fitted law how many hours of video lie behind it;
hours ask how often each is seen and what one costs; flop ask for time. A law is used as it is given, and refuses an
error at or below its floor: no amount of data reaches it.
Not here: fitting the law, which is the training stage's business; how many machines that takes (`plan.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade
from dojo.machine.plan.ranges import Range

Exponents = Float64[np.ndarray, " draws"]


@dataclass(frozen=True)
class DataLaw:
    """How an error falls with data: `floor + scale * (hours / pivot_hours) ** -exponent`.

    Args:
        scale: the part of the error at `pivot_hours` that data can take away.
        exponent: how fast they do.
        floor: what no amount of data takes away.
        pivot_hours: in the middle of the sizes that the law was fitted to, where its exponent's uncertainty does not
            move it; 1 for a law written as `scale * hours ** -exponent`.
        exponent_low, exponent_high: the exponent's interval; none, if it is not given.

    Source: the form is that of Hestness et al. 2017 (arXiv 1712.00409), section 3; the parameters come from whoever
    fitted them.
    """

    scale: float
    exponent: float
    floor: float = 0.0
    pivot_hours: float = 1.0
    exponent_low: float | None = None
    exponent_high: float | None = None

    def __post_init__(self) -> None:
        low = self.exponent if self.exponent_low is None else self.exponent_low
        high = self.exponent if self.exponent_high is None else self.exponent_high
        if not (self.scale > 0 and self.floor >= 0 and self.pivot_hours > 0 and 0 < low <= self.exponent <= high):
            raise ConfigError(
                "data law: expected a positive scale and pivot_hours, a floor of 0 or more and exponents with 0 "
                "< low <= "
                f"exponent <= high, got {self.scale}, {self.pivot_hours}, {self.floor} and {low}, "
                f"{self.exponent}, {high}"
            )

    @property
    def exponent_range(self) -> Range:
        """The exponent with its interval."""
        low = self.exponent if self.exponent_low is None else self.exponent_low
        high = self.exponent if self.exponent_high is None else self.exponent_high
        return Range(low, self.exponent, high, "the fitted law that was given", Grade.DERIVED)

    def hours_for(self, error: float, exponent: Exponents | float | None = None) -> Exponents | float:
        """The hours of video at which the law, or one of its draws, predicts an error.

        Raises:
            ConfigError: the error is at or below the floor.
        """
        if error <= self.floor:
            raise ConfigError(
                f"data law: expected an error above its floor of {self.floor:g}, got {error:g}; no amount of data of "
                "this kind reaches it: ask for more, or change the model"
            )
        share = (error - self.floor) / self.scale
        return self.pivot_hours * share ** (-1 / (self.exponent if exponent is None else exponent))


@dataclass(frozen=True)
class Target:
    """What is wanted; exactly one of `exaflops`, `flop`, `hours` and `error`.

    Args:
        exaflops: of dense BF16 peak, installed by the date.
        flop: of one training run.
        hours: of video, of one camera, that one training run sees.
        error: that one training run is to reach, in the unit of the law.
        law: from error to hours of video.
        passes: how often each hour is seen.
        flop_per_hour: of training on an hour of video once: forward, backward and update.
        days: that the run may take, on the whole machine.

    Raises:
        ConfigError: none or several of the four are given, or a figure is not positive.
    """

    exaflops: float | None = None
    flop: float | None = None
    hours: float | None = None
    error: float | None = None
    law: DataLaw | None = None
    passes: float = 5.0
    flop_per_hour: float | None = None
    days: float = 30.0

    def __post_init__(self) -> None:
        kinds = ("exaflops", "flop", "hours", "error")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"target: expected exactly one of {', '.join(kinds)}, got {', '.join(given) or 'none'}")
        for name in (*given, "passes", "days", *(["flop_per_hour"] if self.flop_per_hour is not None else [])):
            if not getattr(self, name) > 0:
                raise ConfigError(f"target.{name}: expected a positive number, got {getattr(self, name)}")
        if self.error is not None and self.law is None:
            raise ConfigError(
                "target.error: expected the parameters of a fitted law as well, got none; give target.law"
            )
        if given[0] in ("hours", "error") and self.flop_per_hour is None:
            raise ConfigError("target: expected flop_per_hour, what an hour of video costs to train on; got none")

    @property
    def peak_flop_per_s(self) -> float | None:
        """The peak that is asked for as such; None where work is."""
        return None if self.exaflops is None else self.exaflops * 1e18

    @property
    def ranges(self) -> dict[str, Range]:
        """What of the target itself is only known within bounds."""
        return {"law_exponent": self.law.exponent_range} if self.error is not None and self.law is not None else {}

    def video_hours(self, exponent: Exponents | float | None = None) -> Exponents | float | None:
        """The hours of video behind the target; None where nobody spoke of video."""
        if self.error is not None and self.law is not None:
            return self.law.hours_for(self.error, exponent)
        return self.hours

    def work_flop(self, exponent: Exponents | float | None = None) -> Exponents | float:
        """The work of one training run.

        Raises:
            ConfigError: a peak is asked for, not work.
        """
        hours = self.video_hours(exponent)
        if hours is not None and self.flop_per_hour is not None:
            return hours * self.passes * self.flop_per_hour
        if self.flop is None:
            raise ConfigError("target: expected work to be done, got exaflops to be installed")
        return self.flop
