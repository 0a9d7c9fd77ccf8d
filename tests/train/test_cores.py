"""The thread that trains has a core of its own for as long as it trains."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from contextlib import suppress

import pytest

from dojo.train import cores
from dojo.train.cores import own_core

linux = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores"
)


@linux
def test_this_thread_is_alone_on_a_core_until_it_is_done_and_the_others_are_elsewhere() -> None:
    allowed, done, known = os.sched_getaffinity(0), threading.Event(), threading.Event()
    numbers: list[int] = []

    def loading() -> None:
        numbers.append(threading.get_native_id())
        known.set()
        done.wait(20)

    other = threading.Thread(target=loading)
    other.start()
    known.wait(20)
    with suppress(ZeroDivisionError), own_core():
        mine = os.sched_getaffinity(0)
        assert len(mine) == 1
        assert os.sched_getaffinity(numbers[0]) == allowed - mine
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == os.sched_getaffinity(numbers[0]) == allowed
    done.set()
    other.join()


@linux
def test_a_process_that_loads_is_elsewhere_too() -> None:
    allowed = os.sched_getaffinity(0)
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), daemon=True)
    other.start()
    assert other.pid is not None
    with own_core():
        assert os.sched_getaffinity(other.pid) == allowed - os.sched_getaffinity(0)
    assert os.sched_getaffinity(other.pid) == allowed
    other.kill()
    other.join()


@linux
def test_a_thread_that_may_be_on_one_core_alone_is_left_where_it_is() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with own_core():
            assert os.sched_getaffinity(0) == {min(allowed)}
    finally:
        os.sched_setaffinity(0, allowed)


def test_where_the_system_has_no_such_thing_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cores.os, "sched_getaffinity", raising=False)
    with own_core():
        assert threading.get_native_id()
