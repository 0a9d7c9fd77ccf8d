"""What a simulator is: a place to drive in that shows what is there and states the facts.

In: a scenario; where the ego is. Out: pictures and facts.
Idea: the simulator knows everything but the ego, which is handed to it: plant and controller are other parts, and a
simulator cannot mix them up. Its state is a value where it can be one. Where purity costs too much (a window that
draws, hundreds of vehicles) the state is a handle to live things that `step` moves on and returns again: whoever
holds one must not use it after stepping it. The same scenario and the same egos give the same pictures and facts.
Not here: simulators. The simulated world is `world/simulator.py`, a recorded drive is `evaluate/replay.py`; neither
needs this module to fit it.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from dojo.records import EgoState, Observation, Scenario, Start, Truth

State = TypeVar("State")


@runtime_checkable
class Simulator(Protocol[State]):
    """A place to drive in."""

    def begin(self, scenario: Scenario) -> tuple[State, Start]:
        """The place at time 0, and the ego that begins there.

        Raises:
            ConfigError: a parameter of the place that this simulator does not know, or a disturbance that it cannot
                show.
        """
        ...

    def observe(self, state: State, ego: EgoState) -> Observation:
        """What can be seen from the ego now; asked once per picture, never where `Truth.shown` is False."""
        ...

    def truth(self, state: State, ego: EgoState) -> Truth:
        """The facts about the ego now."""
        ...

    def step(self, state: State, ego: EgoState, dt_s: float) -> State:
        """Everything but the ego, moved on by `dt_s` to the time of `ego`, which it may react to."""
        ...

    def end(self, state: State) -> None:
        """Give back what the state holds on to; it is not used again."""
        ...
