"""Which clips train and which judge: by vehicle and by place, never by segment.

In: clips of many drives. Out: the same clips with their split, and notes that say how well it could be done.
Idea: clips that share a vehicle or a road tile must be on the same side. Where the graph of vehicles and tiles falls
into several components, whole components are chosen by a seeded hash of their names, so that the answer depends
neither on the order of the drives nor, as far as possible, on drives that come later. Where one component holds
nearly everything (a town that all vehicles share), vehicles and tiles are chosen separately, and the clips of
training vehicles on validation tiles, and the reverse, are excluded: the price of an honest figure.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dojo.curate.config import CurateConfig
from dojo.errors import RecordError
from dojo.records import Clip

ACCEPTABLE = (0.6, 1.4)
"""Assumed: a share of validation within 40 % of the wanted one is left to the hash alone, which keeps every earlier
clip on its side; only outside of it are names taken in order of their hash until the share is met."""

ATTEMPTS = 64
"""Assumed: hashes of tiles tried before giving up; a town where none of 64 works is driven as one road by all."""


@dataclass(frozen=True)
class Split:
    """Clips with their split, in the order given, and what a reader of figures must know about it."""

    clips: tuple[Clip, ...]
    notes: tuple[str, ...]


def assign_splits(clips: Sequence[Clip], config: CurateConfig) -> Split:
    """The clips with their split; no validation clip shares a road tile or a vehicle with a training clip.

    Raises:
        RecordError: the guarantee does not hold, which would be a fault of this file.
    """
    notes = _unplaced_notes(clips)
    if config.force_split is not None:
        names = dict.fromkeys((clip.clip_id for clip in clips), str(config.force_split))
        notes.append(f"every clip is {config.force_split!r} because force_split says so")
    elif len({clip.vehicle_id for clip in clips}) < 2:
        names = dict.fromkeys((clip.clip_id for clip in clips), "train")
        if clips:
            notes.append(
                f"one vehicle only ({clips[0].vehicle_id}): every clip is 'train'; an honest validation needs a second "
                "vehicle on other roads, or set force_split='validation' to judge a model trained elsewhere"
            )
    else:
        names, note = _by_component(clips, config) or _by_vehicle_and_tile(clips, config)
        notes += note
    result = tuple(replace(clip, split=names[clip.clip_id]) for clip in clips)
    require_disjoint(result)
    return Split(result, tuple(notes))


def require_disjoint(clips: Iterable[Clip]) -> None:
    """Nothing, if no validation clip shares a road tile or a vehicle with a training clip.

    Raises:
        RecordError: some do; names them all.
    """
    vehicles: dict[str, set[str]] = defaultdict(set)
    tiles: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        vehicles[clip.split].add(clip.vehicle_id)
        tiles[clip.split].update(clip.tiles)
    shared_vehicles = sorted(vehicles["train"] & vehicles["validation"])
    shared_tiles = sorted(tiles["train"] & tiles["validation"])
    if shared_vehicles or shared_tiles:
        raise RecordError(
            f"split: expected training and validation to share nothing, they share vehicles {shared_vehicles} and "
            f"road tiles {shared_tiles}; assign the splits again with assign_splits"
        )


def _unplaced_notes(clips: Sequence[Clip]) -> list[str]:
    unplaced = {clip.drive_id for clip in clips if any(tile.startswith("drive:") for tile in clip.tiles)}
    if not unplaced:
        return []
    return [f"{len(unplaced)} drive(s) without GNSS: their place is unknown, they are split by vehicle alone"]


def _hash(seed: int, *names: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256("\x00".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _acceptable(share: float, wanted: float) -> bool:
    return ACCEPTABLE[0] * wanted <= share <= ACCEPTABLE[1] * wanted


def _choose(sizes: Mapping[str, int], share: float, seed: int, salt: str) -> set[str]:
    """Names that together hold about `share` of the whole: those with a low hash."""
    total = sum(sizes.values())
    ranks = {name: _hash(seed, salt, name) for name in sizes}
    by_hash = {name for name in sizes if ranks[name] < share}
    if _acceptable(sum(sizes[name] for name in by_hash) / total, share):
        return by_hash
    chosen: set[str] = set()
    mass = 0
    for name in sorted(sizes, key=lambda name: (ranks[name], name)):
        if abs(mass + sizes[name] - share * total) <= abs(mass - share * total) and len(chosen) + 1 < len(sizes):
            chosen.add(name)
            mass += sizes[name]
    return chosen


def _components(clips: Sequence[Clip]) -> dict[str, str]:
    """For each vehicle the name of its component: the vehicle of it whose own hash is lowest."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for clip in clips:
        for tile in clip.tiles:
            parent[root("tile:" + tile)] = root("vehicle:" + clip.vehicle_id)
    members: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        members[root("vehicle:" + clip.vehicle_id)].add(clip.vehicle_id)
    return {
        vehicle: min(group, key=lambda name: _hash(0, "name", name)) for group in members.values() for vehicle in group
    }


def _by_component(clips: Sequence[Clip], config: CurateConfig) -> tuple[dict[str, str], list[str]] | None:
    """Whole components to either side, or None where no choice of them comes near the wanted share."""
    component = _components(clips)
    sizes: dict[str, int] = defaultdict(int)
    for clip in clips:
        sizes[component[clip.vehicle_id]] += 1
    if len(sizes) < 2:
        return None
    chosen = _choose(sizes, config.validation_share, config.seed, "component")
    share = sum(sizes[name] for name in chosen) / len(clips)
    if not _acceptable(share, config.validation_share):
        return None
    names = {clip.clip_id: "validation" if component[clip.vehicle_id] in chosen else "train" for clip in clips}
    return names, [f"{len(sizes)} groups of vehicles share no road; {len(chosen)} of them are validation"]


def _by_vehicle_and_tile(clips: Sequence[Clip], config: CurateConfig) -> tuple[dict[str, str], list[str]]:
    """Vehicles and tiles to either side, clips that mix them excluded."""
    # With a share q of vehicles and of tiles, validation is q*q of the clips and training (1-q)*(1-q).
    odds = (config.validation_share / (1 - config.validation_share)) ** 0.5
    share = odds / (1 + odds)
    vehicle_sizes, tile_sizes = _sizes(clips)
    best: tuple[float, dict[str, str]] = (0.0, {})
    for attempt in range(ATTEMPTS):
        vehicles = _choose(vehicle_sizes, share, config.seed, f"vehicle {attempt // 8}")
        tiles = _choose(tile_sizes, share, config.seed, f"tile {attempt}")
        names = {clip.clip_id: _side(clip, vehicles, tiles) for clip in clips}
        counts = {side: list(names.values()).count(side) for side in ("train", "validation")}
        kept = counts["train"] + counts["validation"]
        # How well both sides are served, against q*q and (1-q)*(1-q) of everything.
        score = min(
            counts["validation"] / (share * share * len(clips)), counts["train"] / ((1 - share) ** 2 * len(clips)), 1.0
        )
        if score > best[0]:
            best = (score, names)
        if score >= 0.5 and _acceptable(counts["validation"] / kept, config.validation_share):
            break
    names = best[1] or dict.fromkeys((clip.clip_id for clip in clips), "train")
    if not best[1]:
        return names, [
            "all vehicles share all roads: no honest validation can be cut from these drives, every clip is 'train'; "
            "add drives of other vehicles elsewhere, or force_split them"
        ]
    excluded = list(names.values()).count("excluded")
    return names, [
        f"the vehicles share roads: {excluded} of {len(clips)} clips mix a vehicle of one side with a road of the "
        "other and are excluded"
    ]


def _sizes(clips: Sequence[Clip]) -> tuple[dict[str, int], dict[str, int]]:
    """Clips per vehicle and per tile."""
    vehicles: dict[str, int] = defaultdict(int)
    tiles: dict[str, int] = defaultdict(int)
    for clip in clips:
        vehicles[clip.vehicle_id] += 1
        for tile in clip.tiles:
            tiles[tile] += 1
    return vehicles, tiles


def _side(clip: Clip, vehicles: Collection[str], tiles: Collection[str]) -> str:
    inside = {tile in tiles for tile in clip.tiles}
    if clip.vehicle_id in vehicles and inside == {True}:
        return "validation"
    if clip.vehicle_id not in vehicles and inside == {False}:
        return "train"
    return "excluded"
