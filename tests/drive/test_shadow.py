"""A difference of opinion is one that lasts."""

from __future__ import annotations

import pytest

from dojo.drive.shadow import Compared, ShadowConfig, Watch, watch

CONFIG = ShadowConfig()
SAME = {"speed_mps": 20.0, "wished_per_m": 0.0, "wished_mps2": 0.0, "driven_per_m": 0.0, "driven_mps2": 0.0}


def told(seconds, before=None, **seen):
    """What is told over so many seconds, each with its moment."""
    memory, found = before or (Watch(), 0), []
    memory, now = memory
    for _ in range(round(seconds * 20)):
        now += 50_000_000
        memory, kinds = watch(CONFIG, memory, Compared(now, **(SAME | seen)))
        found += [(kind, now / 1e9) for kind in kinds]
    return found, (memory, now)


def test_agreement_is_not_told():
    assert told(100.0)[0] == []


@pytest.mark.parametrize("side", [1, -1])
def test_a_turn_is_told_when_it_has_differed_for_a_second(side):
    found, _ = told(3.0, wished_per_m=side * 0.71 / 400)
    assert found == [("turn", 1.05)]
    assert told(3.0, driven_per_m=side * 0.71 / 400)[0] == found
    assert told(60.0, wished_per_m=side * 0.69 / 400)[0] == []


def test_the_same_turn_at_walking_pace_is_nothing():
    assert told(10.0, wished_per_m=0.05, speed_mps=2.0)[0] == []


def test_a_push_is_told_of_its_own():
    assert told(3.0, wished_mps2=-1.6)[0] == [("push", 1.05)]
    assert told(3.0, wished_mps2=-1.4)[0] == []
    both = told(3.0, wished_mps2=-1.6, wished_per_m=0.01)[0]
    assert both == [("turn", 1.05), ("push", 1.05)]


def test_what_does_not_last_begins_anew():
    _, memory = told(0.9, wished_mps2=-3.0)
    _, memory = told(0.1, memory)
    found, _ = told(0.9, memory, wished_mps2=-3.0)
    assert found == []


def test_one_is_told_once_in_half_a_minute():
    found, _ = told(70.0, wished_mps2=-3.0)
    assert [round(moment, 2) for _, moment in found] == [1.05, 31.05, 61.05]


def test_nothing_to_compare_ends_what_has_begun():
    _, (memory, now) = told(0.9, wished_mps2=-3.0)
    memory, kinds = watch(CONFIG, memory, None)
    assert kinds == ()
    assert told(0.9, (memory, now), wished_mps2=-3.0)[0] == []
