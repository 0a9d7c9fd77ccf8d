"""A simulator that remembers the last pictures that it showed of each scenario, for films.

In: a simulator. Out: the same simulator, and the last pictures by scenario.
Idea: which rollouts are worth a film is known when all have been driven, and pictures are most of the memory; so the
last half minute of each is kept on the way, and forgotten by whoever has chosen.
Not here: films (`rollout_video.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from dojo.evaluate.simulator import Simulator
from dojo.records import EgoState, Frame, Observation, Scenario, Start, Truth


@dataclass(frozen=True)
class _Recorded:
    """A state of the simulator, and the pictures shown so far."""

    scenario_id: str
    inner: Any
    shown: deque[Frame]


class Recorder:
    """A `Simulator` around another.

    Args:
        pictures: how many are kept of each scenario.
    """

    def __init__(self, simulator: Simulator[Any], pictures: int) -> None:
        self._simulator = simulator
        self._pictures = pictures
        self._shown: dict[str, deque[Frame]] = {}

    def take(self, scenario_id: str) -> tuple[Frame, ...]:
        """The last pictures of a scenario, which are then forgotten."""
        return tuple(self._shown.pop(scenario_id, ()))

    def begin(self, scenario: Scenario) -> tuple[_Recorded, Start]:
        """As the simulator."""
        inner, start = self._simulator.begin(scenario)
        shown = self._shown[scenario.scenario_id] = deque(maxlen=self._pictures)
        return _Recorded(scenario.scenario_id, inner, shown), start

    def observe(self, state: _Recorded, ego: EgoState) -> Observation:
        """As the simulator; the picture is kept."""
        observation = self._simulator.observe(state.inner, ego)
        state.shown.append(observation.frame)
        return observation

    def truth(self, state: _Recorded, ego: EgoState) -> Truth:
        """As the simulator."""
        return self._simulator.truth(state.inner, ego)

    def step(self, state: _Recorded, ego: EgoState, dt_s: float) -> _Recorded:
        """As the simulator."""
        return replace(state, inner=self._simulator.step(state.inner, ego, dt_s))

    def end(self, state: _Recorded) -> None:
        """As the simulator."""
        self._simulator.end(state.inner)
