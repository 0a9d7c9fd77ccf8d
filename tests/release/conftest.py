"""Carmakers in memory; their keys are made once, as they cost the most."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

if "carmakers" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("carmakers", Path(__file__).with_name("carmakers.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["carmakers"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["carmakers"])

from carmakers import Keys, World, new_keys, targets_of, world_of


@pytest.fixture(scope="session")
def keys() -> Keys:
    return new_keys()


@pytest.fixture(scope="session")
def other_keys() -> Keys:
    """Of another carmaker."""
    return new_keys()


@pytest.fixture
def world(keys: Keys) -> World:
    return world_of(keys, targets_of())
