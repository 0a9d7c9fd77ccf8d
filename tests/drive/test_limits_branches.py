from __future__ import annotations

from pathlib import Path


def test_every_line_and_every_branch_of_the_envelope_is_tested(branches_of) -> None:
    """The examples of `test_limits.py` alone must take each branch, both ways."""
    found = branches_of("drive/limits.py", Path(__file__).with_name("test_limits.py"))
    assert found["missing_lines"] == []
    assert found["missing_branches"] == []
    assert found["summary"]["num_branches"] >= 20
