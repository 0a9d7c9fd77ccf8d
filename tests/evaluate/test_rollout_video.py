"""Films of rollouts show the lane where it is, say why a rollout failed, and put failures first."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from driven import Circle, LaneKeeper, straight_on

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.draw import FAILED_RGB, LINE_RGB, PLANNED_RGB
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.rollout_video import RolloutStyle, failures_first, rollout_video, to_film
from dojo.records import Goal, Scenario

STYLE = RolloutStyle(scale=1.0)


def rollouts(policy=straight_on, keep_frames=True, curvatures=(0.0, 0.006), **changes):
    cases = [
        Scenario(f"c-{number}", "bends", {"curvature": k}, number, 3.0, **changes)
        for number, k in enumerate(curvatures)
    ]
    return list(drive(cases, Circle(), IdealCar(), policy, RolloutConfig(keep_frames=keep_frames)))


def pictures(film):
    return [frame.to_ndarray(format="rgb24") for frame in av.open(io.BytesIO(film)).decode(video=0)]


def near(picture, rgb, within=60):
    return np.abs(picture.astype(int) - np.array(rgb)).sum(-1) < within


def test_a_film_has_one_picture_for_each_that_the_camera_took():
    (straight, _) = rollouts()
    shown = pictures(rollout_video(straight, STYLE))
    assert len(shown) == len(straight.tick_step)
    assert shown[0].shape == (256 + STYLE.traces_px, 512 + STYLE.panel_px, 3)


def test_lane_and_plan_lie_on_the_road_below_the_horizon_and_from_above():
    straight, bend = rollouts(LaneKeeper())
    ahead, bent = (pictures(rollout_video(rollout, STYLE))[5] for rollout in (straight, bend))
    for rgb in (LINE_RGB, PLANNED_RGB):
        rows, columns = np.nonzero(near(ahead[60:256, :512], rgb))
        assert rows.min() + 60 > 94, "nothing that lies on the road is above the horizon"
        assert abs(columns.mean() - 255.5) < 12
        assert near(ahead[:256, 512:], rgb, 200).any(), "lines are a pixel wide there, and colours at half resolution"
    far = near(bent[97:112, :512], LINE_RGB)
    assert np.nonzero(far)[1].mean() < 200, "a bend to the left leads to the left"


def test_the_last_second_says_why_it_ended_and_a_good_end_says_nothing():
    good, bad = rollouts(curvatures=(0.0, 0.006))
    assert bad.intervention
    head = np.s_[30:54, 256:512]
    assert near(pictures(rollout_video(bad, STYLE))[-1][head], FAILED_RGB, 120).sum() > 30
    assert near(pictures(rollout_video(bad, STYLE))[0][head], FAILED_RGB, 120).sum() == 0
    assert near(pictures(rollout_video(good, STYLE))[-1][head], FAILED_RGB, 120).sum() == 0


def test_the_line_at_the_present_moves_to_the_end():
    (straight, _) = rollouts()
    shown = pictures(rollout_video(straight, STYLE))
    where = [np.nonzero(near(shown[tick][256 + 60], FAILED_RGB, 150))[0].min() for tick in (0, 7, 14)]
    assert where[0] < 60 < where[1] < where[2] < shown[0].shape[1] // 2


def test_failures_come_first_then_what_was_missed():
    done, out = rollouts(curvatures=(0.0, 0.006), keep_frames=False)
    (slow,) = rollouts(curvatures=(0.0,), keep_frames=False, goal=Goal(min_pace=5.0))
    assert failures_first([done, slow, out]) == [out, slow, done]


def test_what_cannot_be_filmed_is_refused():
    (straight, _) = rollouts(keep_frames=False)
    with pytest.raises(
        EvaluationError, match="rollout c-0: expected 1 to 15 frames to film, got 0; drive it with keep_frames"
    ):
        rollout_video(straight)
    with pytest.raises(ConfigError, match=r"expected a scale of 0.5 to 4, .* got scale 9"):
        RolloutStyle(scale=9.0)


def of_suite(suite, curvatures):
    cases = [Scenario(f"{suite}-{number}", suite, {"curvature": k}, number, 2.0) for number, k in enumerate(curvatures)]
    return list(drive(cases, Circle(), IdealCar(), straight_on, RolloutConfig()))


def test_what_is_filmed_is_failures_of_each_suite_in_turns_and_a_quarter_of_what_went_well():
    first, second = of_suite("first", [0.01] * 5 + [0.0] * 3), of_suite("second", [0.01] * 2 + [0.0] * 2)
    every = [*first, *second]
    names = [rollout.scenario.scenario_id for rollout in to_film(every, 8)]
    assert names == ["first-0", "second-0", "first-1", "second-1", "first-2", "first-3", "first-5", "second-2"]
    good = [rollout for rollout in every if not rollout.intervention]
    assert to_film(good, 3) == [first[5], second[2], first[6]]
    assert to_film(every, 0) == []
    assert len(to_film(every[:2], 8)) == 2


def test_who_forgets_on_the_way_what_is_not_chosen_has_in_the_end_what_is():
    every = [*of_suite("a", [0.0, 0.01] * 3), *of_suite("b", [0.01] * 4), *of_suite("c", [0.0] * 4)]
    for count in (1, 3, 4, 7):
        kept = set()
        for number in range(1, len(every) + 1):
            seen = every[:number]
            chosen = {rollout.scenario.scenario_id for rollout in to_film(seen, count)}
            kept = (kept | {seen[-1].scenario.scenario_id}) & chosen
            assert kept == chosen, "nothing is wanted back"


def test_a_film_of_the_last_pictures_is_the_end_of_the_film_of_all():
    (straight, _) = rollouts()
    whole, end = (pictures(rollout_video(straight, STYLE, frames)) for frames in (None, straight.frames[-5:]))
    assert len(end) == 5
    # Encoded with other pictures before it, a picture differs by what encoding costs.
    assert np.abs(end[-1].astype(int) - whole[-1]).mean() < 2
