"""Marking parts of a drive as not to be used, each with the rejection that says why.

In: a drive and a span of its clock. Out: the same drive with frames, poses or samples of the span marked invalid.
Idea: every gate says what is wrong and where; what that does to the records is the same for all of them.
Not here: what is wrong (`gates.py`, `witnesses.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from dojo.records import Drive, Rejection

NS_PER_S = 1_000_000_000


def runs(marks: Bool[np.ndarray, " n"]) -> Iterator[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)


def within(times_ns: Int64[np.ndarray, " n"], start_ns: int, end_ns: int) -> Bool[np.ndarray, " n"]:
    """Which times lie in the span, both ends included."""
    return (times_ns >= start_ns) & (times_ns <= end_ns)


def told(drive: Drive, *rejections: Rejection) -> Drive:
    """The drive with more rejections."""
    return replace(drive, rejections=(*drive.rejections, *rejections))


def refused_span(
    drive: Drive, refused: Rejection, *, camera: str | None = None, poses: bool = True, samples: tuple[str, ...] = ()
) -> Drive:
    """The drive with the span of the rejection marked invalid, and the rejection.

    Args:
        camera: whose frames go; those of all cameras if None.
        poses: whether the poses go too.
        samples: signals whose samples go too.
    """
    assert refused.start_ns is not None
    assert refused.end_ns is not None
    span = refused.start_ns, refused.end_ns
    cameras = tuple(
        replace(stream, valid=stream.valid & ~within(stream.timestamps_ns, *span))
        if camera in (None, stream.name)
        else stream
        for stream in drive.cameras
    )
    drive = told(replace(drive, cameras=cameras), refused)
    if poses:
        ego = drive.ego
        drive = replace(drive, ego=replace(ego, valid=ego.valid & ~within(ego.timestamps_ns, *span)))
    return without_samples(drive, samples, *span)


def without_samples(drive: Drive, names: tuple[str, ...], start_ns: int, end_ns: int) -> Drive:
    """The drive with the samples of these signals in the span marked invalid."""
    signals = {name: getattr(drive.telemetry, name) for name in names}
    changed = {
        name: replace(signal, valid=signal.valid & ~within(signal.timestamps_ns, start_ns, end_ns))
        for name, signal in signals.items()
    }
    return replace(drive, telemetry=replace(drive.telemetry, **changed))
