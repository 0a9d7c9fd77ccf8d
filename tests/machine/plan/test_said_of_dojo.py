"""What was said of Dojo, beside a plan."""

from __future__ import annotations

from datetime import date

import pytest

from dojo.errors import ConfigError
from dojo.machine.plan.assumptions import assumptions_for
from dojo.machine.plan.build_up import BuildUp
from dojo.machine.plan.plan import Budget, Plan, Question, make_plan
from dojo.machine.plan.said_of_dojo import CONSISTENT, INCONSISTENT, OPEN, findings_of
from dojo.machine.plan.target import Target
from dojo.machine.specs import load_machine


def planned(name: str = "d1", exaflops: float = 100.0, usd: float = 1e9) -> Plan:
    machine = load_machine(name)
    build_up = BuildUp(date(2023, 7, 1), date(2024, 10, 1))
    budget = Budget(usd, date(2023, 7, 1), date(2025, 1, 1))
    return make_plan(Question(machine, Target(exaflops=exaflops), build_up, budget, assumptions_for(machine)))


def verdicts(plan: Plan) -> dict[str, str]:
    return {finding.claim: finding.verdict for finding in findings_of(plan)}


def test_the_unit_agrees_and_the_money_the_room_and_the_equivalence_do_not() -> None:
    found = verdicts(planned())
    assert found["The axis of the roadmap: 100 exaflops are 300,000 A100"] == CONSISTENT
    assert found["Well over a billion dollars until the end of 2024, research and capital together"] == INCONSISTENT
    assert found["The same billion, against the building alone"] == INCONSISTENT
    assert found["Seven ExaPODs are planned in Palo Alto: is that the room for it?"] == INCONSISTENT
    assert found["500 million dollars of Dojo are a 10,000 H100 system"] == INCONSISTENT
    assert found["Among the five largest computers in early 2024"] == OPEN


def test_the_same_claims_hold_of_a_plan_that_keeps_them() -> None:
    found = verdicts(planned(exaflops=7.5))
    assert found["Seven ExaPODs are planned in Palo Alto: is that the room for it?"] == CONSISTENT
    assert found["Well over a billion dollars until the end of 2024, research and capital together"] == CONSISTENT
    rich = verdicts(planned(usd=6e9))
    assert rich["Well over a billion dollars until the end of 2024, research and capital together"] == CONSISTENT
    assert rich["500 million dollars of Dojo are a 10,000 H100 system"] == CONSISTENT


def test_every_finding_has_source_and_figures() -> None:
    for finding in findings_of(planned()):
        assert finding.source
        assert any(letter.isdigit() for letter in finding.found)


def test_claims_about_dojo_are_not_held_against_other_machines() -> None:
    with pytest.raises(ConfigError, match=r"^findings: expected a plan of machine d1, got one of h100$"):
        findings_of(planned("h100"))
