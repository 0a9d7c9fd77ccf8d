"""Lanes: stretches of video decoded in one go, each frame put straight into the batches that show it.

In: the order of stretches, clips, a source of frames. Out: the packed frames of each batch, where the decoder left off.
Idea: since the order is known before anything is decoded, every frame has its place in a batch, or in a few, before
it exists. It is packed from the decoder's own planes into that place: one copy from the decoder to the model, none
in between, nothing to pickle. A lane is decoded just far enough for the batch that is wanted; its decoder waits for the
next. Lanes know nothing of one another, so as many threads as there are cores work on them. Memory of batches that
nobody holds any more is used again, because the operating system takes longer to hand out a page than we to fill it.
Not here: which draw is where (`stretches.py`).
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from dojo.errors import RecordError
from dojo.load.source import FrameSource, each_frame
from dojo.records import Clip, Frame
from dojo.records.pack import pack

Change = Callable[[Frame], Frame]
"""What becomes of a decoded frame before it is packed."""

Rows = UInt8[np.ndarray, "frames 6 rows columns"]


@dataclass(frozen=True)
class Shown:
    """A draw as it will be learned from.

    Args:
        clip: with whatever changed it.
        change: of its frames; None where they are shown as they are.
        rows: where its packed frames go; asked for once its first frame is there.
    """

    clip: Clip
    change: Change | None
    rows: Callable[[], Rows]


class Lane:
    """Some draws in the order of decoding, decoded as far as was asked.

    Args:
        stretches: numbers of draws that are decoded together, in order; what is not named, nobody needs any more.
        reach: for each draw in the order of dealing, the last number that must be decoded for it and all before it.
        show: the draws of these numbers, each asked for once.
    """

    def __init__(
        self,
        stretches: Sequence[Sequence[int]],
        reach: Int64[np.ndarray, " n"],
        source: FrameSource,
        show: Callable[[Sequence[int]], list[Shown]],
    ) -> None:
        self._stretches = stretches
        self._reach = reach
        self._source = source
        self._show = show
        self._whole = -1
        self._progress = self._decoding()
        self._failed: Exception | None = None
        self.lock = threading.Lock()
        """Held by whoever calls `ready`."""

    def ready(self, turn: int) -> None:
        """Decode what is dealt up to and including this turn.

        Raises:
            Exception: whatever the source raised, each time it is asked again.
        """
        if self._failed is not None:
            raise self._failed
        try:
            while self._whole < int(self._reach[turn]):
                self._whole = next(self._progress)
        except Exception as error:
            self._failed = error
            raise

    def close(self) -> None:
        """Let the decoder go; only once nobody decodes any more."""
        self._progress.close()

    def _decoding(self) -> Generator[int]:
        """Decodes on and on; yields the number of each draw once it and all before it are whole."""
        for numbers in self._stretches:
            yield from self._stretch(numbers)

    def _stretch(self, numbers: Sequence[int]) -> Iterator[int]:
        shown = self._show(numbers)
        uses: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for which, draw in enumerate(shown):
            for time, index in enumerate(draw.clip.frame_indices.tolist()):
                uses[index].append((which, time))
        ends = list(itertools.accumulate((int(draw.clip.frame_indices.max()) for draw in shown), max))
        open_rows: dict[int, Rows] = {}
        whole = 0
        for index, frame in self._frames(shown[0].clip, sorted(uses)):
            targets = []
            for which, time in uses[index]:
                if which not in open_rows:
                    open_rows[which] = shown[which].rows()
                targets.append((open_rows[which][time], shown[which].change))
            _put(frame, targets)
            while whole < len(ends) and ends[whole] <= index:
                del open_rows[whole]  # the batch alone holds them now, so that their memory can be used again
                yield numbers[whole]
                whole += 1

    def _frames(self, clip: Clip, indices: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        frames = each_frame(self._source, clip.drive_id, clip.camera, np.array(indices, np.int64))
        for came, index in enumerate(indices):
            frame = next(frames, None)
            if frame is None:
                raise RecordError(
                    f"clip {clip.clip_id} and those after it: expected {len(indices)} frames of camera "
                    f"{clip.camera!r} of drive {clip.drive_id}, the source gave {came}; curate the dataset again"
                )
            yield index, frame


def _put(frame: Frame, targets: Sequence[tuple[UInt8[np.ndarray, "6 rows columns"], Change | None]]) -> None:
    """The frame packed into each of its places; where it is changed alike, from its planes only the first time."""
    packed: dict[Change | None, UInt8[np.ndarray, "6 rows columns"]] = {}
    for place, change in targets:
        if change in packed:
            place[:] = packed[change]
        else:
            packed[change] = pack(frame if change is None else change(frame), place)


class Pages:
    """Memory for the frames of batches, used again once nobody holds the arrays that were made of it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._free: list[bytearray] = []

    def get(self, batch: int) -> UInt8[np.ndarray, "batch frames 6 rows columns"]:
        """An array for the frames of a batch, with what earlier batches left in it."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = bytearray(int(np.prod(self._shape)))  # zeros, which rows that nobody makes stay
        # Every view of this array keeps the array itself alive, since its base is no array; so it ends with the last.
        array = np.frombuffer(memory, np.uint8)
        weakref.finalize(array, self._free.append, memory)
        return array.reshape(self._shape)
