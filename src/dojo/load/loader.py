"""Clips into batches: in training order without end, or once each for judging.

In: clips, the cameras of their streams, a source of frames. Out: `Batch`es in the model's view.
Idea: the training order is one endless sequence of draws (`order.py`), cut into global batches; rank r of n takes every
n-th draw of each. The state is a position in that sequence, so a run goes on at any sample, on any number of ranks,
with any batch size. Threads decode ahead (PyAV lets go of the interpreter), and batches are handed out in order
whoever finishes first.
Not here: where frames are kept (`store/`), what they become (`model/`).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from dojo.errors import ConfigError, RecordError
from dojo.geometry import MODEL_VIEW, Camera, Resampler
from dojo.geometry.reproject import Reprojector, never_seen
from dojo.load.augment import NO_AUGMENT, Augment, AugmentConfig
from dojo.load.order import Order
from dojo.load.recover import NO_RECOVER, Offset, Recover, RecoverConfig
from dojo.load.source import Cameras, FrameSource
from dojo.records import DESIRES, Batch, Clip, Frame
from dojo.records.pack import pack

Work = TypeVar("Work")
Made = TypeVar("Made")
Label = TypeVar("Label")


@dataclass(frozen=True)
class LoadConfig:
    """How training clips become batches.

    Args:
        batch_size: clips per global batch, over all ranks together.
        seed: of the order and of the augmentation.
        workers: threads that decode; 0 decodes when asked.
        prefetch: batches made ahead, each held in memory.
        rank, ranks: which part of each global batch this process takes.
        augment: how far pictures may stray from the recorded ones.
        recover: how far from the driven line clips are shown, with the way back as their target; off by default.
    """

    batch_size: int = 16
    seed: int = 0
    workers: int = 2
    prefetch: int = 4
    rank: int = 0
    ranks: int = 1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    recover: RecoverConfig = NO_RECOVER

    def __post_init__(self) -> None:
        if not (self.workers >= 0 and self.prefetch >= 1):
            raise ConfigError(f"load: expected workers >= 0 and prefetch >= 1, got {self.workers} and {self.prefetch}")
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


@dataclass(frozen=True)
class _Draw:
    """One entry of the endless sequence: which clip, and where it stands."""

    clip: int
    epoch: int
    position: int


class Loader:
    """The training order of some clips, as batches.

    Args:
        clips: those to draw from, each as often as its weight says; all with equally many anchors.
        cameras: camera of each stream, see `cameras_of`.
        source: where frames come from.
        dataset_version: part of the key of the order, so that a changed dataset is never taken for the same run.
        recorded: camera that took each stream, see `recorded_cameras_of`; says which pixels of displaced pictures were
            never seen. Without it, all of the stored picture counts as seen.

    Raises:
        ConfigError: nothing to draw, clips of unequal length, or a stream without a camera.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        cameras: Cameras,
        source: FrameSource,
        config: LoadConfig,
        dataset_version: str,
        recorded: Cameras | None = None,
    ) -> None:
        self._clips = tuple(clips)
        self._config = config
        self._views = _Views(clips, cameras, source, recorded)
        self._augment = Augment(config.augment, config.seed) if config.augment != NO_AUGMENT else None
        self._recover = Recover(config.recover, config.seed) if config.recover.share > 0 else None
        self._order = Order(
            [clip.clip_id for clip in clips], [clip.weight for clip in clips], config.seed, dataset_version
        )

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
        config = self._config
        return _made_ahead(self._plan(state), self._batch, config.workers, config.prefetch)

    def order(self, epoch: int) -> Int64[np.ndarray, " draws"]:
        """The clips of an epoch in the order of their draws, as indices; what a ledger of the run needs."""
        return self._order.epoch(epoch)

    def _plan(self, state: LoaderState) -> Iterator[tuple[tuple[_Draw, ...], LoaderState]]:
        """The draws of this rank for each global batch from `state` on, and the state after it."""
        draws = self._draws(state)
        while True:
            batch = [next(draws) for _ in range(self._config.batch_size)]
            last = batch[-1]
            after = LoaderState(state.order, last.epoch, last.position + 1)
            if after.position == len(self._order):
                after = LoaderState(state.order, last.epoch + 1, 0)
            yield tuple(batch[self._config.rank :: self._config.ranks]), after

    def _draws(self, state: LoaderState) -> Iterator[_Draw]:
        first = state.position
        for epoch in itertools.count(state.epoch):
            order = self._order.epoch(epoch)
            for position in range(first, len(order)):
                yield _Draw(int(order[position]), epoch, position)
            first = 0

    def _batch(self, draws: tuple[_Draw, ...]) -> Batch:
        return _batch_of([self._shown(draw) for draw in draws], self._views)

    def _shown(self, draw: _Draw) -> tuple[Clip, UInt8[np.ndarray, "frames 6 rows columns"]]:
        """The clip of a draw and its frames, displaced and augmented as its place in the run says."""
        clip, warp = self._clips[draw.clip], None
        key = (draw.epoch, draw.position, clip.clip_id)
        if self._recover is not None:
            clip, warp = self._recover.apply(clip, self._views.camera(clip), self._views.blank(clip), *key)
        frames = self._views.frames(clip, warp)
        return (clip, frames) if self._augment is None else self._augment.apply(clip, frames, *key)


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
    views = _Views(clips, cameras, source)
    starts = range(0, len(clips), batch_size)
    plan = ((tuple(clips[start : start + batch_size]), None) for start in starts)

    def batch(chosen: tuple[Clip, ...]) -> Batch:
        return _batch_of([(clip, views.frames(clip)) for clip in chosen], views)

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
    views, recover = _Views(clips, cameras, source, recorded), Recover(config, seed)
    starts = range(0, len(clips), batch_size)
    plan = ((tuple(clips[start : start + batch_size]), None) for start in starts)

    def batch(chosen: tuple[Clip, ...]) -> tuple[Batch, tuple[Offset, ...]]:
        made = []
        for clip in chosen:
            changed, warp = recover.apply(clip, views.camera(clip), views.blank(clip), clip.clip_id)
            made.append((changed, views.frames(clip, warp)))
        return _batch_of(made, views), tuple(recover.offset(clip, clip.clip_id) for clip in chosen)

    return (made for made, _ in _made_ahead(plan, batch, workers, 2))


class _Views:
    """Frames of clips in the model's view, whatever view they are stored in."""

    def __init__(
        self, clips: Sequence[Clip], cameras: Cameras, source: FrameSource, recorded: Cameras | None = None
    ) -> None:
        streams = {(clip.drive_id, clip.camera) for clip in clips}
        missing = sorted(stream for stream in streams if stream not in cameras)
        if missing:
            raise ConfigError(
                f"load: expected the camera of every stream, {len(missing)} are missing, the first {missing[0]}; pass "
                "cameras_of(dataset.drives())"
            )
        lengths = {len(clip.anchor_timestamps_ns) for clip in clips}
        if len(lengths) > 1:
            raise ConfigError(
                f"load: expected clips with equally many anchors, got {sorted(lengths)}; curate the dataset once with "
                "one setting of anchors_per_clip"
            )
        self._source = source
        self._cameras = {stream: cameras[stream].level_view(MODEL_VIEW) for stream in streams}
        self._recorded = recorded or {}
        self._blank = lru_cache(maxsize=256)(self._found_blank)
        self._resamplers = {stream: _resampler(cameras[stream]) for stream in streams}

    def camera(self, clip: Clip) -> Camera:
        """The model's view, where the clip's camera sits."""
        return self._cameras[clip.drive_id, clip.camera]

    def blank(self, clip: Clip) -> Bool[np.ndarray, "half_rows half_columns"] | None:
        """Chroma pixels of the model's view that the recording camera did not see, None where it saw all."""
        return self._blank(clip.drive_id, clip.camera)

    def _found_blank(self, drive_id: str, camera: str) -> Bool[np.ndarray, "half_rows half_columns"] | None:
        recorded = self._recorded.get((drive_id, camera))
        if recorded is None:
            return None
        blank = never_seen(recorded, self._cameras[drive_id, camera])
        return blank if blank.any() else None

    def height_m(self, clip: Clip) -> float:
        """Height of the clip's camera over the ground."""
        return float(self.camera(clip).ego_from_camera.translation_m[2])

    def frames(self, clip: Clip, warp: Reprojector | None = None) -> UInt8[np.ndarray, "frames 6 rows columns"]:
        """The packed frames of a clip, warped where a warp is given."""
        found = self._source.frames(clip.drive_id, clip.camera, clip.frame_indices)
        if len(found) != len(clip.frame_indices):
            raise RecordError(
                f"clip {clip.clip_id}: expected {len(clip.frame_indices)} frames of camera {clip.camera!r} of drive "
                f"{clip.drive_id}, the source gave {len(found)}; curate the dataset again"
            )
        steps = [step for step in (self._resamplers[clip.drive_id, clip.camera], warp) if step is not None]
        return np.stack([pack(_resampled(frame, steps)) for frame in found])


def _resampler(camera: Camera) -> Resampler | None:
    """What turns the camera's pictures into the model's view, or None where they are that view already."""
    view = camera.level_view(MODEL_VIEW)
    same_picture = (camera.width_px, camera.height_px, camera.distortion) == (
        view.width_px,
        view.height_px,
        view.distortion,
    )
    same_rays = np.allclose([*camera.focal_px, *camera.centre_px], [*view.focal_px, *view.centre_px], atol=1e-6)
    same_turn = np.allclose(camera.ego_from_camera.rotation, view.ego_from_camera.rotation, atol=1e-9)
    return None if same_picture and same_rays and same_turn else Resampler(camera, view)


def _resampled(frame: Frame, steps: Sequence[Resampler | Reprojector]) -> Frame:
    for step in steps:
        frame = Frame(frame.timestamp_ns, *step.apply(frame.y, frame.u, frame.v))
    return frame


def _batch_of(shown: Sequence[tuple[Clip, UInt8[np.ndarray, "frames 6 rows columns"]]], views: _Views) -> Batch:
    """Clips and their frames side by side."""
    clips = [clip for clip, _ in shown]
    speed, valid = np.stack([clip.speed_mps for clip in clips]), np.stack([clip.valid for clip in clips])
    return Batch(
        frames=np.stack([frames for _, frames in shown]),
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
) -> Iterator[tuple[Made, Label]]:
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
