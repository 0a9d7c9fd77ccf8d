from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dojo.errors import ConfigError, RecordError
from dojo.load.cache import FrameCache
from dojo.load.source import FrameSource
from dojo.records import Frame

FRAME_BYTES = 256 * 512 * 3 // 2


def at(*indices: int) -> np.ndarray:
    return np.array(indices, np.int64)


def assert_same(found: list[Frame], expected: list[Frame]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.timestamp_ns == b.timestamp_ns
        for plane in ("y", "u", "v"):
            np.testing.assert_array_equal(getattr(a, plane), getattr(b, plane))


def test_a_cache_gives_the_frames_of_its_source_and_asks_for_each_once(numbers, tmp_path: Path) -> None:
    source = numbers()
    cache = FrameCache(source, 10 * FRAME_BYTES, tmp_path)
    assert isinstance(cache, FrameSource)
    for _ in range(3):
        assert_same(cache.frames("d1", "front", at(3, 1, 5)), source.__class__().frames("d1", "front", at(3, 1, 5)))
    assert source.asked == [("d1", 3)]
    cache.frames("d1", "front", at(5, 6))
    cache.frames("d2", "front", at(5))
    assert source.asked == [("d1", 3), ("d1", 6), ("d2", 5)]


def test_what_finds_no_room_is_asked_for_each_time(numbers, tmp_path: Path) -> None:
    source = numbers()
    cache = FrameCache(source, 2 * FRAME_BYTES, tmp_path)
    for _ in range(2):
        assert_same(cache.frames("d1", "front", at(0, 1, 2)), [numbers.frame("d1", index) for index in range(3)])
    assert source.asked == [("d1", 0), ("d1", 2)]


def test_threads_that_ask_at_once_get_what_they_asked_for(numbers, tmp_path: Path) -> None:
    cache = FrameCache(numbers(delay_s=0.001), 40 * FRAME_BYTES, tmp_path)
    rng = np.random.default_rng(0)
    asked = [(f"d{rng.integers(3)}", rng.permutation(20)[:5]) for _ in range(60)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: cache.frames(one[0], "front", one[1].astype(np.int64)), asked))
    for (drive, indices), frames in zip(asked, found, strict=True):
        assert_same(frames, [numbers.frame(drive, int(index)) for index in indices])


def test_nothing_is_left_in_the_folder(numbers, tmp_path: Path) -> None:
    cache = FrameCache(numbers(), 2 * FRAME_BYTES, tmp_path)
    cache.frames("d1", "front", at(0))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_costs_no_frame(numbers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    source = numbers()
    cache = FrameCache(source, 4 * FRAME_BYTES, tmp_path)
    monkeypatch.setattr("dojo.load.cache.os.pwrite", full)
    for _ in range(2):
        assert_same(cache.frames("d1", "front", at(0)), [numbers.frame("d1", 0)])
    assert source.asked == [("d1", 0), ("d1", 0)]


def disk_with(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    monkeypatch.setattr("dojo.load.cache.os.statvfs", lambda _: SimpleNamespace(f_bavail=free_bytes, f_frsize=1))


def test_a_disk_without_room_for_the_clips_is_refused_with_the_way_out(
    numbers, make_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_with(monkeypatch, 3 * FRAME_BYTES)
    source = numbers()
    with pytest.raises(ConfigError, match=r"expected 0.0 GB of room .* lower cache_gb"):
        FrameCache(source, 10**18, tmp_path).fill(make_clips(40))
    assert len(source.asked) == 1, "one frame, to know how large they are"
    FrameCache(source, 3 * FRAME_BYTES, tmp_path).fill(make_clips(40))


def test_a_limit_beyond_the_disk_is_no_matter_where_the_clips_need_less(
    numbers, make_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_with(monkeypatch, 100 * FRAME_BYTES)
    source = numbers()
    FrameCache(source, 10**18, tmp_path).fill(make_clips(3))
    assert source.asked


def test_a_source_that_lacks_a_frame_is_named(numbers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = numbers()
    monkeypatch.setattr(source, "frames", lambda *_: [numbers.frame("d1", 0)])
    cache = FrameCache(source, 4 * FRAME_BYTES, tmp_path)
    with pytest.raises(RecordError, match=r"drive d1: expected 2 at \[0, 1\], the source gave 1"):
        cache.frames("d1", "front", at(0, 1))


def test_a_filled_cache_has_all_that_the_clips_show_and_asks_for_nothing_more(
    numbers, make_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dojo.load.cache._BLOCK_FRAMES", 2)
    source, clips, told = numbers(), make_clips(7, anchors=3), []
    cache = FrameCache(source, 100 * FRAME_BYTES, tmp_path)
    cache.fill(clips, lambda done, total: told.append((done, total)))
    asked = len(source.asked)
    for clip in clips:
        expected = [numbers.frame(clip.drive_id, int(index)) for index in clip.frame_indices]
        assert_same(cache.frames(clip.drive_id, clip.camera, clip.frame_indices), expected)
    assert len(source.asked) == asked
    wanted = len({(clip.drive_id, int(index)) for clip in clips for index in clip.frame_indices})
    assert told[-1] == (wanted, wanted)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_filling_stops_where_there_is_no_more_room(numbers, make_clips, tmp_path: Path) -> None:
    source = numbers()
    cache = FrameCache(source, 3 * FRAME_BYTES, tmp_path)
    cache.fill(make_clips(40))
    assert len(source.asked) <= 4, "one block for each thread, and those that found it full"


def test_a_source_that_fails_while_filling_says_so(numbers, make_clips, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="d3 is gone"):
        FrameCache(numbers(fail_on="d3"), 100 * FRAME_BYTES, tmp_path).fill(make_clips(7))
