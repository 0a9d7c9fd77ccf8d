"""Video frames and stored chunks of them.

Idea: planes stay YUV420 from the recording to the model; nobody converts to RGB except to show a person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class Frame:
    """One picture: luma and the two half-resolution chroma planes, limited range (16..235), BT.601 or BT.709."""

    timestamp_ns: int
    y: UInt8[np.ndarray, "rows columns"]
    u: UInt8[np.ndarray, "half_rows half_columns"]
    v: UInt8[np.ndarray, "half_rows half_columns"]


@dataclass(frozen=True)
class VideoChunk:
    """A short, independently decodable stretch of one stored camera stream.

    Args:
        first_frame: index of its first frame in the stream.
        frame_count: how many frames it holds, all consecutive in the stream.
        data: the encoded bytes (H.264 in MP4).
    """

    first_frame: int
    frame_count: int
    data: bytes
