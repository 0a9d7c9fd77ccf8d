"""Clips into batches: in training order without end, or once each for judging.

In: clips, the cameras of their streams, a source of frames. Out: `Batch`es in the model's view.
Idea: the training order is one endless sequence of draws, cut into global batches; rank r of n takes every n-th draw of
each. The state is a position in that sequence, so a run goes on at any sample, on any number of ranks. Threads decode
ahead (PyAV lets go of the interpreter), and batches are handed out in order whoever finishes first. There are two such
sequences: any clip at any time (`order.py`), each with its own decoding, and stretches decoded once (`stretches.py`).
Not here: where frames are kept (`store/`), what they become (`model/`).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Int64, UInt8

from dojo.errors import ConfigError
from dojo.geometry import MODEL_VIEW, Camera
from dojo.geometry.reproject import Reprojector
from dojo.load.augment import NO_AUGMENT, Augment, AugmentConfig
from dojo.load.deck import Deck, Draw, Hand
from dojo.load.lanes import Change, Pages
from dojo.load.listing import Listing, listed
from dojo.load.order import Order
from dojo.load.processes import PagesByBatch, Part, together
from dojo.load.recover import NO_RECOVER, Offset, Recover, RecoverConfig
from dojo.load.source import Cameras, FrameSource
from dojo.load.stretches import StretchOrder
from dojo.load.views import Views, require_equal_length
from dojo.records import DESIRES, Batch, Clip

Work = TypeVar("Work")
Made = TypeVar("Made")
Label = TypeVar("Label")


@dataclass(frozen=True)
class LoadConfig:
    """How training clips become batches.

    Args:
        batch_size: clips per global batch, over all ranks together.
        order: `random` draws any clip at any time, and decodes it then; `chunked` decodes each frame once per epoch, in
            stretches that come in random order, and mixes their clips through a buffer.
        stretch_s: of `chunked`: length of a stretch; shorter ones mix better and decode more frames that nobody wants.
        buffer: of `chunked`: clips that are mixed with one another, over all ranks; each is held decoded, 196,608 bytes
            a frame of the model view.
        seed: of the order and of the augmentation.
        workers: threads that decode; 0 decodes when asked.
        processes: that decode instead of threads, each a part of the rows. One lets training have the interpreter for
            itself, more are for several cores; on Linux, see `shareable`.
        prefetch: batches made ahead, each held in memory.
        rank, ranks: which part of each global batch this process takes.
        augment: how far pictures may stray from the recorded ones.
        recover: how far from the driven line clips are shown, with the way back as their target; off by default.
    """

    batch_size: int = 16
    order: Literal["random", "chunked"] = "random"
    stretch_s: float = 30.0
    buffer: int = 1024
    seed: int = 0
    workers: int = 2
    processes: int = 0
    prefetch: int = 4
    rank: int = 0
    ranks: int = 1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    recover: RecoverConfig = NO_RECOVER

    def __post_init__(self) -> None:
        if not (self.workers >= 0 and self.prefetch >= 1):
            raise ConfigError(f"load: expected workers >= 0 and prefetch >= 1, got {self.workers} and {self.prefetch}")
        if not (self.stretch_s > 0 and self.buffer >= 1):
            raise ConfigError(
                f"load: expected stretch_s above 0 and buffer at least 1, got {self.stretch_s} and {self.buffer}"
            )
        if self.processes and not 0 < self.ranks * self.processes <= self.batch_size:
            raise ConfigError(
                f"load: expected ranks x processes of at most {self.batch_size} (batch_size), got {self.processes} "
                f"processes and {self.ranks} ranks"
            )
        if not 0 <= self.rank < self.ranks <= self.batch_size:
            raise ConfigError(
                f"load: expected 0 <= rank < ranks <= batch_size, got rank {self.rank} of {self.ranks} and batches of "
                f"{self.batch_size}; every rank needs at least one clip of each batch"
            )


@dataclass(frozen=True)
class LoaderState:
    """Where a run stands: the next draw. JSON-able with `as_json` and `from_json`.

    Args:
        order: fingerprint of the order it belongs to.
        epoch, position: the next draw is number `position` of this epoch.
    """

    order: str
    epoch: int
    position: int

    def as_json(self) -> dict[str, str | int]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, str | int]) -> LoaderState:
        """The state that `as_json` wrote."""
        return LoaderState(str(values["order"]), int(values["epoch"]), int(values["position"]))


class Loader:
    """The training order of some clips, as batches.

    Args:
        clips: those to draw from, each as often as its weight says; all with equally many anchors. Of a listing, only
            those that are drawn are read.
        cameras: camera of each stream, see `cameras_of`.
        source: where frames come from.
        dataset_version: part of the key of the order, so that a changed dataset is never taken for the same run.
        recorded: camera that took each stream, see `recorded_cameras_of`; says which pixels of displaced pictures were
            never seen. Without it, all of the stored picture counts as seen.
        view: what the model sees; another than its own only to measure.
        rows: of the packed frames, the first and the last, excluded, that the policy looks at: others are not made and
            stay zero. All where none are named.

    Raises:
        ConfigError: nothing to draw, clips of unequal length, or a stream without a camera.
    """

    def __init__(
        self,
        clips: Sequence[Clip] | Listing,
        cameras: Cameras,
        source: FrameSource,
        config: LoadConfig,
        dataset_version: str,
        recorded: Cameras | None = None,
        view: Camera = MODEL_VIEW,
        rows: tuple[int, int] | None = None,
    ) -> None:
        self._clips = listed(clips)
        self._made_of = (self._clips, cameras, source, dataset_version, recorded, view, rows)
        self._config = config
        self._views = Views(self._clips, cameras, source, recorded, view, rows)
        horizon = round(view.centre_px[1] / 2) - self._views.rows.start
        self._augment = Augment(config.augment, config.seed, horizon) if config.augment != NO_AUGMENT else None
        self._recover = Recover(config.recover, config.seed, rows) if config.recover.share > 0 else None
        drawn = Order(self._clips.names(), self._clips.weights, config.seed, dataset_version)
        self._stretches = (
            StretchOrder(drawn, self._clips, config.batch_size, config.stretch_s, config.buffer)
            if config.order == "chunked"
            else None
        )
        self._order: Order | StretchOrder = self._stretches or drawn

    @property
    def start(self) -> LoaderState:
        """The state before the first draw."""
        return LoaderState(self._order.fingerprint, 0, 0)

    @property
    def draws_per_epoch(self) -> int:
        """As many as there are clips."""
        return len(self._order)

    def batches(self, state: LoaderState | None = None) -> Iterator[tuple[Batch, LoaderState]]:
        """Batches without end from `state` on, each with the state after it; close the iterator to stop the threads.

        Raises:
            ConfigError: the state belongs to another order.
        """
        state = state or self.start
        if state.order != self._order.fingerprint or not 0 <= state.position < len(self._order):
            raise ConfigError(
                f"load: expected a state of order {self._order.fingerprint} within {len(self._order)} draws, got "
                f"{state}; the dataset, its weights or the seed changed since: start a new run, or restore them"
            )
        return self._by_processes(state) if self._config.processes else self._made_into(state, Pages(self._shape()))

    def _by_processes(self, state: LoaderState) -> Iterator[tuple[Batch, LoaderState]]:
        """Each process makes a part of our rows, as if it were a rank."""
        config, count = replace(self._config, workers=0, processes=0), self._config.processes
        ranks = [(config.rank + config.ranks * number, config.ranks * count) for number in range(count)]
        parts: list[Part] = [
            partial(_part, self._made_of, replace(config, rank=rank, ranks=of), state) for rank, of in ranks
        ]
        with contextlib.closing(together(parts, self._shape(), config.prefetch)) as made:
            for _, after in self._plan(state):
                yield next(made), after

    def _made_into(self, state: LoaderState, pages: PagesByBatch) -> Iterator[tuple[Batch, LoaderState]]:
        """Our rows of every batch from `state` on, made in this process, frames in these pages."""
        config = self._config
        if self._stretches is None:
            drawn = (((number, draws), after) for number, (draws, after) in enumerate(self._plan(state)))
            return _made_ahead(drawn, partial(self._batch, pages), config.workers, config.prefetch)
        deck = self._deck(self._stretches, state, pages)
        hands = ((deck.hand(number, draws), after) for number, (draws, after) in enumerate(self._plan(state)))
        return deck.closing(_made_ahead(hands, partial(self._dealt, deck), config.workers, config.prefetch))

    def _shape(self) -> tuple[int, int, int, int, int]:
        """Of the frames of this rank's batches."""
        rows = len(range(self._config.rank, self._config.batch_size, self._config.ranks))
        return rows, len(self._clips.take([0])[0].frame_indices), *self._views.packed_shape

    def order(self, epoch: int) -> Int64[np.ndarray, " draws"]:
        """The clips of an epoch in the order of their draws, as indices; what a ledger of the run needs."""
        return self._order.epoch(epoch)

    def _plan(self, state: LoaderState) -> Iterator[tuple[tuple[Draw, ...], LoaderState]]:
        """The draws of this rank for each global batch from `state` on, and the state after it."""
        draws = self._draws(state)
        while True:
            batch = [next(draws) for _ in range(self._config.batch_size)]
            last = batch[-1]
            after = LoaderState(state.order, last.epoch, last.position + 1)
            if after.position == len(self._order):
                after = LoaderState(state.order, last.epoch + 1, 0)
            yield tuple(batch[self._config.rank :: self._config.ranks]), after

    def _draws(self, state: LoaderState) -> Iterator[Draw]:
        first = state.position
        for epoch in itertools.count(state.epoch):
            order = self._order.epoch(epoch)
            for position in range(first, len(order)):
                yield Draw(int(order[position]), epoch, position)
            first = 0

    def _batch(self, pages: PagesByBatch, numbered: tuple[int, tuple[Draw, ...]]) -> Batch:
        number, draws = numbered
        shown: list[Clip] = []
        clips = self._clips.take([draw.clip for draw in draws])
        require_equal_length(clips)
        frames = pages.get(number)
        for draw, recorded, rows in zip(draws, clips, frames[:, :, :, self._views.rows], strict=True):
            clip, warp = self._displaced(draw, recorded)
            clip, rows[:] = self._augmented(draw, clip, self._views.frames(clip, warp))
            shown.append(clip)
        return _batch_of(shown, frames, self._views)

    def _dealt(self, deck: Deck, hand: Hand) -> Batch:
        clips, frames = deck.made(hand)
        made = frames[:, :, :, self._views.rows]
        for row, draw in enumerate(hand.draws if self._augment is not None else ()):
            clips[row], made[row] = self._augmented(draw, clips[row], made[row])
        return _batch_of(clips, frames, self._views)

    def _deck(self, order: StretchOrder, state: LoaderState, pages: PagesByBatch) -> Deck:
        def show(draws: Sequence[Draw]) -> list[tuple[Clip, Change | None]]:
            clips = self._clips.take([draw.clip for draw in draws])
            require_equal_length([self._clips.take([0])[0], *clips])
            shown = [self._displaced(draw, clip) for draw, clip in zip(draws, clips, strict=True)]
            return [(clip, self._views.change(clip, warp)) for clip, warp in shown]

        config, first = self._config, Draw(-1, state.epoch, state.position)
        of = (config.batch_size, config.rank, config.ranks)
        return Deck(order, self._views.source, first, *of, show, pages, self._views.rows)

    def _key(self, draw: Draw, clip: Clip) -> tuple[object, ...]:
        """What everything random about a draw hangs on."""
        return draw.epoch, draw.position, clip.clip_id

    def _displaced(self, draw: Draw, clip: Clip) -> tuple[Clip, Reprojector | None]:
        """The clip of a draw, displaced as its place in the run says, and what displaces its frames."""
        if self._recover is None:
            return clip, None
        return self._recover.apply(clip, self._views.camera(clip), self._views.blank(clip), *self._key(draw, clip))

    def _augmented(
        self, draw: Draw, clip: Clip, frames: UInt8[np.ndarray, "frames 6 rows columns"]
    ) -> tuple[Clip, UInt8[np.ndarray, "frames 6 rows columns"]]:
        return (clip, frames) if self._augment is None else self._augment.apply(clip, frames, *self._key(draw, clip))


def _part(made_of: tuple[Any, ...], config: LoadConfig, state: LoaderState, pages: PagesByBatch) -> Iterator[Batch]:
    """What one of several processes makes of every batch."""
    clips, cameras, source, dataset_version, recorded, view, rows = made_of
    loader = Loader(clips, cameras, source, config, dataset_version, recorded, view, rows)
    return (batch for batch, _ in loader._made_into(state, pages))


def in_order(
    clips: Sequence[Clip],
    cameras: Cameras,
    source: FrameSource,
    batch_size: int = 16,
    *,
    workers: int = 2,
    prefetch: int = 2,
) -> Iterator[Batch]:
    """Every clip once, in the order given, unchanged; the last batch may be smaller.

    Raises:
        ConfigError: clips of unequal length, or a stream without a camera.
    """
    views = Views(clips, cameras, source)
    starts = range(0, len(clips), batch_size)
    plan = ((tuple(clips[start : start + batch_size]), None) for start in starts)

    def batch(chosen: tuple[Clip, ...]) -> Batch:
        return _batch_of(*_stacked([(clip, views.frames(clip)) for clip in chosen], views), views)

    return (made for made, _ in _made_ahead(plan, batch, workers, prefetch))


def beside(
    clips: Sequence[Clip],
    cameras: Cameras,
    source: FrameSource,
    config: RecoverConfig,
    seed: int,
    batch_size: int = 16,
    *,
    recorded: Cameras | None = None,
    workers: int = 2,
) -> Iterator[tuple[Batch, tuple[Offset, ...]]]:
    """Every clip once, displaced as the seed says and not augmented, with the offset of each: for probes.

    Raises:
        ConfigError: clips of unequal length, or a stream without a camera.
    """
    views, recover = Views(clips, cameras, source, recorded), Recover(config, seed)
    starts = range(0, len(clips), batch_size)
    plan = ((tuple(clips[start : start + batch_size]), None) for start in starts)

    def batch(chosen: tuple[Clip, ...]) -> tuple[Batch, tuple[Offset, ...]]:
        made = []
        for clip in chosen:
            changed, warp = recover.apply(clip, views.camera(clip), views.blank(clip), clip.clip_id)
            made.append((changed, views.frames(clip, warp)))
        return _batch_of(*_stacked(made, views), views), tuple(recover.offset(clip, clip.clip_id) for clip in chosen)

    return (made for made, _ in _made_ahead(plan, batch, workers, 2))


def _stacked(
    shown: Sequence[tuple[Clip, UInt8[np.ndarray, "frames 6 made columns"]]], views: Views
) -> tuple[list[Clip], UInt8[np.ndarray, "batch frames 6 rows columns"]]:
    frames = np.zeros((len(shown), len(shown[0][1]), *views.packed_shape), np.uint8)
    for row, (_, made) in enumerate(shown):
        frames[row, :, :, views.rows] = made
    return [clip for clip, _ in shown], frames


def _batch_of(clips: Sequence[Clip], frames: UInt8[np.ndarray, "batch frames 6 rows columns"], views: Views) -> Batch:
    """Clips and their frames side by side."""
    speed, valid = np.stack([clip.speed_mps for clip in clips]), np.stack([clip.valid for clip in clips])
    return Batch(
        frames=frames,
        camera_height_m=np.array([views.height_m(clip) for clip in clips], np.float32),
        position_m=np.stack([clip.position_m for clip in clips]),
        yaw_rad=np.stack([clip.yaw_rad for clip in clips]),
        speed_mps=speed,
        valid=valid,
        curvature_per_m=np.stack([clip.curvature_per_m for clip in clips]),
        acceleration_mps2=np.stack([clip.acceleration_mps2 for clip in clips]),
        action_valid=np.stack([clip.action_valid for clip in clips]),
        ego_rates=np.stack([clip.ego_rates for clip in clips]),
        speed_now_mps=speed[:, :, 0].copy(),
        speed_now_valid=valid[:, :, 0].copy(),
        desire=np.eye(len(DESIRES), dtype=np.float32)[np.stack([clip.desire for clip in clips])],
        traffic_right=np.array(["traffic_left" not in clip.tags for clip in clips]),
        anchor_timestamps_ns=np.stack([clip.anchor_timestamps_ns for clip in clips]),
        clip_ids=tuple(clip.clip_id for clip in clips),
    )


def _made_ahead(
    plan: Iterator[tuple[Work, Label]], make: Callable[[Work], Made], workers: int, ahead: int
) -> Generator[tuple[Made, Label]]:
    """What `make` makes of each piece of work, in the order of the plan, up to `ahead` pieces made before asked for.

    An error of `make` is raised where its piece would have come. Closing the iterator waits for the threads.
    """
    if workers == 0:
        yield from ((make(work), label) for work, label in plan)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dojo-load")
    waiting: deque[tuple[Future[Made], Label]] = deque()
    try:
        for work, label in plan:
            waiting.append((pool.submit(make, work), label))
            if len(waiting) > ahead:
                future, done = waiting.popleft()
                yield future.result(), done
        while waiting:
            future, done = waiting.popleft()
            yield future.result(), done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
