"""Pictures and videos of held-out clips with the driven and the planned path drawn on the road.

In: frames of the model view, its camera, driven paths, plans. Out: H.264 in MP4, or one PNG.
Idea: a path is drawn where it would lie on the ground, through `Camera.project`, as a ribbon as wide as a vehicle, so
that its narrowing with distance is the road's own; a picture in which the driven ribbon does not lie in the lane
shows a wrong calibration at a glance. Beside it the same paths from above, where far errors are as visible as near
ones. Driven is a pair of blue edge lines, planned an orange ribbon: tellable apart also without colour. Frames
are drawn and encoded one at a time.
Not here: which clips (`showcase.py`), the page (`page.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.draw import (
    FAINT,
    LINE_RGB,
    PANEL,
    PLANNED_RGB,
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
from dojo.geometry import Camera
from dojo.records import Frame, Plans


@dataclass(frozen=True)
class VideoStyle:
    """How clips are drawn.

    Args:
        scale: of the picture; 2 shows a 512 x 256 view as 1024 x 512.
        panel_px: width of the view from above.
        vehicle_width_m: width of the driven ribbon. Assumed: 1.8 m, a middle-sized car without mirrors.
        reach_m: how far ahead the paths are drawn on the picture and from above.
        beside_m: how far to each side the view from above shows.
        fps: of the MP4; anchors come at 5 Hz.
    """

    scale: float = 2.0
    panel_px: int = 256
    vehicle_width_m: float = 1.8
    reach_m: float = 100.0
    beside_m: float = 16.0
    fps: float = 5.0

    def __post_init__(self) -> None:
        if not (0.5 <= self.scale <= 4 and self.panel_px >= 0 and self.fps > 0 and self.reach_m > 0):
            raise ConfigError(
                f"video style: expected a scale of 0.5 to 4 and positive sizes, got scale {self.scale}, panel "
                f"{self.panel_px} px, {self.fps} frames/s, reach {self.reach_m} m"
            )


@dataclass(frozen=True)
class Scene:
    """One moment: its frame, what was driven, what was planned, what to write beside it.

    Args:
        driven_m, driven_valid: the driven path, as in `Clip`.
        planned_m: hypotheses; `probability` of each; `scale_m` of the most probable one, if known.
        lines: short texts for the panel, for example `("54 km/h", "steering 3° left")`.
    """

    frame: Frame
    driven_m: Float[np.ndarray, "33 3"]
    driven_valid: Bool[np.ndarray, " 33"]
    planned_m: Float[np.ndarray, "hypotheses 33 3"]
    probability: Float[np.ndarray, " hypotheses"]
    scale_m: Float[np.ndarray, "33 3"] | None = None
    lines: tuple[str, ...] = ()


def scenes(
    frames: Iterable[Frame],
    driven_m: Float[np.ndarray, "n 33 3"],
    driven_valid: Bool[np.ndarray, "n 33"],
    plans: Plans,
    lines: Iterable[tuple[str, ...]],
) -> Iterator[Scene]:
    """One scene per anchor of a clip, from the parts as the other stages hand them out."""
    best_scale = plans.best_scale()
    for index, (frame, said) in enumerate(zip(frames, lines, strict=True)):
        yield Scene(
            frame,
            driven_m[index],
            driven_valid[index],
            plans.position_m[index],
            plans.probability[index],
            best_scale[index],
            said,
        )


def motion_lines(speed_mps: float, curvature_per_m: float) -> tuple[str, str]:
    """Speed and bend as a person reads them."""
    bend = "straight" if abs(curvature_per_m) < 1 / 2000 else f"bend {1 / abs(curvature_per_m):.0f} m"
    side = "" if bend == "straight" else (" left" if curvature_per_m > 0 else " right")
    return f"{speed_mps * 3.6:.0f} km/h", bend + side


def _paint_paths(picture: Picture, view: View, scene: Scene, style: VideoStyle) -> None:
    """Spread, other hypotheses, planned ribbon, driven edges: from the faintest to the one that matters most."""
    thin = 1 if view.camera is None else 2
    best = int(scene.probability.argmax())
    plan = dense(scene.planned_m[best], style.reach_m)
    for other in range(len(scene.planned_m)):
        if other != best:
            faint = 0.3 + 0.5 * float(scene.probability[other])
            line(picture, view, dense(scene.planned_m[other], style.reach_m), PLANNED_RGB, thin, faint)
    if scene.scale_m is not None and len(plan):
        wide = dense(np.concatenate([scene.planned_m[best], scene.scale_m[:, 1:2]], 1), style.reach_m)
        fill(picture, view, wide[:, :3], wide[:, 3], PLANNED_RGB, 0.2)
    fill(picture, view, plan, np.full(len(plan), style.vehicle_width_m / 4), PLANNED_RGB, 0.4)
    line(picture, view, plan, PLANNED_RGB, thin, 1.0)
    driven = dense(scene.driven_m[scene.driven_valid], style.reach_m)
    if len(driven) >= 2:
        for edge in sides(driven, np.full(len(driven), style.vehicle_width_m / 2)):
            line(picture, view, edge, (10, 30, 50), thin + 3, 0.4)
            line(picture, view, edge, LINE_RGB, thin, 1.0)


def _panel(scene: Scene, style: VideoStyle, height: int) -> Picture:
    """Texts, the legend, and the view from above with a scale in metres; players put their controls at the bottom."""
    panel = np.full((height, style.panel_px, 3), PANEL, np.uint8)
    head, foot = 126, 4
    above = panel[head : height - foot]
    view = View(None, 1.0, (above.shape[1], above.shape[0]), style.reach_m, style.beside_m)
    metres_ahead(above, view)
    _paint_paths(above, view, scene, style)
    for number, text in enumerate(scene.lines[:2]):
        write(panel, text, (10, 24 + 22 * number), 0.55 if number == 0 else 0.48)
    legend = ((LINE_RGB, "driven"), (PLANNED_RGB, "planned, most probable"))
    for number, (colour, text) in enumerate(legend):
        row = 72 + 19 * number
        cv2.line(panel, (10, row - 4), (30, row - 4), colour, 3, cv2.LINE_AA)
        write(panel, text, (38, row), 0.42)
    write(panel, "thin: other hypotheses; shade: +- scale", (10, 110), 0.36, FAINT)
    write(panel, "m ahead", (style.panel_px - 62, head + 12), 0.36, FAINT)
    return panel


def still(scene: Scene, camera: Camera, style: VideoStyle | None = None) -> Picture:
    """One moment as a picture: the frame with paths on the road, and beside it the view from above.

    Raises:
        EvaluationError: the frame is not of this camera's size.
    """
    style = style or VideoStyle()
    rows, columns = scene.frame.y.shape
    if (columns, rows) != (camera.width_px, camera.height_px):
        raise EvaluationError(
            f"video: expected frames of {camera.width_px} x {camera.height_px} px, got {columns} x {rows}; pass the "
            "camera that these frames were resampled into"
        )
    size = (even(columns * style.scale), even(rows * style.scale))
    picture = np.asarray(cv2.resize(rgb_of(scene.frame), size, interpolation=cv2.INTER_CUBIC))
    _paint_paths(picture, View(camera, style.scale, size, style.reach_m, style.beside_m), scene, style)
    if style.panel_px:
        picture = np.concatenate([picture, _panel(scene, style, size[1])], 1)
    return picture


def png_of(picture: Picture) -> bytes:
    """The picture as PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise EvaluationError("still: the picture could not be written as PNG")
    return bytes(data)


def clip_video(moments: Iterable[Scene], camera: Camera, style: VideoStyle | None = None) -> bytes:
    """An MP4 (H.264) of a clip, one picture per scene.

    Raises:
        EvaluationError: there are no scenes, or a frame is not of this camera's size.
    """
    style = style or VideoStyle()
    return mp4_of((still(scene, camera, style) for scene in moments), style.fps)
