"""The same cases made harder: late, with gaps, through a camera that looks askew, by night, in rain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dojo.errors import ConfigError
from dojo.records import Disturbance, Scenario

VARIANTS: Mapping[str, Disturbance] = {
    "latency": Disturbance(latency_s=0.1),
    "dropped": Disturbance(dropped_share=0.2),
    "camera_yaw": Disturbance(camera_yaw_rad=math.radians(1.0)),
    "night": Disturbance(weather="night"),
    "rain": Disturbance(weather="rain"),
}
"""Assumed: sizes that a vehicle in use may meet; a fifth of the pictures is one a second."""


def under(variant: str, scenarios: Sequence[Scenario]) -> tuple[Scenario, ...]:
    """The scenarios under a variant; the camera looks left in every other case, right in the rest.

    Raises:
        ConfigError: no such variant, or a scenario that has one already.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"suites: expected a variant from {', '.join(VARIANTS)}, got {variant!r}")
    twice = [scenario.scenario_id for scenario in scenarios if scenario.variant]
    if twice:
        raise ConfigError(f"suites: expected scenarios without a variant, got {', '.join(twice)}; use the plain suite")
    disturbance = VARIANTS[variant]
    return tuple(
        replace(
            scenario,
            scenario_id=f"{scenario.scenario_id}-{variant}",
            variant=variant,
            disturbance=replace(disturbance, camera_yaw_rad=disturbance.camera_yaw_rad * (1 if number % 2 else -1)),
        )
        for number, scenario in enumerate(scenarios)
    )
