"""A step as it goes, task by task: its timeline, and what one accelerator that is slow costs everybody.

In: how a step is played, which stage is slow. Out: facts for whoever asked, a timeline for Chrome or Perfetto.
Idea: one accelerator in one replica is enough. Its stage holds up the replica's others, and all replicas wait for its
gradients; so the step takes as long as the replica that it is in, and the rest of the machine need not be played.
Not here: playing (`machine/simulate/events.py`, `pipeline.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dojo.errors import ConfigError
from dojo.machine.simulate.events import NOBODY, Played
from dojo.machine.simulate.trace import chrome_trace
from dojo.recipes.run import write_whole


@dataclass(frozen=True)
class Timeline:
    """What is wanted of a step beyond its seconds.

    Args:
        slow: how many times as long the slow accelerator takes for its passes; 1: none is slow.
        slow_stage: the stage of a pipeline that it belongs to, from 0.
        trace: where to write the timeline, with whoever is slow.
    """

    slow: float = 1.0
    slow_stage: int = 0
    trace: Path | None = None

    def facts(
        self,
        step_s: float,
        stages: int,
        play: Callable[[Mapping[int, float]], Played],
        *,
        starved_s: float = 0.0,
    ) -> dict[str, Any]:
        """What is told of it.

        Args:
            step_s: as predicted without playing, where nobody is slow.
            play: the step, with how many times as long some stages take.
            starved_s: what of `step_s` everybody waits for samples, which is not played: the first to be made up.

        Raises:
            ConfigError: there is no such stage, or slow is below 1.
        """
        if not 1 <= self.slow < float("inf") or not 0 <= self.slow_stage < stages:
            raise ConfigError(
                f"straggler: expected slow from 1 and a slow_stage from 0 to {stages - 1}, the last of this split, got "
                f"{self.slow:g} and {self.slow_stage}"
            )
        if self.slow == 1 and self.trace is None:
            return {}
        one = play({self.slow_stage: self.slow})
        facts: dict[str, Any] = {}
        if self.slow > 1:
            slowed_s = max(step_s, (step_s - starved_s) * one.seconds / play(NOBODY).seconds)
            facts = {
                "straggler_step_s": slowed_s,
                "straggler_says": f"one accelerator of stage {self.slow_stage} takes {self.slow:g} times as long for "
                f"its passes: the step of all takes {slowed_s / step_s:.3f} times as long",
            }
        if self.trace is not None:
            write_whole(self.trace, chrome_trace(one))
            facts |= {"trace": str(self.trace), "played_s": one.seconds}
        return facts
