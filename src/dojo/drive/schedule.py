"""A fixed schedule: a cycle every so often, on a grid that does not drift.

In: a clock, a way to sleep, a camera. Out: cycles, one after the other.
Idea: the next cycle is due one period after the last one *was* due. One that runs over makes the next begin late; whole
periods that were missed are left out, because commands for moments that have passed help nobody.
Not here: what a cycle does (`runtime.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from dojo.drive.runtime import Cycle
from dojo.records import Frame


@runtime_checkable
class Camera(Protocol):
    """Delivers pictures in the bundle's view, stamped on the clock of the schedule."""

    def newest(self) -> Frame | None:
        """The newest frame that nobody has had yet; None where there is none. Never waits."""
        ...


def scheduled(
    cycle: Callable[[int, Frame | None], Cycle],
    camera: Camera,
    cycle_s: float,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    sleep_s: Callable[[float], None] = time.sleep,
) -> Iterator[Cycle]:
    """Cycles for as long as they are asked for.

    Args:
        cycle: what is done at a moment with the newest picture: `Runtime.cycle`.
    """
    period_ns = round(cycle_s * 1e9)
    due_ns = clock_ns()
    while True:
        yield cycle(clock_ns(), camera.newest())
        due_ns += period_ns
        over_ns = clock_ns() - due_ns
        if over_ns > 0:
            due_ns += over_ns // period_ns * period_ns
        else:
            sleep_s(-over_ns / 1e9)
