"""Stored video: short H.264 chunks of model-view frames, each decodable without any other.

In: frames as YUV420 planes. Out: `VideoChunk`s, and frames again by their place in a chunk.
Idea: one chunk is a few seconds, so that a reader fetches and decodes little more than it wants. A policy looks five
times a second; a camera that gives more is stored in two layers: every fourth frame of 20 a second refers only to the
fourth before it, and nothing refers to those between, so a reader that does not want them skips them undecoded. Planes
go in and come out untouched by any colour conversion. Picture k of a chunk is frame k: none is dropped or repeated.
Measured (`benchmarks/loader.py`, docs/log.md): without loop filter and CABAC (`fastdecode`) a frame decodes in half the
time for 16 % more bytes; two layers take a quarter fewer bytes than one, and a 5 Hz reader decodes a third of the time.
Not here: where chunks are kept (`dataset.py`), the container (`mp4.py`), what a camera shows (`geometry/resample.py`).
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from jaxtyping import Int64, UInt8

from dojo.errors import StoreError
from dojo.records import Frame, VideoChunk
from dojo.store.mp4 import Packets, packets

CHUNK_S = 3.0
"""Length of a chunk, seconds. Assumed: a 10 s clip then touches four or five chunks and wastes a third at most."""

GOP_S = 1.0
"""Time between key frames of a stream in one layer, seconds. Measured: 10 % more bytes than one key frame per chunk. In
two layers, half a chunk is a handful of frames, and the first frame alone is a key frame."""

LAYER_S = 0.2
"""Time between the frames that others refer to, seconds: the anchors of clips, where cameras keep time."""

CRF = 23
"""Quality of x264. Measured (docs/log.md): frames of the first layer are 0.4 dB better than in one layer at 22 with a
key frame a second, for 15 % fewer bytes; the frames between, which no sample shows, are 0.7 dB worse."""


def encode_chunks(
    frames: Iterable[Frame],
    width: int,
    height: int,
    nominal_fps: float,
    gop: int | None = None,
    *,
    chunk_frames: int | None = None,
    layer: int | None = None,
) -> Iterator[VideoChunk]:
    """Consecutive chunks of a stream, in order; the same frames always give the same bytes.

    Args:
        width, height: of every frame, pixels, even.
        nominal_fps: only sets how many frames make a chunk, a layer and a key-frame distance, and how fast a player
            plays.
        gop: frames between key frames; by default a chunk in two layers, one second in one.
        layer: frames from one that others refer to, to the next; `LAYER_S` seconds of them by default, 1 for one layer.
        chunk_frames: frames per chunk; `CHUNK_S` seconds of them by default. The last chunk may be shorter.

    Raises:
        StoreError: a frame of another size.
    """
    chunk_frames = chunk_frames or max(1, round(CHUNK_S * nominal_fps))
    layer = layer or max(1, round(LAYER_S * nominal_fps))
    gop = gop or (chunk_frames if layer > 1 else max(1, round(GOP_S * nominal_fps)))
    waiting: list[Frame] = []
    first = 0
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == chunk_frames:
            yield VideoChunk(first, len(waiting), _encode(waiting, width, height, nominal_fps, gop, layer))
            first += len(waiting)
            waiting = []
    if waiting:
        yield VideoChunk(first, len(waiting), _encode(waiting, width, height, nominal_fps, gop, layer))


def decode_chunk(data: bytes, offsets: Int64[np.ndarray, " n"], timestamps_ns: Int64[np.ndarray, " n"]) -> list[Frame]:
    """The frames at these places of a chunk, in the order asked, each with the time given for it.

    Raises:
        StoreError: the bytes do not decode, or hold fewer frames than asked for.
    """
    times = dict(zip(offsets.tolist(), timestamps_ns.tolist(), strict=True))
    found = {place: _kept(frame) for place, frame in decode_each(data, times)}
    return [found[int(offset)] for offset in offsets]


def decode_each(data: bytes, times_ns: Mapping[int, int]) -> Iterator[tuple[int, Frame]]:
    """The wanted frames of a chunk one by one, each with its place, in the order of places.

    The planes are the decoder's own memory: each frame is good only until the next is asked for. Decodes from the last
    key frame at or before the first wanted frame up to the last wanted one, and of the frames that no other refers to
    only those wanted.

    Args:
        times_ns: of the wanted frames, by their place in the chunk.

    Raises:
        StoreError: the bytes do not decode, or hold fewer frames than asked for.
    """
    if not times_ns:
        return
    table = packets(data)
    missing = times_ns.keys() - set(table.places.tolist())
    try:
        if not missing:
            missing = set(times_ns)
            for place, picture in _decoded(data, table, times_ns.keys()):
                if place in times_ns:
                    missing.discard(place)
                    yield place, Frame(times_ns[place], *_planes(picture))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise StoreError(
            f"video chunk of {len(data)} bytes does not decode: {error}; ingest its drive again"
        ) from error
    if missing:
        raise StoreError(f"video chunk: expected frames up to {max(times_ns)}, frames {sorted(missing)} are missing")


def _kept(frame: Frame) -> Frame:
    """A copy of its own."""
    return Frame(frame.timestamp_ns, frame.y.copy(), frame.u.copy(), frame.v.copy())


Planes = tuple[UInt8[np.ndarray, "_ _"], UInt8[np.ndarray, "_ _"], UInt8[np.ndarray, "_ _"]]


_TWO_LAYERS = ":b-adapt=0:b-pyramid=none"
"""Every frame between two of the first layer is one that nothing refers to, whatever it shows."""


def _encode(frames: Sequence[Frame], width: int, height: int, nominal_fps: float, gop: int, layer: int) -> bytes:
    rate = Fraction(nominal_fps).limit_denominator(1000)
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # slices cut by threads would make the bytes depend on the machine
        stream.codec_context.max_b_frames = layer - 1
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
            "x264-params": "mbtree=0:rc-lookahead=0" + (_TWO_LAYERS if layer > 1 else ""),
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


def _decoded(data: bytes, table: Packets, wanted: Collection[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """What a decoder makes of no more packets than the wanted pictures take, each with its place."""
    context = av.CodecContext.create("h264", "r")
    context.extradata = table.head
    context.thread_count = 1
    context.thread_type = "NONE"
    keys = np.flatnonzero(table.keys & (table.places <= min(wanted)))
    last = int(np.flatnonzero(np.isin(table.places, list(wanted))).max())
    for number in range(int(keys.max()), last + 1):
        start, place = int(table.starts[number]), int(table.places[number])
        content = data[start : start + int(table.sizes[number])]
        if place in wanted or _referred_to(content):
            packet = av.Packet(content)
            packet.pts = packet.dts = place
            yield from ((int(picture.pts or 0), picture) for picture in context.decode(packet))
    yield from ((int(picture.pts or 0), picture) for picture in context.decode(None))


def _referred_to(packet: bytes) -> bool:
    """Whether other pictures may refer to this one: `nal_ref_idc` of its first slice. Source: ITU-T H.264, 7.3.1."""
    place = 0
    while place + 4 < len(packet):
        if packet[place + 4] & 31 in (1, 5):
            return packet[place + 4] & 0x60 != 0
        place += 4 + int.from_bytes(packet[place : place + 4], "big")
    return True


def _planes(picture: av.VideoFrame) -> Planes:
    """The planes as they lie in the decoder's memory."""
    if picture.format.name != "yuv420p":
        raise ValueError(f"expected pictures in yuv420p, got {picture.format.name}")
    y, u, v = (
        np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in picture.planes
    )
    return y, u, v
