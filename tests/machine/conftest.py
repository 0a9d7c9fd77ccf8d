"""ResNet-50, captured once for all tests."""

from __future__ import annotations

import pytest

from dojo.machine.compile.batches import Batches
from dojo.machine.compile.models import resnet50_step


@pytest.fixture(scope="session")
def resnet() -> Batches:
    """Its step at any batch size."""
    return Batches(resnet50_step(2), resnet50_step(4))
