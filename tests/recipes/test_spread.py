"""Results come in the order of the tasks, whoever works on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from dojo.errors import EvaluationError
from dojo.recipes import engine
from dojo.recipes.spread import spread


@pytest.fixture
def chores(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions that other processes can import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import chores

    return chores


def test_one_process_and_several_give_the_same_in_the_same_order(chores: ModuleType) -> None:
    numbers = list(range(7))
    for processes in (1, 2):
        assert list(spread(chores.square, numbers, processes)) == [number**2 for number in numbers]


def test_nothing_to_do_is_done(chores: ModuleType) -> None:
    assert list(spread(chores.square, [])) == []


def test_a_task_that_ends_every_process_is_named(chores: ModuleType) -> None:
    with pytest.raises(EvaluationError, match=r"task 2 of 3: every process that was given it ended, .* exit code -9"):
        list(spread(chores.die_at_three, [1, 3, 5], 2))


def test_a_cluster_that_is_done_in_any_order_gives_the_same(
    chores: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    @contextmanager
    def connected(address: str, processes: int) -> Iterator[None]:
        asked.append((address, processes))
        yield

    def backwards(function, tasks):
        return ((task, function(task)) for task in reversed(tasks))

    monkeypatch.setattr(engine, "connected", connected)
    monkeypatch.setattr(engine, "work_through", backwards)
    assert list(spread(chores.square, [1, 2, 3], 2, "ray://head:10001")) == [1, 4, 9]
    assert asked == [("ray://head:10001", 2)]
