"""What reprojection makes of a recording, to look at and in figures.

In: a recorded line and its frames. Out: a sheet of pictures from beside the line, and how near the picture from on the
line comes to the recording.
Idea: at no offset the warp must give back what was recorded, but for what resampling costs, and that can be measured.
Elsewhere nobody recorded what is right, so a person must look: the recorded line, drawn where it lies from each place,
must stay on the same strip of road.
Not here: the warp (`geometry/reproject.py`), rollouts on recordings (`replay.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Int64

from dojo.evaluate.draw import LINE_RGB, Picture, View, dense, line, rgb_of, write
from dojo.evaluate.replay import Frames, Place, RecordedLine, ReplayCamera
from dojo.geometry import Rigid

_REACH_M, _GAP_PX, _HEAD_PX = 60.0, 4, 22


@dataclass(frozen=True)
class Fidelity:
    """How near pictures from on the line come to the recording, in steps of 8-bit luma.

    Args:
        mean, most: difference over all pixels that both show, and the largest.
        shown: share of the picture that is not hidden.
        pictures: how many were compared.
    """

    mean: float
    most: int
    shown: float
    pictures: int


def moments(recorded: RecordedLine, count: int) -> Int64[np.ndarray, " moments"]:
    """Numbers of so many frames, evenly spread over the line."""
    return np.unique(np.linspace(0, len(recorded) - 1, count + 2).round().astype(np.int64)[1:-1])


def _beside(recorded: RecordedLine, number: int, offset_m: float) -> Place:
    return Place(
        number=number,
        time_ns=int(recorded.timestamps_ns[number]),
        along_m=float(recorded.along_m[number]),
        forward_m=0.0,
        lateral_m=offset_m,
        yaw_rad=0.0,
    )


def fidelity(recorded: RecordedLine, source: Frames, count: int = 5) -> Fidelity:
    """How near the picture at no offset comes to what was recorded."""
    camera = ReplayCamera(recorded, source)
    totals, most, shown = [], 0, []
    for number in moments(recorded, count).tolist():
        place = _beside(recorded, number, 0.0)
        seen = ~camera.hidden(place).repeat(2, 0).repeat(2, 1)
        apart = np.abs(camera.picture(place).y.astype(int) - camera.recorded(number).y)[seen]
        totals.append(float(apart.mean()))
        most = max(most, int(apart.max()))
        shown.append(float(seen.mean()))
    return Fidelity(float(np.mean(totals)), most, float(np.mean(shown)), len(totals))


def sheet(
    recorded: RecordedLine, source: Frames, offsets_m: Sequence[float], count: int = 3, scale: float = 0.75
) -> Picture:
    """Moments of a recording down, offsets across from the left; the recorded line drawn in blue."""
    camera = ReplayCamera(recorded, source)
    rows = []
    for number in moments(recorded, count).tolist():
        shown = [_cell(recorded, camera, number, offset_m, scale) for offset_m in sorted(offsets_m, reverse=True)]
        gap = np.zeros((shown[0].shape[0], _GAP_PX, 3), np.uint8)
        parts = [part for picture in shown for part in (picture, gap)][:-1]
        rows += [np.concatenate(parts, 1), np.zeros((_GAP_PX, sum(part.shape[1] for part in parts), 3), np.uint8)]
    return np.concatenate(rows[:-1])


def _cell(recorded: RecordedLine, camera: ReplayCamera, number: int, offset_m: float, scale: float) -> Picture:
    frame = camera.picture(_beside(recorded, number, offset_m))
    size = (round(frame.y.shape[1] * scale), round(frame.y.shape[0] * scale))
    picture = np.asarray(cv2.resize(rgb_of(frame), size, interpolation=cv2.INTER_AREA))
    view = View(recorded.view, scale, size, _REACH_M, 8.0)
    line(picture, view, dense(_line_from(recorded, number, offset_m), _REACH_M), LINE_RGB, 1, 0.9)
    picture[:_HEAD_PX] = (picture[:_HEAD_PX] * 0.4).astype(np.uint8)
    side = "recorded line" if offset_m == 0 else f"{abs(offset_m):g} m {'left' if offset_m > 0 else 'right'}"
    seconds = (recorded.timestamps_ns[number] - recorded.timestamps_ns[0]) / 1e9
    write(picture, f"{seconds:.1f} s   {side}", (6, 15), 0.42)
    return picture


def _line_from(recorded: RecordedLine, number: int, offset_m: float) -> Float64[np.ndarray, "n 3"]:
    """The recorded line ahead, in the ego frame of a vehicle beside it."""
    ahead = recorded.along_m[number] + np.arange(3.0, _REACH_M, 1.0)
    east, north, _, height = recorded.at(ahead[ahead < recorded.along_m[-1]]).T
    x, y, yaw = recorded.poses[number]
    turn = Rigid.from_euler(0.0, 0.0, float(yaw)).rotation
    here, slope = recorded.motion[number, 2:]
    ego = np.array([x - math.sin(yaw) * offset_m, y + math.cos(yaw) * offset_m, 0.0])
    points = (np.stack([east, north, np.zeros_like(east)], -1) - ego) @ turn
    points[:, 2] = height - here - slope * points[:, 0]
    return points
