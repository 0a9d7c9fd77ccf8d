from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.evaluate.gate import GATES, ROAD, SIMULATION, Gate, judge_gates
from dojo.evaluate.suites import SUITES

GATE = Gate("leader_completed", "closed_loop", ("leader", "low"), "why", at_least=0.7)


def judged(gate: Gate, value: object) -> bool:
    (found,) = judge_gates([gate], {"closed_loop": {"leader": {"low": value}}})
    return found.passed


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_figure_passes_exactly_within_its_bounds(figure: float) -> None:
    assert judged(GATE, figure) == (figure >= 0.7)
    assert judged(Gate("g", "closed_loop", ("leader", "low"), "", at_most=0.7), figure) == (figure <= 0.7)
    assert judged(Gate("g", "closed_loop", ("leader", "low"), "", at_least=0.0, at_most=0.7), figure) == (
        0 <= figure <= 0.7
    )


@pytest.mark.parametrize("value", [None, "0.9", True, math.nan, math.inf, {}, []])
def test_what_is_no_number_has_not_passed(value: object) -> None:
    assert not judged(GATE, value)


def test_a_test_left_out_is_a_test_failed() -> None:
    for reports in ({}, {"closed_loop": {}}, {"closed_loop": {"leader": 3}}):
        (found,) = judge_gates([GATE], reports)
        assert not found.passed
        assert found.sentence == "closed_loop leader.low: expected at least 0.7, got nothing: it was not tested"


def test_a_sentence_says_what_was_asked_and_what_came() -> None:
    gate = Gate("g", "timing", ("p99_ms",), "", at_least=1.0, at_most=25.0)
    (found,) = judge_gates([gate], {"timing": {"p99_ms": 30.25}})
    assert found.sentence == "timing p99_ms: expected at least 1 and at most 25, got 30.25"


def test_a_gate_without_a_bound_is_refused() -> None:
    for bounds in ({}, {"at_least": 2.0, "at_most": 1.0}):
        with pytest.raises(ConfigError, match="expected a bound"):
            Gate("g", "timing", ("x",), "", **bounds)


def test_the_road_asks_for_all_that_simulation_asks_and_more() -> None:
    assert GATES == {"simulation": SIMULATION, "road": ROAD}
    assert set(SIMULATION) < set(ROAD)
    assert len({gate.name for gate in ROAD}) == len(ROAD)
    for gate in ROAD:
        assert gate.report in ("agreement", "open_loop", "closed_loop", "timing")
        assert gate.report != "closed_loop" or gate.figure[0] in SUITES
        assert gate.why
