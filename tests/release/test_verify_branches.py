from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_line_and_every_branch_of_the_verdict_is_tested(branches_of) -> None:
    """The tests of `verify.py` alone must take each of its branches, both ways."""
    found = branches_of("release/verify.py", Path(__file__).with_name("test_verify.py"))
    assert found["missing_lines"] == []
    assert found["missing_branches"] == []
    assert found["summary"]["num_branches"] >= 10


def test_every_rule_of_the_verdict_is_named_by_a_test() -> None:
    """A rule is an argument, not a branch: the measure above does not see which ones ever refused."""
    source = ast.parse((ROOT / "src/dojo/release/verify.py").read_text())
    rules = {
        argument.value
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_require", "ReleaseError", "Refused")
        for argument in node.args[:2]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    tested = Path(__file__).with_name("test_verify.py").read_text()
    assert len(rules) >= 15
    assert {rule for rule in rules if f'"{rule}"' not in tested} == set()
