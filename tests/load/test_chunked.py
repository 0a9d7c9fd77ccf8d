"""In stretches, every frame is asked for once and lands in its batches; ranks, stops and threads change nothing."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError, RecordError
from dojo.load import NO_AUGMENT, AugmentConfig, LoadConfig, Loader, RecoverConfig
from dojo.load.lanes import Pages
from dojo.records import Batch, Frame

PLAIN = LoadConfig(batch_size=4, order="chunked", stretch_s=8e-6, buffer=8, workers=0, augment=NO_AUGMENT)


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


def first(loader, count, state=None):
    batches = loader.batches(state)
    found = list(islice(batches, count))
    batches.close()
    return found


@pytest.fixture(scope="module")
def flowing(numbers):
    """A source that hands out one frame at a time, in memory that it uses again, as a decoder may."""

    class Flowing(numbers):
        def __init__(self, **options):
            super().__init__(**options)
            self.seen = Counter()

        def each_frame(self, drive_id, camera, indices):
            assert (np.diff(indices) > 0).all()
            planes = np.zeros((256, 512), np.uint8), np.zeros((128, 256), np.uint8), np.zeros((128, 256), np.uint8)
            for frame in self.frames(drive_id, camera, indices):
                self.seen[drive_id, int(frame.timestamp_ns)] += 1
                for plane, value in zip(planes, (frame.y, frame.u, frame.v), strict=True):
                    plane[:] = value
                yield Frame(frame.timestamp_ns, *planes)

    return Flowing


def test_batches_hold_what_the_same_clips_hold_when_each_is_decoded_alone(make_clips, cameras, flowing, numbers):
    clips = make_clips(23)
    alone = Loader(clips, cameras, numbers(), replace(PLAIN, order="random", batch_size=23), "v")
    ((together, _),) = first(alone, 1)
    frames = dict(zip(together.clip_ids, together.frames, strict=True))
    for batch, _ in first(Loader(clips, cameras, flowing(), PLAIN, "v"), 11):
        for row, name in enumerate(batch.clip_ids):
            clip = next(clip for clip in clips if clip.clip_id == name)
            assert np.array_equal(batch.frames[row], frames[name])
            assert np.array_equal(batch.position_m[row], clip.position_m)


def test_an_epoch_asks_for_each_frame_once_but_for_those_that_two_stretches_share(make_clips, cameras, flowing):
    clips = [
        replace(clip, drive_id=f"d{number // 10}", frame_indices=np.arange(3) + 2 * (number % 10))
        for number, clip in enumerate(make_clips(40))
    ]
    source = flowing()
    config = replace(PLAIN, stretch_s=1.0)  # a drive is one stretch
    loader = Loader(clips, cameras, source, config, "v")
    drawn = [name for batch, _ in first(loader, 10) for name in batch.clip_ids]
    assert sorted(drawn) == sorted(clip.clip_id for clip in clips)
    assert drawn == [clips[index].clip_id for index in loader.order(0)]
    assert set(source.seen) == {(f"d{drive}", index) for drive in range(4) for index in range(21)}
    # Four stretches of ten draws make four lanes of ten: none is cut, and every frame is decoded once.
    assert set(source.seen.values()) == {1}


@pytest.mark.parametrize("augment", [NO_AUGMENT, AugmentConfig()])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_any_number_of_ranks_see_the_same_global_batches(make_clips, cameras, flowing, ranks, augment):
    clips, alone = make_clips(11, anchors=1), replace(PLAIN, augment=augment)
    whole = first(Loader(clips, cameras, flowing(), alone, "v"), 7)
    sources = [flowing() for _ in range(ranks)]
    parts = [
        first(Loader(clips, cameras, sources[rank], replace(alone, rank=rank, ranks=ranks), "v"), 7)
        for rank in range(ranks)
    ]
    for step, (batch, state) in enumerate(whole):
        assert {part[step][1] for part in parts} == {state}
        for rank in range(ranks):
            piece = parts[rank][step][0]
            assert piece.clip_ids == batch.clip_ids[rank::ranks]
            assert np.array_equal(piece.frames, batch.frames[rank::ranks])


def test_a_rank_decodes_its_lanes_alone(make_clips, cameras, flowing):
    clips = [replace(clip, drive_id=f"d{number // 10}") for number, clip in enumerate(make_clips(40))]
    sources = [flowing(), flowing()]
    for rank, source in enumerate(sources):
        config = replace(PLAIN, stretch_s=1.0, rank=rank, ranks=2)
        first(Loader(clips, cameras, source, config, "v"), 10)
    asked = [{drive for drive, _ in source.seen} for source in sources]
    assert not asked[0] & asked[1]
    assert asked[0] | asked[1] == {"d0", "d1", "d2", "d3"}


@settings(max_examples=12, deadline=None)
@given(
    stop=st.integers(0, 12),
    workers=st.integers(0, 3),
    seed=st.integers(0, 9),
    buffer=st.integers(1, 40),
    ranks=st.integers(1, 3),
)
def test_from_any_state_on_any_number_of_ranks_the_rest_is_the_same(
    make_clips, cameras, flowing, stop, workers, seed, buffer, ranks
):
    clips = make_clips(8, anchors=1, weights=[0.2, 3.0, 1.0, 1.0, 0.5, 0.3, 1.0, 1.0])
    config = replace(PLAIN, workers=workers, seed=seed, batch_size=3, buffer=buffer)
    whole = first(Loader(clips, cameras, flowing(), config, "v"), 15)
    state = whole[stop - 1][1] if stop else None
    for rank in range(ranks):
        part = replace(config, rank=rank, ranks=ranks)
        again = first(Loader(clips[::-1], cameras, flowing(), part, "v"), 15 - stop, state)
        for (batch, after), (piece, theirs) in zip(whole[stop:], again, strict=True):
            assert theirs == after
            assert piece.clip_ids == batch.clip_ids[rank::ranks]
            assert np.array_equal(piece.frames, batch.frames[rank::ranks])


@pytest.mark.parametrize("recover", [RecoverConfig(), RecoverConfig(share=0.5)])
def test_threads_displacement_and_augmentation_give_what_one_thread_gives(make_clips, cameras, flowing, recover):
    clips = make_clips(12, anchors=1)
    config = replace(PLAIN, augment=AugmentConfig(), recover=recover)
    alone = first(Loader(clips, cameras, flowing(), config, "v"), 7)
    slow = flowing(delay_s=0.002)
    together = first(Loader(clips, cameras, slow, replace(config, workers=3), "v"), 7)
    assert all(same(a, b) for (a, _), (b, _) in zip(alone, together, strict=True))
    assert all(name.startswith("dojo-load") for name in slow.threads)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dojo-load")]


@pytest.mark.parametrize("order", ["random", "chunked"])
@pytest.mark.parametrize("recover", [RecoverConfig(), RecoverConfig(share=0.5)])
def test_rows_that_are_asked_for_are_those_of_the_whole_picture_and_others_stay_zero(
    make_clips, cameras, numbers, order, recover
):
    class Sloped(numbers):
        """Each pixel says where it is, slowly enough for the warp to say it of places between pixels."""

        def frames(self, drive_id, camera, indices):
            y, u = (np.add.outer(np.arange(rows) * 0.6 + 20, np.arange(2 * rows) * 0.15) for rows in (256, 128))
            planes = [plane.astype(np.uint8) for plane in (y, u, u[::-1])]
            return [Frame(frame.timestamp_ns, *planes) for frame in super().frames(drive_id, camera, indices)]

    clips, config = make_clips(8), replace(PLAIN, order=order, recover=recover)
    other_light = AugmentConfig(mirror=0.5, noise=0.0, blind=0.0)
    for augment, allowed in ((NO_AUGMENT, 1 if recover.share else 0), (other_light, 2 if recover.share else 0)):
        made = replace(config, augment=augment)
        whole = first(Loader(clips, cameras, Sloped(), made, "v"), 3)
        some = first(Loader(clips, cameras, Sloped(), made, "v", rows=(32, 96)), 3)
        for (all_rows, _), (banded, _) in zip(whole, some, strict=True):
            # What is hidden spreads by a pixel, but not into the band from a row that is not made.
            seen = banded.frames[:, :, :, 33:95].astype(int)
            assert np.abs(seen - all_rows.frames[:, :, :, 33:95]).max() <= allowed
            assert not banded.frames[:, :, :, :32].any()
            assert not banded.frames[:, :, :, 96:].any()
            assert np.array_equal(banded.position_m, all_rows.position_m)


def test_both_orders_draw_the_same_clips_of_an_epoch(make_clips, cameras, numbers):
    clips = make_clips(30, weights=[float(1 + number % 4) for number in range(30)])
    chunked, random = (Loader(clips, cameras, numbers(), replace(PLAIN, order=o), "v") for o in ("chunked", "random"))
    assert Counter(chunked.order(3).tolist()) == Counter(random.order(3).tolist())
    assert chunked.order(3).tolist() != chunked.order(4).tolist()
    assert chunked.start.order != random.start.order


@pytest.mark.parametrize("change", [{"batch_size": 8}, {"stretch_s": 1.0}, {"buffer": 80}, {"seed": 1}])
def test_settings_that_change_the_order_change_its_name(make_clips, cameras, numbers, change):
    old = Loader(make_clips(9), cameras, numbers(), PLAIN, "v").start
    with pytest.raises(ConfigError, match=r"expected a state of order \w+ within 9 draws"):
        Loader(make_clips(9), cameras, numbers(), replace(PLAIN, **change), "v").batches(old)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_source_is_raised_and_ends_the_threads(make_clips, cameras, flowing, workers):
    clips = make_clips(9, anchors=1)
    loader = Loader(clips, cameras, flowing(fail_on="d3"), replace(PLAIN, workers=workers), "v")
    with pytest.raises(OSError, match="d3 is gone"):
        first(loader, 9)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dojo-load")]


def test_a_source_that_gives_too_few_frames_is_named(make_clips, cameras, flowing):
    class Short(flowing):
        def each_frame(self, drive_id, camera, indices):
            return islice(super().each_frame(drive_id, camera, indices), len(indices) - 1)

    with pytest.raises(RecordError, match=r"clip clip\d+ and those after it: expected \d+ frames .* the source gave"):
        first(Loader(make_clips(6), cameras, Short(), PLAIN, "v"), 2)


def test_memory_is_used_again_only_once_nobody_holds_any_part_of_it():
    pages = Pages((2, 3, 6, 4, 4))
    array = pages.get(0)
    array[:] = 7
    part, address = array[1, 2][:, 1:], array.ctypes.data
    del array
    other = pages.get(0)
    assert other.ctypes.data != address
    other[:] = 9
    assert (part == 7).all()
    del part
    assert pages.get(0).ctypes.data == address


def test_a_buffer_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"stretch_s above 0 and buffer at least 1, got 0.0 and 0"):
        LoadConfig(stretch_s=0.0, buffer=0)
