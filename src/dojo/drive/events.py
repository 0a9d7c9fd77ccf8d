"""What is worth keeping: hand-backs, overrides, stops, and where the model would have driven otherwise.

In: cycles, one after the other. Out: events, as they happen.
Idea: the driver's own acceleration is read off the speed over half a second, because no platform need send it.
Not here: what a disagreement is (`shadow.py`), keeping it (`recorder.py`).
"""

from __future__ import annotations

from collections import deque

from dojo.drive.recorder import Event
from dojo.drive.runtime import Cycle
from dojo.drive.shadow import Compared, ShadowConfig, Watch, watch

_OVER_NS = 500_000_000
_KEPT = 64


class Events:
    """Sees cycles; remembers half a second of speed and which disagreements have begun."""

    def __init__(self, config: ShadowConfig, shadow: bool) -> None:
        self._config, self._shadow = config, shadow
        self._watch = Watch()
        self._speeds: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._before = "off"

    def see(self, cycle: Cycle) -> tuple[Event, ...]:
        """What happened at this cycle."""
        found = []
        if cycle.changed:
            ended = self._before in ("engaged", "take_over", "minimal_risk") and cycle.mode.state in ("ready", "off")
            if ended or cycle.mode.state in ("overridden", "take_over", "minimal_risk"):
                kind = f"{cycle.mode.state}-{cycle.mode.why}"
                found.append(Event(kind, cycle.now_ns, {"speed_mps": cycle.given.speed_mps}))
        self._before = cycle.mode.state
        if self._shadow:
            seen = self._compared(cycle)
            self._watch, kinds = watch(self._config, self._watch, seen)
            if seen is not None:
                found += [Event(f"disagrees-{kind}", cycle.now_ns, _figures(seen)) for kind in kinds]
        return tuple(found)

    def _compared(self, cycle: Cycle) -> Compared | None:
        """The plan's wish beside what the driver did; None where either is unknown."""
        state = cycle.state
        if state is None or cycle.wish is None:
            self._speeds.clear()
            return None
        self._speeds.append((cycle.now_ns, state.speed_mps))
        while self._speeds[-1][0] - self._speeds[0][0] > _OVER_NS:
            self._speeds.popleft()
        passed_s = (self._speeds[-1][0] - self._speeds[0][0]) / 1e9
        if passed_s < 0.5e-9 * _OVER_NS:
            return None
        return Compared(
            cycle.now_ns,
            state.speed_mps,
            cycle.wish.curvature_per_m,
            cycle.wish.acceleration_mps2,
            # Not engaged, what is given follows the vehicle: it is the curvature that the driver drives.
            cycle.given.curvature_per_m,
            (self._speeds[-1][1] - self._speeds[0][1]) / passed_s,
        )


def _figures(seen: Compared) -> dict[str, float]:
    return {
        "speed_mps": seen.speed_mps,
        "wished_per_m": seen.wished_per_m,
        "driven_per_m": seen.driven_per_m,
        "wished_mps2": seen.wished_mps2,
        "driven_mps2": seen.driven_mps2,
    }
