"""A few processes that work through a list, and outlive the death of any one of them.

In: a function and its tasks. Out: each task with its result, as they come.
Idea: one pipe per process, so that when a process dies (out of memory, a crash in a decoder) it is known which task it
had; that task alone is tried once more, in a fresh process, and then given up. The library's pools declare all
tasks lost instead. A process ends by itself when its parent is gone, so a killed run leaves nobody working.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

import cv2

from dojo.errors import DojoError

Task = TypeVar("Task")
Result = TypeVar("Result")

ATTEMPTS = 2
"""How often a task may take its process down with it."""

_SPAWN = multiprocessing.get_context("spawn")


class Died:
    """In place of a result: every process that was given the task ended without one."""

    def __init__(self, exit_code: int | None, attempts: int) -> None:
        self.exit_code, self.attempts = exit_code, attempts


class _Worker(Generic[Task, Result]):
    """One process, and the task it has."""

    def __init__(self, function: Callable[[Task], Result]) -> None:
        self.pipe, other = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(function, other), daemon=True)
        self.process.start()
        other.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        self.task = task
        self.pipe.send(task)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def work_through(
    function: Callable[[Task], Result], tasks: Sequence[Task], processes: int, stop: Callable[[], bool] = lambda: False
) -> Generator[tuple[Task, Result | Died]]:
    """Each task with its result, or with `Died`, in the order in which they are done.

    Args:
        function: importable by name, as every argument of a spawned process.
        processes: how many; with one, the work is done in this process, and a crash there is a crash here.
        stop: asked now and then; once True, no more results come and the processes are ended.

    Raises:
        Exception: whatever `function` raises, here.
    """
    if processes == 1:
        for task in tasks:
            if stop():
                return
            yield task, function(task)
        return
    waiting = [(task, 1) for task in reversed(tasks)]
    attempts: dict[int, int] = {}
    workers: list[_Worker[Task, Result]] = []
    try:
        while (waiting or any(worker.task is not None for worker in workers)) and not stop():
            while waiting and (worker := _idle(function, workers, processes)) is not None:
                task, attempt = waiting.pop()
                attempts[id(worker)] = attempt
                worker.give(task)
            for worker in _ready(workers):
                done, worker.task = worker.task, None
                assert done is not None
                try:
                    failed, result = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    worker.process.join()
                    workers.remove(worker)
                    if attempts[id(worker)] < ATTEMPTS:
                        waiting.append((done, attempts[id(worker)] + 1))
                    else:
                        yield done, Died(worker.process.exitcode, ATTEMPTS)
                    continue
                if failed:
                    raise result
                yield done, result
    finally:
        for worker in workers:
            worker.end()


def _idle(
    function: Callable[[Task], Result], workers: list[_Worker[Task, Result]], processes: int
) -> _Worker[Task, Result] | None:
    """A process without a task, started if there may be one more."""
    for worker in [worker for worker in workers if worker.task is None]:
        if worker.process.is_alive():
            return worker
        workers.remove(worker)
    if len(workers) < processes:
        workers.append(_Worker(function))
        return workers[-1]
    return None


def _ready(workers: list[_Worker[Task, Result]]) -> list[_Worker[Task, Result]]:
    """Processes that have answered or ended; waits a moment for one."""
    busy = {worker.pipe: worker for worker in workers if worker.task is not None}
    return [busy[pipe] for pipe in wait(list(busy), timeout=0.2) if isinstance(pipe, Connection)]


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """What a worker process does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes are the parallelism
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer = False, function(task)
        except Exception as error:
            answer = True, error
        pipe.send(answer)


def apart(function: Callable[[Task], Result], task: Task) -> Result:
    """What the function makes of the task in a fresh process, which nothing done here before has shaped.

    Ctrl-C and SIGTERM here are one SIGTERM there, and its end is awaited, so that the function may save what it has.

    Raises:
        DojoError: the process ended without a result. And whatever `function` raises.
    """
    pipe, other = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve_one, args=(function, task, other))
    process.start()
    other.close()
    try:
        with _politely():
            failed, result = pipe.recv()
    except EOFError:
        process.join()
        raise DojoError(
            f"expected a result from a process of its own, it ended with exit code {process.exitcode}; -9 usually "
            "means that memory ran out: free some, and run the same command again, which goes on from there"
        ) from None
    except KeyboardInterrupt:
        process.terminate()
        raise
    finally:
        process.join()
        pipe.close()
    if failed:
        raise result
    return result


@contextmanager
def _politely() -> Iterator[None]:
    """SIGTERM is as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _serve_one(function: Callable[[Any], Any], task: object, pipe: Connection) -> None:
    """What a process apart does, in a group of its own, so that Ctrl-C comes by its parent alone."""
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = False, function(task)
    except (Exception, KeyboardInterrupt) as error:
        answer = True, error
    pipe.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the first time only asks to stop, the second time stops at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def note(*_: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    earlier = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, earlier)
