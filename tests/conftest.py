"""Shapes and dtypes of every annotated array are checked while the tests run."""

from __future__ import annotations

import functools
import html
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("dojo", "beartype.beartype").__enter__()

from dojo.evaluate import markup  # noqa: E402 (after the hook)
from dojo.release.words import require_modest  # noqa: E402

sys.path.append(str(Path(__file__).parent / "release"))  # `carmakers.py` serves the tests of recipes too

# The same examples in every run: a suite that found something new now and then would fail for who changed nothing.
# `--hypothesis-profile default` looks further.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def said(page: str) -> str:
    """What a page says: not its style, nor what its pictures and films are made of."""
    return html.unescape(re.sub(r"<style>.*?</style>|data:[^\"']*", "", page, flags=re.DOTALL))


def _modest(make: Callable[..., str]) -> Callable[..., str]:
    """Makes the same pages, and refuses one that says more than figures bear: so every page of every test is read."""

    @functools.wraps(make)
    def made(*arguments: Any, **named: Any) -> str:
        page = make(*arguments, **named)
        require_modest("page", said(page))
        return page

    return made


# Before any other module takes these by name; no page is made without them (`tests/release/test_words.py`).
markup.document, markup.filled = _modest(markup.document), _modest(markup.filled)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kills 20` and `--variants 200` try as often as a claim needs; the defaults keep the suite short."""
    parser.addoption("--kills", type=int, default=4, help="how often the tests of `kill -9` kill a run")
    parser.addoption("--variants", type=int, default=40, help="how many damaged copies of each format are tried")


@pytest.fixture
def real_recording() -> Callable[[str], Path]:
    """The folder of a real recording by name, or a skip that says what is missing."""

    def folder_of(name: str) -> Path:
        folder = SHARED_DATA / name
        if not folder.is_dir():
            pytest.skip(f"real recording {name!r} is not at hand: expected shared/data/{name} beside the checkout")
        return folder

    return folder_of


@pytest.fixture
def branches_of(tmp_path: Path) -> Callable[[str, Path], dict[str, Any]]:
    """What running some tests alone leaves untested of a module: coverage's account of it, lines and branches."""
    root = Path(__file__).resolve().parents[1]

    def account(module: str, tests: Path) -> dict[str, Any]:
        data = f"--data-file={tmp_path / 'data'}"
        coverage = [sys.executable, "-m", "coverage"]
        run = [*coverage, "run", "--branch", data, f"--include={root}/src/dojo/{module}"]
        pytest_alone = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
        ran = subprocess.run([*run, *pytest_alone], cwd=root, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        told = [data, "-o", str(tmp_path / "found.json"), "-q"]
        subprocess.run([*coverage, "json", *told], cwd=root, capture_output=True, check=True)
        (found,) = json.loads((tmp_path / "found.json").read_text())["files"].values()
        return dict(found)

    return account
