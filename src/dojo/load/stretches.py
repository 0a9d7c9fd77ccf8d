"""Which clip comes when, if video is decoded once and in one go: stretches in random order, mixed through a buffer.

In: an `Order`, and where in its recording each clip lies. Out: the same draws, in an order that a decoder can follow.
Idea: clips that lie within the same half minute of a recording form a stretch. Stretches come in random order, one
behind the other, and this sequence is cut into as many equal lanes as a batch has rows. Row i of each batch comes
from lane i, so the rows of a batch come from as many places of the recordings, and the rank that has row i alone
decodes what lane i needs, however many ranks there are. Within a lane each draw is moved back by a random part of
the buffer, which mixes stretches that follow one another. It is all a pure function of seed, epoch, dataset version,
weights and these settings, made with a few sorts and no state.
What it costs: draws of one stretch come in batches near to one another; `mixing.py` measures how near.
Not here: what is decoded when (`lanes.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from dojo.load.listing import Listing, listed
from dojo.load.order import Order, random_bits, random_units
from dojo.records import Clip


@dataclass(frozen=True)
class Epoch:
    """The draws of one epoch, as they are decoded and as they are dealt.

    Args:
        clips: index of the clip of each draw, in the order of decoding, lane after lane.
        starts: where in `clips` each lane begins, and the end of the last.
        dealt: for each draw in the order of dealing, its place in `clips`. Draw p belongs to lane p modulo lanes.
    """

    clips: Int64[np.ndarray, " draws"]
    starts: Int64[np.ndarray, " lanes_and_end"]
    dealt: Int64[np.ndarray, " draws"]

    def lane(self, lane: int) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """The clips of a lane in the order of decoding, and the places in it in the order of dealing."""
        start, end = int(self.starts[lane]), int(self.starts[lane + 1])
        return self.clips[start:end], self.dealt[lane :: len(self.starts) - 1] - start


class StretchOrder:
    """The order of a training run that decodes each stretch once.

    Args:
        order: what is drawn in each epoch.
        clips: the clips of that order.
        lanes: clips per global batch.
        stretch_s: length of a stretch, seconds.
        buffer: draws that are mixed with one another, over all lanes.
    """

    def __init__(
        self, order: Order, clips: Sequence[Clip] | Listing, lanes: int, stretch_s: float, buffer: int
    ) -> None:
        self._order = order
        self._lanes = lanes
        self._mixed = max(1, buffer // lanes)
        length_ns = round(stretch_s * 1e9)
        streams, stream, start_ns, first_frame = listed(clips).places()
        rank = np.empty(len(streams), np.int64)
        rank[sorted(range(len(streams)), key=streams.__getitem__)] = np.arange(len(streams))
        begins = np.full(len(streams), np.iinfo(np.int64).max)
        np.minimum.at(begins, stream, start_ns)
        piece = (start_ns - begins[stream]) // length_ns
        # Clips by time within their recording; clips of equal time by name, so that how they were given is no matter.
        by_time = np.lexsort((order.place_by_name, first_frame, piece, rank[stream]))
        self._time = np.empty(len(stream), np.int64)
        self._time[by_time] = np.arange(len(stream))
        another = (np.diff(stream[by_time], prepend=-1) != 0) | (np.diff(piece[by_time], prepend=-1) != 0)
        self._stretch = np.empty(len(stream), np.int64)
        self._stretch[by_time] = np.cumsum(another) - 1
        settings = f"{order.fingerprint} {lanes} {length_ns} {self._mixed}"
        self.fingerprint = hashlib.sha256(settings.encode()).hexdigest()[:20]
        """Names the order: equal exactly when that of `order` and the settings are equal."""

    def __len__(self) -> int:
        """Draws per epoch."""
        return len(self._order)

    def stretch(self, clip: int) -> int:
        """The stretch of a clip, as a number."""
        return int(self._stretch[clip])

    def epoch(self, number: int) -> Int64[np.ndarray, " draws"]:
        """Indices into the clips as they were given, in the order in which they are dealt."""
        planned = self.planned(number)
        return planned.clips[planned.dealt]

    def planned(self, number: int) -> Epoch:
        """The draws of an epoch, as they are decoded and as they are dealt."""
        count, lanes = len(self), self._lanes
        drawn = self._order.drawn(number)
        bits = random_bits(int(self._stretch.max()) + 1, self.fingerprint, number, "stretches")
        laid = np.lexsort((self._time[drawn], bits[self._stretch[drawn]]))
        sizes = count // lanes + (np.arange(lanes) < count % lanes)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        moved = np.arange(count) + random_units(count, self.fingerprint, number, "mix") * self._mixed
        lane_of = np.repeat(np.arange(lanes), sizes)
        by_lane = np.lexsort((moved, lane_of))
        turn = np.arange(count) - starts[lane_of]
        dealt = np.empty(count, np.int64)
        dealt[turn * lanes + lane_of] = by_lane
        return Epoch(drawn[laid], starts, dealt)
