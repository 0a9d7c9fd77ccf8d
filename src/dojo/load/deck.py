"""The batches that lanes fill: which lane has which row, and how far it must be decoded.

In: the draws of each batch of one rank. Out: the packed frames of a batch.
Idea: a batch is whole once each lane that has a row of it was decoded far enough. Whoever makes a batch takes the lanes
that nobody works on first, so that threads seldom wait for one another, and waits for the others then.
Not here: the decoding (`lanes.py`), the order (`stretches.py`), what else is in a batch (`loader.py`).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from dojo.load.lanes import Change, Lane, Rows, Shown
from dojo.load.processes import PagesByBatch
from dojo.load.source import FrameSource
from dojo.load.stretches import Epoch, StretchOrder
from dojo.records import Clip

Made = TypeVar("Made")


@dataclass(frozen=True)
class Draw:
    """One entry of the endless sequence: which clip, and where it stands."""

    clip: int
    epoch: int
    position: int


@dataclass(frozen=True)
class Hand:
    """One batch to be: the lanes of its rows, each with the turn that the row is."""

    number: int
    draws: tuple[Draw, ...]
    turns: tuple[tuple[Lane, int], ...]


class Deck:
    """Deals the batches of one rank, from a position on.

    Args:
        first: the draw that is row 0 of batch 0.
        batch_size, rank, ranks: of the global batches, and which part of each is ours.
        show: the clips of some draws, and what becomes of their frames.
        pages: where the frames of each batch go. `band`: the rows of them that are made.
    """

    def __init__(
        self,
        order: StretchOrder,
        source: FrameSource,
        first: Draw,
        batch_size: int,
        rank: int,
        ranks: int,
        show: Callable[[Sequence[Draw]], list[tuple[Clip, Change | None]]],
        pages: PagesByBatch,
        band: slice,
    ) -> None:
        self._order = order
        self._source = source
        self._first = first
        self._batch_size, self._rank, self._ranks = batch_size, rank, ranks
        self._show = show
        self._pages, self._band = pages, band
        self._planned: dict[int, Epoch] = {}
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._open: dict[int, UInt8[np.ndarray, "batch frames 6 rows columns"]] = {}
        self._clips: dict[Draw, Clip] = {}
        self._guard = threading.Lock()

    def hand(self, number: int, draws: Sequence[Draw]) -> Hand:
        """Batch `number` of this rank; called in the order of batches, by one thread."""
        turns = []
        for draw in draws:
            key, turn = (draw.epoch, draw.position % self._batch_size), draw.position // self._batch_size
            if key not in self._lanes:
                self._lanes[key] = self._lane(*key)
            turns.append((self._lanes[key], turn))
            if draw.position + self._batch_size >= len(self._order):
                del self._lanes[key]  # its last turn; the hand alone holds it now
        return Hand(number, tuple(draws), tuple(turns))

    def made(self, hand: Hand) -> tuple[list[Clip], UInt8[np.ndarray, "batch frames 6 rows columns"]]:
        """The clips of a batch, changed as their draws say, and their packed frames; decodes what is missing."""
        waiting = []
        for lane, turn in hand.turns:
            if not lane.lock.acquire(blocking=False):
                waiting.append((lane, turn))
                continue
            try:
                lane.ready(turn)
            finally:
                lane.lock.release()
        for lane, turn in waiting:
            with lane.lock:
                lane.ready(turn)
        with self._guard:
            return [self._clips.pop(draw) for draw in hand.draws], self._open.pop(hand.number)

    def closing(self, batches: Generator[Made]) -> Iterator[Made]:
        """The same batches; once they are closed, decoders and memory are let go at once."""
        try:
            with contextlib.closing(batches):
                yield from batches
        finally:
            for lane in self._lanes.values():
                lane.close()
            self._lanes.clear()
            self._open.clear()
            self._clips.clear()

    def _lane(self, epoch: int, lane: int) -> Lane:
        planned = self._epoch(epoch)
        clips, dealt = planned.lane(lane)
        # What was dealt before we began is not decoded again.
        begun = self._first.position if epoch == self._first.epoch else 0
        skipped = len(range(lane, begun, self._batch_size))
        turn_of = np.empty(len(dealt), np.int64)
        turn_of[dealt] = np.arange(len(dealt))
        wanted = sorted(dealt[skipped:].tolist())
        reach = np.maximum.accumulate(np.where(np.arange(len(dealt)) < skipped, -1, dealt))
        stretches = [list(run) for _, run in itertools.groupby(wanted, lambda n: self._order.stretch(int(clips[n])))]

        def show(numbers: Sequence[int]) -> list[Shown]:
            draws = [Draw(int(clips[n]), epoch, int(turn_of[n]) * self._batch_size + lane) for n in numbers]
            return [self._shown(draw, *found) for draw, found in zip(draws, self._show(draws), strict=True)]

        return Lane(stretches, reach, self._source, show)

    def _epoch(self, number: int) -> Epoch:
        if number not in self._planned:
            self._planned = {number: self._order.planned(number)}
        return self._planned[number]

    def _shown(self, draw: Draw, clip: Clip, change: Change | None) -> Shown:
        epochs = draw.epoch - self._first.epoch
        place = epochs * len(self._order) + draw.position - self._first.position
        batch, row = divmod(place, self._batch_size)
        with self._guard:
            self._clips[draw] = clip
        return Shown(clip, change, lambda: self._rows(batch, row // self._ranks))

    def _rows(self, batch: int, row: int) -> Rows:
        with self._guard:
            if batch not in self._open:
                self._open[batch] = self._pages.get(batch)
            return self._open[batch][row, :, :, self._band]
