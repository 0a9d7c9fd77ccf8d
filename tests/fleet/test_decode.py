"""Video files are decoded with their true times, whole or refused; damage takes its group of pictures with it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from dojo.errors import RecordingError
from dojo.fleet.readers import h264
from dojo.fleet.readers.decode import check_video, read_frames, samples

FRAMES, GOP = 30, 10


@pytest.fixture
def clip(teslacam_files: ModuleType, tmp_path: Path) -> Path:
    return teslacam_files.write_clip(
        tmp_path / "clip.mp4", teslacam_files.straight_drive(FRAMES), gop=GOP, width=192, height=112
    )


def packet_spans(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def test_a_good_file_is_intact_and_its_pictures_are_what_was_written(clip: Path, teslacam_files: ModuleType) -> None:
    check = check_video(clip)
    assert (check.width_px, check.height_px, check.frame_count) == (192, 112, FRAMES)
    assert check.intact.all()
    assert check.timestamps_ns is not None
    np.testing.assert_array_equal(check.timestamps_ns, np.arange(FRAMES) * 100_000_000)
    assert check.length_ns == FRAMES * 100_000_000
    for i, frame in enumerate(read_frames(clip, check.timestamps_ns, check.intact)):
        assert frame.timestamp_ns == i * 100_000_000
        # CRF 20 leaves a few levels of noise.
        assert np.abs(frame.y.astype(int) - teslacam_files.picture(i, 192, 112)[:112]).mean() < 4


def test_only_the_frames_asked_for_come_out(clip: Path) -> None:
    wanted = np.zeros(FRAMES, np.bool_)
    wanted[[3, 4, 29]] = True
    times = np.arange(FRAMES, dtype=np.int64)
    assert [frame.timestamp_ns for frame in read_frames(clip, times, wanted)] == [3, 4, 29]
    assert list(read_frames(clip, times, np.zeros(FRAMES, np.bool_))) == []


def test_a_damaged_frame_takes_its_group_of_pictures_and_no_other(clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    start, size = packet_spans(clip)[14]
    for at in range(start + size // 2, start + size // 2 + 8):
        data[at] ^= 0xFF
    clip.write_bytes(data)
    check = check_video(clip)
    np.testing.assert_array_equal(np.flatnonzero(~check.intact), range(GOP, 2 * GOP))
    (fault,) = check.faults
    assert (fault.first_frame, fault.last_frame, fault.gate) == (GOP, 2 * GOP - 1, "corrupt_frames")
    assert "frame 14" in fault.reason
    assert check.timestamps_ns is not None
    assert len(list(read_frames(clip, check.timestamps_ns, check.intact))) == FRAMES - GOP


def test_a_flipped_bit_that_a_decoder_forgives_is_found_by_where_the_slice_ends(clip: Path) -> None:
    good = clip.read_bytes()
    forgiven = found = 0
    for start, size in packet_spans(clip)[::2]:
        data = bytearray(good)
        data[start + 2 * size // 3] ^= 4
        clip.write_bytes(data)
        try:
            reasons = [fault.reason for fault in check_video(clip).faults]
        except RecordingError as error:
            reasons = [error.message]
        forgiven += not any("decoder" in reason for reason in reasons)
        found += any("coded data" in reason for reason in reasons)
    assert found > 0
    assert forgiven == found


def test_a_file_that_shrank_after_it_was_checked_is_told(clip: Path, teslacam_files: ModuleType) -> None:
    check = check_video(clip)
    teslacam_files.write_clip(clip, teslacam_files.straight_drive(5))
    assert check.timestamps_ns is not None
    with pytest.raises(RecordingError, match="expected 30 frames as when checked, got 5"):
        list(read_frames(clip, check.timestamps_ns, check.intact))


def test_pictures_stamped_in_reverse_are_refused(tmp_path: Path, teslacam_files: ModuleType) -> None:
    clip = tmp_path / "clip.mkv"  # an MP4's durations would contradict the stamps before anything is decoded
    teslacam_files.write_clip(clip, teslacam_files.straight_drive(FRAMES), stamps_reversed=True)
    with pytest.raises(RecordingError, match=r"expected .*frame times.* 29 run backwards") as caught:
        check_video(clip)
    assert caught.value.gate == "clock_backwards"


def test_reordered_frames_are_shown_in_the_order_of_their_times(tmp_path: Path, teslacam_files: ModuleType) -> None:
    path = tmp_path / "b.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"bf": "3", "g": "12", "threads": "1"}
        for i in range(24):
            frame = av.VideoFrame.from_ndarray(teslacam_files.picture(i, 96, 64), format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    check = check_video(path)
    assert check.intact.all()
    assert check.timestamps_ns is not None
    order = [sample.index for sample in samples(path)]
    assert order != sorted(order) == list(range(24))
    bright = [
        int(frame.y[20].astype(int).argmax()) // 7 for frame in read_frames(path, check.timestamps_ns, check.intact)
    ]
    assert bright[:8] == list(range(8))


def test_full_range_pictures_become_limited_range(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.color_range = 2
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 255, np.uint8), format="yuvj420p")
            frame.color_range = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    check = check_video(path)
    assert check.timestamps_ns is not None
    frame = next(read_frames(path, check.timestamps_ns, check.intact))
    assert 233 <= frame.y.mean() <= 236


def test_what_is_no_video_is_refused_with_its_gate(tmp_path: Path) -> None:
    for name, content, gate in (
        ("a.mp4", b"", "empty_file"),
        ("a.mp4", b"no video at all", "wrong_format"),
        ("a.hevc", b"", "empty_file"),
        ("a.hevc", b"no video at all", "unreadable_file"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=rf"^{name}: expected") as caught:
            check_video(path)
        assert caught.value.gate == gate


def test_a_real_recording_is_intact(real_recording) -> None:  # type: ignore[no-untyped-def]
    check = check_video(real_recording("udacity_lane_clip") / "solidWhiteRight.mp4")
    assert (check.width_px, check.height_px, check.frame_count) == (960, 540, 221)
    assert check.intact.all()


def test_a_taller_parameter_set_differs_in_nothing_but_its_height(clip: Path) -> None:
    with av.open(str(clip)) as container:
        configuration = container.streams.video[0].codec_context.extradata
    taller = h264.taller_configuration(configuration)
    assert taller is not None
    context = av.CodecContext.create("h264", "r")
    context.extradata = taller
    list(context.decode(av.Packet(next(iter(samples(clip))).data)))
    assert (context.width, context.height) == (192, 112 + 16)
    assert h264.taller(b"\x67") is None


def test_nal_units_must_fill_their_sample() -> None:
    sample = b"\0\0\0\2\x65\1" + b"\0\0\0\1\x41"
    assert h264.nal_units(sample) == [b"\x65\1", b"\x41"]
    for broken in (sample[:-1], sample + b"\0", b"\0\0\0\0", b"", b"\0\0\0\1\xff"):
        assert h264.nal_units(broken) is None


def test_emulation_prevention_is_taken_out_where_it_was_put_in() -> None:
    assert h264.without_emulation_prevention(b"\1\0\0\3\1\0\0\3\0\0\3\3") == b"\1\0\0\1\0\0\0\0\3"
    assert h264.without_emulation_prevention(b"\0\3\0\0\4") == b"\0\3\0\0\4"
