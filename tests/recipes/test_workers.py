"""Processes side by side: every task is done, whatever happens to a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from dojo.errors import DojoError
from dojo.recipes.workers import Died, apart, work_through


@pytest.fixture
def chores(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions that other processes can import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import chores

    return chores


@pytest.mark.parametrize("processes", [1, 3])
def test_every_task_is_done_once(chores: ModuleType, processes: int) -> None:
    results = dict(work_through(chores.square, list(range(12)), processes))
    assert results == {n: n * n for n in range(12)}


def test_nothing_to_do_is_nothing_done(chores: ModuleType) -> None:
    assert list(work_through(chores.square, [], 2)) == []


def test_a_process_that_dies_takes_only_its_own_task_with_it(chores: ModuleType) -> None:
    results = dict(work_through(chores.die_at_three, list(range(8)), 2))
    died = results.pop(3)
    assert isinstance(died, Died)
    assert died.exit_code == -signal.SIGKILL
    assert results == {n: n for n in range(8) if n != 3}


def test_a_task_whose_process_died_once_is_done_by_another(chores: ModuleType, tmp_path: Path) -> None:
    tasks = [str(tmp_path / name) for name in "abc"]
    assert sorted(work_through(chores.die_the_first_time, tasks, 2)) == [(task, "done") for task in tasks]


def test_an_error_in_a_task_is_raised_here_and_ends_the_processes(chores: ModuleType) -> None:
    with pytest.raises(ValueError, match="three is too much"):
        list(work_through(chores.refuse_three, list(range(8)), 2))
    assert psutil.Process().children() == [] or all(not _works(child) for child in psutil.Process().children())


def test_asked_to_stop_it_stops_without_waiting_for_the_tasks_at_hand(chores: ModuleType) -> None:
    done: list[object] = []
    started = time.monotonic()
    for task, _ in work_through(chores.doze, [0.0, 0.0, 60.0, 60.0, 60.0], 2, lambda: len(done) >= 2):
        done.append(task)
    assert done == [0.0, 0.0]
    assert time.monotonic() - started < 30


def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import chores\nfrom dojo.recipes.workers import work_through\n"
        f"list(work_through(chores.leave_pid, [{str(tmp_path / 'a')!r}, {str(tmp_path / 'b')!r}], 2))"
    )
    script = tmp_path / "script.py"
    script.write_text("if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in code.split("\n")))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment)
    pids = [_wait_for_pid(tmp_path / name) for name in "ab"]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def _works(child: psutil.Process) -> bool:
    return "spawn_main" in " ".join(child.cmdline())


def _wait_for_pid(path: Path) -> int:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return int(path.read_text())


def test_a_task_apart_has_a_process_and_a_group_of_its_own(chores: ModuleType) -> None:
    assert apart(chores.own_group, os.getpid())


def test_what_a_task_apart_raises_is_raised_here(chores: ModuleType) -> None:
    with pytest.raises(ValueError, match="three is too much"):
        apart(chores.refuse_three, 3)


def test_a_process_apart_that_is_killed_is_told_with_what_to_do(chores: ModuleType) -> None:
    with pytest.raises(DojoError, match=r"it ended with exit code -9.*run the same command again"):
        apart(chores.die_at_three, 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_a_task_apart_save_what_it_has(chores: ModuleType, tmp_path: Path, number: int) -> None:
    mark = tmp_path / "mark"
    script = f"from dojo.recipes.workers import apart\nimport chores\napart(chores.save_when_told, {str(mark)!r})"
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        "-c",
        f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{script}",
    ]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not mark.exists() or mark.read_text() != "waiting":
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert mark.read_text() == "saved"
    assert b"KeyboardInterrupt" in told
