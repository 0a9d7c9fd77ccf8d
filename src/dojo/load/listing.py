"""Clips to draw from: what an order needs to know of all of them, and the records of those that were drawn.

In: clips in memory, or anything that lists them. Out: names, weights, places in their recordings; records when asked.
Idea: to draw one of ten million clips only its name and weight are needed, so nobody has to hold what the others hold.
Not here: a listing that reads a store (`store/catalogue.py`); the orders (`order.py`, `stretches.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from dojo.geometry import Camera
from dojo.load.names import Names
from dojo.records import Clip, Drive

Stream = tuple[str, str]
"""A drive and one of its cameras, by name."""

Places = tuple[list[Stream], Int64[np.ndarray, " clips"], Int64[np.ndarray, " clips"], Int64[np.ndarray, " clips"]]
"""Streams, and of each clip its stream as an index, the time of its first anchor in ns, and its first frame."""


@runtime_checkable
class Listing(Protocol):
    """Clips by number."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    @property
    def weights(self) -> Float64[np.ndarray, " clips"]:
        """Relative probability of each."""
        ...

    def names(self) -> Names:
        """The id of each."""
        ...

    def places(self) -> Places:
        """Where in its recording each begins."""
        ...

    def take(self, indices: Sequence[int]) -> list[Clip]:
        """The clips of these numbers, in this order."""
        ...


class InMemory:
    """Clips that are at hand as records."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = tuple(clips)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.clips)

    @property
    def weights(self) -> Float64[np.ndarray, " clips"]:
        """Relative probability of each."""
        return np.array([clip.weight for clip in self.clips], np.float64)

    def names(self) -> list[str]:
        """The id of each."""
        return [clip.clip_id for clip in self.clips]

    def places(self) -> Places:
        """Where in its recording each begins."""
        streams = sorted({(clip.drive_id, clip.camera) for clip in self.clips})
        number = {stream: place for place, stream in enumerate(streams)}
        return (
            streams,
            np.array([number[clip.drive_id, clip.camera] for clip in self.clips], np.int64),
            np.array([clip.anchor_timestamps_ns[0] for clip in self.clips], np.int64),
            np.array([clip.frame_indices[0] for clip in self.clips], np.int64),
        )

    def take(self, indices: Sequence[int]) -> list[Clip]:
        """The clips of these numbers, in this order."""
        return [self.clips[index] for index in indices]


def listed(clips: Sequence[Clip] | Listing) -> Listing:
    """The clips as a listing."""
    return clips if isinstance(clips, Listing) else InMemory(clips)


class OnDemand(dict[Stream, Camera]):
    """Cameras of streams, found when first asked for: a fleet has too many drives to read each before training.

    Args:
        drive: reads one.
        cameras: those of some drives, as `cameras_of` or `recorded_cameras_of` finds them.
    """

    def __init__(
        self, drive: Callable[[str], Drive], cameras: Callable[[Iterable[Drive]], Mapping[Stream, Camera]]
    ) -> None:
        super().__init__()
        self._drive, self._of = drive, cameras

    def __missing__(self, stream: Stream) -> Camera:
        """Read the drive.

        Raises:
            KeyError: it has no such camera. And whatever the reading raises.
        """
        found = self._of([self._drive(stream[0])])
        self.update(found)
        return found[stream]

    def __reduce__(self) -> tuple[object, ...]:
        """Another process reads for itself."""
        return type(self), (self._drive, self._of)
