"""Scratch folders go with their process, however it ends, and never with one that is alive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dojo.recipes.scratch import scratch


def fail_inside(parent: Path) -> None:
    with scratch("objects", parent) as folder:
        (folder / "video").write_bytes(b"0")
        raise ZeroDivisionError


def test_a_folder_is_gone_after_the_block_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_inside(tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from dojo.recipes.scratch import scratch\n"
        "with scratch('objects', Path(sys.argv[1])) as folder:\n"
        "    (folder / 'video').write_bytes(b'0')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    other = tmp_path / "dojo-spool-1-x"
    other.mkdir()
    with scratch("objects", tmp_path) as first, scratch("objects", tmp_path) as second:
        assert not left.exists()
        assert first != second
        assert all(folder.name.startswith(f"dojo-objects-{os.getpid()}-") for folder in (first, second))
    assert list(tmp_path.iterdir()) == [other], "of another purpose"
