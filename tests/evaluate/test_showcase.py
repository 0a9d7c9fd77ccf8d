from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dojo.evaluate.baselines import constant_velocity
from dojo.evaluate.samples import samples_of
from dojo.evaluate.showcase import clip_scores, ranking_time_s, showcase
from dojo.records import Clip


def test_failures_come_first_then_typical_then_best(make_clip: Callable[..., Clip]) -> None:
    bends = [0.30, 0.0, 0.10, 0.12, 0.14, 0.28, 0.02]
    samples = samples_of([make_clip(f"c{i}", f"d{i}", yaw_rate_radps=bend) for i, bend in enumerate(bends)])
    shown = showcase(samples, constant_velocity(samples), of_each=2)
    assert [e.kind for e in shown] == ["failure"] * 2 + ["typical"] * 2 + ["best"] * 2
    assert [e.clip_id for e in shown if e.kind == "failure"] == ["c0", "c5"]
    assert [e.clip_id for e in shown if e.kind == "best"] == ["c1", "c6"]
    assert {e.clip_id for e in shown if e.kind == "typical"} < {"c2", "c3", "c4"}
    assert shown[0].score_m > shown[2].score_m > shown[4].score_m


def test_one_bad_drive_does_not_fill_the_page(make_clip: Callable[..., Clip]) -> None:
    clips = [make_clip(f"a{i}", "bad", yaw_rate_radps=0.4) for i in range(4)]
    clips += [make_clip(f"b{i}", f"good{i}", yaw_rate_radps=0.1 * i / 4) for i in range(4)]
    samples = samples_of(clips)
    drives = [samples.clip_ids[e.clip][0] for e in showcase(samples, constant_velocity(samples)) if e.kind == "failure"]
    assert drives == ["a", "b"]


def test_few_clips_are_shown_once_and_unjudgeable_ones_never(make_clip: Callable[..., Clip]) -> None:
    samples = samples_of([make_clip("ok"), make_clip("short", valid_until_s=1.0)])
    plans = constant_velocity(samples)
    assert [e.clip_id for e in showcase(samples, plans)] == ["ok"]
    assert clip_scores(samples, plans)[0] == pytest.approx(0.0, abs=1e-5)
    assert np.isnan(clip_scores(samples, plans)[1])


def test_recordings_too_short_for_three_seconds_are_ranked_at_the_last_time_that_is_known(
    make_clip: Callable[..., Clip],
) -> None:
    bends = [0.0, 0.3, 0.1]
    samples = samples_of(
        [make_clip(f"c{i}", f"d{i}", yaw_rate_radps=b, valid_until_s=1.0) for i, b in enumerate(bends)]
    )
    shown = showcase(samples, constant_velocity(samples), of_each=1)
    assert [e.clip_id for e in shown] == ["c1", "c2", "c0"]
    assert {e.time_s for e in shown} == {ranking_time_s(samples)}
    assert 0.8 < ranking_time_s(samples) <= 1.0


def test_clips_of_which_nothing_is_known_are_not_shown(make_clip: Callable[..., Clip]) -> None:
    nothing = samples_of([make_clip(valid_until_s=0.0)])
    assert showcase(nothing, constant_velocity(nothing)) == []
