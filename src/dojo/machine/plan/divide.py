"""The best way to divide a captured step, and the nearest that fits where one does not.

In: a question about a captured step. Out: `Division`s from the fastest on, or the reason why none fits and what would.
Idea: every legal way is timed: samples over accelerators, and stages of pipelines over some and samples over the rest.
What is refused is refused with every reason, or with the category of memory that is too large, and with what comes
nearest: the fitting way that differs in the fewest choices, the fastest of those.
Not here: the ways (`replicas.py`, `pipelines.py`), models whose parts are known (`search.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from dojo.errors import ConfigError
from dojo.machine.compile.partition import Split
from dojo.machine.plan.pipelines import Pipelines
from dojo.machine.plan.replicas import Division, Question, by_samples, division, is_mesh, on_dies
from dojo.machine.plan.search import differences
from dojo.machine.simulate.events import NOBODY, Played


def divisions(asked: Question) -> list[Division]:
    """All that fit, the fastest first.

    Raises:
        ConfigError: none fits; with the smallest, and what to change.
    """
    if is_mesh(asked.machine):
        return [on_dies(asked)]
    every = _every(asked)
    fitting = [one for one in every if one.fits]
    if not fitting:
        raise _too_large(asked, min(every, key=lambda one: one.memory_bytes))
    return sorted(fitting, key=lambda one: one.step.total_s)


def _every(asked: Question) -> list[Division]:
    """Each legal way; a graph that nobody captured has no stages, and a single accelerator neither."""
    cut = Pipelines(asked).every() if asked.count > 1 and asked.step.few.weights else []
    return cut if cut and asked.batch % asked.count else by_samples(asked) + cut


def checked(asked: Question, split: Split) -> Division:
    """One way that was asked for.

    Raises:
        ConfigError: it is not legal, or does not fit; with the nearest that is and does.
    """
    if is_mesh(asked.machine):
        raise ConfigError(
            f"{asked.step.few.model} on {asked.machine.name}: expected no split, got {split}; all its nodes work on "
            "one operator, and the placement is searched"
        )
    if split.pipeline == 1 and split.interleave == 1:
        one = division(asked, split.micro_batch, split.zero)
    else:
        cut = Pipelines(asked)
        if wrong := cut.faults(split):
            listed = "".join(f"\n  - {fault}" for fault in wrong)
            raise ConfigError(
                f"{split}: expected a legal split, got {len(wrong)} fault(s):{listed}\n{_near(asked, split)}"
            )
        one = cut.division(split)
    if one.fits:
        return one
    raise _too_large(asked, one, f"; {_near(asked, split)}")


def played(asked: Question, one: Division, slow: Mapping[int, float] = NOBODY) -> Played:
    """A step task by task; one that has no stages is one of a single stage.

    Args:
        slow: how many times as long some stages take for their passes, by stage: stragglers.

    Raises:
        ConfigError: it is of a mesh, where nothing waits in turn.
    """
    if one.split is None:
        raise ConfigError(
            f"trace and slow: expected accelerators with stages or samples of their own, got {one.says}; leave them out"
        )
    return (one.pipeline or Pipelines(asked).pipeline(one.split)).played(slow)


def _near(asked: Question, split: Split) -> str:
    """What fits and differs in the fewest choices."""
    fitting = [(differences(one.split, split), one.step.total_s, one.says) for one in divisions(asked) if one.split]
    return f"the nearest that fits: {min(fitting)[2]}"


def _too_large(asked: Question, one: Division, hint: str = "") -> ConfigError:
    largest = max(one.memory, key=lambda name: one.memory[name])
    advice = "have the model recompute" if largest in ("activations", "working") else "take more accelerators"
    return ConfigError(
        f"{asked.step.few.model}, {one.says}: expected at most {one.limit_bytes / 1e9:.1f} GB on each "
        f"{asked.machine.accelerator}, got {one.memory_bytes / 1e9:.1f} GB, of which {largest} "
        f"{one.memory[largest] / 1e9:.1f} GB{hint or f'; {advice}'}"
    )
