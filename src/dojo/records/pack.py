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


def pack(
    frame: Frame, out: UInt8[np.ndarray, "6 half_rows half_columns"] | None = None
) -> UInt8[np.ndarray, "6 half_rows half_columns"]:
    """The six channels of a frame.

    Args:
        out: where they are put, if not in memory of their own.

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
    packed = np.empty((6, *half), np.uint8) if out is None else out
    luma = frame.y if frame.y.strides[1] == 1 else np.ascontiguousarray(frame.y)
    # Two neighbours in a row at once, as one little-endian number: three times as quick as every other byte.
    pairs = luma.view("<u2").reshape(half[0], 2, half[1]) if luma.flags.c_contiguous else _by_row(luma)
    pairs = pairs.transpose(1, 0, 2)
    np.copyto(packed[:2], pairs, casting="unsafe")
    np.copyto(packed[2:4], pairs >> 8, casting="unsafe")
    packed[4], packed[5] = frame.u, frame.v
    return packed


def _by_row(luma: UInt8[np.ndarray, "rows columns"]) -> np.ndarray:
    """Pairs of neighbours, by row pair, parity of the row, and column."""
    rows, columns = luma.shape
    step = luma.strides[0]
    return np.lib.stride_tricks.as_strided(
        luma.view("<u2"), (rows // 2, 2, columns // 2), (2 * step, step, 2), writeable=False
    )


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
