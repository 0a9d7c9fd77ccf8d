"""Where a loader gets frames from, and what the camera of each stream is.

Idea: loading knows no store; anything that hands out frames by number will do, so tests load from memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from dojo.errors import RecordError
from dojo.geometry import Camera
from dojo.records import Drive, Frame

Cameras = Mapping[tuple[str, str], Camera]
"""The camera of each stored stream, by (drive id, camera name)."""


@runtime_checkable
class FrameSource(Protocol):
    """Hands out stored frames; called from several threads at once."""

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames at these indices of the stored stream, one each, in this order."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """A source that also hands out frames one by one, as a decoder holds them."""

    def each_frame(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Iterator[Frame]:
        """The frames at these rising indices; each is good only until the next is asked for."""
        ...


def each_frame(source: FrameSource, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Iterator[Frame]:
    """The frames at these rising indices one by one, without a copy where the source can."""
    if isinstance(source, Streaming):
        return source.each_frame(drive_id, camera, indices)
    return iter(source.frames(drive_id, camera, indices))


def recorded_cameras_of(drives: Iterable[Drive]) -> dict[tuple[str, str], Camera]:
    """The camera that took the frames of every stream, before they were resampled for the store."""
    return {
        (drive.drive_id, stream.name): stream.recorded_camera or stream.camera
        for drive in drives
        for stream in drive.cameras
    }


def cameras_of(drives: Iterable[Drive]) -> dict[tuple[str, str], Camera]:
    """The camera of every stream of these drives."""
    return {(drive.drive_id, stream.name): stream.camera for drive in drives for stream in drive.cameras}


class Joined:
    """Frames of several sources as if they were one; every drive belongs to one of them.

    Args:
        sources: each with the ids of its drives.
    """

    def __init__(self, sources: Iterable[tuple[Iterable[str], FrameSource]]) -> None:
        self._of = {drive_id: source for drive_ids, source in sources for drive_id in drive_ids}

    def frames(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Sequence[Frame]:
        """The frames at these indices, from the source that has the drive.

        Raises:
            RecordError: none has it.
        """
        return self._with(drive_id).frames(drive_id, camera, indices)

    def each_frame(self, drive_id: str, camera: str, indices: Int64[np.ndarray, " n"]) -> Iterator[Frame]:
        """The frames at these rising indices one by one; each is good only until the next is asked for.

        Raises:
            RecordError: no source has the drive.
        """
        return each_frame(self._with(drive_id), drive_id, camera, indices)

    def _with(self, drive_id: str) -> FrameSource:
        if drive_id not in self._of:
            raise RecordError(f"frames of drive {drive_id}: expected one of {len(self._of)} known drives")
        return self._of[drive_id]
