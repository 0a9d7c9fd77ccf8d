"""An MP4 file that contradicts itself is refused; a good one says what it holds."""

from __future__ import annotations

import struct
from pathlib import Path
from types import ModuleType

import pytest

from dojo.errors import RecordingError
from dojo.fleet.readers.mp4 import check_mp4


@pytest.fixture
def clip(teslacam_files: ModuleType, tmp_path: Path) -> Path:
    return teslacam_files.write_clip(tmp_path / "clip.mp4", teslacam_files.straight_drive(20))


def patched(path: Path, box: bytes, offset: int, value: int) -> Path:
    """The file with a 32-bit number changed, `offset` bytes after the name of the first such box."""
    data = bytearray(path.read_bytes())
    at = data.index(box) + 4 + offset
    data[at : at + 4] = struct.pack(">I", value)
    path.write_bytes(data)
    return path


def test_a_good_file_says_what_it_holds(clip: Path) -> None:
    video = check_mp4(clip)
    assert video is not None
    assert (video.width_px, video.height_px, video.frame_count, video.duration_s) == (160, 96, 20, 2.0)
    assert video.decoder_configuration[0] == 1


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(clip: Path, share: float) -> None:
    data = clip.read_bytes()
    clip.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(RecordingError, match=r"^clip.mp4: .*copy the file again") as caught:
        check_mp4(clip)
    assert caught.value.gate == "truncated_file"
    assert caught.value.figures["size_bytes"] == int(len(data) * share)


@pytest.mark.parametrize(
    ("box", "offset", "value", "gate", "complaint"),
    [
        (b"stsz", 8, 2**31, "inconsistent_container", "expected 2147483648 entries"),
        (b"stsz", 8, 19, "inconsistent_container", "expected 19 frames in"),
        (b"stsz", 4, 2**31, "inconsistent_container", "expected frames within the file"),
        (b"stco", 8, 1, "truncated_file", "lie outside"),
        (b"stsc", 12, 7, "inconsistent_container", "in 1 chunks"),
        (b"stts", 8, 19, "inconsistent_container", "a duration for each of 20 frames, got 19"),
        (b"stts", 12, 2**32 - 1280, "clock_backwards", "stand still or run backwards"),
        (b"stts", 12, 2560, "inconsistent_container", "expected frame durations that add up"),
        (b"mdhd", 12, 0, "inconsistent_container", "time scale above zero"),
        (b"mdhd", 12, 1000, "inconsistent_container", "expected frame durations that add up"),
        (b"mvhd", 16, 1, "inconsistent_container", "those of the movie"),
        (b"ftyp", -8, 2**30, "truncated_file", "expected box b'ftyp' at byte 0 to end within"),
    ],
)
def test_a_table_that_contradicts_another_is_refused(
    clip: Path, box: bytes, offset: int, value: int, gate: str, complaint: str
) -> None:
    with pytest.raises(RecordingError, match=complaint) as caught:
        check_mp4(patched(clip, box, offset, value))
    assert caught.value.gate == gate


def test_a_file_without_video_is_refused(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes().replace(b"vmhd", b"smhd"))
    with pytest.raises(RecordingError, match="expected one video track, found 0"):
        check_mp4(clip)


def test_a_fragmented_file_has_no_table_to_check(clip: Path, tmp_path: Path) -> None:
    import av

    path = tmp_path / "fragmented.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as out, av.open(str(clip)) as given:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert check_mp4(path) is None
