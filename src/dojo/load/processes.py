"""Batches made by several processes, in memory that they share with this one.

In: what makes a loader, and a state. Out: the batches that the loader would make.
Idea: threads wait for one another whenever they touch the interpreter, processes do not. Each process is a loader of
its own for some rows of every batch, and so decodes some of the lanes; it packs frames into the pages from which
training reads them, so only the small arrays of a batch go through a pipe. Pages are nameless memory: nothing is left
behind however a process ends, and a process whose pipe closes ends by itself.
Not here: the rows themselves (`loader.py`, `deck.py`).
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from dojo.errors import ConfigError, DojoError
from dojo.records import Batch

_SPAWN = multiprocessing.get_context("spawn")

Frames = UInt8[np.ndarray, "batch frames 6 rows columns"]


@runtime_checkable
class PagesByBatch(Protocol):
    """Where the frames of each batch go."""

    def get(self, batch: int) -> Frames:
        """Memory for the frames of a batch, counted from the first."""
        ...


Part = Callable[[PagesByBatch], Iterator[Batch]]
"""One process's rows of every batch; importable and picklable, as every argument of a spawned process."""


def shareable() -> bool:
    """Whether this system has nameless memory that processes can share: Linux."""
    return hasattr(os, "memfd_create")


def together(parts: list[Part], shape: tuple[int, ...], ahead: int) -> Generator[Batch]:
    """The batches of which each part makes every n-th row; closing the iterator ends the processes.

    Args:
        shape: of the frames of a whole batch.
        ahead: batches made before they are asked for.

    Raises:
        ConfigError: this system has no nameless memory that processes can share.
        DojoError: a process ended before its time. And whatever a part raises.
    """
    if not shareable():
        raise ConfigError(
            f"load: expected Linux for load.processes {len(parts)}, got {sys.platform}, which has no memory without a "
            "name to share; use load.workers, which are threads"
        )
    crew = _Crew(parts, shape, ahead)
    try:
        for number in range(1 << 62):
            yield crew.batch(number)
    finally:
        crew.end()


class _Page:
    """A stretch of nameless memory that several processes see."""

    def __init__(self, handle: int, size_bytes: int) -> None:
        self.handle = handle
        self.memory = mmap.mmap(handle, size_bytes)

    @staticmethod
    def new(size_bytes: int) -> _Page:
        handle = os.memfd_create("dojo-batch")
        os.ftruncate(handle, size_bytes)
        return _Page(handle, size_bytes)


class _Crew:
    """The processes, their pages, and what they have made; one thread answers them while training computes."""

    def __init__(self, parts: list[Part], shape: tuple[int, ...], ahead: int) -> None:
        self._shape, self._ahead = shape, ahead
        self._pages: list[_Page] = []
        self._free: list[int] = []
        self._page_of: dict[int, int] = {}
        self._known: dict[int, set[int]] = defaultdict(set)
        self._made: queue.SimpleQueue[tuple[int, int, Any]] = queue.SimpleQueue()
        self._waiting: dict[int, dict[int, Batch]] = defaultdict(dict)
        self._pipes: list[Connection] = []
        self._sending = threading.Lock()  # the thread and whoever takes batches write to the same pipes
        self._processes = []
        for number, part in enumerate(parts):
            ours, theirs = _SPAWN.Pipe()
            arguments = (part, theirs, number, len(parts), shape, ahead)
            process = _SPAWN.Process(target=_work, args=arguments, daemon=True, name=f"dojo-load-{number}")
            with _uninterrupted():
                process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._thread = threading.Thread(target=self._answer, name="dojo-load-pages", daemon=True)
        self._thread.start()

    def batch(self, number: int) -> Batch:
        """This batch, once every process has made its rows."""
        parts = self._waiting[number]
        while len(parts) < len(self._pipes):
            which, made, found = self._made.get()
            if isinstance(found, BaseException):
                raise found
            self._waiting[made][which] = found
        del self._waiting[number]
        page = self._page_of.pop(number)
        # As in `lanes.Pages`: every view keeps this array alive, and with the last of them the page is free again.
        array = np.frombuffer(self._pages[page].memory, np.uint8, int(np.prod(self._shape)))
        weakref.finalize(array, self._free.append, page)
        with self._sending:
            for pipe in self._pipes:
                with suppress(OSError):  # a process that has ended is named in what it would have made next
                    pipe.send(("taken", number))
        return _joined([parts[which] for which in range(len(parts))], array.reshape(self._shape))

    def _answer(self) -> None:
        """Give pages to whoever wants one, and pass on what was made, until the pipes close."""
        open_pipes = dict(enumerate(self._pipes))
        while open_pipes:
            for pipe in wait(list(open_pipes.values())):
                which = next(number for number, one in open_pipes.items() if one is pipe)
                try:
                    what, number, found = open_pipes[which].recv()
                    if what == "want":
                        self._give(which, number)
                    else:
                        self._made.put((which, number, found))
                except (EOFError, OSError):
                    del open_pipes[which]
                    self._made.put((which, -1, DojoError(_died(self._processes[which].name))))
                except Exception as error:  # whoever takes batches waits for an answer, whatever it is
                    del open_pipes[which]
                    self._made.put((which, -1, error))

    def _give(self, which: int, batch: int) -> None:
        if batch not in self._page_of:
            if not self._free:
                self._pages.append(_Page.new(int(np.prod(self._shape))))
                self._free.append(len(self._pages) - 1)
            self._page_of[batch] = self._free.pop()
        page = self._page_of[batch]
        new = page not in self._known[which]
        with self._sending:
            self._pipes[which].send(("page", batch, page, new))
            if new:
                self._known[which].add(page)
                send_handle(self._pipes[which], self._pages[page].handle, self._processes[which].pid)

    def end(self) -> None:
        """End the processes and wait for them."""
        for process in self._processes:
            process.kill()
            process.join()
        self._thread.join()
        for pipe in self._pipes:
            pipe.close()
        for page in self._pages:
            os.close(page.handle)  # memory that training still holds lives on


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits, and in a process that begins here it waits until that decides what to make of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _died(name: str) -> str:
    return (
        f"load: expected process {name} to go on, it ended; a kill usually means that memory ran out: use fewer "
        "load.processes or a smaller load.buffer, and run the same command again"
    )


def _joined(parts: list[Batch], frames: Frames) -> Batch:
    """The rows of the parts, one of each in turn, with frames that are in place already."""
    rows = sum(len(part.clip_ids) for part in parts)
    values: dict[str, Any] = {"frames": frames}
    for field in fields(Batch):
        if field.name == "clip_ids":
            names = [""] * rows
            for place, part in enumerate(parts):
                names[place :: len(parts)] = part.clip_ids
            values["clip_ids"] = tuple(names)
        elif field.name != "frames":
            own = [getattr(part, field.name) for part in parts]
            joined = np.empty((rows, *own[0].shape[1:]), own[0].dtype)
            for place, part_values in enumerate(own):
                joined[place :: len(parts)] = part_values
            values[field.name] = joined
    return Batch(**values)


class _Borrowed:
    """The pages of one process: asked for by batch, seen in its rows alone."""

    def __init__(self, pipe: Connection, part: int, parts: int, shape: tuple[int, ...]) -> None:
        self._pipe = pipe
        self._part, self._parts, self._shape = part, parts, shape
        self._pages: dict[int, _Page] = {}
        self._given: dict[int, int] = {}
        self.taken = -1

    def get(self, batch: int) -> Frames:
        """Waits until the page is there."""
        self._pipe.send(("want", batch, None))
        while batch not in self._given:
            self.listen()
        memory = self._pages[self._given.pop(batch)].memory
        whole = np.frombuffer(memory, np.uint8, int(np.prod(self._shape))).reshape(self._shape)
        return whole[self._part :: self._parts]

    def listen(self) -> None:
        """Take one message."""
        message = self._pipe.recv()
        if message[0] == "taken":
            self.taken = message[1]
            return
        _, batch, page, new = message
        if new:
            handle = recv_handle(self._pipe)
            self._pages[page] = _Page(handle, int(np.prod(self._shape)))
            os.close(handle)  # the memory map has its own
        self._given[batch] = page


def _work(part: Part, pipe: Connection, number: int, parts: int, shape: tuple[int, ...], ahead: int) -> None:
    """What a process does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the one that trains decides
    cv2.setNumThreads(1)  # the processes are the parallelism
    pages = _Borrowed(pipe, number, parts, shape)
    made = 0
    try:
        for made, batch in enumerate(part(pages)):
            pipe.send(("made", made, replace(batch, frames=batch.frames[:0])))
            while made - pages.taken > ahead:
                pages.listen()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        pipe.send(("failed", made, _portable(error)))


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return DojoError(f"load: {type(error).__name__}: {error}")
    return error
