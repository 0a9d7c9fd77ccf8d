"""Where the model would have driven otherwise than the driver did.

In: at each cycle, what the plan wished and how the vehicle moved. Out: a disagreement, once it has lasted.
Idea: single cycles differ all the time; what lasts a second is a difference of opinion. Turns are compared as lateral
acceleration, since the same curvature is nothing at walking pace and a swerve at speed. These moments are worth more
than any others to training: shadow mode is where the data engine begins.
Not here: keeping the moment (`recorder.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["turn", "push"]


@dataclass(frozen=True)
class ShadowConfig:
    """What counts as a disagreement.

    Args:
        lateral_mps2, acceleration_mps2: difference that is more than taste. `lasting_s`: for so long.
        quiet_s: after one, no other of its kind is told for so long. Assumed throughout: about one a minute in traffic.
    """

    lateral_mps2: float = 0.7
    acceleration_mps2: float = 1.5
    lasting_s: float = 1.0
    quiet_s: float = 30.0


@dataclass(frozen=True)
class Watch:
    """What is remembered: since when each kind has differed, and when it was last told; None for never."""

    since_ns: tuple[int | None, int | None] = (None, None)
    told_ns: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True)
class Compared:
    """One moment: what was wished, and what the driver made of it."""

    now_ns: int
    speed_mps: float
    wished_per_m: float
    wished_mps2: float
    driven_per_m: float
    driven_mps2: float


def watch(config: ShadowConfig, before: Watch, seen: Compared | None) -> tuple[Watch, tuple[Kind, ...]]:
    """What to remember, and which disagreements are told now; nothing to compare ends what has begun."""
    if seen is None:
        return Watch((None, None), before.told_ns), ()
    apart = (
        abs(seen.wished_per_m - seen.driven_per_m) * seen.speed_mps**2 > config.lateral_mps2,
        abs(seen.wished_mps2 - seen.driven_mps2) > config.acceleration_mps2,
    )
    since, told, kinds = list(before.since_ns), list(before.told_ns), []
    names: tuple[Kind, Kind] = ("turn", "push")
    for place, name in enumerate(names):
        began, last = since[place], told[place]
        since[place] = (seen.now_ns if began is None else began) if apart[place] else None
        lasted = apart[place] and began is not None and seen.now_ns - began >= config.lasting_s * 1e9
        if lasted and (last is None or seen.now_ns - last >= config.quiet_s * 1e9):
            told[place] = seen.now_ns
            kinds.append(name)
    return Watch((since[0], since[1]), (told[0], told[1])), tuple(kinds)
