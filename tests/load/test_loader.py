"""The loader gives the same batches to any number of ranks, from any state, however its threads race."""

from __future__ import annotations

import json
import threading
from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError, RecordError
from dojo.geometry import MODEL_VIEW, Camera
from dojo.load import NO_AUGMENT, AugmentConfig, LoadConfig, Loader, LoaderState, cameras_of, in_order, pack
from dojo.records import DESIRES, Batch

PLAIN = LoadConfig(batch_size=4, workers=0, augment=NO_AUGMENT)


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


def first(loader, count, state=None):
    batches = loader.batches(state)
    found = list(islice(batches, count))
    batches.close()
    return found


def test_a_batch_holds_what_its_clips_hold(make_clips, cameras, numbers):
    clips = make_clips(9)
    ((batch, state),) = first(Loader(clips, cameras, numbers(), PLAIN, "v"), 1)
    for row, name in enumerate(batch.clip_ids):
        clip = next(clip for clip in clips if clip.clip_id == name)
        expected = np.stack([pack(numbers.frame(clip.drive_id, int(index))) for index in clip.frame_indices])
        assert np.array_equal(batch.frames[row], expected)
        for field in ("position_m", "yaw_rad", "speed_mps", "valid", "curvature_per_m", "ego_rates", "action_valid"):
            assert np.array_equal(getattr(batch, field)[row], getattr(clip, field))
        assert np.array_equal(batch.speed_now_mps[row], clip.speed_mps[:, 0])
        assert np.array_equal(batch.desire[row].argmax(1), clip.desire)
        assert batch.traffic_right[row] == ("traffic_left" not in clip.tags)
        assert batch.camera_height_m[row] == pytest.approx(1.3)
    assert batch.desire.shape == (4, 2, len(DESIRES))
    assert (batch.desire.sum(2) == 1).all()
    assert (state.epoch, state.position) == (0, 4)


def test_an_epoch_has_as_many_draws_as_clips_and_batches_run_on_across_its_end(make_clips, cameras, numbers):
    loader = Loader(make_clips(6), cameras, numbers(), PLAIN, "v")
    found = first(loader, 3)
    names = [name for batch, _ in found for name in batch.clip_ids]
    assert sorted(names[:6]) == sorted(names[6:])
    assert [(state.epoch, state.position) for _, state in found] == [(0, 4), (1, 2), (2, 0)]
    assert names[:6] == [f"clip{index:03d}" for index in loader.order(0)]


@pytest.mark.parametrize("augment", [NO_AUGMENT, AugmentConfig()])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_any_number_of_ranks_see_the_same_global_batches(make_clips, cameras, numbers, ranks, augment):
    clips = make_clips(11, anchors=1)
    alone = replace(PLAIN, augment=augment)
    whole = first(Loader(clips, cameras, numbers(), alone, "v"), 4)
    parts = [
        first(Loader(clips, cameras, numbers(), replace(alone, rank=rank, ranks=ranks), "v"), 4)
        for rank in range(ranks)
    ]
    for step, (batch, state) in enumerate(whole):
        assert {part[step][1] for part in parts} == {state}
        for rank in range(ranks):
            piece = parts[rank][step][0]
            assert piece.clip_ids == batch.clip_ids[rank::ranks]
            assert np.array_equal(piece.frames, batch.frames[rank::ranks])
            assert np.array_equal(piece.position_m, batch.position_m[rank::ranks])


@settings(max_examples=15, deadline=None)
@given(stop=st.integers(0, 12), workers=st.integers(0, 3), seed=st.integers(0, 9))
def test_from_any_state_the_rest_of_the_batches_is_the_same(make_clips, cameras, numbers, stop, workers, seed):
    clips = make_clips(7, anchors=1, weights=[0.2, 3.0, 1.0, 1.0, 0.5, 0.3, 1.0])
    config = replace(PLAIN, workers=workers, seed=seed, batch_size=3)
    loader = Loader(clips, cameras, numbers(), config, "v")
    whole = first(loader, 15)
    state = loader.start if stop == 0 else whole[stop - 1][1]
    written = LoaderState.from_json(json.loads(json.dumps(state.as_json())))
    again = first(Loader(clips[::-1], cameras, numbers(), config, "v"), 15 - stop, written)
    assert all(same(a, b) and s == t for (a, s), (b, t) in zip(whole[stop:], again, strict=True))


def test_a_run_goes_on_at_any_sample_with_another_batch_size(make_clips, cameras, numbers):
    clips = make_clips(10, anchors=1)
    small, large = (Loader(clips, cameras, numbers(), replace(PLAIN, batch_size=size), "v") for size in (3, 5))
    names = [name for batch, _ in first(small, 10) for name in batch.clip_ids]
    after = first(small, 1)[-1][1]
    assert [name for batch, _ in first(large, 4, after) for name in batch.clip_ids] == names[3:23]


def test_threads_change_nothing_but_who_decodes(make_clips, cameras, numbers):
    clips = make_clips(12, anchors=1)
    alone = first(Loader(clips, cameras, numbers(), replace(PLAIN, augment=AugmentConfig()), "v"), 6)
    slow = numbers(delay_s=0.002)
    config = replace(PLAIN, augment=AugmentConfig(), workers=3)
    together = first(Loader(clips, cameras, slow, config, "v"), 6)
    assert all(same(a, b) for (a, _), (b, _) in zip(alone, together, strict=True))
    assert all(name.startswith("dojo-load") for name in slow.threads)


def test_closing_the_iterator_ends_the_threads_and_little_was_made_ahead(make_clips, cameras, numbers):
    source = numbers()
    batches = Loader(make_clips(20), cameras, source, replace(PLAIN, workers=2, prefetch=3), "v").batches()
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dojo-load")]
    assert len(source.asked) <= 4 * (1 + 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_the_source_comes_where_its_batch_would(make_clips, cameras, numbers, workers):
    clips = [replace(clip, drive_id="d0") for clip in make_clips(3)] + [replace(make_clips(4)[3], drive_id="d1")]
    loader = Loader(clips, cameras, numbers(fail_on="d1"), replace(PLAIN, batch_size=1, workers=workers), "v")
    before = [clips[index].drive_id for index in loader.order(0)].index("d1")
    batches = loader.batches()
    for _ in range(before):
        next(batches)
    with pytest.raises(OSError, match="d1 is gone"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dojo-load")]


def test_a_state_of_another_order_is_refused(make_clips, cameras, numbers):
    old = Loader(make_clips(4), cameras, numbers(), PLAIN, "v").start
    with pytest.raises(ConfigError, match=r"expected a state of order \w+ within 4 draws.*start a new run, or restore"):
        Loader(make_clips(4), cameras, numbers(), PLAIN, "w").batches(old)


def test_every_missing_camera_and_unequal_clip_is_refused_before_anything_is_read(make_clips, cameras, numbers):
    with pytest.raises(ConfigError, match=r"5 are missing, the first \('d0', 'front'\); pass cameras_of"):
        Loader(make_clips(9), {}, numbers(), PLAIN, "v")
    with pytest.raises(ConfigError, match=r"equally many anchors, got \[1, 2\]"):
        Loader(
            make_clips(2) + [replace(c, clip_id="x") for c in make_clips(1, anchors=1)], cameras, numbers(), PLAIN, "v"
        )


def test_a_source_that_gives_too_few_frames_is_named(make_clips, cameras, numbers):
    class Short(numbers):
        def frames(self, drive_id, camera, indices):
            return super().frames(drive_id, camera, indices)[:-1]

    with pytest.raises(RecordError, match=r"clip clip\d+: expected 3 frames of camera 'front' of drive d\d, .* gave 2"):
        first(Loader(make_clips(3), cameras, Short(), PLAIN, "v"), 1)


def test_a_stream_in_another_view_is_resampled_into_the_model_s(make_clips, numbers):
    wide = Camera.mounted(1024, 512, 910.0, position_m=(1.4, 0.0, 1.9))

    class Wide(numbers):
        def frames(self, drive_id, camera, indices):
            frame = super().frame(drive_id, 0)
            rows = np.repeat(np.linspace(20, 220, 512).astype(np.uint8)[:, None], 1024, 1)
            return [
                replace(frame, y=rows, u=np.full((256, 512), 90, np.uint8), v=np.full((256, 512), 150, np.uint8))
            ] * len(indices)

    batch = next(in_order(make_clips(1), {("d0", "front"): wide}, Wide(), workers=0))
    assert batch.frames.shape == (1, 3, 6, 128, 256)
    assert batch.camera_height_m[0] == pytest.approx(1.9)
    # The horizon: row 255.5 of the wide picture becomes row 95.5, between channel rows 47 and 48.
    assert abs(int(batch.frames[0, 0, 0, 48, 128]) - 120) <= 2
    assert (batch.frames[0, 0, 4, 10:70, 100:150] == 90).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_in_order_gives_every_clip_once_in_order_and_unchanged(make_clips, cameras, numbers, workers):
    clips = make_clips(7)
    batches = list(in_order(clips, cameras, numbers(), 3, workers=workers))
    assert [len(batch.clip_ids) for batch in batches] == [3, 3, 1]
    assert [name for batch in batches for name in batch.clip_ids] == [clip.clip_id for clip in clips]
    assert np.array_equal(
        np.concatenate([batch.position_m for batch in batches]), np.stack([c.position_m for c in clips])
    )
    assert list(in_order([], cameras, numbers())) == []


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match=r"got rank 2 of 2 and batches of 16"):
        LoadConfig(rank=2, ranks=2)
    with pytest.raises(ConfigError, match=r"every rank needs at least one clip"):
        LoadConfig(batch_size=2, ranks=3)
    with pytest.raises(ConfigError, match=r"got -1 and 0"):
        LoadConfig(workers=-1, prefetch=0)


def test_cameras_come_from_the_streams_of_drives():
    assert cameras_of([]) == {}
    assert MODEL_VIEW.ego_from_camera.translation_m[2] == pytest.approx(1.3)
