"""The tiny TeslaCam writer, for every test of the fleet that needs a file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def teslacam_files() -> ModuleType:
    """The functions of `teslacam_files.py`."""
    path = Path(__file__).with_name("teslacam_files.py")
    spec = importlib.util.spec_from_file_location("teslacam_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
