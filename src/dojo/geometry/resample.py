"""Turn one camera's pictures into another camera's, both at the same place.

In: YUV420 planes of the source camera. Out: YUV420 planes of the target camera.
Idea: the sampling map is computed once per pair of cameras; each plane is then one bilinear remap. Where the source
does not see, the result is black (Y 16, U and V 128). Pixels coarser than the source are averaged first, so that
lane markings do not flicker when a 1280-pixel picture becomes a 512-pixel one.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from dojo.geometry.camera import Camera

Plane = UInt8[np.ndarray, "_ _"]


def chroma_camera(camera: Camera) -> Camera:
    """The camera of the chroma planes: pixel i covers luma pixels 2i and 2i + 1."""
    return Camera(
        camera.width_px // 2,
        camera.height_px // 2,
        (camera.focal_px[0] / 2, camera.focal_px[1] / 2),
        ((camera.centre_px[0] - 0.5) / 2, (camera.centre_px[1] - 0.5) / 2),
        camera.ego_from_camera,
        camera.distortion,
    )


class Resampler:
    """Resamples pictures of `source` into pictures of `target`.

    Args:
        source: camera of the incoming pictures; sizes must be even.
        target: camera of the outgoing pictures; its position is ignored.
    """

    def __init__(self, source: Camera, target: Camera) -> None:
        # A bilinear tap reads a 2 x 2 neighbourhood; beyond about 1.5 source pixels per target pixel it skips some.
        # Assumed: a Gaussian of 0.35 source pixels per unit of shrinking keeps lines steady without visible softening.
        shrink = source.focal_px[0] / target.focal_px[0]
        self._blur_px = 0.35 * shrink if shrink > 1.5 else 0.0
        self._luma = cv2.convertMaps(*source.sampling_map(target), cv2.CV_16SC2)
        self._chroma = cv2.convertMaps(*chroma_camera(source).sampling_map(chroma_camera(target)), cv2.CV_16SC2)

    def apply(self, y: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane, Plane]:
        """The three planes as the target camera would show them."""
        return self._plane(y, self._luma, 16), self._plane(u, self._chroma, 128), self._plane(v, self._chroma, 128)

    def _plane(self, plane: Plane, maps: tuple[np.ndarray, np.ndarray], outside: int) -> Plane:
        if self._blur_px:
            plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), self._blur_px))
        return np.asarray(
            cv2.remap(plane, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        )
