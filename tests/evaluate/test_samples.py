from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dojo.errors import EvaluationError
from dojo.evaluate.samples import samples_of, shared_with_training
from dojo.records import Clip


def test_anchors_lie_in_the_order_of_clips_and_keep_their_drive(make_clip: Callable[..., Clip]) -> None:
    clips = [make_clip("b", "dz", "v1", anchors=2, speed_mps=5.0), make_clip("a", "da", "v0", anchors=3)]
    samples = samples_of(clips)
    assert samples.clip_ids == ("b", "a")
    assert samples.clip.tolist() == [0, 0, 1, 1, 1]
    assert [samples.drive_ids[i] for i in samples.drive] == ["dz", "dz", "da", "da", "da"]
    assert samples.speed_now_mps.tolist() == [5, 5, 10, 10, 10]


def test_what_is_not_valid_is_never_passed_on(make_clip: Callable[..., Clip]) -> None:
    clip = make_clip(valid_until_s=2.0)
    holed = replace(clip, position_m=np.where(clip.valid[..., None], clip.position_m, np.float32(np.nan)))
    samples = samples_of([holed])
    assert np.isfinite(samples.position_m).all()
    assert (samples.valid == clip.valid).all()


def test_tags_are_marked_per_anchor(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(tags=("curve", "stop"), anchors=1), make_clip(tags=(), anchors=2)])
    assert samples.tags == ("curve", "stop")
    assert samples.tagged.tolist() == [[True, True], [False, False], [False, False]]


def test_rows_can_be_taken_out(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip(anchors=3), make_clip("b", "d1", anchors=2)])
    some = samples.only(np.array([False, False, True, True, False]))
    assert len(some) == 2
    assert [some.drive_ids[i] for i in some.drive] == ["d0", "d1"]


def test_no_clips_are_refused() -> None:
    with pytest.raises(EvaluationError, match="expected at least one clip to evaluate, got none; the split is empty"):
        samples_of([])


def test_sharing_with_training_is_told_by_kind(make_clip: Callable[..., Clip]) -> None:
    here = [make_clip("a", "d0", "v0", tiles=("u1",)), make_clip("b", "d1", "v1", tiles=("u2",))]
    there = [make_clip("c", "d2", "v1", tiles=("u2", "u3"))]
    vehicle, place = shared_with_training(here, there)
    assert vehicle.startswith("1 of 2 vehicles under evaluation also occur in training")
    assert place.startswith("1 of 2 road tiles under evaluation also occur in training")
    assert shared_with_training(here[:1], there) == ()
