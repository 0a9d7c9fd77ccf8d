"""Faults on a bench: each ends in the state that docs/integrate.md states."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from dojo.drive.adapter import Adapter
from dojo.drive.bench import Bench, StandIn
from dojo.drive.can_bus import CanBus
from dojo.drive.ecus import Ecus, values_of
from dojo.drive.platform import load_platform
from dojo.drive.states import Timing
from dojo.drive.thinker import AtOnce
from dojo.errors import ConfigError, RecordError
from dojo.records import DriverInput, VehicleState


def states(bench):
    """The states in their order, without repeats."""
    found = [cycle.mode.state for cycle in bench.cycles]
    return [state for state, before in zip(found, [None, *found], strict=False) if state != before]


def test_it_engages_on_both_platforms(adapter):
    with Bench(adapter) as bench:
        assert bench.engage()
        assert states(bench) == ["off", "ready", "engaged"]
        assert bench.asked().engaged


def test_a_few_frames_that_are_missing_are_counted_and_driven_through(adapter):
    with Bench(adapter) as bench:
        bench.engage()
        bench.camera = False
        bench.run(0.4)
        bench.camera = True
        bench.run(1.0)
        assert states(bench)[-1] == "engaged"
        assert 5 <= bench.runtime.counts.frames_missing <= 8


def test_a_camera_that_is_gone_is_handed_back_then_stopped(adapter):
    with Bench(adapter) as bench:
        bench.engage()
        bench.camera = False
        bench.run(1.0)
        assert (bench.mode.state, bench.mode.why) == ("take_over", "old_plan")
        assert bench.asked().take_over_request
        bench.run(1.0)
        assert (bench.mode.state, bench.mode.why) == ("minimal_risk", "no_plan")
        bench.run(1.5)
        asked = bench.asked()
        assert asked.engaged
        assert asked.acceleration_mps2 == pytest.approx(-2.0, abs=0.01)
        # Nobody answers: it stays so, turning as it did when the last plan was of use.
        bench.run(2.0)
        assert bench.mode.state == "minimal_risk"
        assert bench.asked().curvature_per_m == pytest.approx(bench.wished_per_m, abs=2e-5)


def test_a_driver_who_answers_has_the_vehicle_within_a_cycle(adapter):
    with Bench(adapter) as bench:
        bench.engage()
        bench.camera = False
        bench.run(1.0)
        bench.driver = DriverInput(torque_nm=4.0, hands_on=True, eyes_on_road=True)
        bench.run(0.1)
        assert bench.mode.state == "ready" or bench.mode.state == "off"
        assert not bench.asked().engaged
        assert not bench.asked().take_over_request


@pytest.mark.parametrize("milliseconds", [200, 1000])
def test_a_stall_lets_the_vehicle_go_and_is_handed_back(adapter, milliseconds):
    with Bench(adapter) as bench:
        bench.engage()
        bench.stalled = True
        bench.run(milliseconds / 1000)
        assert bench.asked() is None  # the units let go by themselves
        bench.stalled = False
        bench.run(0.1)
        assert (bench.mode.state, bench.mode.why) == ("take_over", "stall")
        assert bench.runtime.counts.late_cycles == 1


def test_pictures_of_another_clock_are_none(adapter):
    """Stamped a second ahead, their plans would look fresh a second after the camera has died."""
    with Bench(adapter) as bench:
        bench.engage()
        bench.ahead_ns = 10**9
        bench.run(0.7)
        assert (bench.mode.state, bench.mode.why) == ("take_over", "old_plan")
        assert bench.runtime.counts.frames_ahead == 14
        bench.ahead_ns = 0  # one bad stamp does not make all later ones look old
        bench.run(0.2)
        assert bench.runtime.counts.frames_old == 0
        assert bench.cycles[-1].plan_age_ns == 0


class Meanwhile(AtOnce):
    """While the network is waited for, something happens once."""

    act = None

    def take(self, wait_s):
        if wait_s and self.act is not None:
            self.act()
            self.act = None
        return super().take(wait_s)


@pytest.mark.parametrize("way", [{"brake_pressed": True}, {"gas_pressed": True}, {"torque_nm": -5.0}])
def test_a_driver_who_acts_while_the_network_thinks_wins_in_that_cycle(adapter, way):
    thinker = Meanwhile(StandIn())
    with Bench(adapter, thinker=thinker) as bench:
        bench.engage()
        now = bench.cycles[-1].now_ns + 250_000_000  # every message of the units is due
        acts = values_of(VehicleState(now, 15.0, 0.0, 0.0), DriverInput(hands_on=True, **way))
        thinker.act = lambda: bench.ecus.broadcast(now, acts)
        bench.run(0.05)
        assert thinker.act is None
        assert not bench.cycles[-1].command.engaged


def test_a_stall_shorter_than_the_units_patience_is_driven_through(adapter):
    with Bench(adapter) as bench:
        bench.engage()
        bench.stalled = True
        bench.run(0.05)
        bench.stalled = False
        bench.run(1.0)
        assert states(bench)[-1] == "engaged"


def test_a_cut_wire_is_handed_back_then_off_and_the_units_let_go(adapter):
    with Bench(adapter) as bench:
        bench.engage()
        bench.ecus.mute_all()
        bench.run(0.3)
        assert bench.mode.state == "take_over"
        assert bench.asked() is None
        bench.run(0.5)
        assert (bench.mode.state, bench.mode.why) == ("off", "lost")
        assert bench.cycles[-1].command.take_over_request
        assert not bench.cycles[-1].command.engaged
        bench.ecus.heal()
        bench.run(1.0)
        assert bench.mode.state == "ready"  # never engaged by itself


def test_actuators_that_refuse_are_handed_back(adapter):
    with Bench(adapter) as bench:
        bench.engage()
        bench.accepts = False
        bench.run(0.1)
        assert (bench.mode.state, bench.mode.why) == ("take_over", "refused")


class Diverged(StandIn):
    """A network that turns to NaN, or to nonsense, or fails, from some moment on."""

    def __init__(self, way: str) -> None:
        self.way, self.ill = way, False

    def __call__(self, inputs):
        plans = super().__call__(inputs)
        if self.ill and self.way == "raises":
            raise RuntimeError("no memory")
        if self.ill:
            plans.position_m[...] = np.nan
            raise RecordError("plans: position_m holds NaN or infinity; the model has diverged")
        return plans


@pytest.mark.parametrize("way", ["nan", "raises"])
def test_a_network_that_fails_is_handed_back(comet, way):
    policy = Diverged(way)
    with Bench(comet, policy) as bench:
        bench.engage()
        policy.ill = True
        bench.run(1.0)
        assert (bench.mode.state, bench.mode.why) == ("take_over", "old_plan")
        assert bench.runtime.counts.plans_failed >= 15


@pytest.mark.parametrize("wish", [(math.nan, 0.0), (0.5, 9.0), (-math.inf, math.inf), (1e300, -1e300)])
def test_whatever_is_wished_what_leaves_is_inside(adapter, wish):
    with Bench(adapter) as bench:
        bench.engage()
        bench.follower.wish = wish
        for _ in range(40):
            bench.run(0.05)
            asked = bench.asked()
            assert asked.engaged
            assert abs(asked.curvature_per_m) * bench.speed_mps**2 <= 3.0 + 1.1e-5 * bench.speed_mps**2
            assert -3.505 <= asked.acceleration_mps2 <= 2.005


def test_hands_off_are_warned_of_on_the_bus(adapter):
    ms = 1_000_000
    quick = Timing(hands_shown_ns=300 * ms, hands_sounded_ns=600 * ms, hands_back_ns=900 * ms, answer_ns=1000 * ms)
    with Bench(adapter, timing=quick) as bench:
        bench.engage()
        bench.driver = DriverInput(hands_on=False, eyes_on_road=True)
        bench.run(0.5)
        assert bench.asked().warning == 1
        bench.run(0.3)
        assert bench.asked().warning == 2
        assert not bench.asked().take_over_request
        bench.run(0.3)
        assert bench.asked().take_over_request
        assert (bench.mode.state, bench.mode.why) == ("take_over", "hands")
        bench.run(1.1)
        assert (bench.mode.state, bench.mode.why) == ("minimal_risk", "no_answer")


def test_in_shadow_nothing_is_ever_sent(adapter):
    with Bench(adapter, shadow=True) as bench:
        assert not bench.engage()
        bench.run(2.0)
        assert bench.mode.state == "ready"
        assert bench.asked() is None
        assert bench.cycles[-1].wish.curvature_per_m == bench.wished_per_m


# A process that is killed.

KILLED = """
    import sys, time
    from dojo.drive.adapter import Adapter
    from dojo.drive.bench import STAND_IN, StandIn, Steady
    from dojo.drive.can_bus import CanBus
    from dojo.drive.gateway import Gateway
    from dojo.drive.platform import load_platform
    from dojo.drive.runtime import Runtime, RuntimeConfig
    from dojo.drive.schedule import scheduled
    from dojo.drive.thinker import Beside
    from dojo.drive.window import Window
    from dojo.records import Frame
    import numpy as np

    class Grey:
        def newest(self):
            grey = np.full((128, 256), 128, np.uint8)
            return Frame(time.monotonic_ns(), np.full((256, 512), 100, np.uint8), grey, grey)

    adapter = Adapter(load_platform("aurora_comet"))
    bus = CanBus.open("udp_multicast", sys.argv[1])
    config = RuntimeConfig()
    runtime = Runtime(Gateway(adapter, bus), Window(STAND_IN, 0.05), Beside(StandIn()), Steady(0.001, 0.1),
                      adapter.platform.file.body, adapter.platform.limits, config, time.monotonic_ns())
    for cycle in scheduled(runtime.cycle, Grey(), config.cycle_s):
        pass
"""


@pytest.fixture
def group():
    """A multicast group of the loopback that reaches another socket, or a skip."""
    name = f"239.74.163.{os.getpid() % 250 + 2}"
    try:
        one, other = CanBus.open("udp_multicast", name), CanBus.open("udp_multicast", name)
    except (ConfigError, OSError) as error:
        pytest.skip(f"no bus between processes here: expected UDP multicast, got {error}")
    one.send(1, b"1")
    time.sleep(0.05)
    heard = other.receive()
    one.close()
    other.close()
    if heard is None:
        pytest.skip("no bus between processes here: expected UDP multicast on this machine, nothing arrived")
    return name


def wait_for(ecus, press, wanted, seconds):
    """Play the vehicle in real time until it is asked for what is wanted; how long that took."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        now = time.monotonic_ns()
        driver = DriverInput(hands_on=True, eyes_on_road=True, engage_pressed=press(passed))
        ecus.broadcast(now, values_of(VehicleState(now, 15.0, 0.0, 0.0), driver))
        ecus.listen(now)
        if wanted(ecus.asked(now, 15.0)):
            return passed
        time.sleep(0.005)
    return None


def test_a_process_that_is_killed_lets_the_vehicle_go_and_starts_again_ready(group, pytestconfig):
    adapter = Adapter(load_platform("aurora_comet"))
    bus = CanBus.open("udp_multicast", group)
    ecus = Ecus(adapter, bus)

    def start():
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), group])

    def blinking(passed):
        return int(passed / 0.3) % 2 == 1

    draw, process = random.Random(9), start()
    try:
        for _ in range(max(1, pytestconfig.getoption("--kills") // 4)):
            engaged = wait_for(ecus, blinking, lambda asked: asked is not None and asked.engaged, 30.0)
            assert engaged is not None
            wait_for(ecus, lambda _: False, lambda _: False, draw.uniform(0.0, 0.1))  # any moment of a cycle
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            released = wait_for(ecus, lambda _: False, lambda asked: asked is None, 5.0)
            # A tenth of a second, a cycle before it, and what a busy machine adds.
            assert released is not None
            assert released < 1.0
            process = start()
            again = wait_for(ecus, lambda _: False, lambda asked: asked is not None, 30.0)
            assert again is not None
            assert wait_for(ecus, lambda _: False, lambda asked: asked is not None and asked.engaged, 1.0) is None
    finally:
        process.kill()
        process.wait()
        bus.close()
