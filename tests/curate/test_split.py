"""Training and validation share no vehicle and no road, whatever the fleet looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.curate import CurateConfig, assign_splits, require_disjoint
from dojo.errors import RecordError


def fleet(make_clip, vehicles, roads_of, clips_each=20, seed=0):
    """Clips of vehicles, each driving on its own list of roads; every clip touches one or two neighbouring tiles."""
    rng = np.random.default_rng(seed)
    clips = []
    for vehicle in range(vehicles):
        roads = roads_of(vehicle)
        for number in range(clips_each):
            at = int(rng.integers(len(roads)))
            tiles = tuple(sorted(set(roads[at : at + 1 + int(rng.integers(2))])))
            clips.append(make_clip(f"c{vehicle}-{number}", f"v{vehicle}", tiles, drive_id=f"d{vehicle}"))
    return clips


def own_roads(vehicle):
    return [f"road{vehicle}-{tile}" for tile in range(5)]


def town(_vehicle):
    return [f"town-{tile}" for tile in range(30)]


def share(clips):
    sides = [clip.split for clip in clips]
    return sides.count("validation") / max(sides.count("validation") + sides.count("train"), 1)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(0, 1000), st.floats(0.05, 0.6))
def test_whatever_the_fleet_no_validation_clip_shares_a_vehicle_or_a_tile_with_training(make_clip, data, seed, wanted):
    vehicles = data.draw(st.integers(0, 8))
    tiles = [f"t{number}" for number in range(data.draw(st.integers(1, 12)))]
    clips = [
        make_clip(f"c{vehicle}-{number}", f"v{vehicle}", tuple(data.draw(st.sets(st.sampled_from(tiles), min_size=1))))
        for vehicle in range(vehicles)
        for number in range(data.draw(st.integers(1, 6)))
    ]
    split = assign_splits(clips, CurateConfig(seed=seed, validation_share=wanted))
    require_disjoint(split.clips)
    assert [clip.clip_id for clip in split.clips] == [clip.clip_id for clip in clips]
    backwards = assign_splits(clips[::-1], CurateConfig(seed=seed, validation_share=wanted))
    assert {c.clip_id: c.split for c in backwards.clips} == {c.clip_id: c.split for c in split.clips}
    if not any(clip.split == "train" for clip in split.clips):
        assert not clips


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("vehicles", [4, 8, 24, 100])
def test_vehicles_with_roads_of_their_own_are_split_near_the_wanted_share_without_loss(make_clip, vehicles, seed):
    clips = assign_splits(fleet(make_clip, vehicles, own_roads), CurateConfig(seed=seed)).clips
    assert not any(clip.split == "excluded" for clip in clips)
    assert 0.15 <= share(clips) <= 0.35


@pytest.mark.parametrize("seed", range(5))
def test_a_town_shared_by_all_is_still_split_and_what_mixes_is_excluded(make_clip, seed):
    split = assign_splits(fleet(make_clip, 12, town, clips_each=60), CurateConfig(seed=seed))
    sides = [clip.split for clip in split.clips]
    assert 0.1 <= share(split.clips) <= 0.45
    assert sides.count("train") >= 0.2 * len(sides)
    assert "mix a vehicle of one side with a road of the other and are excluded" in split.notes[0]


def test_where_all_vehicles_share_one_road_everything_trains_and_a_note_says_so(make_clip):
    split = assign_splits(fleet(make_clip, 5, lambda _: ["only"]), CurateConfig())
    assert {clip.split for clip in split.clips} == {"train"}
    assert "no honest validation" in split.notes[0]


def test_one_vehicle_is_all_training_and_a_note_says_so(make_clip):
    split = assign_splits(fleet(make_clip, 1, own_roads), CurateConfig())
    assert {clip.split for clip in split.clips} == {"train"}
    assert split.notes[0].startswith("one vehicle only (v0): every clip is 'train'")


def test_a_split_can_be_forced(make_clip):
    split = assign_splits(fleet(make_clip, 1, own_roads), CurateConfig(force_split="validation"))
    assert {clip.split for clip in split.clips} == {"validation"}


def test_drives_without_gnss_are_counted_in_a_note(make_clip):
    clips = fleet(make_clip, 4, lambda vehicle: [f"drive:d{vehicle}"])
    assert assign_splits(clips, CurateConfig()).notes[0].startswith("4 drive(s) without GNSS")


@pytest.mark.parametrize("roads", [own_roads, town])
def test_most_vehicles_keep_their_side_when_new_ones_come(make_clip, roads):
    """With many vehicles the hash alone decides, so no clip ever crosses from training to validation or back."""
    clips = fleet(make_clip, 60, roads)
    before = {clip.clip_id: clip.split for clip in assign_splits(clips[: 50 * 20], CurateConfig()).clips}
    after = {clip.clip_id: clip.split for clip in assign_splits(clips, CurateConfig()).clips}
    crossed = [name for name, side in before.items() if {side, after[name]} == {"train", "validation"}]
    assert crossed == []


def test_a_shared_vehicle_or_tile_is_refused_by_name(make_clip):
    clips = [make_clip("a", "v1", ("t1",)), make_clip("b", "v1", ("t2", "t1"), split="validation")]
    with pytest.raises(RecordError, match=r"share vehicles \['v1'\] and road tiles \['t1'\]; assign the splits again"):
        require_disjoint(clips)
    require_disjoint([clips[0], replace(clips[1], split="excluded")])
