"""Writers of small recordings, and the judge of damaged ones, for every test of the fleet that needs them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def beside(name: str) -> ModuleType:
    """The module of that name in this folder."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def teslacam_files() -> ModuleType:
    """The functions of `teslacam_files.py`."""
    return beside("teslacam_files")


@pytest.fixture(scope="session")
def curvy_drive() -> ModuleType:
    """The functions of `curvy_drive.py`."""
    return beside("curvy_drive")


@pytest.fixture(scope="session")
def damage() -> ModuleType:
    """The functions of `damage.py`."""
    return beside("damage")
