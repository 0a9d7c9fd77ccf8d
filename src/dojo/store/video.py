"""Stored video: short H.264 chunks of model-view frames, each decodable without any other.

In: frames as YUV420 planes. Out: `VideoChunk`s, and frames again by their place in a chunk.
Idea: one chunk is a few seconds, so that a reader fetches and decodes little more than it wants; inside it a
key frame each second lets decoding begin near the wanted frame. Planes go in and come out untouched by any
colour conversion. Picture k of a chunk is frame k: no B-frames, no frame is dropped or repeated.
Measured on a 960 x 540 highway clip resampled to 512 x 256, per core of a shared machine: x264 `veryfast` with
`fastdecode` (no loop filter, no CABAC) at CRF 22 encodes about 550 frames/s, decodes about 3,900, takes 459 kbit/s at
20 fps and keeps 42.9 dB. Without `fastdecode` it decodes about half as fast for 9 % fewer bytes.
Not here: where chunks are kept (`dataset.py`); what the camera shows (`geometry/resample.py`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from jaxtyping import Int64, UInt8

from dojo.errors import StoreError
from dojo.records import Frame, VideoChunk

CHUNK_S = 3.0
"""Length of a chunk, seconds. Assumed: a 10 s clip then touches four or five chunks and wastes a third at most."""

GOP_S = 1.0
"""Time between key frames, seconds. Measured: 10 % more bytes than one key frame per chunk."""

CRF = 22
"""Quality of x264; 42.9 dB on highway pictures, still well below 1 Mbit/s at 20 fps."""


def encode_chunks(
    frames: Iterable[Frame],
    width: int,
    height: int,
    nominal_fps: float,
    gop: int | None = None,
    *,
    chunk_frames: int | None = None,
) -> Iterator[VideoChunk]:
    """Consecutive chunks of a stream, in order; the same frames always give the same bytes.

    Args:
        width, height: of every frame, pixels, even.
        nominal_fps: only sets how many frames make a chunk and a key-frame distance, and how fast a player plays.
        gop: frames between key frames; one second of them by default.
        chunk_frames: frames per chunk; `CHUNK_S` seconds of them by default. The last chunk may be shorter.

    Raises:
        StoreError: a frame of another size.
    """
    chunk_frames = chunk_frames or max(1, round(CHUNK_S * nominal_fps))
    gop = gop or max(1, round(GOP_S * nominal_fps))
    waiting: list[Frame] = []
    first = 0
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == chunk_frames:
            yield VideoChunk(first, len(waiting), _encode(waiting, width, height, nominal_fps, gop))
            first += len(waiting)
            waiting = []
    if waiting:
        yield VideoChunk(first, len(waiting), _encode(waiting, width, height, nominal_fps, gop))


def decode_chunk(data: bytes, offsets: Int64[np.ndarray, " n"], timestamps_ns: Int64[np.ndarray, " n"]) -> list[Frame]:
    """The frames at these places of a chunk, in the order asked, each with the time given for it.

    Decodes from the last key frame at or before the first wanted frame up to the last wanted one.

    Raises:
        StoreError: the bytes do not decode, or hold fewer frames than asked for.
    """
    if len(offsets) == 0:
        return []
    wanted = {int(offset) for offset in offsets}
    try:
        planes = _decode(data, wanted)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise StoreError(
            f"video chunk of {len(data)} bytes does not decode: {error}; ingest its drive again"
        ) from error
    if missing := wanted - planes.keys():
        raise StoreError(f"video chunk: expected frames up to {max(wanted)}, frames {sorted(missing)} are missing")
    return [Frame(int(time), *planes[int(offset)]) for offset, time in zip(offsets, timestamps_ns, strict=True)]


Planes = tuple[UInt8[np.ndarray, "_ _"], UInt8[np.ndarray, "_ _"], UInt8[np.ndarray, "_ _"]]


def _encode(frames: Sequence[Frame], width: int, height: int, nominal_fps: float, gop: int) -> bytes:
    rate = Fraction(nominal_fps).limit_denominator(1000)
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # slices cut by threads would make the bytes depend on the machine
        stream.codec_context.max_b_frames = 0
        stream.codec_context.time_base = 1 / rate
        stream.options = {
            "preset": "veryfast",
            "tune": "fastdecode",
            "crf": str(CRF),
            "g": str(gop),
            "keyint_min": str(gop),
            "sc_threshold": "0",
            "flags": "+cgop",
            # Macroblock trees read past the end of narrow pictures in x264's SIMD code, so that the same frames gave
            # other bytes in one encoding of eight at 64 pixels across; without them, never. They save 15 % of bytes.
            "x264-params": "mbtree=0:rc-lookahead=0",
        }
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(_packed(frame, width, height), format="yuv420p")
            picture.pts, picture.time_base = place, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return target.getvalue()


def _packed(frame: Frame, width: int, height: int) -> UInt8[np.ndarray, "_ _"]:
    """The three planes one after the other, as PyAV wants them."""
    half = (height // 2, width // 2)
    if frame.y.shape != (height, width) or frame.u.shape != half or frame.v.shape != half:
        raise StoreError(
            f"video: expected planes of {height} x {width} and {half[0]} x {half[1]}, got {frame.y.shape}, "
            f"{frame.u.shape} and {frame.v.shape} at {frame.timestamp_ns} ns; resample the frame first"
        )
    return np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()]).reshape(height * 3 // 2, width)


def _decode(data: bytes, wanted: set[int]) -> dict[int, Planes]:
    """Planes of the wanted frames that the chunk has."""
    found: dict[int, Planes] = {}
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        packets = [packet for packet in container.demux(stream) if packet.size]
        keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        start = max(place for place in keys if place <= min(wanted)) if min(wanted) >= 0 else 0
        place = start
        for packet in [*packets[start : max(wanted) + 1], None]:
            for picture in stream.codec_context.decode(packet):
                if place in wanted:
                    found[place] = _planes(picture)
                place += 1
    return found


def _planes(picture: av.VideoFrame) -> Planes:
    packed = picture.to_ndarray(format="yuv420p")
    rows, columns = picture.height, picture.width
    half = (rows // 2, columns // 2)
    return packed[:rows], packed[rows : rows + rows // 4].reshape(half), packed[rows + rows // 4 :].reshape(half)
