"""What a suite is: a function from a seed to scenarios; and how one is named by its hash.

Idea: a scenario is a value, so a suite is one too: its manifest is what the scenarios say, its hash names them, and two
reports with the same hash have judged the same cases. What the manifest cannot hold is the simulator itself.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from dojo.records import Scenario

Suite = Callable[[int], tuple[Scenario, ...]]
"""Seed 0 gives the cases that figures are compared on; others give more of the same kind."""

Values = dict[str, str | float | int | bool]
"""The parameters of a place."""

ROAD_SEEDS_FROM = 9_000_000
"""Roads of suites are numbered from here. Fleets number theirs by hashes of 32 bits, which fall here once in some
hundred thousand roads."""


def case_seed(seed: int, suite: int, case: int) -> int:
    """A seed for one case that no other case of any suite shares, as long as a suite has fewer than 1,000."""
    return ROAD_SEEDS_FROM + seed * 100_000 + suite * 1_000 + case


def manifest(scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """All that the scenarios say, as JSON holds it; what is infinite is None."""
    return [_finite(asdict(scenario)) for scenario in scenarios]


def manifest_hash(scenarios: Sequence[Scenario]) -> str:
    """SHA-256 of the manifest."""
    text = json.dumps(manifest(scenarios), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
