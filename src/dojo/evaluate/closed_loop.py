"""Closed-loop evaluation: every metric of driving, by suite and variant, with the interval that it deserves.

In: rollouts. Out: a `ClosedLoopResult`, and its JSON form, from which it comes back.
Idea: each suite is judged by itself, and each variant of it: a mean over suites would say how many cases each has. What
was driven is named by a hash of every state of every rollout: two reports with the same hash saw the same driving.
Not here: the rollouts (`rollout.py`), the metrics (`driving/`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dojo.errors import EvaluationError
from dojo.evaluate.bootstrap import Groups, estimates
from dojo.evaluate.driving import DRIVING_METRICS, DrivingMetric, kilometres_per_intervention, missed
from dojo.evaluate.intervals import poisson_rate, wilson
from dojo.evaluate.suites.suite import manifest_hash
from dojo.records import Estimate, Rollout

_RESAMPLES = 2000


@dataclass(frozen=True)
class SuiteResult:
    """How one suite, or one variant of it, was driven.

    Args:
        figures: metric -> estimate; one that no rollout can answer is absent.
        per_intervention: see `kilometres_per_intervention`.
        failures: id of each case that was not completed, and why.
        driven: hash of every state of every rollout.
    """

    suite: str
    variant: str
    cases: int
    manifest: str
    figures: Mapping[str, Estimate]
    per_intervention: Mapping[str, float | int | None]
    failures: Mapping[str, tuple[str, ...]]
    driven: str = ""

    @property
    def name(self) -> str:
        """Suite, and variant where there is one: `lane_centring`, `lane_centring_night`."""
        return f"{self.suite}_{self.variant}" if self.variant else self.suite

    def to_json(self) -> dict[str, Any]:
        """Completed cases with their interval first; then everything else."""
        completed = self.figures["completed"]
        return {
            "completed": self.cases - len(self.failures),
            "cases": self.cases,
            "low": completed.low,
            "high": completed.high,
            "figures": {name: asdict(estimate) for name, estimate in self.figures.items()},
            "kilometres_per_intervention": dict(self.per_intervention),
            "failures": {case: list(reasons) for case, reasons in self.failures.items()},
            "suite": self.suite,
            "variant": self.variant,
            "manifest": self.manifest,
            "driven": self.driven,
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> SuiteResult:
        """The result that `to_json` wrote."""
        return SuiteResult(
            suite=values["suite"],
            variant=values["variant"],
            cases=values["cases"],
            manifest=values["manifest"],
            figures={name: Estimate(**found) for name, found in values["figures"].items()},
            per_intervention=values["kilometres_per_intervention"],
            failures={case: tuple(reasons) for case, reasons in values["failures"].items()},
            driven=values["driven"],
        )


@dataclass(frozen=True)
class ClosedLoopResult:
    """How every suite was driven, in the order in which they came."""

    suites: tuple[SuiteResult, ...]

    def to_json(self) -> dict[str, Any]:
        """By name of the suite."""
        return {suite.name: suite.to_json() for suite in self.suites}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ClosedLoopResult:
        """The result that `to_json` wrote."""
        return ClosedLoopResult(tuple(SuiteResult.from_json(suite) for suite in values.values()))


def judge(
    rollouts: Sequence[Rollout], metrics: Sequence[DrivingMetric] = DRIVING_METRICS, seed: int = 0
) -> ClosedLoopResult:
    """How the rollouts were driven.

    Args:
        seed: of the bootstrap.

    Raises:
        EvaluationError: there are no rollouts, or two of one scenario.
    """
    ids = [rollout.scenario.scenario_id for rollout in rollouts]
    if not ids or len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise EvaluationError(
            f"closed loop: expected rollouts of different scenarios, got {'none' if not ids else ', '.join(twice)}"
            f"{'' if not ids else ' more than once'}; judge one policy at a time"
        )
    groups: dict[tuple[str, str], list[Rollout]] = {}
    for rollout in rollouts:
        groups.setdefault((rollout.scenario.suite, rollout.scenario.variant), []).append(rollout)
    return ClosedLoopResult(
        tuple(_judged(suite, variant, some, metrics, seed) for (suite, variant), some in groups.items())
    )


def _judged(
    suite: str, variant: str, rollouts: Sequence[Rollout], metrics: Sequence[DrivingMetric], seed: int
) -> SuiteResult:
    found = {metric.name: _estimate(metric, rollouts, seed) for metric in metrics}
    return SuiteResult(
        suite=suite,
        variant=variant,
        cases=len(rollouts),
        manifest=manifest_hash([rollout.scenario for rollout in rollouts]),
        figures={name: estimate for name, estimate in found.items() if estimate is not None},
        per_intervention=kilometres_per_intervention(rollouts),
        failures={rollout.scenario.scenario_id: missed(rollout) for rollout in rollouts if missed(rollout)},
        driven=driven_hash(rollouts),
    )


def driven_hash(rollouts: Sequence[Rollout]) -> str:
    """SHA-256 of where the ego was at every step of each rollout, of what was asked, and of how it ended."""
    digest = hashlib.sha256()
    for rollout in rollouts:
        digest.update(f"{rollout.scenario.scenario_id} {rollout.ended} {rollout.at_fault}".encode())
        for states in (rollout.x_m, rollout.y_m, rollout.yaw_rad, rollout.speed_mps, rollout.asked_curvature_per_m):
            digest.update(np.ascontiguousarray(states).tobytes())
    return digest.hexdigest()


def _estimate(metric: DrivingMetric, rollouts: Sequence[Rollout], seed: int) -> Estimate | None:
    """The figure with the interval of its kind; None where no rollout carries weight."""
    told = [metric.measure(rollout) for rollout in rollouts]
    total, weight = sum(one.total for one in told), sum(one.weight for one in told)
    samples = sum(one.weight > 0 for one in told)
    if samples == 0:
        return None
    if metric.kind == "mean":
        rows = np.arange(len(told), dtype=np.int64)
        (estimate,) = estimates(
            np.array([[one.total] for one in told]),
            np.array([[one.weight] for one in told]),
            Groups(rows, rows),
            np.array([False]),
            _RESAMPLES,
            seed,
        )
        return estimate
    low, high = wilson(round(total), round(weight)) if metric.kind == "count" else poisson_rate(round(total), weight)
    return Estimate(total / weight, low, high, samples, samples)
