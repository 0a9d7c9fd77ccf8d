"""How numbers are stored while a policy learns, as far as the loop of training has to know.

In: a policy, its steps. Out: whatever a narrow memory leaves of weights, activations and gradients.
Idea: the loop computes; a memory that is narrower than the arithmetic is somebody else's model. It takes hold of the
policy once, stands around each step, and has a state that belongs into checkpoints. Without one nothing changes, to the
last bit.
Not here: any such memory (`dojo.machine.numbers.storage`, handed in by the recipe).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Numerics(Protocol):
    """A narrow memory."""

    def attach(self, policy: nn.Module) -> None:
        """Take hold of the policy, once, before the first step."""

    def stored(self) -> AbstractContextManager[None]:
        """Around forward and backward of one step."""

    def figures(self) -> dict[str, float]:
        """What the curves should show."""

    def state(self) -> dict[str, Any]:
        """All that a checkpoint must hold, as plain values."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, after `attach`."""
