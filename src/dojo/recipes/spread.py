"""The same function over many tasks, on the cores of this machine or of a cluster; results in the order of the tasks.

In: a function and its tasks. Out: the results.
Idea: rollouts do not depend on one another, so they need no more of an engine than this. Results come in the order of
the tasks whoever is done first, so that nothing that is made of them depends on how many worked on them.
Not here: the processes (`workers.py`), the cluster (`engine.py`), what a task is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from dojo.errors import EvaluationError
from dojo.recipes import engine
from dojo.recipes.workers import Died, work_through

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    function: Callable[[Task], Result], tasks: Sequence[Task], processes: int = 0, cluster: str | None = None
) -> Iterator[Result]:
    """The result of each task, in their order.

    Args:
        function: importable by name.
        processes: how many on this machine; 0: one per core. With one, the work is done in this process.
        cluster: of Ray, see `engine.connected`, all of whose machines see the same folders; None for this machine.

    Raises:
        EvaluationError: every process that was given a task ended with it.
        ConfigError: there is no such cluster.
    """
    numbered = list(enumerate(tasks))
    if cluster:
        with engine.connected(cluster, processes):
            yield from _in_order(engine.work_through(partial(_numbered, function), numbered), len(tasks))
        return
    most = min(processes or os.cpu_count() or 1, max(len(tasks), 1))
    yield from _in_order(work_through(partial(_numbered, function), numbered, most), len(tasks))


def _numbered(function: Callable[[Task], Result], numbered: tuple[int, Task]) -> Result:
    return function(numbered[1])


def _in_order(done: Iterable[tuple[tuple[int, Task], Result | Died]], count: int) -> Iterator[Result]:
    ready: dict[int, Result] = {}
    due = 0
    for (number, _), result in done:
        if isinstance(result, Died):
            raise EvaluationError(
                f"task {number + 1} of {count}: every process that was given it ended, the last with exit code "
                f"{result.exit_code}; if memory ran out, use fewer processes"
            )
        ready[number] = result
        while due in ready:
            yield ready.pop(due)
            due += 1
