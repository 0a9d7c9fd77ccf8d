"""Cycles on a grid that does not drift."""

from __future__ import annotations

from itertools import islice

from dojo.drive.schedule import scheduled

PERIOD = 50_000_000


class Clock:
    """A clock that only sleeping and working move."""

    def __init__(self):
        self.now = 1_000

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds >= 0
        self.now += round(seconds * 1e9)


class Worker:
    """A runtime whose cycles take what they are told to."""

    def __init__(self, clock, takes):
        self.clock, self.takes, self.began, self.frames = clock, iter(takes), [], []

    def cycle(self, now_ns, frame):
        self.began.append(now_ns)
        self.frames.append(frame)
        self.clock.now += next(self.takes)


class Camera:
    def __init__(self):
        self.number = 0

    def newest(self):
        self.number += 1
        return self.number


def began(takes):
    clock = Clock()
    worker = Worker(clock, takes)
    list(islice(scheduled(worker.cycle, Camera(), 0.05, clock, clock.sleep), len(takes)))
    return [(time - 1_000) / PERIOD for time in worker.began], worker.frames


def test_cycles_begin_on_the_grid_however_long_they_take_within_it():
    times, frames = began([0, 1_000_000, 49_000_000, 3_000_000, 0])
    assert times == [0, 1, 2, 3, 4]
    assert frames == [1, 2, 3, 4, 5]


def test_one_that_runs_over_makes_the_next_late_and_the_one_after_punctual():
    times, _ = began([60_000_000, 0, 0, 0])
    assert times == [0, 1.2, 2, 3]


def test_whole_periods_that_were_missed_are_left_out():
    times, _ = began([230_000_000, 0, 0])
    assert times == [0, 4.6, 5]
