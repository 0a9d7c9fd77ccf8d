"""Gates: what reports must say before a policy may leave the house.

In: stored reports as JSON, and gates. Out: for each gate the figure it asks for, and whether it passed.
Idea: a gate asks the end of an interval, not the figure itself, so that few cases cannot pass by luck; and a figure
that no report holds has not passed, so that a test left out is a test failed.
Not here: who is refused because of it (`recipes/release.py`), the figures (`open_loop.py`, `closed_loop.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dojo.errors import ConfigError

Reports = Mapping[str, Mapping[str, Any]]
"""Kind of report -> its content: `open_loop`, `closed_loop`, `agreement`, `timing`."""


@dataclass(frozen=True)
class Gate:
    """One thing that a report must say.

    Args:
        name: the rule that a refusal names.
        report: kind of report. `figure`: path to the number in it.
        at_least, at_most: bounds, both included; one of them, or both.
        why: what the bound stands for; a bound without a source begins with "Assumed:".
    """

    name: str
    report: str
    figure: tuple[str, ...]
    why: str
    at_least: float = -math.inf
    at_most: float = math.inf

    def __post_init__(self) -> None:
        if not self.at_least <= self.at_most or (math.isinf(self.at_least) and math.isinf(self.at_most)):
            raise ConfigError(f"gate {self.name}: expected a bound, got {self.at_least} to {self.at_most}")


@dataclass(frozen=True)
class Passed:
    """What a gate found; `figure` is None where no report holds it."""

    gate: Gate
    figure: float | None

    @property
    def passed(self) -> bool:
        """Whether the figure is there and within the bounds."""
        return self.figure is not None and self.gate.at_least <= self.figure <= self.gate.at_most

    @property
    def sentence(self) -> str:
        """What was asked and what came."""
        gate = self.gate
        bounds = [
            f"at least {gate.at_least:g}" if gate.at_least > -math.inf else "",
            f"at most {gate.at_most:g}" if gate.at_most < math.inf else "",
        ]
        came = "nothing: it was not tested" if self.figure is None else f"{self.figure:.4g}"
        asked = " and ".join(filter(None, bounds))
        return f"{gate.report} {'.'.join(gate.figure)}: expected {asked}, got {came}"


def judge_gates(gates: Sequence[Gate], reports: Reports) -> tuple[Passed, ...]:
    """What each gate found, in their order."""
    return tuple(Passed(gate, _figure(gate, reports)) for gate in gates)


def _figure(gate: Gate, reports: Reports) -> float | None:
    value: Any = reports.get(gate.report)
    for key in gate.figure:
        value = value.get(key) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _completed(suite: str, at_least: float) -> Gate:
    return Gate(
        f"{suite}_completed",
        "closed_loop",
        (suite, "low"),
        "Assumed: the lower end of the interval, so that some 20 cases must nearly all be completed",
        at_least=at_least,
    )


def _no_fault(suite: str) -> Gate:
    return Gate(
        f"{suite}_without_contact",
        "closed_loop",
        (suite, "figures", "collided_at_fault", "value"),
        "no contact in simulation for which the ego is at fault",
        at_most=0.0,
    )


SIMULATION: tuple[Gate, ...] = (
    Gate(
        "exported_as_trained",
        "agreement",
        ("worst_share",),
        "every answer of the exported model within the tolerance that the agreement report states",
        at_most=1.0,
    ),
    Gate(
        "steers_better_than_turning_on",
        "open_loop",
        ("open_loop_versus", "constant_turn_rate", "lateral_error_3s_m", "high"),
        "lateral error 3 s ahead below that of holding speed and turn rate, by the paired interval",
        at_most=0.0,
    ),
    Gate(
        "lane_centring_tested",
        "closed_loop",
        ("lane_centring", "cases"),
        "Assumed: 24 cases, the number of Yang et al. 2025 (arXiv 2504.19077)",
        at_least=24.0,
    ),
)
"""For what is driven in the simulated world alone: it answers as trained, has learned something, and was tried."""

ROAD: tuple[Gate, ...] = (
    *SIMULATION,
    _completed("lane_centring", 0.8),
    _completed("leader", 0.7),
    _completed("cut_in", 0.7),
    _completed("curve_speed", 0.7),
    *(_no_fault(suite) for suite in ("lane_centring", "leader", "cut_in", "dense_traffic")),
    Gate(
        "frame_to_plan_in_time",
        "timing",
        ("p99_ms",),
        "Assumed: half of the 50 ms between commands, so that the rest of the cycle has its time",
        at_most=25.0,
    ),
)
"""Before anybody drives on a test track with a safety driver. Necessary, by far not sufficient for more than that."""

GATES: Mapping[Literal["simulation", "road"], tuple[Gate, ...]] = {"simulation": SIMULATION, "road": ROAD}
"""By operational domain."""
