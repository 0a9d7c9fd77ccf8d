"""Decode a video file: true frame times, pictures as they were coded, and which of them are damaged.

In: any video file that PyAV opens. Out: `VideoCheck` (times, and a mark for every frame), then `Frame`s.
Idea: a decoder for players hides damage; here every sign of it counts, and a frame is intact or it is not used.
Signs: the container contradicts itself (`mp4.py`); a sample's NAL units do not fill it; the decoder complains or
conceals; and, because H.264 has no checksum and one flipped bit in five still decodes to *something*, a slice that does
not end where its data ends (`h264.py`). Damage spreads to every frame that refers to the damaged one, so a whole group
of pictures falls with it. Measured in `tests/fleet/test_corruption.py`.
Why twice: a drive must say which frames are valid before anybody asks for pixels, and a minute of video does not fit in
memory, so a file is decoded once to check it and once to use it.
Not here: what telemetry a packet carries (`teslacam_sei.py`), whether frame times make sense (`fleet/gates.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from jaxtyping import Bool, Int64, UInt8

from dojo.errors import RecordingError
from dojo.fleet.readers import h264
from dojo.fleet.readers.mp4 import Mp4Video, check_mp4
from dojo.records import Frame

Packet: TypeAlias = "av.Packet[Any]"
MP4_SUFFIXES = (".mp4", ".m4v", ".mov")

MIN_INTACT_SHARE = 0.5
"""Below this share of intact frames a file is refused whole. Assumed: what is left would hardly hold one clip."""

# Every check that the decoder offers. One thread: with more, an error is reported with a later packet.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "threads": "1"}
# The in-loop filter is the last step of decoding and finds no errors; checking costs a third less without it.
_CHECKING = {**_STRICT, "skip_loop_filter": "all"}

# For decoders that are meant to fail: one picture at a time, and the cheapest concealment that still marks a frame (to
# guess the motion of what is missing takes as long as decoding).
_PROBING = {**_CHECKING, "flags": "low_delay", "ec": "favor_inter"}

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True)
class Sample:
    """One coded picture as it lies in the container: `index` in the order of presentation."""

    index: int
    data: bytes


@dataclass(frozen=True)
class Fault:
    """Frames first..last (inclusive, order of presentation) that must not be used, and why."""

    first_frame: int
    last_frame: int
    gate: str
    reason: str


@dataclass(frozen=True)
class VideoCheck:
    """What a video file holds.

    Args:
        timestamps_ns: when each frame is shown, in order, on the container's own clock; None for a raw stream,
            which has no clock.
        length_ns: from the first frame to the end of the last; None where the container does not say.
        intact: False for frames that are damaged or lean on damaged ones.
        faults: the reasons, each a span of frames.
    """

    width_px: int
    height_px: int
    frame_count: int
    timestamps_ns: Int64[np.ndarray, " n"] | None
    length_ns: int | None
    intact: Bool[np.ndarray, " n"]
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class _Index:
    """Every packet of the video in the order of decoding."""

    order: Int64[np.ndarray, " n"]  # place in the order of presentation, of each packet
    pts: Int64[np.ndarray, " n"] | None  # sorted
    timestamps_ns: Int64[np.ndarray, " n"] | None
    length_ns: int | None
    keyframe: Bool[np.ndarray, " n"]
    whole: Bool[np.ndarray, " n"]  # its NAL units fill it exactly
    length_bytes: int | None  # H.264 with length prefixes

    def groups(self) -> Int64[np.ndarray, " n"]:
        """Which group of pictures each packet belongs to."""
        return np.cumsum(self.keyframe)


def check_video(path: Path) -> VideoCheck:
    """Times of all frames and which are intact, after decoding every one.

    Raises:
        RecordingError: gate `empty_file`, `wrong_format`, `truncated_file`, `inconsistent_container`,
            `unreadable_file`, `no_video`, `clock_backwards`, or `corrupt_file` where less than `MIN_INTACT_SHARE` is
            intact.
    """
    declared = _check_container(path)
    index = _index(path, declared)
    complaints, size = _decode_all(path, index)
    if declared and size and size != (declared.width_px, declared.height_px):
        raise RecordingError(
            "inconsistent_container",
            f"{path.name}: the container declares {declared.width_px} x {declared.height_px} pixels, the pictures have "
            f"{size[0]} x {size[1]}; copy the file again from the vehicle",
            {"declared_width_px": float(declared.width_px), "width_px": float(size[0])},
        )
    intact, faults = _faults(index, complaints)
    share = float(intact.mean())
    if size is None or share < MIN_INTACT_SHARE:
        raise RecordingError(
            "corrupt_file",
            f"{path.name}: expected at least {MIN_INTACT_SHARE:.0%} intact frames, got {share:.0%} of {len(intact)} "
            f"({_first_reason(complaints)}); copy the file again from the vehicle",
            {"intact_share": share, "frames": float(len(intact))},
        )
    return VideoCheck(*size, len(intact), index.timestamps_ns, index.length_ns, intact, faults)


def read_frames(path: Path, timestamps_ns: Int64[np.ndarray, " n"], valid: Bool[np.ndarray, " n"]) -> Iterator[Frame]:
    """The valid frames of a checked file, in order, each with its time from `timestamps_ns`.

    Args:
        timestamps_ns, valid: one entry for each frame of the file, in the order of presentation.

    Raises:
        RecordingError: gate `changed_file` where a valid frame does not come out of the decoder as it did before.
    """
    index = _index(path, None)
    if len(index.order) != len(valid):
        raise RecordingError(
            "changed_file", f"{path.name}: expected {len(valid)} frames as when checked, got {len(index.order)}"
        )
    wanted = iter(np.flatnonzero(valid).tolist())
    expected = next(wanted, None)
    if expected is None:
        return
    for _, frame, place in _decoded(path, index, _STRICT):
        if frame is None or place != expected:
            continue
        y, u, v = planes(frame)
        yield Frame(int(timestamps_ns[place]), y, u, v)
        expected = next(wanted, None)
        if expected is None:
            return
    raise RecordingError(
        "changed_file",
        f"{path.name}: decoding broke off before frame {expected}, which was intact when checked; ingest it again",
        {"frame": float(expected)},
    )


def samples(path: Path) -> Iterator[Sample]:
    """Every coded picture of the video, in the order of decoding."""
    index = _index(path, None)
    for place, packet in zip(index.order.tolist(), _packets(path), strict=True):
        yield Sample(place, bytes(packet))


Plane = UInt8[np.ndarray, "_ _"]


def planes(frame: VideoFrame) -> tuple[Plane, Plane, Plane]:
    """Luma and chroma of a decoded frame as limited-range YUV420, copied."""
    full_range = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    if frame.format.name != "yuv420p" or full_range:
        frame = frame.reformat(
            format="yuv420p", src_color_range="JPEG" if full_range else "MPEG", dst_color_range="MPEG"
        )
    y, u, v = (_rows(plane).copy() for plane in frame.planes)
    return y, u, v


def _rows(plane: VideoPlane) -> Plane:
    """A view of the plane without the padding at the end of its rows."""
    padded = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return padded[: plane.height, : plane.width]


def _check_container(path: Path) -> Mp4Video | None:
    if path.suffix.lower() in MP4_SUFFIXES:
        return check_mp4(path)
    if path.stat().st_size == 0:
        raise RecordingError("empty_file", f"{path.name}: expected a video, got 0 bytes; copy it again")
    return None


def _packets(path: Path) -> Iterator[Packet]:
    """Packets of the one video stream that carry a picture, in the order of decoding."""
    try:
        with av.open(str(path)) as container:
            for packet in container.demux(_stream(container, path)):
                if packet.size:
                    yield packet
    except FFmpegError as error:
        raise RecordingError(
            "unreadable_file", f"{path.name}: expected a video, the demuxer says: {error.strerror}; copy it again"
        ) from error


def _stream(container: av.container.InputContainer, path: Path) -> VideoStream:
    if len(container.streams.video) != 1:
        raise RecordingError("no_video", f"{path.name}: expected one video stream, got {len(container.streams.video)}")
    stream = container.streams.video[0]
    if stream.codec_context is None:  # of a codec that is none; the type says otherwise
        raise RecordingError("unreadable_file", f"{path.name}: expected video of a known kind; copy the file again")
    return stream


def _index(path: Path, declared: Mp4Video | None) -> _Index:
    pts, dts, keyframe, whole, has_idr = [], [], [], [], []
    length_bytes = _length_bytes(path)
    time_base, last = None, None
    for packet in _packets(path):
        units = h264.nal_units(bytes(packet), length_bytes) if length_bytes else None
        pts.append(packet.pts)
        dts.append(packet.dts)
        keyframe.append(packet.is_keyframe)
        whole.append(not length_bytes or (units is not None and any(map(h264.is_slice, units))))
        has_idr.append(any(unit[0] & 0x1F == h264.SLICE_OF_KEYFRAME for unit in units or ()))
        time_base = packet.time_base
        if packet.pts is not None and packet.duration and (last is None or packet.pts > last[0]):
            last = packet.pts, packet.duration
    if not pts or (declared and len(pts) != declared.frame_count):
        frames = declared.frame_count if declared else 1
        raise RecordingError(
            "truncated_file",
            f"{path.name}: expected {frames} frames, got {len(pts)}; copy the file again from the vehicle",
            {"declared_frames": float(frames), "frames": float(len(pts))},
        )
    # The bit stream itself says better than the container's table which pictures stand alone.
    starts = np.array(has_idr if any(has_idr) else keyframe, np.bool_)
    starts[0] = True
    marks = np.array(whole, np.bool_)
    if all(time is None for time in pts):
        return _Index(np.arange(len(pts)), None, None, None, starts, marks, length_bytes)
    order, sorted_pts = _presentation_order(path, pts, dts)
    scale = 1_000_000_000 * (time_base or 0)
    times = np.array([round(int(time) * scale) for time in sorted_pts], np.int64)
    ends = last is not None and last[0] == sorted_pts[-1]
    length_ns = round((sum(last) - int(sorted_pts[0])) * scale) if last and ends else None
    return _Index(order, sorted_pts, times, length_ns, starts, marks, length_bytes)


def _presentation_order(
    path: Path, pts: list[int | None], dts: list[int | None]
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Place of each packet in the order of presentation, and the sorted times."""
    missing = sum(time is None for time in pts)
    times = np.array([-1 if time is None else time for time in pts], np.int64)
    decoding = np.array([time for time in dts if time is not None], np.int64)
    repeated = len(times) - len(np.unique(times))
    backwards = int((np.diff(decoding) <= 0).sum())
    if missing or repeated or backwards:
        raise RecordingError(
            "clock_backwards",
            f"{path.name}: expected increasing frame times, {missing} are missing, {repeated} repeat and "
            f"{backwards} run backwards; copy the file again from the vehicle",
            {"missing": float(missing), "repeated": float(repeated), "backwards": float(backwards)},
        )
    order = np.empty(len(times), np.int64)
    order[np.argsort(times, kind="stable")] = np.arange(len(times))
    return order, np.sort(times)


def _length_bytes(path: Path) -> int | None:
    """Length of the NAL prefix where the file holds H.264 in MP4 form, else None."""
    try:
        with av.open(str(path)) as container:
            context = _stream(container, path).codec_context
            configuration = context.extradata or b""
            if context.name != "h264" or configuration[:1] != b"\x01":
                return None
    except FFmpegError as error:
        raise RecordingError(
            "unreadable_file", f"{path.name}: expected a video, opening it says: {error.strerror}; copy it again"
        ) from error
    found = h264.length_bytes_of(configuration)
    if found is None:
        raise RecordingError(
            "inconsistent_container",
            f"{path.name}: expected a decoder configuration that agrees with its first parameter set; copy it again",
        )
    return found


def _decoded(
    path: Path, index: _Index, options: dict[str, str], check: _SliceEnds | None = None
) -> Iterator[tuple[str, VideoFrame | None, int]]:
    """(complaint, frame, place in the order of presentation) of each step; an empty complaint is none."""
    places = {} if index.pts is None else {int(time): place for place, time in enumerate(index.pts)}
    counted = 0
    with av.open(str(path)) as container:
        stream = _stream(container, path)
        stream.codec_context.options = dict(options)
        stream.codec_context.thread_count = 1
        for number, packet in enumerate(container.demux(stream)):
            place = int(index.order[number]) if packet.size and number < len(index.order) else len(index.order) - 1
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError) as error:
                yield f"the decoder says: {getattr(error, 'strerror', error)}", None, place
                frames = []
            if check is not None and packet.size:
                check.feed(packet, place)
            for frame in frames:
                shown = counted if frame.pts is None or not places else places.get(frame.pts, -1)
                counted += 1
                yield "the decoder had to conceal damage" if frame.is_corrupt else "", frame, shown


def _decode_all(path: Path, index: _Index) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Complaint by frame, and the size of the pictures (None where there is not one)."""
    complaints = {
        int(index.order[n]): "its parts do not fill its place in the file" for n in np.flatnonzero(~index.whole)
    }
    check = _slice_ends(path, index)
    seen: set[int] = set()
    size: tuple[int, int] | None = None
    for complaint, frame, place in _decoded(path, index, _CHECKING, check):
        if frame is not None:
            if seen and place <= max(seen):
                raise RecordingError(
                    "clock_backwards",
                    f"{path.name}: expected frame times in the order of the pictures, picture {len(seen)} is stamped "
                    f"before the one it follows; copy the file again from the vehicle",
                    {"picture": float(len(seen))},
                )
            seen.add(place)
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                complaint = f"its size is {frame.width} x {frame.height}, not {size[0]} x {size[1]}"
        if complaint:
            complaints.setdefault(place, complaint)
    for place in set(range(len(index.order))) - seen:
        complaints.setdefault(place, "the decoder gave no picture")
    for place, complaint in (check.complaints if check is not None else {}).items():
        complaints.setdefault(place, complaint)
    return complaints, size


class _SliceEnds:
    """Does every slice end where its data ends? Decodes each frame twice more, with one thing changed (`h264.py`).

    State: two decoders that run beside the first one, and the packets of the current group of pictures. The entropy
    code of a slice does not depend on the pictures that it refers to, so that their broken pictures do no harm.
    """

    def __init__(self, configuration: bytes, taller: bytes, length_bytes: int) -> None:
        self._length_bytes = length_bytes
        self._taller_configuration = taller
        self._taller, self._shorter = _probe(taller), _probe(configuration)
        self._group: list[tuple[Packet, list[bytes]]] = []
        self.complaints: dict[int, str] = {}

    def feed(self, packet: Packet, place: int) -> None:
        """Decode the packet as part of a taller picture, and with the end of its last slice missing."""
        units = h264.nal_units(bytes(packet), self._length_bytes)
        if units is None or not any(map(h264.is_slice, units)):
            return
        if any(unit[0] & 0x1F == h264.SLICE_OF_KEYFRAME for unit in units):
            self._group.clear()
        self._group.append((packet, units))
        if not self._stops_cleanly(self._taller, packet, units):
            self.complaints[place] = "its coded data does not end with its picture"
        elif self._hides_loss(packet, units) and all(map(self._stops_cleanly_without, h264.TAIL_BYTES[1:])):
            self.complaints[place] = "its picture ends before its coded data does"

    def _stops_cleanly(
        self, taller: VideoCodecContext, packet: Packet, units: list[bytes], tail_bytes: int = 0
    ) -> bool:
        """Whether the slices end before the row that is not there: it stays empty, is concealed, and that is marked."""
        data = h264.shortened(h264.with_taller_pictures(units), self._length_bytes, tail_bytes)
        frames = _frames_or_none(taller, packet, data)
        return bool(frames) and all(frame.is_corrupt for frame in frames or ())

    def _hides_loss(self, packet: Packet, units: list[bytes]) -> bool:
        """Whether a decoder is content with the packet although its end is missing."""
        frames = _frames_or_none(self._shorter, packet, h264.shortened(units, self._length_bytes, h264.TAIL_BYTES[0]))
        content = bool(frames) and not any(frame.is_corrupt for frame in frames or ())
        return content and max(map(len, filter(h264.is_slice, units))) >= h264.SMALLEST_SLICE_BYTES

    def _stops_cleanly_without(self, tail_bytes: int) -> bool:
        """The same for the newest packet of the group without its end, on a decoder of its own."""
        taller = _probe(self._taller_configuration)
        return [self._stops_cleanly(taller, packet, units, tail_bytes) for packet, units in self._group][-1]


def _slice_ends(path: Path, index: _Index) -> _SliceEnds | None:
    """The check of slice ends, for streams that allow it: H.264 in MP4 form whose pictures are coded as shown."""
    if index.length_bytes is None or (np.diff(index.order) < 0).any():
        return None
    with av.open(str(path)) as container:
        configuration = container.streams.video[0].codec_context.extradata or b""
    taller = h264.taller_configuration(configuration)
    return _SliceEnds(configuration, taller, index.length_bytes) if taller else None


def _probe(configuration: bytes) -> VideoCodecContext:
    context = CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = configuration
    context.options = _PROBING
    context.thread_count = 1
    return context


def _frames_or_none(context: VideoCodecContext, like: Packet, data: bytes) -> list[VideoFrame] | None:
    packet: Packet = av.Packet(data)
    packet.pts, packet.dts, packet.time_base = like.pts, like.dts, like.time_base
    try:
        return context.decode(packet)
    except (FFmpegError, ValueError):
        return None


def _faults(index: _Index, complaints: dict[int, str]) -> tuple[Bool[np.ndarray, " n"], tuple[Fault, ...]]:
    """Which frames are intact, and the spans that are not: whole groups of pictures."""
    count = len(index.order)
    group = np.empty(count, np.int64)
    group[index.order] = index.groups()
    intact = np.ones(count, np.bool_)
    faults = []
    damaged = sorted(place for place in complaints if 0 <= place < count)
    for number in np.unique(group[damaged]) if damaged else ():
        members = np.flatnonzero(group == number)
        intact[members] = False
        inside = [place for place in damaged if group[place] == number]
        faults.append(
            Fault(
                int(members[0]),
                int(members[-1]),
                "corrupt_frames",
                f"frame {inside[0]}: {complaints[inside[0]]}; the {len(members)} frames that are coded with it go too",
            )
        )
    return intact, tuple(faults)


def _first_reason(complaints: dict[int, str]) -> str:
    return next((f"frame {place}: {complaints[place]}" for place in sorted(complaints)), "no picture at all")
