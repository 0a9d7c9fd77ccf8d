"""A step at any batch size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import Graph, Kind, Operator, Phase
from dojo.machine.compile.models import resnet50_step


def made_up(samples: int) -> Graph:
    size = float(samples)
    one = Operator("a", Kind.MATMUL, Phase.FORWARD, 12 * size, 3 + size, size, "bfloat16", (1, samples, 2, 3))
    return Graph("made up", samples, 6, (one,))


@settings(max_examples=20, deadline=None)
@given(few=st.integers(1, 9), more=st.integers(10, 99), samples=st.integers(1, 100_000))
def test_two_points_make_the_line(few: int, more: int, samples: int) -> None:
    assert Batches(made_up(few), made_up(more)).at(samples).operators[0].matrix == (1, samples, 2, 3)
    assert Batches(made_up(few), made_up(more)).at(samples).flops == pytest.approx(12.0 * samples)


def test_what_a_line_says_of_resnet50_is_what_its_capture_says(resnet: Batches) -> None:
    assert resnet.at(13) == resnet50_step(13)


def test_steps_that_differ_make_no_line() -> None:
    with pytest.raises(ConfigError, match=r"expected the same operators .* got 1 for 4 and 1 for 4; capture the same"):
        Batches(made_up(4), made_up(4))
    with pytest.raises(ConfigError, match="expected one sample or more, got 0"):
        Batches(made_up(4), made_up(5)).at(0)
