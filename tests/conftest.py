"""Shapes and dtypes of every annotated array are checked while the tests run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("dojo", "beartype.beartype").__enter__()

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
