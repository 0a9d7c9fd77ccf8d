"""Parts lie within one another, by route, and no part has a vehicle that is held back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dojo.curate.nested import Part, held_back, part_of, sequence_of
from dojo.errors import ConfigError
from dojo.records import Clip


def clip(vehicle: int, route: int, number: int) -> Clip:
    zeros = np.zeros((1, 33), np.float32)
    return Clip(
        clip_id=f"{vehicle}-{route}-{number}",
        drive_id=f"{vehicle}-{route}",
        vehicle_id=f"car-{vehicle}",
        camera="front",
        split="train",
        tags=(),
        tiles=(),
        weight=1.0,
        frame_indices=np.arange(2),
        anchor_timestamps_ns=np.arange(1),
        position_m=np.zeros((1, 33, 3), np.float32),
        yaw_rad=zeros,
        speed_mps=zeros,
        valid=np.ones((1, 33), np.bool_),
        curvature_per_m=zeros[0, :1],
        acceleration_mps2=zeros[0, :1],
        action_valid=np.ones(1, np.bool_),
        ego_rates=np.zeros((1, 6), np.float32),
        desire=np.zeros(1, np.int64),
    )


CLIPS = [clip(vehicle, route, number) for vehicle in range(10) for route in range(3) for number in range(2)]
ROUTES = {clip.drive_id: f"route {clip.drive_id}" for clip in CLIPS}


def ids(clips: list[Clip]) -> set[str]:
    return {clip.clip_id for clip in clips}


@pytest.mark.parametrize("seed", range(5))
def test_each_part_holds_every_smaller_one_and_whole_routes(seed: int) -> None:
    parts = [ids(part_of(CLIPS, ROUTES, Part(count, seed))) for count in (1, 2, 7, 27)]
    assert all(small < large for small, large in itertools.pairwise(parts))
    assert [len(part) for part in parts] == [2, 4, 14, 54]


def test_held_back_vehicles_are_in_no_part_whatever_its_size() -> None:
    part = Part(27, seed=3)
    back = {clip.vehicle_id for clip in held_back(CLIPS, part)}
    assert len(back) == 1
    assert not back & {clip.vehicle_id for clip in part_of(CLIPS, ROUTES, part)}
    assert ids(held_back(CLIPS, Part(1, seed=3))) == ids(held_back(CLIPS, part))


def test_seeds_draw_different_parts() -> None:
    assert len({tuple(sequence_of(CLIPS, ROUTES, Part(1, seed))) for seed in range(4)}) == 4


def test_more_routes_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most the 27 routes of vehicles that are not held back, got 28"):
        part_of(CLIPS, ROUTES, Part(28))


def test_a_single_vehicle_cannot_be_held_back() -> None:
    with pytest.raises(ConfigError, match="expected clips of two vehicles or more"):
        part_of(CLIPS[:6], ROUTES, Part(1))
