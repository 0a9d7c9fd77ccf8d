"""Reprojective replays: stored drives, each begun on the recorded line and beside it."""

from __future__ import annotations

from collections.abc import Sequence

from dojo.evaluate.suites.suite import Values
from dojo.evaluate.suites.vehicles import draw_plant
from dojo.records import Goal, Scenario

OFFSETS_M = (0.0, 0.5, -0.5, 1.0, -1.0)


def replay(
    stretches: Sequence[tuple[str, float]],
    seconds: float,
    offsets_m: Sequence[float] = OFFSETS_M,
    camera: str = "front",
) -> tuple[Scenario, ...]:
    """Each stretch (drive, seconds after its first frame) from each offset, which is its variant."""
    scenarios = []
    for number, (drive_id, start_s) in enumerate(stretches):
        place: Values = {"drive": drive_id, "start_s": start_s, "camera": camera}
        for offset_m in offsets_m:
            variant = variant_of(offset_m)
            scenarios.append(
                Scenario(
                    scenario_id=f"replay-{number:03d}{'-' * bool(variant)}{variant}",
                    suite="replay",
                    place=place,
                    seed=number,
                    duration_s=seconds,
                    variant=variant,
                    start_offset_m=offset_m,
                    plant=draw_plant(number),
                    # Assumed: people themselves keep to a line within some tenths of a metre; a metre is another line.
                    goal=Goal(within_m=1.0, settle_s=3.0),
                )
            )
    return tuple(scenarios)


def variant_of(offset_m: float) -> str:
    """`left_0.5`; nothing on the line itself."""
    return "" if offset_m == 0 else f"{'left' if offset_m > 0 else 'right'}_{abs(offset_m):g}"
