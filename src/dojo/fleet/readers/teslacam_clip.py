"""One TeslaCam file: its name, its frames and the messages in front of them, with every doubt told.

In: a file. Out: `Clip`, or `RecordingError` where it cannot be used.
Idea: nothing but its own structure guards a message, so it is doubted where that structure is: in a damaged group of
pictures, where the message does not parse, where its version or frame number does not fit those around it.
Not here: which clips follow each other (`teslacam.py`), whether values are plausible (`fleet/gates.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.errors import RecordingError
from dojo.fleet.readers import teslacam_sei
from dojo.fleet.readers.decode import VideoCheck, check_video, samples
from dojo.fleet.readers.reader import SourceFile
from dojo.fleet.readers.teslacam_vehicle import CAMERA_NAMES
from dojo.records import Rejection

NAME = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)-([a-z_]+)\.mp4")
_TIME_FORMAT = "%Y-%m-%d_%H-%M-%S"
_NS = 1_000_000_000

Columns = Float64[np.ndarray, "frames columns"]


@dataclass(frozen=True)
class Clip:
    """One file that holds together.

    Args:
        start_ns: from its name, to the second.
        columns: one row of `teslacam_sei.COLUMNS` for each frame; meaningless where not `heard`.
    """

    file: SourceFile
    camera: str
    start_ns: int
    check: VideoCheck
    columns: Columns
    heard: Bool[np.ndarray, " frames"]
    rejections: tuple[tuple[str, str, int, int], ...]  # gate, reason, first frame, last frame

    @property
    def times_ns(self) -> Int64[np.ndarray, " frames"]:
        """Frame times from the first frame of the file."""
        assert self.check.timestamps_ns is not None
        return self.check.timestamps_ns - self.check.timestamps_ns[0]

    @property
    def step_ns(self) -> int:
        """Usual time between frames."""
        return int(np.median(np.diff(self.times_ns))) if len(self.times_ns) > 1 else _NS // 36

    @property
    def length_ns(self) -> int:
        """From the first frame to the end of the last one."""
        return self.check.length_ns or int(self.times_ns[-1]) + self.step_ns

    def column(self, name: str) -> Float64[np.ndarray, " frames"]:
        """One field of the message, for each frame."""
        return self.columns[:, teslacam_sei.COLUMNS.index(name)]


@dataclass(frozen=True)
class Placed:
    """A clip with the time of its first frame on the drive's clock."""

    clip: Clip
    start_ns: int

    @property
    def times_ns(self) -> Int64[np.ndarray, " frames"]:
        """Frame times on the drive's clock."""
        return self.clip.times_ns + self.start_ns


def parse_name(path: Path) -> tuple[int, str]:
    """Start (ns since 1970, local time) and camera of a clip.

    Raises:
        RecordingError: gate `wrong_name`, `wrong_format` or `unknown_camera`.
    """
    wanted = "expected YYYY-MM-DD_HH-MM-SS-<camera>.mp4"
    if path.suffix != ".mp4":
        raise RecordingError(
            "wrong_format", f"{path.name}: {wanted}, got a {path.suffix or 'nameless'} file; remove it"
        )
    match = NAME.fullmatch(path.name)
    try:
        start = datetime.strptime(match[1], _TIME_FORMAT).replace(tzinfo=UTC) if match else None
    except ValueError:
        start = None
    if match is None or start is None:
        raise RecordingError("wrong_name", f"{path.name}: {wanted}; rename the file as the car wrote it")
    if match[2] not in CAMERA_NAMES:
        raise RecordingError(
            "unknown_camera", f"{path.name}: expected a camera of {', '.join(CAMERA_NAMES)}, got {match[2]!r}"
        )
    return int(start.timestamp()) * _NS, match[2]


def camera_of(path: Path) -> str:
    """The camera in a clip's name; empty where the name is of another kind."""
    match = NAME.fullmatch(path.name)
    return match[2] if match else ""


def read_clip(file: SourceFile) -> Clip:
    """The file, checked and with its telemetry.

    Raises:
        RecordingError: the file cannot be used; see `check_video`.
    """
    start_ns, camera = parse_name(file.path)
    check = check_video(file.path)
    columns = np.zeros((check.frame_count, len(teslacam_sei.COLUMNS)))
    heard = np.zeros(check.frame_count, np.bool_)
    faults = [(fault.gate, fault.reason, fault.first_frame, fault.last_frame) for fault in check.faults]
    for sample in samples(file.path):
        try:
            message = teslacam_sei.message_of(sample.data)
        except teslacam_sei.MalformedMessageError as error:
            faults.append(("malformed_telemetry", f"frame {sample.index}: {error}", sample.index, sample.index))
            continue
        if message is not None:
            columns[sample.index] = message
            heard[sample.index] = True
    # A message in a damaged group of pictures is suspect too: nothing but the video's own structure guards it.
    heard &= check.intact
    clip = Clip(file, camera, start_ns, check, columns, heard, ())
    doubts = _doubtful_messages(clip)
    heard = heard.copy()
    for _, _, first, last in doubts:
        heard[first : last + 1] = False
    return replace(clip, heard=heard, rejections=(*faults, *doubts))


def _doubtful_messages(clip: Clip) -> list[tuple[str, str, int, int]]:
    """Messages whose version or frame number does not fit those around them.

    Raises:
        RecordingError: gate `clock_backwards` where frame numbers decrease as a rule.
    """
    frames = np.flatnonzero(clip.heard)
    if len(frames) < 3:
        return []
    version, number = clip.column("version")[frames], clip.column("frame_seq_no")[frames]
    usual = float(np.median(version))
    doubts = [("malformed_telemetry", f"frame {frames[i]}: message version {version[i]:g}, usually {usual:g}", i)
              for i in np.flatnonzero(version != usual).tolist()]  # fmt: skip
    ahead = number - frames
    steps = np.diff(ahead)
    if (np.diff(number) < 0).mean() > 0.5:
        raise RecordingError(
            "clock_backwards",
            f"{clip.file.path.name}: expected frame numbers that increase, they decrease in "
            f"{(np.diff(number) < 0).mean():.0%} of the steps; the frames were reordered, copy the file again",
            {"decreasing_share": float((np.diff(number) < 0).mean())},
        )
    # A number that leaves the count and returns to it is damage; a lasting step is lost frames, or a new count.
    returned = np.flatnonzero((steps[:-1] != 0) & (steps[:-1] == -steps[1:])) + 1
    doubts += [
        ("malformed_telemetry", f"frame {frames[i]}: frame number {number[i]:.0f}, its neighbours say otherwise", i)
        for i in returned.tolist()
    ]
    if len(steps) and steps[0] != 0 and not steps[1:3].any():
        doubts.append(
            ("malformed_telemetry", f"frame {frames[0]}: frame number {number[0]:.0f} before {number[1]:.0f}", 0)
        )
    if len(steps) > 1 and steps[-1] != 0 and not steps[-3:-1].any():
        last = len(frames) - 1
        doubts.append(
            (
                "malformed_telemetry",
                f"frame {frames[last]}: frame number {number[last]:.0f} after {number[-2]:.0f}",
                last,
            )
        )
    spans = [(gate, reason, int(frames[i]), int(frames[i])) for gate, reason, i in doubts]
    return spans + _lost_frames(clip, frames, steps, set(returned.tolist()))


def _lost_frames(
    clip: Clip, frames: Int64[np.ndarray, " n"], steps: Float64[np.ndarray, " n-1"], returned: set[int]
) -> list[tuple[str, str, int, int]]:
    """Places where the frame numbers skip although the container's clock does not."""
    found = []
    for i in np.flatnonzero(steps).tolist():
        ends = i == 0 or i == len(steps) - 1
        if ends or i in returned or i + 1 in returned:
            continue
        first, last = int(frames[i]), int(frames[i + 1])
        elapsed = (clip.times_ns[last] - clip.times_ns[first]) / clip.step_ns
        expected = last - first + steps[i]
        if abs(elapsed - expected) > 1.5:
            found.append(
                (
                    "dropped_frames",
                    f"frames {first} and {last}: the car's frame numbers are {expected:.0f} apart, their times "
                    f"{elapsed:.1f} frames",
                    first,
                    last,
                )
            )
    return found


def rejections_of(placed: Placed) -> Iterator[Rejection]:
    """What of the clip is not used, as spans on the drive's clock."""
    for gate, reason, first, last in placed.clip.rejections:
        yield Rejection(
            str(placed.clip.file.path),
            gate,
            f"{placed.clip.file.path.name}: {reason}; not used",
            (("frames", float(last - first + 1)),),
            int(placed.times_ns[first]),
            int(placed.times_ns[last]),
        )
