"""Arithmetic between figures."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.specs import load_machine
from dojo.machine.specs.check import Check, Outcome, figure, run_checks

TOY = load_machine("toy")


def outcome(relation: str, left: float, right: float, within: float = 0.0) -> Outcome:
    check = Check(says="so", left="l", relation=relation, right="r", within=within)
    return Outcome(check=check, left=left, right=right)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3", 3.0),
        ("1.5e3", 1500.0),
        ("(1 + 2) * 3 - 4 / 8", 8.5),
        ("core.matrix.depth", 5.0),
        ("chip.links.cable.latency_s * core.clock.clock_hz", 1000.0),
    ],
)
def test_an_expression_is_worked_out(expression: str, value: float) -> None:
    assert figure(TOY, expression) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("core.matrix", "expected a figure, got 'core.matrix', which this machine does not have"),
        ("die.peak.bf16_flop_per_s", "which this machine does not have"),
        ("chip.peak.fp8_flop_per_s", "which this machine does not have"),
        ("chip.peak.grade", "which this machine does not have"),
        ("chip.peak.source", "which this machine does not have"),
        ("chip.peak.__class__", "which this machine does not have"),
        ("core", r"expected figures, numbers, \+ - \* / and brackets, got 'core'"),
        ("True", "got 'True'"),
        ("2 ** 3", r"got '2 \*\* 3'"),
        ("-3", "got '-3'"),
        ("open('x')", 'got "open'),
        ("1 / 0", "division by zero"),
        ("1 +", "invalid syntax"),
    ],
)
def test_what_is_no_arithmetic_of_figures_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)^machine toy: cannot work out .*{message}"):
        figure(TOY, expression)


@pytest.mark.parametrize(
    ("relation", "left", "right", "within", "holds"),
    [
        ("equals", 1.0, 1.0, 0.0, True),
        ("equals", 0.1 + 0.2, 0.3, 0.0, True),
        ("equals", 1.001, 1.0, 0.0, False),
        ("equals", 1.01, 1.0, 0.011, True),
        ("equals", 0.99, 1.0, 0.011, True),
        ("equals", 0.98, 1.0, 0.011, False),
        ("at_least", 2.0, 1.0, 0.0, True),
        ("at_least", 1.0, 1.0, 0.0, True),
        ("at_least", 0.99, 1.0, 0.0, False),
        ("at_least", 0.99, 1.0, 0.011, True),
        ("at_most", 1.0, 2.0, 0.0, True),
        ("at_most", 1.0, 1.0, 0.0, True),
        ("at_most", 1.01, 1.0, 0.0, False),
        ("at_most", 1.01, 1.0, 0.011, True),
    ],
)
def test_a_relation_holds_as_far_as_rounding_allows(
    relation: str, left: float, right: float, within: float, holds: bool
) -> None:
    assert outcome(relation, left, right, within).holds is holds


def test_an_outcome_says_what_came_out() -> None:
    assert str(outcome("equals", 2.0, 2.0)) == "holds: so: 2 = 2"
    assert str(outcome("at_least", 1.0, 2.0, 0.01)) == "FAILS: so: 1 >= 2 within 1.00%"
    assert str(outcome("at_most", 3.0, 2.0)) == "FAILS: so: 3 <= 2"


def test_checks_are_run_in_their_order() -> None:
    checks = tuple(
        Check(says=says, left=left, relation="equals", right="2", within=0.0)
        for says, left in (("first", "1 + 1"), ("second", "3"))
    )
    assert [result.holds for result in run_checks(TOY, checks)] == [True, False]
