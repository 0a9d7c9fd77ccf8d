"""A recorder changes nothing and remembers the last pictures."""

from __future__ import annotations

import numpy as np
from driven import Circle, LaneKeeper

from dojo.evaluate.closed_loop import driven_hash
from dojo.evaluate.plant import IdealCar
from dojo.evaluate.recorder import Recorder
from dojo.evaluate.rollout import RolloutConfig, drive
from dojo.evaluate.simulator import Simulator
from dojo.records import Scenario

CASES = [Scenario(f"c-{number}", "s", {"curvature": 0.003 * number}, number, 2.0) for number in range(3)]


def test_a_recorder_is_a_simulator_and_drives_are_the_same_through_it():
    inner = Circle()
    recorder = Recorder(inner, 4)
    assert isinstance(recorder, Simulator)
    plain = list(drive(CASES, Circle(), IdealCar(), LaneKeeper(), RolloutConfig(keep_frames=True)))
    through = list(drive(CASES, recorder, IdealCar(), LaneKeeper(), RolloutConfig()))
    assert driven_hash(plain) == driven_hash(through)
    assert inner.ended == 3
    for rollout in plain:
        kept = recorder.take(rollout.scenario.scenario_id)
        assert len(kept) == 4
        for one, other in zip(kept, rollout.frames[-4:], strict=True):
            np.testing.assert_array_equal(one.y, other.y)
        assert recorder.take(rollout.scenario.scenario_id) == (), "once taken, they are forgotten"
