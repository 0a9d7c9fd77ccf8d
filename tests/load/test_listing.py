"""Clips read as they are drawn make the batches that clips in memory make, in any order and in other processes."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest

from dojo.errors import ConfigError, StoreError
from dojo.load import AugmentConfig, Listing, LoadConfig, Loader, OnDemand, cameras_of, recorded_cameras_of
from dojo.load.listing import InMemory
from dojo.store import Dataset
from dojo.store.catalogue import Catalogue

CHUNKED = LoadConfig(batch_size=4, order="chunked", stretch_s=2.0, buffer=8, workers=1, augment=AugmentConfig())


@pytest.fixture(scope="module")
def fleet(stored):
    """The clips of the store, written to it; every fourth is for validation."""
    clips, _, dataset, view = stored
    clips = [replace(clip, split="train" if number % 4 else "validation") for number, clip in enumerate(clips)]
    dataset.put_clips(clips, {})
    opened = Dataset.open(dataset.uri)
    return [clip for clip in clips if clip.split == "train"], opened, view


def batches(fleet, clips, cameras, recorded, config, count=6):
    _, dataset, view = fleet
    made = Loader(clips, cameras, dataset, config, "v", recorded=recorded, view=view).batches()
    found = list(islice(made, count))
    made.close()
    return found


@pytest.mark.parametrize(
    "config",
    [replace(CHUNKED, order="random"), CHUNKED, replace(CHUNKED, workers=0, processes=2, rank=1, ranks=2)],
    ids=["random", "chunked", "processes"],
)
def test_clips_read_as_they_are_drawn_make_the_same_batches(fleet, config):
    clips, dataset, _ = fleet
    drives = dataset.drives()
    memory = batches(fleet, clips, cameras_of(drives), recorded_cameras_of(drives), replace(config, processes=0))
    lazy = OnDemand(dataset.drive, cameras_of), OnDemand(dataset.drive, recorded_cameras_of)
    read = batches(fleet, Catalogue(dataset, "train"), *lazy, config)
    for (a, after), (b, theirs) in zip(memory, read, strict=True):
        assert after == theirs
        assert all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def test_a_catalogue_lists_what_the_records_say(fleet):
    clips, dataset, _ = fleet
    ours, theirs = pickle.loads(pickle.dumps(Catalogue(dataset, "train"))), InMemory(clips)
    assert isinstance(ours, Listing)
    assert ours.names().to_pylist() == theirs.names()
    assert np.array_equal(ours.weights, theirs.weights)
    (ours_streams, ours_stream, *ours_rest), (streams, stream, *rest) = ours.places(), theirs.places()
    assert [ours_streams[one] for one in ours_stream] == [streams[one] for one in stream]
    assert all(np.array_equal(a, b) for a, b in zip(ours_rest, rest, strict=True))
    assert [clip.clip_id for clip in ours.take([3, 0, 3])] == [clips[n].clip_id for n in (3, 0, 3)]


def test_cameras_are_read_once_when_they_are_asked_for(fleet):
    clips, dataset, _ = fleet
    asked = []

    def drive(name):
        asked.append(name)
        return dataset.drive(name)

    cameras = OnDemand(drive, cameras_of)
    stream = clips[0].drive_id, clips[0].camera
    assert not asked
    assert cameras[stream] is cameras[stream]
    assert cameras[stream].focal_px == cameras_of(dataset.drives())[stream].focal_px
    assert asked == [stream[0]]
    with pytest.raises(StoreError, match="nobody"):
        cameras["nobody", "front"]


def test_a_stream_whose_camera_nobody_knows_is_named_when_it_is_drawn(fleet):
    _, dataset, _ = fleet
    with pytest.raises(ConfigError, match=r"expected the camera of every stream, that of \('drive-000\d', 'front'\)"):
        batches(fleet, Catalogue(dataset, "train"), {}, None, replace(CHUNKED, order="random"), 1)
