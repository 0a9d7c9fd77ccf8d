"""A folder of pictures as if it were a video file: one frame for each picture.

In: paths in the order of time. Out: `VideoCheck` with times unknown, then `Frame`s.
Idea: a picture stands alone, so damage costs one frame. PNG carries checksums, which the decoder is told to mind; JPEG
has none, and only damage that breaks the coding is seen. Sizes are cut to even ones, because chroma has half of them.
Not here: video files (`decode.py`), where times come from (the reader that knows the format).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import Bool, Int64

from dojo.errors import RecordingError
from dojo.fleet.readers.decode import Fault, VideoCheck, planes
from dojo.records import Frame

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def check_pictures(paths: Sequence[Path]) -> VideoCheck:
    """The common size of the pictures and which of them are intact, after decoding every one.

    Raises:
        RecordingError: gate `no_video` where there is none, `corrupt_file` where none is intact.
    """
    if not paths:
        raise RecordingError("no_video", "expected pictures, got an empty list; check the folder")
    sizes: list[tuple[int, int]] = []
    complaints: list[str] = []
    for path in paths:
        picture = _picture(path)
        sizes.append((0, 0) if isinstance(picture, str) else (picture.width & ~1, picture.height & ~1))
        complaints.append(picture if isinstance(picture, str) else "")
    usual = max(set(sizes) - {(0, 0)} or {(0, 0)}, key=sizes.count)
    if usual == (0, 0):
        raise RecordingError(
            "corrupt_file",
            f"{paths[0].parent}: expected pictures, none of {len(paths)} can be decoded ({complaints[0]}); "
            "copy them again",
            {"frames": float(len(paths))},
        )
    for number, size in enumerate(sizes):
        if size not in (usual, (0, 0)):
            complaints[number] = f"its size is {size[0]} x {size[1]}, not {usual[0]} x {usual[1]}"
    faults = tuple(
        Fault(number, number, "corrupt_frames", f"{paths[number].name}: {complaint}")
        for number, complaint in enumerate(complaints)
        if complaint
    )
    intact = np.array([not complaint for complaint in complaints], np.bool_)
    return VideoCheck(*usual, len(paths), None, None, intact, faults)


def read_pictures(
    paths: Sequence[Path], timestamps_ns: Int64[np.ndarray, " n"], valid: Bool[np.ndarray, " n"]
) -> Iterator[Frame]:
    """The valid pictures, in order, each with its time.

    Raises:
        RecordingError: gate `changed_file` where a valid picture does not decode as it did before.
    """
    for number in np.flatnonzero(valid).tolist():
        picture = _picture(paths[number])
        if isinstance(picture, str):
            raise RecordingError(
                "changed_file",
                f"{paths[number]}: it was intact when checked, now: {picture}; ingest it again",
                {"frame": float(number)},
            )
        y, u, v = planes(picture)
        rows, columns = picture.height & ~1, picture.width & ~1
        half = rows // 2, columns // 2
        yield Frame(int(timestamps_ns[number]), y[:rows, :columns], u[: half[0], : half[1]], v[: half[0], : half[1]])


def _picture(path: Path) -> av.VideoFrame | str:
    """The decoded picture, or what is wrong with it."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
            for frame in container.decode(stream):
                return "the decoder had to conceal damage" if frame.is_corrupt else frame
    except (FFmpegError, OSError, IndexError, ValueError) as error:
        return f"the decoder says: {getattr(error, 'strerror', None) or error}"
    return "it holds no picture"
