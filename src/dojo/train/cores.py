"""A core of its own for the thread that trains, and the others for those that load.

In: nothing. Out: where the threads of this process may run, put back afterwards.
Idea: one thread computes without a pause, others load and sleep in turns. Left to the system, they were put on one core
for a third of the time while another core did nothing: with a loader in a process beside it a step of the tiny policy
took 177 ms, and 112 ms with each on a core of its own; with threads of one process 191 and 160 ms.
Processes that load are moved as threads are.
Not here: several processes that train on one machine, which would have to agree.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PROCESSES = Path("/proc")
_THREADS = _PROCESSES / "self" / "task"


@contextmanager
def own_core() -> Iterator[None]:
    """This thread alone on the core that it is on, all others on the other cores; nothing but on Linux.

    The others are the threads that there are now, of this process and of those that `multiprocessing` started. Threads
    that are made meanwhile are where the thread is that makes them.
    """
    mine = threading.get_native_id()
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") and _THREADS.is_dir() else set[int]()
    if len(allowed) < 2:
        yield
        return
    core = _core_of(mine) if _core_of(mine) in allowed else min(allowed)
    before: dict[int, set[int]] = {}
    for thread in _threads():
        with suppress(OSError):  # it ended
            before[thread] = os.sched_getaffinity(thread)
            os.sched_setaffinity(thread, {core} if thread == mine else allowed - {core})
    try:
        yield
    finally:
        for thread, cores in before.items():
            with suppress(OSError):
                os.sched_setaffinity(thread, cores)


def _threads() -> list[int]:
    """All threads of this process and of those that it started."""
    started = [_PROCESSES / str(process.pid) / "task" for process in multiprocessing.active_children()]
    found: list[int] = []
    for threads in (_THREADS, *started):
        with suppress(OSError):  # it ended
            found += [int(path.name) for path in threads.iterdir()]
    return found


def _core_of(thread: int) -> int:
    """The core that a thread is on; field 39 of its status, counted from one, behind a name in brackets."""
    fields = (_THREADS / str(thread) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[36])
