"""Processes give what threads give, in memory that outlives them, and none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest

from dojo.errors import ConfigError, DojoError, StoreError
from dojo.load import AugmentConfig, FrameCache, LoadConfig, Loader, RecoverConfig
from dojo.load.processes import _portable
from dojo.load.source import Joined

PLAIN = LoadConfig(batch_size=4, order="chunked", stretch_s=60.0, buffer=8, workers=0)


def loader(stored, config, source=None):
    clips, cameras, dataset, view = stored
    return Loader(clips, cameras, source or dataset, config, "v", view=view)


def first(loader, count, state=None):
    batches = loader.batches(state)
    found = list(islice(batches, count))
    batches.close()
    return found


@pytest.mark.parametrize("order", ["chunked", "random"])
def test_processes_on_any_rank_give_what_one_thread_gives_and_end_when_they_are_closed(stored, order):
    config = replace(PLAIN, order=order, augment=AugmentConfig(), recover=RecoverConfig(share=0.5))
    alone = first(loader(stored, config), 9)
    together = first(loader(stored, replace(config, processes=2)), 9)
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("dojo-load")]
    for (a, after), (b, theirs) in zip(alone, together, strict=True):
        assert after == theirs
        assert all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    part = first(loader(stored, replace(config, processes=2, rank=1, ranks=2)), 5, alone[3][1])
    assert [b.clip_ids for b, _ in part] == [a.clip_ids[1::2] for a, _ in alone[4:]]
    assert all(np.array_equal(b.frames, a.frames[1::2]) for (b, _), (a, _) in zip(part, alone[4:], strict=True))


def test_a_process_reads_the_cache_of_this_one_and_adds_nothing_to_it(stored, tmp_path):
    clips, _, dataset, _ = stored
    config = replace(PLAIN, order="random", processes=1)
    alone = first(loader(stored, config), 5)
    cache = FrameCache(dataset, 1 << 30, tmp_path)
    for filled, rest in ((clips[::2], dataset), (clips, Joined([]))):  # the last has no frame at all
        cache._source = dataset
        cache.fill(filled)
        cache._source = rest
        size = os.fstat(cache._file.fileno()).st_size
        for (a, _), (b, _) in zip(alone, first(loader(stored, config, cache), 5), strict=True):
            assert np.array_equal(a.frames, b.frames)
        assert os.fstat(cache._file.fileno()).st_size == size


def test_a_process_that_is_killed_is_named(stored):
    batches = loader(stored, replace(PLAIN, processes=2)).batches()
    next(batches)
    victim = next(child for child in multiprocessing.active_children() if child.name == "dojo-load-1")
    victim.kill()
    with pytest.raises(DojoError, match=r"expected process dojo-load-1 to go on, it ended.*use fewer load.processes"):
        list(islice(batches, 200))
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("dojo-load")]


def test_ctrl_c_while_a_process_starts_is_left_to_the_one_that_trains(stored):
    told = []

    def interrupt():
        """As a terminal does, the whole group; here the process alone, over and over from its first moment on."""
        while not told:
            for child in multiprocessing.active_children():
                if child.name == "dojo-load-0" and child.pid is not None:
                    os.kill(child.pid, signal.SIGINT)
            time.sleep(0.01)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert len(first(loader(stored, replace(PLAIN, order="random", processes=1)), 3)) == 3
    finally:
        told.append(True)
        thread.join()


def test_what_a_process_raises_is_raised_here(stored):
    clips, cameras, dataset, view = stored
    beyond = [replace(clip, frame_indices=clip.frame_indices + 10**6) for clip in clips]
    with pytest.raises(StoreError, match=r"has frames 0 to 279, asked for 1\d+"):
        first(Loader(beyond, cameras, dataset, replace(PLAIN, processes=2), "v", view=view), 3)


def test_processes_with_too_few_rows_are_refused():
    with pytest.raises(
        ConfigError, match=r"ranks x processes of at most 4 \(batch_size\), got 3 processes and 2 ranks"
    ):
        replace(PLAIN, processes=3, ranks=2)


def test_without_memory_to_share_threads_are_named_as_the_way_out(stored, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(ConfigError, match=r"expected Linux for load.processes 2, got \w+, .*use load.workers"):
        first(loader(stored, replace(PLAIN, processes=2)), 1)


class UnsendableError(Exception):
    """What cannot be made again from its message alone."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")


def test_an_error_that_cannot_be_sent_is_told():
    told = _portable(UnsendableError("here", "broken"))
    assert isinstance(told, DojoError)
    assert str(told) == "load: UnsendableError: here: broken"
    assert isinstance(_portable(StoreError("gone")), StoreError)
