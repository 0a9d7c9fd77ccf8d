from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_line_and_every_branch_of_the_envelope_is_tested(tmp_path: Path) -> None:
    """The examples of `test_limits.py` alone must take each branch, both ways."""
    options = ["--branch", f"--data-file={tmp_path / 'data'}", f"--include={ROOT}/src/dojo/drive/limits.py"]
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_limits.py"))]
    coverage = [sys.executable, "-m", "coverage"]
    ran = subprocess.run([*coverage, "run", *options, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = [f"--data-file={tmp_path / 'data'}", "-o", str(tmp_path / "found.json"), "-q"]
    subprocess.run([*coverage, "json", *told], cwd=ROOT, capture_output=True, check=True)
    (found,) = json.loads((tmp_path / "found.json").read_text())["files"].values()
    assert found["missing_lines"] == []
    assert found["missing_branches"] == []
    assert found["summary"]["num_branches"] >= 20
