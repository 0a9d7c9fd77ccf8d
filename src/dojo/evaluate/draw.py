"""Drawing on pictures what lies on the ground: ribbons, lines and texts, through a camera or from above; films of them.

In: ground points in the ego frame, pictures. Out: the pictures, drawn on; H.264 in MP4.
Idea: one view maps ground points to pixels, whether through the camera or from above, so that a path is drawn by the
same code in both and cannot differ between them. Films are encoded picture by picture.
Not here: what is drawn (`video.py`, `rollout_video.py`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from dojo.errors import EvaluationError
from dojo.geometry import Camera
from dojo.records import Frame

Picture = UInt8[np.ndarray, "rows columns 3"]
Colour = tuple[int, int, int]

INK: Colour = (240, 244, 248)
FAINT: Colour = (148, 163, 184)
PANEL: Colour = (15, 23, 32)
GRID: Colour = (44, 56, 70)
LINE_RGB: Colour = (86, 180, 233)
"""The line to be driven: that which a human drove, or the edges of the lane."""
PLANNED_RGB: Colour = (255, 159, 28)
OTHER_RGB: Colour = (204, 121, 167)
FAILED_RGB: Colour = (255, 82, 82)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_SUBPIXEL = 4  # bits of fraction in OpenCV's drawing coordinates


def rgb_of(frame: Frame) -> Picture:
    """The frame as RGB (BT.601, limited range)."""
    stacked = np.concatenate([frame.y.reshape(-1), frame.u.reshape(-1), frame.v.reshape(-1)])
    rows, columns = frame.y.shape
    return np.asarray(cv2.cvtColor(stacked.reshape(rows * 3 // 2, columns), cv2.COLOR_YUV2RGB_I420))


def dense(path_m: Float[np.ndarray, "points columns"], reach_m: float) -> Float64[np.ndarray, "dense columns"]:
    """Points every half metre along a path (x, y, z, and whatever goes with it) up to a reach; none if it stands."""
    path = np.asarray(path_m, np.float64)
    if len(path) < 2:
        return path[:0]
    step = np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1)
    keep = np.concatenate([[True], step > 1e-3])
    path = path[keep]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1))])
    if len(path) < 2:
        return path[:0]
    where = np.arange(0.0, min(along[-1], reach_m), 0.5)
    return np.stack([np.interp(where, along, column) for column in path.T], -1)


def sides(
    path_m: Float64[np.ndarray, "dense 3"], half_width_m: Float64[np.ndarray, " dense"]
) -> tuple[Float64[np.ndarray, "dense 3"], Float64[np.ndarray, "dense 3"]]:
    """Left and right edge of a ribbon of given half width, square to the path in the ground plane."""
    ahead = np.gradient(path_m[:, :2], axis=0)
    length = np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], -1) / length
    shift = np.concatenate([left * half_width_m[:, None], np.zeros((len(path_m), 1))], 1)
    return path_m + shift, path_m - shift


def _fixed(points: Float64[np.ndarray, "points 2"]) -> np.ndarray:
    """OpenCV's fixed-point pixels; far outside the picture is clipped, which drawing does not show."""
    return np.round(np.clip(points, -20_000, 20_000) * (1 << _SUBPIXEL)).astype(np.int32)


@dataclass(frozen=True)
class View:
    """Where ground points go: through the camera, or from above.

    Args:
        camera: None is from above. `scale`: of the picture through the camera.
        size_px: columns and rows. `reach_m`, `beside_m`: ahead and to each side, as seen from above.
    """

    camera: Camera | None
    scale: float
    size_px: tuple[int, int]
    reach_m: float
    beside_m: float

    def pixels(self, points_m: Float64[np.ndarray, "p 3"]) -> tuple[Float64[np.ndarray, "p 2"], Bool[np.ndarray, " p"]]:
        """Pixels and which of them lie in front of the camera."""
        if self.camera is not None:
            pixels, visible = self.camera.project(points_m)
            return (pixels + 0.5) * self.scale - 0.5, visible
        width, height = self.size_px
        column = width / 2 - points_m[:, 1] * width / (2 * self.beside_m)
        row = height * 0.94 - points_m[:, 0] * height * 0.90 / self.reach_m
        return np.stack([column, row], -1), np.ones(len(points_m), np.bool_)


def fill(
    picture: Picture, view: View, path_m: np.ndarray, half_width_m: np.ndarray, colour: Colour, opacity: float
) -> None:
    """A ribbon blended into the picture; what lies behind the camera is left out."""
    if len(path_m) < 2:
        return
    left, right = sides(path_m, half_width_m)
    left_px, left_seen = view.pixels(left)
    right_px, right_seen = view.pixels(right)
    seen = left_seen & right_seen
    if seen.sum() < 2:
        return
    outline = _fixed(np.concatenate([left_px[seen], right_px[seen][::-1]]))
    layer = picture.copy()
    cv2.fillPoly(layer, [outline], colour, cv2.LINE_AA, _SUBPIXEL)
    cv2.addWeighted(layer, opacity, picture, 1 - opacity, 0, dst=picture)


def line(picture: Picture, view: View, path_m: np.ndarray, colour: Colour, thickness: int, opacity: float) -> None:
    """A path blended into the picture; what lies behind the camera is left out."""
    if len(path_m) < 2:
        return
    pixels, seen = view.pixels(path_m)
    if seen.sum() < 2:
        return
    layer = picture.copy()
    cv2.polylines(layer, [_fixed(pixels[seen])], False, colour, thickness, cv2.LINE_AA, _SUBPIXEL)
    cv2.addWeighted(layer, opacity, picture, 1 - opacity, 0, dst=picture)


def write(picture: Picture, text: str, at: tuple[int, int], size: float, colour: Colour = INK) -> None:
    """A text whose baseline begins at a pixel (column, row)."""
    cv2.putText(picture, text, at, _FONT, size, colour, 1, cv2.LINE_AA)


def metres_ahead(picture: Picture, view: View) -> None:
    """A line every 20 m ahead on a view from above, with its distance."""
    for ahead_m in range(0, int(view.reach_m) + 1, 20):
        pixels, _ = view.pixels(np.array([[float(ahead_m), view.beside_m, 0.0]]))
        row = round(float(pixels[0, 1]))
        cv2.line(picture, (34, row), (picture.shape[1], row), GRID, 1)
        write(picture, f"{ahead_m}", (6, row + 4), 0.38, FAINT)


def even(length: float | int) -> int:
    """The nearest even size: YUV420 halves its chroma planes."""
    return 2 * round(length / 2)


def mp4_of(pictures: Iterable[Picture], fps: float) -> bytes:
    """An MP4 (H.264) of pictures of one even size.

    Raises:
        EvaluationError: there are none.
    """
    rate = Fraction(fps).limit_denominator(1000)
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = None
        for index, picture in enumerate(pictures):
            if stream is None:
                stream = container.add_stream("libx264", rate=rate)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.thread_count = 1
                stream.options = {"crf": "26", "preset": "veryfast"}
                stream.time_base = 1 / rate
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            frame.time_base = 1 / rate  # not the stream's: once the first packet is written, that is the container's
            container.mux(stream.encode(frame))
        if stream is None:
            raise EvaluationError("video: expected at least one scene, got none; what is filmed has no pictures")
        container.mux(stream.encode(None))
    return sink.getvalue()
