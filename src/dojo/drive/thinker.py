"""Asking the policy without waiting for it: one window in flight, never two.

In: windows. Out: plans, when they are there.
Idea: commands go out twenty times a second whatever the network does. It thinks in a thread of its own (ONNX Runtime
leaves the interpreter free meanwhile); a window that comes while it thinks is not queued but dropped, because the one
after it is worth more. The plain one thinks at once: for simulations, which must repeat.
Not here: which windows (`window.py`), what a late plan means (`states.py`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dojo.drive.model import Arrays, Policy
from dojo.records import Plans


@dataclass(frozen=True)
class Thought:
    """What came of a window whose last picture was taken at `taken_ns`; no plans where thinking failed."""

    taken_ns: int
    plans: Plans | None


@runtime_checkable
class Thinker(Protocol):
    """Somebody who thinks about one window at a time."""

    @property
    def idle(self) -> bool:
        """Whether a window may be offered; its arrays may then be written."""
        ...

    def offer(self, inputs: Arrays, taken_ns: int) -> None:
        """Think about a window; the arrays stay as they are until it is idle again."""
        ...

    def take(self, wait_s: float) -> Thought | None:
        """What has been thought since the last call; waits so long for it at most, and only if it is thinking."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


def think(policy: Policy, inputs: Arrays, taken_ns: int) -> Thought:
    """The plan, or that there is none."""
    try:
        return Thought(taken_ns, policy(inputs))
    except Exception:
        # A network that fails is one without an answer: the plan grows old and the driver is asked to take over. Of
        # whatever kind (ONNX Runtime has its own): one that is let through would end the thread, and with it all plans.
        return Thought(taken_ns, None)


class AtOnce:
    """Thinks when its answer is taken."""

    idle: bool = True

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._offered: tuple[Arrays, int] | None = None

    def offer(self, inputs: Arrays, taken_ns: int) -> None:
        """Keep the window until its answer is taken."""
        self._offered = inputs, taken_ns

    def take(self, wait_s: float) -> Thought | None:
        """Think now."""
        offered, self._offered = self._offered, None
        return None if offered is None else think(self._policy, *offered)

    def close(self) -> None:
        """Nothing to stop."""


class Beside:
    """Thinks in a thread of its own."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._changed = threading.Condition()
        self._offered: tuple[Arrays, int] | None = None
        self._thought: Thought | None = None
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight, nor lies there to be taken."""
        with self._changed:
            return not self._busy

    def offer(self, inputs: Arrays, taken_ns: int) -> None:
        """Hand a window over."""
        with self._changed:
            assert not self._busy, "expected a window only when idle"
            self._offered, self._busy = (inputs, taken_ns), True
            self._changed.notify_all()

    def take(self, wait_s: float) -> Thought | None:
        """What has been thought."""
        with self._changed:
            if self._busy and self._thought is None:
                self._changed.wait_for(lambda: self._thought is not None, wait_s)
            thought, self._thought = self._thought, None
            if thought is not None:
                self._busy = False
            return thought

    def close(self) -> None:
        """Stop after the window in flight."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._offered is not None)
                if self._closed:
                    return
                assert self._offered is not None
                inputs, taken_ns = self._offered
                self._offered = None
            thought = think(self._policy, inputs, taken_ns)
            with self._changed:
                self._thought = thought
                self._changed.notify_all()
