"""Frames of clips in the model's view, whatever view they are stored in.

In: clips, the cameras of their streams, a source of frames. Out: packed frames; what turns a stored frame into them.
Idea: what a stream needs is found once for all its clips; most streams are stored in the model's view and need nothing.
Rows that a policy does not look at are not made: displacing and augmenting half a picture takes half the time.
Not here: the mathematics (`geometry/`), which clips (`loader.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Bool, UInt8

from dojo.errors import ConfigError, RecordError
from dojo.geometry import MODEL_VIEW, Camera, Resampler
from dojo.geometry.reproject import Reprojector, never_seen
from dojo.load.lanes import Change
from dojo.load.listing import InMemory, Listing
from dojo.load.source import Cameras, FrameSource
from dojo.records import Clip, Frame
from dojo.records.pack import pack


class Views:
    """Frames of clips in the model's view, whatever view they are stored in.

    Args:
        rows: of the packed frames, the first and the last, excluded, that are made; all where none are named.
    """

    def __init__(
        self,
        clips: Sequence[Clip] | Listing,
        cameras: Cameras,
        source: FrameSource,
        recorded: Cameras | None = None,
        view: Camera = MODEL_VIEW,
        rows: tuple[int, int] | None = None,
    ) -> None:
        # What is not at hand is checked as it comes.
        known = clips.clips if isinstance(clips, InMemory) else () if isinstance(clips, Listing) else clips
        streams = {(clip.drive_id, clip.camera) for clip in known}
        missing = sorted(stream for stream in streams if stream not in cameras)
        if missing:
            raise ConfigError(
                f"load: expected the camera of every stream, {len(missing)} are missing, the first {missing[0]}; pass "
                "cameras_of(dataset.drives())"
            )
        require_equal_length(known)
        self.source = source
        self.packed_shape = (6, view.height_px // 2, view.width_px // 2)
        self.rows = slice(*(rows or (0, self.packed_shape[1])))
        """Packed rows that are made; the others of a batch stay as they are."""
        self._stored, self._view = cameras, view
        self._recorded: Cameras = {} if recorded is None else recorded
        self._blank = lru_cache(maxsize=256)(self._found_blank)
        self._camera = lru_cache(maxsize=None)(self._found_camera)
        self._resampler = lru_cache(maxsize=None)(self._found_resampler)
        self._unwarped = lru_cache(maxsize=None)(self._found_unwarped)

    def camera(self, clip: Clip) -> Camera:
        """The model's view, where the clip's camera sits."""
        return self._camera(clip.drive_id, clip.camera)

    def _found_camera(self, drive_id: str, camera: str) -> Camera:
        return self._camera_as_stored(drive_id, camera).level_view(self._view)

    def _found_resampler(self, drive_id: str, camera: str) -> Resampler | None:
        return _resampler(self._camera_as_stored(drive_id, camera), self._view)

    def _camera_as_stored(self, drive_id: str, camera: str) -> Camera:
        try:
            return self._stored[drive_id, camera]
        except KeyError as error:
            raise ConfigError(
                f"load: expected the camera of every stream, that of {(drive_id, camera)} is missing; curate the "
                "dataset again"
            ) from error

    def blank(self, clip: Clip) -> Bool[np.ndarray, "half_rows half_columns"] | None:
        """Chroma pixels of the model's view that the recording camera did not see, None where it saw all."""
        return self._blank(clip.drive_id, clip.camera)

    def _found_blank(self, drive_id: str, camera: str) -> Bool[np.ndarray, "half_rows half_columns"] | None:
        try:
            recorded = self._recorded[drive_id, camera]
        except KeyError:
            return None
        blank = never_seen(recorded, self._camera(drive_id, camera))
        return blank if blank.any() else None

    def height_m(self, clip: Clip) -> float:
        """Height of the clip's camera over the ground."""
        return float(self.camera(clip).ego_from_camera.translation_m[2])

    def frames(self, clip: Clip, warp: Reprojector | None = None) -> UInt8[np.ndarray, "frames 6 rows columns"]:
        """The rows that are made of the packed frames of a clip, warped where a warp is given."""
        found = self.source.frames(clip.drive_id, clip.camera, clip.frame_indices)
        if len(found) != len(clip.frame_indices):
            raise RecordError(
                f"clip {clip.clip_id}: expected {len(clip.frame_indices)} frames of camera {clip.camera!r} of drive "
                f"{clip.drive_id}, the source gave {len(found)}; curate the dataset again"
            )
        change = self.change(clip, warp)
        return np.stack([pack(frame if change is None else change(frame)) for frame in found])

    def change(self, clip: Clip, warp: Reprojector | None) -> Change | None:
        """What turns the stored frames of a clip into what the model sees; None where nothing does.

        Args:
            warp: gives the rows that are made, and no others.
        """
        if warp is None:
            return self._unwarped(clip.drive_id, clip.camera)
        resampler = self._resampler(clip.drive_id, clip.camera)
        return partial(_resampled, steps=(warp,) if resampler is None else (resampler, warp))

    def _found_unwarped(self, drive_id: str, camera: str) -> Change | None:
        resampler, whole = self._resampler(drive_id, camera), self.rows == slice(0, self.packed_shape[1])
        if resampler is None and whole:
            return None
        return partial(_resampled, steps=() if resampler is None else (resampler,), rows=None if whole else self.rows)


def require_equal_length(clips: Sequence[Clip]) -> None:
    """Refuse clips that cannot stand side by side.

    Raises:
        ConfigError: they have not equally many anchors.
    """
    lengths = {len(clip.anchor_timestamps_ns) for clip in clips}
    if len(lengths) > 1:
        raise ConfigError(
            f"load: expected clips with equally many anchors, got {sorted(lengths)}; curate the dataset once with "
            "one setting of anchors_per_clip"
        )


def _resampler(camera: Camera, wanted: Camera) -> Resampler | None:
    """What turns the camera's pictures into the model's view, or None where they are that view already."""
    view = camera.level_view(wanted)
    same_picture = (camera.width_px, camera.height_px, camera.distortion) == (
        view.width_px,
        view.height_px,
        view.distortion,
    )
    same_rays = np.allclose([*camera.focal_px, *camera.centre_px], [*view.focal_px, *view.centre_px], atol=1e-6)
    same_turn = np.allclose(camera.ego_from_camera.rotation, view.ego_from_camera.rotation, atol=1e-9)
    return None if same_picture and same_rays and same_turn else Resampler(camera, view)


def _resampled(frame: Frame, steps: Sequence[Resampler | Reprojector], rows: slice | None = None) -> Frame:
    y, u, v = frame.y, frame.u, frame.v
    for step in steps:
        y, u, v = step.apply(y, u, v)
    if rows is not None:
        y, u, v = y[2 * rows.start : 2 * rows.stop], u[rows], v[rows]
    return Frame(frame.timestamp_ns, y, u, v)
