"""One window in flight; whoever is busy is not waited for."""

from __future__ import annotations

import threading
import time

import pytest

from dojo.drive.bench import StandIn
from dojo.drive.thinker import AtOnce, Beside

INPUTS = {"speed_mps": __import__("numpy").array([[10.0]], "float32")}


class Slow(StandIn):
    """Answers when it is let."""

    def __init__(self):
        self.let = threading.Event()

    def __call__(self, inputs):
        assert self.let.wait(5.0)
        return super().__call__(inputs)


class OddError(Exception):
    """As ONNX Runtime's own, which are of no common kind."""


class Broken(StandIn):
    def __init__(self, error=None):
        self.error = error

    def __call__(self, inputs):
        if self.error is not None:
            raise self.error
        return super().__call__(inputs)


def test_the_plain_one_answers_once():
    thinker = AtOnce(StandIn())
    assert thinker.take(1.0) is None
    thinker.offer(INPUTS, 7)
    assert thinker.take(0.0).taken_ns == 7
    assert thinker.take(0.0) is None
    assert thinker.idle
    thinker.close()


@pytest.mark.parametrize("make", [AtOnce, Beside])
def test_a_failure_is_a_thought_without_plans(make):
    thinker = make(Broken(ValueError("no such input")))
    thinker.offer(INPUTS, 3)
    thought = thinker.take(5.0)
    assert (thought.taken_ns, thought.plans) == (3, None)
    thinker.close()


@pytest.mark.parametrize("error", [OddError("bad node"), MemoryError(), KeyError("position_m"), AssertionError()])
def test_whatever_a_network_fails_with_the_next_window_is_thought_about(error):
    policy = Broken(error)
    thinker = Beside(policy)
    thinker.offer(INPUTS, 3)
    assert thinker.take(5.0).plans is None
    policy.error = None
    thinker.offer(INPUTS, 4)
    assert thinker.take(5.0).plans is not None
    thinker.close()


def test_the_one_beside_is_busy_until_its_thought_is_taken():
    policy = Slow()
    thinker = Beside(policy)
    assert thinker.idle
    assert thinker.take(5.0) is None  # nothing in flight: not waited for
    thinker.offer(INPUTS, 1)
    assert not thinker.idle
    began = time.monotonic()
    assert thinker.take(0.05) is None
    assert 0.04 < time.monotonic() - began < 2.0
    with pytest.raises(AssertionError, match="expected a window only when idle"):
        thinker.offer(INPUTS, 2)
    policy.let.set()
    assert thinker.take(5.0).taken_ns == 1
    assert thinker.idle
    thinker.offer(INPUTS, 2)
    assert thinker.take(5.0).taken_ns == 2
    thinker.close()


def test_both_give_the_same_plans():
    thoughts = []
    for thinker in (AtOnce(StandIn()), Beside(StandIn())):
        thinker.offer(INPUTS, 1)
        thoughts.append(thinker.take(5.0).plans.position_m.tobytes())
        thinker.close()
    assert thoughts[0] == thoughts[1]
