"""Tasks for the tests of the worker processes: functions that another process can import by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_the_first_time(mark: str) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def refuse_three(number: int) -> int:
    if number == 3:
        raise ValueError("three is too much")
    return number


def doze(seconds: float) -> None:
    time.sleep(seconds)


def leave_pid(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(120)


def own_group(parent: int) -> bool:
    return os.getpid() != parent and os.getpgrp() == os.getpid()


def save_when_told(path: str) -> None:
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        Path(path).write_text("waiting")
        time.sleep(120)
    finally:
        Path(path).write_text("saved")
