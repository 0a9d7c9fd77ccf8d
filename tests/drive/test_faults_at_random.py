"""Faults of any length at any moment: each ends, every time, in the state that docs/integrate.md states.

`--variants 1000` tries fifty moments of each kind; the default two keep the suite short.
"""

from __future__ import annotations

import random

import pytest

from dojo.drive.adapter import Adapter
from dojo.drive.bench import Bench
from dojo.drive.platform import load_platform
from dojo.drive.signals import FAST
from dojo.drive.states import DRIVES
from dojo.records import DriverInput

MS = 1_000_000
HANDS = {"hands_on": True, "eyes_on_road": True}
ADAPTERS = [Adapter(load_platform(name)) for name in ("aurora_comet", "borealis_tern")]


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(max(2, metafunc.config.getoption("--variants") // 20)))


@pytest.fixture
def draw(seed):
    return random.Random(seed)


@pytest.fixture
def adapter(seed):
    return ADAPTERS[seed % 2]


@pytest.fixture
def bench(adapter, draw):
    """One that is engaged, left at any moment of its cycle and of the units' messages."""
    with Bench(adapter) as made:
        assert made.engage()
        made.run(draw.randrange(20) / 100)
        yield made


def since(bench, first):
    """The states of the cycles from that number on, without repeats."""
    found = [cycle.mode.state for cycle in bench.cycles[first:]]
    return [state for state, before in zip(found, [None, *found], strict=False) if state != before]


def answered(bench):
    """The driver takes over and lets go: ready, and by nothing but the button ever again engaged."""
    bench.driver = DriverInput(torque_nm=5.0, **HANDS)
    bench.run(0.2)
    bench.driver = DriverInput(**HANDS)
    first = len(bench.cycles)
    bench.run(1.0)
    assert not {*since(bench, first)} & {*DRIVES}
    assert bench.mode.state == "ready"


def test_bursts_of_missing_pictures_are_driven_through(bench, draw):
    first, missed = len(bench.cycles), 0
    for _ in range(3):
        bench.camera, pictures = False, draw.randint(1, 9)
        bench.run(0.05 * pictures)
        bench.camera, missed = True, missed + pictures
        bench.run(0.05 * draw.randint(1, 4))
    assert since(bench, first) == ["engaged"]
    # A picture is missed when the next is due already, so each burst is counted but for its first.
    assert bench.runtime.counts.frames_missing == missed - 3


def test_a_camera_that_dies_is_handed_back_after_half_a_second_and_stopped_after_one_and_a_half(bench):
    last_ns, first = bench.cycles[-1].now_ns, len(bench.cycles)
    bench.camera = False
    bench.run(2.0)
    began = {cycle.mode.state: cycle.mode.since_ns - last_ns for cycle in bench.cycles[first:]}
    assert list(began) == ["engaged", "take_over", "minimal_risk"]
    assert 500 * MS < began["take_over"] <= 550 * MS
    assert 1500 * MS < began["minimal_risk"] <= 1550 * MS
    bench.camera = True
    bench.run(0.3)
    assert bench.mode.state == "minimal_risk"
    answered(bench)


@pytest.mark.parametrize("milliseconds", [200, None], ids=["200 ms", "any length"])
def test_a_stall_lets_go_and_is_handed_back(bench, draw, milliseconds):
    first = len(bench.cycles)
    bench.stalled = True
    bench.run((milliseconds or 10 * draw.randint(16, 150)) / 1000)
    assert bench.asked() is None
    bench.stalled = False
    bench.run(0.05)
    assert since(bench, first) == ["take_over"]
    assert (bench.mode.why, bench.runtime.counts.late_cycles) == ("stall", 1)
    bench.run(draw.uniform(0.1, 3.0))
    assert bench.mode.state == "take_over"
    assert bench.asked().take_over_request
    answered(bench)


@pytest.mark.parametrize("way", ["muted", "frozen", "spoilt"])
def test_a_message_that_is_lost_is_handed_back_and_off_after_half_a_second(bench, draw, adapter, way):
    fast = [name for name in adapter.messages("in") if {*adapter.signals_of(name)} & {*FAST}]
    first = len(bench.cycles)
    getattr(bench.ecus, way).add(draw.choice(fast))
    bench.run(0.04)
    assert bench.mode.state == "engaged"
    bench.run(draw.randint(16, 40) / 100)
    assert since(bench, first) == ["engaged", "take_over"]
    if draw.random() < 0.5:
        bench.ecus.heal()
        bench.run(0.5)
        assert bench.mode.state == "take_over"
    else:
        bench.run(0.7)
        assert (bench.mode.state, bench.mode.why) == ("off", "lost")
        assert bench.asked().take_over_request
        bench.ecus.heal()
    answered(bench)


def test_a_wire_that_is_cut_lets_go_and_is_off_and_nothing_engages_when_it_is_whole(bench, draw):
    first = len(bench.cycles)
    bench.ecus.mute_all()
    bench.run(draw.randint(70, 200) / 100)
    assert since(bench, first) == ["engaged", "take_over", "off"]
    assert bench.asked() is None
    assert bench.cycles[-1].command.take_over_request
    bench.ecus.heal()
    bench.run(0.3)
    assert bench.mode.state == "ready"
    answered(bench)


def test_a_process_that_is_killed_is_off_then_ready_however_the_button_is_held(bench, draw):
    bench.driver = DriverInput(engage_pressed=draw.random() < 0.5, **HANDS)
    bench.stalled = True
    bench.run(draw.randint(16, 100) / 100)
    assert bench.asked() is None
    bench.start()
    bench.stalled, first = False, len(bench.cycles)
    bench.run(1.5)
    assert since(bench, first) == ["off", "ready"]
    assert not bench.asked().engaged
    answered(bench)


def test_after_any_faults_together_the_driver_has_the_vehicle(bench, draw, adapter):
    """Whatever happens at once: what is asked for is inside, and who once was handed back is not engaged again."""
    ended = False
    for _ in range(6):
        bench.camera, bench.stalled = draw.random() < 0.7, draw.random() < 0.2
        bench.accepts, bench.ahead_ns = draw.random() < 0.8, draw.choice((0, 0, 10**9))
        bench.ecus.heal()
        for way in ("muted", "frozen", "spoilt"):
            getattr(bench.ecus, way).update(name for name in adapter.messages("in") if draw.random() < 0.15)
        bench.ecus.deaf = draw.random() < 0.2
        first = len(bench.cycles)
        bench.run(draw.randint(5, 60) / 100)
        for cycle in bench.cycles[first:]:
            ended = ended or cycle.mode.state in ("off", "ready")
            assert not (ended and cycle.command.engaged)
            assert abs(cycle.command.curvature_per_m) * cycle.given.speed_mps**2 <= 3.0 + 1e-9
            assert -3.5 <= cycle.command.acceleration_mps2 <= 2.0
    bench.camera, bench.stalled, bench.accepts, bench.ahead_ns = True, False, True, 0
    bench.ecus.heal()
    bench.run(0.2)
    answered(bench)
