"""Several trainings of one recipe, taken together: counts added up, everything else with its spread over seeds.

In: closed-loop results by seed. Out: one closed-loop result of all of them.
Idea: a training is itself a draw, so a recipe is judged by several. Counts and events are added and get the interval of
the sum; it says how sure the share is over the cases and seeds that were driven, not over other suites.
Not here: one training (`closed_loop.py`), the page (`ablation_page.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dojo.errors import EvaluationError
from dojo.evaluate.closed_loop import ClosedLoopResult, SuiteResult
from dojo.evaluate.driving.intervention import per_intervention
from dojo.evaluate.intervals import wilson
from dojo.records import Estimate


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: its mean, the least and the most of them."""

    mean: float
    least: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of one value for each seed."""
        return Spread(sum(values) / len(values), min(values), max(values))


def pooled(by_seed: Mapping[int, ClosedLoopResult]) -> ClosedLoopResult:
    """All seeds together, suite by suite; failures are named by their seed and case.

    Raises:
        EvaluationError: no seed, or seeds that drove other cases.
    """
    manifests = {seed: {suite.name: suite.manifest for suite in result.suites} for seed, result in by_seed.items()}
    if not by_seed or any(one != next(iter(manifests.values())) for one in manifests.values()):
        raise EvaluationError(
            f"pooled: expected results of one or more seeds on the same cases, got seeds {list(by_seed)} with "
            f"{len({str(one) for one in manifests.values()})} sets of cases; drive all of them through the same suites"
        )
    found: dict[str, dict[int, SuiteResult]] = {}
    for seed, result in by_seed.items():
        for suite in result.suites:
            found.setdefault(suite.name, {})[seed] = suite
    return ClosedLoopResult(tuple(_pooled(suites) for suites in found.values()))


def _pooled(suites: Mapping[int, SuiteResult]) -> SuiteResult:
    first = next(iter(suites.values()))
    cases = sum(suite.cases for suite in suites.values())
    failures = {f"seed {seed}: {case}": why for seed, suite in suites.items() for case, why in suite.failures.items()}
    done = cases - len(failures)
    low, high = wilson(done, cases)
    return SuiteResult(
        suite=first.suite,
        variant=first.variant,
        cases=cases,
        manifest=first.manifest,
        figures={"completed": Estimate(done / cases, low, high, cases, len(suites))},
        per_intervention=_pooled_interventions(list(suites.values())),
        failures=failures,
    )


def _pooled_interventions(suites: Sequence[SuiteResult]) -> dict[str, float | int | None]:
    kilometres = sum(float(suite.per_intervention.get("kilometres") or 0.0) for suite in suites)
    events = sum(int(suite.per_intervention.get("interventions") or 0) for suite in suites)
    return per_intervention(kilometres, events)
