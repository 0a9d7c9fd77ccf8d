"""Simulators of small and published cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.step import Simulator
from dojo.machine.specs import load_machine


@pytest.fixture
def simulate() -> Callable[..., Simulator]:
    """A simulator by model, machine and software; GPT-22B on A100s if nothing is said."""

    def make(model: Gpt | None = None, machine: str = "a100", software: Software | None = None) -> Simulator:
        shape = model or Gpt("gpt-22b", 6144, 64, 48, 2048, 51200)
        return Simulator(shape, software or Software(), load_machine(machine), load_constants())

    return make
