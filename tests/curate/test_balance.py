"""Weights make rare moments frequent, standing still rare, and cost no more samples than they must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.curate import CurateConfig, balance, effective_sample_size


def weights(clips):
    return np.array([clip.weight for clip in clips])


def test_training_weights_have_mean_one_validation_weighs_one_and_excluded_nothing(make_clip):
    clips = [make_clip(f"a{i}", speed_mps=5.0 + 3 * i) for i in range(8)]
    clips += [make_clip("v", split="validation"), make_clip("x", split="excluded")]
    found = weights(balance(clips, CurateConfig()))
    assert found[:8].mean() == pytest.approx(1)
    assert list(found[8:]) == [1, 0]


def test_a_rare_curve_is_drawn_more_often_by_the_root_of_its_rarity(make_clip):
    clips = [make_clip(f"s{i}") for i in range(80)] + [make_clip(f"c{i}", curvature_per_m=0.01) for i in range(20)]
    found = weights(balance(clips, CurateConfig()))
    assert found[-1] / found[0] == pytest.approx(2)


def test_left_and_right_curves_are_apart_but_straights_are_not(make_clip):
    left = [make_clip(f"l{i}", curvature_per_m=0.01) for i in range(10)]
    right = [make_clip(f"r{i}", curvature_per_m=-0.01) for i in range(40)]
    straight = [make_clip(f"s{i}", curvature_per_m=1e-5 * (-1) ** i) for i in range(50)]
    found = weights(balance(left + right + straight, CurateConfig()))
    assert found[0] / found[10] == pytest.approx(2)
    assert len(set(found[50:])) == 1


def test_standing_still_is_capped_at_its_share(make_clip):
    standing = [make_clip(f"s{i}", tags=("standstill",), speed_mps=0.0) for i in range(60)]
    moving = [make_clip(f"m{i}", tags=("straight",)) for i in range(40)]
    found = weights(balance(standing + moving, CurateConfig(standstill_share=0.1)))
    assert found[:60].sum() / found.sum() == pytest.approx(0.1)


def test_little_standstill_is_left_alone_and_nothing_but_standstill_too(make_clip):
    standing = [make_clip(f"s{i}", tags=("standstill",), speed_mps=0.0) for i in range(3)]
    assert np.allclose(weights(balance(standing, CurateConfig())), 1)


def test_manoeuvres_are_boosted(make_clip):
    clips = [make_clip(f"s{i}") for i in range(9)] + [make_clip("l", tags=("lane_change",))]
    found = weights(balance(clips, CurateConfig(manoeuvre_boost=3.0)))
    assert found[-1] / found[0] == pytest.approx(3)


def test_no_clip_is_drawn_beyond_the_limit(make_clip):
    clips = [make_clip(f"s{i}") for i in range(999)] + [make_clip("c", curvature_per_m=0.01)]
    found = weights(balance(clips, CurateConfig(max_weight_ratio=4.0)))
    assert found[-1] / found[0] == pytest.approx(4)


def test_without_tempering_the_natural_mix_stays(make_clip):
    clips = [make_clip(f"s{i}") for i in range(9)] + [make_clip("c", curvature_per_m=0.01)]
    assert np.allclose(weights(balance(clips, CurateConfig(tempering=0.0))), 1)


def test_the_effective_sample_size_is_kish_s(make_clip):
    clips = balance([make_clip(f"s{i}") for i in range(7)], CurateConfig())
    assert effective_sample_size(clips) == pytest.approx(7)
    assert effective_sample_size([]) == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 40), st.floats(-0.05, 0.05), st.booleans(), st.sampled_from(["train", "validation"])),
        min_size=1,
        max_size=40,
    )
)
def test_weights_are_always_finite_positive_and_of_mean_one(make_clip, rows):
    clips = [
        make_clip(f"c{i}", speed_mps=v, curvature_per_m=k, tags=("standstill",) if still else (), split=side)
        for i, (v, k, still, side) in enumerate(rows)
    ]
    made = balance(clips, CurateConfig())
    training = [clip.weight for clip in made if clip.split == "train"]
    assert all(weight > 0 for weight in training)
    if training:
        assert np.mean(training) == pytest.approx(1)
        assert 1 <= effective_sample_size(made) <= len(training) + 1e-9
