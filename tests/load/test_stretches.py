"""The order of stretches deals each draw once, a lane to a row, and mixes as far as its buffer reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.load import Order, mixing
from dojo.load.stretches import StretchOrder


def spread(make_clips, drives, per_drive, step_s=1.4):
    """Clips of drives of which each has so many, a step apart."""
    return [
        replace(
            clip,
            drive_id=f"d{number // per_drive:03d}",
            anchor_timestamps_ns=np.array([round(number % per_drive * step_s * 1e9)]),
            frame_indices=np.array([0, 4]) + number % per_drive * 28,
        )
        for number, clip in enumerate(make_clips(drives * per_drive, anchors=1))
    ]


def order_of(clips, lanes=4, stretch_s=10.0, buffer=16, seed=0):
    drawn = Order([clip.clip_id for clip in clips], [clip.weight for clip in clips], seed, "v")
    return StretchOrder(drawn, clips, lanes, stretch_s, buffer)


@settings(max_examples=25, deadline=None)
@given(
    drives=st.integers(1, 6),
    per_drive=st.integers(1, 9),
    lanes=st.integers(1, 7),
    buffer=st.integers(1, 60),
    epoch=st.integers(0, 3),
)
def test_every_draw_is_dealt_once_from_its_lane_and_none_waits_longer_than_the_buffer(
    make_clips, drives, per_drive, lanes, buffer, epoch
):
    order = order_of(spread(make_clips, drives, per_drive), lanes, buffer=buffer)
    planned = order.planned(epoch)
    assert sorted(planned.dealt.tolist()) == list(range(len(order)))
    assert np.array_equal(order.epoch(epoch), planned.clips[planned.dealt])
    reach = max(1, buffer // lanes)
    for lane in range(lanes):
        clips, dealt = planned.lane(lane)
        assert sorted(dealt.tolist()) == list(range(len(clips)))
        assert (np.abs(dealt - np.arange(len(dealt))) <= reach).all()


def test_stretches_stay_whole_but_where_a_lane_ends(make_clips):
    clips = spread(make_clips, drives=12, per_drive=20)
    order = order_of(clips, lanes=4)
    drawn = order.planned(1).clips.tolist()
    pieces = 1 + np.count_nonzero(np.diff([order.stretch(index) for index in drawn]))
    assert pieces <= len({order.stretch(index) for index in range(len(clips))}) + 3
    times = np.array([clips[index].anchor_timestamps_ns[0] for index in drawn])
    drives = np.array([clips[index].drive_id for index in drawn])
    stretch = np.array([order.stretch(index) for index in drawn])
    within = (np.diff(stretch) == 0) & (drives[1:] == drives[:-1])
    assert (np.diff(times)[within] > 0).all()


def test_how_the_clips_were_given_is_no_matter(make_clips):
    clips = spread(make_clips, drives=5, per_drive=7)
    turned = clips[::-1]
    one, other = order_of(clips), order_of(turned)
    assert one.fingerprint == other.fingerprint
    assert [clips[i].clip_id for i in one.epoch(2)] == [turned[i].clip_id for i in other.epoch(2)]


def test_other_epochs_and_seeds_have_other_orders(make_clips):
    clips = spread(make_clips, drives=5, per_drive=7)
    orders = [tuple(order_of(clips, seed=seed).epoch(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4


def test_mixing_counts_who_meets_whom_by_hand(make_clips):
    clips = spread(make_clips, drives=2, per_drive=3, step_s=8.0)
    drawn = np.array([0, 1, 3, 2, 5, 4, 0])  # the last one fills no batch
    found = mixing(clips, drawn, batch_size=3)
    assert (found.near_share, found.mates) == (pytest.approx(4 / 6), pytest.approx(4 / 6))
    assert found.distance_s == 8.0
    assert mixing(clips, drawn, batch_size=3, batches=2).mates == pytest.approx(2.0)
    assert mixing(clips, drawn, batch_size=1).distance_s == float("inf")


def test_rows_of_a_batch_come_from_more_places_than_at_random_and_a_larger_buffer_mixes_batches(make_clips):
    clips = spread(make_clips, drives=40, per_drive=36)
    random = Order([clip.clip_id for clip in clips], [1.0] * len(clips), 0, "v").epoch(0)
    near = {
        buffer: [
            mixing(clips, order_of(clips, 16, 60.0, buffer).epoch(0), 16, batches).near_share for batches in (1, 8)
        ]
        for buffer in (16, 256, 4096)
    }
    at_random = [mixing(clips, random, 16, batches).near_share for batches in (1, 8)]
    assert near[256][0] <= at_random[0]
    assert near[16][1] > near[256][1] > near[4096][1] >= 0.5 * at_random[1]
    assert near[16][1] > 0.9  # without mixing, batches in a row show the same places
