"""Parts of the training clips that lie within one another, for asking what more of them would bring.

In: clips, the route of each drive. Out: the clips of so many routes; the clips of the vehicles held back.
Idea: twice the clips of the same roads is not twice the data, so whole routes are counted. They are laid in a sequence
that a seed draws, and a part is its beginning: each part holds every smaller one, and none depends on what comes after
it. Some vehicles are held back from every part, so that when a training has learned enough can be judged on what
no part has seen, without touching the validation clips.
Not here: validation (`split.py`), weights (`balance.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.records import Clip, Drive


@dataclass(frozen=True)
class Part:
    """A part of the training clips.

    Args:
        routes: how many, from the beginning of the sequence.
        seed: of the sequence.
        held_back: share of the vehicles that belong to no part; one at least.
    """

    routes: int
    seed: int = 0
    held_back: float = 0.1

    def __post_init__(self) -> None:
        if self.routes < 1 or not 0 < self.held_back < 1:
            raise ConfigError(
                f"part: expected at least 1 route and held_back in (0, 1), got {self.routes} and {self.held_back}"
            )


def routes_of(drives: Sequence[Drive]) -> dict[str, str]:
    """The route of each drive, by its id; routes of different vehicles are different routes."""
    return {drive.drive_id: f"{drive.vehicle_id}\0{drive.route or drive.drive_id}" for drive in drives}


def part_of(clips: Sequence[Clip], route_of: Mapping[str, str], part: Part) -> list[Clip]:
    """The clips of a part, in the order given.

    Raises:
        ConfigError: there are not that many routes.
    """
    sequence = sequence_of(clips, route_of, part)
    if part.routes > len(sequence):
        raise ConfigError(
            f"part: expected at most the {len(sequence)} routes of vehicles that are not held back, got {part.routes}"
        )
    chosen = set(sequence[: part.routes])
    return [clip for clip in clips if route_of[clip.drive_id] in chosen]


def sequence_of(clips: Sequence[Clip], route_of: Mapping[str, str], part: Part) -> list[str]:
    """All routes that a part may have, in their sequence."""
    back = _vehicles_held_back(clips, part)
    routes = {route_of[clip.drive_id] for clip in clips if clip.vehicle_id not in back}
    return sorted(routes, key=lambda route: _place(part.seed, "route", route))


def held_back(clips: Sequence[Clip], part: Part) -> list[Clip]:
    """The clips of the vehicles that belong to no part; the same for every size."""
    back = _vehicles_held_back(clips, part)
    return [clip for clip in clips if clip.vehicle_id in back]


def _vehicles_held_back(clips: Sequence[Clip], part: Part) -> set[str]:
    vehicles = sorted({clip.vehicle_id for clip in clips}, key=lambda name: _place(part.seed, "vehicle", name))
    if len(vehicles) < 2:
        raise ConfigError(
            f"part: expected clips of two vehicles or more, one of them to be held back, got {len(vehicles)}"
        )
    return set(vehicles[: min(len(vehicles) - 1, max(1, round(part.held_back * len(vehicles))))])


def _place(seed: int, kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).digest()
