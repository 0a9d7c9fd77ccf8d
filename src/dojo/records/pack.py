"""YUV420 planes to the six channels that a policy sees, back, and their mirror image.

In: planes of the model view. Out: 6 x rows/2 x columns/2, layout as in `records.Batch`.
Idea: the four luma pixels of a 2 x 2 block become channels, so luma and chroma share one resolution and the model's
first convolution costs a quarter. Nothing is converted or lost.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from dojo.errors import RecordError
from dojo.records.video import Frame

PHASES = ((0, 0), (1, 0), (0, 1), (1, 1))
"""(row, column) parity of the luma pixels in channels 0 to 3. Source: openpilot selfdrive/modeld (loadyuv)."""

MIRRORED_CHANNELS = (2, 3, 0, 1, 4, 5)
"""Flipping an even number of columns turns even columns into odd ones, so the luma channels change places."""


def pack(frame: Frame) -> UInt8[np.ndarray, "6 half_rows half_columns"]:
    """The six channels of a frame.

    Raises:
        RecordError: the luma has an odd size, or the chroma is not half of it.
    """
    rows, columns = frame.y.shape
    half = (rows // 2, columns // 2)
    if rows % 2 or columns % 2 or frame.u.shape != half or frame.v.shape != half:
        raise RecordError(
            f"frame at {frame.timestamp_ns} ns: expected even luma and half-size chroma (4:2:0), got luma "
            f"{frame.y.shape}, chroma {frame.u.shape} and {frame.v.shape}; convert it to yuv420p"
        )
    packed = np.empty((6, *half), np.uint8)
    for channel, (row, column) in enumerate(PHASES):
        packed[channel] = frame.y[row::2, column::2]
    packed[4], packed[5] = frame.u, frame.v
    return packed


def unpack(packed: UInt8[np.ndarray, "6 half_rows half_columns"], timestamp_ns: int = 0) -> Frame:
    """The frame whose six channels these are."""
    _, rows, columns = packed.shape
    luma = np.empty((2 * rows, 2 * columns), np.uint8)
    for channel, (row, column) in enumerate(PHASES):
        luma[row::2, column::2] = packed[channel]
    return Frame(timestamp_ns, luma, packed[4].copy(), packed[5].copy())


def mirror(
    packed: UInt8[np.ndarray, "*frames 6 half_rows half_columns"],
) -> UInt8[np.ndarray, "*frames 6 half_rows half_columns"]:
    """The six channels of the picture seen in a mirror: left and right exchanged."""
    return np.ascontiguousarray(packed[..., MIRRORED_CHANNELS, :, ::-1])
