"""A tiny bundle, and the adapters of both platforms."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dojo.drive.adapter import Adapter
from dojo.drive.platform import load_platform


@pytest.fixture(scope="session")
def write_bundle() -> Iterator[Callable[..., Path]]:
    """Writes a tiny bundle into a folder."""
    sys.path.insert(0, str(Path(__file__).parent))
    import tiny_bundle

    yield tiny_bundle.write_bundle
    sys.path.remove(str(Path(__file__).parent))


@pytest.fixture(params=["aurora_comet", "borealis_tern"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Of each platform in turn."""
    return Adapter(load_platform(request.param))


@pytest.fixture
def comet() -> Adapter:
    """Of the first platform."""
    return Adapter(load_platform("aurora_comet"))
