"""Films of rollouts: what the camera saw with plan and lane, the same from above, and steering and speed over time.

In: a rollout and its pictures. Out: H.264 in MP4; which of many rollouts to film.
Idea: a person should see in a minute how a policy drives and where it fails. The lane is a pair of blue lines, the plan
an orange ribbon, others are boxes; below run what was asked and what was driven, with a line at the present, so that a
lurch in the picture is a spike below it. The last pictures of a rollout that ended badly say why.
Not here: the page that shows them (`closed_loop_page.py`), open-loop clips (`video.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.draw import (
    FAILED_RGB,
    FAINT,
    INK,
    LINE_RGB,
    OTHER_RGB,
    PANEL,
    PLANNED_RGB,
    Colour,
    Picture,
    View,
    dense,
    even,
    fill,
    line,
    metres_ahead,
    mp4_of,
    rgb_of,
    sides,
    write,
)
from dojo.evaluate.driving import missed
from dojo.records import Frame, Rollout

_HEAD_PX = 54
_SAID_S = 1.0  # Assumed: long enough to read why a rollout ended


@dataclass(frozen=True)
class RolloutStyle:
    """How rollouts are filmed.

    Args:
        scale: of the picture. `panel_px`: width of the view from above. `traces_px`: height of the traces.
        reach_m, beside_m: ahead and to each side, as seen from above.
        fps: pictures are taken five times a second.
    """

    scale: float = 1.5
    panel_px: int = 224
    traces_px: int = 132
    reach_m: float = 80.0
    beside_m: float = 14.0
    fps: float = 5.0

    def __post_init__(self) -> None:
        if not (0.5 <= self.scale <= 4 and min(self.panel_px, self.traces_px) >= 60 and self.fps > 0):
            raise ConfigError(
                "rollout style: expected a scale of 0.5 to 4, panels of at least 60 px and a positive fps, got scale "
                f"{self.scale}, panels of {self.panel_px} and {self.traces_px} px and fps {self.fps}"
            )


def failures_first(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """Interventions and contacts, then other cases that were not completed, then the rest; else in their order."""
    return sorted(rollouts, key=lambda rollout: (not rollout.intervention, not missed(rollout)))


def to_film(rollouts: Sequence[Rollout], count: int) -> list[Rollout]:
    """So many of them, failures first, each suite once before any suite twice; a quarter are kept for what went well.

    What is chosen of some rollouts is what would be chosen of them among more, or less, never something else: whoever
    drives them one after another can forget the rest on the way.
    """
    failed = [rollout for rollout in failures_first(rollouts) if missed(rollout)]
    good = [rollout for rollout in rollouts if not missed(rollout)]
    kept_for_good = min(len(good), max(count // 4, count - len(failed)))
    return [*_suites_in_turns(failed)[: count - kept_for_good], *_suites_in_turns(good)[:kept_for_good]]


def _suites_in_turns(rollouts: Sequence[Rollout]) -> list[Rollout]:
    seen: Counter[tuple[bool, str]] = Counter()
    turn = {}
    for rollout in rollouts:
        key = (rollout.intervention, rollout.scenario.suite)
        turn[rollout.scenario.scenario_id] = (not rollout.intervention, seen[key])
        seen[key] += 1
    return sorted(rollouts, key=lambda rollout: turn[rollout.scenario.scenario_id])


def rollout_video(rollout: Rollout, style: RolloutStyle | None = None, frames: Sequence[Frame] | None = None) -> bytes:
    """The film of a rollout.

    Args:
        frames: its last pictures, however many; those that the rollout kept where none are given.

    Raises:
        EvaluationError: there are no pictures, or more than the rollout has moments.
    """
    style, frames = style or RolloutStyle(), rollout.frames if frames is None else frames
    if not 0 < len(frames) <= len(rollout.tick_step):
        raise EvaluationError(
            f"rollout {rollout.scenario.scenario_id}: expected 1 to {len(rollout.tick_step)} frames to film, got "
            f"{len(frames)}; drive it with keep_frames"
        )
    return mp4_of(_pictures(rollout, frames, style), style.fps)


def _pictures(rollout: Rollout, frames: Sequence[Frame], style: RolloutStyle) -> Iterator[Picture]:
    width = even(rollout.camera.width_px * style.scale) + even(style.panel_px)
    traces = _traces(rollout, (width, even(style.traces_px)))
    first = len(rollout.tick_step) - len(frames)
    for tick, frame in enumerate(frames, start=first):
        above = np.concatenate([_camera_view(rollout, tick, frame, style), _top_view(rollout, tick, style)], 1)
        yield np.concatenate([above, _with_present(traces, rollout, tick)])


# What was seen.


def _camera_view(rollout: Rollout, tick: int, frame: Frame, style: RolloutStyle) -> Picture:
    size = (even(rollout.camera.width_px * style.scale), even(rollout.camera.height_px * style.scale))
    picture = np.asarray(cv2.resize(rgb_of(frame), size, interpolation=cv2.INTER_CUBIC))
    view = View(rollout.camera, style.scale, size, style.reach_m, style.beside_m)
    _paint(picture, view, rollout, tick, style.reach_m)
    picture[:_HEAD_PX] = (picture[:_HEAD_PX] * 0.45).astype(np.uint8)  # texts are read before any sky
    step = rollout.tick_step[tick]
    said = f"{rollout.scenario.scenario_id}   {rollout.times_s[step]:.1f} s   {3.6 * rollout.speed_mps[step]:.0f} km/h"
    write(picture, said, (12, 24), 0.55)
    offset_m = float(rollout.offset_m[step])
    write(picture, f"{abs(offset_m):.2f} m {'left' if offset_m > 0 else 'right'} of the centre", (12, 44), 0.45)
    reasons = missed(rollout)
    if reasons and rollout.times_s[-1] - rollout.times_s[step] <= _SAID_S:
        write(picture, "; ".join(reasons), (picture.shape[1] // 2, 44), 0.6, FAILED_RGB)
    return picture


def _top_view(rollout: Rollout, tick: int, style: RolloutStyle) -> Picture:
    height = even(rollout.camera.height_px * style.scale)
    picture = np.full((height, even(style.panel_px), 3), PANEL, np.uint8)
    view = View(None, 1.0, (picture.shape[1], height), style.reach_m, style.beside_m)
    metres_ahead(picture, view)
    _paint(picture, view, rollout, tick, style.reach_m)
    plant = rollout.scenario.plant
    middle_m = plant.length_m / 2 - plant.rear_overhang_m
    _box(picture, view, np.array([middle_m, 0.0, 0.0, plant.length_m, plant.width_m]), INK)
    for other in rollout.others_m[tick].astype(np.float64):
        if -10.0 < other[0] < style.reach_m and abs(other[1]) < style.beside_m:
            _box(picture, view, other, OTHER_RGB)
    return picture


def _paint(picture: Picture, view: View, rollout: Rollout, tick: int, reach_m: float) -> None:
    """Lane and plan; the plan in force where none was made from this picture."""
    thin = 1 if view.camera is None else 2
    lane = dense(rollout.centre_m[tick][rollout.centre_valid[tick]], reach_m)
    if len(lane) >= 2:
        half_m = float(rollout.lane_width_m[rollout.tick_step[tick]]) / 2
        for edge in sides(lane, np.full(len(lane), half_m)):
            line(picture, view, edge, LINE_RGB, thin, 0.9)
    made = np.flatnonzero(rollout.answered[: tick + 1])
    if len(made):
        plan = dense(rollout.plans.best()[made[-1]], reach_m)
        fill(picture, view, plan, np.full(len(plan), rollout.scenario.plant.width_m / 4), PLANNED_RGB, 0.4)
        line(picture, view, plan, PLANNED_RGB, thin, 1.0)


def _box(picture: Picture, view: View, body: Float64[np.ndarray, "5"], colour: Colour) -> None:
    """A body: x, y of its middle, yaw, length, width."""
    x, y, yaw, length, width = body.tolist()
    ahead, left = np.array([np.cos(yaw), np.sin(yaw), 0.0]), np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    corners = np.stack([ahead * i * length / 2 + left * j * width / 2 for i, j in ((1, 1), (1, -1), (-1, -1), (-1, 1))])
    pixels, _ = view.pixels(corners + np.array([x, y, 0.0]))
    cv2.fillPoly(picture, [np.round(pixels).astype(np.int32)], colour, cv2.LINE_AA)


# What was asked and driven.


def _traces(rollout: Rollout, size: tuple[int, int]) -> Picture:
    """Steering on the left, speed on the right, over the whole rollout."""
    width, height = size
    picture = np.full((height, width, 3), PANEL, np.uint8)
    moving = np.maximum(rollout.speed_mps, 1.0)
    driven = np.where(rollout.speed_mps > 1.0, rollout.yaw_rate_radps / moving, 0.0)
    bend = 1000 * np.stack([rollout.asked_curvature_per_m, driven, rollout.curvature_per_m])
    speed = 3.6 * np.stack([rollout.reference_mps, rollout.speed_mps])
    half = width // 2
    _chart(picture[:, :half], rollout.times_s, bend, (PLANNED_RGB, INK, LINE_RGB), 5.0)
    _chart(picture[:, half:], rollout.times_s, speed, (LINE_RGB, INK), 20.0)
    turn = (("turn, 1/km", FAINT), ("asked", PLANNED_RGB), ("driven", INK), ("lane", LINE_RGB))
    pace = (("speed, km/h", FAINT), ("driven", INK), ("a human's", LINE_RGB))
    for begin, words in ((10, turn), (half + 10, pace)):
        for number, (word, colour) in enumerate(words):
            write(picture, word, (begin + 95 * number, 16), 0.4, colour)
    return picture


def _chart(
    picture: Picture,
    times_s: Float64[np.ndarray, " steps"],
    curves: Float64[np.ndarray, "curves steps"],
    colours: Sequence[Colour],
    least_span: float,
) -> None:
    """Curves over time, all on one scale, which is written at its ends."""
    low, high = float(curves.min()), float(curves.max())
    spare = max(0.0, least_span - (high - low)) / 2
    low, high = low - spare, high + spare
    top, bottom = 26, picture.shape[0] - 10
    columns = _columns(times_s, times_s, picture.shape[1])
    for curve, colour in zip(curves, colours, strict=True):
        rows = bottom - (curve - low) / (high - low) * (bottom - top)
        points = np.round(np.stack([columns, rows], -1)).astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 1, cv2.LINE_AA)
    write(picture, f"{high:.0f}", (6, top + 4), 0.36, FAINT)
    write(picture, f"{low:.0f}", (6, bottom + 4), 0.36, FAINT)


def _columns(
    at_s: Float64[np.ndarray, " n"], times_s: Float64[np.ndarray, " steps"], width: int
) -> Float64[np.ndarray, " n"]:
    """Where times lie in a chart of a width."""
    left, right = 40, width - 10
    return left + (at_s - times_s[0]) / max(float(times_s[-1] - times_s[0]), 1e-9) * (right - left)


def _with_present(traces: Picture, rollout: Rollout, tick: int) -> Picture:
    """The traces with a line at the time of a picture."""
    picture, half = traces.copy(), traces.shape[1] // 2
    now_s = rollout.times_s[rollout.tick_step[tick]][None]
    for begin, width in ((0, half), (half, traces.shape[1] - half)):
        column = begin + round(float(_columns(now_s, rollout.times_s, width)[0]))
        cv2.line(picture, (column, 22), (column, picture.shape[0] - 4), FAILED_RGB, 1)
    return picture
