"""Carmakers in memory; their keys are made once, as they cost the most."""

from __future__ import annotations

import pytest
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
