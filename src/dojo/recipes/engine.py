"""The only file that knows Ray: the same functions over the same tasks, on the machines of a cluster.

In: a function and its tasks, as for `workers.py`. Out: each task with its result, as they come.
Idea: every task is one Ray task, so every recording is a unit that is tried again by itself wherever its process, or
its whole machine, dies. Ray Data was passed over for this step: its unit of repetition is a block of rows, it has no
answer for the row whose process died, and its first job takes longer to begin. Results come back through Ray's memory,
and this process alone writes the dataset; so whatever dies there, a recording is stored once or not at all.
Not here: what is done with a recording (`receive.py`), processes on one machine (`workers.py`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

from dojo.errors import ConfigError
from dojo.recipes.workers import Died

Task = TypeVar("Task")
Result = TypeVar("Result")

ATTEMPTS = 20
"""How often a task may lose its process. Assumed: machines of a cluster are taken away at any time, so a death says
less about its task than on one machine; where every other task loses its process, one in a million is given up
without blame, and one that kills its process wherever it runs costs twenty starts."""

_AHEAD = 2
"""Tasks handed out per core: the next one waits where the last one ends."""


@contextmanager
def connected(address: str, processes: int = 0) -> Iterator[None]:
    """A connection to a cluster while it is needed; one that this process has already is used and kept.

    Args:
        address: `ray://host:10001` of a running cluster, `auto` on one of its machines, or `local` for a cluster of
            this machine alone that ends with the connection.
        processes: cores of a local cluster; 0 for all.

    Raises:
        ConfigError: Ray is not installed, or nothing answers there.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    # Ray asks its makers' server to count its users otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    local = {"num_cpus": processes or len(os.sched_getaffinity(0)), "include_dashboard": False}
    options = local if address == "local" else {"address": address}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray announces its future defaults, of which none is used
            ray.init(log_to_driver=False, configure_logging=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"cluster: expected a Ray cluster at {address!r}, got: {error}; give ray://HOST:10001, auto or local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def work_through(
    function: Callable[[Task], Result], tasks: Sequence[Task], stop: Callable[[], bool] = lambda: False
) -> Generator[tuple[Task, Result | Died]]:
    """Each task with its result, or with `Died`, in the order in which they are done; inside `connected`.

    Args:
        function: importable by name on every machine.
        stop: asked now and then; once True, no more results come and what is at work is ended.

    Raises:
        Exception: whatever `function` raises, here.
    """
    ray = _ray()
    served = ray.remote(num_cpus=1, max_retries=0)(_served)
    shared = ray.put(function)
    room = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = [(task, 1) for task in reversed(tasks)]
    at_work: dict[Any, tuple[Task, int]] = {}
    try:
        while (waiting or at_work) and not stop():
            while waiting and len(at_work) < room:
                task, attempt = waiting.pop()
                at_work[served.remote(shared, task)] = (task, attempt)
            done, _ = ray.wait(list(at_work), num_returns=1, timeout=0.2)
            for reference in done:
                task, attempt = at_work.pop(reference)
                try:
                    failed, result = ray.get(reference)
                except ray.exceptions.RayError:
                    if attempt < ATTEMPTS:
                        waiting.append((task, attempt + 1))
                    else:
                        yield task, Died(None, ATTEMPTS)
                    continue
                if failed:
                    raise result
                yield task, result
    finally:
        for reference in at_work:
            ray.cancel(reference, force=True)


def _served(function: Callable[[Any], Any], task: Any) -> tuple[bool, Any]:
    """What a process of the cluster does with one task: whether it failed, and the result or the error."""
    cv2.setNumThreads(1)  # the processes are the parallelism
    try:
        return False, function(task)
    except Exception as error:
        return True, error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "cluster: expected Ray, which is not installed; pip install 'dojo-driving[cluster]', or leave --cluster "
            "out to use the cores of this machine"
        ) from error
    return ray
